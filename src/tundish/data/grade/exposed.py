"""Q26: persons and secrets in the cells, and the gate that keeps them in the plant."""

from __future__ import annotations

from collections.abc import Sequence

from tundish.data.grade.report import Gate
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Mend, Notes, Spot, Tally
from tundish.data.grade.verdict import gate
from tundish.data.privacy.look import Exposure

_KINDS = {"secret": "secret", "direct": "person", "quasi": "person-code"}
_MEND = {
    "secret": "Take the column out, and change the password or key: it has been seen.",
    "direct": "Take the column out, or replace each person by a number that is kept apart.",
    "quasi": "Leave the column out if the task does not need it, or number it anew.",
}
_COUNTED = {"secret", "direct", "quasi"}


def exposed(sheet: Sheet) -> Tally:
    """Count columns that hold persons or secrets."""
    notes = Notes(sheet, "Q26")
    counted = [one for one in sheet.exposures if one.severity in _COUNTED]
    for one in counted:
        example = f", such as {one.example}" if one.example else ""
        notes.add(
            _KINDS[one.severity],
            _spot(sheet, one),
            f"{one.column} holds {one.what}{example} ({len(one.rows):,} cells).",
            _MEND[one.severity],
        )
    mends = tuple(
        Mend(kind=_KINDS[e.severity], table=sheet.name, tags=(e.column,), rows=e.rows)
        for e in counted
    )
    return Tally(
        id="Q26",
        bad=len(counted),
        of=max(1, sheet.columns, len(counted)),
        detail=_detail(sheet),
        findings=tuple(notes.found),
        mends=mends,
    )


def secrets_gate(sheets: Sequence[Sheet]) -> Gate:
    """Fail on secrets and on what names a person; open on what may lead to one."""
    every = [one for sheet in sheets for one in sheet.exposures]
    for state, severities in ((False, {"secret", "direct"}), (None, {"quasi"})):
        held = [one for one in every if one.severity in severities]
        if held:
            named = "; ".join(f"{one.column} holds {one.what}" for one in held[:3])
            more = f"; and {len(held) - 3} more columns" if len(held) > 3 else ""
            crowds = "; ".join(filter(None, (_crowd(sheet) for sheet in sheets)))
            tail = f" ({crowds})" if crowds else ""
            return gate("secrets", held=state, detail=f"{named}{more}{tail}")
    detail = "no persons, passwords or keys were found in the cells"
    return gate("secrets", held=True, detail=detail)


def _detail(sheet: Sheet) -> str:
    informed = [e for e in sheet.exposures if e.severity == "inform"]
    said = [f"{e.column} holds {e.what}" for e in informed[:3]]
    crowd = _crowd(sheet)
    return "; ".join([*said, *([crowd] if crowd else [])])


def _crowd(sheet: Sheet) -> str:
    crowd = sheet.crowd
    if crowd is None:
        return ""
    told = ", ".join(crowd.columns[:4])
    if crowd.k > 1:
        return f"at least {crowd.k} persons share each {told}"
    return f"{crowd.alone:,} of {crowd.persons:,} persons are alone with their {told} (k = 1)"


def _spot(sheet: Sheet, one: Exposure) -> Spot:
    rows = one.rows
    if not len(rows):
        return Spot(
            tag=one.column, unit="", first="", last="", rows=1, total=sheet.rows
        )
    first, last = int(rows[0]), int(rows[-1])
    return Spot(
        tag=one.column,
        unit="",
        first=f"row {first + 1}",
        last=f"row {last + 1}",
        rows=len(rows),
        total=sheet.rows,
    )
