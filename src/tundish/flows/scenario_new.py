"""Write a new scenario from answers: a valid file that its writer goes on with."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Decision, Risk, Scenario, Signal, Target
from tundish.catalog.sectors import Names
from tundish.catalog.tasks import Metric, Task
from tundish.flows.errors import OutExistsError
from tundish.flows.outputs import write_out
from tundish.kernel.canonical import Json
from tundish.kernel.errors import PlaceRefusedError
from tundish.kernel.records import Record

_HEAD = """\
# A scenario of your own. Go on with it: limits in plant terms with their reasons, failure modes with their
# signature in the signals, what is known of the physics; then 'tundish scenario check' and 'tundish scenario run'.
"""
USUAL: dict[Task, tuple[Metric, str, float]] = {
    "regress": ("share_within_tolerance", "at_least", 0.8),
    "anomaly": ("false_alarms_per_week", "at_most", 2.0),
    "diagnose": ("macro_f1", "at_least", 0.9),
    "rul": ("late_share", "at_most", 0.05),
    "forecast": ("share_of_baseline_error", "at_most", 0.9),
    "inspect": ("escapes_per_1000", "at_most", 5.0),
}
"""For each task the limit that is asked for first."""


class Answers(Record):
    """What its writer said.

    Attributes:
        key, name, problem, decision, task, signals, target, baseline, risk: See
            ``Scenario``.
        limit: Value of the task's first limit (``USUAL``), and why.
        tolerance: Largest error of one estimate that the decision bears (regress, rul).
        classes: Names of conditions, the good one first (diagnose).
        steps: Values that a forecast looks ahead (forecast).
        size: Height and width of a picture in pixels (inspect).
    """

    key: str
    name: Names
    problem: str
    decision: Decision
    task: Task
    signals: tuple[Signal, ...] = ()
    target: Target | None = None
    baseline: str
    risk: Risk
    limit: tuple[float, str]
    tolerance: float | None = None
    classes: tuple[str, ...] = ()
    steps: int | None = None
    size: int | None = None


def draft(answers: Answers) -> str:
    """Return the text of a new scenario; it is valid.

    Raises:
        DocumentInvalidError: naming the key that does not fit.
    """
    metric, side, _ = USUAL[answers.task]
    value, why = answers.limit
    made: dict[str, Json] = {
        "format": "tundish.scenario",
        "version": 1,
        "key": answers.key,
        "name": answers.name.to_json(),
        "problem": answers.problem,
        "decision": answers.decision.to_json(),
        "task": answers.task,
        "signals": [signal.beyond_defaults() for signal in _signals(answers)],
        **_of_task(answers),
        "recipe": "first",
        "candidates": {
            "first": {
                "recipe": "auto",
                "why": "nothing is known yet: what fits the task is tried, and the simplest that does is kept",
            }
        },
        "acceptance": {
            **({"tolerance": answers.tolerance} if answers.tolerance else {}),
            "limits": [{"metric": metric, side: value, "why": why}],
        },
        "baseline": answers.baseline,
        "parity_tolerance": 0.001,
        "stale_after_s": 3 * min(one.period_s for one in _signals(answers)),
        "failure_modes": [],
        "risk": answers.risk.to_json(),
        "controls": ["D1", "M1", "M7", "A1"],
    }
    text = _HEAD + yaml.safe_dump(made, allow_unicode=True, sort_keys=False, width=120)
    parse_document(text.encode(), Scenario, "the new scenario")
    return text


def _signals(answers: Answers) -> tuple[Signal, ...]:
    if answers.task != "inspect":
        return answers.signals
    grey = Signal(
        name="grey", description="grey level of the picture", unit="1",
        range=(0, 255), period_s=1,
    )  # fmt: skip
    return (grey,)


def _of_task(answers: Answers) -> dict[str, Json]:
    """Return the keys that only this task has."""
    made: dict[str, Json] = {}
    if answers.target is not None:
        made["target"] = answers.target.beyond_defaults()
    if answers.classes:
        good = answers.classes[0]
        made["classes"] = [
            {"name": name, "description": name, "good": name == good}
            for name in answers.classes
        ]
        made["target"] = {
            "name": "condition", "description": "the condition", "unit": "1",
            "range": [0, len(answers.classes) - 1],
        }  # fmt: skip
    if answers.steps is not None:
        made["horizon"] = {"rows": answers.steps}
    if answers.size is not None:
        made["window"] = {"rows": answers.size**2}
        made["picture"] = {
            "height": answers.size, "width": answers.size, "colours": 1,
            "map_height": answers.size // 8, "map_width": answers.size // 8,
        }  # fmt: skip
    return made


def refuse_there(out: Path) -> None:
    """Refuse a place that is taken, before anybody has answered anything.

    Raises:
        OutExistsError: if something lies there.
        PlaceRefusedError: if nothing can be written there.
    """
    if out.is_symlink() or out.exists():
        msg = f"Something is at {out} already; the name of a new file was expected."
        raise OutExistsError(msg, advice="Choose another name, or remove it.")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        msg = f"No file can be written at {out}: {above} takes none."
        raise PlaceRefusedError(msg)


def write_new(answers: Answers, out: Path) -> None:
    """Write a new scenario.

    Raises:
        DocumentInvalidError: naming the key that does not fit.
        OutExistsError: if something lies there.
    """
    text = draft(answers)
    refuse_there(out)
    write_out(out, text.encode())
