"""Features of the course that each signal takes, wherever a contract keeps it.

A signal without an axis runs over the rows of the window. A signal with an axis (the
600 flows of one machine cycle in one line of a file, a spectrum) runs over its axis;
several rows of it are averaged. Signals of equally many points are looked at together.
Every feature comes from one signal alone, so what an answer owes to a signal can be
told without asking the model again.

Each look is written twice, as numbers in numpy and as nodes of a graph; see
``learn.features`` for the statistics and ``learn.spectral`` for the spectra. The mean,
spread and slope of equal pieces of a cycle are those of T. Schneider, N. Helwig, A.
Schuetze, tm - Technisches Messen 84 (2017) 198 (there with other sets of features).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn import features, spectral
from tundish.learn.errors import OptionsInvalidError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, period_s

Kind: TypeAlias = Literal["whole", "pieces", "spectrum", "envelope", "orders", "course"]
_LEAST_WHOLE = 4
_WHOLE = 9  # mean, spread, lowest, highest, slope, skew, kurtosis, crest, roughness
_TINY = 1e-12
_STILL = 1e-8
_TURNS_PER_S = {"rpm": 1 / 60, "1/min": 1 / 60, "r/min": 1 / 60, "hz": 1.0, "1/s": 1.0}


@dataclass(frozen=True, kw_only=True)
class Look:
    """One way to look at a course.

    Attributes:
        kind: ``whole``: statistics over all of it (the value, if it has one point);
            ``pieces``: mean, spread and slope of equal pieces; ``spectrum`` and
            ``envelope``: power by band; ``orders``: power at multiples of a speed;
            ``course``: every point.
        count: Number of pieces or bands, at most.
        wanted: The orders.
    """

    kind: Kind
    count: int = 0
    wanted: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """Signals whose courses have equally many points.

    Attributes:
        points: Number of points (P).
        signals: Their places among the scenario's signals, [S].
        channels: Channel of each point, [S, P] along an axis; [S, 1] along the rows.
        along_rows: Whether the course runs over the rows of the window.
    """

    points: int
    signals: Indices
    channels: Indices
    along_rows: bool

    def course(self, x: np.ndarray) -> Floats:
        """Return the courses in windows [N, T, C], [N, S, P]."""
        if self.along_rows:
            return x[:, :, self.channels[:, 0]].astype(np.float64).transpose(0, 2, 1)
        return np.asarray(x.astype(np.float64).mean(axis=1)[:, self.channels])

    def add(self, writer: GraphWriter, raw: str, rows: int) -> str:
        """Add ``course`` to a graph; ``raw`` is [N, T, C] in double."""
        picked = writer.pick(raw, self.channels.reshape(-1))
        if self.along_rows:
            return writer.add("Transpose", picked, perm=[0, 2, 1], hint="course")
        if rows > 1:
            picked = writer.add("ReduceMean", picked, axes=[1], keepdims=0)
        shape = writer.constant(np.array([-1, *self.channels.shape]), "course_shape")
        return writer.add("Reshape", picked, shape, hint="course")


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The channel that tells how fast a shaft turns, and turns per row of its unit."""

    channel: int
    turns_per_row: float


@dataclass(frozen=True, kw_only=True)
class Courses:
    """The features of all signals of a scenario, for some looks.

    Attributes:
        looks: In order.
        groups: All signals.
        rows: Rows of the window.
        speed: For ``orders``.
    """

    looks: tuple[Look, ...]
    groups: tuple[Group, ...]
    rows: int
    speed: Speed | None = None

    @property
    def signal_of(self) -> Indices:
        """Place of the signal that each feature comes from, [F]."""
        return np.concatenate(
            [
                np.repeat(group.signals, width(look, group))
                for look, group in self._pairs()
            ]
        )

    def values(self, x: np.ndarray) -> Floats:
        """Return the features of windows [N, T, C] in numpy, [N, F]."""
        found = []
        for look, group in self._pairs():
            course = group.course(x)
            if look.kind == "orders" and self.speed is not None:
                speed = x[:, :, self.speed.channel].astype(np.float64)
                turns = speed * self.speed.turns_per_row
                value = spectral.orders(course, turns, look.wanted)
            else:
                value = _value(look, group, course)
            found.append(value.reshape(len(x), -1))
        return np.concatenate(found, axis=1)

    def build(self) -> Callable[[GraphWriter, str], str]:
        """Return what adds the features to a graph; see ``trees.BuildFeatures``."""

        def add(writer: GraphWriter, raw: str) -> str:
            known: dict[int, str] = {}
            parts = []
            for look, group in self._pairs():
                place = self.groups.index(group)
                if place not in known:
                    known[place] = group.add(writer, raw, self.rows)
                value = self._add(writer, look, group, (raw, known[place]))
                size = width(look, group) * len(group.signals)
                shape = writer.constant(np.array([-1, size]), "features_shape")
                parts.append(writer.add("Reshape", value, shape, hint="look"))
            return writer.add("Concat", *parts, axis=1, hint="features")

        return add

    def _pairs(self) -> list[tuple[Look, Group]]:
        return [
            (look, group)
            for look in self.looks
            for group in self.groups
            if width(look, group)
        ]

    def _add(
        self, writer: GraphWriter, look: Look, group: Group, values: tuple[str, str]
    ) -> str:
        raw, course = values
        points = group.points
        if look.kind == "course":
            return course
        if look.kind == "whole":
            return _add_whole(writer, course, points)
        if look.kind == "pieces":
            return _add_pieces(writer, course, points, _pieces(look, points))
        if look.kind == "spectrum":
            return spectral.add_spectrum(writer, course, points, look.count)
        if look.kind == "envelope":
            return spectral.add_envelope(writer, course, points, look.count)
        speed = self.speed or Speed(channel=0, turns_per_row=0.0)
        at = writer.constant(np.array([speed.channel]), "speed_channel")
        rate = writer.constant(np.array(speed.turns_per_row), "turns_per_row")
        turns = writer.add("Mul", writer.add("Gather", raw, at, axis=2), rate)
        return spectral.add_orders(writer, course, turns, points, look.wanted)


def courses_of(
    scenario: Scenario, looks: tuple[Look, ...], speed: str | None = None
) -> Courses:
    """Return the features of a scenario's signals.

    Args:
        scenario: Its signals and window.
        looks: Those that find no signal long enough add nothing.
        speed: Name of the signal that tells a shaft's speed.

    Raises:
        OptionsInvalidError: if ``speed`` is no single-valued signal in turns per time.
    """
    return Courses(
        looks=looks,
        groups=groups_of(scenario),
        rows=scenario.window.rows,
        speed=None if speed is None else _speed(scenario, speed),
    )


def groups_of(scenario: Scenario) -> tuple[Group, ...]:
    """Return the signals in groups of equally long courses."""
    found: dict[tuple[bool, int], list[tuple[int, Indices]]] = {}
    first = 0
    for place, signal in enumerate(scenario.signals):
        channels = np.arange(first, first + signal.channels)
        along = signal.axis is None
        points = scenario.window.rows if along else signal.channels
        found.setdefault((along, points), []).append((place, channels))
        first += signal.channels
    return tuple(
        Group(
            points=points,
            signals=np.array([place for place, _ in members], dtype=np.int64),
            channels=np.stack([at for _, at in members]).astype(np.int64),
            along_rows=along,
        )
        for (along, points), members in found.items()
    )


def width(look: Look, group: Group) -> int:
    """Return how many features a look gives of each signal of a group; 0: too short."""
    points = group.points
    if look.kind == "course":
        return points
    if look.kind == "whole":
        return 1 if points < _LEAST_WHOLE else _WHOLE
    if look.kind == "pieces":
        return 3 * _pieces(look, points)
    if look.kind == "orders":
        return len(look.wanted) if group.along_rows and _enough(look, points) else 0
    if not _enough(look, points):
        return 0
    return len(spectral.edges(points, look.count)) - 1


def _enough(look: Look, points: int) -> bool:
    envelope = look.kind == "envelope"
    return points >= (spectral.LEAST_ENVELOPE if envelope else spectral.LEAST_SPECTRUM)


def _speed(scenario: Scenario, name: str) -> Speed:
    first = 0
    for signal in scenario.signals:
        factor = _TURNS_PER_S.get(signal.unit.lower())
        if signal.name == name and signal.axis is None and factor is not None:
            return Speed(channel=first, turns_per_row=factor * period_s(scenario))
        first += signal.channels
    known = ", ".join(_TURNS_PER_S)
    msg = f"The option 'speed' names {name!r}, no single-valued signal in a unit of speed ({known})."
    raise OptionsInvalidError(msg)


def _pieces(look: Look, points: int) -> int:
    """Return the number of pieces: at least two points each; none of fewer than two."""
    count = min(look.count, points // 2)
    return count if count > 1 else 0


def _value(look: Look, group: Group, course: Floats) -> Floats:
    if look.kind == "course":
        return course
    if look.kind == "whole":
        return _whole_values(course)
    if look.kind == "pieces":
        return _piece_values(course, _pieces(look, group.points))
    if look.kind == "spectrum":
        return spectral.spectrum(course, look.count)
    return spectral.envelope(course, look.count)


def _whole_values(course: Floats) -> Floats:
    """Return the statistics of whole courses, [N, S, ``_WHOLE``]."""
    points = course.shape[2]
    if points < _LEAST_WHOLE:
        return course[:, :, -1:]
    mean = course.mean(axis=2)
    off = course - mean[:, :, None]
    variance = np.mean(off**2, axis=2)
    high, low = course.max(axis=2), course.min(axis=2)
    peak = np.maximum(high, -low)
    found = (
        mean,
        np.sqrt(variance),
        low,
        high,
        off @ features.line_weights(points),
        np.mean(off**3, axis=2) / (variance + _TINY) ** 1.5,
        np.mean(off**4, axis=2) / (variance + _TINY) ** 2,
        peak / (np.sqrt(variance + mean**2) + _TINY),
        np.sqrt(np.mean(np.diff(course, axis=2) ** 2, axis=2)),
    )
    return np.stack(found, axis=2)


def _add_whole(writer: GraphWriter, course: str, points: int) -> str:
    """Add the same to a graph."""
    if points < _LEAST_WHOLE:
        return spectral.newest(writer, course, points, 1)

    def known(value: float, hint: str) -> str:
        return writer.constant(np.array(value), hint)

    def root(value: str) -> str:
        return writer.add("Sqrt", value)

    mean = writer.add("ReduceMean", course, axes=[2], keepdims=1, hint="mean")
    off = writer.add("Sub", course, mean, hint="off")
    square = writer.add("Mul", off, off, hint="square")
    variance = writer.add("ReduceMean", square, axes=[2], keepdims=1)
    low = writer.add("ReduceMin", course, axes=[2], keepdims=1)
    high = writer.add("ReduceMax", course, axes=[2], keepdims=1)
    line = writer.constant(features.line_weights(points)[:, None], "line")
    slope = writer.add("MatMul", off, line, hint="slope")
    above = writer.add("Add", variance, known(_TINY, "tiny"))
    wide = writer.add("Mul", above, root(above))
    third = _add_mean_product(writer, square, off)
    fourth = _add_mean_product(writer, square, square)
    skew = writer.add("Div", third, wide, hint="skew")
    kurtosis = writer.add("Div", fourth, writer.add("Mul", above, above))
    peak = writer.add("Max", high, writer.add("Neg", low))
    power = writer.add("Add", variance, writer.add("Mul", mean, mean))
    crest = writer.add(
        "Div", peak, writer.add("Add", root(power), known(_TINY, "tiny"))
    )
    ahead = spectral.newest(writer, course, points, points - 1)
    step = writer.add("Sub", ahead, spectral.between(writer, course, 0, points - 1))
    rough = root(_add_mean_product(writer, step, step))
    parts = (
        mean, root(variance), low, high, slope, skew, kurtosis, crest, rough,
    )  # fmt: skip
    return writer.add("Concat", *parts, axis=2, hint="whole")


def _add_mean_product(writer: GraphWriter, one: str, other: str) -> str:
    """Add the mean of the product of two courses [N, S, P], [N, S, 1]."""
    product = writer.add("Mul", one, other, hint="product")
    return writer.add("ReduceMean", product, axes=[2], keepdims=1)


def _piece_values(course: Floats, pieces: int) -> Floats:
    """Return mean, spread and slope of each piece, [N, S, 3 * pieces]."""
    count, signals, points = course.shape
    length = points // pieces
    newest = course[:, :, points - pieces * length :]
    middle = newest.mean(axis=2, keepdims=True)
    floor = _STILL * np.mean((newest - middle) ** 2, axis=2, keepdims=True)
    parts = newest.reshape(count, signals, pieces, length)
    spread = np.sqrt(parts.var(axis=3) + floor)
    slope = parts @ features.line_weights(length)
    return np.concatenate([parts.mean(axis=3), spread, slope], axis=2)


def _add_pieces(writer: GraphWriter, course: str, points: int, pieces: int) -> str:
    """Add the same to a graph, [N, S, 3 * pieces, 1].

    The floor of the spread lies above what rounding leaves of a difference of squares.
    """
    length = points // pieces
    value = spectral.newest(writer, course, points, pieces * length)
    shape = writer.constant(np.array([0, 0, pieces, length]), "pieces_shape")
    value = writer.add("Reshape", value, shape, hint="pieces")
    middle = writer.add("ReduceMean", value, axes=[2, 3], keepdims=1)
    off = writer.add("Sub", value, middle, hint="off")
    square = writer.add("Mul", off, off, hint="square")
    mean = np.full(length, 1 / length)
    both = np.stack([mean, features.line_weights(length)], axis=1)
    looks = writer.add("MatMul", off, writer.constant(both, "level_and_slope"))
    sizes = writer.constant(np.array([1, 1]), "sizes")
    level, slope = writer.add_pair("Split", looks, sizes, axis=3)
    power = writer.add("MatMul", square, writer.constant(mean[:, None], "share"))
    variance = writer.add("Sub", power, writer.add("Mul", level, level))
    whole = writer.add("ReduceMean", power, axes=[2, 3], keepdims=1)
    floor = writer.add("Mul", whole, writer.constant(np.array(_STILL), "still"))
    least = writer.add("Add", writer.add("Relu", variance), floor)
    spread = writer.add("Sqrt", least, hint="spread")
    back = writer.add("Add", level, middle)
    return writer.add("Concat", back, spread, slope, axis=2, hint="pieces_of")
