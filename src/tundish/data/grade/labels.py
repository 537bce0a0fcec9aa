"""Q03, Q14 and what else can be said of laboratory values and other labels."""

from __future__ import annotations

import numpy as np

from tundish.data.grade.report import Finding
from tundish.data.grade.sheet import Bools, Ints, Labels, Sheet
from tundish.data.grade.tally import Notes, Spot, Tally, spans

MIN_CONSTANT = 5
CONTINUOUS = 0.4


def labelled(sheet: Sheet) -> Tally:
    """Count labels that are there and belong to signals."""
    labels = sheet.labels
    if labels is None:
        return Tally(id="Q03", bad=0, of=0, scope="labels", detail="no target")
    notes = Notes(sheet, "Q03")
    known = np.isfinite(labels.values)
    lost = known & ~labels.joined
    if lost.any():
        rows = np.flatnonzero(lost)
        notes.add(
            "unlabelled",
            _spot(sheet, labels, rows),
            f"{len(rows):,} values of {labels.name} have no sound signal near their time.",
            "Export the signals around these times, or widen within_s in the site profile.",
        )
    empty = np.flatnonzero(~known)
    if len(empty):
        notes.add(
            "unlabelled",
            _spot(sheet, labels, empty),
            f"{len(empty):,} of {len(labels.values):,} values of {labels.name} are empty.",
            "Fill them in, or keep these rows for monitoring only.",
        )
    bad = int(lost.sum()) + len(empty)
    return _tally("Q03", bad, len(labels.values), labels, notes)


def label_range(sheet: Sheet) -> Tally:
    """Count labels outside the contract's range."""
    labels = sheet.labels
    if labels is None or labels.range is None:
        return Tally(id="Q04", bad=0, of=0, scope="labels")
    notes = Notes(sheet, "Q04")
    low, high = labels.range
    outside = np.flatnonzero((labels.values < low) | (labels.values > high))
    if len(outside):
        values = labels.values[outside]
        notes.add(
            "out-of-range",
            _spot(sheet, labels, outside),
            f"{len(outside):,} values of {labels.name} ({values.min():g} to "
            f"{values.max():g}) lie outside {low:g} to {high:g} {labels.unit}.",
            "Ask the laboratory, or correct the range in the scenario.",
        )
    known = int(np.isfinite(labels.values).sum())
    return _tally("Q04", len(outside), known, labels, notes)


def label_clipping(sheet: Sheet) -> Tally:
    """Look for a run of exactly equal labels: a detection limit, or a value copied on."""
    labels = sheet.labels
    if labels is None:
        return Tally(id="Q09", bad=0, of=0, scope="labels")
    notes = Notes(sheet, "Q09")
    order = _in_time(labels)
    values = labels.values[order]
    first, last = _longest_equal(values)
    length = last - first + 1
    others = values[(np.arange(len(values)) < first) | (np.arange(len(values)) > last)]
    known = int(np.isfinite(values).sum())
    if length < MIN_CONSTANT or not _continuous(others):
        return _tally("Q09", 0, known, labels, notes)
    value = float(values[first])
    if value == 0 and np.nanmin(values) >= 0:
        return _tally("Q09", 0, known, labels, notes)
    where = "last" if last == len(values) - 1 else "first" if first == 0 else ""
    side = ""
    if value in {np.nanmin(values), np.nanmax(values)}:
        side = (
            ", the "
            + ("lowest" if value == np.nanmin(values) else "highest")
            + " of all"
        )
    notes.add(
        "label-constant",
        _spot(sheet, labels, order[first : last + 1]),
        f"The {where + ' ' if where else ''}{length} values of {labels.name} are exactly "
        f"{value:g} {labels.unit}{side}: a detection limit, or a value copied on.",
        "Ask the laboratory; mark them as 'at most' (or leave them out of fit and judgement).",
    )
    return _tally("Q09", length, known, labels, notes)


def outside_fit(sheets: list[Sheet]) -> Tally:
    """Count labels of later parts outside the range of the labels that are fitted."""
    fitted: list[float] = []
    for sheet in sheets:
        labels = sheet.labels
        if labels is not None and labels.part is not None:
            inside = (labels.part == "fit") & np.isfinite(labels.values)
            fitted += labels.values[inside].tolist()
    if not fitted:
        return Tally(id="Q14", bad=0, of=0, scope="labels", detail="no fitted labels")
    low, high = min(fitted), max(fitted)
    bad = of = 0
    findings: list[Finding] = []
    for sheet in sheets:
        labels = sheet.labels
        if labels is None or labels.part is None:
            continue
        later = (
            (labels.part != "fit") & (labels.part != "") & np.isfinite(labels.values)
        )
        of += int(later.sum())
        notes = Notes(sheet, "Q14")
        above = later & (labels.values > high)
        below = later & (labels.values < low)
        bad += int(above.sum() + below.sum())
        for outside, side in ((above, "above"), (below, "below")):
            _note_outside(notes, labels, outside, (low, high), side)
        findings += notes.found
    detail = f"fitted labels span {low:g} to {high:g}"
    return Tally(
        id="Q14",
        bad=bad,
        of=of,
        scope="labels",
        detail=detail,
        findings=tuple(findings),
    )


def _note_outside(
    notes: Notes, labels: Labels, outside: Bools, span: tuple[float, float], side: str
) -> None:
    rows = np.flatnonzero(outside)
    if not len(rows):
        return
    values = labels.values[rows]
    parts = labels.part[rows] if labels.part is not None else np.zeros(0)
    said = ", ".join(f"{int((parts == p).sum())} in {p}" for p in np.unique(parts))
    notes.add(
        "outside-fit",
        _spot(notes.sheet, labels, rows),
        f"{len(rows):,} values of {labels.name} ({values.min():.3g} to {values.max():.3g} "
        f"{labels.unit}; {said}) lie {side} the fitted range {span[0]:.3g} to {span[1]:.3g}.",
        "Prepare fitting samples in this range; until then let the model abstain there.",
    )


def _spot(sheet: Sheet, labels: Labels, rows: Ints) -> Spot:
    ordered = rows if labels.us is None else rows[np.argsort(labels.us[rows])]
    return Spot(
        tag=labels.name,
        unit="",
        first=_where(sheet, labels, int(ordered[0])),
        last=_where(sheet, labels, int(ordered[-1])),
        rows=len(rows),
        total=len(labels.values),
        counted="labels",
        stretches=spans(sheet, rows)
        if labels.us is None and len(labels.values) == sheet.rows
        else (),
    )


def _where(sheet: Sheet, labels: Labels, row: int) -> str:
    if labels.us is not None:
        return sheet.moment(int(labels.us[row]))
    return sheet.where(row) if len(labels.values) == sheet.rows else f"row {row + 1}"


def _in_time(labels: Labels) -> Ints:
    if labels.us is None:
        return np.arange(len(labels.values))
    return np.argsort(labels.us, kind="stable")


def _longest_equal(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[int, int]:
    best = (0, 0)
    first = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[first]:
            if i - 1 - first > best[1] - best[0]:
                best = (first, i - 1)
            first = i
    return best


def _continuous(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    """Tell measured values from classes and ratings: most of them differ."""
    known = values[np.isfinite(values)]
    return len(known) >= MIN_CONSTANT and len(np.unique(known)) >= CONTINUOUS * len(
        known
    )


def _tally(id_: str, bad: int, of: int, labels: Labels, notes: Notes) -> Tally:
    findings = tuple(_in_file(f, labels.table) for f in notes.found)
    return Tally(
        id=id_, bad=bad, of=of, scope="labels", detail=labels.name, findings=findings
    )


def _in_file(finding: Finding, table: str) -> Finding:
    """Return a finding that names the labels' own file."""
    return finding.model_copy(update={"table": table})
