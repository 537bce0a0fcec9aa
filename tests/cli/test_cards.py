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
    certificate = str(file.parent.parent / "feed.cert.json")
    for command in (  # its name goes wherever a grade does
        ["grade", "feed", "--quick", "--certificate", certificate],
        ["certificate", "verify", certificate, "feed"],
        ["certificate", "verify", certificate, str(file)],
        ["grade", "feed", "--mend", "better", "--dry-run"],
        ["data", "diff", "feed", "feed"],
    ):
        assert run(command) == 0, command


@pytest.mark.parametrize("form", ["markdown", "croissant", "tc609", "template"])
def test_no_card_takes_the_place_of_the_data(
    file: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``data card export.csv --out export.csv`` wrote the card over the data."""
    other = file.parent / "notes.md"
    other.write_text("# Notes\n\nof a person\n")
    said = ["--template"] if form == "template" else ["--format", form]
    for place in (file, other):
        before = place.read_bytes()
        assert run(["data", "card", str(file), *said, "--out", str(place)]) == 2
        assert "[out-exists]" in capsys.readouterr().err
        assert place.read_bytes() == before


@pytest.mark.parametrize("form", ["markdown", "croissant", "tc609"])
def test_a_card_takes_the_place_of_its_last_version(file: Path, form: str) -> None:
    to = str(file.parent / "last.card")
    for _ in range(2):
        assert run(["data", "card", str(file), "--format", form, "--out", to]) == 0


@pytest.mark.parametrize(
    ("slip", "word"),
    [
        (("# origin: real", "origin: reel"), "origin"),
        (("# origin: real", "orgin: real"), "orgin is not a known key"),
        (("path: x.csv", "path: y.csv"), "is about other data"),
    ],
)
def test_a_template_never_takes_what_was_filled_in(
    slip: tuple[str, str],
    word: str,
    file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One slip in a filled card, and the command that the grade advises emptied it."""
    out = file.parent / "card.yaml"
    command = ["data", "card", str(file), "--template", "--out", str(out)]
    assert run(command) == 0
    slip = (slip[0].replace("x.csv", file.name), slip[1])
    filled = out.read_text().replace("# creator:", "creator:")
    assert slip[0] in filled
    out.write_text(filled)
    assert run(command) == 0  # a whole card is filled up and keeps what it says
    assert "\ncreator:" in out.read_text()
    out.write_text(out.read_text().replace(*slip))
    before = out.read_bytes()
    capsys.readouterr()
    assert run(command) == 2
    assert word in " ".join(capsys.readouterr().err.split())
    assert out.read_bytes() == before
