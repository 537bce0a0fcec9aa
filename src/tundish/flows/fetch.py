"""Fetch a data set of the catalogue, or locate files of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry, HandSource
from tundish.catalog.filelist import PinnedFile
from tundish.data.errors import ByHandError, FetchTooLargeError
from tundish.data.fetch import cache as cache_state
from tundish.data.fetch import obtain
from tundish.data.fetch.cache import Fetched, Told
from tundish.data.fetch.obtain import MOST_BYTES, How
from tundish.data.version import DataVersion, version_of
from tundish.flows import terms
from tundish.flows.errors import WorkspaceMissingError
from tundish.flows.workspace import Workspace, find
from tundish.kernel import settings
from tundish.kernel.digest import Digest
from tundish.kernel.errors import PathMissingError
from tundish.kernel.records import Record

if TYPE_CHECKING:
    # a certificate is checked where no table can be read
    from tundish.data.card.beside import Known
    from tundish.data.fetch.web import Patience

Progress = Callable[[str], None]


class FetchReport(Record):
    """What was fetched, where it lies, and on which terms.

    Attributes:
        terms: The licence as stated, its class, and where it stands.
        first_use: Names of files that nobody had pinned: what came first is trusted.
        from_cache: It was here already, and was checked again.
    """

    key: str
    name: str
    folder: str
    files: tuple[str, ...]
    digest: str
    licence: str
    licence_class: str
    terms: str
    citation: str
    caveats: tuple[str, ...]
    first_use: tuple[str, ...]
    from_cache: bool


@dataclass(frozen=True, kw_only=True)
class Located:
    """Files that a verb works on.

    Attributes:
        root: The folder of the files.
        place: The file or folder that was named.
        name: What people call it: a catalogue key, or the file's or folder's name.
        entry: The catalogue's entry, if it is one of its sets.
        listed: Its list of files, if it has one.
        fetched: Its version, if it was computed while fetching.
        progress: Told while the version is computed.
        card: Its card, if it is a registered set.
    """

    root: Path
    place: Path
    name: str
    entry: DatasetEntry | None = None
    listed: tuple[PinnedFile, ...] = ()
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
    def site(self) -> str | None:
        """The site profile that the catalogue names for it, if any."""
        hint = self.entry.grade if self.entry else None
        return hint.site if hint else None

    @property
    def licence(self) -> str | None:
        """The licence as stated, if known."""
        return self.entry.licence.name if self.entry else None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How sets are to be fetched.

    Attributes:
        mirror: A folder to take them from; then no network is used.
        by_hand: The folder that a person filled; for one set.
        accept_licence: A person accepts terms that must be accepted.
        most_bytes: What is not here yet may have so many together.
        patience: How long hosts are waited for.
    """

    mirror: Path | None = None
    by_hand: Path | None = None
    accept_licence: bool = False
    most_bytes: int = MOST_BYTES
    patience: Patience | None = None


def fetch(
    key: str,
    *,
    mirror: Path | None = None,
    accept_licence: bool = False,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> FetchReport:
    """Fetch one data set; see ``fetch_sets``.

    Raises:
        UnknownNameError: if the catalogue has no such set.
    """
    wish = Wish(mirror=mirror, accept_licence=accept_licence)
    return fetch_sets((key,), wish, workspace, _words_only(progress))[0]


def fetch_sets(
    keys: Sequence[str],
    wish: Wish,
    workspace: Workspace | None = None,
    told: Told | None = None,
) -> tuple[FetchReport, ...]:
    """Fetch data sets from their hosts, through pip, from a mirror or a folder.

    Every byte is checked against the pinned digests; a set that is in the cache is
    checked again and not fetched. Terms and sizes of all are looked at before the first
    byte is asked for. With a workspace, the acts are in its ledger.

    Args:
        keys: Of the catalogue, or files of entries with their lists beside them.
        wish: From where, on which terms, and how much.
        workspace: Whose ledger keeps it.
        told: Told what is being done, and which share of a set is behind.

    Raises:
        UnknownNameError: if the catalogue has no such set.
        LicenceNotAcceptedError, FetchTooLargeError: before anything is fetched.
        ByHandError: if a folder was given for several sets; and what
            ``data.fetch.obtain.fetch`` raises.
    """
    if wish.by_hand is not None and len(keys) != 1:
        msg = f"--from names the files of one set, and {len(keys)} are asked for."
        raise ByHandError(msg, advice="Import them one by one.")
    found = [(library.dataset(key), library.files_of(key)) for key in keys]
    refuse_terms([entry for entry, _ in found], wish, workspace)
    cache = settings.cache_dir()
    refuse_size(absent([entry for entry, _ in found]), wish)
    how = how_of(wish, workspace, told)
    return tuple(
        _one(entry, obtain.fetch(entry, files, cache, how), workspace)
        for entry, files in found
    )


def refuse_terms(
    entries: Sequence[DatasetEntry], wish: Wish, workspace: Workspace | None
) -> None:
    """Refuse all sets if the terms of one were not accepted.

    Raises:
        LicenceNotAcceptedError: with those terms.
    """
    cache = settings.cache_dir()
    clock = None if workspace is None else workspace.clock
    for entry in entries:
        terms.admit(
            entry,
            cache,
            accept=wish.accept_licence,
            workspace=workspace,
            clock=clock,
        )


def absent(entries: Sequence[DatasetEntry]) -> list[DatasetEntry]:
    """Return those that are not in the cache."""
    cache = settings.cache_dir()
    return [entry for entry in entries if not cache_state.is_there(entry, cache)]


def size_of(entries: Sequence[DatasetEntry]) -> int:
    """Return the pinned bytes of sets; those fetched by hand have none."""
    sources = [entry.source for entry in entries]
    return sum(s.bytes for s in sources if not isinstance(s, HandSource))


def refuse_size(entries: Sequence[DatasetEntry], wish: Wish) -> None:
    """Refuse sets that are together larger than allowed.

    Raises:
        FetchTooLargeError: if so.
    """
    size = size_of(entries)
    if size > wish.most_bytes:
        msg = f"{size:,} bytes are to be fetched, and {wish.most_bytes:,} are allowed."
        raise FetchTooLargeError(msg)


def how_of(wish: Wish, workspace: Workspace | None, told: Told | None) -> How:
    """Return how the data room fetches; an air-gapped workspace asks nobody."""
    return How(
        mirror=wish.mirror,
        by_hand=wish.by_hand,
        offline=_cut_off(workspace),
        most_bytes=wish.most_bytes,
        patience=wish.patience,
        told=told or (lambda _text, _share: None),
    )


def _one(entry: DatasetEntry, got: Fetched, workspace: Workspace | None) -> FetchReport:
    if workspace is not None:
        workspace.record(
            "data-fetched",
            outputs=[got.digest],
            names={got.digest: entry.key},
            detail={
                "source": cache_state.source_digest(entry),
                "licence": entry.licence.name,
                "class": entry.licence.kind,
                **({"first_use": len(got.first_use)} if got.first_use else {}),
            },
        )
    return FetchReport(
        key=entry.key,
        name=entry.name.en,
        folder=str(got.folder),
        files=tuple(sorted(got.files)),
        digest=got.digest,
        licence=entry.licence.name,
        licence_class=entry.licence.kind,
        terms=terms.text_of(entry),
        citation=entry.citation,
        caveats=entry.caveats,
        first_use=got.first_use,
        from_cache=not got.fresh,
    )


def _words_only(progress: Progress | None) -> Told | None:
    if progress is None:
        return None
    return lambda text, _share: progress(text)


def _cut_off(workspace: Workspace | None) -> bool:
    """Tell whether the workspace, or else the one around this folder, is air-gapped."""
    if workspace is None:
        try:
            workspace = find(Path())
        except WorkspaceMissingError:
            return settings.air_gapped()
    return workspace.air_gap is not None


def of_catalogue(
    name: str, *, mirror: Path | None = None, progress: Progress | None = None
) -> Located:
    """Return the files of a set, fetched as its entry pins them.

    Args:
        name: A key of the catalogue, or the file of an entry of one's own. A folder
            of that name counts for nothing.
        mirror: A folder to take them from; then no network is used.
        progress: Told what is being done.

    Raises:
        LicenceNotAcceptedError: if the set's terms must be accepted and were not;
            and what ``data.fetch.obtain.fetch`` raises.
    """
    entry = library.dataset(name)
    cache = settings.cache_dir()
    terms.admit(entry, cache)
    how = how_of(Wish(mirror=mirror), None, _words_only(progress))
    listed = library.files_of(name)
    got = obtain.fetch(entry, listed, cache, how)
    return Located(
        root=got.folder,
        place=got.folder,
        name=name,
        entry=entry,
        listed=listed,
        fetched=got.version,
    )


def locate(
    data: str, *, mirror: Path | None = None, progress: Progress | None = None
) -> Located:
    """Return the files that a name or path stands for; fetches a catalogue set.

    Raises:
        PathMissingError: if it is neither a data set of the catalogue nor a path.
        LicenceNotAcceptedError: if the set's terms must be accepted and were not.
    """
    path = Path(data)
    if data in library.names(DatasetEntry) and not path.exists():
        return of_catalogue(data, mirror=mirror, progress=progress)
    if path.is_dir() or path.is_file():
        return Located(
            root=path if path.is_dir() else path.parent,
            place=path,
            name=path.resolve().name if path.is_dir() else path.name,
            progress=progress,
        )
    near = ", ".join(get_close_matches(data, library.names(DatasetEntry), 3))
    like = f" (is it {near}?)" if near else ""
    msg = f"There is nothing at {data}, and no data set of that name in the catalogue{like}."
    raise PathMissingError(msg, advice="'tundish data list' names the sets.")
