"""Load a set of the catalogue, say what is in it, and write its tables as Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.filelist import PinnedFile
from tundish.catalog.setforms import PictureForm
from tundish.data.errors import DigestMismatchError
from tundish.data.fetch import hand, wheel
from tundish.data.load import load
from tundish.data.sets.loaded import LoadedSet, LoadedTable
from tundish.data.sets.parquet import write_table
from tundish.flows import terms
from tundish.flows.fetch import of_catalogue
from tundish.flows.outputs import new_folder, refuse_used
from tundish.kernel import digest, paths, settings
from tundish.kernel.records import Record

Progress = Callable[[str], None]
MOST_CLASSES = 30


class PartReport(Record):
    """One part of a loaded set.

    Attributes:
        rows: Records, pictures, texts or problems.
        columns: Of a table, else 0.
        missing: Cells of a table without a value.
        units: Column (or tag) -> unit.
        roles: Role -> names of its columns; signals are counted, not named.
        labels: Column (or ``box``, ``picture``, ``text``) -> class -> how many; columns
            with more than 30 classes are names, and left out.
        file: Where it was written, if it was.
    """

    name: str
    kind: str
    about: str
    rows: int
    columns: int = 0
    missing: int = 0
    units: dict[str, str] = Field(default_factory=dict)
    roles: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    labels: dict[str, dict[str, int]] = Field(default_factory=dict)
    file: str = ""


class LoadReport(Record):
    """What was loaded, and on which terms.

    Attributes:
        absent: Parts of which no file is there.
    """

    key: str
    name: str
    folder: str
    parts: tuple[PartReport, ...]
    absent: tuple[str, ...]
    licence: str
    licence_class: str
    caveats: tuple[str, ...]


def load_set(
    key: str,
    *,
    mirror: Path | None = None,
    out: Path | None = None,
    partial: bool = False,
    progress: Progress | None = None,
) -> LoadReport:
    """Load a set, checked against its entry.

    Args:
        key: Of the catalogue, or an entry of one's own.
        mirror: Where to take it from: ``MIRROR/KEY/FILE`` is read where it lies,
            anything else is fetched as ``fetch`` does.
        out: A new or empty folder for its tables as Parquet, units in the metadata.
        partial: Leave out parts of which no file is there.
        progress: Told what is being done.

    Raises:
        UnknownNameError: if the catalogue has no such set.
        SetUnfitError: if it is not as its entry says.
        DigestMismatchError: if a file in the mirror is not the pinned one.
        OutExistsError: if ``out`` holds something.
    """
    entry = library.dataset(key)
    if out is not None:
        refuse_used(out)
    folder = folder_of(entry, key, mirror, progress)
    loaded = load(entry, folder, partial=partial, progress=progress)
    written = _written(loaded, entry, out)
    return LoadReport(
        key=entry.key,
        name=entry.name.en,
        folder=str(folder),
        parts=tuple(_parts(loaded, entry, written)),
        absent=loaded.absent,
        licence=entry.licence.name,
        licence_class=entry.licence.kind,
        caveats=entry.caveats,
    )


def folder_of(
    entry: DatasetEntry, name: str, mirror: Path | None, progress: Progress | None
) -> Path:
    """Return where the files of a set lie: in a mirror by its key, else as fetched.

    Raises:
        DigestMismatchError: if a file there is not the pinned one.
        LicenceNotAcceptedError: if the set's terms must be accepted and were not.
    """
    if mirror is None or not (mirror / entry.key).is_dir():
        return of_catalogue(name, mirror=mirror, progress=progress).root
    folder = mirror / entry.key
    terms.admit(entry, settings.cache_dir())
    refuse_changed(entry, library.files_of(name), folder)
    return folder


def refuse_changed(
    entry: DatasetEntry, listed: tuple[PinnedFile, ...], folder: Path
) -> None:
    """Refuse a folder of a set in which a file has other bytes than are pinned.

    Args:
        entry: The set.
        listed: Its list of files, if it has one.
        folder: Where they lie under their names. Untrusted.

    Raises:
        DigestMismatchError: naming the first one.
    """
    for name, wanted in _pinned(entry, listed, folder).items():
        path = paths.join(folder, name)
        if wanted and path.is_file() and digest.of_file(path) != wanted:
            msg = f"{name} in {folder} is not the file that the catalogue pins: its SHA-256 differs."
            raise DigestMismatchError(msg)


def _pinned(
    entry: DatasetEntry, listed: tuple[PinnedFile, ...], folder: Path
) -> dict[str, str | None]:
    """Return name -> pinned digest of a set's files in a folder, as far as it is known."""
    if entry.source.kind == "wheel":
        return dict(wheel.names_of(entry))
    if entry.source.kind != "hand":
        return {file.name: f"sha256:{file.sha256}" for file in listed}
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    known = hand.known_digests(entry, names)
    return {name: f"sha256:{known[name]}" for name in names if name in known}


def _written(
    loaded: LoadedSet, entry: DatasetEntry, out: Path | None
) -> dict[str, str]:
    if out is None:
        return {}
    facts = {"set": entry.key, "licence": entry.licence.name}
    with new_folder(out) as made:
        for name, table in loaded.tables.items():
            write_table(table, made / f"{name}.parquet", facts)
    return {name: str(out / f"{name}.parquet") for name in loaded.tables}


def _parts(
    loaded: LoadedSet, entry: DatasetEntry, written: dict[str, str]
) -> list[PartReport]:
    about = {name: form.about or "" for name, form in entry.load.items()}
    found = [
        _table(table, about[name], written.get(name, ""))
        for name, table in loaded.tables.items()
    ]
    for name, album in loaded.pictures.items():
        found.append(
            PartReport(
                name=name,
                kind="pictures",
                about=about[name],
                rows=len(album.pictures),
                labels={_kind_of(entry, name): album.labels},
            )
        )
    for name, texts in loaded.texts.items():
        found.append(
            PartReport(
                name=name,
                kind="texts",
                about=about[name],
                rows=len(texts.items),
                labels={"text": texts.labels} if texts.labels else {},
            )
        )
    for name, problems in loaded.instances.items():
        found.append(
            PartReport(
                name=name,
                kind="instances",
                about=about[name],
                rows=len(problems.instances),
            )
        )
    order = list(entry.load)
    return sorted(found, key=lambda part: order.index(part.name))


def _kind_of(entry: DatasetEntry, name: str) -> str:
    form = entry.load[name]
    return (
        "box" if isinstance(form, PictureForm) and form.label == "boxes" else "picture"
    )


def _table(table: LoadedTable, about: str, file: str) -> PartReport:
    roles: dict[str, tuple[str, ...]] = {}
    for column in table.columns:
        if column.role != "signal":
            roles[column.role] = (*roles.get(column.role, ()), column.name)
    labels = {}
    for name in table.of_role("label") if table.kind == "table" else []:
        counts = table.frame[name].drop_nulls().alias("label").value_counts(sort=True)
        if len(counts) <= MOST_CLASSES:
            labels[name] = {str(label): int(n) for label, n in counts.iter_rows()}
    return PartReport(
        name=table.name,
        kind=table.kind,
        about=about,
        rows=table.frame.height,
        columns=table.frame.width,
        missing=table.missing,
        units={**table.units, **table.described},
        roles=roles,
        labels=labels,
        file=file,
    )
