"""Which columns a spectrum is, and where each of them lies on its axis."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.errors import ContractBrokenError
from tundish.catalog.scenario import Axis, Signal
from tundish.catalog.site import Tag
from tundish.data.table import Table

_TOLERANCE = 0.02
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


def axis_values(names: Sequence[str], axis: Axis) -> NDArray[np.float64]:
    """Return the axis value of each column of a spectrum, [n].

    They are the first numbers in the columns' names, if these run as the contract's axis
    does; else (``column_2``, ``first..last``) the columns lie evenly on that axis.
    """
    even = np.linspace(axis.first, axis.last, axis.points)
    found = [_NUMBER.search(name) for name in names]
    values = np.asarray([float(text.group()) if text else np.nan for text in found])
    reach = _TOLERANCE * abs(axis.last - axis.first)
    ends = np.abs(values[[0, -1]] - even[[0, -1]])
    whole = bool(np.isfinite(values).all())
    return values if whole and bool((ends <= reach).all()) else even


def columns_of(table: Table, tag: Tag, signal: Signal) -> list[str]:
    """Return the columns of a tag, in the direction of the contract's axis.

    Raises:
        ContractBrokenError: if the tag has another form, or another number of columns.
    """
    if tag.column is not None:
        if signal.axis is not None:
            msg = (
                f"{signal.name} is a spectrum; the site names one column, {tag.column}."
            )
            raise ContractBrokenError(msg)
        return [tag.column]
    if tag.columns == "all":
        if len(table.frame.columns) != signal.channels:
            msg = (
                f"{table.name} has {len(table.frame.columns)} columns; {signal.name} "
                f"needs {signal.channels}."
            )
            raise ContractBrokenError(msg)
        return list(table.frame.columns)
    first, between, last = (tag.columns or "").partition("..")
    if between:
        return _from_to(table, (first, last), signal)
    prefix = "" if tag.columns == "numeric" else tag.columns or ""
    unit = signal.axis.unit if signal.axis else ""
    named = {
        name: value
        for name in table.frame.columns
        if name.startswith(prefix)
        and (value := _axis_value(name.removeprefix(prefix), unit)) is not None
    }
    return _along_axis(table, named, signal)


def _from_to(table: Table, ends: tuple[str, str], signal: Signal) -> list[str]:
    """Return the columns from one to another, in the file's order."""
    names = table.frame.columns
    absent = [end for end in ends if end not in names]
    if absent:
        return absent
    chosen = names[names.index(ends[0]) : names.index(ends[1]) + 1]
    if len(chosen) != signal.channels:
        msg = (
            f"{table.name} has {len(chosen)} columns from {ends[0]} to {ends[1]}; "
            f"{signal.name} needs {signal.channels}."
        )
        raise ContractBrokenError(msg)
    return chosen


def _axis_value(name: str, unit: str) -> float | None:
    for text in (name, name.removesuffix(unit)):
        try:
            return float(text)
        except ValueError:
            continue
    return None


def _along_axis(table: Table, named: dict[str, float], signal: Signal) -> list[str]:
    """Return the spectrum's columns in the direction of the contract's axis."""
    points = signal.channels
    if len(named) != points or signal.axis is None:
        msg = (
            f"{table.name} has {len(named)} columns for {signal.name}; the contract "
            f"needs {points}."
        )
        raise ContractBrokenError(msg)
    axis = signal.axis
    falling = axis.first > axis.last
    order = sorted(named, key=lambda name: named[name], reverse=falling)
    reach = _TOLERANCE * abs(axis.last - axis.first)
    ends = (named[order[0]], named[order[-1]])
    if abs(ends[0] - axis.first) > reach or abs(ends[1] - axis.last) > reach:
        msg = (
            f"{signal.name} in {table.name} runs from {ends[0]:g} to {ends[1]:g} "
            f"{axis.unit}; the contract says {axis.first:g} to {axis.last:g}."
        )
        raise ContractBrokenError(msg)
    return order
