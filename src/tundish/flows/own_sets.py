"""Register data sets of one's own by their cards, and find them again by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationError

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.data.card.beside import Known, load, of_folder
from tundish.data.card.card import Card, CardFile
from tundish.data.errors import DigestMismatchError
from tundish.data.version import files_below
from tundish.flows.errors import NameTakenError, SetDamagedError
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, paths
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.errors import PathMissingError, TundishError
from tundish.kernel.records import Record

SetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")]


class RegisteredSet(Record):
    """A set of one's own, as the workspace keeps it.

    Attributes:
        root: Folder of its files on this machine.
        files: Name below the folder -> digest when it was registered.
        where: Where the card came from.
        own: True if the card is in Tundish's own form.
    """

    format: Literal["tundish.set"] = "tundish.set"
    version: Literal[1] = 1
    name: SetName
    root: str
    files: dict[str, str]
    card: Card
    where: str
    own: bool


class RegisterReport(Record):
    """What was registered.

    Attributes:
        checked: Files whose digest the card names; all of them fit.
        absent: Files that the card names and that are not there.
        ignored: Keys of the card that were not understood.
    """

    name: str
    where: str
    root: str
    files: tuple[str, ...]
    checked: int
    absent: tuple[str, ...]
    ignored: tuple[str, ...]
    licence: str
    digest: str


def register(
    path: Path, *, workspace: Workspace, name: str | None = None
) -> RegisterReport:
    """Register a set by its card: Croissant, data package or ``card.yaml``.

    Nothing is fetched. Every digest that the card names is checked.

    Args:
        path: The card, or a folder that holds one. Untrusted.
        workspace: Where to keep it.
        name: What to call it; from the card if absent.

    Raises:
        PathMissingError: if there is no card, or none of the files it names.
        DocumentMalformedError, DocumentInvalidError: if the card cannot be read.
        UnsafePathError: if it names a file outside its folder.
        DigestMismatchError: if a file has other bytes than the card says.
        NameTakenError: if the name belongs to a set of the catalogue.
    """
    known = _card_at(path)
    root = (path if path.is_dir() else path.parent).resolve()
    chosen = _named(name or known.card.name)
    found, absent, checked = _files(root, known.card)
    sums = {key: str(digests.of_file(file)) for key, file in found.items()}
    kept = RegisteredSet(
        name=chosen,
        root=str(root),
        files=sums,
        card=known.card,
        where=known.where,
        own=known.own,
    )
    data = canonical.dumps(kept.to_json())
    paths.write_whole(_place(workspace, chosen), data)
    digest = digests.of_json(dict(sums))
    workspace.record(
        "data-registered",
        outputs=[digest],
        names={digest: chosen},
        detail={"files": len(sums), "card": digests.of_bytes(data)},
    )
    licence = known.card.licence
    return RegisterReport(
        name=chosen,
        where=known.where,
        root=str(root),
        files=tuple(sorted(found)),
        checked=checked,
        absent=tuple(absent),
        ignored=known.ignored,
        licence=licence.name if licence else "",
        digest=digest,
    )


def find_set(workspace: Workspace | None, name: str) -> RegisteredSet | None:
    """Return a registered set, or nothing if the workspace has none of that name.

    Raises:
        SetDamagedError: if what the workspace keeps of it cannot be read.
    """
    if workspace is None or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,60}", name):
        return None
    path = _place(workspace, name)
    if not path.is_file():
        return None
    try:
        return RegisteredSet.model_validate_json(path.read_bytes())
    except ValidationError as error:
        msg = f"{path} is not what 'tundish data register' writes."
        raise SetDamagedError(msg) from error


def list_sets(workspace: Workspace) -> list[RegisteredSet]:
    """Return the registered sets of a workspace, by name."""
    folder = workspace.inner / "sets"
    names = sorted(path.stem for path in folder.glob("*.json"))
    found = (find_set(workspace, name) for name in names)
    return [one for one in found if one is not None]


def place_of(one: RegisteredSet) -> tuple[Path, Known]:
    """Return where a registered set lies, and its card.

    A set of one table is its file; another one is its folder.

    Raises:
        DigestMismatchError: if a file has changed since it was registered.
        PathMissingError: if a file is gone.
    """
    root = Path(one.root)
    for name, digest in one.files.items():
        file = paths.existing_file(paths.join(root, name))
        if digests.of_file(file) != digest:
            msg = f"{file} has changed since the set {one.name} was registered."
            advice = "Register it again: 'tundish data register PATH'."
            raise DigestMismatchError(msg, advice=advice)
    known = Known(card=one.card, where=one.where, own=one.own, fits=True)
    if len(one.files) == 1:
        return root / next(iter(one.files)), known
    return root, known


def path_of(workspace: Workspace | None, data: str) -> str:
    """Return where the registered set of a name lies; anything else as it was said.

    Raises:
        As ``find_set`` and ``place_of``.
    """
    own = None if Path(data).exists() else find_set(workspace, data)
    return data if own is None else str(place_of(own)[0])


def _card_at(path: Path) -> Known:
    if path.is_dir():
        known = of_folder(path)
        if known is None:
            msg = f"{path} holds no card (card.yaml, croissant.json, datapackage.json)."
            advice = "Write one: tundish data card PATH --template"
            raise PathMissingError(msg, advice=advice)
        return known
    known = load(paths.existing_file(path))
    if known is None:  # load() only returns nothing if a file was asked for
        msg = f"{path} is no card."
        raise PathMissingError(msg)
    return known


def _named(name: str) -> str:
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:60] or "set"
    if plain in library.names(DatasetEntry):
        msg = f"{plain} is the key of a set of the catalogue."
        raise NameTakenError(msg)
    return plain


def _place(workspace: Workspace, name: str) -> Path:
    return paths.join(workspace.inner / "sets", f"{name}.json")


def _files(root: Path, card: Card) -> tuple[dict[str, Path], list[str], int]:
    """Return the files of a set that are there, those that are not, and how many fit."""
    if not card.files:
        every = files_below(root)
        return {n: p for n, p in every.items() if not _is_card(p)}, [], 0
    found: dict[str, Path] = {}
    absent: list[str] = []
    checked = 0
    for entry in card.files:
        file = _inside(root, entry)
        if file is None:
            absent.append(entry.path)
            continue
        if entry.sha256 is not None:
            if digests.of_file(file) != Digest(f"sha256:{entry.sha256}"):
                msg = f"{file.name} does not have the SHA-256 that its card names."
                raise DigestMismatchError(msg)
            checked += 1
        found[file.relative_to(root).as_posix()] = file
    if not found:
        msg = f"None of the {len(absent)} files that the card names is below {root}."
        raise PathMissingError(
            msg, advice="Put the data beside its card; nothing is fetched."
        )
    return found, absent, checked


def _inside(root: Path, entry: CardFile) -> Path | None:
    """Return the file of an entry: at its path, or else under its last name."""
    for name in (entry.path, entry.path.rpartition("/")[2]):
        file = paths.join(root, name)
        if file.is_file() and file.resolve() == file.absolute():
            return file
    return None


def _is_card(path: Path) -> bool:
    if path.suffix not in {".yaml", ".yml", ".json"}:
        return False
    try:
        return load(path) is not None
    except TundishError:
        return False
