"""Whether failure modes and generator of a scenario speak of what it has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tundish.catalog.simulation import AGE, COLUMNS, FailureMode, Simulation
from tundish.catalog.tasks import ClassOfCondition, Task


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What of a scenario failure modes and generator may speak of.

    Attributes:
        task: Its task.
        axes: Name of each signal -> whether it has an axis.
        target: Name of the target, if there is one.
        classes: What a diagnosis tells apart.
        modes: The failure modes that say more than a text.
    """

    task: Task
    axes: Mapping[str, bool]
    target: str | None
    classes: Sequence[ClassOfCondition]
    modes: Sequence[FailureMode]


def failure_problem(frame: Frame) -> str:
    """Return what is wrong with the failure modes; empty if nothing is."""
    return next(_failure_problems(frame), "")


def _failure_problems(frame: Frame) -> Iterator[str]:
    names = [mode.name for mode in frame.modes]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"failure_modes: the name {name!r} stands twice"
    for mode in frame.modes:
        for change in mode.signature:
            if change.signal not in frame.axes:
                yield f"failure_modes: {mode.name!r} changes {change.signal!r}, no signal of the scenario"
            elif change.change == "bump" and not frame.axes[change.signal]:
                yield f"failure_modes: {mode.name!r} bumps {change.signal!r}, which has no axis"
        if mode.looks and frame.task != "inspect":
            yield f"failure_modes: {mode.name!r} has looks, and the scenario no picture"


def generator_problem(simulation: Simulation, frame: Frame) -> str:
    """Return what is wrong with the generator; empty if nothing is."""
    return next(_generator_problems(simulation, frame), "")


def _generator_problems(simulation: Simulation, frame: Frame) -> Iterator[str]:
    task, own = frame.task, frame.target in frame.axes
    wanted = {
        "signals": task != "inspect",
        "target": task in {"regress", "forecast"} and not own,
        "lives": task == "rul",
        "scene": task == "inspect",
    }
    for name, needed in wanted.items():
        if bool(getattr(simulation, name)) != needed:
            verb = "needs" if needed else "takes no"
            yield f"simulation.{name}: a {task} scenario {verb} {name}"
    if task != "inspect":
        yield from _name_problems(simulation, frame)
    yield from _order_problem(simulation, frame.target)
    yield from _unseen(frame)


def _name_problems(simulation: Simulation, frame: Frame) -> Iterator[str]:
    for name in _first(set(frame.axes) ^ set(simulation.signals)):
        yield f"simulation.signals: {name!r} stands in only one of signals and simulation"
    for name in _first(set(simulation.hidden) & set(frame.axes)):
        yield f"simulation.hidden: {name!r} is a signal"
    taken = COLUMNS | ({AGE} if simulation.lives else set())
    for name in _first(taken & {*frame.axes, *simulation.hidden, frame.target}):
        yield f"simulation: {name!r} is a column that each generated table has; name it otherwise"
    for name, process in simulation.signals.items():
        if process.peaks and not frame.axes[name]:
            yield f"simulation.signals: {name!r} has peaks and no axis"
    curves = {name for name, axis in frame.axes.items() if axis}
    for name, process in simulation.processes(frame.target).items():
        for other in _first(curves & process.names):
            yield f"simulation: {name!r} depends on {other!r}, which has an axis"


def _first(names: Collection[str]) -> list[str]:
    return sorted(names)[:1]


def _order_problem(simulation: Simulation, target: str | None) -> Iterator[str]:
    try:
        simulation.order(target)
    except ValueError as error:
        yield f"simulation: {error}"


def _unseen(frame: Frame) -> Iterator[str]:
    """Each class but the good one is a failure mode that can be seen."""
    seen = {mode.name for mode in frame.modes if mode.signature or mode.looks}
    if frame.task == "diagnose":
        for item in frame.classes:
            if not item.good and item.name not in seen:
                yield f"simulation: the class {item.name!r} has no failure mode with a signature"
    elif frame.task in {"anomaly", "rul", "inspect"} and not seen:
        yield "simulation: no failure mode has a signature"
