"""Mirrors of data sets: made for a USB stick, and proven to the byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.data.errors import DigestMismatchError
from tundish.data.fetch import copying
from tundish.data.fetch.cache import Told, alone
from tundish.data.fetch.mirror import Mirror
from tundish.data.fetch.proof import Prover, SetProof
from tundish.flows.errors import SetAbsentError
from tundish.flows.fetch import Wish, how_of, refuse_size, refuse_terms
from tundish.flows.workspace import Workspace
from tundish.kernel import settings
from tundish.kernel.records import Record

Progress = Callable[[str, float], None]


class MirrorReport(Record):
    """What was put into a mirror.

    Attributes:
        folder: The mirror.
        sets: Keys that are in it now through this command.
        files: Of these sets.
        bytes: Of these files; one that several sets share is counted for each.
        held: How many sets the index names in all.
    """

    folder: str
    sets: tuple[str, ...]
    files: int
    bytes: int
    held: int


class ProofReport(Record):
    """What a folder holds of the catalogue's sets.

    Attributes:
        folder: The folder.
        sets: Those of which something is there, by key.
        absent: Keys of those of which nothing is.
        named: Whether sets were asked for by name: then all of them must be whole.
    """

    folder: str
    sets: tuple[SetProof, ...]
    absent: tuple[str, ...]
    named: bool

    @property
    def proven(self) -> int:
        """How many files have the pinned digest."""
        return sum(one.files for one in self.sets)

    def require(self) -> None:
        """Refuse a folder with other bytes than are pinned.

        Raises:
            DigestMismatchError: if a file that is there is not the pinned one, or the
                mirror's own index promises more than there is.
            SetAbsentError: if a set that was asked for by name is not there as a whole,
                or nothing of any set is: nothing was proven.
        """
        bad = [one for one in self.sets if one.result == "differs"]
        if bad:
            first = bad[0]
            what = first.why or f"{first.wrong[0]} has other bytes than are pinned"
            msg = f"{len(bad)} of {len(self.sets)} sets in {self.folder} differ: {first.key}, where {what}."
            raise DigestMismatchError(msg)
        short = [one.key for one in self.sets if one.result != "proven"]
        lacking = (*self.absent, *short)
        if self.named and lacking:
            msg = f"{self.folder} does not hold all of {', '.join(lacking[:5])}."
            raise SetAbsentError(msg)
        if not self.sets:
            msg = f"{self.folder} holds nothing of the {len(self.absent)} sets of the catalogue, so that nothing was proven."
            advice = "Name the folder of a mirror, or the set whose files lie loose in this one."
            raise SetAbsentError(msg, advice=advice)


def mirror_sets(
    out: Path,
    keys: Sequence[str],
    wish: Wish,
    workspace: Workspace | None = None,
    told: Told | None = None,
) -> MirrorReport:
    """Put sets into a folder by digest, with an index: for a plant without a network.

    What is there already stays, so that a broken copy goes on and sets can be added.

    Args:
        out: The folder; made if absent.
        keys: Of the catalogue.
        wish: From where they come, and on which terms.
        workspace: Whose ledger keeps accepted terms; an air-gapped one asks nobody.
        told: Told what is being done, and which share of a set is behind.

    Raises:
        As ``flows.fetch.fetch_sets``; a set fetched by hand must be in the cache.
    """
    found = [(library.dataset(key), library.files_of(key)) for key in keys]
    refuse_terms([entry for entry, _ in found], wish, workspace)
    refuse_size([entry for entry, _ in found], wish)
    copying.sets_in(out)  # somebody else's index is not written over
    how = how_of(wish, workspace, told)
    if wish.mirror is not None:
        Mirror.at(wish.mirror)  # a slip in its name makes no new folder
    files = size = held = 0
    with alone(out, how.told):
        for entry, listed in found:
            one = copying.add(entry, listed, out, settings.cache_dir(), how)
            held = len(copying.note(out, entry.key, one).sets)
            files += len(one.files)
            size += sum(file.bytes for file in one.files.values())
    return MirrorReport(
        folder=str(out),
        sets=tuple(entry.key for entry, _ in found),
        files=files,
        bytes=size,
        held=held,
    )


def verify_sets(
    keys: Sequence[str], mirror: Path | None = None, progress: Progress | None = None
) -> ProofReport:
    """Prove what a folder holds of the catalogue's sets; nobody is asked.

    Args:
        keys: Of the catalogue; all of it if there are none.
        mirror: The folder: what ``mirror_sets`` wrote, a cache, or a folder for each
            set. Default: the cache.
        progress: Told which set is read.

    Raises:
        PathMissingError: if there is no such folder.
        MirrorInvalidError: if its index is none.
    """
    folder = mirror or settings.cache_dir()
    names = list(keys) or library.names(DatasetEntry)
    tell = progress or (lambda _text, _share: None)
    proofs = []
    prover = Prover(mirror=Mirror.at(folder), named=bool(keys))
    for number, name in enumerate(names):
        tell(name, number / len(names))
        proofs.append(prover.prove(library.dataset(name), library.files_of(name)))
    return ProofReport(
        folder=str(folder),
        sets=tuple(one for one in proofs if one.result != "absent"),
        absent=tuple(one.key for one in proofs if one.result == "absent"),
        named=bool(keys),
    )
