"""Spectra of courses as matrix products with fixed cosines and sines, and their twins in numpy.

A graph that must run on any backend uses no Fourier operator. A course is cut into
stretches of at most ``LONGEST`` points whose powers are averaged; the power in each of
some bands, equally wide on a logarithmic scale, is one feature.

Sources: P. D. Welch, IEEE Trans. Audio Electroacoust. 15 (1967) 70 (averaged spectra,
here without overlap); R. B. Randall, J. Antoni, Mech. Syst. Signal Process. 25 (2011)
485 (the squared envelope: impacts of a damaged bearing repeat in it at their own
frequency, though each rings at the frequency of the casing); P. Borghesani et al., Mech.
Syst. Signal Process. 44 (2014) 118 (the Fourier sum taken over the angle of the shaft,
so that a line stays in its order while the speed changes).
"""

from __future__ import annotations

import itertools

import numpy as np

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats

LONGEST = 512
LEAST_SPECTRUM = 16
LEAST_ENVELOPE = 64
_TINY = 1e-12
_CARRIER_FROM = (
    8  # the envelope is that of the course above 1 / 8 of its stretch's lines
)


def stretch_points(points: int) -> int:
    """Return how many points one stretch of a course has."""
    return min(points, LONGEST)


def edges(points: int, bands: int) -> tuple[int, ...]:
    """Return the first line of each band and the end of the last; line k has k periods.

    Bands that would hold no line of their own are left out.
    """
    lines = stretch_points(points) // 2
    cut = np.unique(np.round(np.geomspace(1, lines + 1, bands + 1)).astype(int))
    return tuple(int(one) for one in cut)


def spectrum(course: Floats, bands: int) -> Floats:
    """Return the logarithm of the power in each band, [N, S, B].

    Args:
        course: [N, S, P].
        bands: How many at most.
    """
    parts = _stretches(course)
    return _band_powers(parts, bands)


def envelope(course: Floats, bands: int) -> Floats:
    """Return the same of the squared envelope of the quick part of a course, [N, S, B]."""
    parts = _stretches(course)
    length = parts.shape[-1]
    lines = np.fft.fft(parts, axis=-1)
    kept = np.zeros(length)
    kept[carrier(length)] = 2.0
    analytic = np.fft.ifft(lines * kept, axis=-1)
    return _band_powers(np.abs(analytic) ** 2, bands)


def orders(course: Floats, turns_per_row: Floats, wanted: tuple[float, ...]) -> Floats:
    """Return the logarithm of the power at some orders of a shaft, [N, S, K].

    Args:
        course: [N, S, T].
        turns_per_row: How far the shaft turns from row to row, [N, T].
        wanted: Orders: periods per turn.
    """
    angle = 2.0 * np.pi * np.cumsum(turns_per_row, axis=1)
    turning = np.exp(-1j * angle[:, :, None] * np.asarray(wanted))
    hann = _hann(course.shape[2])
    off = (course - course.mean(axis=2, keepdims=True)) * hann
    lines = np.einsum("ntk,nst->nsk", turning, off)
    return np.asarray(np.log(np.abs(lines) ** 2 / hann.sum() ** 2 + _TINY))


def carrier(length: int) -> slice:
    """Return the lines whose envelope is taken."""
    return slice(max(1, length // (2 * _CARRIER_FROM)), length // 2)


def add_spectrum(writer: GraphWriter, course: str, points: int, bands: int) -> str:
    """Add ``spectrum`` to a graph, as [N, S, B]; ``course`` is [N, S, P] in double."""
    parts = _add_stretches(writer, course, points)
    return _add_band_powers(writer, parts, points, bands)


def add_envelope(writer: GraphWriter, course: str, points: int, bands: int) -> str:
    """Add ``envelope`` to a graph, as [N, S, B]."""
    parts = _add_stretches(writer, course, points)
    length = stretch_points(points)
    at = carrier(length)
    cosines, sines = _waves(length, np.arange(at.start, at.stop))
    even = writer.add("MatMul", parts, writer.constant(cosines, "cosines"))
    odd = writer.add("MatMul", parts, writer.constant(sines, "sines"))
    back = 2.0 / length
    cos_back = writer.constant(cosines.T * back, "cosines_back")
    sin_back = writer.constant(sines.T * back, "sines_back")

    def again(value: str, waves: str) -> str:
        return writer.add("MatMul", value, waves, hint="again")

    real = writer.add("Add", again(even, cos_back), again(odd, sin_back))
    turned = writer.add("Sub", again(even, sin_back), again(odd, cos_back))
    squared = writer.add(
        "Add", writer.add("Mul", real, real), writer.add("Mul", turned, turned)
    )
    return _add_band_powers(writer, squared, points, bands)


def add_orders(
    writer: GraphWriter,
    course: str,
    turns_per_row: str,
    rows: int,
    wanted: tuple[float, ...],
) -> str:
    """Add ``orders`` to a graph, as [N, S, K]; ``turns_per_row`` is [N, T, 1]."""
    axis = writer.constant(np.array(1), "row_axis")
    turned = writer.add("CumSum", turns_per_row, axis, hint="turns")
    scale = writer.constant(2.0 * np.pi * np.asarray(wanted)[None, None], "orders")
    angle = writer.add("Mul", turned, scale, hint="angle")  # [N, T, K]
    hann = _hann(rows)
    mean = writer.add("ReduceMean", course, axes=[2], keepdims=1)
    weight = writer.constant(hann / hann.sum(), "hann")
    off = writer.add("Mul", writer.add("Sub", course, mean), weight)  # [N, S, T]
    power = ""
    for wave in ("Cos", "Sin"):
        line = writer.add("MatMul", off, writer.add(wave, angle), hint="line")
        square = writer.add("Mul", line, line)
        power = writer.add("Add", power, square) if power else square
    return _add_log(writer, power)


def _hann(length: int) -> Floats:
    return np.asarray(np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2)


def _waves(length: int, lines: np.ndarray) -> tuple[Floats, Floats]:
    """Return cosines and sines of some lines, [length, lines] each."""
    angle = 2.0 * np.pi * np.outer(np.arange(length), lines) / length
    return np.cos(angle), np.sin(angle)


def _gather(points: int, bands: int) -> Floats:
    """Return which line belongs to which band, [lines, bands]."""
    cut = edges(points, bands)
    line = np.arange(1, stretch_points(points) // 2 + 1)
    inside = [(line >= a) & (line < b) for a, b in itertools.pairwise(cut)]
    return np.stack(inside, axis=1).astype(np.float64)


def _stretches(course: Floats) -> Floats:
    """Return the newest whole stretches without their means, [N, S, G, L]."""
    count, signals, points = course.shape
    length = stretch_points(points)
    pieces = points // length
    newest = course[:, :, points - pieces * length :]
    parts = newest.reshape(count, signals, pieces, length)
    return np.asarray(parts - parts.mean(axis=-1, keepdims=True))


def _band_powers(parts: Floats, bands: int) -> Floats:
    length = parts.shape[-1]
    hann = _hann(length)
    off = parts - parts.mean(axis=-1, keepdims=True)
    lines = np.abs(np.fft.rfft(off * hann, axis=-1))[..., 1 : length // 2 + 1] ** 2
    mean = lines.mean(axis=2) / hann.sum() ** 2
    cut = np.asarray(edges(length, bands)) - 1
    power = [mean[..., a:b].sum(-1) for a, b in itertools.pairwise(cut)]
    return np.log(np.stack(power, axis=-1) + _TINY)


def _add_stretches(writer: GraphWriter, course: str, points: int) -> str:
    length = stretch_points(points)
    pieces = points // length
    value = newest(writer, course, points, pieces * length)
    shape = writer.constant(np.array([0, 0, pieces, length]), "stretches_shape")
    parts = writer.add("Reshape", value, shape, hint="stretches")
    mean = writer.add("ReduceMean", parts, axes=[3], keepdims=1)
    return writer.add("Sub", parts, mean, hint="stretch")


def _add_band_powers(writer: GraphWriter, parts: str, points: int, bands: int) -> str:
    length = stretch_points(points)
    hann = _hann(length)
    mean = writer.add("ReduceMean", parts, axes=[3], keepdims=1)
    weight = writer.constant(hann / hann.sum(), "hann")
    off = writer.add("Mul", writer.add("Sub", parts, mean), weight)
    power = ""
    for waves in _waves(length, np.arange(1, length // 2 + 1)):
        line = writer.add("MatMul", off, writer.constant(waves, "waves"), hint="line")
        square = writer.add("Mul", line, line)
        power = writer.add("Add", power, square) if power else square
    mean = writer.add("ReduceMean", power, axes=[2], keepdims=0)  # [N, S, lines]
    banded = writer.add("MatMul", mean, writer.constant(_gather(points, bands), "in"))
    return _add_log(writer, banded)


def _add_log(writer: GraphWriter, power: str) -> str:
    tiny = writer.constant(np.array(_TINY), "tiny")
    return writer.add("Log", writer.add("Add", power, tiny), hint="level")


def newest(writer: GraphWriter, course: str, points: int, wanted: int) -> str:
    """Add the newest points of a course [N, S, P] to a graph."""
    if wanted == points:
        return course
    return between(writer, course, points - wanted, points)


def between(writer: GraphWriter, course: str, first: int, end: int) -> str:
    """Add the points of a course from the first on, before the end."""
    ends = [
        writer.constant(np.array([number]), hint)
        for number, hint in ((first, "from"), (end, "to"), (2, "axis"))
    ]
    return writer.add("Slice", course, *ends, hint="between")
