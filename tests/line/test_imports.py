"""Law: the line is light; no client and no inference library until it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "asyncua",
    "confluent_kafka",
    "onnxruntime",
    "polars",
    "sklearn",
    "onnx",
    "torch",
    "pandas",
    "pyarrow",
}


@pytest.mark.integration
def test_importing_the_engine_loads_no_client_and_no_inference_library() -> None:
    code = (
        "import sys, tundish.line.engine, tundish.line.plugins, tundish.line.rehearsal;"
        f"sys.stdout.write(' '.join(sorted({HEAVY!r} & set(sys.modules))))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert found.stdout == ""
