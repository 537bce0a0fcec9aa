"""How samples and answers stand in the buffer's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from tundish.kernel.digest import Digest
from tundish.line.estimates import Estimate, Why
from tundish.line.samples import Quality, Sample

QUALITIES: Final[tuple[Quality, ...]] = ("good", "uncertain", "bad")

_NUMBERS: Final = {quality: number for number, quality in enumerate(QUALITIES)}

# time, signal, quality, reason; one number as itself, several as bytes
SampleRow = tuple[int, int, int, str, float | bytes | None]
EstimateRow = tuple[
    int,
    int,
    float | None,
    float | None,
    float | None,
    float | None,
    int | None,
    str,
    str,
    str,
    str,
    str,
]


def sample_row(number: int, sample: Sample) -> SampleRow:
    """Return the columns of a sample.

    Raises:
        ValueError: if it has no source time; such samples are never kept.
    """
    if sample.at_us is None:
        msg = f"a sample of {sample.signal} without source time is never stored"
        raise ValueError(msg)
    body = None if sample.values is None else _body(sample.values)
    return sample.at_us, number, _NUMBERS[sample.quality], sample.reason, body


def to_sample(row: SampleRow, names: Sequence[str]) -> Sample:
    """Return the sample of a row; ``names`` are the signals in the order of numbers."""
    at_us, number, quality, reason, body = row
    if isinstance(body, float):
        values: NDArray[np.float64] | None = np.array([body])
    else:
        values = None if body is None else np.frombuffer(body, "<f8")
    return Sample(
        signal=names[number],
        at_us=at_us,
        quality=QUALITIES[quality],
        reason=reason,
        values=values,
    )


def _body(values: NDArray[np.float64]) -> float | bytes:
    if values.size == 1:
        value = float(values.item())
        if value == value:  # SQLite takes "not a number" for nothing
            return value
    return values.astype("<f8", copy=False).tobytes()


def to_row(estimate: Estimate) -> EstimateRow:
    """Return the columns of an answer."""
    return (
        estimate.at_us,
        _NUMBERS[estimate.quality],
        estimate.value,
        estimate.lower,
        estimate.upper,
        estimate.applicability,
        None if estimate.alarm is None else int(estimate.alarm),
        estimate.why,
        estimate.reason,
        estimate.model,
        estimate.input,
        estimate.because,
    )


def from_row(row: EstimateRow) -> Estimate:
    """Return the answer of a row."""
    return Estimate(
        at_us=row[0],
        quality=QUALITIES[row[1]],
        value=row[2],
        lower=row[3],
        upper=row[4],
        applicability=row[5],
        alarm=None if row[6] is None else bool(row[6]),
        why=cast("Why", row[7]),
        reason=row[8],
        model=Digest(row[9]),
        input=Digest(row[10]),
        because=row[11],
    )
