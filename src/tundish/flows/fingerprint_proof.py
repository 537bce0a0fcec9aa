"""Proof that a fingerprint is the one that was committed, before its model went out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tundish.flows.errors import FingerprintLateError, FingerprintUncommittedError
from tundish.flows.ledger import verify_ledger
from tundish.flows.workspace import Workspace
from tundish.kernel.digest import Digest, short
from tundish.kernel.records import Record
from tundish.ledger import merkle, note, record
from tundish.ledger.record import Entry

COMMITTED, SEALED, TRAINED = "fingerprint-committed", "package-sealed", "trained"


class Proof(Record):
    """That a commitment stands in the ledger, for anybody to check again.

    Attributes:
        commitment: The salted digest of the fingerprint.
        entry: Number of its ledger entry; ``at``: the entry's time; ``body``: its
            canonical bytes, whose leaf hash is proven.
        size, root: Of the tree under the checkpoint.
        hashes: The inclusion proof (RFC 9162), hex.
        checkpoint: The signed note over size and root.
        packages: Packages sealed later that name the commitment, by their digest.
    """

    commitment: str
    entry: int
    at: str
    body: str
    size: int
    root: str
    hashes: tuple[str, ...]
    checkpoint: str
    packages: tuple[str, ...]


def committed(entries: Iterable[tuple[int, Entry]], graph: str) -> Digest | None:
    """Return the newest commitment of a graph's fingerprints, if there is one."""
    found = [
        entry.outputs[0]
        for _, entry in entries
        if entry.act == COMMITTED and entry.detail.get("graph") == graph
    ]
    return found[-1] if found else None


def require_in_time(
    entries: Sequence[tuple[int, Entry]],
    run: Digest | None,
    before: int,
    graph: str = "",
) -> None:
    """Refuse a commitment that comes after a package of its run, or of the same graph.

    Args:
        entries: Of the ledger.
        run: Digest of the run; None if a graph was given as a file.
        before: Number of the commitment's entry, or of the one that would be made.
        graph: Digest of the model's graph; every run counts that gave it.

    Raises:
        FingerprintLateError: naming the package that was sealed first.
    """
    runs = {run} | {
        made
        for _, entry in entries
        if entry.act == TRAINED and graph in entry.outputs
        for made in entry.outputs
    }
    for index, entry in entries:
        early = index < before and entry.act == SEALED and entry.outcome == "done"
        same = graph and entry.detail.get("graph") == graph
        if early and (same or not runs.isdisjoint(entry.inputs)):
            name = entry.names.get(entry.outputs[0], short(entry.outputs[0]))
            msg = f"The package {name} was sealed (entry {index}) before a fingerprint of its model was committed."
            raise FingerprintLateError(msg)


def prove(
    workspace: Workspace,
    commitment: Digest,
    run: Digest | None,
    graph: Digest,
    witnessed: Sequence[Path] = (),
) -> Proof:
    """Prove a commitment from the whole ledger, its checkpoints and one inclusion proof.

    Args:
        workspace: Whose ledger.
        commitment: What must stand in it.
        run: Digest of the run that the fingerprint speaks of.
        graph: Digest of its graph.
        witnessed: Files with checkpoints that were kept elsewhere.

    Raises:
        LedgerTamperedError: if the ledger does not hold.
        FingerprintUncommittedError: if the commitment is not in it.
        FingerprintLateError: if a package of the run or graph was sealed before.
    """
    verify_ledger(workspace, witnessed)
    with workspace.ledger() as ledger:
        entries = list(ledger.entries())
        signed = ledger.checkpoints()[-1]
        claim = note.read_checkpoint(
            note.verify_note(signed, workspace.verifiers()).text
        )
        place = _place(entries, commitment)
        hashes = ledger.inclusion_proof(place, claim.size)
    require_in_time(entries, run, place, graph)
    body = record.encode(entries[place][1])
    merkle.verify_inclusion(
        merkle.leaf_hash(body),
        index=place,
        size=claim.size,
        proof=hashes,
        root=claim.root,
    )
    return Proof(
        commitment=commitment,
        entry=place,
        at=entries[place][1].at,
        body=body.decode(),
        size=claim.size,
        root=claim.root.hex(),
        hashes=tuple(item.hex() for item in hashes),
        checkpoint=signed,
        packages=tuple(
            entry.outputs[0]
            for _, entry in entries
            if entry.act == SEALED and entry.detail.get("fingerprint") == commitment
        ),
    )


def _place(entries: Sequence[tuple[int, Entry]], commitment: Digest) -> int:
    for index, entry in entries:
        if entry.act == COMMITTED and commitment in entry.outputs:
            return index
    msg = f"The ledger has no commitment {short(commitment)}."
    raise FingerprintUncommittedError(msg)
