"""Truths that are not simply a column: classes, words, remaining lives, later values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.catalog.errors import ContractBrokenError
from tundish.catalog.scenario import Scenario
from tundish.data.table import Table

Floats = NDArray[np.float64]


def places(series: pl.Series, classes: Mapping[str, str], scenario: Scenario) -> Floats:
    """Return the place of each row's class among the scenario's, [n]; NaN without one.

    Args:
        series: What the file says: texts, or numbers (``3`` is found as ``3.0``).
        classes: The file's value -> name of the class.
        scenario: Its classes.

    Raises:
        ContractBrokenError: if a class is none of the scenario's, or no value fits.
    """
    order = {item.name: place for place, item in enumerate(scenario.classes)}
    strange = sorted(set(classes.values()) - set(order))
    if strange:
        have = ", ".join(order)
        msg = f"target.classes names {strange[0]!r}; {scenario.key} has {have}."
        raise ContractBrokenError(msg)
    known = {_key(value): float(order[name]) for value, name in classes.items()}
    found = [known.get(_key(value), np.nan) for value in series.to_list()]
    if not np.isfinite(found).any():
        seen = ", ".join(str(value) for value in series.unique().sort().to_list()[:8])
        msg = f"No value of {series.name} is one of target.classes; it holds {seen}."
        raise ContractBrokenError(msg)
    return np.asarray(found, dtype=np.float64)


def place_of(label: str, scenario: Scenario) -> float:
    """Return the place of a class among the scenario's.

    Raises:
        ContractBrokenError: if it is none of them.
    """
    order = [item.name for item in scenario.classes]
    if label not in order:
        have = ", ".join(order) or "none"
        msg = f"target.label is {label!r}; the classes of {scenario.key} are {have}."
        raise ContractBrokenError(msg)
    return float(order.index(label))


def numbers(series: pl.Series, values: Mapping[str, float]) -> Floats:
    """Return the number that each row's word stands for, [n]; NaN for any other word.

    Args:
        series: What the file says: texts, or numbers (``3`` is found as ``3.0``).
        values: Word -> number.

    Raises:
        ContractBrokenError: if no row holds one of the words.
    """
    known = {_key(word): number for word, number in values.items()}
    found = [known.get(_key(word), np.nan) for word in series.to_list()]
    if not np.isfinite(found).any():
        seen = ", ".join(str(word) for word in series.unique().sort().to_list()[:8])
        msg = f"No value of {series.name} is one of the tag's values; it holds {seen}."
        raise ContractBrokenError(msg)
    return np.asarray(found, dtype=np.float64)


def rows_left(group: NDArray[np.str_] | None, rows: int) -> Floats:
    """Return how many rows of its unit follow each row, [n]: 0 at the last one."""
    units = np.zeros(rows, dtype=np.int64)
    if group is not None:
        units = np.unique(group, return_inverse=True)[1]
    left = np.zeros(rows)
    for unit in np.unique(units):
        mine = np.flatnonzero(units == unit)
        left[mine] = np.arange(len(mine))[::-1]
    return left


def at_last_rows(
    values: Floats, group: NDArray[np.str_] | None, table: Table
) -> Floats:
    """Return one truth for the last row of each unit, in order of the units, [n].

    Raises:
        ContractBrokenError: if there are more or fewer truths than units.
    """
    rows = table.frame.height
    names = np.full(rows, "") if group is None else group
    _, first, place = np.unique(names, return_index=True, return_inverse=True)
    if len(values) != len(first):
        msg = (
            f"There are {len(values)} truths for the {len(first)} units of "
            f"{table.name}; by: unit-last needs one for each."
        )
        raise ContractBrokenError(msg)
    last = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(last, place, np.arange(rows))
    found = np.full(rows, np.nan)
    found[last[np.argsort(first)]] = values
    return found


def later(
    values: Floats, ends: NDArray[np.int64], unbroken: NDArray[np.int64], ahead: int
) -> Floats:
    """Return the values that follow each window, [n, ahead]; NaN beyond a break.

    Args:
        values: The target along one unit, in order of time, [m].
        ends: Place of each window's last row, [n].
        unbroken: Number of the stretch without a gap that each place lies in, [m].
        ahead: Rows of the horizon.
    """
    asked = ends[:, None] + np.arange(1, ahead + 1)
    inside = asked < len(values)
    safe = np.minimum(asked, len(values) - 1)
    same = unbroken[safe] == unbroken[ends][:, None]
    return np.where(inside & same, values[safe], np.nan)


def turned(table: Table) -> pl.DataFrame:
    """Return a table's frame with rows and columns exchanged.

    Columns are named ``column_1``, ``column_2``, ... as in a file without a header, so
    that one site profile can name those of both.

    Raises:
        ContractBrokenError: if it holds anything but numbers.
    """
    frame = table.frame
    texts = [name for name in frame.columns if not frame.schema[name].is_numeric()]
    if texts:
        msg = f"{table.name} is to be transposed, and {texts[0]} holds no numbers."
        raise ContractBrokenError(msg)
    names = [f"column_{place}" for place in range(1, frame.height + 1)]
    return frame.transpose(column_names=names)


def _key(value: object) -> str:
    text = str(value).strip()
    try:
        return f"{float(text):g}"
    except ValueError:
        return text
