"""``tundish package``, ``grant``, ``device``: what is asked wrongly is said, and not done."""

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


@pytest.mark.parametrize("option", [["--renewal", "1"], ["--spare-days", "3"]])
def test_what_a_request_cannot_ask_for_is_not_left_out_silently(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["grant", "flow.tar", "--request", "ask.txt", *option, "-w", "plant"]
    assert main.status(command) == 2
    assert "not with --request" in " ".join(capsys.readouterr().err.split())


def test_a_workspace_before_the_command_is_not_left_out_silently(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.status(["device", "-w", "plant", "show"]) == 2
    assert "tundish device show -w" in " ".join(capsys.readouterr().err.split())
    assert main.status(["device", "-w", "plant"]) == 0
    assert capsys.readouterr().out.startswith("tundish-device-1:")
