"""``tundish import``: what an option says is checked before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tundish.cli import main


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "224"], "HEIGHTxWIDTH"),
        (["--size", "4x4"], "size"),
        (["--mean", "0.5;0.5"], "numbers with commas"),
        (["--std", "0"], "std"),
        (["--scale", "-1"], "scale"),
        (["--layout", "rows-first"], "channels-last"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    where = ["--scenario", "s.yaml", "--site", "t.yaml"]
    code = main.status(["import", "model.onnx", "data", *where, *options])
    found = capsys.readouterr()
    assert code == 2
    assert said in " ".join(found.err.split())
    assert "Traceback" not in found.out + found.err
