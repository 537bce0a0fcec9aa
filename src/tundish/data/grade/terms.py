"""Q12 and Q27: units and licences, which stand beside the data and not in it."""

from __future__ import annotations

from datetime import UTC, date, datetime

from tundish.data.card.beside import Known
from tundish.data.card.card import CardLicence, LicenceKind, Use
from tundish.data.card.licences import MEANING, Judged, judge
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Tally
from tundish.data.times import SECOND


def units_known(sheet: Sheet) -> Tally:
    """Count tags whose unit of measurement is known."""
    every = [(s.tag, s.unit) for s in sheet.series] + [
        (s.tag, s.unit) for s in sheet.spectra
    ]
    absent = [tag for tag, unit in every if not unit]
    detail = f"no unit: {', '.join(absent[:5])}" if absent else ""
    if len(absent) > 5:
        detail += f" and {len(absent) - 5} more"
    return Tally(id="Q12", bad=len(absent), of=len(every), detail=detail)


def licences(
    licence: str | None,
    kind: str | None,
    known: Known | None,
    *,
    use: Use | None,
    now_us: int,
) -> Judged:
    """Hold the terms of a set and of its sources against each other and a use.

    Args:
        licence: As the user or the catalogue states it; it goes before the card's.
        kind: Its class, if it has one.
        known: The card, if there is one.
        use: What is meant to be done with the set, or ``None``.
        now_us: The present: terms may have an end.
    """
    card = known.card if known else None
    mine = card.licence if card else None
    if licence:
        classes: dict[str, LicenceKind] = {one: one for one in MEANING}
        mine = CardLicence(name=licence, kind=classes.get(kind or ""))
    named: list[tuple[str, CardLicence | None]] = [("the set", mine)]
    if card is not None:
        named += [(s.name, s.licence) for s in card.sources if s.licence is not None]
    judged = judge(named, use)
    broken = _broken_terms(known, use, now_us)
    if broken:
        return Judged(held=False, detail=broken, known=judged.known, of=judged.of)
    return judged


def licences_known(judged: Judged) -> Tally:
    """Count the parts of a set whose licence is known."""
    bad = judged.of - judged.known
    return Tally(id="Q27", bad=bad, of=judged.of, detail=judged.detail)


def _broken_terms(known: Known | None, use: Use | None, now_us: int) -> str:
    terms = known.card.terms if known else None
    if terms is None:
        return ""
    if terms.until is not None:
        today = datetime.fromtimestamp(now_us / SECOND, tz=UTC).date()
        if date.fromisoformat(terms.until) < today:
            return f"the owner allowed its use until {terms.until}"
    if use is not None and terms.uses and use not in terms.uses:
        return f"the owner allows {', '.join(terms.uses)}, and the use is {use}"
    return ""
