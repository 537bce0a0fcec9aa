"""What the ledger refuses, one page each."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class LedgerLockedError(MachineError):
    """Another process holds the ledger's file locked.

    What happened: the database stayed locked longer than Tundish waits for it.
    Nothing was written.

    What to do: end the other command (or close the database browser) and give
    this command again.
    """

    code = "ledger-locked"
    default_advice = "End the other process that holds the ledger and try again."


class LedgerUnreadableError(MachineError):
    """The ledger's file is empty, damaged or no ledger at all.

    What happened: the file at the ledger's place is not an SQLite database that
    Tundish wrote, or the disk does not let Tundish read or write it.

    Why: starting a new ledger over it would hide what was lost.

    What to do: check the path; if the file was damaged, put back a copy and run
    ``tundish ledger verify`` on it.
    """

    code = "ledger-unreadable"
    default_advice = "Check the path, or put back a copy and verify it."


class LedgerTamperedError(RefusedError):
    """The ledger does not match what was signed.

    What happened: an entry was changed, moved or dropped, or a checkpoint does
    not fit the entries, or its signature is wrong.

    Why: from the place named on, the record proves nothing any more.

    What to do: keep the file as evidence, put back a copy that verifies, and
    find out who could write to it.
    """

    code = "ledger-tampered"
    default_advice = "Keep this file as evidence and put back a copy that verifies."


class ProofInvalidError(RefusedError):
    """A Merkle proof does not show what it claims.

    What happened: recomputing the tree from the proof gives another root.

    What to do: ask for the proof again; if it fails again, treat the log that
    gave it as tampered.
    """

    code = "proof-invalid"
    default_advice = "Ask for the proof again; if it fails again, distrust the log."


class NoteMalformedError(RefusedError):
    """A signed note or checkpoint is not written as C2SP lays down.

    What happened: a line, a number or a base64 text in it has another form than
    the one Tundish would write.

    What to do: fetch the checkpoint again from where it was signed.
    """

    code = "note-malformed"
    default_advice = "Fetch the checkpoint again from where it was signed."


class EntryInvalidError(UsageError):
    """An act cannot be written to the ledger as it was given.

    What happened: a field has the wrong form, or the entry is too large. Entries
    hold digests, names and numbers, never data.

    What to do: mend the caller; the message names the field.
    """

    code = "entry-invalid"
    default_advice = "Give digests, names and numbers only, in the form named."


class EntryMissingError(UsageError):
    """The ledger has no entry, or no tree, of the number asked for.

    What to do: ask for a number below the ledger's size.
    """

    code = "entry-missing"
    default_advice = "Ask for a number below the ledger's size."
