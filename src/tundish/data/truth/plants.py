"""Made plants without a fault, seeded: process, utility, machine, batch, historian.

Kinds in ``TUNING`` were looked at while the rules were written; those in ``JUDGING``
were made for the table and are graded there only. Seeds are apart as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tundish.data.grade.sheet import Floats, Ints, Labels, Series, Sheet
from tundish.data.times import SECOND
from tundish.data.truth.signals import (
    compressed,
    held,
    lag,
    loop,
    rounded,
    season,
    shifts,
    shown,
    steps,
    wander,
)

START_US = 1_767_225_600 * SECOND
_KNOWN = frozenset(
    {
        ("at-stop", "TIC2_OP.%"),  # valves saturate, analysers hold
        ("at-stop", "TIC30_OP.%"),
        ("interpolated", "AI7.%"),
        ("interpolated", "AI7.ppm"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Plant:
    """Values of a plant.

    Attributes:
        kind: What it is.
        tags: Name -> values, shape [n]; names carry the unit after a dot (``T1.degC``).
        us: Time of each row, shape [n], or ``None``.
        period_s: Seconds between rows.
        group: Batch of each row, or ``None``.
        target: What a laboratory would measure, shape [n], or ``None``.
        zone: Zone of its clock.
        known: (Kind, tag) of findings that are true of it as it stands.
    """

    kind: str
    tags: dict[str, Floats]
    us: Ints | None
    period_s: float = 60.0
    group: NDArray[np.str_] | None = None
    target: Floats | None = None
    zone: str = "UTC"
    known: frozenset[tuple[str, str]] = frozenset()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.tags.values())))


def sheet_of(plant: Plant) -> Sheet:
    """Return the table that a grade would see."""
    labels = None
    if plant.target is not None:
        labels = Labels(
            name="quality",
            values=plant.target,
            us=None,
            joined=np.isfinite(plant.target),
            part=None,
            table=plant.kind,
        )
    return Sheet(
        name=plant.kind,
        rows=plant.rows,
        series=tuple(
            Series(tag=name, values=values, unit=name.partition(".")[2])
            for name, values in plant.tags.items()
        ),
        us=plant.us,
        zone=plant.zone,
        group=plant.group,
        labels=labels,
        lines=plant.rows,
    )


def _clock(rows: int, period_s: float) -> Ints:
    return START_US + np.arange(rows, dtype=np.int64) * round(period_s * SECOND)


def reactor(rng: Generator) -> Plant:
    """Make a stirred tank under control: loops, a saturating valve, a slow analyser."""
    n = 5000
    feed_sp = steps(rng, n, 900, np.array([40.0, 42.0, 45.0, 50.0]))
    heat = 3 * wander(rng, n, 400) + season(rng, n, 1440)
    temperature, valve = loop(rng, np.full(n, 82.0), heat, 8.0)
    flow = lag(feed_sp, 15) + 0.4 * wander(rng, n, 4)
    jacket = 60 + 0.25 * valve + 0.6 * wander(rng, n, 60)
    conversion = 0.7 + 0.01 * (temperature - 82) - 0.003 * (flow - 45)
    quality = conversion + 0.01 * wander(rng, n, 300)
    tags: dict[str, Floats] = {
        "FIC1_SP.m3/h": feed_sp,
        "FIC1.m3/h": shown(flow, 3),
        "TIC2.degC": shown(temperature, 3),
        "TIC2_OP.%": shown(valve, 2),
        "TI3.degC": shown(temperature - 1.2 + 0.05 * rng.normal(size=n), 3),
        "TI4.degC": rounded(jacket, 0.1),
        "PI5.bar": shown(
            2.1 + 0.02 * (temperature - 82) + 0.01 * wander(rng, n, 20), 4
        ),
        "FI6.m3/h": shown(lag(flow, 30) * 0.97 + 0.1 * rng.normal(size=n), 3),
        "AI7.%": held(shown(100 * quality + 0.1 * rng.normal(size=n), 2), 15),
        "JI8.kW": shown(11 + 0.1 * flow + 0.3 * np.abs(wander(rng, n, 8)) ** 1.5, 3),
    }
    return Plant(
        kind="reactor", tags=tags, us=_clock(n, 60), target=quality, known=_KNOWN
    )


def waterworks(rng: Generator) -> Plant:
    """Make a water supply: days and weeks, pumps on and off, counters, floods of zero."""
    n = 6000
    demand = 120 + 35 * season(rng, n, 144) + 10 * season(rng, n, 1008)
    demand += 5 * wander(rng, n, 12)
    peak = np.maximum(demand - 150, 0) * (1 + 0.1 * rng.normal(size=n))
    pump = (lag(demand, 10) > 110).astype(float)
    head = 5.2 - 0.006 * demand + 0.05 * wander(rng, n, 200)
    cold = 9 + 3 * np.sin(np.arange(n) / n * 3) + 0.3 * season(rng, n, 144)
    rain = np.exp(1.0 * wander(rng, n, 90) - 0.6)
    tags: dict[str, Floats] = {
        "FT1.m3/h": shown(demand + rng.normal(size=n), 2),
        "FT2.m3/h": shown(peak, 2),
        "PT3.bar": shown(head, 3),
        "PT4.bar": shown(head - 0.4 + 0.004 * rng.normal(size=n), 3),
        "NT5.NTU": shown(0.4 + 0.3 * rain + 0.02 * np.abs(rng.normal(size=n)), 3),
        "TT6.degC": rounded(cold + 0.05 * rng.normal(size=n), 0.1),
        "P7_ON.1": pump,
        "WQ8.kWh": shown(np.cumsum(6 + 0.05 * demand), 1),
        "LT9.m": shown(3 + 0.6 * wander(rng, n, 300) + 0.004 * rng.normal(size=n), 3),
        "JT10.kW": shown(pump * (22 + 0.12 * demand) + 0.2 * rng.normal(size=n), 2),
    }
    return Plant(kind="waterworks", tags=tags, us=_clock(n, 600), period_s=600)


def packer(rng: Generator) -> Plant:
    """Make a packing machine: stops, start-ups, a counter, heavy-tailed vibration."""
    n = 5000
    on = shifts(rng, n, 420, 60)
    rate = steps(rng, n, 700, np.array([80.0, 90.0, 100.0]))
    speed = lag(np.where(on, rate, 0.0), 3)
    speed = np.where(speed > 1, speed + 0.5 * rng.normal(size=n), 0.0)
    warm = 24 + lag(np.where(on, 31.0, 0.0), 90) + 0.2 * wander(rng, n, 50)
    shake = np.where(on, 1.1 * np.exp(0.35 * wander(rng, n, 3)), 0.02)
    tags: dict[str, Floats] = {
        "RUN.1": on.astype(float),
        "SPEED.1/min": shown(speed, 1),
        "CURRENT.A": shown(
            np.where(on, 4 + 0.05 * speed, 0.3) + 0.1 * rng.normal(size=n), 2
        ),
        "GEAR.degC": rounded(warm, 0.1),
        "BEARING.degC": shown(
            warm * 0.8 + 6 + 0.1 * wander(rng, n, 30) + 0.03 * rng.normal(size=n), 2
        ),
        "SHAKE.mm/s": shown(shake, 3),
        "PARTS.1": np.cumsum(shown(speed / 6, 0)),
        "AIR.bar": shown(6.1 + 0.08 * wander(rng, n, 40) - 0.1 * on, 3),
        "SEAL.degC": rounded(
            145 + 1.5 * wander(rng, n, 25) + 0.3 * rng.normal(size=n), 0.5
        ),
    }
    return Plant(kind="packer", tags=tags, us=_clock(n, 10), period_s=10)


def dryer(rng: Generator) -> Plant:
    """Make batches of a vacuum dryer, each its own pace, in one table."""
    parts: list[dict[str, Floats]] = []
    names: list[str] = []
    for batch in range(30):
        n = int(rng.integers(130, 190))
        at = np.linspace(0, 1, n)
        hot = 20 + 55 * np.minimum(at * rng.uniform(2.5, 3.5), 1)
        jacket = lag(hot, 5) + 0.4 * rng.normal(size=n)
        wet = np.exp(-4 * at) * rng.uniform(0.8, 1.2)
        core = jacket - 22 * wet + 0.3 * rng.normal(size=n)
        parts.append(
            {
                "JACKET_SP.degC": rounded(hot, 1.0),
                "JACKET.degC": shown(jacket, 2),
                "CORE.degC": shown(core, 2),
                "VAPOUR.degC": shown(core - 4 + 0.8 * wander(rng, n, 8), 2),
                "VACUUM.mbar": shown(
                    18 + 60 * np.exp(-9 * at) + wet * 20 + 0.5 * wander(rng, n, 6), 2
                ),
                "TORQUE.Nm": shown(14 + 9 * wet + 0.7 * wander(rng, n, 4), 2),
                "POWER.kW": shown(2.2 + wet + 0.05 * rng.normal(size=n), 3),
            }
        )
        names += [f"B{batch:02d}"] * n
    tags = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    rows = len(names)
    return Plant(
        kind="dryer",
        tags=tags,
        us=_clock(rows, 60),
        group=np.array(names),
    )


def column(rng: Generator) -> Plant:
    """Make a distillation column: a profile of trays, duties, levels, valves."""
    n = 5000
    feed = 100 + 6 * wander(rng, n, 250) + 4 * season(rng, n, 1440)
    light = 0.42 + 0.03 * wander(rng, n, 500)
    top, reflux_valve = loop(rng, np.full(n, 64.0), 1.5 * wander(rng, n, 120), 10.0)
    base_sp = steps(rng, n, 1500, np.array([118.0, 119.5, 121.0]))
    base, steam_valve = loop(rng, base_sp, 2.5 * wander(rng, n, 150), 6.0)
    split = 0.45 + 0.6 * (light - 0.42)
    tags: dict[str, Floats] = {"FI100.t/h": shown(feed + 0.5 * rng.normal(size=n), 2)}
    for tray, share in ((5, 0.12), (12, 0.35), (20, 0.6), (28, 0.85)):
        heat = top * (1 - share) + base * share - 25 * (light - 0.42)
        tags[f"TI{tray}.degC"] = shown(
            heat + 0.25 * wander(rng, n, 30) + 0.08 * rng.normal(size=n), 2
        )
    pressure = 1.3 + 0.04 * wander(rng, n, 80)
    tags |= {
        "TIC1.degC": shown(top, 2),
        "TIC30.degC": shown(base, 2),
        "TIC30_OP.%": shown(steam_valve, 1),
        "FI2.t/h": shown(60 + 0.5 * (reflux_valve - 50) + 0.4 * rng.normal(size=n), 2),
        "FI3.t/h": shown(lag(feed * split, 40) + 0.3 * rng.normal(size=n), 2),
        "PI4.bar": shown(pressure, 4),
        "PDI5.mbar": shown(85 + 0.9 * (feed - 100) + 1.5 * wander(rng, n, 6), 1),
        "LI6.%": shown(50 + 6 * wander(rng, n, 45) + 0.3 * rng.normal(size=n), 1),
        "AI7.ppm": held(rounded(300 * np.exp(0.5 * wander(rng, n, 120)), 1.0), 20),
    }
    target = 4 + 0.6 * (base - 119) - 0.3 * (top - 64) + 0.1 * rng.normal(size=n)
    return Plant(
        kind="column",
        tags=tags,
        us=_clock(n, 30),
        period_s=30,
        target=target,
        known=_KNOWN,
    )


def boiler(rng: Generator) -> Plant:
    """Make a boiler house that follows its load between two states, over weeks."""
    n = 6000
    hard = steps(rng, n, 500, np.array([0.0, 1.0]))
    load = 30 + 25 * lag(hard, 20) + 4 * season(rng, n, 288) + 1.5 * wander(rng, n, 30)
    oxygen = np.maximum(2.8 - 0.02 * (load - 40) + 0.3 * wander(rng, n, 25), 0.4)
    flue = 130 + 0.9 * load + 0.8 * wander(rng, n, 80)
    blow = (rng.random(n) < 0.004) * rng.uniform(2, 6, n)
    blow = np.where(lag(blow, 4) > 0.05, lag(blow, 4), 0.0)
    tags: dict[str, Floats] = {
        "LOAD_SP.t/h": rounded(30 + 25 * hard, 1.0),
        "FT1.t/h": shown(load + 0.3 * rng.normal(size=n), 2),
        "FT2.t/h": shown(load * 1.02 + 0.5 * rng.normal(size=n), 2),
        "FT3.Nm3/h": rounded(78 * lag(load, 4) + 20 * rng.normal(size=n), 1.0),
        "PT4.bar": shown(40 + 0.35 * wander(rng, n, 15), 2),
        "LT5.mm": rounded(6 * wander(rng, n, 9) + 2 * rng.normal(size=n), 1.0),
        "AT6.%": shown(oxygen, 2),
        "TT7.degC": rounded(flue, 0.5),
        "TT8.degC": shown(flue * 0.55 + 20 + 0.5 * wander(rng, n, 60), 1),
        "BLOW9.t/h": shown(blow, 2),
        "AMBIENT.degC": shown(8 + 6 * season(rng, n, 288) + 4 * wander(rng, n, 900), 1),
        "GAS10.Nm3": rounded(np.cumsum(6.5 * load), 1.0),
    }
    return Plant(kind="boiler", tags=tags, us=_clock(n, 300), period_s=300)


def press(rng: Generator) -> Plant:
    """Make an injection press, a row a shot: stops, restarts, coarse temperatures."""
    n = 5000
    on = shifts(rng, n, 600, 1)
    cold = lag((~on).astype(float) * 6, 12)
    mould = steps(rng, n, 1400, np.array([48.0, 55.0]))
    melt = 231 - cold + 0.5 * wander(rng, n, 60)
    tough = wander(rng, n, 250)
    tags: dict[str, Floats] = {
        "ZONE1.degC": rounded(melt - 16 + 0.2 * rng.normal(size=n), 0.1),
        "ZONE2.degC": rounded(melt - 6 + 0.2 * rng.normal(size=n), 0.1),
        "ZONE3.degC": rounded(melt + 0.2 * rng.normal(size=n), 0.1),
        "MOULD.degC": rounded(lag(mould, 25) + 0.15 * wander(rng, n, 10), 0.1),
        "PEAK.bar": rounded(
            860 + 22 * tough - 3 * (melt - 231) + 3 * rng.normal(size=n), 1.0
        ),
        "CUSHION.mm": shown(5.4 - 0.1 * tough + 0.03 * rng.normal(size=n), 2),
        "DOSING.s": shown(7.9 + 0.2 * tough + 0.12 * rng.gamma(2.0, 1.0, n), 2),
        "CYCLE.s": shown(31 + 0.1 * rng.gamma(1.5, 1.0, n), 2),
        "SHOT.1": np.arange(n, dtype=float),
    }
    return Plant(kind="press", tags=tags, us=_clock(n, 31), period_s=31)


def fermenter(rng: Generator) -> Plant:
    """Make fed batches of a fermenter: growth, feed ramps, oxygen that falls."""
    parts: list[dict[str, Floats]] = []
    names: list[str] = []
    for batch in range(16):
        n = int(rng.integers(280, 360))
        at = np.linspace(0, 1, n)
        mass = 1 / (1 + np.exp(-9 * (at - rng.uniform(0.4, 0.55))))
        uptake = mass * (1 + 0.05 * wander(rng, n, 20))
        parts.append(
            {
                "TEMP.degC": shown(37 + 0.08 * wander(rng, n, 7), 2),
                "PH.1": shown(7 + 0.03 * wander(rng, n, 10) - 0.05 * mass, 3),
                "DO.%": shown(95 - 55 * uptake + 1.2 * rng.normal(size=n), 1),
                "STIR.1/min": rounded(300 + 420 * mass, 1.0),
                "OFFGAS.%": shown(0.1 + 4.2 * uptake + 0.03 * rng.normal(size=n), 3),
                "FEED.l/h": np.where(at > 0.3, shown(2 + 6 * (at - 0.3), 2), 0.0),
                "WEIGHT.kg": shown(800 + 90 * at**2 + 0.3 * rng.normal(size=n), 1),
                "RPM_POWER.kW": shown(3 + 6 * mass**2 + 0.08 * rng.normal(size=n), 2),
            }
        )
        names += [f"F{batch:02d}"] * n
    tags = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Plant(
        kind="fermenter",
        tags=tags,
        us=_clock(len(names), 300),
        period_s=300,
        group=np.array(names),
    )


def historian(rng: Generator) -> Plant:
    """Make what a historian gives back of a column: stored by exception, held."""
    plant = column(rng)
    tags: dict[str, Floats] = {
        name: compressed(values, 0.25 * float(np.std(values))) if i % 3 == 0 else values
        for i, (name, values) in enumerate(plant.tags.items())
    }
    return Plant(kind="historian", tags=tags, us=plant.us, period_s=30, known=_KNOWN)


Make = Callable[[Generator], Plant]
TUNING: dict[str, Make] = {
    make.__name__: make for make in (reactor, waterworks, packer, dryer)
}
JUDGING: dict[str, Make] = {
    make.__name__: make for make in (column, boiler, press, fermenter, historian)
}
TUNING_SEEDS = range(1_000)
JUDGING_SEEDS = range(1_000_000, 1_001_000)


def make(kind: str, seed: int) -> Plant:
    """Return a plant without a fault.

    Args:
        kind: A key of ``TUNING`` or ``JUDGING``.
        seed: One of ``TUNING_SEEDS`` or ``JUDGING_SEEDS``, whichever the kind belongs to.
    """
    return (TUNING | JUDGING)[kind](np.random.default_rng([seed, len(kind)]))
