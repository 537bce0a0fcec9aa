"""The main job in one go: grade, train, judge, and seal what was accepted."""

from __future__ import annotations

from pathlib import Path

from tundish.data.grade.report import GradeReport
from tundish.flows.errors import GateFailedError
from tundish.flows.fetch import Progress
from tundish.flows.grade import GradeOptions, grade
from tundish.flows.judge import judge
from tundish.flows.seal import SealOrder, SealReport, seal
from tundish.flows.train import Order, TrainReport, train
from tundish.flows.workspace import Workspace
from tundish.kernel.records import Record
from tundish.learn.verdict import Verdict


class RunAllOrder(Record):
    """What to do.

    Attributes:
        train: What to train, on what.
        seal: How to seal; None: stop at the verdict.
        quick: Grade without the indicators that fit models.
        despite_gates: Go on though a hard gate of the grade failed.
    """

    train: Order
    seal: SealOrder | None = None
    quick: bool = True
    despite_gates: bool = False


class RunAllReport(Record):
    """What came of it; ``sealed`` is None if the verdict was not accepted."""

    grade: GradeReport
    train: TrainReport
    verdict: Verdict
    sealed: SealReport | None


def run_all(
    workspace: Workspace,
    order: RunAllOrder,
    *,
    mirror: Path | None = None,
    progress: Progress | None = None,
) -> RunAllReport:
    """Grade, train, judge and, if the judge accepts, seal.

    Raises:
        GateFailedError: if a hard gate of the grade failed.
        RefusedError: what the single steps refuse; but a verdict that refuses is a
            result, not an error.
    """
    tell = progress or (lambda _text: None)
    asked = order.train
    tell("grading")
    graded = grade(
        asked.data,
        GradeOptions(scenario=asked.scenario, site=asked.site, quick=order.quick),
        mirror=mirror,
        workspace=workspace,
        progress=progress,
    )
    failed = [gate for gate in graded.gates if not gate.passed]
    if failed and not order.despite_gates:
        gate = failed[0]
        msg = f"The data does not pass the gate {gate.name!r}: {gate.detail}"
        raise GateFailedError(msg)
    tell("training")
    trained = train(workspace, asked, mirror=mirror, progress=progress)
    tell("judging")
    verdict = judge(workspace, trained.run)
    sealed = None
    if verdict.accepted and order.seal is not None:
        tell("sealing")
        sealed = seal(workspace, trained.run, order.seal)
    return RunAllReport(grade=graded, train=trained, verdict=verdict, sealed=sealed)
