"""When this machine first saw a document, by its own ledger under a signed checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tundish.kernel import clock
from tundish.kernel.digest import Digest
from tundish.ledger.log import Ledger
from tundish.ledger.note import NoteVerifier

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


def first_seen(
    ledger: Ledger, verifiers: Sequence[NoteVerifier], document: Digest
) -> datetime | None:
    """Return when a document was first verified, opened or made here.

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
        if seen and entry.act in SAW and entry.outcome == "done":
            return latest
    return None
