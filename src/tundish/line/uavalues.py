"""What an OPC UA server said, as a sample; a bad status never becomes a number.

Imports asyncua: loaded only when an OPC UA source is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from asyncua import ua

from tundish.line.linefile import NodeSpec
from tundish.line.samples import Floats, Quality, Sample, to_us
from tundish.line.uaclient import severity

_NUMBERS = {
    ua.VariantType.SByte,
    ua.VariantType.Byte,
    ua.VariantType.Int16,
    ua.VariantType.UInt16,
    ua.VariantType.Int32,
    ua.VariantType.UInt32,
    ua.VariantType.Int64,
    ua.VariantType.UInt64,
    ua.VariantType.Float,
    ua.VariantType.Double,
}
_NO_TIME = to_us(datetime(1970, 1, 2, tzinfo=UTC))
_QUALITIES: tuple[Quality, ...] = ("good", "uncertain", "bad")


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A signal's node, its width and its unit conversion."""

    signal: str
    channels: int
    node: ua.NodeId
    spec: NodeSpec
    period_s: float = 1.0


def to_sample(tag: Tag, value: ua.DataValue) -> Sample:
    """Turn what a server said into a sample; a bad status never becomes a number.

    Args:
        tag: The signal, its width and its unit conversion.
        value: Untrusted; any type, any status, any time.
    """
    at_us, reason = _source_time(value)
    level = severity(value.StatusCode)
    if level:
        reason = _status_text(value.StatusCode)
    numbers: Floats | None = None
    if level < 2:
        numbers, problem = _numbers(tag, value.Value)
        if problem:
            level, reason = 2, problem
    elif at_us is None:
        reason = _status_text(value.StatusCode)
    if level == 0 and reason:
        level = 1
    return Sample(
        signal=tag.signal,
        at_us=at_us,
        quality=_QUALITIES[level],
        values=numbers,
        reason=reason,
    )


def _source_time(value: ua.DataValue) -> tuple[int | None, str]:
    for moment, reason in (
        (value.SourceTimestamp, ""),
        (value.ServerTimestamp, "no source time; the server's is used"),
    ):
        if moment is not None and (at_us := to_us(moment)) > _NO_TIME:
            return at_us, reason
    return None, "neither a source time nor a server time"


def _numbers(tag: Tag, variant: ua.Variant | None) -> tuple[Floats | None, str]:
    wanted = "a number" if tag.channels == 1 else f"{tag.channels} numbers"
    if variant is None or variant.Value is None:
        return None, f"no value, expected {wanted}"
    if variant.VariantType not in _NUMBERS:
        return None, f"the type is {variant.VariantType.name}, expected {wanted}"
    if tag.channels == 1 and isinstance(variant.Value, float | int):
        return np.array((variant.Value * tag.spec.scale + tag.spec.offset,)), ""
    try:
        found = np.atleast_1d(np.asarray(variant.Value, np.float64))
    except (ValueError, TypeError, OverflowError):
        return None, f"the value is no plain list, expected {wanted}"
    if found.shape != (tag.channels,):
        return None, f"{found.size} numbers, expected {wanted}"
    if tag.spec.scale != 1.0 or tag.spec.offset != 0.0:
        found = found * tag.spec.scale + tag.spec.offset
    return found, ""


def _status_text(status: ua.StatusCode | None) -> str:
    return "no status" if status is None else f"the source says {status.name}"
