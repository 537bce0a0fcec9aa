"""Scenario packs: nothing but what a trusted key signed counts, and only as documents."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.conftest import NOW

from tundish.catalog import evidence, library
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.errors import PackMalformedError, UnknownNameError
from tundish.catalog.evidence import Evidence
from tundish.catalog.scenario import Scenario
from tundish.catalog.shelf import Shelf
from tundish.catalog.site import SiteProfile
from tundish.cli.main import status
from tundish.flows import packs, trust
from tundish.flows import workspace as workspaces
from tundish.flows.coverage import coverage, standings
from tundish.flows.errors import PackMissingError, PackOlderError
from tundish.flows.ledger import list_ledger
from tundish.flows.plan import measure
from tundish.flows.scenarios import Search, search
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, paths
from tundish.kernel.clock import ManualClock
from tundish.kernel.errors import DiskFullError, PlaceRefusedError, TundishError
from tundish.seal import packsignature, revocation
from tundish.seal.errors import (
    KeyRevokedError,
    PackChangedError,
    SignerUntrustedError,
)
from tundish.seal.keys import SigningKey

KEY = "C33.27.hammer-bearing"
GLUCOSE = "C25.21.fermentation-glucose"
SIMPLE = "C34.27.pump-loop"
CARD = """\
format: tundish.pack-card
version: 1
name: forge
release: {release}
title: Scenarios of a drop forge
licence: CC-BY-4.0
maker: A forge, forge@example.org
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def maker(tmp_path: Path, clock: ManualClock) -> Workspace:
    return workspaces.create(tmp_path / "maker", clock=clock)


@pytest.fixture
def plant(tmp_path: Path, clock: ManualClock, maker: Workspace) -> Workspace:
    here = workspaces.create(tmp_path / "plant", clock=clock)
    (tmp_path / "maker.pub").write_bytes(maker.public_pem)
    here.trust(tmp_path / "maker.pub")
    return here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return forge(tmp_path / "forge")


def forge(to: Path, release: int = 1, key: str = KEY) -> Path:
    """Write a pack: a scenario of another name, and a site that binds it."""
    (to / "scenarios").mkdir(parents=True)
    (to / "sites").mkdir()
    (to / "pack.yaml").write_text(CARD.format(release=release))
    whole = library.scenario(SIMPLE).to_json() | {"key": key}
    (to / "scenarios" / f"{key}.yaml").write_text(canonical.pretty(whole))
    name = next(
        n for n in library.names(SiteProfile) if library.site(n).scenario == GLUCOSE
    )
    site = library.site(name).to_json() | {"scenario": key, "site": "a forge"}
    (to / "sites" / "forge-hammer.yaml").write_text(canonical.pretty(site))
    return to


def signed(maker: Workspace, folder: Path) -> Path:
    packs.sign_pack(maker, folder, days=100)
    return folder


def test_an_added_pack_stands_in_the_catalogue_of_its_workspace_alone(
    maker: Workspace, plant: Workspace, folder: Path
) -> None:
    made = packs.add_pack(plant, str(signed(maker, folder)))
    assert (made.scenarios, made.sites) == ((KEY,), ("forge-hammer",))
    with library.beside(packs.shelves_of(lambda: plant)):
        assert library.scenario(KEY).key == KEY
        assert library.site("forge-hammer").scenario == KEY
        assert KEY in library.names(Scenario)
        assert [one.key for one in search(Search(words=("pump",), sector="C34"))]
        assert {s.key: st.level for s, st in standings()}[KEY] == "described"
    with library.beside(packs.shelves_of(lambda: maker)):
        assert KEY not in library.names(Scenario)
    with pytest.raises(UnknownNameError):
        library.scenario(KEY)
    acts = [entry.act for _, entry in list_ledger(plant)]
    assert packs.ADDED in acts


def test_the_copy_counts_whatever_becomes_of_the_folder(
    maker: Workspace, plant: Workspace, folder: Path
) -> None:
    packs.add_pack(plant, str(signed(maker, folder)))
    shutil.rmtree(folder)
    with library.beside(packs.shelves_of(lambda: plant)):
        assert library.scenario(KEY).key == KEY


def test_a_pack_of_somebody_unknown_is_refused(
    tmp_path: Path, plant: Workspace, folder: Path, clock: ManualClock
) -> None:
    stranger = workspaces.create(tmp_path / "stranger", clock=clock)
    with pytest.raises(SignerUntrustedError):
        packs.add_pack(plant, str(signed(stranger, folder)))
    assert not plant.packs.exists()


def test_an_unsigned_pack_is_refused(plant: Workspace, folder: Path) -> None:
    with pytest.raises(PackChangedError, match="no signature"):
        packs.add_pack(plant, str(folder))


def _edit(folder: Path) -> None:
    path = folder / "scenarios" / f"{KEY}.yaml"
    path.write_text(path.read_text().replace("pump", "pimp"))


def _take_away(folder: Path) -> None:
    (folder / "sites" / "forge-hammer.yaml").unlink()


def _put_in(folder: Path) -> None:
    (folder / "README.md").write_text("Nobody signed this.")


def _other_card(folder: Path) -> None:
    (folder / "pack.yaml").write_text(CARD.format(release=9))


CHANGES = [_edit, _take_away, _put_in, _other_card]


@pytest.mark.parametrize("change", CHANGES)
def test_a_pack_that_was_changed_is_refused_when_added(
    maker: Workspace, plant: Workspace, folder: Path, change: Callable[[Path], None]
) -> None:
    signed(maker, folder)
    change(folder)
    with pytest.raises(PackChangedError):
        packs.add_pack(plant, str(folder))


@pytest.mark.parametrize("change", CHANGES)
def test_a_pack_that_was_changed_where_it_is_kept_counts_no_more(
    maker: Workspace, plant: Workspace, folder: Path, change: Callable[[Path], None]
) -> None:
    packs.add_pack(plant, str(signed(maker, folder)))
    change(plant.packs / "forge.1")
    with library.beside(packs.shelves_of(lambda: plant)):
        assert KEY not in library.names(Scenario)
    (listed,) = packs.list_packs(plant)
    assert listed.pack is None
    assert "forge" in listed.fault


def test_a_pack_ends(
    maker: Workspace, plant: Workspace, folder: Path, clock: ManualClock
) -> None:
    packs.add_pack(plant, str(signed(maker, folder)))
    clock.advance(timedelta(days=101).total_seconds())
    (listed,) = packs.list_packs(plant)
    assert "ended" in listed.fault


def test_a_revoked_key_takes_its_packs_with_it(
    maker: Workspace, plant: Workspace, folder: Path
) -> None:
    packs.add_pack(plant, str(signed(maker, folder)))
    stolen = revocation.entry("key", maker.key_id, NOW - timedelta(days=9), "stolen")
    trust.revoke(plant, [stolen])
    with library.beside(packs.shelves_of(lambda: plant)):
        assert KEY not in library.names(Scenario)
    with pytest.raises(KeyRevokedError):
        packs.add_pack(plant, str(folder))


@pytest.mark.parametrize("name", ["scenarios/run.py", "sitecustomize.py", "run.sh"])
def test_code_has_no_place_in_a_pack(maker: Workspace, folder: Path, name: str) -> None:
    (folder / name).write_text("print('hello')")
    with pytest.raises(PackMalformedError, match="no code"):
        packs.sign_pack(maker, folder, days=1)


@pytest.mark.parametrize(
    "name",
    ["site.yaml", "site.yml", "Forge-Hammer", "f\u043erge", "forge\u200b", "a/b", "-x"],
)
def test_a_site_of_a_pack_takes_the_place_of_no_file_and_looks_like_no_other(
    maker: Workspace, folder: Path, name: str
) -> None:
    ours = folder / "sites" / "forge-hammer.yaml"
    theirs = folder / "sites" / f"{name}.yaml"
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_bytes(ours.read_bytes())
    with pytest.raises(TundishError):
        packs.sign_pack(maker, folder, days=1)
    forged = Shelf(name="forge", files={f"sites/{name}.yaml": ours.read_bytes()})
    assert forged.names(SiteProfile) == []
    assert forged.source(SiteProfile, name) is None


def test_names_that_differ_in_large_and_small_letters_only_are_refused(
    maker: Workspace, folder: Path
) -> None:
    (folder / "evidence").mkdir()
    for name in ("a.json", "A.json"):
        said = library.shipped_evidence()[0].to_json()
        (folder / "evidence" / name).write_text(json.dumps(said))
    with pytest.raises(PackMalformedError, match="large and small"):
        packs.sign_pack(maker, folder, days=1)


def test_links_are_refused(maker: Workspace, folder: Path) -> None:
    (folder / "scenarios" / "C10.21.x.yaml").symlink_to("/etc/passwd")
    with pytest.raises(PackMalformedError, match="link"):
        packs.sign_pack(maker, folder, days=1)


def test_no_pack_takes_the_place_of_what_ships(
    maker: Workspace, tmp_path: Path
) -> None:
    folder = forge(tmp_path / "thief", key=SIMPLE)
    with pytest.raises(PackMalformedError, match="already"):
        packs.sign_pack(maker, folder, days=1)


def test_no_pack_takes_the_place_of_another(
    maker: Workspace, plant: Workspace, folder: Path, tmp_path: Path
) -> None:
    packs.add_pack(plant, str(signed(maker, folder)))
    other = forge(tmp_path / "other")
    card = CARD.format(release=1).replace("name: forge", "name: other")
    (other / "pack.yaml").write_text(card)
    with pytest.raises(PackMalformedError, match="already"):
        packs.add_pack(plant, str(signed(maker, other)))


def test_a_key_that_is_not_the_file_name_is_refused(
    maker: Workspace, folder: Path
) -> None:
    (folder / "scenarios" / f"{KEY}.yaml").rename(
        folder / "scenarios" / "C33.27.other.yaml"
    )
    with pytest.raises(PackMalformedError, match=f"its key is {KEY}"):
        packs.sign_pack(maker, folder, days=1)


def test_all_faults_are_named_at_once(maker: Workspace, folder: Path) -> None:
    (folder / "a.py").write_text("")
    (folder / "scenarios" / "C33.27.bad.yaml").write_text("format: nothing")
    with pytest.raises(PackMalformedError) as caught:
        packs.sign_pack(maker, folder, days=1)
    assert "a.py" in caught.value.message
    assert "C33.27.bad" in caught.value.message


def test_an_older_release_is_refused_also_after_it_was_dropped(
    maker: Workspace, plant: Workspace, tmp_path: Path
) -> None:
    first = signed(maker, forge(tmp_path / "one", release=1))
    second = signed(maker, forge(tmp_path / "two", release=2))
    packs.add_pack(plant, str(first))
    packs.add_pack(plant, str(second))
    with pytest.raises(PackOlderError):
        packs.add_pack(plant, str(first))
    packs.drop_pack(plant, "forge")
    assert packs.list_packs(plant) == []
    with pytest.raises(PackOlderError):
        packs.add_pack(plant, str(first))
    packs.add_pack(plant, str(second))


def test_the_same_number_again_is_refused(
    maker: Workspace, plant: Workspace, tmp_path: Path, clock: ManualClock
) -> None:
    packs.add_pack(plant, str(signed(maker, forge(tmp_path / "one"))))
    clock.advance(60)
    again = signed(maker, forge(tmp_path / "two"))
    with pytest.raises(PackOlderError, match="Another release 1"):
        packs.add_pack(plant, str(again))


def test_a_name_belongs_to_its_first_signer(
    maker: Workspace, plant: Workspace, folder: Path, tmp_path: Path
) -> None:
    packs.add_pack(plant, str(signed(maker, folder)))
    mine = signed(plant, forge(tmp_path / "mine", release=2))
    with pytest.raises(PackOlderError, match="another signer"):
        packs.add_pack(plant, str(mine))


def test_evidence_of_a_pack_speaks_of_its_own_scenarios_only(
    maker: Workspace, plant: Workspace, folder: Path
) -> None:
    theirs = next(
        one.to_json() for one in library.evidence() if one.level == "simulated"
    )
    scenario = library.scenario(str(folder / "scenarios" / f"{KEY}.yaml"))
    own = theirs | {
        "scenario": KEY,
        "contract": evidence.contract_of(scenario, "simulated"),
    }
    (folder / "evidence").mkdir()
    forged = theirs | {"level": "shown", "accepted": True}
    for name, said in (("own", own), ("forged", forged)):
        (folder / "evidence" / f"{name}.json").write_text(json.dumps(said))
    packs.add_pack(plant, str(signed(maker, folder)))
    before = {s.key: st.level for s, st in standings()}
    with library.beside(packs.shelves_of(lambda: plant)):
        after = {s.key: st.level for s, st in standings()}
    assert after.pop(KEY) == "simulated"
    assert after == before


def say(folder: Path, **other: object) -> dict[str, object]:
    """Put evidence into a pack: what its scenario would be shown by, but for one thing."""
    scenario = library.scenario(str(folder / "scenarios" / f"{KEY}.yaml"))
    theirs = next(
        one
        for one in library.evidence()
        if (one.level, one.accepted, one.origin) == ("shown", True, "simulated")
    )
    mine = {"scenario": KEY, "contract": evidence.contract_of(scenario, "shown")}
    said = theirs.to_json() | mine | other
    (folder / "evidence").mkdir(exist_ok=True)
    (folder / "evidence" / "a.json").write_text(json.dumps(said))
    return said


MISSED = {"metric": "mae", "limit": "at most 1", "value": 2.0, "holds": False}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"level": "proven"}, "proven"),
        ({"level": "described"}, "described"),
        ({"limits": [MISSED]}, "each limit holds"),
        ({"limits": []}, "each limit holds"),
        ({"data": "forge-set"}, "nobody else stands"),
    ],
)
def test_a_pack_says_no_more_than_a_maker_can_know(
    maker: Workspace, folder: Path, said: dict[str, object], why: str
) -> None:
    say(folder, **said)
    bring_set(folder)
    with pytest.raises(PackMalformedError, match=why):
        packs.sign_pack(maker, folder, days=1)


def test_no_plan_counts_what_only_a_pack_says(
    maker: Workspace, plant: Workspace, folder: Path
) -> None:
    said = say(folder)
    packs.add_pack(plant, str(signed(maker, folder)))
    before = {one.key: one.found for one in measure(plant).targets}
    with library.beside(packs.shelves_of(lambda: plant)):
        assert dict(levels())[KEY] == "shown"
        assert coverage().on_word == (KEY,)
        assert {one.key: one.found for one in measure(plant).targets} == before
        seen_here = [Evidence.model_validate_json(json.dumps(said | {"made_by": "1"}))]
        assert coverage(seen_here).on_word == ()
        after = {one.key: one.found for one in measure(plant, seen_here).targets}
    assert after["scenarios"] == before["scenarios"] + 1


@pytest.mark.parametrize(
    "other", [{"origin": "real"}, {"data": "forge-set"}, {"level": "proven"}]
)
def test_what_a_pack_may_not_say_does_not_count_however_it_came_here(
    folder: Path, other: dict[str, object]
) -> None:
    forged, honest = shelf_of(folder, **other), shelf_of(folder)
    with library.beside(lambda: (forged,)):
        assert dict(levels())[KEY] == "described"
    with library.beside(lambda: (honest,)):
        assert dict(levels())[KEY] == "shown"


def test_evidence_of_a_pack_does_not_pass_to_a_scenario_that_ships_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = shelf_of(folder)
    has = library.shipped
    monkeypatch.setattr(
        library,
        "shipped",
        lambda kind: [*has(kind), *([KEY] if kind is Scenario else [])],
    )
    with library.beside(lambda: (shelf,)):
        assert library.told() == []


def test_evidence_of_a_pack_does_not_pass_to_the_scenario_of_another(
    tmp_path: Path, folder: Path
) -> None:
    first = shelf_of(forge(tmp_path / "first"))
    bare = {name: data for name, data in first.files.items() if "evidence" not in name}
    given = (Shelf(name="a", files=bare), shelf_of(folder))
    with library.beside(lambda: given):
        assert library.told() == []


def levels() -> list[tuple[str, str]]:
    return [(s.key, st.level) for s, st in standings()]


def shelf_of(folder: Path, **other: object) -> Shelf:
    """Return a pack as it would be if nobody had checked it."""
    say(folder, **other)
    bring_set(folder)
    if other.get("data") == "forge-set":
        pin = library.dataset(str(folder / "datasets" / "forge-set.yaml"))
        say(folder, **other, pin=pin.pin, origin=pin.origin)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return Shelf(name="forge", files=files)


def bring_set(folder: Path) -> None:
    """Put a set of the catalogue into a pack, under a key of its own."""
    ours = next(
        name
        for name in library.shipped(DatasetEntry)
        if library.files_of(name) and len(library.files_of(name)) < 20
    )
    entry = library.source(ours, DatasetEntry).decode()
    (folder / "datasets").mkdir(exist_ok=True)
    place = folder / "datasets" / "forge-set.yaml"
    place.write_text(entry.replace(f"key: {ours}", "key: forge-set"))
    shipped = Path(library.__file__).parent / "declared" / "datasets"
    shutil.copy(shipped / f"{ours}.files.tsv", place.with_name("forge-set.files.tsv"))


def test_a_data_set_of_a_pack_brings_its_list(
    maker: Workspace, plant: Workspace, folder: Path
) -> None:
    bring_set(folder)
    listed = folder / "datasets" / "forge-set.files.tsv"
    data = listed.read_bytes()
    listed.unlink()
    with pytest.raises(PackMalformedError, match="list"):
        packs.sign_pack(maker, folder, days=1)
    listed.write_bytes(data)
    packs.add_pack(plant, str(signed(maker, folder)))
    with library.beside(packs.shelves_of(lambda: plant)):
        assert library.files_of("forge-set")


def test_a_pack_of_a_python_package_is_found_and_no_code_of_it_runs(
    maker: Workspace, plant: Workspace, folder: Path, tmp_path: Path
) -> None:
    signed(maker, folder)
    site = tmp_path / "site"
    shutil.copytree(folder, site / "forge_pack")
    about = site / "forge_pack-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: forge-pack\nVersion: 1\n"
    )
    (about / "entry_points.txt").write_text("[tundish.packs]\nforge = forge_pack\n")
    (site / "forge_pack.py").write_text("raise SystemExit('code of a pack ran')")
    sys.path.insert(0, str(site))
    try:
        (listed,) = packs.list_packs(plant)
        assert (listed.where, listed.fault) == ("installed by forge-pack 1", "")
        assert packs.add_pack(plant, "forge").scenarios == (KEY,)
        assert "forge_pack" not in sys.modules
    finally:
        sys.path.remove(str(site))
    (listed,) = packs.list_packs(plant)
    assert listed.where == "added"


@pytest.mark.parametrize(
    "stop", [OSError(errno.ENOSPC, "no room"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("at", ["write_whole", "record"])
def test_whatever_breaks_off_while_a_release_is_added_the_old_one_stands(
    maker: Workspace,
    plant: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
    at: str,
) -> None:
    packs.add_pack(plant, str(signed(maker, forge(tmp_path / "one", release=1))))
    second = signed(maker, forge(tmp_path / "two", release=2))

    def fail(*_given: object, **_named: object) -> None:
        raise stop

    with monkeypatch.context() as broken:
        broken.setattr(paths if at == "write_whole" else Workspace, at, fail)
        with pytest.raises((KeyboardInterrupt, PlaceRefusedError, DiskFullError)):
            packs.add_pack(plant, str(second))
    (listed,) = packs.list_packs(plant)
    assert listed.pack is not None
    assert listed.pack.release == 1
    assert sorted(one.name for one in plant.packs.iterdir()) == [".lock", "forge.1"]
    assert packs.add_pack(plant, str(second)).release == 2


@pytest.mark.parametrize("acts", range(1, 4))
def test_a_process_that_is_killed_between_two_steps_leaves_a_whole_release(
    maker: Workspace,
    plant: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    acts: int,
) -> None:
    packs.add_pack(plant, str(signed(maker, forge(tmp_path / "one", release=1))))
    second = signed(maker, forge(tmp_path / "two", release=2))
    rename, left = Path.rename, iter(range(acts))

    def some(self: Path, to: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return rename(self, to)

    with monkeypatch.context() as killed, suppress(KeyboardInterrupt):
        killed.setattr(Path, "rename", some)
        killed.setattr(shutil, "rmtree", lambda _folder: None)
        packs.add_pack(plant, str(second))
    (listed,) = packs.list_packs(plant)
    assert listed.pack is not None
    assert listed.pack.release == 2
    packs.drop_pack(plant, "forge")
    assert packs.list_packs(plant) == []


def test_an_older_release_never_stands_in_for_a_newer_one_that_was_changed(
    maker: Workspace, plant: Workspace, tmp_path: Path
) -> None:
    first = signed(maker, forge(tmp_path / "one", release=1))
    packs.add_pack(plant, str(signed(maker, forge(tmp_path / "two", release=2))))
    shutil.copytree(first, plant.packs / "forge.1")
    _edit(plant.packs / "forge.2")
    (listed,) = packs.list_packs(plant)
    assert listed.pack is None
    shutil.rmtree(plant.packs / "forge.2")
    shutil.copytree(first, plant.packs / "forge.2")
    (listed,) = packs.list_packs(plant)
    assert "holds the pack forge.1" in listed.fault


def test_a_workspace_that_may_not_be_written_refuses_in_one_sentence(
    maker: Workspace, plant: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed(maker, folder)

    def refuse(*_given: object, **_named: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as fixed:
        fixed.setattr(Path, "mkdir", refuse)
        with pytest.raises(PlaceRefusedError, match="Read-only"):
            packs.add_pack(plant, str(folder))
    packs.add_pack(plant, str(folder))
    with monkeypatch.context() as fixed:
        fixed.setattr(Path, "mkdir", refuse)
        with library.beside(packs.shelves_of(lambda: plant)):
            assert library.names(Scenario) == library.shipped(Scenario)
    with monkeypatch.context() as fixed:
        fixed.setattr(tempfile, "mkdtemp", refuse)
        with pytest.raises(PlaceRefusedError, match="Read-only"):
            packs.drop_pack(plant, "forge")
    (listed,) = packs.list_packs(plant)
    assert listed.pack is not None


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "scenarios" / "C10.21.x.yaml")


def _deep_folders(folder: Path) -> None:
    (folder / "a/b/c").mkdir(parents=True)


def _many_files(folder: Path) -> None:
    for number in range(2100):
        (folder / "evidence" / f"{number}.json").parent.mkdir(exist_ok=True)
        (folder / "evidence" / f"{number}.json").touch()


def _large_file(folder: Path) -> None:
    with (folder / "README.md").open("wb") as stream:
        stream.truncate(2**40)


def _link_of_a_folder(folder: Path) -> None:
    (folder / "datasets").symlink_to("/etc")


def _name_of_no_text(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.yaml")).touch()


@pytest.mark.parametrize(
    "put",
    [
        _pipe,
        _deep_folders,
        _many_files,
        _large_file,
        _link_of_a_folder,
        _name_of_no_text,
    ],
)
def test_a_folder_of_something_else_is_refused_before_it_is_read(
    maker: Workspace, folder: Path, put: Callable[[Path], None]
) -> None:
    put(folder)
    with pytest.raises(TundishError):
        packs.sign_pack(maker, folder, days=1)


def test_a_folder_that_may_not_be_looked_into_is_no_empty_one(
    maker: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("sites"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(PlaceRefusedError, match="Permission denied"):
        packs.sign_pack(maker, folder, days=1)


def test_a_maker_signs_the_next_release_where_the_last_one_was_added(
    maker: Workspace, folder: Path
) -> None:
    packs.add_pack(maker, str(signed(maker, folder)))
    (folder / "pack.yaml").write_text(CARD.format(release=2))
    with library.beside(packs.shelves_of(lambda: maker)):
        assert packs.add_pack(maker, str(signed(maker, folder))).release == 2


def test_a_pack_stands_when_its_maker_has_a_new_key_and_ends_with_the_old_one(
    maker: Workspace, plant: Workspace, folder: Path, tmp_path: Path, clock: ManualClock
) -> None:
    packs.add_pack(plant, str(signed(maker, folder)))
    clock.advance(60)
    trust.rotate(maker, old_days=10, to=tmp_path / "maker.rotation")
    trust.take_rotation(plant, tmp_path / "maker.rotation")
    newer = signed(maker, forge(tmp_path / "newer", release=2))
    (listed,) = packs.list_packs(plant)
    assert listed.pack is not None
    clock.advance(timedelta(days=11).total_seconds())
    (listed,) = packs.list_packs(plant)
    assert "counted until" in listed.fault
    assert packs.add_pack(plant, str(newer)).release == 2


def _install(site: Path, maker: str, said: str) -> None:
    about = site / f"{maker}-1.dist-info"
    about.mkdir(parents=True)
    name = maker.replace("_", "-")
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    )
    (about / "entry_points.txt").write_text(f"[tundish.packs]\n{said}\n")


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("../../forge", "no name of a package"),
        (".forge", "no name of a package"),
        ("forge_pack:run", "no name of a package"),
        ("forge_pack [all]", "no name of a package"),
        ("forge_pack.deeper", "sources"),
        ("forge_sources", "sources"),
    ],
)
def test_an_installed_package_leads_to_no_folder_but_its_own(  # noqa: PLR0913 -- fixtures
    maker: Workspace,
    plant: Workspace,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    why: str,
) -> None:
    shutil.copytree(signed(maker, folder), tmp_path / "site" / "forge_pack")
    _install(tmp_path / "site", "forge_pack", f"forge = {at}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (listed,) = packs.list_packs(plant)
    assert listed.pack is None
    with pytest.raises(PackMissingError) as caught:
        packs.add_pack(plant, "forge")
    assert why in caught.value.message + caught.value.advice


def test_two_packages_that_bring_a_pack_of_one_name_are_both_named(
    maker: Workspace,
    plant: Workspace,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(signed(maker, folder), tmp_path / "site" / "forge_pack")
    for one in ("forge_pack", "other_pack"):
        _install(tmp_path / "site", one, "forge = forge_pack")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(PackMissingError, match="forge-pack 1 and other-pack 1"):
        packs.add_pack(plant, "forge")


def test_a_package_may_not_call_its_pack_by_the_name_of_another(
    maker: Workspace,
    plant: Workspace,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(signed(maker, folder), tmp_path / "site" / "forge_pack")
    _install(tmp_path / "site", "forge_pack", "anvil = forge_pack")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (listed,) = packs.list_packs(plant)
    assert "calls its pack anvil" in listed.fault
    with pytest.raises(PackChangedError, match="calls its pack anvil"):
        packs.add_pack(plant, "anvil")


def test_what_is_not_there_is_said(plant: Workspace) -> None:
    with pytest.raises(PackMissingError, match="no folder"):
        packs.add_pack(plant, "nowhere")
    with pytest.raises(PackMissingError, match="there is none"):
        packs.drop_pack(plant, "nowhere")


def test_a_command_sees_the_packs_of_the_workspace_around_it(
    maker: Workspace,
    plant: Workspace,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(maker.root)
    assert status(["scenario", "pack", str(folder), "--days", "100"]) == 0
    monkeypatch.chdir(plant.root)
    assert status(["scenario", "add", str(folder)]) == 0
    capsys.readouterr()
    assert status(["scenario", "show", KEY]) == 0
    assert KEY in capsys.readouterr().out
    assert status(["scenario", "packs"]) == 0
    assert "forge@example.org" in capsys.readouterr().out
    assert status(["scenario", "list", "--sector", "C33", "--json"]) == 0
    assert KEY in capsys.readouterr().out
    _edit(plant.packs / "forge.1")
    assert status(["scenario", "show", KEY]) != 0
    assert "The pack forge is left out" in capsys.readouterr().err
    assert status(["scenario", "drop", "forge"]) == 0
    assert status(["scenario", "show", KEY]) != 0


@given(at=st.integers(0, 2**31), by=st.integers(1, 255))
def test_no_byte_of_a_signature_can_be_changed(at: int, by: int) -> None:
    changed = bytearray(TEXT)
    changed[at % len(TEXT)] ^= by
    try:
        found = packsignature.read(bytes(changed), FILES, [OURS.public], now=NOW)
    except TundishError:
        return
    assert found.digest == WHOLE.digest  # mail may change how lines end


OURS = SigningKey.generate()
FILES = {"pack.yaml": b"a card", "scenarios/a.yaml": b"a scenario"}
TEXT = packsignature.sign(
    "forge", 1, FILES, now=NOW, not_after=NOW + timedelta(days=1), key=OURS
)
WHOLE = packsignature.read(TEXT, FILES, [OURS.public], now=NOW)
