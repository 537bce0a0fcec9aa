"""The scenario: one YAML file, the contract for all that follows.

It says which signals are needed, in which unit, range and rate; which task and
recipe; what "good enough" means in plant terms and why; who decides, at which risk.
A site profile (``catalog.site``) binds it to one plant.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import accumulate
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from tundish.catalog.coherence import Frame, failure_problem, generator_problem
from tundish.catalog.errors import ConditionInvalidError
from tundish.catalog.expression import compile_condition, compile_formula
from tundish.catalog.mechanism import Mechanism
from tundish.catalog.modes import Mode
from tundish.catalog.sectors import is_sector
from tundish.catalog.simulation import FailureMode, Simulation
from tundish.catalog.tasks import (
    WITH_TARGET,
    ClassOfCondition,
    Costs,
    Horizon,
    Label,
    Metric,
    Picture,
    Task,
    Text,
)
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_KEY = r"^[A-Z][0-9]{2}\.[0-9]{1,2}\.[a-z0-9-]{2,60}$"
Key = Annotated[str, StringConstraints(pattern=_KEY)]
Level = Literal["low", "medium", "high"]
Range: TypeAlias = tuple[float, float]
Scalar: TypeAlias = bool | int | float | str
Option: TypeAlias = Scalar | tuple[Scalar, ...] | tuple[tuple[Scalar, ...], ...]


class Bilingual(Record):
    """A name in English and Chinese."""

    en: Text
    zh: Text


class Axis(Record):
    """The axis of a signal that has many channels, such as a spectrum."""

    quantity: Text
    unit: Text
    first: float
    last: float
    points: Annotated[int, Field(ge=2, le=100_000)]


class Signal(Record):
    """One signal that the model needs.

    Attributes:
        range: Lowest and highest plausible value, in ``unit``.
        period_s: Seconds between two values.
        axis: Given if the signal has many channels (a spectrum).
        circular: True for angles, where 359 and 1 lie side by side.
        min_spread: For a spectrum: the least standard deviation across its
            channels; a flatter one is dead (lamp off, probe out).
        max_rate_per_s: Fastest plausible change, in ``unit`` per second.
        frozen_after_s: Longest time for which a living sensor gives the very same
            value (all channels); on the line a value that has stood longer is
            uncertain, whatever its status says. Only for signals that always move.
    """

    name: Name
    description: Text
    unit: Text
    range: Range
    period_s: Annotated[float, Field(gt=0)]
    axis: Axis | None = None
    circular: bool = False
    min_spread: Annotated[float, Field(gt=0)] | None = None
    max_rate_per_s: Annotated[float, Field(gt=0)] | None = None
    frozen_after_s: Annotated[float, Field(gt=0)] | None = None

    @property
    def channels(self) -> int:
        """Number of columns of a window that the signal fills."""
        return self.axis.points if self.axis else 1

    @property
    def numeric(self) -> bool:
        """Whether anything but numbers is bad: always, since a model computes."""
        return True

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.range[0] < self.range[1]:
            msg = f"range must rise, found {list(self.range)}"
            raise ValueError(msg)
        if self.frozen_after_s is not None and self.frozen_after_s < self.period_s:
            msg = f"frozen_after_s is {self.frozen_after_s:g}, less than one period_s"
            raise ValueError(msg)
        return self


class Constant(Record):
    """A constant of a balance, such as a density, with its unit."""

    value: float
    unit: Text


class Balance(Record):
    """A balance of mass or energy: a formula of signals that is zero if meters are right.

    Attributes:
        residual: Sums and products of signals and constants, such as
            ``steam + blowdown - feed``; in the signals' own units, which are converted.
        unit: Unit of the residual.
        tolerance: Largest residual that right meters leave, in ``unit``.
        over_rows: Rows over which the residual is averaged, because the plant stores.
        constants: Name -> value and unit.
        why: Why it must close, and why within the tolerance.
    """

    name: Text
    residual: Text
    unit: Text
    tolerance: Annotated[float, Field(gt=0)]
    over_rows: Annotated[int, Field(ge=1, le=100_000)] = 1
    constants: dict[Name, Constant] = Field(default_factory=dict)
    why: Text


class Target(Record):
    """What is estimated.

    Attributes:
        range: Lowest and highest plausible value, in ``unit``.
        cap: A remaining life above it counts as it: nobody can tell 150 from 200
            cycles on a healthy machine (rul).
    """

    name: Name
    description: Text
    unit: Text
    range: Range
    cap: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.range[0] < self.range[1]:
            msg = f"range must rise, found {list(self.range)}"
            raise ValueError(msg)
        return self


class Window(Record):
    """What one call of the graph sees: some rows of all signals (pixels of a picture).

    Attributes:
        begins: Condition on signals that only the first row of a life fulfils, such as
            ``cycles <= 1``. A window that would reach back before that row is filled by
            repeating it, in training, in judging and on the line alike; without it, and
            after any gap, an answer waits until the window is full.
    """

    rows: Annotated[int, Field(ge=1, le=1024 * 1024)] = 1
    stride: Annotated[int, Field(ge=1)] = 1
    begins: Text | None = None


class Candidate(Record):
    """One way to make the model: a recipe and its options."""

    recipe: Name
    why: Text
    options: dict[str, Option] = Field(default_factory=dict)


class Limit(Record):
    """One limit of acceptance, in plant terms, with its reason."""

    metric: Metric
    at_least: float | None = None
    at_most: float | None = None
    why: Text

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            msg = "give either at_least or at_most"
            raise ValueError(msg)
        return self

    def holds(self, value: float) -> bool:
        """Tell whether a measured value keeps the limit (NaN never does)."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most


class Acceptance(Record):
    """When a graph is good enough.

    Attributes:
        tolerance: Largest error of one estimate that the decision can bear, in the
            target's unit (regress).
        coverage: Promised share of true values inside the interval (regress).
        alarm_rate: Promised share of normal windows that alarm (anomaly); nothing
            finer than the calibration data supports is ever promised.
    """

    tolerance: Annotated[float, Field(gt=0)] | None = None
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    limits: Annotated[tuple[Limit, ...], Field(min_length=1)]


class Decision(Record):
    """What is decided with the model's answer, and who decides."""

    what: Text
    who: Text


class Risk(Record):
    """Risk of a bad outcome, ambiguity of the case, and what the model may do."""

    outcome: Level
    ambiguity: Level
    autonomy: Literal["perceive", "advise", "control"]
    why: Text


class Scenario(Record):
    """A contract; see the module.

    Attributes:
        modes: Operating modes that data for the scenario must cover; none if unsaid.
        classes: What a diagnosis tells apart (diagnose; optional for inspect).
        horizon: How far a forecast looks ahead (forecast).
        picture: The form of a picture (inspect).
        costs: What errors cost.
        mechanism: What is known of the physics.
        failure_modes: What goes wrong, with its signature where it is known.
        simulation: How to generate a stream before the first sensor is wired.
    """

    format: Literal["tundish.scenario"]
    version: Literal[1]
    key: Key
    name: Bilingual
    problem: Text
    decision: Decision
    task: Task
    signals: Annotated[tuple[Signal, ...], Field(min_length=1)]
    target: Target | None = None
    window: Window = Window()
    recipe: Label
    candidates: Annotated[dict[Label, Candidate], Field(min_length=1)]
    acceptance: Acceptance
    baseline: Text
    parity_tolerance: Annotated[float, Field(gt=0)]
    stale_after_s: Annotated[float, Field(gt=0)]
    balances: tuple[Balance, ...] = ()
    modes: tuple[Mode, ...] = ()
    classes: Annotated[tuple[ClassOfCondition, ...], Field(max_length=100)] = ()
    horizon: Horizon | None = None
    picture: Picture | None = None
    costs: Costs | None = None
    mechanism: Mechanism | None = None
    failure_modes: tuple[Text | FailureMode, ...] = ()
    risk: Risk
    controls: tuple[Text, ...] = ()
    simulation: Simulation | None = None

    @property
    def sector(self) -> str:
        """The division of GB/T 4754, such as ``C25``."""
        return self.key.split(".", maxsplit=1)[0]

    @property
    def reference_scenario(self) -> int:
        """The number (1-40) of the reference scenario."""
        return int(self.key.split(".")[1])

    @property
    def channels(self) -> int:
        """Number of columns of a window (C)."""
        return sum(signal.channels for signal in self.signals)

    @property
    def failures(self) -> tuple[FailureMode, ...]:
        """The failure modes that say more than a text."""
        return tuple(m for m in self.failure_modes if isinstance(m, FailureMode))

    @property
    def digest(self) -> Digest:
        """Digest of what it says; see ``Record.beyond_defaults``."""
        return digests.of_json(self.beyond_defaults())

    @property
    def judged_digest(self) -> Digest:
        """Digest of all but what a generated stream is made from."""
        said = self.beyond_defaults()
        for name in ("simulation", "failure_modes"):
            said.pop(name, None)
        return digests.of_json(said)

    @property
    def first_channels(self) -> tuple[int, ...]:
        """The place of each signal's first channel in a window."""
        widths = [signal.channels for signal in self.signals]
        return tuple(accumulate(widths[:-1], initial=0))

    @property
    def window_samples(self) -> int:
        """Samples of each signal in a window; of pictures one holds all pixels."""
        return 1 if self.picture else self.window.rows

    @property
    def sample_rows(self) -> int:
        """Rows of a window that one sample fills: all pixels of a picture, else one."""
        return self.window.rows if self.picture else 1

    def signal(self, name: str) -> Signal:
        """Return the signal of that name; ``KeyError`` if there is none."""
        signals, named = self._named
        if signals is not self.signals:  # of a copy with other signals
            named = {signal.name: signal for signal in self.signals}
        return named[name]

    @cached_property
    def _named(self) -> tuple[tuple[Signal, ...], dict[str, Signal]]:
        return self.signals, {signal.name: signal for signal in self.signals}

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for problem in (
            _key_problem(self),
            _names_problem(self),
            _task_problem(self),
            _form_problem(self),
            _classes_problem(self),
            _mechanism_problem(self),
            _balance_problem(self),
            _begins_problem(self),
            _failure_problem(self),
            _simulation_problem(self),
        ):
            if problem:
                raise ValueError(problem)
        return self


def _key_problem(scenario: Scenario) -> str:
    if not is_sector(scenario.sector):
        return (
            f"key: {scenario.sector} is no manufacturing division (C13-C43) "
            "or utility (D44-D46) of GB/T 4754"
        )
    if not 1 <= scenario.reference_scenario <= 40:
        return f"key: reference scenario {scenario.reference_scenario} is not 1-40"
    return ""


def _names_problem(scenario: Scenario) -> str:
    names = [signal.name for signal in scenario.signals]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"signals: the name {twice[0]!r} stands twice"
    single = {signal.name for signal in scenario.signals if signal.axis is None}
    for mode in scenario.modes:
        absent = sorted(mode.names - single)
        if absent:
            return f"modes: {mode.name!r} names {absent[0]!r}, no single-valued signal"
    if scenario.recipe not in scenario.candidates:
        have = ", ".join(scenario.candidates)
        return f"recipe: {scenario.recipe!r} is not among the candidates ({have})"
    return ""


def _task_problem(scenario: Scenario) -> str:
    task = scenario.task
    if task in WITH_TARGET and scenario.target is None:
        return f"target: a {task} scenario needs a target"
    if task not in WITH_TARGET and scenario.target is not None:
        return f"target: {task} has no target"
    if task in {"regress", "rul"} and scenario.acceptance.tolerance is None:
        return f"acceptance.tolerance: a {task} scenario needs a tolerance"
    return ""


def _form_problem(scenario: Scenario) -> str:
    task = scenario.task
    for part, owner in (("horizon", "forecast"), ("picture", "inspect")):
        given = getattr(scenario, part) is not None
        if given != (task == owner):
            verb = "needs" if task == owner else "takes no"
            return f"{part}: a {task} scenario {verb} {part}"
    picture = scenario.picture
    if picture is not None:
        expected = (picture.height * picture.width, picture.channels)
        found = (scenario.window.rows, scenario.channels)
        if found != expected:
            return (
                f"window: a picture has {expected[0]} rows (pixels) of {expected[1]} "
                f"channels (colours, and those of a reference), found {found[0]} and {found[1]}"
            )
    return ""


def _classes_problem(scenario: Scenario) -> str:
    names = [item.name for item in scenario.classes]
    if len(set(names)) != len(names):
        return "classes: a name stands twice"
    if scenario.task == "diagnose" and len(names) < 2:
        return f"classes: a diagnose scenario needs at least two, found {len(names)}"
    if names and scenario.task not in {"diagnose", "inspect"}:
        return f"classes: a {scenario.task} scenario has none"
    return ""


def _mechanism_problem(scenario: Scenario) -> str:
    if scenario.mechanism is None:
        return ""
    if scenario.target is None or scenario.task == "diagnose":
        return f"mechanism: it speaks of a number to estimate; {scenario.task} has none"
    single = {signal.name for signal in scenario.signals if signal.axis is None}
    unknown = sorted(scenario.mechanism.names - single)
    if unknown:
        return f"mechanism: {unknown[0]!r} is no single-valued signal"
    return ""


def _balance_problem(scenario: Scenario) -> str:
    single = {signal.name for signal in scenario.signals if signal.axis is None}
    for i, balance in enumerate(scenario.balances):
        try:
            tags = compile_formula(balance.residual).tags
        except ConditionInvalidError as error:
            return f"balances[{i}].residual: {error.message}"
        both = sorted(single & set(balance.constants))
        if both:
            return f"balances[{i}].constants: {both[0]!r} is the name of a signal"
        unknown = sorted(tags - single - set(balance.constants))
        if unknown:
            have = ", ".join(sorted(single | set(balance.constants)))
            return (
                f"balances[{i}].residual: {unknown[0]!r} is no signal or constant "
                f"({have})"
            )
    return ""


def _begins_problem(scenario: Scenario) -> str:
    if scenario.window.begins is None:
        return ""
    try:
        tags = compile_condition(scenario.window.begins).tags
    except ConditionInvalidError as error:
        return f"window.begins: {error.message}"
    single = {signal.name for signal in scenario.signals if signal.axis is None}
    unknown = sorted(tags - single)
    return (
        f"window.begins: {unknown[0]!r} is no single-valued signal" if unknown else ""
    )


def _failure_problem(scenario: Scenario) -> str:
    return failure_problem(_frame(scenario))


def _simulation_problem(scenario: Scenario) -> str:
    simulation = scenario.simulation
    return generator_problem(simulation, _frame(scenario)) if simulation else ""


def _frame(scenario: Scenario) -> Frame:
    return Frame(
        task=scenario.task,
        axes={signal.name: signal.axis is not None for signal in scenario.signals},
        target=scenario.target.name if scenario.target else None,
        classes=scenario.classes,
        modes=scenario.failures,
    )


def is_key(text: str) -> bool:
    """Tell whether a text that somebody signed has the form of a scenario's key."""
    return re.fullmatch(_KEY, text) is not None


def file_stem(scenario: Scenario) -> str:
    """Return the key as a file name without its ending."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", scenario.key)
