"""Fetch a data set of the catalogue, or locate files of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.data import fetch as fetching
from tundish.data.version import DataVersion, version_of
from tundish.flows.errors import WorkspaceMissingError
from tundish.flows.workspace import Workspace, find
from tundish.kernel import settings
from tundish.kernel.digest import Digest
from tundish.kernel.errors import PathMissingError
from tundish.kernel.records import Record

if TYPE_CHECKING:
    # a certificate is checked where no table can be read
    from tundish.data.card.beside import Known

Progress = Callable[[str], None]


class FetchReport(Record):
    """What was fetched, where it lies, and on which terms."""

    key: str
    name: str
    folder: str
    files: tuple[str, ...]
    digest: str
    licence: str
    licence_class: str
    citation: str
    caveats: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Located:
    """Files that a verb works on.

    Attributes:
        root: The folder of the files.
        place: The file or folder that was named.
        name: What people call it: a catalogue key, or the file's or folder's name.
        entry: The catalogue's entry, if it is one of its sets.
        fetched: Its version, if it was computed while fetching.
        progress: Told while the version is computed.
        card: Its card, if it is a registered set.
    """

    root: Path
    place: Path
    name: str
    entry: DatasetEntry | None = None
    fetched: DataVersion | None = None
    progress: Progress | None = None
    card: Known | None = None

    @cached_property
    def version(self) -> DataVersion:
        """The version of the data set: read once, when first asked for.

        Raises:
            PathMissingError, UnsafePathError: see ``data.version.version_of``.
        """
        return self.fetched or version_of(self.place, progress=self.progress)

    @property
    def digest(self) -> Digest:
        """What names the data set in runs, grades, certificates and the ledger."""
        return Digest(self.version.digest)

    @property
    def licence(self) -> str | None:
        """The licence as stated, if known."""
        return self.entry.licence.name if self.entry else None


def fetch(
    key: str,
    *,
    mirror: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> FetchReport:
    """Fetch a data set through pip's configuration or from a mirror folder.

    Every byte is checked against the pinned digests; a set that is in the cache is
    checked again and not fetched. With a workspace, the act is in its ledger.

    Raises:
        UnknownNameError: if the catalogue has no such set.
    """
    entry = library.dataset(key)
    fetched = fetching.fetch(
        entry,
        cache=settings.cache_dir(),
        mirror=mirror,
        progress=progress,
        offline=_cut_off(workspace),
    )
    if workspace is not None:
        workspace.record(
            "data-fetched",
            outputs=[fetched.digest],
            names={fetched.digest: key},
            detail={"source": entry.source.sha256, "licence": entry.licence.name},
        )
    return FetchReport(
        key=key,
        name=entry.name.en,
        folder=str(fetched.folder),
        files=tuple(sorted(fetched.files)),
        digest=fetched.digest,
        licence=entry.licence.name,
        licence_class=entry.licence.kind,
        citation=entry.citation,
        caveats=entry.caveats,
    )


def _cut_off(workspace: Workspace | None) -> bool:
    """Tell whether the workspace, or else the one around this folder, is air-gapped."""
    if workspace is None:
        try:
            workspace = find(Path())
        except WorkspaceMissingError:
            return settings.air_gapped()
    return workspace.air_gap is not None


def locate(
    data: str, *, mirror: Path | None = None, progress: Progress | None = None
) -> Located:
    """Return the files that a name or path stands for; fetches a catalogue set.

    Raises:
        PathMissingError: if it is neither a data set of the catalogue nor a path.
    """
    path = Path(data)
    if data in library.names(DatasetEntry) and not path.exists():
        entry = library.dataset(data)
        got = fetching.fetch(
            entry,
            cache=settings.cache_dir(),
            mirror=mirror,
            progress=progress,
            offline=_cut_off(None),
        )
        return Located(
            root=got.folder,
            place=got.folder,
            name=data,
            entry=entry,
            fetched=got.version,
        )
    if path.is_dir() or path.is_file():
        return Located(
            root=path if path.is_dir() else path.parent,
            place=path,
            name=path.resolve().name if path.is_dir() else path.name,
            progress=progress,
        )
    known = ", ".join(library.names(DatasetEntry))
    msg = f"There is nothing at {data}, and no data set of that name in the catalogue ({known})."
    raise PathMissingError(msg)
