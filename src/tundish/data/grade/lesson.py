"""The task as a lesson for a simple model: inputs, target, and how rows hang together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.sheet import Bools, Floats, Ints, Labels, Sheet
from tundish.data.times import NO_TIME

How = Literal["unit", "time", "order", "row"]

MIN_LABELS = 20
MOST_ROWS = 20_000
MOST_CLASSES = 20
MIN_CLASS = 5
SPECTRUM_POINTS = 100
MANY_UNITS = 5
PAST = ((1, 4), (4, 16), (16, 64))
FAR = 3.0
MOST_SLIPS = 20
_SORTED = 0.98


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Labelled rows of some tables, in order.

    Attributes:
        x: Inputs, shape [m, p]; NaN where missing.
        tags: Their names, length p.
        past: Means of the same tags over the rows 1-3, 4-15 and 16-63 before, for what
            the plant answers late, shape [m, 3 p]; no columns if rows have no order.
        y: Target, shape [m, 1]; for classes one column of 0 and 1 each, shape [m, k].
        classes: Their names; empty for a number.
        name, measure: Name of the target and its unit of measurement.
        sheet: Which table each row is of, shape [m].
        row: Row of the inputs in its table, shape [m].
        label: Place of the label in ``Labels.values``, shape [m].
        unit: Which machine or batch each row is of, shape [m].
        twin: Rows with the same inputs have the same number, shape [m].
        far: Places in ``Labels.values`` of labels (and their tables, [f, 2]) so far from
            all others that they are slips; they are left out.
        how: How rows hang together, and so how they are held out: by machine or batch,
            by time, by their order in the file, or not at all.
        said: What was left out or taken for granted, in words.
    """

    x: Floats
    tags: tuple[str, ...]
    past: Floats
    y: Floats
    classes: tuple[str, ...]
    name: str
    measure: str
    sheet: Ints
    row: Ints
    label: Ints
    unit: Ints
    twin: Ints
    far: Ints
    how: How
    said: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of labelled rows."""
        return len(self.y)

    @property
    def given(self) -> Ints:
        """Class of each row, shape [m] (zero for a number)."""
        return np.asarray(self.y.argmax(axis=1), dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Labelled rows of one table."""

    x: Floats
    values: Floats
    row: Ints
    label: Ints
    us: Ints | None
    group: NDArray[np.str_] | None


def lesson_of(sheets: Sequence[Sheet], task: str) -> Lesson | str:
    """Make a lesson of all tables that have labels; or say why there is none.

    Args:
        sheets: Tables; those whose tags differ from the first labelled one's are left out.
        task: ``regress`` (a number) or ``diagnose`` (a class).
    """
    if task not in {"regress", "diagnose"}:
        return "no target was named" if task == "unsaid" else "the task has no target"
    labelled = [
        (at, sheet, sheet.labels)
        for at, sheet in enumerate(sheets)
        if sheet.labels is not None
    ]
    if not labelled:
        return "no target"
    first = _inputs_of(labelled[0][1])[1]
    alike = [one for one in labelled if _inputs_of(one[1])[1] == first]
    if not first:
        return "no signals beside the target"
    parts = [(at, _rows_of(sheet, labels)) for at, sheet, labels in alike]
    parts = [(at, rows) for at, rows in parts if len(rows.row)]
    count = sum(len(rows.row) for _, rows in parts)
    if count < MIN_LABELS:
        return f"{count} labelled rows; at least {MIN_LABELS} are needed"
    made = _joined(parts, alike[0][2], first, [s.elapsed for s in sheets], task)
    return made if isinstance(made, str) else replace(made, past=_past(made, sheets))


def _inputs_of(sheet: Sheet) -> tuple[Floats, tuple[str, ...]]:
    """Return the inputs, shape [n, p]; neighbouring channels of a spectrum are averaged."""
    columns = [series.values for series in sheet.series]
    names = [series.tag for series in sheet.series]
    for spectrum in sheet.spectra:
        pieces = np.array_split(
            np.arange(spectrum.values.shape[1]),
            min(SPECTRUM_POINTS, spectrum.values.shape[1]),
        )
        columns += [spectrum.values[:, piece].mean(axis=1) for piece in pieces]
        names += [f"{spectrum.tag} at {spectrum.axis[p].mean():g}" for p in pieces]
    if not columns:
        return np.zeros((sheet.rows, 0)), ()
    return np.column_stack(columns), tuple(names)


def _rows_of(sheet: Sheet, labels: Labels) -> _Rows:
    x, _ = _inputs_of(sheet)
    usable: Bools = np.asarray(np.isfinite(x).any(axis=1))
    if sheet.running is not None:
        usable = usable & sheet.running
    for spectrum in sheet.spectra:  # a dead spectrum is Q08's business
        usable = usable & (np.ptp(np.nan_to_num(spectrum.values), axis=1) > 0)
    known = np.isfinite(labels.values) & labels.joined
    if labels.us is None:
        label = np.flatnonzero(known & usable)
        row = label
    else:
        label = np.flatnonzero(known)
        row, label = _nearest(sheet, usable, labels.us, label)
    us = None
    if labels.us is not None:
        us = labels.us[label]
    elif sheet.us is not None:
        us = sheet.us[row]
    if us is not None and (us == NO_TIME).any():
        timed = us != NO_TIME
        row, label, us = row[timed], label[timed], us[timed]
    return _Rows(
        x=x[row],
        values=labels.values[label],
        row=row,
        label=label,
        us=us,
        group=None if sheet.group is None else sheet.group[row],
    )


def _past(lesson: Lesson, sheets: Sequence[Sheet]) -> Floats:
    """Return the means of earlier rows of the same unit, shape [m, 3 p]; see ``PAST``."""
    known = {series.tag for sheet in sheets for series in sheet.series}
    used = [tag for tag in lesson.tags if tag in known]
    if lesson.how == "row" or not used:
        return np.zeros((len(lesson), 0))
    out = np.full((len(lesson), len(used), len(PAST)), np.nan)
    for at in np.unique(lesson.sheet):
        sheet, mine = sheets[at], lesson.sheet == at
        series = {one.tag: one for one in sheet.series}
        place = np.empty(sheet.rows, dtype=np.int64)
        place[sheet.order] = np.arange(sheet.rows)
        begins = np.maximum.accumulate(np.where(sheet.starts, np.arange(sheet.rows), 0))
        here = place[lesson.row[mine]]
        for number, tag in enumerate(used):
            values = series[tag].values[sheet.order]
            out[mine, number] = _means(values, here, begins[here])
    return out.reshape(len(lesson), -1)


def _means(values: Floats, here: Ints, begins: Ints) -> Floats:
    """Return means of ``values`` over each span of ``PAST`` before ``here``, [m, 3]."""
    filled = np.isfinite(values)
    total = np.concatenate(([0.0], np.cumsum(np.where(filled, values, 0.0))))
    count = np.concatenate(([0], np.cumsum(filled)))
    columns = []
    for near, far in PAST:
        first = np.maximum(here - far + 1, begins)
        last = np.maximum(here - near + 1, begins)
        known = count[last] - count[first]
        mean = (total[last] - total[first]) / np.maximum(known, 1)
        columns.append(np.where(known > 0, mean, np.nan))
    return np.column_stack(columns)


def _nearest(sheet: Sheet, usable: Bools, us: Ints, label: Ints) -> tuple[Ints, Ints]:
    """Return for each label the usable row nearest in time."""
    if sheet.us is None:
        return label[:0], label[:0]
    rows = np.flatnonzero(usable & (sheet.us != NO_TIME))
    if not len(rows):
        return label[:0], label[:0]
    rows = rows[np.argsort(sheet.us[rows], kind="stable")]
    stamps = sheet.us[rows]
    after = np.clip(np.searchsorted(stamps, us[label]), 0, len(rows) - 1)
    before = np.maximum(after - 1, 0)
    closer = np.abs(stamps[before] - us[label]) <= np.abs(stamps[after] - us[label])
    return rows[np.where(closer, before, after)], label


def _joined(
    parts: list[tuple[int, _Rows]],
    labels: Labels,
    tags: tuple[str, ...],
    elapsed: list[bool],
    task: str,
) -> Lesson | str:
    sheet = np.concatenate([np.full(len(r.row), at) for at, r in parts])
    names = np.concatenate(
        [
            np.full(len(r.row), f"{at}")
            if r.group is None
            else np.char.add(f"{at}/", r.group)
            for at, r in parts
        ]
    )
    unit = np.unique(names, return_inverse=True)[1].astype(np.int64)
    single = len(parts) == 1 and not unit.any()
    us = _common_time(parts, [e and not single for e in elapsed])
    position = np.arange(len(sheet)) if us is None else us
    order = np.argsort(position, kind="stable")
    every = np.concatenate([r.values for _, r in parts])
    slips = far_out(every) if task == "regress" else np.zeros(len(every), dtype=bool)
    label = np.concatenate([r.label for _, r in parts])
    order = _thinned(order[~slips[order]])
    x = np.concatenate([r.x for _, r in parts])[order]
    values = every[order]
    said = []
    if slips.any():
        said.append(f"{slips.sum()} labels far from all others left out")
    if len(sheet) > MOST_ROWS:
        said.append(f"{MOST_ROWS:,} of {len(sheet):,} labelled rows, evenly taken")
    moving = np.nanmax(x, axis=0, initial=-np.inf) > np.nanmin(
        x, axis=0, initial=np.inf
    )
    if not moving.any():
        return "no signal moves"
    classes, y = _targets(values, labels, task)
    if isinstance(y, str):
        return y
    kept = y.sum(axis=1) > 0 if classes else np.ones(len(y), dtype=bool)
    if not kept.all():
        said.append(f"{(~kept).sum():,} rows of classes with fewer than {MIN_CLASS}")
    order, x, y, values = order[kept], x[kept][:, moving], y[kept], values[kept]
    made = Lesson(
        x=x,
        tags=tuple(t for t, m in zip(tags, moving, strict=True) if m),
        past=np.zeros((len(y), 0)),
        y=y,
        classes=classes,
        name=labels.name,
        measure=labels.unit,
        sheet=sheet[order],
        row=np.concatenate([r.row for _, r in parts])[order],
        label=label[order],
        unit=np.unique(unit[order], return_inverse=True)[1].astype(np.int64),
        twin=_twins(x),
        far=np.column_stack([sheet[slips], label[slips]]),
        how=_how(unit[order], us is not None, values),
        said=tuple(said),
    )
    return made if len(made) >= MIN_LABELS else "too few labelled rows"


def _common_time(parts: list[tuple[int, _Rows]], restarts: list[bool]) -> Ints | None:
    stamps = [r.us for at, r in parts if r.us is not None and not restarts[at]]
    return np.concatenate(stamps) if len(stamps) == len(parts) else None


def _thinned(order: Ints) -> Ints:
    if len(order) <= MOST_ROWS:
        return order
    return order[np.linspace(0, len(order) - 1, MOST_ROWS).round().astype(np.int64)]


def _targets(
    values: Floats, labels: Labels, task: str
) -> tuple[tuple[str, ...], Floats | str]:
    if task == "regress":
        if np.ptp(values) == 0:
            return (), f"{labels.name} has one value only"
        return (), values[:, None]
    codes, counts = np.unique(values, return_counts=True)
    codes = codes[counts >= MIN_CLASS]
    if len(codes) < 2:
        return (), f"fewer than two classes have {MIN_CLASS} rows"
    if len(codes) > MOST_CLASSES:
        return (), f"{len(codes)} classes; at most {MOST_CLASSES} are tried"
    names = tuple(labels.class_name(code) for code in codes)
    return names, (values[:, None] == codes[None, :]).astype(np.float64)


def _twins(x: Floats) -> Ints:
    filled = np.ascontiguousarray(np.nan_to_num(x, nan=-1.2345e300))
    rows = filled.view([("", filled.dtype)] * filled.shape[1]).ravel()
    return np.unique(rows, return_inverse=True)[1].astype(np.int64)


def _how(unit: Ints, timed: bool, values: Floats) -> How:  # noqa: FBT001  (private)
    if len(np.unique(unit)) >= MANY_UNITS:
        return "unit"
    if timed:
        return "time"
    return "order" if in_order(values) else "row"


def far_out(values: Floats) -> Bools:
    """Mark at most one value in 200 that lies off all others by three times their range.

    A slip of the decimal point does; the tail of a skewed target does not.
    """
    order = np.argsort(values, kind="stable")
    marked = np.zeros(len(values), dtype=bool)
    most = max(1, len(values) // 200)
    ranked = values[order]
    for count in range(1, most + 1):
        for low in range(count + 1):
            body = ranked[low : len(ranked) - (count - low)]
            reach = FAR * float(np.ptp(body))
            below, above = ranked[:low], ranked[len(ranked) - (count - low) :]
            apart = (below < body[0] - reach).all() and (above > body[-1] + reach).all()
            if reach > 0 and apart:
                marked[order[:low]] = True
                marked[order[len(ranked) - (count - low) :]] = True
                return marked
        if count >= MOST_SLIPS:
            break
    return marked


def in_order(values: Floats) -> bool:
    """Tell whether neighbouring rows are alike, so that row order is no accident.

    Von Neumann's ratio of the mean square step to twice the variance is 1 for shuffled
    rows, with a standard deviation near ``1 / sqrt(m)``. A file that was sorted by the
    very value, or by class, says nothing: its order is somebody's choice.
    """
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)
    steps = np.diff(values)
    steps = steps[steps != 0]
    if not len(steps):
        return False
    grouped = len(steps) + 1 == len(np.unique(values))
    rises = float((steps > 0).mean())
    if (grouped and (len(steps) + 1) * MIN_CLASS <= len(values)) or not (
        1 - _SORTED < rises < _SORTED
    ):
        return False
    ratio = float((np.diff(ranks) ** 2).mean() / (2 * ranks.var()))
    return ratio < 1 - 4 / float(np.sqrt(len(values)))
