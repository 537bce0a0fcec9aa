"""``tundish train``, ``runs``, ``judge``: from data to a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import (
    MOST,
    AsJson,
    Candidate,
    DataOrKey,
    In,
    Mirror,
    Precision,
    ScenarioName,
    Seed,
    SiteName,
    open_workspace,
)

if TYPE_CHECKING:
    from tundish.flows.workspace import Workspace
    from tundish.learn.copying_report import CopyingReport
    from tundish.learn.leave_out import LeaveOneOut
    from tundish.learn.verdict import LimitResult, Verdict

Run = Annotated[
    str, typer.Argument(help="A run, or its beginning; default: the newest.")
]

_INJECTED = ["fault", "size", "found (90 % interval)", "unchanged", "tag named"]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (train, runs, repeat, judge):
        app.command()(command)


def train(  # noqa: PLR0913  (a command's options)
    data: DataOrKey,
    scenario: ScenarioName,
    site: SiteName,
    candidate: Candidate = None,
    seed: Seed = 0,
    precision: Precision = "double",
    mirror: Mirror = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Train one candidate: a run folder with one graph and all that repeats it."""
    from tundish.flows.train import Order
    from tundish.flows.train import train as train_run

    order = Order(
        data=data,
        scenario=scenario,
        site=site,
        candidate=candidate,
        seed=seed,
        precision=precision,
    )
    with show.working("Training") as tell:
        report = train_run(
            open_workspace(workspace), order, mirror=mirror, progress=tell
        )
    if json:
        show.as_json(report)
        return
    show.line(
        f"Trained {report.run}: candidate {report.candidate}, graph {report.graph[7:19]}",
        show.GOOD,
    )
    for note in report.notes:
        show.line(f"  {note}")
    show.line(f"  parity: {report.parity}")
    show.line("Next: tundish judge", "dim")


def runs(workspace: In = Path(), json: AsJson = False) -> None:
    """List the runs of the workspace, oldest first."""
    from tundish.flows.runs import list_runs

    found = list_runs(open_workspace(workspace))
    if json:
        show.as_json([item.to_json() for item in found])
        return
    rows = [(item.run, item.scenario, item.candidate, item.verdict) for item in found]
    show.table("Runs", ["run", "scenario", "candidate", "verdict"], rows)


def repeat(run: Run = "", workspace: In = Path(), json: AsJson = False) -> None:
    """Train again from a run's record: the same graph, to the byte?"""
    from tundish.flows.repeat import repeat as repeat_run

    with show.working("Repeating"):
        report = repeat_run(open_workspace(workspace), run)
    if json:
        show.as_json(report)
    else:
        show.line(
            f"{report.run}: {report.said}", show.GOOD if report.same else show.POOR
        )
    if not report.same:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def judge(
    run: Run = "",
    no_copying: Annotated[
        bool,
        typer.Option("--no-copying", help="Do not measure how far copies agree."),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page with pictures of what was judged."),
    ] = None,
    machines: Annotated[
        int,
        typer.Option(
            "--leave-one-out",
            min=0,
            max=MOST,
            help="Fit again without each source in turn, so many at most.",
        ),
    ] = 0,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Judge a run's graph in plant terms: accept or refuse against the scenario.

    Then second models are trained on its answers, to say how far a stolen copy agrees
    after so many questions; that takes most of the time, and --no-copying leaves it out.
    With --leave-one-out 12 the recipe is fitted without each of up to 12 sources and
    judged on it: will it work on the next machine?
    """
    from tundish.flows.judge import judge as judge_run

    owner = open_workspace(workspace)
    with show.working("Judging"):
        verdict = judge_run(owner, run)
    copies = None if no_copying else _copying(owner, run)
    others = _left_out(owner, run, machines) if machines else None
    if json:
        held = copies.to_json() if copies else None
        besides = {"leave_one_out": others.to_json()} if others else {}
        show.as_json({**verdict.to_json(), "copying": held, **besides})
    else:
        show_verdict(verdict)
        if others:
            show_left_out(others)
        if copies:
            show_copying(copies)
    if html is not None:
        from tundish.flows.report.run_page import write_page

        write_page(owner, run, html)
    if not verdict.accepted:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def _left_out(owner: Workspace, run: str, machines: int) -> LeaveOneOut:
    from tundish.flows.diagnose import leave_out

    with show.progressing("Leaving one out") as tell:
        return leave_out(owner, run, most=machines, tell=tell)


def show_left_out(report: LeaveOneOut) -> None:
    """Print what a next machine may get."""
    rows = [
        (
            f"{item.metric} {item.unit}".strip(),
            f"{item.mean:.3g}",
            f"{item.deviation:.2g}",
            f"{item.worst:.3g}",
            f"{item.best:.3g}",
        )
        for item in report.spread
    ]
    columns = ["on a source never seen", "mean", "deviation", "worst", "best"]
    show.table(f"Leave one out ({len(report.sources)} sources)", columns, rows)
    for item in report.sources:
        if item.refused:
            show.line(f"  without {item.source}: {item.refused}", show.WARN)


def _copying(owner: Workspace, run: str) -> CopyingReport | None:
    """Measure copies; a part too small for it is said and ends nothing."""
    from tundish.flows.copying import copying
    from tundish.learn.errors import MaterialUnfitError

    try:
        with show.progressing("Training copies") as tell:
            return copying(owner, run, tell)
    except MaterialUnfitError as error:
        show.err.print(f"Copies were not measured: {error.message}", markup=False)
        return None


def show_copying(report: CopyingReport) -> None:
    """Print how far copies agree, and what a day of the line gives away."""
    rows = [
        (
            f"{trial.answers:,}",
            trial.questions,
            f"{report.step:g} {report.unit}".strip() if trial.rounded else "no",
            f"{trial.agrees:.0%}",
            trial.by,
        )
        for trial in report.trials
    ]
    columns = ["answers", "questions", "rounded to", "a copy agrees", "best copy"]
    show.table(f"Copies ({report.measure})", columns, rows)
    show.line(f"A day's {report.said(report.answers_per_day)}")


def show_verdict(verdict: Verdict) -> None:
    """Print a verdict: accept or refuse, each limit with its number and reason."""
    word, tone = ("ACCEPTED", show.GOOD) if verdict.accepted else ("REFUSED", show.POOR)
    show.line(f"{word}   {verdict.scenario}, judged on {verdict.judged} samples", tone)
    rows = [
        (
            limit.metric,
            _measured(limit),
            f">= {limit.at_least:g}"
            if limit.at_least is not None
            else f"<= {limit.at_most:g}",
            "holds" if limit.holds else "MISSED",
            limit.why,
        )
        for limit in verdict.limits
    ]
    columns = ["metric", "measured (90 % interval)", "limit", "", "why this limit"]
    show.table("", columns, rows)
    show.line(f"Baseline: {verdict.baseline_name}")
    for figure in verdict.baseline:
        if figure.value is not None:
            show.line(f"  {figure.metric} {figure.value:.3g} {figure.unit}")
    for note in verdict.notes:
        show.line(f"  {note}")
    if verdict.injected:
        show.table("Injected faults, not real", _INJECTED, _injected(verdict))


def _injected(verdict: Verdict) -> list[tuple[str, ...]]:
    return [
        (
            item.fault,
            "" if item.size is None else f"{item.size:g}",
            f"{item.found:.0%} ({item.low:.0%} to {item.high:.0%})",
            f"{item.unchanged:.1%}",
            "" if item.named is None else f"{item.named:.0%}",
        )
        for item in verdict.injected
    ]


def _measured(limit: LimitResult) -> str:
    if limit.value is None:
        return "unknown"
    if limit.low is None or limit.high is None:
        return f"{limit.value:.3g}"
    return f"{limit.value:.3g} ({limit.low:.3g} to {limit.high:.3g})"
