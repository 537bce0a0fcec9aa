"""The page of graph checks says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.model.test_graph_memory import BOMBS

from tundish.model import errors, graphcheck, memory

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security/graph-checks.md").read_text(encoding="utf-8")
NUMBERS = {10: "ten", 11: "eleven", 12: "twelve"}


def test_lists_and_numbers_of_the_page_are_those_of_the_code() -> None:
    for name in (*graphcheck._DENIED, *graphcheck._CONTROL, *graphcheck._GROWING):
        assert f"`{name}`" in PAGE, name
    for number in (graphcheck.MAX_NODES, graphcheck.MAX_ELEMENTS):
        assert f"{number:,}" in PAGE
    assert f"at most {graphcheck.MAX_RANK})" in PAGE
    first, last = graphcheck.OPSETS[0], graphcheck.OPSETS[-1]
    assert f"opsets other than {first} to {last}" in PAGE
    assert (
        f"{memory.WORKING_BYTES // 1024**2} MiB plus {memory.GRAPH_COPIES} times"
        in PAGE
    )
    assert f"{memory.WINDOW_COPIES} times the windows" in PAGE
    assert f"{NUMBERS[len(BOMBS)]} kinds" in PAGE


def test_codes_of_the_page_exist() -> None:
    known = {getattr(kind, "code", "") for kind in vars(errors).values()}
    named = set(re.findall(r"`((?:graph|session)-[a-z-]+)`", PAGE))
    assert len(named) >= 7
    assert named <= known


def test_the_checks_run_without_the_onnx_package() -> None:
    program = (
        "import sys; sys.modules['onnx'] = None; sys.modules['onnxruntime'] = None\n"
        "from tundish.model import graphcheck\n"
        "from tundish.kernel.errors import TundishError\n"
        "try: graphcheck.check_graph(b'no graph')\n"
        "except TundishError as error: print(error.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "graph-malformed"
