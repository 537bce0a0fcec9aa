"""A data set's terms: shown, and accepted by a person where they need to be."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tundish.catalog.datasets import DatasetEntry
from tundish.data.card.licences import MEANING
from tundish.data.errors import LicenceNotAcceptedError
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, paths
from tundish.kernel import clock as clocks
from tundish.kernel import digest as digests
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record

CLOSED = frozenset({"N", "U"})
"""Classes that a person must have read: non-commercial, and nothing stated."""


class Acceptance(Record):
    """That somebody accepted a set's terms: ``accepted/KEY.json`` in the cache.

    Attributes:
        key: The set's.
        terms: Digest of the licence as the entry states it; other terms are asked for
            again.
        licence: Its name, for people.
        at: When, by the clock of this machine.
    """

    format: Literal["tundish.accepted-terms"] = "tundish.accepted-terms"
    version: Literal[1] = 1
    key: str
    terms: str
    licence: str
    at: str


def text_of(entry: DatasetEntry) -> str:
    """Return a licence as it is stated, its class, and where it stands."""
    licence = entry.licence
    meaning = MEANING[licence.kind]
    return f"{licence.name} (class {licence.kind}: {meaning}; stated in {licence.stated_in})"


def must_be_accepted(entry: DatasetEntry) -> bool:
    """Tell whether a person must have accepted the terms."""
    return entry.licence.kind in CLOSED


def is_accepted(entry: DatasetEntry, cache: Path) -> bool:
    """Tell whether these very terms were accepted here before, or need not be."""
    if not must_be_accepted(entry):
        return True
    try:
        data = paths.read_file(_place(entry, cache))
        canonical.loads_canonical(data)
        found = Acceptance.model_validate_json(data)
    except (TundishError, ValidationError):
        return False
    return (found.key, found.terms) == (entry.key, _terms(entry))


def admit(
    entry: DatasetEntry,
    cache: Path,
    *,
    accept: bool = False,
    workspace: Workspace | None = None,
    clock: Clock | None = None,
) -> None:
    """Let a set be fetched or used, if its terms were accepted or need not be.

    Args:
        entry: The set.
        cache: Where acceptance is remembered.
        accept: A person accepts them now; that is written down, and with a workspace
            it is in its ledger.
        workspace: Whose ledger keeps it.
        clock: Tells when.

    Raises:
        LicenceNotAcceptedError: with the terms in its sentence.
    """
    if is_accepted(entry, cache) and not (accept and must_be_accepted(entry)):
        return
    if not accept:
        msg = (
            f"{entry.key} is given under terms that must be accepted: {text_of(entry)}."
        )
        raise LicenceNotAcceptedError(msg)
    now = (clock or SystemClock()).now()
    kept = Acceptance(
        key=entry.key,
        terms=_terms(entry),
        licence=entry.licence.name,
        at=clocks.to_text(now),
    )
    paths.write_whole(_place(entry, cache), canonical.dumps(kept.to_json()))
    if workspace is not None:
        workspace.record(
            "licence-accepted",
            detail={
                "set": entry.key,
                "licence": entry.licence.name,
                "class": entry.licence.kind,
                "terms": kept.terms,
            },
        )


def _terms(entry: DatasetEntry) -> str:
    return digests.of_json(entry.licence.beyond_defaults())


def _place(entry: DatasetEntry, cache: Path) -> Path:
    return cache / "accepted" / f"{entry.key}.json"
