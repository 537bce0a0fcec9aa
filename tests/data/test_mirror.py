"""Mirrors: read in every layout, made by digest, and proven to the byte."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from tests.data.hosts import entry_of, sha

from tundish.catalog.datasets import DatasetEntry, TreeSource
from tundish.catalog.filelist import PinnedFile, parse_list
from tundish.data.errors import (
    DigestMismatchError,
    MirrorInvalidError,
    SourceAbsentError,
)
from tundish.data.fetch import copying, obtain
from tundish.data.fetch.cache import folder_name
from tundish.data.fetch.mirror import INDEX, Mirror, parse_index
from tundish.data.fetch.obtain import How
from tundish.data.fetch.proof import Prover, SetProof
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import PathMissingError

FILES = {"runs/a.csv": b"time,flow\n0,1\n", "note.txt": b"of a plant\n"}
ENTRY, LISTED = entry_of(FILES)


def _lay(folder: Path, names: dict[str, bytes]) -> Path:
    for name, data in names.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def _by_digest() -> dict[str, bytes]:
    return {f"sha256/{sha(d)[:2]}/{sha(d)}": d for d in FILES.values()}


LAYOUTS: dict[str, Callable[[], dict[str, bytes]]] = {
    "by digest": _by_digest,
    "a folder for each set": lambda: {f"plantset/{n}": d for n, d in FILES.items()},
    "a cache": lambda: {
        f"datasets/{folder_name(ENTRY)}/{n}": d for n, d in FILES.items()
    },
    "the sets of a cache": lambda: {
        f"{folder_name(ENTRY)}/{n}": d for n, d in FILES.items()
    },
    "the set itself": lambda: dict(FILES),
    "digests alone": lambda: {sha(d): d for d in FILES.values()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_set_and_is_proven(tmp_path: Path, layout: str) -> None:
    folder = _lay(tmp_path / "m", LAYOUTS[layout]())
    got = obtain.fetch(ENTRY, LISTED, tmp_path / "cache", How(mirror=folder))
    assert {n: p.read_bytes() for n, p in got.files.items()} == FILES
    proof = _prove(folder, named=True)
    assert (proof.result, proof.files, proof.bytes) == ("proven", 2, 25)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_byte_is_neither_taken_nor_proven(
    tmp_path: Path, layout: str, place: int
) -> None:
    files = LAYOUTS[layout]()
    name = next(iter(files))
    changed = bytearray(files[name])
    changed[place] ^= 1
    folder = _lay(tmp_path / "m", files | {name: bytes(changed)})
    with pytest.raises(DigestMismatchError):
        obtain.fetch(ENTRY, LISTED, tmp_path / "cache", How(mirror=folder))
    proof = _prove(folder, named=True)
    assert proof.result == "differs"
    assert proof.wrong == ("runs/a.csv",)


def test_a_longer_file_in_a_mirror_is_not_read_to_its_end(tmp_path: Path) -> None:
    folder = _lay(tmp_path / "m", {f"plantset/{n}": d for n, d in FILES.items()})
    with (folder / "plantset/note.txt").open("r+b") as stream:
        stream.truncate(10 * 1024**4)  # sparse
    with pytest.raises(DigestMismatchError, match="more than 11 bytes"):
        obtain.fetch(ENTRY, LISTED, tmp_path / "cache", How(mirror=folder))
    assert _prove(folder).result == "differs"


def test_a_right_copy_beside_a_wrong_one_is_found(tmp_path: Path) -> None:
    right = {f"plantset/{n}": d for n, d in FILES.items()}
    wrong = dict.fromkeys(_by_digest(), b"x")
    folder = _lay(tmp_path / "m", right | wrong)
    got = obtain.fetch(ENTRY, LISTED, tmp_path / "cache", How(mirror=folder))
    assert got.files["note.txt"].read_bytes() == FILES["note.txt"]


def test_what_a_mirror_lacks_is_told_and_what_it_had_is_kept(tmp_path: Path) -> None:
    folder = _lay(tmp_path / "m", {"plantset/runs/a.csv": FILES["runs/a.csv"]})
    with pytest.raises(SourceAbsentError, match=r"neither note\.txt nor"):
        obtain.fetch(ENTRY, LISTED, tmp_path / "cache", How(mirror=folder))
    proof = _prove(folder)
    assert (proof.result, proof.files, proof.missing) == ("in part", 1, 1)
    second = _lay(tmp_path / "n", {"plantset/note.txt": FILES["note.txt"]})
    obtain.fetch(ENTRY, LISTED, tmp_path / "cache", How(mirror=second))


def test_reading_a_mirror_loads_nothing_that_asks_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "urllib3", None)
    monkeypatch.delitem(sys.modules, "tundish.data.fetch.web", raising=False)
    folder = _lay(tmp_path / "m", dict(FILES))
    obtain.fetch(ENTRY, LISTED, tmp_path / "cache", How(mirror=folder))


def test_a_mirror_is_made_from_the_cache_and_read_elsewhere(tmp_path: Path) -> None:
    cache, out = tmp_path / "cache", tmp_path / "stick"
    first = obtain.fetch(
        ENTRY, LISTED, cache, How(mirror=_lay(tmp_path / "m", dict(FILES)))
    )
    _mirror(out, cache)
    assert _prove(out).result == "proven"
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == {
        INDEX,
        *_by_digest(),
    }
    got = obtain.fetch(ENTRY, LISTED, tmp_path / "there", How(mirror=out))
    assert got.digest == first.digest


def _mirror(out: Path, cache: Path) -> None:
    copying.note(out, "plantset", copying.add(ENTRY, LISTED, out, cache, How()))


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    cache, out = tmp_path / "cache", tmp_path / "stick"
    come = _lay(tmp_path / "m", dict(FILES))
    obtain.fetch(ENTRY, LISTED, cache, How(mirror=come))
    _mirror(out, cache)
    return out


def test_a_mirror_that_lacks_what_its_index_lists_differs(stick: Path) -> None:
    (stick / next(iter(_by_digest()))).unlink()
    proof = _prove(stick)
    assert proof.result == "differs"
    assert "lists 1 are not there" in proof.why


def test_a_mirror_of_another_release_differs(stick: Path) -> None:
    index = parse_index((stick / INDEX).read_bytes(), "it")
    held = index.sets["plantset"].model_copy(update={"source": "0" * 64})
    copying.note(stick, "plantset", held)
    assert "another release" in _prove(stick).why


def test_a_damaged_file_in_a_mirror_is_mended_by_making_it_again(
    stick: Path, tmp_path: Path
) -> None:
    name, data = next(iter(_by_digest().items()))
    (stick / name).write_bytes(b"x" * len(data))
    assert _prove(stick).result == "differs"
    _mirror(stick, tmp_path / "cache")
    assert _prove(stick).result == "proven"


def _index(**sets: Json) -> bytes:
    value: Json = {"format": "tundish.mirror", "version": 1, "sets": dict(sets)}
    return canonical.dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"format": "tundish.mirror"}',
        _index(UPPER={}),
        _index(a1={"source": "0" * 64, "licence": "", "licence_class": "A", "files": {"../x": {"sha256": "0" * 64, "bytes": 1}}}),
        _index(a1={"source": "0" * 64, "licence": "", "licence_class": "A", "files": {"x": {"sha256": "../../x", "bytes": 1}}}),
        _index(a1={"source": "0" * 64, "licence": "", "licence_class": "A", "files": {"x": {"sha256": "0" * 64, "bytes": -1}}}),
        _index()[:-1] + b" }",
    ],
)  # fmt: skip
def test_an_index_of_another_form_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / INDEX).write_bytes(data)
    with pytest.raises(MirrorInvalidError):
        Mirror.at(tmp_path)


def test_an_index_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_bytes(b'{"name": "a web page"}')
    assert Mirror.at(tmp_path).index is None
    with pytest.raises(PathMissingError):
        Mirror.at(tmp_path / "none")


def test_nothing_of_a_set_is_absent_and_no_fault(tmp_path: Path) -> None:
    assert _prove(tmp_path).result == "absent"


def test_a_loose_file_of_another_set_is_not_held_against_one_that_nobody_named(
    tmp_path: Path,
) -> None:
    _lay(tmp_path, {"note.txt": b"another set's"})
    assert _prove(tmp_path).result == "absent"
    assert _prove(tmp_path, named=True).result == "differs"


def _prove(
    folder: Path,
    entry: DatasetEntry = ENTRY,
    files: tuple[PinnedFile, ...] = LISTED,
    *,
    named: bool = False,
) -> SetProof:
    return Prover(mirror=Mirror.at(folder), named=named).prove(entry, files)


def test_every_digest_of_the_development_sets_is_proven(real_sets: Path) -> None:
    """985 files of 38 sets; the lists ship whether or not their entries do yet."""
    below = resources.files("tundish.catalog").joinpath("declared", "datasets")
    done = []
    prover = Prover(mirror=Mirror.at(real_sets))
    for folder in sorted(p for p in real_sets.iterdir() if p.is_dir()):
        data = below.joinpath(f"{folder.name}.files.tsv").read_bytes()
        rows = [line.split("\t") for line in data.decode().splitlines()[1:]]
        source = {
            "kind": "github", "files": len(rows), "sha256": sha(data),
            "bytes": sum(int(row[4]) for row in rows),
        }  # fmt: skip
        entry = entry_of(FILES, key=folder.name)[0].model_copy(
            update={"source": TreeSource.model_validate(source)}
        )
        assert isinstance(entry.source, TreeSource)
        files = parse_list(data, entry.source, folder.name)
        done.append(prover.prove(entry, files))
    assert {one.key for one in done if one.result == "in part"} <= {"cmapss"}
    assert all(one.result in {"proven", "in part"} for one in done)
    assert (len(done), sum(one.files for one in done)) == (38, 985)
