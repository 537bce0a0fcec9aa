"""Q12 and Q27: units and licence, which stand beside the data and not in it."""

from __future__ import annotations

from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Tally

UNKNOWN_CLASS = "U"
CLASSES = {
    "A": "permissive",
    "A*": "permissive where it was found, an earlier origin states none",
    "B": "share-alike: read it before you ship what was made from it",
    "N": "research or non-commercial only: not for a product",
    "U": "unstated",
}


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


def licence_known(licence: str | None, kind: str | None) -> Tally:
    """Count the set's licence: known or not."""
    known = bool(licence) and kind != UNKNOWN_CLASS
    meaning = f" ({CLASSES[kind]})" if kind in CLASSES else ""
    return Tally(
        id="Q27",
        bad=0 if known else 1,
        of=1,
        detail=f"{licence}{meaning}" if licence else "nobody said",
    )
