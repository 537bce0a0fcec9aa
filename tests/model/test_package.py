"""Laws of packages: no changed byte, no other file, no older version."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tundish.kernel import canonical
from tundish.kernel.errors import PathMissingError, RefusedError, TundishError
from tundish.model import folder, layout, making, package, tarball
from tundish.model.errors import (
    PackageExpiredError,
    PackageFileChangedError,
    PackageFileExtraError,
    PackageFileMissingError,
    PackageMalformedError,
    PackageNeedsGrantError,
    PackagePlaceTakenError,
    PackageTooLargeError,
    PackageUnsignedError,
)
from tundish.model.package import Package
from tundish.seal import envelope, model_signature
from tundish.seal.envelope import new_identity
from tundish.seal.errors import (
    ClockSetBackError,
    EnvelopeClosedError,
    PackageForkedError,
    PackageOlderError,
    SignerUntrustedError,
)
from tundish.seal.freshness import FileFreshness, MemoryFreshness
from tundish.seal.keys import SigningKey
from tundish.seal.model_signature import facts_of

Desk = Any  # the class lives in conftest, which cannot be imported


def check(files: Mapping[str, bytes], desk: Desk, now: datetime) -> Package:
    return package.verify(
        files, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
    )


def check_tar(data: bytes, desk: Desk, now: datetime) -> Package:
    return package.read_tar(
        data, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
    )


def content(made: Package) -> dict[str, bytes]:
    return {**made.files, package.SIGNATURE: made.signature}


def names(path: Path) -> list[str]:
    return sorted(item.name for item in path.iterdir())


@pytest.fixture(scope="module")
def made(desk: Desk) -> Package:
    built: Package = desk.build()
    return built


def test_what_is_written_is_read_back_from_folder_and_tar(
    made: Package, desk: Desk, now: datetime, tmp_path: Path
) -> None:
    package.write_folder(made, tmp_path / "p")
    package.write_tar(made, tmp_path / "p.tar")
    for path in (tmp_path / "p", tmp_path / "p.tar"):
        found = package.read(
            path, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
        )
        assert found == made
        assert found.encrypted
        assert found.card.product == "C34.27.pump"
        assert found.verdict == {"accepted": True}
        assert found.parity == {"largest": 1e-7}
        assert found.bom["bomFormat"] == "CycloneDX"
        assert found.scenario_yaml.startswith("scenario:")
        assert found.envelope == {"mean": [0.0]}
        assert package.graph_bytes(found, desk.identity) == desk.graph
    assert names(tmp_path) == ["p", "p.tar"]


def test_the_same_package_gives_the_same_bytes(
    made: Package, desk: Desk, now: datetime
) -> None:
    data = package.to_tar(made)
    assert package.to_tar(check_tar(data, desk, now)) == data


@pytest.mark.parametrize("added", [b"\x00", b" ", b"\n", bytes(512), b"x" * 512])
def test_bytes_at_the_end_or_a_cut_never_verify(
    made: Package, desk: Desk, now: datetime, added: bytes
) -> None:
    data = package.to_tar(made)
    for changed in (data + added, added + data, data[: -len(added)]):
        with pytest.raises(RefusedError):
            check_tar(changed, desk, now)


def test_every_cut_of_the_tar_is_refused(
    made: Package, desk: Desk, now: datetime
) -> None:
    data = package.to_tar(made)
    for size in [*range(0, len(data), 256), len(data) - 1]:
        with pytest.raises(RefusedError):
            check_tar(data[:size], desk, now)


def test_a_clear_graph_in_place_of_the_encrypted_one_is_noticed(
    made: Package, desk: Desk, now: datetime
) -> None:
    files = content(made)
    del files[package.GRAPH_AGE]
    with pytest.raises(PackageFileExtraError):
        check({**files, package.GRAPH: desk.graph}, desk, now)


def test_an_older_version_is_refused_once_a_newer_was_read(
    desk: Desk, now: datetime, tmp_path: Path
) -> None:
    for version in (1, 2):
        package.write_tar(desk.build(version), tmp_path / f"{version}.tar")

    def read(version: int) -> Package:
        return package.read(
            tmp_path / f"{version}.tar",
            trusted=[desk.key.public],
            now=now,
            seen=FileFreshness(tmp_path / "seen.json"),
        )

    read(1)
    read(2)
    read(2)
    with pytest.raises(PackageOlderError):
        read(1)


def test_a_refused_package_leaves_no_trace_in_what_was_seen(
    desk: Desk, now: datetime
) -> None:
    seen = MemoryFreshness()
    newer = content(desk.build(version=9))
    newer[package.CARD] += b" "
    with pytest.raises(PackageFileChangedError):
        package.verify(newer, trusted=[desk.key.public], now=now, seen=seen)
    package.verify(
        content(desk.build(version=1)), trusted=[desk.key.public], now=now, seen=seen
    )


def test_a_version_is_built_once(desk: Desk, made: Package, now: datetime) -> None:
    seen = MemoryFreshness()
    again = desk.build()
    assert again.digest != made.digest
    package.verify(content(made), trusted=[desk.key.public], now=now, seen=seen)
    with pytest.raises(PackageForkedError):
        package.verify(content(again), trusted=[desk.key.public], now=now, seen=seen)


def test_an_expired_package_is_refused_also_with_the_clock_set_back(
    desk: Desk, now: datetime
) -> None:
    seen = MemoryFreshness()
    files = content(desk.build(days=10))
    late = now + timedelta(days=10)
    with pytest.raises(PackageExpiredError):
        package.verify(files, trusted=[desk.key.public], now=late, seen=seen)
    with pytest.raises(ClockSetBackError):
        package.verify(files, trusted=[desk.key.public], now=now, seen=seen)


def test_a_package_of_an_unknown_signer_is_refused(
    desk: Desk, now: datetime, made: Package
) -> None:
    stranger = desk.build(key=SigningKey.generate())
    with pytest.raises(SignerUntrustedError):
        check(content(stranger), desk, now)


def resigned(files: Mapping[str, bytes], desk: Desk, made: Package) -> dict[str, bytes]:
    """Return files with a signature that fits them, by the trusted key."""
    facts = {name: facts_of(data) for name, data in files.items()}
    signature = model_signature.sign(facts, made.statement, desk.key)
    return {**files, package.SIGNATURE: signature}


@pytest.mark.parametrize(
    ("name", "body", "refusal"),
    [
        ("plugin.so", b"\x7fELF", PackageFileExtraError),
        ("sub/deep.json", b"{}", PackageFileExtraError),
        ("graph.onnx", b"x", PackageFileMissingError),
        ("card.json", b"{}", PackageMalformedError),
        ("card.json", b'{"a":1} ', PackageMalformedError),
        ("verdict.json", b"[]", PackageMalformedError),
        ("golden.json", b"{}", PackageMalformedError),
        ("bom.cdx.json", b"not json", PackageMalformedError),
        ("scenario.yaml", b"\xff\xfe", PackageMalformedError),
    ],
)
def test_a_signed_package_of_another_form_is_refused(
    made: Package,
    desk: Desk,
    now: datetime,
    name: str,
    body: bytes,
    refusal: type[TundishError],
) -> None:
    """A stolen or careless key cannot bring in programs or malformed documents."""
    with pytest.raises(refusal):
        check(resigned({**made.files, name: body}, desk, made), desk, now)


def test_a_card_of_another_version_is_refused(
    made: Package, desk: Desk, now: datetime
) -> None:
    other = desk.build(version=2).files[package.CARD]
    with pytest.raises(PackageMalformedError, match="version 2"):
        check(resigned({**made.files, package.CARD: other}, desk, made), desk, now)


def test_an_encrypted_graph_that_is_not_the_cards_is_refused(
    made: Package, desk: Desk, now: datetime
) -> None:
    from_elsewhere = envelope.encrypt(b"other", [desk.identity.recipient])
    files = {**made.files, package.GRAPH_AGE: from_elsewhere}
    found = check(resigned(files, desk, made), desk, now)
    with pytest.raises(PackageMalformedError, match="card"):
        package.graph_bytes(found, desk.identity)


def test_an_encrypted_graph_needs_its_identity(made: Package) -> None:
    with pytest.raises(PackageNeedsGrantError):
        package.graph_bytes(made)
    with pytest.raises(EnvelopeClosedError):
        package.graph_bytes(made, new_identity())


def test_the_clear_graph_is_nowhere_in_the_package(made: Package, desk: Desk) -> None:
    data = package.to_tar(made)
    assert desk.graph not in data
    assert b"ReduceMax" not in data


def test_a_package_in_clear_is_read_as_well(desk: Desk, now: datetime) -> None:
    clear = desk.build(encrypted=False)
    found = check_tar(package.to_tar(clear), desk, now)
    assert not found.encrypted
    assert package.graph_bytes(found) == desk.graph


def test_a_card_for_another_graph_is_not_sealed(
    desk: Desk, make_graph: Callable[..., bytes]
) -> None:
    parts = desk.parts()
    other = desk.with_graph(make_graph(9.0), desk.golden)
    with pytest.raises(PackageMalformedError):
        making.build(
            type(parts)(**{**vars(parts), "graph": other.graph}),
            statement=desk.build().statement,
            key=desk.key,
        )


def test_a_place_that_is_taken_is_not_overwritten(
    made: Package, tmp_path: Path
) -> None:
    (tmp_path / "p").mkdir()
    package.write_folder(made, tmp_path / "p")
    before = names(tmp_path / "p")
    for place in (tmp_path / "p", tmp_path / "p" / "card.json"):
        with pytest.raises(PackagePlaceTakenError):
            package.write_folder(made, place)
    assert names(tmp_path / "p") == before
    assert names(tmp_path) == ["p"]


def test_a_wrong_path_and_an_empty_file_are_said(
    desk: Desk, now: datetime, tmp_path: Path
) -> None:
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    cases: list[tuple[str, type[TundishError]]] = [
        ("none.tar", PathMissingError),
        ("empty.tar", PackageMalformedError),
        ("folder", PackageUnsignedError),
    ]
    for name, refusal in cases:
        with pytest.raises(refusal):
            package.read(
                tmp_path / name,
                trusted=[desk.key.public],
                now=now,
                seen=MemoryFreshness(),
            )


# --- folders ------------------------------------------------------------------------


@pytest.fixture
def place(made: Package, tmp_path: Path) -> Path:
    package.write_folder(made, tmp_path / "p")
    return tmp_path / "p"


def test_links_pipes_and_folders_in_a_folder_are_refused(
    place: Path, desk: Desk, now: datetime, tmp_path: Path
) -> None:
    def read() -> Package:
        return package.read(
            place, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
        )

    card = place / "card.json"
    original = card.read_bytes()
    (tmp_path / "elsewhere.json").write_bytes(original)
    makers: list[Callable[[], None]] = [
        lambda: card.symlink_to(tmp_path / "elsewhere.json"),
        lambda: os.mkfifo(card),
        card.mkdir,
    ]
    for make in makers:
        card.unlink()
        make()
        with pytest.raises(PackageFileExtraError):
            read()
        card.rmdir() if card.is_dir() else card.unlink()
        card.write_bytes(original)
    read()
    (place / "signatures").mkdir()
    with pytest.raises(PackageFileExtraError):
        read()


def test_folders_have_limits(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_FILES", 3)
    with pytest.raises(PackageTooLargeError):
        folder.read(place)
    monkeypatch.setattr(folder, "MAX_FILES", 100)
    monkeypatch.setattr(folder, "MAX_BYTES", 10)
    with pytest.raises(PackageTooLargeError):
        folder.read(place)


# --- the tar ------------------------------------------------------------------------


def foreign_tar(change: Callable[[tarfile.TarInfo], object]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("index.json")
        info.size, info.mode = 2, 0o644
        change(info)
        archive.addfile(info, io.BytesIO(b"{}") if info.isreg() else None)
    return stream.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../index.json"},
        {"name": "/etc/passwd"},
        {"name": "a\\b"},
        {"name": "a/./b"},
        {"name": "con"},
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "x"},
        {"type": tarfile.DIRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.CHRTYPE},
        {"mtime": 1},
        {"uid": 1},
        {"uname": "root"},
        {"mode": 0o755},
        {},  # Python pads the end to 10 KiB
    ],
)
def test_archives_of_another_form_are_refused(change: dict[str, object]) -> None:
    def apply(info: tarfile.TarInfo) -> None:
        for name, value in change.items():
            setattr(info, name, value)

    with pytest.raises(PackageMalformedError):
        tarball.read(foreign_tar(apply))


def test_other_tools_read_our_archive(made: Package, tmp_path: Path) -> None:
    path = tmp_path / "p.tar"
    package.write_tar(made, path)
    with tarfile.open(path) as archive:
        stored = archive.getnames()
        assert all(item.isreg() and item.mtime == 0 for item in archive)
    assert {"index.json", "oci-layout"} <= set(stored)
    listed = subprocess.run(["tar", "tf", str(path)], capture_output=True, check=True)
    assert listed.stdout.decode().split() == stored
    assert listed.stderr == b""


def test_files_out_of_order_or_twice_are_refused() -> None:
    one, two = tarball.write({"a": b"1"}), tarball.write({"b": b"2"})
    end = len(bytes(1024))
    assert tarball.read(one[:-end] + two) == {"a": b"1", "b": b"2"}
    for wrong in (two[:-end] + one, one[:-end] + one):
        with pytest.raises(PackageMalformedError):
            tarball.read(wrong)


def test_archives_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tarball.write({f"{number:04}": b"" for number in range(4)})
    monkeypatch.setattr(tarball, "MAX_FILES", 3)
    with pytest.raises(PackageTooLargeError):
        tarball.read(data)
    with pytest.raises(PackageTooLargeError):
        tarball.write({f"{number:04}": b"" for number in range(4)})
    monkeypatch.setattr(tarball, "MAX_BYTES", 100)
    with pytest.raises(PackageTooLargeError):
        tarball.read(data)
    with pytest.raises(PackageTooLargeError):
        tarball.write({"a" * 101: b""})


def test_a_size_that_lies_is_refused() -> None:
    data = bytearray(tarball.write({"a": b"12345"}))
    for size in (b"77777777777", b"00000000004", b"-0000000005", b"0x000000005"):
        changed = bytearray(data)
        changed[124:135] = size
        changed[148:156] = b" " * 8
        changed[148:156] = b"%06o\x00 " % sum(changed[:512])
        with pytest.raises(PackageMalformedError):
            tarball.read(bytes(changed))


# --- the layout ---------------------------------------------------------------------


def test_the_layout_is_what_registries_expect(made: Package) -> None:
    entries = layout.pack(content(made), made.statement)
    index = canonical.loads(entries["index.json"])
    assert isinstance(index, dict)
    assert isinstance(index["manifests"], list)
    first = index["manifests"][0]
    assert isinstance(first, dict)
    assert isinstance(first["digest"], str)
    manifest = canonical.loads(entries["blobs/sha256/" + first["digest"][7:]])
    assert isinstance(manifest, dict)
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    layers = manifest["layers"]
    assert isinstance(layers, list)
    kinds = {
        layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"]  # type: ignore[index,call-overload]
        for layer in layers
    }
    assert kinds["graph.onnx.age"] == "application/vnd.cncf.model.weight.v1.raw"
    assert kinds["card.json"] == "application/vnd.cncf.model.doc.v1.raw"
    assert set(kinds) == set(content(made))


def test_a_layout_that_says_more_or_else_is_refused(
    made: Package, desk: Desk, now: datetime
) -> None:
    entries = layout.pack(content(made), made.statement)
    index = entries["index.json"]
    wrong: list[dict[str, bytes]] = [
        {**entries, "index.json": index.replace(b'"1"', b'"2"')},
        {**entries, "index.json": b"{}"},
        {**entries, "index.json": b"[]"},
        {**entries, "index.json": b'{"manifests":[5]}'},
        {**entries, "index.json": index + b" "},
        {**entries, "blobs/sha256/" + "0" * 64: b"x"},
        {**entries, "readme.txt": b"hello"},
        {**entries, "oci-layout": b'{"imageLayoutVersion":"1.0.1"}'},
    ]
    for item in wrong:
        with pytest.raises(PackageMalformedError):
            check_tar(tarball.write(item), desk, now)
    assert check_tar(tarball.write(entries), desk, now) == made
