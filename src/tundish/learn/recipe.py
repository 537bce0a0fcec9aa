"""What a recipe is, what it returns, and how it is found.

A recipe is a plug-in: a class without arguments that a package registers under the
entry point ``tundish.recipes``. ``learn.check_recipe`` is the public check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Literal, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tundish.catalog.documents import key_path
from tundish.catalog.scenario import Option, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel import digest
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.learn.errors import OptionsInvalidError, RecipeUnknownError
from tundish.learn.material import Floats, Material, Windows

ENTRY_POINTS = "tundish.recipes"
AUTO = "auto"
TRY = "try"
"""Entry of a ``Tried.setting`` of ``auto``: its number in the search."""
NO_END_S = 1e9

Outputs: TypeAlias = Mapping[str, NDArray[np.floating]]
Scorer: TypeAlias = Callable[[Windows], Outputs]
Options: TypeAlias = Mapping[str, Option]
R = TypeVar("R", bound=Record)

_NUMBER = ("estimate", "lower", "upper")
CONTRIBUTION = "contribution"


def outputs_of(scenario: Scenario) -> dict[str, int]:
    """Return each output that a graph for a scenario must have, and its columns.

    - regress, rul: ``estimate``, ``lower``, ``upper``.
    - forecast: the same, one column for each row of the horizon.
    - anomaly: ``score`` (alarm above 1), ``contribution`` of each channel.
    - diagnose: ``probability`` of each class; ``label``: the class, or -1 where the
      graph will not decide.
    - inspect: ``score`` (bad above 1), ``map`` of scores in reading order; with
      classes also ``probability``.

    All have ``applicability``: distance from the training data, 1 at its limit.
    """
    one = dict.fromkeys(_NUMBER, 1)
    wanted: dict[Task, dict[str, int]] = {
        "regress": one,
        "rul": one,
        "anomaly": {"score": 1, CONTRIBUTION: scenario.channels},
        "diagnose": {"probability": len(scenario.classes), "label": 1},
        "forecast": dict.fromkeys(
            _NUMBER, scenario.horizon.rows if scenario.horizon else 1
        ),
        "inspect": {"score": 1, "map": _map_cells(scenario)},
    }
    found = {**wanted[scenario.task], "applicability": 1}
    if scenario.task == "inspect" and scenario.classes:
        found["probability"] = len(scenario.classes)
    return found


def optional_outputs(scenario: Scenario) -> dict[str, int]:
    """Return the outputs that a graph may have besides, and their columns.

    ``contribution`` [N, C]: how much each channel moved the answer away from what the
    fit part's mean gives (in the unit of the answer; of the chosen class's log-odds for
    diagnose). It is what "which tags, how much" is read from.
    """
    required = outputs_of(scenario)
    return {} if CONTRIBUTION in required else {CONTRIBUTION: scenario.channels}


def _map_cells(scenario: Scenario) -> int:
    picture = scenario.picture
    return picture.map_height * picture.map_width if picture else 1


class Envelope(Record):
    """Statistics of the fit part, by channel: what "as in training" means.

    Attributes:
        count: Number of windows.
        mean, std, min, max: One number for each channel, in the contract's units.
        target_mean: Mean of the target, in its unit (tasks that estimate a number).
        class_shares: Share of each class among the fit samples (diagnose).
    """

    count: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min: tuple[float, ...]
    max: tuple[float, ...]
    target_mean: float | None = None
    class_shares: tuple[float, ...] | None = None


class Promise(Record):
    """What a threshold promises, and on what ground.

    Attributes:
        kind: ``interval``: ``promised`` is the share of true values inside it;
            ``alarm``: ``promised`` is the share of normal windows that alarm;
            ``classes``: ``promised`` is the share of windows whose class is right or
            left open.
        asked: What the scenario asks for.
        promised: What the calibration supports: never better than ``asked`` and
            never finer than its count supports.
        count: Number of calibration samples.
        parts: Parts that they came from.
        per_week: The promised alarms in a week of normal windows (alarm).
        note: For people.
    """

    kind: Literal["interval", "alarm", "classes"]
    asked: float
    promised: float
    count: int
    parts: tuple[str, ...]
    per_week: float | None = None
    note: str


class Tried(Record):
    """One setting that the search tried.

    Attributes:
        setting: The options of this try.
        scores: Its scores by name; lower is better.
        kept: Whether the model uses it.
    """

    setting: dict[str, Option]
    scores: dict[str, float]
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the judge needs to know of a model besides its answers.

    Attributes:
        graph: Digest of the graph that answers.
        promise: What its threshold promises, if anything.
        envelope: Statistics of its fit part, for the plain baseline.
    """

    graph: Digest
    promise: Promise | None
    envelope: Envelope


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """What a recipe returns.

    Attributes:
        recipe: Its name.
        task: Its task.
        graph: One ONNX graph, input ``window`` float32 [N, T, C], outputs as in
            ``outputs_of`` and perhaps ``optional_outputs``, all float32.
        golden_window: A few windows made of training statistics (never rows of the
            training data, since they travel in the package), float32 [n, T, C].
        golden_outputs: What the estimator answers to them, float32.
        envelope: Statistics of the fit part.
        promise: What the threshold promises.
        search: Every setting tried.
        chosen: The settings that were chosen, one entry for each that is kept.
        thresholds: Numbers inside the graph that decide.
        versions: Versions of the libraries that took part.
        notes: What a reader must know, frankly.
        reference: The trained estimator itself, window -> outputs, computed without
            the graph: the ground of the parity report.
    """

    recipe: str
    task: Task
    graph: bytes
    golden_window: Windows
    golden_outputs: dict[str, NDArray[np.float32]]
    envelope: Envelope
    promise: Promise
    search: tuple[Tried, ...]
    chosen: tuple[dict[str, Option], ...]
    thresholds: dict[str, float]
    versions: dict[str, str]
    notes: tuple[str, ...]
    reference: Scorer

    @property
    def claim(self) -> Claim:
        """Return what the judge needs to know."""
        graph = digest.of_bytes(self.graph)
        return Claim(graph=graph, promise=self.promise, envelope=self.envelope)


class Recipe(Protocol):
    """A way to make a model for a task.

    It may also declare ``space`` and ``simplicity``, for ``auto``: see ``learn.space``.
    """

    @property
    def name(self) -> str:
        """Name under which it is registered; a class attribute will do."""
        ...

    @property
    def task(self) -> Task:
        """The task it is for; a class attribute will do."""
        ...

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Train on the parts fit, select and calibrate; never look at judge.

        The same arguments give the same graph, to the byte.

        Raises:
            OptionsInvalidError: if the options do not fit.
            PartMissingError, MaterialUnfitError: if the material does not.
        """
        ...


def names() -> list[str]:
    """Return the names of the installed recipes."""
    return sorted({point.name for point in metadata.entry_points(group=ENTRY_POINTS)})


def load(name: str, task: Task) -> Recipe:
    """Return an installed recipe for a task.

    Raises:
        RecipeUnknownError: if there is none of that name, or for another task.
    """
    recipe = _made(installed(name), task)
    if recipe.task != task:
        msg = f"The recipe {name!r} is for the task {recipe.task!r}, and {task!r} was asked for."
        raise RecipeUnknownError(msg)
    return recipe


def installed(name: str) -> metadata.EntryPoint:
    """Return where a recipe is installed.

    Raises:
        RecipeUnknownError: if there is none of that name.
    """
    found = sorted(
        metadata.entry_points(group=ENTRY_POINTS, name=name),
        key=lambda one: one.value,
    )
    if not found:
        have = ", ".join(names()) or "none"
        msg = f"There is no recipe {name!r}; installed are: {have}."
        raise RecipeUnknownError(msg)
    return found[0]


def of_task(task: Task) -> list[Recipe]:
    """Return the installed recipes for a task but ``auto``, by name."""
    found = {
        point.name: _made(point, task)
        for point in metadata.entry_points(group=ENTRY_POINTS)
        if point.name != AUTO
    }
    return [found[name] for name in sorted(found) if found[name].task == task]


def _made(point: metadata.EntryPoint, task: Task) -> Recipe:
    """Return a recipe; one that is for every task is told which (``of_task``)."""
    maker = point.load()
    return cast("Recipe", maker.of_task(task) if hasattr(maker, "of_task") else maker())


def read_options(options: Options, model: type[R], recipe: str) -> R:
    """Return a candidate's options as the recipe's record.

    Raises:
        OptionsInvalidError: names each option that is wrong.
    """
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        said = [
            f"{key_path(detail['loc'])}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False)
        ]
        msg = f"The recipe {recipe!r} cannot take these options: {'; '.join(said)}."
        raise OptionsInvalidError(msg) from error


def envelope_of(fit: Material, *, with_target: bool, classes: int = 0) -> Envelope:
    """Return the statistics of the fit part over all rows of all windows.

    Args:
        fit: The fit part.
        with_target: Whether the target is a number.
        classes: Number of classes, if ``y`` holds their places.
    """
    rows = fit.x.reshape(-1, fit.x.shape[2]).astype(np.float64)

    def listed(values: Floats) -> tuple[float, ...]:
        return tuple(float(value) for value in values)

    return Envelope(
        count=len(fit),
        mean=listed(rows.mean(axis=0)),
        std=listed(rows.std(axis=0)),
        min=listed(rows.min(axis=0)),
        max=listed(rows.max(axis=0)),
        target_mean=float(fit.y.mean()) if with_target else None,
        class_shares=listed(
            np.bincount(fit.y.astype(np.int64), fit.weights(), classes)
            / fit.weights().sum()
        )
        if classes
        else None,
    )


def golden_window(envelope: Envelope, rows: int) -> Windows:
    """Return three windows of training statistics: mean, and one spread either side."""
    mean, std = np.asarray(envelope.mean), np.asarray(envelope.std)
    levels = np.stack([mean, mean + std, mean - std])
    return np.repeat(levels[:, None, :], rows, axis=1).astype(np.float32)


def as_float32(outputs: Outputs) -> dict[str, NDArray[np.float32]]:
    """Return outputs as a graph gives them."""
    return {name: value.astype(np.float32) for name, value in outputs.items()}


def versions(*distributions: str) -> dict[str, str]:
    """Return the versions of installed distributions."""
    return {name: metadata.version(name) for name in sorted(distributions)}
