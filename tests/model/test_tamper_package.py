"""Every byte and every file of a small package, changed one by one: none passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests import tamper

from tundish.kernel.errors import RefusedError
from tundish.model import folder, layout, package
from tundish.model.package import Package
from tundish.seal.freshness import Freshness, MemoryFreshness

Desk = Any  # the class lives in conftest, which cannot be imported

SIGNATURE_CODES = {"signature-malformed", "signature-invalid", "signer-untrusted"}


class Door:
    """The two ways in: the tar, and the files of a folder."""

    def __init__(self, desk: Desk, now: datetime) -> None:
        self.trusted, self.now = [desk.key.public], now

    def tar(self, data: bytes, seen: Freshness | None = None) -> Package:
        seen = seen or MemoryFreshness()
        return package.read_tar(data, trusted=self.trusted, now=self.now, seen=seen)

    def files(
        self, files: Mapping[str, bytes], seen: Freshness | None = None
    ) -> Package:
        seen = seen or MemoryFreshness()
        return package.verify(files, trusted=self.trusted, now=self.now, seen=seen)

    def code(self, files: Mapping[str, bytes], made: Package) -> set[str]:
        """Return the codes of a changed folder, and of a tar made anew around it."""
        found = set()
        for attempt in (self._folder, self._layout):
            with pytest.raises(RefusedError) as refused:
                attempt(files, made)
            found.add(refused.value.code)
        return found

    def _folder(self, files: Mapping[str, bytes], _made: Package) -> None:
        self.files(files)

    def _layout(self, files: Mapping[str, bytes], made: Package) -> None:
        entries = layout.pack(files, made.statement)
        package.read_layout(
            entries, trusted=self.trusted, now=self.now, seen=MemoryFreshness()
        )


@pytest.fixture(scope="module")
def made(desk: Desk) -> Package:
    built: Package = desk.build()
    return built


@pytest.fixture
def door(desk: Desk, now: datetime) -> Door:
    return Door(desk, now)


def content(made: Package) -> dict[str, bytes]:
    return {**made.files, package.SIGNATURE: made.signature}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_changed_byte_in_the_tar_never_verifies(made: Package, door: Door) -> None:
    """Header, padding, index, manifest or file: all of it has one form only."""
    data = package.to_tar(made)
    door.tar(data)
    found = tamper.codes(tamper.flipped(data), door.tar)
    assert found == {"package-malformed": 2 * len(data)}


@pytest.mark.slow
def test_a_byte_more_or_less_in_the_tar_never_verifies(
    made: Package, door: Door
) -> None:
    data = package.to_tar(made)
    found = tamper.codes(tamper.shifted(data, step=37), door.tar)
    assert set(found) == {"package-malformed"}
    assert found.total() > 2000


@pytest.mark.slow
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_changed_byte_in_a_file_never_verifies(
    desk: Desk, door: Door, encrypted: bool
) -> None:
    files = content(desk.build(encrypted=encrypted))
    door.files(files)
    for name, body in files.items():
        codes = (
            SIGNATURE_CODES if name == package.SIGNATURE else {"package-file-changed"}
        )
        for attempts in (tamper.flipped(body), tamper.shifted(body, step=61)):
            found = tamper.codes(
                ({**files, name: changed} for changed in attempts),
                door.files,
            )
            assert set(found) <= codes, (name, found)


def test_every_changed_file_is_refused_in_a_tar_made_anew_around_it(
    made: Package, door: Door
) -> None:
    """All digests of the layout fit; only the signature does not."""
    files = content(made)
    for name, body in files.items():
        changed = body[:-1] + bytes([body[-1] ^ 1])
        codes = door.code({**files, name: changed}, made)
        allowed = (
            SIGNATURE_CODES if name == package.SIGNATURE else {"package-file-changed"}
        )
        assert codes <= allowed, (name, codes)


def test_every_removed_file_is_missed(made: Package, door: Door) -> None:
    files = content(made)
    for name in files:
        rest = {key: value for key, value in files.items() if key != name}
        unsigned = name == package.SIGNATURE
        expected = "package-unsigned" if unsigned else "package-file-missing"
        assert door.code(rest, made) == {expected}


@pytest.mark.parametrize(
    "name", ["extra.json", "run.so", "signatures/x.sig", ".hidden", "GRAPH.ONNX"]
)
def test_every_added_file_is_noticed(made: Package, door: Door, name: str) -> None:
    assert door.code({**content(made), name: b"x"}, made) == {"package-file-extra"}


def test_every_entry_of_the_tar_is_needed_and_none_may_be_added(
    made: Package, door: Door, now: datetime
) -> None:
    entries = package.to_layout(made)
    changed = [
        {name: body for name, body in entries.items() if name != gone}
        for gone in entries
    ]
    changed.append({**entries, "blobs/sha256/" + "0" * 64: b""})
    changed.append({**entries, "notes.txt": b"x"})
    for item in changed:
        with pytest.raises(RefusedError) as refused:
            package.read_layout(
                item, trusted=door.trusted, now=now, seen=MemoryFreshness()
            )
        assert refused.value.code == "package-malformed"


def test_files_swapped_between_two_valid_packages_are_noticed(
    desk: Desk, made: Package, door: Door
) -> None:
    files, other = content(made), content(desk.build(version=2))
    door.files(files)
    door.files(other)
    for name in files:
        if files[name] == other[name]:
            continue
        mixed = {**files, name: other[name]}
        assert door.code(mixed, made) == {"package-file-changed"}, name
    for one in files:
        for two in files:
            if files[one] != files[two] and package.SIGNATURE not in {one, two}:
                crossed = {**files, one: files[two], two: files[one]}
                assert door.code(crossed, made) == {"package-file-changed"}


def test_the_encrypted_graph_of_another_version_is_not_taken(
    desk: Desk, door: Door
) -> None:
    """Same graph, same recipient, other ciphertext: it is still another file."""
    one, two = content(desk.build()), content(desk.build())
    name = package.GRAPH_AGE
    assert one[name] != two[name]
    with pytest.raises(RefusedError) as refused:
        door.files({**one, name: two[name]})
    assert refused.value.code == "package-file-changed"


@pytest.mark.parametrize(
    ("days", "version", "code"),
    [(365, 1, "package-older"), (365, 3, "package-forked"), (0, 4, "package-expired")],
)
def test_an_old_package_is_not_taken_for_a_new_one(
    desk: Desk, door: Door, tmp_path: Path, days: int, version: int, code: str
) -> None:
    """From the tar and from the folder, with every signature right."""
    seen = MemoryFreshness()
    door.tar(package.to_tar(desk.build(3)), seen)
    old = desk.build(version) if days else desk.build(version, days=1)
    late = replace_now(door, timedelta(days=0 if days else 1))
    package.write_folder(old, tmp_path / "old")
    with pytest.raises(RefusedError) as refused:
        late.tar(package.to_tar(old), seen)
    assert refused.value.code == code
    with pytest.raises(RefusedError) as refused:
        late.files(folder.read(tmp_path / "old"), seen)
    assert refused.value.code == code


def replace_now(door: Door, later: timedelta) -> Door:
    moved = Door.__new__(Door)
    moved.trusted, moved.now = door.trusted, door.now + later
    return moved


def test_a_signature_over_older_files_does_not_cover_newer_ones(
    desk: Desk, made: Package, door: Door
) -> None:
    newer = desk.build(version=2)
    with pytest.raises(RefusedError) as refused:
        door.files({**newer.files, package.SIGNATURE: made.signature})
    assert refused.value.code == "package-file-changed"
    mixed = replace(newer, signature=made.signature)
    with pytest.raises(RefusedError) as refused:
        door.tar(package.to_tar(mixed))
    assert refused.value.code == "package-file-changed"
