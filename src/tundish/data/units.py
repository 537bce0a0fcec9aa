"""Units of measurement: what a plant writes, turned into what a contract says (pint).

Normal cubic metres are a unit of their own (they never turn into cubic metres silently),
gauge pressure starts at one atmosphere, and pH is no picohenry.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from tundish.data.errors import UnitMismatchError

if TYPE_CHECKING:
    import pint
    from pint.util import UnitsContainer

_ALLOWED = re.compile(r"^[\w°℃℉µμ%/*^ ().·²³\-]{1,40}$")
_CHAINED = re.compile(r"\*\*|\^-?\d+\^|\^-?\d{2}|\d{7}|__")
_POWER = re.compile(r"(?<=[A-Za-z])(-?[1-9])(?![\d\w])")
_NAMES = {
    "℃": "degC",
    "℉": "degF",
    "°C": "degC",
    "°F": "degF",
    "Celsius": "degC",
    "µ": "u",
    "μ": "u",
    "·": "*",
    "²": "^2",
    "³": "^3",
}
_OWN = (
    "normal_cubic_meter = [normal_volume] = Nm3",
    "gauge_bar = 100000 * pascal; offset: 101325 = barg = bar_g",
    "acidity = [acidity] = pH_value",
)
_WHOLE = {
    "ph": "acidity",
    "-": "dimensionless",
    "1": "dimensionless",
    "": "dimensionless",
}
_WHOLE |= {"bar(g)": "gauge_bar", "barg": "gauge_bar", "bara": "bar", "bar(a)": "bar"}


@cache
def registry() -> pint.UnitRegistry[float]:
    """Return the units, read once; half a second."""
    from pint import UnitRegistry  # noqa: PLC0415  (slow to load)

    units: pint.UnitRegistry[float] = UnitRegistry(autoconvert_offset_to_baseunit=True)
    for line in _OWN:
        units.define(line)
    return units


def unit_of(text: str) -> pint.Unit:
    """Read a unit as plants write it: ``m3/h``, ``°C``, ``Nm3/h``, ``bar(g)``, ``%``.

    Args:
        text: Untrusted.

    Raises:
        UnitMismatchError: if nobody knows the unit.
    """
    plain = _WHOLE.get(text.strip().lower(), text.strip())
    allowed = _ALLOWED.match(plain)
    for word, name in _NAMES.items():
        plain = plain.replace(word, name)
    if not allowed or _CHAINED.search(plain):  # a tower of powers is never worked out
        msg = f"{text[:40]!r} is no unit of measurement."
        raise UnitMismatchError(msg)
    plain = re.sub(r"\bNm3\b", "normal_cubic_meter", plain)
    plain = (
        _POWER.sub(r"^\1", plain) if not plain.isidentifier() or _ends(plain) else plain
    )
    try:
        return registry().Unit(plain)
    except Exception as error:  # what pint's parser raises, its assertions too
        msg = f"{text[:40]!r} is no unit of measurement that is known."
        raise UnitMismatchError(msg) from error


def conversion(plant: str, contract: str) -> tuple[float, float]:
    """Return (scale, offset): value in the contract's unit = scale * plant's + offset.

    Raises:
        UnitMismatchError: if one is unknown, or they measure different things.
    """
    from pint.errors import DimensionalityError  # noqa: PLC0415

    source, goal = unit_of(plant), unit_of(contract)
    units = registry()
    try:
        zero = float(units.Quantity(0.0, source).to(goal).magnitude)
        one = float(units.Quantity(1.0, source).to(goal).magnitude)
    except DimensionalityError as error:
        msg = (
            f"{plant} cannot be converted to {contract}: they measure different things."
        )
        raise UnitMismatchError(msg) from error
    except Exception as error:  # units that pint reads and cannot reckon with
        msg = f"{plant[:40]!r} cannot be converted to {contract[:40]!r}."
        raise UnitMismatchError(msg) from error
    return one - zero, zero


def in_base(text: str) -> tuple[float, float, UnitsContainer]:
    """Return scale and offset to the base units of the SI, and what a unit measures.

    Raises:
        UnitMismatchError: if nobody knows the unit.
    """
    unit = unit_of(text)
    units = registry()
    try:
        zero = float(units.Quantity(0.0, unit).to_base_units().magnitude)
        one = float(units.Quantity(1.0, unit).to_base_units().magnitude)
    except Exception as error:  # as above
        msg = f"{text[:40]!r} cannot be written in base units."
        raise UnitMismatchError(msg) from error
    return one - zero, zero, unit.dimensionality


def _ends(plain: str) -> bool:
    """Tell whether a word ends in a power, such as ``m3``."""
    return bool(re.fullmatch(r"(?:[kcdmu]?m|[dcm]?l)[23]", plain))
