"""Verbs on the ledger: verify it, list it, follow a digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tundish.flows.workspace import Workspace
from tundish.kernel import digest as digests
from tundish.kernel import paths
from tundish.kernel.digest import Digest
from tundish.kernel.errors import PathMissingError
from tundish.ledger import lineage
from tundish.ledger.lineage import Reach
from tundish.ledger.log import LedgerReport
from tundish.ledger.record import Entry


def verify_ledger(workspace: Workspace, witnessed: Sequence[Path] = ()) -> LedgerReport:
    """Prove the ledger offline: every entry, every signed checkpoint.

    Args:
        workspace: Whose ledger.
        witnessed: Files with checkpoints of this ledger that were kept elsewhere.

    Raises:
        LedgerTamperedError: if anything does not fit.
    """
    notes = [
        paths.existing_file(path).read_text(encoding="utf-8") for path in witnessed
    ]
    with workspace.ledger() as ledger:
        return ledger.verify(workspace.verifiers(), witnessed=notes)


def list_ledger(workspace: Workspace) -> list[tuple[int, Entry]]:
    """Return the entries with their numbers, oldest first."""
    with workspace.ledger() as ledger:
        return list(ledger.entries())


def generated_in(done: Sequence[tuple[int, Entry]]) -> set[Digest]:
    """Return generated sets, and all that was made of them."""
    found: set[Digest] = set()
    for _, entry in done:  # what descends stands later in the ledger
        marked = entry.act == "data-generated" or entry.detail.get("generated") is True
        if marked or found & set(entry.inputs):
            found |= set(entry.outputs)
    return found


def latest_checkpoint(workspace: Workspace) -> str:
    """Return the newest signed checkpoint, to be kept elsewhere as a witness."""
    with workspace.ledger() as ledger:
        return ledger.checkpoints()[-1]


def reach(workspace: Workspace, name: str) -> Reach:
    """Return all that descends from a digest.

    Args:
        workspace: Whose ledger.
        name: A digest, the beginning of one (8 digits or more), or a file, whose
            digest is taken.

    Raises:
        PathMissingError: if the ledger knows no such digest.
    """
    entries = list_ledger(workspace)
    return lineage.reach(entries, resolve(entries, name))


def resolve(entries: Sequence[tuple[int, Entry]], name: str) -> Digest:
    """Return the digest that a name, a shortened digest or a file stands for."""
    known = {item for _, e in entries for item in (*e.inputs, *e.outputs)}
    called = {text: item for _, e in entries for item, text in e.names.items()}
    if name in called:
        return Digest(called[name])
    wanted = digests.hex_part(name)
    found = [
        item for item in sorted(known) if digests.hex_part(item).startswith(wanted)
    ]
    if len(wanted) >= 8 and len(found) == 1:
        return found[0]
    if Path(name).is_file():
        return digests.of_file(Path(name))
    names = ", ".join(sorted(called)[:8]) or "nothing yet"
    msg = f"The ledger knows no single thing called {name!r}; it knows {names}."
    raise PathMissingError(msg, advice="'tundish ledger log' lists what it knows.")
