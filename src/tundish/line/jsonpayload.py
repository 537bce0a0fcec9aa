"""What a JSON payload says, as samples; only a number becomes a number.

A payload is an object or a list in which paths say where value, time and quality
stand, or a bare number. It is untrusted: texts and truth values never become numbers,
NaN, Infinity and keys that stand twice are refused, and so is nesting beyond the
parser's bound. orjson reads it (ten times faster than the standard library); since it
keeps the last of two equal keys, the keys that were read are counted against the text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Final, Literal

import numpy as np
import orjson

from tundish.kernel.texts import visible
from tundish.line.errors import LineFileInvalidError
from tundish.line.samples import (
    NEWEST_US,
    OLDEST_US,
    Floats,
    Quality,
    Sample,
    to_us,
)

TimeUnit = Literal["iso", "s", "ms", "us", "ns"]
QualityForm = Literal["word", "ua", "da"]
Path = tuple[str, ...]

MOST_STEPS = 16
_FACTORS: Final = {"s": 1e6, "ms": 1000, "us": 1}
_NUMBERS: Final = {int, float}
_WORDS: Final[dict[str, Quality]] = {
    "good": "good", "ok": "good", "uncertain": "uncertain", "bad": "bad",
}  # fmt: skip
MISSING: Final = object()
_TWICE: Final = "an object has the same key twice"


@dataclass(frozen=True, kw_only=True)
class Field:
    """Where a signal stands in the payloads of a topic.

    Attributes:
        value, time, quality: Paths; an empty value path is the payload itself, None
            says that the payload has none.
        time_unit: Of a number, or ``iso`` for a text after ISO 8601.
        quality_form: ``word`` (good, uncertain, bad, true, false), ``ua`` (a status
            code of OPC UA) or ``da`` (a quality of OPC DA, 192 is good).
        numeric: Whether anything but numbers is bad; else texts and truth values are
            kept as such.
    """

    signal: str
    channels: int
    value: Path = ()
    time: Path | None = None
    time_unit: TimeUnit = "iso"
    quality: Path | None = None
    quality_form: QualityForm = "word"
    scale: float = 1.0
    offset: float = 0.0
    numeric: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a payload came.

    Attributes:
        received_us: Moment of receipt, microseconds since 1970.
        retained: The broker kept it; it may be of any age.
        again: It is sent a second time.
        stamped_us: The time that the message itself bears, outside of the payload.
    """

    received_us: int
    retained: bool = False
    again: bool = False
    stamped_us: int | None = None


def path_of(text: str, owner: str) -> Path:
    """Read a JSON pointer (``/a/b/0``, RFC 6901) or a dotted path (``a.b.0``).

    Raises:
        LineFileInvalidError: if it is too deep or has an empty step.
    """
    if text in {"", "/"}:
        return ()
    if text.startswith("/"):
        steps = [
            step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/")
        ]
    else:
        steps = text.split(".")
    if len(steps) > MOST_STEPS or not all(steps):
        msg = f"{owner} says the path {text!r}; expected one such as '/values/3' or 'values.3', at most {MOST_STEPS} steps."
        raise LineFileInvalidError(msg)
    return tuple(steps)


class JsonTopic:
    """Reads the payloads of one topic.

    Args:
        fields: Signals that stand in them.
    """

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._fields = fields
        stamps: dict[object, list[Field]] = {}
        for one in fields:
            key = (one.time, one.time_unit, one.quality, one.quality_form)
            stamps.setdefault(key, []).append(one)
        self._groups = [(some, _columns(some)) for some in stamps.values()]

    def read(self, payload: bytes, delivery: Delivery) -> Iterator[Sample]:
        """Give one sample for each signal of the topic.

        Args:
            payload: Untrusted.
            delivery: How it came.
        """
        try:
            document = parse(payload)
        except ValueError as error:
            yield from self.unread(f"the payload cannot be read: {error}")
            return
        yield from self.read_document(document, delivery)

    def unread(self, reason: str) -> Iterator[Sample]:
        """Give one bad sample for each signal of a payload that cannot be used."""
        for one in self._fields:
            yield _bad(one, None, reason)

    def read_document(self, document: object, delivery: Delivery) -> Iterator[Sample]:
        """Give one sample for each signal of a payload that ``parse`` has read."""
        for group, columns in self._groups:
            at_us, late, reason = _time(group[0], document, delivery)
            quality: Quality = "uncertain" if reason else "good"
            if group[0].quality is not None:
                quality, reason = _quality(group[0], document, quality, reason)
            said_us = None if late else at_us
            plain = quality == "good" or group[0].quality_form != "ua"
            values = (
                columns.read(document)
                if columns and plain and quality != "bad"
                else None
            )
            if values is None:
                for one in group:
                    yield _sample(one, document, said_us, quality, reason)
                continue
            for n, one in enumerate(group):
                yield Sample(
                    signal=one.signal,
                    at_us=said_us,
                    quality=quality,
                    values=values[n : n + 1],
                    reason=reason,
                )


class _Columns:
    """Reads single numbers that stand side by side in one object, all at once.

    Args:
        fields: Of one object, one channel each.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._parent = fields[0].value[:-1]
        self._pick = itemgetter(*(one.value[-1] for one in fields))
        self._scale = np.array([one.scale for one in fields])
        self._offset = np.array([one.offset for one in fields])
        self._plain = bool(np.all(self._scale == 1.0) and np.all(self._offset == 0.0))

    def read(self, document: object) -> Floats | None:
        """Return the values; None if one is no plain number, then each says why."""
        parent = find(document, self._parent)
        if type(parent) is not dict:
            return None
        try:
            found = self._pick(parent)
        except KeyError:
            return None
        if not set(map(type, found)) <= _NUMBERS:
            return None
        values = np.array(found, np.float64)
        if self._plain:
            return values
        with np.errstate(over="ignore"):
            values = values * self._scale + self._offset
        return values if np.isfinite(values).all() else None


def _columns(fields: Sequence[Field]) -> _Columns | None:
    """Return a reader of all fields at once, if they are such."""
    parents = {one.value[:-1] for one in fields}
    single = all(one.channels == 1 and one.value for one in fields)
    return _Columns(fields) if len(parents) == 1 and single and fields[1:] else None


def parse(payload: bytes) -> object:
    """Read JSON of untrusted origin.

    Raises:
        ValueError: with what is wrong, in words.
    """
    if not payload:
        msg = "it is empty"
        raise ValueError(msg)
    if b"\\" in payload:  # then a quotation mark need not end a text
        return _slowly(payload)
    found: object = orjson.loads(payload)
    if type(found) is dict or type(found) is list:
        texts = payload.count(b'"')  # two for each key, and for each text
        plain = type(found) is dict and texts == 2 * len(found)
        if not plain and texts != 2 * _texts(found):
            raise ValueError(_TWICE)
    return found


def _slowly(payload: bytes) -> object:
    """Read JSON with the standard library, which tells of keys that stand twice."""
    try:
        return json.loads(
            payload.decode(),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
    except RecursionError as error:
        msg = "it is nested too deep"
        raise ValueError(msg) from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(_TWICE)
    return found


def _no_constant(name: str) -> object:
    msg = f"{name} is no JSON number"
    raise ValueError(msg)


def _whole(text: str) -> float:
    return int(text) if len(text) < 19 else _finite(text)


def _finite(text: str) -> float:
    if math.isfinite(value := float(text)):
        return value
    msg = "a number that is too large"
    raise ValueError(msg)


def _texts(document: object) -> int:
    """Return the number of keys and texts in a document, at any depth."""
    count, waiting = 0, [document]
    while waiting:
        found = waiting.pop()
        if type(found) is dict:
            count += len(found)
            items = found.values()
        else:
            items = found  # type: ignore[assignment]
        if set(map(type, items)) <= _NUMBERS:
            continue
        for item in items:
            if type(item) is str:
                count += 1
            elif type(item) is dict or type(item) is list:
                waiting.append(item)
    return count


def find(document: object, path: Path) -> object:
    """Return what stands at a path of a document; ``MISSING`` if nothing does."""
    for step in path:
        if type(document) is dict:
            document = document.get(step, MISSING)
        elif type(document) is list and step.isdecimal() and len(step) < 10:
            place = int(step)
            document = document[place] if place < len(document) else MISSING
        else:
            return MISSING
    return document


def _time(field: Field, document: object, delivery: Delivery) -> tuple[int, bool, str]:
    """Return the time, whether it is no time of the source at all, and a reason."""
    stamp = delivery.stamped_us
    stamped = stamp is not None and OLDEST_US <= stamp < NEWEST_US
    used = "the message's own time" if stamped else "the time of receipt"
    reason = f"no source time; {used} is used"
    if field.time is not None:
        found = find(document, field.time)
        at_us = _READERS[field.time_unit](found)
        if at_us is not None and OLDEST_US <= at_us < NEWEST_US:
            unzoned = field.time_unit == "iso" and not _zoned(str(found))
            return at_us, False, "the time has no zone; read as UTC" if unzoned else ""
        reason = f"{_what(found)} stands where the time should; {used} is used"
    if stamp is not None and stamped:
        return stamp, False, "" if field.time is None else reason
    if delivery.retained:
        return 0, True, "a value that the broker kept, of unknown age"
    if delivery.again:
        return 0, True, "a value that is sent again, without a time"
    return delivery.received_us, False, reason


def _from_iso(found: object) -> int | None:
    if type(found) is not str or len(found) > 40:
        return None
    try:
        return to_us(datetime.fromisoformat(found))
    except (ValueError, OverflowError):
        return None


def _from_number(factor: float) -> Callable[[object], int | None]:
    def read(found: object) -> int | None:
        if type(found) is not int and type(found) is not float:
            return None
        at_us = found * factor
        return round(at_us) if abs(at_us) < 2**62 else None

    return read


def _from_ns(found: object) -> int | None:
    return found // 1000 if type(found) is int else _from_number(1e-3)(found)


_READERS: Final[dict[str, Callable[[object], int | None]]] = {
    "iso": _from_iso,
    "ns": _from_ns,
    **{unit: _from_number(factor) for unit, factor in _FACTORS.items()},
}


def _zoned(text: str) -> bool:
    return text.endswith(("Z", "z")) or "+" in text or "-" in text[10:]


def _quality(
    field: Field, document: object, quality: Quality, reason: str
) -> tuple[Quality, str]:
    """Return the worse of what is known and what the source says."""
    found = find(document, field.quality or ())
    said = _said(found, field.quality_form)
    if said is None:
        return "uncertain", f"{_what(found)} stands where the quality should"
    if said == "good":
        return quality, reason
    return said, f"the source says {said} ({visible(f'{found!s:.40}')})"


def _said(found: object, form: QualityForm) -> Quality | None:
    if form == "word":
        if type(found) is bool:
            return "good" if found else "bad"
        return _WORDS.get(found.strip().lower()) if type(found) is str else None
    if type(found) is not int or found < 0:
        return None
    if form == "ua":
        level = found >> 30
        return ("good", "uncertain", "bad")[min(level, 2)] if found < 2**32 else None
    return "good" if found & 0xC0 == 0xC0 else "uncertain" if found & 0x40 else "bad"


def _sample(
    field: Field, document: object, at_us: int | None, quality: Quality, reason: str
) -> Sample:
    if quality == "bad":
        return _bad(field, at_us, reason)._replace(code=_code(field, document))
    found = find(document, field.value)
    said = None if field.numeric or not isinstance(found, bool | str) else found
    values, problem = (None, "") if said is not None else _numbers(field, found)
    if problem:
        return _bad(field, at_us, problem)
    return Sample(
        signal=field.signal,
        at_us=at_us,
        quality=quality,
        values=values,
        reason=reason,
        code=_code(field, document),
        said=said,
    )


def _code(field: Field, document: object) -> int:
    """Return the OPC UA StatusCode that a payload names; 0 if it names none."""
    if field.quality is None or field.quality_form != "ua":
        return 0
    found = find(document, field.quality)
    return found if type(found) is int and 0 <= found < 2**32 else 0


def _numbers(field: Field, found: object) -> tuple[Floats | None, str]:
    if field.channels == 1:
        if type(found) is not float and type(found) is not int:
            return None, f"{_what(found)}, expected a number"
        value = found * field.scale + field.offset
        return (np.array((value,)), "") if math.isfinite(value) else _TOO_LARGE
    wanted = f"expected {field.channels} numbers"
    if type(found) is not list or len(found) != field.channels:
        what = f"{len(found)} values" if type(found) is list else _what(found)
        return None, f"{what}, {wanted}"
    if not set(map(type, found)) <= _NUMBERS:
        return None, f"a value that is no number, {wanted}"
    values = np.array(found, np.float64)
    if field.scale != 1.0 or field.offset != 0.0:
        with np.errstate(over="ignore"):
            values = values * field.scale + field.offset
        if not np.isfinite(values).all():  # what was read is finite
            return _TOO_LARGE
    return values, ""


_TOO_LARGE: Final = (None, "a number that is too large")


def _bad(field: Field, at_us: int | None, reason: str) -> Sample:
    return Sample(
        signal=field.signal, at_us=at_us, quality="bad", values=None, reason=reason
    )


def _what(found: object) -> str:
    if found is MISSING:
        return "nothing"
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "a truth value"
    names = {str: "a text", int: "a number", float: "a number", list: "a list"}
    return names.get(type(found), "an object")
