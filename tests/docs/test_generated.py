from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tundish.cli import errors as _loads_every_room  # noqa: F401
from tundish.cli.exits import CODES
from tundish.kernel import errors

ROOT = Path(__file__).parents[2]


def test_generated_pages_are_fresh() -> None:
    result = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_error_has_a_code_a_page_and_an_advice() -> None:
    leaves = errors.leaves()
    assert len({cls.code for cls in leaves}) == len(leaves)
    for cls in leaves:
        page = errors.page(cls)
        assert len(page.splitlines()) >= 3, cls
        assert cls.default_advice, cls
        assert any(issubclass(cls, family) for family in CODES), cls


def test_every_class_that_is_raised_has_a_code() -> None:
    todo = [errors.TundishError]
    while todo:
        cls = todo.pop()
        todo.extend(cls.__subclasses__())
        assert cls.code or cls.__subclasses__(), f"{cls} has neither code nor children"
