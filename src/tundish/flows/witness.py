"""When this machine first saw a signed document, by its own ledger under a checkpoint.

A package may be signed again later, by others, and keeps its digest: so acts that saw one
say by whom it was signed then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from tundish.kernel import clock
from tundish.kernel.digest import Digest
from tundish.ledger.log import Ledger
from tundish.ledger.note import NoteVerifier
from tundish.ledger.record import Entry
from tundish.model.package import Package

SAW = frozenset(
    {
        "package-sealed",
        "package-signed",
        "package-verified",
        "package-opened",
        "package-pulled",
        "grant-issued",
        "certificate-made",
        "certificate-verified",
    }
)


SIGNED_BY = "signed_by"


def signed_by(*packages: Package) -> dict[str, JsonValue]:
    """Return what an act says of packages that it saw: whose signatures were on them."""
    return {
        SIGNED_BY: {one.digest: [by.key.key_id for by in one.by] for one in packages}
    }


def first_seen(
    ledger: Ledger, verifiers: Sequence[NoteVerifier], document: Digest, key: Digest
) -> datetime | None:
    """Return when a document signed by a key was first verified, opened or made here.

    The whole ledger is proven first. Only entries under a signed checkpoint count, and
    an entry is taken to be no earlier than any entry before it: a clock that was set
    back for a while makes nothing older.

    Raises:
        LedgerTamperedError: if the ledger does not hold.
    """
    covered = ledger.verify(verifiers).covered
    latest: datetime | None = None
    for index, entry in ledger.entries():
        if index >= covered:
            return None
        at = clock.from_text(entry.at)
        latest = at if latest is None else max(latest, at)
        seen = document in entry.inputs or document in entry.outputs
        done = entry.act in SAW and entry.outcome == "done"
        if seen and done and _had_signed(entry, document, key):
            return latest
    return None


def _had_signed(entry: Entry, document: Digest, key: Digest) -> bool:
    """Tell whether a key had signed; an act that does not say by whom counts for all.

    Certificates and grants have one signer, and acts of earlier versions say nothing.
    """
    said = entry.detail.get(SIGNED_BY)
    keys = said.get(document) if isinstance(said, dict) else None
    return key in keys if isinstance(keys, list) else True
