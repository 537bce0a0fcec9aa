"""Register a set by its card, grade it by name, and write its card."""

from __future__ import annotations

from pathlib import Path

import pytest

from tundish.data.card.beside import beside
from tundish.data.errors import DigestMismatchError
from tundish.flows import own_sets
from tundish.flows.card import write_card
from tundish.flows.errors import NameTakenError, SetDamagedError
from tundish.flows.grade import GradeOptions, grade
from tundish.flows.workspace import Workspace, create
from tundish.kernel import canonical
from tundish.kernel import digest as digests
from tundish.kernel.canonical import Json
from tundish.kernel.errors import PathMissingError, UnsafePathError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create(tmp_path / "ws", "ws")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "feed"
    made.mkdir()
    rows = "".join(f"2025-01-01 00:{i:02d}:00,{i % 7 + i / 60}\n" for i in range(60))
    (made / "feed.csv").write_text(f"t,flow\n{rows}")
    return made


def package(path: str, digest: str) -> dict[str, Json]:
    return {
        "name": "Feed Water",
        "licenses": [{"name": "CC-BY-4.0"}],
        "resources": [
            {
                "path": path,
                "hash": digest,
                "schema": {"fields": [{"name": "flow", "unit": "m3/h"}]},
            }
        ],
    }


def carded(folder: Path) -> Path:
    card = folder / "datapackage.json"
    sha = digests.of_file(folder / "feed.csv")
    card.write_text(canonical.pretty(package("feed.csv", sha)))
    return card


def test_a_card_is_enough_to_grade_by_name(workspace: Workspace, folder: Path) -> None:
    report = own_sets.register(carded(folder), workspace=workspace)
    assert (report.name, report.checked, report.absent) == ("feed-water", 1, ())
    graded = grade("feed-water", GradeOptions(quick=True), workspace=workspace)
    gates = {gate.name: gate.state for gate in graded.gates}
    assert (gates["licence"], gates["card"]) == ("passed", "passed")
    units = next(i for i in graded.indicators if i.id == "Q12")
    assert units.value == 1.0
    assert [one.name for one in own_sets.list_sets(workspace)] == ["feed-water"]


def test_other_bytes_than_the_card_names_are_refused(
    workspace: Workspace, folder: Path
) -> None:
    card = carded(folder)
    own_sets.register(card, workspace=workspace)
    with (folder / "feed.csv").open("a") as stream:
        stream.write("2025-01-01 01:00:00,1\n")
    with pytest.raises(DigestMismatchError):
        own_sets.register(card, workspace=workspace)
    with pytest.raises(DigestMismatchError):
        grade("feed-water", workspace=workspace)


def test_a_card_cannot_reach_outside_or_take_a_name(
    workspace: Workspace, folder: Path
) -> None:
    card = carded(folder)
    with pytest.raises(NameTakenError):
        own_sets.register(card, workspace=workspace, name="water-flow")
    card.write_text(canonical.pretty(package("../ws/tundish.toml", "")))
    with pytest.raises(UnsafePathError):
        own_sets.register(card, workspace=workspace)
    (folder / "link.csv").symlink_to(folder.parent / "ws" / "tundish.toml")
    card.write_text(canonical.pretty(package("link.csv", "")))
    with pytest.raises(PathMissingError):
        own_sets.register(card, workspace=workspace)


def test_a_folder_without_a_card_says_how_to_write_one(
    workspace: Workspace, folder: Path
) -> None:
    with pytest.raises(PathMissingError) as raised:
        own_sets.register(folder, workspace=workspace)
    assert "--template" in raised.value.advice


def test_a_damaged_registration_is_refused(workspace: Workspace, folder: Path) -> None:
    own_sets.register(carded(folder), workspace=workspace)
    (workspace.inner / "sets" / "feed-water.json").write_text("{}")
    with pytest.raises(SetDamagedError):
        grade("feed-water", workspace=workspace)


def test_a_package_is_registered_and_graded_with_its_own_card(
    workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    carded(folder)
    out = tmp_path / "package"
    report = write_card(str(folder), "tc609", out=out, graded=True, workspace=workspace)
    assert {"croissant.json", "data/feed.csv", "docs/CARD.md", "evidence/grade.json"} <= {
        Path(file).relative_to(out).as_posix() for file in report.files
    }  # fmt: skip
    known, _ = beside(out / "data" / "feed.csv")
    assert known is not None
    assert known.fits is True
    again = own_sets.register(out, workspace=workspace, name="again")
    assert (again.files, again.checked) == (("data/feed.csv",), 1)


def test_the_making_of_a_set_is_in_its_card(workspace: Workspace, folder: Path) -> None:
    first = write_card(str(folder), "croissant", workspace=workspace)
    digest = digests.Digest(str(_value(first.text, "identifier")))
    workspace.record("data-mended", inputs=[digests.of_bytes(b"x")], outputs=[digest])
    text = write_card(str(folder), "croissant", workspace=workspace).text
    assert "data-mended" in text
    assert digests.of_bytes(b"x") in text


def _value(text: str, key: str) -> Json:
    value = canonical.loads(text.encode())
    assert isinstance(value, dict)
    return value[key]


def test_writing_a_card_beside_the_data_leaves_the_facts_alone(folder: Path) -> None:
    for form in ("croissant", "markdown", "template"):
        write_card(str(folder), form, out=folder)
    report = write_card(str(folder), "markdown")
    assert report.tables == 1
    assert "| `feed.csv` |" in report.text
    assert "card.yaml" not in report.text
