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
from tundish.learn.features import Feature
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, period_s

Kind: TypeAlias = Literal["whole", "pieces", "spectrum", "envelope", "orders"]
_STATISTICS: tuple[features.Kind, ...] = (
    "mean", "std", "min", "max", "slope", "skew", "kurtosis", "crest", "roughness",
)  # fmt: skip
_LEAST_WHOLE = 4
_TURNS_PER_S = {"rpm": 1 / 60, "1/min": 1 / 60, "r/min": 1 / 60, "hz": 1.0, "1/s": 1.0}


@dataclass(frozen=True, kw_only=True)
class Look:
    """One way to look at a course.

    Attributes:
        kind: ``whole``: statistics over all of it (the value, if it has one point);
            ``pieces``: mean, spread and slope of equal pieces; ``spectrum`` and
            ``envelope``: power by band; ``orders``: power at multiples of a speed.
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
        channels: Channel of each point, [P, S] along an axis; [1, S] along the rows.
        along_rows: Whether the course runs over the rows of the window.
    """

    points: int
    signals: Indices
    channels: Indices
    along_rows: bool

    def course(self, x: np.ndarray) -> Floats:
        """Return the courses in windows [N, T, C], [N, P, S]."""
        picked = x.astype(np.float64)[:, :, self.channels]
        return np.asarray(picked[:, :, 0] if self.along_rows else picked.mean(axis=1))

    def add(self, writer: GraphWriter, raw: str, rows: int) -> str:
        """Add ``course`` to a graph; ``raw`` is [N, T, C] in double."""
        wanted = self.channels[0] if self.along_rows else self.channels
        at = writer.constant(wanted, "channels")
        picked = writer.add("Gather", raw, at, axis=2, hint="course")
        if self.along_rows:
            return picked
        if rows > 1:
            return writer.add("ReduceMean", picked, axes=[1], keepdims=0)
        return writer.add("Squeeze", picked, writer.constant(np.array([1]), "axis"))


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
                np.tile(group.signals, width(look, group))
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
        if look.kind == "whole":
            return features.build(_statistics(points), points)(writer, course)
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
            channels=np.stack([at for _, at in members], axis=1).astype(np.int64),
            along_rows=along,
        )
        for (along, points), members in found.items()
    )


def width(look: Look, group: Group) -> int:
    """Return how many features a look gives of each signal of a group; 0: too short."""
    points = group.points
    if look.kind == "whole":
        return len(_statistics(points))
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


def _statistics(points: int) -> tuple[Feature, ...]:
    if points < _LEAST_WHOLE:
        return tuple(Feature(kind="last") for _ in range(1))
    return tuple(Feature(kind=kind, rows=points) for kind in _STATISTICS)


def _pieces(look: Look, points: int) -> int:
    """Return the number of pieces: at least two points each; none of fewer than two."""
    count = min(look.count, points // 2)
    return count if count > 1 else 0


def _value(look: Look, group: Group, course: Floats) -> Floats:
    if look.kind == "whole":
        return features.values(_statistics(group.points), course)
    if look.kind == "pieces":
        return _piece_values(course, _pieces(look, group.points))
    if look.kind == "spectrum":
        return spectral.spectrum(course, look.count)
    return spectral.envelope(course, look.count)


def _piece_values(course: Floats, pieces: int) -> Floats:
    count, points, signals = course.shape
    length = points // pieces
    newest = course[:, points - pieces * length :]
    parts = newest.reshape(count, pieces, length, signals)
    slope = np.einsum("t,ngts->ngs", features.line_weights(length), parts)
    return np.concatenate([parts.mean(axis=2), parts.std(axis=2), slope], axis=1)


def _add_pieces(writer: GraphWriter, course: str, points: int, pieces: int) -> str:
    length = points // pieces
    value = spectral.newest(writer, course, points, pieces * length)
    shape = writer.constant(np.array([0, pieces, length, -1]), "pieces_shape")
    parts = writer.add("Reshape", value, shape, hint="pieces")
    mean = writer.add("ReduceMean", parts, axes=[2], keepdims=1, hint="piece_mean")
    off = writer.add("Sub", parts, mean)
    square = writer.add("Mul", off, off)
    spread = writer.add("Sqrt", writer.add("ReduceMean", square, axes=[2], keepdims=0))
    line = features.line_weights(length)[None, None, :, None]
    axis = writer.constant(np.array([2]), "axis")
    sloped = writer.add("Mul", off, writer.constant(line, "line"))
    slope = writer.add("ReduceSum", sloped, axis, keepdims=0)
    level = writer.add("Squeeze", mean, axis)
    return writer.add("Concat", level, spread, slope, axis=1)
