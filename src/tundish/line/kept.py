"""How samples stand in the spool: fixed records, and beside them what few samples have.

A batch is what one commit put on disk. A thousand plain numbers are one block of bytes
that NumPy reads at once; reasons, texts and spectra stand apart. Pure.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tundish.kernel import canonical
from tundish.line.bufferrows import QUALITIES
from tundish.line.samples import Sample

NOTHING, NUMBER, NUMBERS, TRUTH, TEXT = range(5)
MOST_TEXT = 10_000
"""Characters of a text that are kept; a longer one is cut, and its reason says so."""

HEAD: Final = np.dtype(
    [
        ("signal", "<u4"),
        ("at_us", "<i8"),
        ("status", "<u4"),
        ("quality", "u1"),
        ("kind", "u1"),
        ("value", "<f8"),
    ]
)
_pack: Final = struct.Struct("<IqIBBd").pack  # one record of HEAD
_LEVELS: Final = {quality: level for level, quality in enumerate(QUALITIES)}
_MOST_LEVEL = 2


class Batch(NamedTuple):
    """Samples of one commit.

    Attributes:
        first: Running number of the first sample.
        rows: How many there are.
        received_us: When they were put on disk, microseconds since 1970 UTC.
        head: ``rows`` records of ``HEAD``.
        notes: JSON ``[[row, reason, text], ...]`` of the rows that have one.
        wide: float64 of the spectra, one after the other.
    """

    first: int
    rows: int
    received_us: int
    head: bytes
    notes: bytes | None
    wide: bytes | None


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Many samples by column, in the order in which they were taken; shapes [n].

    Attributes:
        number: Running numbers.
        signal: Places in ``names``.
        names: Signals of the line.
        received_us: When each was put on disk.
        status: OPC UA StatusCode.
        quality: 0 good, 1 uncertain, 2 bad.
        kind: ``NOTHING``, ``NUMBER``, ``NUMBERS``, ``TRUTH`` or ``TEXT``.
        value: The number, or 1 or 0 for a truth value; NaN for all else.
        reasons: By row, where there is one.
        texts: By row, where there is one.
        spectra: By row, where there is one.
    """

    names: tuple[str, ...]
    number: NDArray[np.int64]
    signal: NDArray[np.uint32]
    at_us: NDArray[np.int64]
    received_us: NDArray[np.int64]
    status: NDArray[np.uint32]
    quality: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    value: NDArray[np.float64]
    reasons: Mapping[int, str]
    texts: Mapping[int, str]
    spectra: Mapping[int, NDArray[np.float64]]


def to_batch(
    samples: Sequence[Sample], numbers: Mapping[str, int], first: int, received_us: int
) -> Batch:
    """Write samples as a batch.

    Args:
        samples: With source times.
        numbers: Place of each signal.
        first: Running number of the first.
        received_us: When they are put on disk.
    """
    rows = []
    notes: list[tuple[int, str, str | None]] = []
    wide: list[bytes] = []
    for row, sample in enumerate(samples):
        level = _LEVELS[sample.quality]
        kind, value, text, reason = NOTHING, np.nan, None, sample.reason
        if sample.values is not None:
            if len(sample.values) == 1:
                kind, value = NUMBER, sample.values[0]
            else:
                kind = NUMBERS
                wide.append(sample.values.astype("<f8", copy=False).tobytes())
        elif isinstance(sample.said, bool):
            kind, value = TRUTH, float(sample.said)
        elif sample.said is not None:
            kind, text = TEXT, sample.said
            if len(text) > MOST_TEXT:
                text = text[:MOST_TEXT]
                reason = f"{reason} (the text was cut)".strip()
        if reason or text is not None:
            notes.append((row, _clean(reason), None if text is None else _clean(text)))
        status = status_of(sample.code, level)
        rows.append(
            _pack(numbers[sample.signal], sample.at_us, status, level, kind, value)
        )
    return Batch(
        first=first,
        rows=len(rows),
        received_us=received_us,
        head=b"".join(rows),
        notes=canonical.dumps([list(note) for note in notes]) if notes else None,
        wide=b"".join(wide) or None,
    )


def _clean(text: str) -> str:
    """Return a text that can be written; half characters of a source become marks."""
    return text.encode("utf-8", "replace").decode()


def status_of(code: int, level: int) -> int:
    """Return the status to keep: the source's own, unless the line judged otherwise.

    Args:
        code: OPC UA StatusCode of the source; 0 is Good, and stands for none as well.
        level: 0 good, 1 uncertain, 2 bad, as the line judged.
    """
    own = min(code >> 30, _MOST_LEVEL)
    return code & 0xFFFFFFFF if own == level else level << 30


def to_columns(
    batches: Sequence[Batch], names: Sequence[str], widths: Sequence[int]
) -> Columns:
    """Read batches as columns.

    Args:
        batches: In order.
        names: Signals by place.
        widths: Channels of each.

    Raises:
        ValueError: if a batch is not what ``to_batch`` wrote.
    """
    head = np.frombuffer(b"".join(batch.head for batch in batches), HEAD)
    counts = [batch.rows for batch in batches]
    strange = (
        (head["signal"] >= len(names))
        | (head["quality"] > _MOST_LEVEL)
        | (head["kind"] > TEXT)
    )
    if sum(counts) != len(head) or not counts or strange.any():
        msg = f"{len(head)} records of which {strange.sum()} are none, {sum(counts)} expected"
        raise ValueError(msg)
    starts = np.cumsum([0, *counts[:-1]], dtype=np.int64)
    firsts = np.array([batch.first for batch in batches], np.int64)
    reasons, texts = _notes(batches, starts.tolist())
    return Columns(
        names=tuple(names),
        number=np.arange(len(head)) + np.repeat(firsts - starts, counts),
        signal=head["signal"],
        at_us=head["at_us"],
        received_us=np.repeat([b.received_us for b in batches], counts),
        status=head["status"],
        quality=head["quality"],
        kind=head["kind"],
        value=head["value"],
        reasons=reasons,
        texts=texts,
        spectra=_spectra(batches, head, widths),
    )


def _notes(
    batches: Sequence[Batch], starts: Sequence[int]
) -> tuple[dict[int, str], dict[int, str]]:
    reasons: dict[int, str] = {}
    texts: dict[int, str] = {}
    for batch, start in zip(batches, starts, strict=True):
        for row, reason, text in json.loads(batch.notes) if batch.notes else ():
            if not 0 <= row < batch.rows:
                msg = f"a note of row {row}, and there are {batch.rows}"
                raise ValueError(msg)
            if reason:
                reasons[start + row] = str(reason)
            if text is not None:
                texts[start + row] = str(text)
    return reasons, texts


def _spectra(
    batches: Sequence[Batch], head: NDArray[np.void], widths: Sequence[int]
) -> dict[int, NDArray[np.float64]]:
    values = np.frombuffer(b"".join(batch.wide or b"" for batch in batches), "<f8")
    found, place = {}, 0
    for row in np.flatnonzero(head["kind"] == NUMBERS).tolist():
        width = widths[head["signal"][row]]
        found[row] = values[place : place + width]
        place += width
    if place != len(values):
        msg = f"{len(values)} numbers of spectra, {place} expected"
        raise ValueError(msg)
    return found
