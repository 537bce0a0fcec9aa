"""Named faults put into real held-out windows: what a detector would find, by size.

Where nobody marked an event, nothing says what a detector misses. This gives a lower
ground: the plant's own later data, changed in one tag as instruments and tags fail, by a
known size, and beside it how often the same windows alarm unchanged. A fault of the
process moves many tags and is not like these; so every table says *injected, not real*.

Each fault begins at the middle of a window and stands to its end. Sizes are in standard
deviations of the tag in the fit part, so that one table holds for all tags.

Source: the kinds are those of sensor fault studies (K. Ni et al., "Sensor network data
fault types", ACM Trans. Sensor Networks 5 (2009) 25; R. Dunia et al., AIChE J. 42 (1996)
2797: bias, drift, precision, complete failure).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.stats import beta

from tundish.catalog.scenario import Scenario
from tundish.learn.material import Floats, Indices, Windows
from tundish.learn.recipe import CONTRIBUTION, Envelope, Outputs
from tundish.learn.verdict import InjectedResult

Fault: TypeAlias = Literal[
    "stuck", "bias", "drift", "spike", "noise", "gain", "swapped", "delay"
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
SIZES: Mapping[Fault, tuple[float, ...]] = {
    "stuck": (1.0,),
    "bias": (1.0, 2.0, 4.0),
    "drift": (2.0, 4.0, 8.0),
    "spike": (2.0, 4.0, 8.0),
    "noise": (1.0, 2.0, 4.0),
    "gain": (0.5, 1.0, 3.0),
    "swapped": (1.0,),
    "delay": (1.0,),
}
MEANS: Mapping[Fault, str] = {
    "stuck": "the tag keeps the value that it has",
    "bias": "the tag reads so many standard deviations too high or too low",
    "drift": "the same, growing from nothing to this size",
    "spike": "the newest value alone is so far off",
    "noise": "normal noise of so many standard deviations is added",
    "gain": "the tag's distance from its mean is larger by this factor, plus one",
    "swapped": "the tag shows what another shows, scaled to its own mean and spread",
    "delay": "the tag shows what it showed half a fault's length earlier",
}
WINDOWS = 200
_COVER = 0.90


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a fault goes.

    Attributes:
        channel: Channel of each window, [n].
        other: Another channel of each window, for tags that are swapped, [n].
        sign: 1 or -1, [n].
    """

    channel: Indices
    other: Indices
    sign: Floats


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What is usual for each channel: mean, spread, and the turn of an angle, [C]."""

    mean: Floats
    std: Floats
    low: Floats
    turning: np.ndarray

    @classmethod
    def of(cls, envelope: Envelope, scenario: Scenario) -> Scale:
        """Return it from the statistics of the fit part."""
        low = [s.range[0] for s in scenario.signals for _ in range(s.channels)]
        turning = [s.circular for s in scenario.signals for _ in range(s.channels)]
        return cls(
            mean=np.asarray(envelope.mean),
            std=np.asarray(envelope.std),
            low=np.asarray(low),
            turning=np.asarray(turning),
        )


def inject(
    x: Windows,
    fault: Fault,
    size: float,
    scale: Scale,
    target: Target,
    rng: np.random.Generator,
) -> Windows:
    """Return windows with a fault in one channel each.

    Args:
        x: Windows, float32 [n, T, C]; not changed.
        fault: Which.
        size: See ``MEANS``; of no meaning for stuck, swapped and delay.
        scale: What is usual.
        target: Which channel of each window.
        rng: For noise.
    """
    rows = x.shape[1]
    start = rows // 2
    place = np.arange(len(x))
    wide = x.astype(np.float64)
    course = wide[place, :, target.channel]  # [n, T]
    mean = scale.mean[target.channel][:, None]
    std = scale.std[target.channel][:, None]
    part = course[:, start:]
    length = part.shape[1]
    if fault == "swapped":
        other = wide[place, start:, target.other] - scale.mean[target.other][:, None]
        part = mean + std * other / np.maximum(scale.std[target.other][:, None], 1e-300)
    elif fault == "delay":
        back = max(1, length // 2)
        rolled = np.concatenate([course[:, :1].repeat(back, axis=1), course], axis=1)
        part = rolled[:, start : start + length]
    else:
        part = _CHANGES[fault](part, size * std * target.sign[:, None], mean, rng, size)
    course = np.concatenate([course[:, :start], part], axis=1)
    turns = scale.turning[target.channel][:, None]
    low = scale.low[target.channel][:, None]
    course = np.where(turns, (course - low) % 360.0 + low, course)
    wide[place, :, target.channel] = course
    return wide.astype(np.float32)


Change = Callable[[Floats, Floats, Floats, np.random.Generator, float], Floats]


def _stuck(part: Floats, *_: object) -> Floats:
    return np.repeat(part[:, :1], part.shape[1], axis=1)


def _bias(part: Floats, off: Floats, *_: object) -> Floats:
    return part + off


def _drift(part: Floats, off: Floats, *_: object) -> Floats:
    length = part.shape[1]
    return np.asarray(part + off * np.arange(1, length + 1) / length)


def _spike(part: Floats, off: Floats, *_: object) -> Floats:
    newest = np.zeros(part.shape[1])
    newest[-1] = 1.0
    return part + off * newest


def _noise(
    part: Floats, off: Floats, mean: Floats, rng: np.random.Generator, size: float
) -> Floats:
    del mean, size
    return np.asarray(part + off * rng.normal(size=part.shape))


def _gain(
    part: Floats, off: Floats, mean: Floats, rng: np.random.Generator, size: float
) -> Floats:
    del off, rng
    return mean + (part - mean) * (1.0 + size)


_CHANGES: Mapping[Fault, Change] = {
    "stuck": _stuck,
    "bias": _bias,
    "drift": _drift,
    "spike": _spike,
    "noise": _noise,
    "gain": _gain,
}


def faults_for(rows: int, channels: int) -> tuple[Fault, ...]:
    """Return the faults that windows of this form can show."""
    impossible: set[str] = set()
    if rows < 4:
        impossible |= {"stuck", "delay"}
    if channels < 2:
        impossible.add("swapped")
    return tuple(fault for fault in FAULTS if fault not in impossible)


def injected(
    x: Windows,
    run: Callable[[Windows], Outputs],
    scale: Scale,
    rng: np.random.Generator,
    *,
    windows: int = WINDOWS,
    faults: Sequence[Fault] | None = None,
) -> tuple[InjectedResult, ...]:
    """Return what a graph finds of each fault and size.

    Args:
        x: Held-out normal windows, [N, T, C], in time order.
        run: The graph, in batches.
        scale: What is usual.
        rng: Chooses channels, signs and noise.
        windows: How many windows each fault is put into, spread over all of them.
        faults: Which; None: all that the windows can show.
    """
    chosen = x[np.linspace(0, len(x) - 1, min(windows, len(x))).astype(np.int64)]
    channels = x.shape[2]
    moving = np.flatnonzero(scale.std > 0)
    if not len(moving):
        return ()
    channel = rng.permutation(np.resize(moving, len(chosen)))
    other = (
        channel + 1 + rng.integers(0, max(1, channels - 1), len(chosen))
    ) % channels
    target = Target(
        channel=channel, other=other, sign=rng.choice([-1.0, 1.0], len(chosen))
    )
    unchanged = run(chosen)["score"][:, 0] > 1.0
    found = []
    for fault in faults or faults_for(x.shape[1], channels):
        for size in SIZES[fault]:
            outputs = run(inject(chosen, fault, size, scale, target, rng))
            found.append(_result(fault, size, outputs, unchanged, target))
    return tuple(found)


def _result(
    fault: Fault,
    size: float,
    outputs: Outputs,
    unchanged: np.ndarray,
    target: Target,
) -> InjectedResult:
    alarm = outputs["score"][:, 0] > 1.0
    named = outputs[CONTRIBUTION].argmax(axis=1) == target.channel
    low, high = _share_interval(int(alarm.sum()), len(alarm))
    return InjectedResult(
        fault=fault,
        size=size if len(SIZES[fault]) > 1 else None,
        windows=len(alarm),
        found=float(alarm.mean()),
        low=low,
        high=high,
        unchanged=float(unchanged.mean()),
        named=float(named[alarm].mean()) if alarm.any() else None,
    )


def _share_interval(count: int, total: int) -> tuple[float, float]:
    """Return the exact 90 % interval of a share (Clopper-Pearson)."""
    tail = (1.0 - _COVER) / 2.0
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high
