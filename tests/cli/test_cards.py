"""``tundish data card`` and ``tundish data register``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tundish.catalog import documents
from tundish.cli.main import status as run
from tundish.data.card.card import Card
from tundish.flows.workspace import create
from tundish.kernel import canonical


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    create(tmp_path, "ws")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sets" / "feed.csv"
    path.parent.mkdir()
    path.write_text("t,flow\n" + "".join(f"{i},{i % 7}.5\n" for i in range(50)))
    return path


def test_a_card_is_printed_or_written(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "card", str(file)]) == 0
    assert "## At a glance 概览" in capsys.readouterr().out
    assert run(["data", "card", str(file), "--format", "croissant"]) == 0
    made = canonical.loads(capsys.readouterr().out.encode())
    assert isinstance(made, dict)
    assert made["@type"] == "sc:Dataset"
    assert run(["data", "card", str(file), "--format", "rdf"]) == 2


def test_from_template_to_grade(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = file.parent / "card.yaml"
    assert run(["data", "card", str(file), "--template", "--out", str(out)]) == 0
    card = documents.read_document(out, Card)
    assert [note.name for note in card.fields] == ["t", "flow"]
    text = out.read_text().replace("# licence: ", "licence: ")
    out.write_text(text.replace("name: flow, unit: ,", "name: flow, unit: m3/h,"))
    assert run(["data", "register", str(file.parent), "--name", "feed"]) == 0
    assert "feed" in capsys.readouterr().out
    assert run(["data", "list"]) == 0
    assert "feed" in capsys.readouterr().out
    assert run(["grade", "feed", "--quick", "--use", "internal", "--json"]) == 0
    printed = capsys.readouterr().out
    assert "own data of works 2; for internal use" in printed
    assert "flow in m3/h" in printed
    assert run(["grade", "feed", "--use", "fun"]) == 2
