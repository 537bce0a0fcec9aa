"""Q24, Q25, Q28 and Q30: what a card says of a set, and what it leaves out.

Without a card none of them is measured, and the gate ``card`` stays open: a bare export
is not worse data than the same export with half a card. With one, they cost at most the
letter A: paper never makes good data bad.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tundish.data.card.beside import Known
from tundish.data.card.completeness import missing
from tundish.data.grade.report import Gate, percent
from tundish.data.grade.sheet import Series, Sheet
from tundish.data.grade.tally import Notes, Tally
from tundish.data.grade.verdict import gate

NO_CARD = "no card was used: 'tundish data card FILE --template' writes one to fill in"
SHOWN = 6
_GENERATED = ("simulated", "synthetic")
_FLAG = re.compile(
    r"^(is[ _-]?)?(synthetic|generated|simulated|augmented|artificial)$", re.IGNORECASE
)


def provenance(known: Known | None, sheets: Sequence[Sheet]) -> Tally:
    """Count the facts of origin: source, digest, licence, time, method."""
    if known is None:
        return Tally(id="Q24", bad=0, of=0, detail=NO_CARD)
    card = known.card
    timed = any(sheet.us is not None and not sheet.elapsed for sheet in sheets)
    facts = {
        "source": bool(card.sources or card.creator or card.citation),
        "digest": known.fits is True,
        "licence": card.licence is not None,
        "time": timed or card.period is not None,
        "method": card.collection is not None or card.raw_data is not None,
    }
    absent = [name for name, there in facts.items() if not there]
    detail = f"unknown: {', '.join(absent)}" if absent else "all five are known"
    return Tally(id="Q24", bad=len(absent), of=len(facts), detail=detail)


def generated(known: Known | None, sheets: Sequence[Sheet]) -> list[Tally]:
    """Count rows that were computed and are not said to be.

    Rows count as computed only if a column says so; nothing is guessed from values.
    """
    card = known.card if known else None
    declared = card is not None and (
        card.origin is not None or card.generated_share is not None
    )
    share = _declared_share(known)
    tallies = []
    for sheet in sheets:
        flagged = [one for one in sheet.series if _is_flag(one)]
        if not flagged and not declared:
            why = (
                "nobody said whether it was measured or generated (origin in the card)"
            )
            tallies.append(Tally(id="Q25", bad=0, of=0, detail=why))
            continue
        notes = Notes(sheet, "Q25")
        rows = np.flatnonzero(flagged[0].values == 1) if flagged else np.zeros(0, int)
        hidden = declared and len(rows) > 0 and share == 0
        if hidden:
            notes.add(
                "undeclared-synthetic",
                notes.over(flagged[0].tag, rows),
                f"{len(rows):,} rows are marked as generated, and the card says that "
                "the set was measured.",
                "State generated_share in the card, or take these rows out.",
            )
        detail = (
            f"{percent(len(rows) / sheet.rows)} of the rows are marked by {flagged[0].tag}"
            if flagged
            else _said(known, share)
        )
        bad = len(rows) if hidden else 0
        tallies.append(
            Tally(
                id="Q25",
                bad=bad,
                of=sheet.rows,
                detail=detail,
                findings=tuple(notes.found),
            )
        )
    return tallies


def complete(known: Known | None, sheets: Sequence[Sheet]) -> Tally:
    """Count what the card says of the checklist after TC609-5-2025-04, 0101 to 0104."""
    if known is None:
        return Tally(id="Q28", bad=0, of=0, detail=NO_CARD)
    labels = any(sheet.labels is not None for sheet in sheets)
    left, asked = missing(known.card, labels=labels)
    detail = "nothing is left out"
    if left:
        more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        detail = f"the card leaves out {', '.join(left[:SHOWN])}{more}"
    return Tally(id="Q28", bad=len(left), of=asked, detail=detail)


def security_grade(known: Known | None) -> Tally:
    """Count the data-security grade, and its handling if it is more than general.

    A foreign card has no key for it: then it is not measured.
    """
    card = known.card if known else None
    if card is None or (card.security_grade is None and known and not known.own):
        why = NO_CARD if card is None else "the card's form has no key for it"
        return Tally(id="Q30", bad=0, of=0, detail=why)
    if card.security_grade is None:
        detail = "the card states none (security_grade: general, important or core)"
        return Tally(id="Q30", bad=1, of=1, detail=detail)
    if card.security_grade == "general":
        return Tally(id="Q30", bad=0, of=1, detail="general data")
    kept = card.handling is not None
    detail = f"{card.security_grade} data; " + (
        f"handled so: {card.handling}" if kept else "its handling is not stated"
    )
    return Tally(id="Q30", bad=0 if kept else 1, of=2, detail=detail)


def card_gate(known: Known | None, documented: Tally) -> Gate:
    """Return the gate of the card: open without one, or if it is of other bytes."""
    if known is None:
        return gate("card", held=None, detail=NO_CARD)
    if known.fits is False:
        detail = (
            f"{known.where} names another digest: it describes other bytes than these"
        )
        return gate("card", held=None, detail=detail)
    said = documented.of - documented.bad
    detail = f"{known.where} and the data tell {said} of {documented.of} things a card must tell"
    return gate("card", held=True, detail=detail)


def _is_flag(series: Series) -> bool:
    if not _FLAG.match(series.tag.strip()):
        return False
    known = series.values[np.isfinite(series.values)]
    return bool(np.isin(known, (0.0, 1.0)).all()) and len(known) > 0


def _declared_share(known: Known | None) -> float:
    if known is None:
        return 0.0
    if known.card.generated_share is not None:
        return known.card.generated_share
    return 1.0 if known.card.origin in _GENERATED else 0.0


def _said(known: Known | None, share: float) -> str:
    origin = known.card.origin if known else None
    if share == 0:
        return f"the card says: {origin or 'measured'}, nothing generated"
    return f"the card says: {origin or 'generated in part'}, {percent(share)} of the rows are computed"
