"""Known faults, put into a plant at a known place, by size.

Every injector takes the plant, the size and a generator, whether it needs them or not.
"""

# ruff: noqa: ARG001  (one signature for all injectors)

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from tundish.data.grade.sheet import Bools, Floats, Ints
from tundish.data.times import SECOND
from tundish.data.truth.plants import Plant

COMPANIONS = 0.9
BLOCK = 20


@dataclass(frozen=True, kw_only=True)
class Faulty:
    """A plant with one fault.

    Attributes:
        plant: Its values.
        tags: Tags concerned; empty if rows as a whole are.
        first, last: Rows (from 0) between which the fault lies.
    """

    plant: Plant
    tags: tuple[str, ...]
    first: int
    last: int


Inject = Callable[[Plant, float, Generator], "Faulty | None"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: What a plant would call it.
        size_is: What its size counts.
        sizes: Sizes that are measured, the smallest first.
        stated: From this size on recall is promised.
        kinds: Kinds of finding that name it.
        put: Puts it into a plant; ``None`` if the plant has no place for it.
        labels: True if it needs a target.
    """

    name: str
    size_is: str
    sizes: tuple[float, ...]
    stated: float
    kinds: tuple[str, ...]
    put: Inject
    labels: bool = False


def live_tags(plant: Plant) -> list[str]:
    """Return the tags that are live signals: they change in most rows, are no counters."""
    found = []
    for name, values in plant.tags.items():
        steps = np.diff(values)
        levels = len(np.unique(values))
        moving = float(np.mean(steps != 0))
        if moving > 0.6 and levels > 40 and not _one_way(steps):
            found.append(name)
    return found


def _one_way(steps: Floats) -> bool:
    return bool(np.nanmin(steps) >= 0 or np.nanmax(steps) <= 0)


def explained(plant: Plant, tag: str) -> float:
    """Return the share of a tag's slow variance that the other live tags explain."""
    names = [name for name in live_tags(plant) if name != tag]
    blocks = {name: _blocks(plant.tags[name]) for name in (*names, tag)}
    y = blocks[tag] - blocks[tag].mean()
    if not names or not float(y @ y) > 0:
        return 0.0
    x = np.column_stack([blocks[name] - blocks[name].mean() for name in names])
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1 - float(rest @ rest) / float(y @ y)


def _blocks(values: Floats) -> Floats:
    whole = values[: len(values) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return np.asarray(whole.mean(axis=1))


def _pick(plant: Plant, rng: Generator) -> str | None:
    names = live_tags(plant)
    return str(rng.choice(names)) if names else None


def _with(plant: Plant, tag: str, values: Floats) -> Plant:
    return replace(plant, tags=plant.tags | {tag: values})


def _place(plant: Plant, length: int, rng: Generator) -> int | None:
    """Return where a stretch begins: away from the ends, inside one batch."""
    low, high = plant.rows // 6, plant.rows - plant.rows // 6 - length
    if high <= low:
        low, high = 1, max(2, plant.rows - length - 1)
    at = int(rng.integers(low, high))
    if plant.group is None:
        return at
    for _ in range(200):
        at = int(rng.integers(low, high))
        if plant.group[at - 5] == plant.group[min(at + length, plant.rows - 1)]:
            return at
    return None


def _spread(values: Floats) -> float:
    low, high = np.nanquantile(values, (0.01, 0.99))
    return float(high - low)


def _on_tag(
    change: Callable[[Floats, slice, float, Generator], Floats | None],
    length: Callable[[float, int], int],
) -> Inject:
    """Return an injector that changes one live tag in one stretch."""

    def put(plant: Plant, size: float, rng: Generator) -> Faulty | None:
        tag = _pick(plant, rng)
        rows = length(size, plant.rows)
        if tag is None or rows >= plant.rows // 2:
            return None
        at = _place(plant, rows, rng)
        if at is None:
            return None
        values = change(plant.tags[tag].copy(), slice(at, at + rows), size, rng)
        if values is None:
            return None
        return Faulty(
            plant=_with(plant, tag, values), tags=(tag,), first=at, last=at + rows - 1
        )

    return put


def _stick(values: Floats, at: slice, size: float, rng: Generator) -> Floats | None:
    rests = (values == values[at.start - 1]).mean() > 0.05
    if rests or values[at.start - 1] in {0.0, values.min(), values.max()}:
        return None  # a machine that is off does not stick
    values[at] = values[at.start - 1]
    return values


def _spike(values: Floats, at: slice, size: float, rng: Generator) -> Floats:
    values[at] += rng.choice((-1.0, 1.0)) * size * _spread(values)
    return values


def _code(values: Floats, at: slice, size: float, rng: Generator) -> Floats:
    values[at] = float(rng.choice((-9999.0, -999.0, 99999.0)))
    return values


def _convert(values: Floats, at: slice, size: float, rng: Generator) -> Floats:
    values[at] = np.round(values[at] * 1.8 + 32, 3)
    return values


def _louder(values: Floats, at: slice, size: float, rng: Generator) -> Floats:
    noise = float(np.median(np.abs(np.diff(values, 2)))) / 1.65
    shocks = rng.normal(size=at.stop - at.start)
    values[at] = np.round(values[at] + np.sqrt(size**2 - 1) * noise * shocks, 3)
    return values


def _clip(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    tag = _pick(plant, rng)
    if tag is None:
        return None
    values = plant.tags[tag]
    high = bool(rng.random() < 0.5)
    limit = float(np.quantile(values, 1 - size if high else size))
    if limit in {0.0, float(values.min()), float(values.max())}:
        return None
    cut = np.minimum(values, limit) if high else np.maximum(values, limit)
    at = np.flatnonzero(cut == limit)
    if np.mean(values == limit) > 0.01:
        return None
    return Faulty(
        plant=_with(plant, tag, cut), tags=(tag,), first=int(at[0]), last=int(at[-1])
    )


def _drift(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    names = [n for n in live_tags(plant) if explained(plant, n) >= COMPANIONS]
    if not names or plant.group is not None:
        return None
    tag = str(rng.choice(names))
    values = plant.tags[tag].copy()
    at = int(rng.uniform(0.4, 0.7) * plant.rows)
    ramp = np.linspace(0, 1, plant.rows - at)
    spread = float(np.subtract(*np.quantile(values, (0.95, 0.05))))
    values[at:] += rng.choice((-1.0, 1.0)) * size * spread * ramp
    return Faulty(
        plant=_with(plant, tag, values), tags=(tag,), first=at, last=plant.rows - 1
    )


def _until_end(
    change: Callable[[Floats, slice, float, Generator], Floats],
    units: tuple[str, ...] = (),
) -> Inject:
    """Return an injector that changes one live tag from a moment to the end."""

    def put(plant: Plant, size: float, rng: Generator) -> Faulty | None:
        names = [n for n in live_tags(plant) if not units or n.endswith(units)]
        if not names:
            return None
        tag = str(rng.choice(names))
        at = int(rng.uniform(0.3, 0.7) * plant.rows)
        values = change(plant.tags[tag].copy(), slice(at, plant.rows), size, rng)
        return Faulty(
            plant=_with(plant, tag, values), tags=(tag,), first=at, last=plant.rows - 1
        )

    return put


def _scale(values: Floats, at: slice, size: float, rng: Generator) -> Floats:
    values[at] = values[at] * 100.0
    return values


def _swap(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    """Exchange two live tags whose medians lie ``size`` usual spreads apart."""
    names = live_tags(plant)
    pairs = []
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            a, b = plant.tags[one], plant.tags[two]
            apart = abs(float(np.median(a) - np.median(b)))
            wide = max(_spread(a), _spread(b))
            if size * wide <= apart < 3 * size * wide:
                pairs.append((one, two))
    if not pairs:
        return None
    one, two = pairs[int(rng.integers(len(pairs)))]
    at = int(rng.uniform(0.3, 0.7) * plant.rows)
    a, b = plant.tags[one].copy(), plant.tags[two].copy()
    a[at:], b[at:] = b[at:].copy(), a[at:].copy()
    changed = replace(plant, tags=plant.tags | {one: a, two: b})
    return Faulty(plant=changed, tags=(one, two), first=at, last=plant.rows - 1)


def _copy_shift(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    length = int(size)
    if plant.rows < 6 * length:
        return None
    source = int(rng.integers(0, plant.rows // 2 - length))
    target = int(rng.integers(plant.rows // 2, plant.rows - length))
    tags = {name: values.copy() for name, values in plant.tags.items()}
    for values in tags.values():
        values[target : target + length] = values[source : source + length]
    return Faulty(
        plant=replace(plant, tags=tags), tags=(), first=source, last=target + length - 1
    )


def take(plant: Plant, rows: Ints | Bools) -> Plant:
    """Return some rows of a plant."""
    return replace(
        plant,
        tags={name: values[rows] for name, values in plant.tags.items()},
        us=None if plant.us is None else plant.us[rows],
        group=None if plant.group is None else plant.group[rows],
        target=None if plant.target is None else plant.target[rows],
    )


def _gap(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    if plant.us is None:
        return None
    at = _place(plant, int(size), rng)
    if at is None:
        return None
    keep = np.ones(plant.rows, dtype=bool)
    keep[at : at + int(size)] = False
    return Faulty(plant=take(plant, keep), tags=(), first=at - 1, last=at)


def _doubled(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    if plant.us is None:
        return None
    at = _place(plant, int(size), rng)
    if at is None:
        return None
    rows = np.sort(np.r_[np.arange(plant.rows), np.arange(at, at + int(size))])
    return Faulty(plant=take(plant, rows), tags=(), first=at, last=at + 2 * int(size))


def _clock(direction: int) -> Inject:
    def put(plant: Plant, size: float, rng: Generator) -> Faulty | None:
        if plant.us is None:
            return None
        at = int(rng.uniform(0.3, 0.7) * plant.rows)
        us = plant.us.copy()
        us[at:] += direction * round(size * plant.period_s * SECOND)
        first, last = (at - int(size) - 1, at + int(size) + 1)
        return Faulty(
            plant=replace(plant, us=us), tags=(), first=max(0, first), last=last
        )

    return put


def _summer_time(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    """Write the times of a logger whose clock went back an hour in autumn."""
    hour = 3600 * SECOND
    per_hour = round(3600 / plant.period_s)
    if plant.us is None or plant.group is not None or per_hour < 2:
        return None
    at = int(rng.uniform(0.3, 0.7) * plant.rows)
    change = 1_761_440_400 * SECOND  # 2025-10-26T01:00Z
    us = plant.us - plant.us[at] + change + 2 * hour
    us[at:] -= hour
    return Faulty(
        plant=replace(plant, us=us, zone="Europe/Berlin"),
        tags=(),
        first=at - per_hour,
        last=at + per_hour,
    )


def _shifted(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    """Delay one tag by some rows from a moment on, against its companions."""
    names = [n for n in live_tags(plant) if explained(plant, n) >= COMPANIONS]
    if not names or plant.group is not None:
        return None
    tag = str(rng.choice(names))
    at = int(rng.uniform(0.3, 0.7) * plant.rows)
    values = plant.tags[tag].copy()
    values[at:] = plant.tags[tag][at - int(size) : plant.rows - int(size)]
    return Faulty(
        plant=_with(plant, tag, values), tags=(tag,), first=at, last=plant.rows - 1
    )


def _leak(plant: Plant, size: float, rng: Generator) -> Faulty | None:
    if plant.target is None:
        return None
    target = plant.target
    noise = rng.normal(size=plant.rows) * float(np.std(target)) * size
    column = 3.6 * target + 12 + noise
    return Faulty(
        plant=_with(plant, "QC.1", column), tags=("QC.1",), first=0, last=plant.rows - 1
    )


def _rows(size: float, rows: int) -> int:
    return int(size)


def _single(size: float, rows: int) -> int:
    return 1


_TEMPERATURE = (".degC",)
_PRESSURE = (".bar",)
_TIMES = ("gap", "clock-jump", "clock-change-gap")
_BACK = ("backward-time", "duplicate-time", "clock-change", "clock-jump")

FAULTS: tuple[Fault, ...] = (
    Fault(
        name="stuck sensor",
        size_is="rows",
        sizes=(20, 60, 200),
        stated=60,
        kinds=("stuck",),
        put=_on_tag(_stick, _rows),
    ),
    Fault(
        name="spike",
        size_is="usual spreads (1 % to 99 %)",
        sizes=(0.5, 1, 2, 4),
        stated=2,
        kinds=("spike", "outlier"),
        put=_on_tag(_spike, _single),
    ),
    Fault(
        name="code for no value",
        size_is="rows",
        sizes=(2, 20),
        stated=2,
        kinds=("code-value", "impossible"),
        put=_on_tag(_code, _rows),
    ),
    Fault(
        name="clipped transmitter",
        size_is="share of the values cut off",
        sizes=(0.01, 0.03, 0.1),
        stated=0.03,
        kinds=("clipped", "at-stop"),
        put=_clip,
    ),
    Fault(
        name="drift",
        size_is="usual spreads (5 % to 95 %) at the end",
        sizes=(0.25, 0.5, 1),
        stated=1,
        kinds=("drift",),
        put=_drift,
    ),
    Fault(
        name="more noise",
        size_is="times the noise before",
        sizes=(2, 4, 8),
        stated=4,
        kinds=("noise-change",),
        put=_until_end(_louder),
    ),
    Fault(
        name="unit switched (degC to degF)",
        size_is="all",
        sizes=(1,),
        stated=1,
        kinds=("unit-switch",),
        put=_until_end(_convert, _TEMPERATURE),
    ),
    Fault(
        name="unit switched (bar to kPa)",
        size_is="all",
        sizes=(1,),
        stated=1,
        kinds=("unit-switch",),
        put=_until_end(_scale, _PRESSURE),
    ),
    Fault(
        name="two tags exchanged",
        size_is="usual spreads between their levels",
        sizes=(0.5, 1, 3),
        stated=1,
        kinds=("swapped",),
        put=_swap,
    ),
    Fault(
        name="shift copied to another time",
        size_is="rows",
        sizes=(20, 100, 400),
        stated=100,
        kinds=("copied-stretch",),
        put=_copy_shift,
    ),
    Fault(
        name="rows exported twice",
        size_is="rows",
        sizes=(1, 50),
        stated=1,
        kinds=("duplicate-row",),
        put=_doubled,
    ),
    Fault(
        name="gap",
        size_is="rows",
        sizes=(1, 10, 100),
        stated=1,
        kinds=_TIMES,
        put=_gap,
    ),
    Fault(
        name="clock set forward",
        size_is="rows",
        sizes=(0.5, 3, 30),
        stated=3,
        kinds=_TIMES,
        put=_clock(1),
    ),
    Fault(
        name="clock set back",
        size_is="rows",
        sizes=(0.5, 3, 30),
        stated=3,
        kinds=_BACK,
        put=_clock(-1),
    ),
    Fault(
        name="hour of the clock change",
        size_is="hours",
        sizes=(1,),
        stated=1,
        kinds=("clock-change",),
        put=_summer_time,
    ),
    Fault(
        name="tag delayed against its companions",
        size_is="rows",
        sizes=(3, 10, 30),
        stated=30,
        kinds=("delayed",),
        put=_shifted,
    ),
    Fault(
        name="column computed from the target",
        size_is="noise over the target's spread",
        sizes=(0.0, 0.02),
        stated=0.0,
        kinds=("leak", "near-target"),
        put=_leak,
        labels=True,
    ),
)


def fault(name: str, among: Sequence[Fault] = FAULTS) -> Fault:
    """Return a fault by its name."""
    return next(one for one in among if one.name == name)
