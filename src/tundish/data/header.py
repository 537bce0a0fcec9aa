"""Is the first record a header, and the second a row of units?"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tundish.data.records import Records, is_number
from tundish.data.table import Assumption

_AXIS_POINTS = 16
_LONGEST_NAME = 200
_BRACKETS = re.compile(r"^(?P<name>.*?)\s*[\[(](?P<unit>[^\[\]()]{1,16})[\])]\s*$")
_UNIT = re.compile(
    r"%|°|µ|/|^(k|m|M|c|d|G|u|μ)?(m|g|s|A|V|W|Pa|Hz|N|J|l|L|bar|K|mol|rpm|deg|degC|degF|"
    r"C|F|h|min|d|t|ppm|ppb|VA|VAr|Wh|Nm|dB|rad|in|ft|psi|pH|m3|m2|cm3|Ohm|S|lx|cP)(\^?-?\d)?"
    r"$|^[A-Za-zµμ°]{1,5}[·⋅*.][A-Za-zµμ]{1,4}(\^?-?\d)?$|^(counts?|units?|none|-|bool|state|pct|percent|Celsius|Kelvin)$"
)


@dataclass(frozen=True, kw_only=True)
class Header:
    """The names of the columns and where the values begin.

    Attributes:
        names: One name per field, all different.
        units: Name -> unit, from a units row or from brackets in the names.
        rows: How many records at the start are no values (0, 1 or 2).
        assumptions: What was assumed.
    """

    names: tuple[str, ...]
    units: dict[str, str]
    rows: int
    assumptions: tuple[Assumption, ...]


def find_header(records: Records) -> Header:
    """Decide which records are names and units and which are values."""
    return header_of(records.first(60), records.fields)


def header_of(top: list[list[str]], fields: int) -> Header:
    """Decide which of the first rows are names and units and which are values.

    Args:
        top: Cells of the first rows (about 60), white space stripped.
        fields: Cells in each row.
    """
    said: list[Assumption] = []
    if not _is_header(top):
        names = [f"column_{i + 1}" for i in range(fields)]
        said.append(
            Assumption(
                what="the file has no header line; columns are numbered from column_1",
                why="its first line looks like the lines below it",
                otherwise="put one line of names at the top of the file",
            )
        )
        return Header(names=tuple(names), units={}, rows=0, assumptions=tuple(said))
    names, renamed = _distinct(top[0])
    if renamed:
        said.append(
            Assumption(
                what=f"{renamed} column names were changed: empty, repeated or a pattern",
                why="every column needs a name of its own",
                otherwise="name each column once in the header line",
            )
        )
    units = {name: unit for name in names if (unit := unit_in_name(name))}
    rows = 1
    if _is_units_row(top):
        rows = 2
        units |= {n: u.strip("[]() ") for n, u in zip(names, top[1], strict=True) if u}
        said.append(
            Assumption(
                what="the second line holds units",
                why="it has short words where the columns below have numbers",
                otherwise="remove the line from the file",
            )
        )
    return Header(names=tuple(names), units=units, rows=rows, assumptions=tuple(said))


def plain_name(name: str) -> str:
    """Quote a name that Polars takes for a pattern of names: ``*``, or ``^a.*$``."""
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return f"'{name}'" if pattern else name


def unit_in_name(name: str) -> str:
    """Return ``l/s`` for ``Water flow [l/s]``; empty if there is no unit."""
    found = _BRACKETS.match(name)
    if found and _UNIT.search(found["unit"].strip()):
        return found["unit"].strip()
    return ""


def axis_values(names: tuple[str, ...] | list[str]) -> list[float] | None:
    """Return the numbers that name the columns of a spectrum, or nothing.

    They must all be different, rise or fall all the way, and step evenly enough that
    no step is more than five times the middle one (instruments skip a few points).
    """
    if len(names) < _AXIS_POINTS or not all(is_number(name) for name in names):
        return None
    values = np.asarray([float(name.replace(",", ".")) for name in names])
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        return None
    sizes = np.abs(steps)
    return values.tolist() if sizes.max() <= 5 * np.median(sizes) else None


def _is_header(top: list[list[str]]) -> bool:
    if not top:
        return False
    first, below = top[0], top[1:]
    if not below:
        return not any(is_number(cell) for cell in first)
    numeric_below = _numeric_columns(below)
    named = [i for i in numeric_below if first[i] and not is_number(first[i])]
    if named and len(named) >= 0.5 * sum(1 for i in numeric_below if first[i]):
        return True
    numbers = [cell for cell in first if is_number(cell)]
    if axis_values(numbers) is not None:
        second = [cell for cell in below[0] if is_number(cell)]
        return axis_values(second) is None
    return not numbers and not numeric_below


def _numeric_columns(rows: list[list[str]]) -> list[int]:
    """Return the columns in which most filled cells of some rows are numbers."""
    found = []
    for i in range(min(map(len, rows))):
        cells = [row[i] for row in rows if row[i]]
        if cells and sum(map(is_number, cells)) > 0.5 * len(cells):
            found.append(i)
    return found


def _is_units_row(top: list[list[str]]) -> bool:
    if len(top) < 4:
        return False
    second = top[1]
    numeric = _numeric_columns(top[2:])
    filled = [second[i] for i in numeric if second[i]]
    if not filled or any(is_number(cell) or len(cell) > 16 for cell in filled):
        return False
    units = sum(1 for cell in filled if _UNIT.search(cell.strip("[]() ")))
    return units >= 0.5 * len(filled)


def _distinct(names: list[str]) -> tuple[list[str], int]:
    seen: set[str] = set()
    tried: dict[str, int] = {}
    made, renamed = [], 0
    for i, name in enumerate(plain_name(n[:_LONGEST_NAME]) for n in names):
        stem = name or "column"
        free = name or f"column_{i + 1}"
        while free in seen:
            tried[stem] = tried.get(stem, 1) + 1
            free = f"{stem}_{tried[stem]}"
        renamed += free != names[i]
        seen.add(free)
        made.append(free)
    return made, renamed
