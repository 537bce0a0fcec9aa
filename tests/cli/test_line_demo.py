"""The demo of the line: red while the cable is out, whole again, and honest about the gap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tundish.cli.main import app
from tundish.flows.errors import WorkspaceExistsError


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_pulled_cable_is_shown(fermentation: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    result = CliRunner().invoke(
        app, ["line", "demo", "--folder", str(folder), "--json"]
    )
    assert result.exit_code == 0, result.output
    model, line = json.loads(result.output)["stages"]
    said = "\n".join(one["text"] for one in line["lines"])
    assert "Sealed" in model["lines"][-1]["text"]
    assert "stale (red)" in said
    assert "came from the plant's history" in said
    assert "gap recorded" in said
    again = CliRunner().invoke(app, ["line", "demo", "--folder", str(folder)])
    assert isinstance(again.exception, WorkspaceExistsError)
