"""``tundish package``: how a wrong registry is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tundish.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.status(["init", "plant"]) == 0


@pytest.mark.parametrize(
    ("reference", "code"),
    [("flow", "registry-name"), ("127.0.0.1:1/flow:1", "registry-unreachable")],
)
def test_a_registry_that_cannot_be_used_is_said(
    reference: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = main.status(
        ["package", "pull", reference, "--plain-http", "--workspace", "plant"]
    )
    said = capsys.readouterr().err
    assert ended in {2, 4}
    assert f"[{code}]" in said
    assert "Advice:" in said
