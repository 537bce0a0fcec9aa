"""The one JSON encoder: the same value always gives the same bytes.

RFC 8785 (JSON Canonicalization Scheme) for the values Tundish writes: UTF-8, no
white space, keys sorted, no NaN. Keys are sorted by code point, not by UTF-16
unit as in the RFC; the two differ only beyond the Basic Multilingual Plane, and
such keys are refused. Floats are written as Python's shortest round-trip form.
"""

from __future__ import annotations

import json
import math

from typing_extensions import TypeAliasType

from tundish.kernel.errors import DocumentMalformedError, NotCanonicalError

# A named alias, so that pydantic can follow the recursion; pydantic brings the module.
Json = TypeAliasType(
    "Json",
    "bool | int | float | str | list[Json] | tuple[Json, ...] | dict[str, Json] | None",
)

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 64
_MAX_INT = 2**53 - 1


def dumps(value: Json) -> bytes:
    """Encode a JSON value as canonical bytes.

    Raises:
        NotCanonicalError: for NaN, infinities, integers beyond 2**53-1, keys that
            are no plain strings, or values that JSON does not have.
    """
    _check(value, depth=0)
    text = json.dumps(
        value,
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        msg = "A text to be written as JSON holds half a surrogate pair."
        raise NotCanonicalError(msg) from error


def loads(data: bytes, *, max_bytes: int = MAX_BYTES) -> Json:
    """Decode JSON bytes of untrusted origin; duplicate keys and NaN are refused.

    Raises:
        DocumentMalformedError: if the bytes are no JSON, too large or too deep.
    """
    if len(data) > max_bytes:
        msg = f"A JSON document has {len(data)} bytes; at most {max_bytes} are read."
        raise DocumentMalformedError(msg)
    try:
        value: Json = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant
        )
        _check(value, depth=0)
    except RecursionError as error:
        msg = f"A JSON document is nested deeper than {MAX_DEPTH} levels."
        raise DocumentMalformedError(msg) from error
    except (UnicodeDecodeError, ValueError) as error:
        msg = f"A JSON document cannot be read: {error}."
        raise DocumentMalformedError(msg) from error
    except NotCanonicalError as error:
        raise DocumentMalformedError(error.message) from error
    return value


def loads_canonical(data: bytes, *, max_bytes: int = MAX_BYTES) -> Json:
    """Decode JSON bytes and refuse them unless they are canonical to the byte.

    Raises:
        DocumentMalformedError: if the bytes are no JSON.
        NotCanonicalError: if encoding the value again gives other bytes.
    """
    value = loads(data, max_bytes=max_bytes)
    if dumps(value) != data:
        msg = "A JSON document parses, but its bytes are not in canonical form."
        raise NotCanonicalError(msg)
    return value


def pretty(value: Json) -> str:
    """Return indented JSON for people; never for digests or signatures."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        msg = f"A JSON value is nested deeper than {MAX_DEPTH} levels."
        raise NotCanonicalError(msg)
    if isinstance(value, dict):
        for key, item in value.items():
            _check_key(key)
            _check(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth + 1)
    else:
        _check_scalar(value)


def _check_scalar(value: object) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) > _MAX_INT:
            msg = f"The integer {value} does not fit JSON's safe range (2**53 - 1)."
            raise NotCanonicalError(msg)
    elif isinstance(value, float):
        if not math.isfinite(value):
            msg = f"The number {value} has no JSON form."
            raise NotCanonicalError(msg)
    else:
        msg = f"A value of type {type(value).__name__} has no JSON form."
        raise NotCanonicalError(msg)


def _check_key(key: object) -> None:
    if isinstance(key, str) and (key.isascii() or max(key) <= "\uffff"):
        return
    msg = f"The key {key!r} is no plain text."
    raise NotCanonicalError(msg)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "an object has the same key twice"
        raise ValueError(msg)
    return found


def _no_constant(name: str) -> Json:
    msg = f"{name} is not a JSON number"
    raise ValueError(msg)
