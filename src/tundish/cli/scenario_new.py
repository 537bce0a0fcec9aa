"""``tundish scenario new``: asks, and writes a valid scenario."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tundish.cli import show
from tundish.cli.options import answered
from tundish.kernel.texts import visible

if TYPE_CHECKING:
    from tundish.catalog.scenario import Risk, Signal, Target
    from tundish.catalog.tasks import Task
    from tundish.flows.scenario_new import Answers

T = TypeVar("T")
_LEVELS = ("low", "medium", "high")
_BLANKS = "\u00a0\u202f\u3000"  # such as between Chinese words
_LONGEST = 4000  # characters of a text in a scenario
_GREATEST = 1e15
_ECHOED = 60  # characters of an answer that does not fit


def new(
    out: Annotated[Path, typer.Argument(help="The file to write, such as my.yaml.")],
) -> None:
    """Ask what is needed and write a valid scenario; Ctrl-C writes nothing.

    What a question means stands in it; 'tundish scenario list' shows how others answered.
    """
    from tundish.flows.scenario_new import refuse_there, write_new

    refuse_there(out)
    write_new(_asked(), out)
    show.line(f"Written: {out}", show.GOOD)
    show.line(f"Next: tundish scenario check {out}; then add 'simulation' and run it.")


def _asked() -> Answers:
    from tundish.catalog import sectors
    from tundish.catalog.scenario import Decision
    from tundish.catalog.sectors import Names
    from tundish.flows.scenario_new import USUAL, Answers

    sector = _until("Division of GB/T 4754 (C13-C43)", _known(sectors.sectors()))
    show.line(f"  {sectors.sector_name(sector)[0]}")
    numbers = {str(n): one for n, one in sectors.links().scenarios.items()}
    number = _until("Reference scenario (1-40)", _known(numbers))
    show.line(f"  {numbers[number].name.en}; usual: {numbers[number].task}")
    variant = _until("Variant (small letters, such as water-pump)", _slug)
    name = Names(en=_text("Name in English"), zh=_text("Name in Chinese"))
    problem = _text("The problem, in the words of the plant")
    decision = Decision(
        what=_text("What is decided with the answer"), who=_text("Who decides it")
    )
    task: Task = _until(f"Task ({', '.join(USUAL)})", _task)
    metric, side, usual = USUAL[task]
    signals = () if task == "inspect" else _signals()
    return Answers(
        key=f"{sector}.{number}.{variant}",
        name=name,
        problem=problem,
        decision=decision,
        task=task,
        signals=signals,
        target=_target(task),
        classes=_classes() if task == "diagnose" else (),
        steps=_whole("Rows to look ahead (1 to 10,000)", range(1, 10_001))
        if task == "forecast"
        else None,
        size=_whole(
            "Height and width of a picture in pixels (a multiple of 8, to 1024)",
            range(8, 1025, 8),
        )
        if task == "inspect"
        else None,
        tolerance=_number("Largest error that the decision bears (above 0)", above=0)
        if task in {"regress", "rul"}
        else None,
        limit=(
            _number(f"Limit: {metric} {side.replace('_', ' ')}", usual),
            _text("Why this limit, in plant terms"),
        ),
        baseline=_text("What people do today without a model"),
        risk=_risk(),
    )


def _signals() -> tuple[Signal, ...]:
    from tundish.catalog.scenario import Signal

    found: list[Signal] = []
    while True:
        ending = "" if not found else "; empty: no more"
        name = _until(
            f"Signal {len(found) + 1}, its name (small letters{ending})",
            _name if not found else _name_or_nothing,
            default=None if not found else "",
        )
        if not name:
            return tuple(found)
        if name in {one.name for one in found}:
            show.line(f"  There is a signal {name!r} already.", show.WARN)
            continue
        found.append(
            Signal(
                name=name,
                description=_text("  What it is"),
                unit=_text("  Unit, such as degC or m/s"),
                range=_range(),
                period_s=_number("  Seconds between two values (above 0)", above=0),
            )
        )


def _range() -> tuple[float, float]:
    while True:
        low, high = _number("  Lowest plausible value"), _number("  Highest one")
        if low < high:
            return low, high
        show.line("  The highest must lie above the lowest.", show.WARN)


def _target(task: Task) -> Target | None:
    from tundish.catalog.scenario import Target

    if task not in {"regress", "rul", "forecast"}:
        return None
    return Target(
        name=_until("Target, its name (small letters)", _name),
        description=_text("  What it is"),
        unit=_text("  Unit"),
        range=_range(),
    )


def _classes() -> tuple[str, ...]:
    while True:
        text = _text("Conditions, the good one first (good, worn, broken)")
        names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        if len(names) > 1 and all(_slug(name) for name in names):
            return names
        show.line("  Two or more names in small letters, with commas.", show.WARN)


def _risk() -> Risk:
    from tundish.catalog.scenario import Risk

    return Risk.model_validate(
        {
            "outcome": _until(f"Risk of a bad outcome ({', '.join(_LEVELS)})", _known(_LEVELS)),
            "ambiguity": _until(f"Ambiguity of a case ({', '.join(_LEVELS)})", _known(_LEVELS)),
            "autonomy": _until("The model may (perceive, advise, control)", _known(("perceive", "advise", "control")), default="advise"),
            "why": _text("Why so"),
        }
    )  # fmt: skip


def _task(text: str) -> Task | None:
    from tundish.flows.scenario_new import USUAL

    return next((task for task in USUAL if task == text), None)


def _text(question: str) -> str:
    """Ask for a text that a document may have, on one line that can be seen."""

    def read(text: str) -> str | None:
        plain = text.strip()
        fits = 0 < len(plain) <= _LONGEST and visible(plain, keep=_BLANKS) == plain
        return plain if fits else None

    return _until(question, read)


def _number(
    question: str, default: float | None = None, *, above: float = -math.inf
) -> float:
    def read(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            return None
        return value if abs(value) < _GREATEST and value > above else None

    return _until(question, read, default=None if default is None else f"{default:g}")


def _whole(question: str, among: range) -> int:
    def read(text: str) -> int | None:
        value = int(text) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else 0
        return value if value in among else None

    return _until(question, read)


def _until(
    question: str, read: Callable[[str], T | None], default: str | None = None
) -> T:
    """Ask until the answer can be read."""

    def prompt() -> object:
        return typer.prompt(question, default=default, err=True)

    while True:
        text = str(answered(question, prompt))
        value = read(text)
        if value is not None:
            return value
        show.line(
            f"  {text[:_ECHOED]!r} does not fit; see what the question asks for.",
            show.WARN,
        )


def _known(names: Iterable[str]) -> Callable[[str], str | None]:
    have = set(names)
    return lambda text: text if text in have else None


def _slug(text: str) -> str | None:
    return text if re.fullmatch(r"[a-z][a-z0-9-]{1,59}", text) else None


def _name(text: str) -> str | None:
    return text if re.fullmatch(r"[a-z][a-z0-9_]{0,63}", text) else None


def _name_or_nothing(text: str) -> str | None:
    return text if not text else _name(text)
