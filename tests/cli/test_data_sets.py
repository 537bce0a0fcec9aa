"""``tundish data list|show|fetch|mirror|verify``, as a person in a plant uses them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from pydantic import BaseModel
from tests.data import hosts
from tests.data.hosts import Host, entry_of, hosting, list_of
from tests.data.test_fetch_hand import LABELS, by_hand

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.errors import UnknownNameError
from tundish.cli import main
from tundish.data.errors import LicenceNotAcceptedError
from tundish.flows import terms
from tundish.flows.data_sets import Filter, find_sets
from tundish.flows.fetch import locate
from tundish.flows.workspace import create
from tundish.kernel import settings

FILES = {"runs/a.csv": b"time,flow\n0,1\n1,2\n", "note.txt": b"of a plant\n"}
OPEN, CLOSED, SILENT = "openset", "closedset", "silentset"
_TERMS = {
    OPEN: {"name": "CC0", "stated_in": "its page", "kind": "A"},
    CLOSED: {"name": "CC BY-NC 4.0", "stated_in": "LICENSE", "kind": "N"},
    SILENT: {"name": "none", "stated_in": "nowhere", "kind": "U"},
}
pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of four sets, a cache and a folder of one's own."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    for key, licence in _TERMS.items():
        entry, _ = entry_of(
            FILES, key=key, licence=licence, units={"flow": "m3/h"},
            further_sectors=("C31",) if key == OPEN else (),
            origin="simulated" if key == SILENT else "real",
        )  # fmt: skip
        _write(shipped, entry)
        (shipped / f"{key}.files.tsv").write_bytes(list_of(FILES))
    _write(shipped, by_hand())
    before = library._folder

    def folder(kind: type[BaseModel]) -> object:
        return shipped if kind is DatasetEntry else before(kind)

    monkeypatch.setattr(library, "_folder", folder)
    monkeypatch.setenv("TUNDISH_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def _write(folder: Path, entry: DatasetEntry) -> None:
    text = yaml.safe_dump(entry.to_json(), allow_unicode=True)
    (folder / f"{entry.key}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with hosting({hosts.WAYS["github"] + n: d for n, d in FILES.items()}) as made:
        monkeypatch.setenv("TUNDISH_GITHUB", made.base)
        yield made


def _run(*words: str, code: int = 0) -> None:
    assert main.status(["data", *words]) == code


def _json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> object:
    capsys.readouterr()
    _run(*words, "--json", code=code)
    return json.loads(capsys.readouterr().out)


def _keys(capsys: pytest.CaptureFixture[str], *words: str) -> set[str]:
    found = cast("list[dict[str, str]]", _json(capsys, "list", *words))
    return {one["key"] for one in found}


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({}, {OPEN, CLOSED, SILENT, "handset"}),
        ({"sector": "C31"}, {OPEN}),
        ({"sector": "C39"}, {"handset"}),
        ({"task": "inspect"}, {"handset"}),
        ({"licence": "N"}, {CLOSED}),
        ({"origin": "simulated"}, {SILENT}),
        ({"words": ("BEARING", "maker")}, {"handset"}),
        ({"words": ("m3/h",)}, {OPEN, CLOSED, SILENT}),
        ({"words": ("nothing-like-this",)}, set()),
        ({"here": True}, set()),
    ],
)
def test_sets_are_found_by_what_they_are_about(
    wanted: dict[str, Any], keys: set[str]
) -> None:
    assert {one.entry.key for one in find_sets(Filter(**wanted))} == keys


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Filter(sector="C99"), "no sector 'C99'; there are C13, "),
        (Filter(task="annomaly"), "no task 'annomaly'; there are "),
    ],
)
def test_a_sector_or_task_that_there_is_not_is_no_empty_list(
    wanted: Filter, said: str
) -> None:
    with pytest.raises(UnknownNameError, match=said):
        find_sets(wanted)


def test_the_list_says_what_is_here(
    host: Host, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run("fetch", OPEN)
    assert _keys(capsys, "--here") == {OPEN}
    (here / "stick" / CLOSED).mkdir(parents=True)
    wanted = Filter(here=True, mirror=here / "stick")
    found = {one.entry.key: one.where for one in find_sets(wanted)}
    assert found == {OPEN: "cache", CLOSED: "mirror"}
    capsys.readouterr()
    _run("list", "--licence", "A", "plant")
    assert "Sets of the catalogue: 1;" in capsys.readouterr().out


def test_a_set_is_shown_whole_with_the_way_to_get_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _run("show", CLOSED)
    out = capsys.readouterr().out
    for said in (
        "CC BY-NC 4.0",
        "class N",
        "flow: m3/h",
        "2 files",
        "--accept-licence",
    ):
        assert said in out
    _run("show", "handset")
    out = capsys.readouterr().out
    for said in ("1. Fill in the form.", "*.mat: one bearing each", "--from FOLDER"):
        assert said in out


@pytest.mark.parametrize("key", [CLOSED, SILENT])
def test_closed_and_unstated_terms_are_accepted_before_a_byte_is_asked_for(
    host: Host, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    _run("fetch", OPEN, key, code=3)
    said = " ".join(capsys.readouterr().err.split())
    assert "licence-not-accepted" in said
    assert _TERMS[key]["name"] in said
    assert host.asked == []
    _run("fetch", key, "--accept-licence")
    assert terms.is_accepted(library.dataset(key), settings.cache_dir())
    _run("fetch", key)


def test_terms_that_change_are_asked_for_again(host: Host, here: Path) -> None:
    _run("fetch", CLOSED, "--accept-licence")
    stricter = _TERMS[CLOSED] | {"name": "CC BY-NC-ND 4.0"}
    entry, _ = entry_of(FILES, key=CLOSED, licence=stricter)
    _write(here.parent / "shipped", entry)
    _run("fetch", CLOSED, code=3)


def test_terms_that_nobody_accepted_keep_a_set_from_being_used(
    host: Host, here: Path
) -> None:
    """Also one that lies in the cache: another's acceptance is not this person's."""
    _run("fetch", CLOSED, "--accept-licence")
    (settings.cache_dir() / "accepted" / f"{CLOSED}.json").unlink()
    with pytest.raises(LicenceNotAcceptedError):
        locate(CLOSED)


def test_a_changed_note_of_acceptance_counts_as_none(host: Host) -> None:
    _run("fetch", CLOSED, "--accept-licence")
    place = settings.cache_dir() / "accepted" / f"{CLOSED}.json"
    other = settings.cache_dir() / "accepted" / f"{SILENT}.json"
    other.write_bytes(place.read_bytes())
    place.write_bytes(place.read_bytes() + b"\n")
    for key in (CLOSED, SILENT):
        assert not terms.is_accepted(library.dataset(key), settings.cache_dir())


def test_fetching_and_accepting_stand_in_the_ledger(
    host: Host, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = create(here / "plant")
    monkeypatch.chdir(workspace.root)
    _run("fetch", CLOSED, "--accept-licence")
    with workspace.ledger() as ledger:
        acts = {one.act: one for _, one in ledger.entries()}
    assert acts["licence-accepted"].detail["licence"] == "CC BY-NC 4.0"
    assert acts["data-fetched"].detail["class"] == "N"


def test_too_much_is_refused_before_a_byte_is_asked_for(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    _run("fetch", OPEN, "--max-bytes", "28", code=2)
    assert "29 bytes are to be fetched, and 28 are allowed" in " ".join(
        capsys.readouterr().err.split()
    )
    assert host.asked == []
    _run("fetch", OPEN, "--max-bytes", "29")
    _run("fetch", OPEN, "--max-bytes", "1")  # it is here: nothing is to be fetched


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("n\n", 2)])
def test_at_a_terminal_a_person_is_asked_before_much_is_fetched(
    host: Host, monkeypatch: pytest.MonkeyPatch, said: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(said))
    _run("fetch", OPEN, "--max-bytes", "1", code=code)
    assert bool(host.asked) == (code == 0)


def test_several_sets_are_fetched_in_one_call(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _json(capsys, "fetch", OPEN, SILENT, "--accept-licence")
    assert [one["key"] for one in cast("list[dict[str, str]]", found)] == [OPEN, SILENT]
    one = cast("dict[str, object]", _json(capsys, "fetch", OPEN))
    assert one["from_cache"] is True


def test_a_stick_carries_sets_to_a_plant_without_a_network(
    host: Host, here: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _run("mirror", "stick", OPEN)
    _run("mirror", "stick", CLOSED, "--accept-licence")
    assert "It holds 2 sets" in capsys.readouterr().out
    monkeypatch.setenv("TUNDISH_AIR_GAPPED", "1")
    monkeypatch.setenv("TUNDISH_CACHE", str(here / "plant"))
    host.asked.clear()
    _run("fetch", OPEN, code=3)
    _run("fetch", OPEN, "--mirror", "stick")
    _run("fetch", CLOSED, "--mirror", "stick", code=3)  # this person accepted nothing
    assert host.asked == []
    report = cast("dict[str, list[dict[str, object]]]", _json(
        capsys, "verify", "--mirror", "stick"
    ))  # fmt: skip
    assert {one["key"]: one["result"] for one in report["sets"]} == {
        OPEN: "proven", CLOSED: "proven", SILENT: "proven",  # the same bytes
    }  # fmt: skip


def test_all_leaves_out_what_only_people_are_given(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _json(capsys, "mirror", "stick", "--all", "--accept-licence")
    assert cast("dict[str, object]", report)["sets"] == [CLOSED, OPEN, SILENT]
    _run("mirror", "stick", "handset", code=2)
    _run("mirror", "stick", code=2)


def test_a_broken_copy_goes_on(host: Host, here: Path) -> None:
    host.ways[:] = [hosts.answer(404)]
    _run("mirror", "stick", OPEN, code=2)
    host.asked.clear()
    _run("mirror", "stick", OPEN)
    count = len(host.asked)
    _run("mirror", "stick", OPEN)
    assert len(host.asked) == count, "what is there is not asked for again"


def test_an_index_of_somebody_else_is_not_written_over(host: Host, here: Path) -> None:
    (here / "stick").mkdir()
    (here / "stick/index.json").write_text('{"name": "a web page"}')
    _run("mirror", "stick", OPEN, code=2)
    assert host.asked == []


def test_without_the_library_that_asks_hosts_its_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "urllib3", None)
    monkeypatch.delitem(sys.modules, "tundish.data.fetch.web", raising=False)
    _run("fetch", OPEN, code=4)
    assert "tundish[fetch]" in " ".join(capsys.readouterr().err.split())


def test_a_set_given_by_hand_is_imported_and_trusted_in_words(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run("fetch", "handset", code=2)
    assert "data show" in " ".join(capsys.readouterr().err.split())
    (here / "mine").mkdir()
    (here / "mine/97.mat").write_bytes(b"normal")
    (here / "mine/labels.csv").write_bytes(LABELS)
    _run("fetch", "handset", "--from", "mine")
    assert "pins no digest of 97.mat: what came now is trusted" in " ".join(
        capsys.readouterr().out.split()
    )
    _run("fetch", "handset", OPEN, "--from", "mine", code=2)
    _run("fetch", OPEN, "--from", "mine", code=2)
    proof = cast("dict[str, list[dict[str, object]]]", _json(capsys, "verify"))
    assert [(one["result"], one["on_trust"]) for one in proof["sets"]] == [
        ("proven", 1)
    ]


def test_verify_ends_with_three_if_a_byte_differs_and_names_what_is_absent(
    host: Host, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run("fetch", OPEN)
    _run("verify")
    out = " ".join(capsys.readouterr().out.split())
    assert "2 of 2" in out
    assert f"Not here: {CLOSED}, handset, {SILENT}" in out
    _run("verify", OPEN)
    _run("verify", OPEN, CLOSED, code=2)
    (place,) = settings.cache_dir().rglob("note.txt")
    place.write_bytes(b"of a plane\n")
    capsys.readouterr()
    _run("verify", code=3)
    told = capsys.readouterr()
    assert "differs: note.txt" in told.out
    assert "digest-mismatch" in told.err


def test_a_folder_that_holds_nothing_proves_nothing(
    host: Host, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "wrong").mkdir()
    _run("verify", "--mirror", "wrong", code=2)
    assert "nothing was proven" in " ".join(capsys.readouterr().err.split())
    _run("mirror", "stick", OPEN)
    _run("verify", "--mirror", "stick")


def test_a_slip_in_the_mirror_that_is_read_makes_no_new_one(here: Path) -> None:
    _run("mirror", "stick", OPEN, "--mirror", "nowhere", code=2)
    assert list(here.iterdir()) == []
