"""What a scenario says of its signals so that a stream of them can be generated.

For a dry run of grade, training and line before the first sensor is wired. What is
generated shows that the plumbing holds, and nothing about the plant.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from tundish.catalog.errors import ConditionInvalidError
from tundish.catalog.expression import compile_formula
from tundish.catalog.tasks import Label, Text
from tundish.kernel.records import Record

SignalName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Kind: TypeAlias = Literal[
    "shift", "drift", "scale", "noise", "swing", "spikes", "freeze", "missing", "bump"
]
Spot: TypeAlias = Literal["spot", "scratch", "stain", "missing-part"]
AGE = "age"
"""The number of a row in its machine's life (rul), from 1: a formula may name it."""
COLUMNS = frozenset({"time", "unit", "class", "failure"})
"""Columns that a generated table has of its own."""
_NEEDS_BY = frozenset({"shift", "drift", "scale", "noise", "swing", "spikes", "bump"})


class Change(Record):
    """What a failure mode does to one signal.

    Attributes:
        change: ``shift`` by ``by`` at once; ``drift`` until it is off by ``by`` at the
            end; ``scale``: the value times ``by``; ``noise``: further white noise of
            standard deviation ``by``; ``swing``: a sine of amplitude ``by`` and period
            ``every_s``; ``spikes``: one row in ten off by ``by``; ``freeze``: the
            value stands still; ``missing``: no value; ``bump``: a bell of height
            ``by`` at ``at``, ``width`` wide, on the axis of a signal with channels.
        by: In the signal's unit (``scale``: a factor).
        why: The physics, if it is not plain.
    """

    signal: SignalName
    change: Kind
    by: float | None = None
    every_s: Annotated[float, Field(gt=0)] | None = None
    at: float | None = None
    width: Annotated[float, Field(gt=0)] | None = None
    why: Text | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        wanted = {
            "by": self.change in _NEEDS_BY,
            "every_s": self.change == "swing",
            "at": self.change == "bump",
            "width": self.change == "bump",
        }
        for name, needed in wanted.items():
            if (getattr(self, name) is not None) != needed:
                verb = "needs" if needed else "takes no"
                msg = f"{name}: the change {self.change!r} {verb} {name}"
                raise ValueError(msg)
        return self


class Blemish(Record):
    """What a failure mode looks like on a picture.

    Attributes:
        blemish: ``spot`` (round), ``scratch`` (a line), ``stain`` (a soft spot),
            ``missing-part`` (a square of the background).
        contrast: Grey levels brighter (or darker, below 0) than what lies under it.
        size_px: Diameter, length or side, in pixels.
    """

    blemish: Spot
    contrast: Annotated[float, Field(ge=-255, le=255)]
    size_px: Annotated[float, Field(gt=0)]


class FailureMode(Record):
    """One way in which it goes wrong, and its signature.

    Attributes:
        name: Short; of a diagnosis, the class that it belongs to.
        what: What happens, in the words of the trade.
        signature: What it does to the signals; as they show it when it is plain.
        looks: What it looks like (inspect).
    """

    name: Label
    what: Text
    signature: tuple[Change, ...] = ()
    looks: tuple[Blemish, ...] = ()


class Cycle(Record):
    """A sine, such as day and night.

    Attributes:
        swing: Its amplitude, in the signal's unit.
        every_s: Its period.
        peak_s: Seconds after midnight (or after the start of a period) at the peak.
    """

    swing: float
    every_s: Annotated[float, Field(gt=0)]
    peak_s: float = 0.0


class Peak(Record):
    """A bell on the axis of a signal with channels.

    Attributes:
        at, width: Its place and standard deviation, in the axis' unit.
        gain: Its height, or its height for each unit of ``of``.
        of: A signal, a hidden quantity or the target that it follows.
    """

    at: float
    width: Annotated[float, Field(gt=0)]
    gain: float
    of: SignalName | None = None


class Process(Record):
    """How one quantity moves in normal operation.

    Attributes:
        level: Its mean. Either this or ``formula``.
        formula: Sums, products and quotients of other quantities, signals and numbers.
        spread: Standard deviation of its slow movement about that.
        settles_s: Correlation time of the movement, and the lag behind the formula.
        holds_s: It is set and stays: a new value each ``holds_s`` seconds.
        cycles: Days, weeks, strokes.
        noise: Standard deviation of the instrument's white noise.
        peaks: For a signal with channels: its curve, on top of level or formula.
        low, high: What it cannot pass, such as a closed valve.
    """

    level: float | None = None
    formula: Text | None = None
    spread: Annotated[float, Field(ge=0)] = 0.0
    settles_s: Annotated[float, Field(ge=0)] = 0.0
    holds_s: Annotated[float, Field(ge=0)] = 0.0
    cycles: tuple[Cycle, ...] = ()
    noise: Annotated[float, Field(ge=0)] = 0.0
    peaks: tuple[Peak, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def names(self) -> frozenset[str]:
        """The quantities that it depends on."""
        of = frozenset(peak.of for peak in self.peaks if peak.of is not None)
        return of | (compile_formula(self.formula).tags if self.formula else of)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.level is None) == (self.formula is None):
            msg = "give either level or formula"
            raise ValueError(msg)
        if self.settles_s and self.holds_s:
            msg = "give either settles_s or holds_s"
            raise ValueError(msg)
        if self.low is not None and self.high is not None and self.low >= self.high:
            msg = f"high must lie above low, found low {self.low:g}, high {self.high:g}"
            raise ValueError(msg)
        if self.formula is not None:
            try:
                compile_formula(self.formula)
            except ConditionInvalidError as error:
                msg = f"formula: {error.message}"
                raise ValueError(msg) from error
        return self


class Lives(Record):
    """Machines that run until they fail (rul).

    Attributes:
        units: How many.
        rows: Mean rows of a life.
        spread: Its relative standard deviation.
        power: Damage grows as (share of the life) to this power.
    """

    units: Annotated[int, Field(ge=4, le=1000)] = 40
    rows: Annotated[int, Field(ge=10, le=10_000)] = 150
    spread: Annotated[float, Field(ge=0, le=0.6)] = 0.25
    power: Annotated[float, Field(gt=0, le=20)] = 2.0


class Scene(Record):
    """What a good part looks like (inspect).

    Attributes:
        pictures: How many good ones; of each failure mode a quarter of that.
        grey: Mean grey level, 0 to 255.
        texture: Standard deviation of the surface's grain.
        grain_px: Size of the grain, in pixels.
        lighting: Standard deviation of the brightness from picture to picture.
        stripes_px: Period of stripes (weave, brushing), if any.
        stripes: Their amplitude.
        parts: Squares (pads, holes, prints) along each side, if any.
        part_contrast: Grey levels of those against the surface.
    """

    pictures: Annotated[int, Field(ge=20, le=5000)] = 120
    grey: Annotated[float, Field(ge=0, le=255)] = 128.0
    texture: Annotated[float, Field(ge=0)] = 6.0
    grain_px: Annotated[float, Field(ge=0)] = 1.5
    lighting: Annotated[float, Field(ge=0)] = 3.0
    stripes_px: Annotated[float, Field(ge=2)] | None = None
    stripes: float = 0.0
    parts: Annotated[int, Field(ge=1, le=32)] | None = None
    part_contrast: float = 60.0


class Simulation(Record):
    """How to generate a stream; see the module.

    Attributes:
        rows: Rows of normal operation (regress, anomaly, forecast).
        episodes: Episodes of each class or failure mode.
        episode_rows: Rows of an episode; of a failure, it lasts so long.
        hidden: Quantities that no signal shows, such as the ore's grade.
        signals: Every signal of the contract (none of a picture).
        target: The number to estimate (regress, forecast).
        lives: Of machines (rul).
        scene: Of pictures (inspect).
    """

    rows: Annotated[int, Field(ge=60, le=200_000)] = 3000
    episodes: Annotated[int, Field(ge=1, le=500)] = 4
    episode_rows: Annotated[int, Field(ge=1, le=10_000)] = 60
    hidden: dict[SignalName, Process] = Field(default_factory=dict)
    signals: dict[SignalName, Process] = Field(default_factory=dict)
    target: Process | None = None
    lives: Lives | None = None
    scene: Scene | None = None

    def order(self, target: str | None) -> tuple[str, ...]:
        """Return all quantities, each after those it depends on.

        Args:
            target: The target's name, if it is generated.

        Raises:
            ValueError: if one depends on itself, or on one that is not there.
        """
        found = self.processes(target)
        known = set(found) | ({AGE} if self.lives else set())
        for name, process in found.items():
            unknown = sorted(process.names - known)
            if unknown:
                msg = f"{name}: {unknown[0]!r} is no signal or hidden quantity"
                raise ValueError(msg)
        # sorted: a set has another order in each process, and chance is drawn in this one
        graph = {name: sorted(process.names - {AGE}) for name, process in found.items()}
        try:
            return tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            msg = f"{error.args[1][0]}: it depends on itself"
            raise ValueError(msg) from error

    def processes(self, target: str | None) -> dict[str, Process]:
        """Return all quantities by name."""
        found = self.hidden | self.signals
        if self.target is not None and target is not None:
            found = found | {target: self.target}
        return found
