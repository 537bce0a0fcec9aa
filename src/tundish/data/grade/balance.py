"""Q15 and Q16: are the classes balanced, and how many machines or batches count?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tundish.data.grade.report import Finding
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Notes, Tally
from tundish.data.grade.trial import Trial, skill

RARE = 10
MOST_CLASSES = 50
_SHOWN = 5


def class_balance(sheets: Sequence[Sheet], task: str) -> Tally:
    """Return the normalised entropy of the class counts (1: all alike, 0: one class)."""
    if task != "diagnose":
        return Tally(id="Q15", bad=0, of=0, detail="the target is no class")
    counts: dict[str, int] = {}
    for sheet in sheets:
        if sheet.labels is None:
            continue
        known = sheet.labels.values[np.isfinite(sheet.labels.values)]
        for code, count in zip(*np.unique(known, return_counts=True), strict=True):
            name = sheet.labels.class_name(float(code))
            counts[name] = counts.get(name, 0) + int(count)
    if not 2 <= len(counts) <= MOST_CLASSES:
        return Tally(
            id="Q15", bad=0, of=0, detail=f"{len(counts)} classes are no classes"
        )
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shares = np.array([count for _, count in ranked]) / sum(counts.values())
    named = ", ".join(f"{name}: {count:,}" for name, count in ranked[:_SHOWN])
    more = f" and {len(ranked) - _SHOWN} more" if len(ranked) > _SHOWN else ""
    rare = [(name, count) for name, count in ranked if count < RARE]
    return Tally(
        id="Q15",
        bad=len(rare),
        of=len(ranked),
        detail=f"{named}{more}; {ranked[0][1] / ranked[-1][1]:.3g} to 1",
        value=float(-(shares * np.log(shares)).sum() / np.log(len(shares))),
        findings=_rare(sheets, rare),
    )


def _rare(sheets: Sequence[Sheet], rare: list[tuple[str, int]]) -> tuple[Finding, ...]:
    """Name classes with too few rows to be learned and judged."""
    labelled = [sheet for sheet in sheets if sheet.labels is not None]
    if not rare or not labelled:
        return ()
    found: list[Finding] = []
    for sheet in labelled:
        labels = sheet.labels
        if labels is None or len(labels.values) != sheet.rows:
            continue
        notes = Notes(sheet, "Q15")
        names = {name for name, _ in rare}
        codes = [c for c in np.unique(labels.values) if np.isfinite(c)]
        few = [c for c in codes if labels.class_name(float(c)) in names]
        rows = np.flatnonzero(np.isin(labels.values, few))
        if len(rows):
            said = ", ".join(f"{name} {count}" for name, count in rare[:_SHOWN])
            notes.add(
                "rare-class",
                notes.over(labels.name, rows),
                f"Classes of {labels.name} with fewer than {RARE} rows ({said}) can be "
                "neither learned nor judged.",
                "Collect more of them, or join them to a class that is alike.",
            )
        found += notes.found
    return tuple(found)


def unit_diversity(sheets: Sequence[Sheet]) -> Tally:
    """Return how many units count in effect (inverse Simpson), as a share of all."""
    counts: list[int] = []
    for sheet in sheets:
        if sheet.group is not None:
            counts += np.unique(sheet.group, return_counts=True)[1].tolist()
    if len(counts) < 2:
        return Tally(id="Q16", bad=0, of=0, detail="one unit, or none is named")
    shares = np.array(counts) / sum(counts)
    effective = float(1 / (shares**2).sum())
    return Tally(
        id="Q16",
        bad=0,
        of=len(counts),
        detail=f"{len(counts)} units, of which {effective:.3g} count in effect; "
        f"the largest holds {shares.max():.0%} of the rows",
        value=effective / len(counts),
    )


def unit_gap(held_out: Trial, mixed: Trial) -> str:
    """Say what skill is lost on units that the model never saw.

    Args:
        held_out: Judged on units left out.
        mixed: Judged on rows left out at random.
    """
    new = skill(held_out.errors, held_out.before)
    same = skill(mixed.errors, mixed.before)
    return (
        f"skill {same:.2f} on further rows of known units, {new:.2f} on new units: "
        f"a gap of {same - new:.2f}"
    )
