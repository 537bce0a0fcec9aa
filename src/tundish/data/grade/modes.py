"""Q14: which of the declared operating modes the data visits, and which are missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from tundish.catalog.expression import compile_condition
from tundish.catalog.modes import Mode
from tundish.catalog.scenario import Scenario
from tundish.data.binding import BoundTable
from tundish.data.grade.report import Finding
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet
from tundish.data.grade.tally import Notes, Spot, Tally
from tundish.data.times import NO_TIME, SECOND

MOST_ROWS = 500
MOST_CLUSTERS = 5
APART = 0.75
LEAST_SHARE = 0.05
_SEED = 3
_SHOWN = 6
_HOUR = 3600 * SECOND


def visited(
    table: BoundTable, scenario: Scenario, zone: str, usable: Bools
) -> dict[str, tuple[int, int]] | None:
    """Count the sound, running rows in each declared mode; ``None`` if none is declared.

    Args:
        table: In the contract's units.
        scenario: Declares the modes.
        zone: IANA zone in which months are counted.
        usable: Rows that keep the contract, shape [n].
    """
    if not scenario.modes:
        return None
    if table.running is not None:
        usable = usable & table.running
    columns: dict[str, Floats] = {}
    at = 0
    for signal in scenario.signals:
        if signal.axis is None:
            columns[signal.name] = table.channels[:, at]
        at += signal.channels
    found: dict[str, tuple[int, int]] = {}
    for mode in scenario.modes:
        rows = _rows_of(mode, columns, table.us, zone)
        for name, inside in zip(mode.cells, rows, strict=True):
            found[name] = (int((inside & usable).sum()), mode.min_rows)
    return found


def _rows_of(
    mode: Mode, columns: dict[str, Floats], us: Ints | None, zone: str
) -> list[Bools]:
    if mode.when is not None:
        return [compile_condition(mode.when).on(columns)]
    if mode.edges is not None and mode.signal is not None:
        values = columns[mode.signal]
        cells = [
            (values >= low) & (values < high)
            for low, high in zip(mode.edges, mode.edges[1:], strict=False)
        ]
        cells[-1] |= values == mode.edges[-1]
        return cells
    if us is None:
        rows = len(next(iter(columns.values()))) if columns else 0
        return [np.zeros(rows, dtype=bool)]
    return [np.isin(_months(us, zone), mode.months or ())]


def _months(us: Ints, zone: str) -> Ints:
    """Return the local month of each time; 0 where there is none."""
    hours, which = np.unique(us // _HOUR, return_inverse=True)
    local = ZoneInfo(zone)
    months = [
        0
        if hour == NO_TIME // _HOUR
        else datetime.fromtimestamp(hour * 3600, UTC).astimezone(local).month
        for hour in hours.tolist()
    ]
    return np.asarray(months, dtype=np.int64)[which]


def covered(sheets: Sequence[Sheet], *, deep: bool) -> Tally:
    """Count declared modes that are visited; the missing ones are named.

    Without declared modes nothing is counted: what the data happens to show says
    nothing of what it should show. The detail then offers the modes seen.
    """
    declared = [sheet for sheet in sheets if sheet.visits is not None]
    if not declared:
        seen = _seen(sheets) if deep else ""
        detail = "no modes are declared (modes in the scenario)"
        return Tally(
            id="Q14", bad=0, of=0, detail="; ".join(filter(None, (detail, seen)))
        )
    total: dict[str, tuple[int, int]] = {}
    for sheet in declared:
        for name, (rows, least) in (sheet.visits or {}).items():
            total[name] = (total.get(name, (0, 0))[0] + rows, least)
    missing = {name: rows for name, (rows, least) in total.items() if rows < least}
    return Tally(
        id="Q14",
        bad=len(missing),
        of=len(total),
        detail=f"{len(total) - len(missing)} of {len(total)} declared modes are visited",
        findings=_missing(declared[0], missing, len(total)),
    )


def _missing(
    sheet: Sheet, missing: dict[str, int], declared: int
) -> tuple[Finding, ...]:
    if not missing:
        return ()
    notes = Notes(sheet, "Q14")
    named = ", ".join(
        name + (f" ({rows} rows)" if rows else "")
        for name, rows in list(missing.items())[:_SHOWN]
    )
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    spot = Spot(
        tag="", unit="", first=sheet.where(0), last=sheet.where(sheet.rows - 1),
        rows=len(missing), total=declared, counted="declared modes",
    )  # fmt: skip
    notes.add(
        "mode-missing",
        spot,
        f"The data does not visit: {named}{more}.",
        "Collect these modes; until then let the model abstain there.",
    )
    return tuple(notes.found)


def _seen(sheets: Sequence[Sheet]) -> str:
    """Offer the modes that the data shows: well separated clusters of rows, if any."""
    sheet = max(sheets, key=lambda one: one.rows)
    tags = [series for series in sheet.series if not series.circular]
    if not tags or sheet.rows < 10 * MOST_CLUSTERS:
        return ""
    rows = np.unique(
        np.linspace(0, sheet.rows - 1, min(sheet.rows, MOST_ROWS)).astype(np.int64)
    )
    values = np.column_stack([series.values[rows] for series in tags])
    known: Bools = np.asarray(np.isfinite(values).any(axis=0))
    values = values[:, known]
    names = [s.tag for s, k in zip(tags, known, strict=True) if k]
    if not names:
        return ""
    middle = np.nanmedian(values, axis=0)
    low, high = np.nanquantile(values, (0.05, 0.95), axis=0)
    moving: Bools = np.asarray(high > low)
    if not moving.any():
        return ""
    filled = np.where(np.isfinite(values), values, middle)[:, moving]
    scaled = np.clip((filled - low[moving]) / (high - low)[moving], -0.5, 1.5)
    which = _clusters(scaled)
    if which is None:
        return ""
    return _described(
        which, filled, [n for n, m in zip(names, moving, strict=True) if m]
    )


def _clusters(scaled: Floats) -> Ints | None:
    from sklearn.cluster import KMeans  # noqa: PLC0415  (heavy)
    from sklearn.metrics import silhouette_score  # noqa: PLC0415

    best: tuple[float, Ints | None] = (APART, None)
    for count in range(2, MOST_CLUSTERS + 1):
        if len(np.unique(scaled, axis=0)) < 2 * count:
            break
        model = KMeans(n_clusters=count, n_init=3, random_state=_SEED)
        which = np.asarray(model.fit_predict(scaled), dtype=np.int64)
        shares = np.bincount(which) / len(which)
        if len(shares) < 2 or shares.min() < LEAST_SHARE:
            continue
        score = float(silhouette_score(scaled, which))
        if score > best[0]:
            best = (score, which)
    return best[1]


def _described(which: Ints, values: Floats, names: list[str]) -> str:
    spread = values.std(axis=0)
    centres = np.array([values[which == c].mean(axis=0) for c in np.unique(which)])
    apart = centres.std(axis=0) / np.where(spread > 0, spread, 1.0)
    tag = int(np.argmax(apart))
    order = np.argsort(centres[:, tag], kind="stable")
    said = ", ".join(
        f"{(which == c).mean():.0%} with {names[tag]} about {centres[c, tag]:.4g}"
        for c in order
    )
    return f"the data shows {len(order)} groups of rows to choose from: {said}"
