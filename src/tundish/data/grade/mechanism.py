"""Q11: limits of rate and balances of mass and energy, as the contract knows them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tundish.catalog.expression import tag_of
from tundish.data.errors import UnitMismatchError
from tundish.data.grade.report import percent
from tundish.data.grade.sheet import Bools, Closure, Floats, Ints, Series, Sheet
from tundish.data.grade.tally import Notes, Tally
from tundish.data.times import SECOND
from tundish.data.units import in_base

if TYPE_CHECKING:
    from pint.util import UnitsContainer

ROUNDING = 1e-9


def kept(sheet: Sheet) -> Tally:
    """Count rows that change faster than the contract allows, or break a balance.

    Rates are looked at from row to row of a unit, over the time that really passed;
    balances in rows that have all their values, averaged over as many rows as the
    contract says. Rows of stops are left out.

    Raises:
        UnitMismatchError: if the units of a balance do not fit together.
    """
    notes = Notes(sheet, "Q11")
    if not sheet.rates and not sheet.closures:
        why = "the contract names no limit of rate and no balance"
        if sheet.period_s is None:
            why = "no scenario was named, so no limit of rate and no balance is known"
        return Tally(id="Q11", bad=0, of=0, detail=why)
    bad = of = 0
    by_tag = {series.tag: series for series in sheet.series}
    for tag, limit in sheet.rates.items():
        if tag in by_tag:
            fast, looked_at = too_fast(sheet, _possible(by_tag[tag]), limit)
            bad, of = bad + len(fast), of + looked_at
            _note_fast(notes, by_tag[tag], fast, limit)
    for closure in sheet.closures:
        residual = residual_of(closure, by_tag)
        if sheet.running is not None:
            residual = np.where(sheet.running, residual, np.nan)
        open_, mean = _open(sheet, closure, residual)
        of += int(np.isfinite(mean).sum())
        bad += int(open_.sum())
        _note_open(notes, closure, np.flatnonzero(open_), mean)
    detail = f"{len(sheet.rates)} limits of rate, {len(sheet.closures)} balances"
    return Tally(id="Q11", bad=bad, of=of, detail=detail, findings=tuple(notes.found))


def _possible(series: Series) -> Floats:
    """Return the values within their range: what lies outside is said already (Q04)."""
    if series.range is None:
        return series.values
    low, high = series.range
    with np.errstate(invalid="ignore"):
        inside = (series.values >= low) & (series.values <= high)
    return np.where(inside, series.values, np.nan)


def too_fast(sheet: Sheet, values: Floats, limit: float) -> tuple[Ints, int]:
    """Return the rows reached faster than ``limit`` per second, and how many were seen."""
    rows = sheet.order
    ordered = values[rows]
    if sheet.us is None:
        if sheet.period_s is None:
            return np.zeros(0, dtype=np.int64), 0
        seconds = np.full(len(rows) - 1, sheet.period_s)
    else:
        seconds = np.diff(sheet.us[rows]) / SECOND
    moves = np.abs(np.diff(ordered))
    usable = np.isfinite(moves) & ~sheet.starts[1:] & (seconds > 0)
    if sheet.running is not None:
        runs = sheet.running[rows]
        usable &= runs[1:] & runs[:-1]
    allowed = limit * seconds * (1 + ROUNDING) + ROUNDING * np.abs(ordered[1:])
    with np.errstate(invalid="ignore"):
        fast = usable & (moves > allowed)
    return rows[1:][fast], int(usable.sum())


@dataclass(frozen=True)
class _Amount:
    """Values in the base units of the SI, and what they measure."""

    values: Floats
    measures: UnitsContainer


def residual_of(closure: Closure, by_tag: dict[str, Series]) -> Floats:
    """Return the residual of a balance in its own unit, row by row.

    Raises:
        UnitMismatchError: if the units do not fit together.
    """
    known = {
        name: _amount(by_tag[tag].values, by_tag[tag].unit)
        for name, tag in closure.inputs.items()
    }
    for name, (value, unit) in closure.constants.items():
        known[name] = _amount(np.asarray(value), unit)
    found = _computed(closure.residual.tree, known, closure)
    scale, _, measures = in_base(closure.unit)
    if measures != found.measures:
        msg = (
            f"The balance {closure.name!r} ({closure.residual.text}) does not give "
            f"{closure.unit}, but {found.measures}."
        )
        raise UnitMismatchError(msg)
    return np.asarray(found.values / scale, dtype=np.float64)


def _amount(values: Floats, unit: str) -> _Amount:
    scale, offset, measures = in_base(unit)
    return _Amount(values * scale + offset, measures)


def _computed(node: ast.expr, known: dict[str, _Amount], closure: Closure) -> _Amount:
    tag = tag_of(node)
    if tag is not None:
        return known[tag]
    if isinstance(node, ast.UnaryOp):
        inner = _computed(node.operand, known, closure)
        return _Amount(-inner.values, inner.measures)
    if isinstance(node, ast.BinOp):
        left = _computed(node.left, known, closure)
        right = _computed(node.right, known, closure)
        return _combined(node.op, left, right, closure)
    value = node.value if isinstance(node, ast.Constant) else 0
    return _amount(np.asarray(float(str(value))), "1")


def _combined(
    how: ast.operator, left: _Amount, right: _Amount, closure: Closure
) -> _Amount:
    x, y = left.values, right.values
    if isinstance(how, (ast.Add, ast.Sub)):
        if left.measures != right.measures:
            msg = (
                f"The balance {closure.name!r} ({closure.residual.text}) adds "
                f"{left.measures} to {right.measures}."
            )
            raise UnitMismatchError(msg)
        return _Amount(x + y if isinstance(how, ast.Add) else x - y, left.measures)
    if isinstance(how, ast.Mult):
        return _Amount(x * y, left.measures * right.measures)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _Amount(x / y, left.measures / right.measures)


def _open(sheet: Sheet, closure: Closure, residual: Floats) -> tuple[Bools, Floats]:
    """Return the rows in which a balance does not close, and the averaged residual."""
    mean = np.full(sheet.rows, np.nan)
    for _, rows in sheet.units:
        ordered = rows[np.argsort(sheet.rank[rows])]
        mean[ordered] = _averaged(residual[ordered], closure.over_rows)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(mean) > closure.tolerance), mean


def _averaged(values: Floats, over: int) -> Floats:
    """Return the mean of the last ``over`` filled cells ending at each row."""
    if over == 1:
        return values
    filled = np.isfinite(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(filled, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(filled)))
    first = np.maximum(np.arange(len(values)) + 1 - over, 0)
    last = np.arange(1, len(values) + 1)
    held = counts[last] - counts[first]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums[last] - sums[first]) / held
    return np.where(held >= max(1, over // 2), mean, np.nan)


def _note_fast(notes: Notes, series: Series, rows: Ints, limit: float) -> None:
    if not len(rows):
        return
    unit = f" {series.unit}" if series.unit else ""
    notes.add(
        "rate",
        notes.over(series.tag, rows),
        f"{len(rows):,} row{'s are' if len(rows) > 1 else ' is'} reached faster than "
        f"{limit:g}{unit} a second, the fastest change that the contract allows.",
        "Look at the transmission of this signal there, or correct max_rate_per_s.",
    )


def _note_open(notes: Notes, closure: Closure, rows: Ints, mean: Floats) -> None:
    if not len(rows):
        return
    off = mean[rows]
    usual = float(np.median(off))
    all_rows = int(np.isfinite(mean).sum())
    notes.add(
        "balance",
        notes.over(", ".join(closure.inputs.values()), rows),
        f"The balance '{closure.name}' does not close in {len(rows):,} of {all_rows:,} rows "
        f"({percent(len(rows) / all_rows)}): {closure.residual.text} is usually "
        f"{usual:.4g} {closure.unit} there, and {closure.tolerance:g} is allowed.",
        "Check these meters against each other: one of them is wrong, or a stream is "
        "missing from the balance.",
    )
