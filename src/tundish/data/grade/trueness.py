"""Q10: do the signals go on meaning what they meant?

Drift against companions, a change of noise, a change of unit, exchanged tags, a tag
that falls behind: all are seen by comparing tags in blocks of rows (see ``blocks``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tundish.data.grade import drifting, switched
from tundish.data.grade.blocks import blocks
from tundish.data.grade.character import Character
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Notes, Tally


def true_signals(sheet: Sheet, tags: Sequence[Character]) -> Tally:
    """Count cells of live tags after a drift, a change of unit or noise, or an exchange.

    Only tables with times and at least 480 rows are judged, and only live tags.
    """
    parts = blocks(sheet, tags)
    if parts is None:
        why = "drift needs a time column, live tags and at least 480 rows"
        return Tally(id="Q10", bad=0, of=0, detail=why)
    notes = Notes(sheet, "Q10")
    bad = switched.note_switches(notes, parts)
    told = {name for f in notes.found for name in f.tag.split(", ")}
    apart = not (_one_after_another(sheet) and _even(sheet))
    if not apart:
        bad += drifting.note_noise(notes, parts)
        bad += drifting.note_drift(notes, parts)
    findings = tuple(
        f
        for f in notes.found
        if f.kind in {"swapped", "unit-switch"} or f.tag not in told
    )
    of = sum(tag.scan.count for tag in parts.tags)
    detail = f"{len(parts.tags)} live tags" + (
        "; drift and noise are not judged between units that run at the same time, nor where rows come as events do"
        if apart
        else ""
    )
    return Tally(id="Q10", bad=min(bad, of), of=of, detail=detail, findings=findings)


def _one_after_another(sheet: Sheet) -> bool:
    """Tell whether units (if there are any) follow each other in time."""
    if sheet.group is None or sheet.us is None:
        return True
    return bool((np.diff(sheet.us[sheet.order]) >= 0).all())


def _even(sheet: Sheet) -> bool:
    """Tell whether most rows follow each other at one pace, as signals do."""
    if sheet.us is None:
        return False
    steps = np.diff(sheet.us[sheet.order])
    steps = steps[steps > 0]
    if not len(steps):
        return False
    return (
        float(np.mean(np.abs(steps - np.median(steps)) <= 0.1 * np.median(steps))) > 0.6
    )
