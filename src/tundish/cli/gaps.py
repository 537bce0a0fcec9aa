"""``tundish diagnose`` and ``loop``: what the data lacks, and the better of two models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.options import (
    MOST,
    NUMBER,
    AsJson,
    DataOrKey,
    In,
    ScenarioName,
    Seed,
    SiteName,
    between,
    open_workspace,
)
from tundish.cli.runs import Run

if TYPE_CHECKING:
    from tundish.flows.loop import LoopReport
    from tundish.learn.gaps_report import GapsReport, Weakness

Refits = Annotated[
    int,
    typer.Option(
        min=0,
        max=MOST,
        help="Times to fit the recipe again for the learning curve; 0: none.",
    ),
]

WANTS = {
    "data": "data", "signal": "a signal", "labels": "labels", "shift": "new data",
    "recipe": "a recipe", "hard": "nothing",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(diagnose)
    app.command()(loop)


def diagnose(
    run: Run = "",
    refits: Refits = 5,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Say where a run's graph is weak, why, and what to record or relabel next.

    Beside the run: gaps.json (all numbers), and the list as collect.txt, collect.csv and
    collect.yaml, which 'tundish loop' reads.
    """
    from tundish.flows.diagnose import diagnose as diagnose_run

    with show.progressing("Diagnosing") as tell:
        report = diagnose_run(open_workspace(workspace), run, refits=refits, tell=tell)
    if json:
        show.as_json(report)
    else:
        _show(report)


def loop(  # noqa: PLR0913  (a command's options)
    data: DataOrKey,
    scenario: ScenarioName,
    site: SiteName,
    data_next: Annotated[
        str | None,
        typer.Option(help="The next version of the data: more of it, or corrected."),
    ] = None,
    accept_relabel: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Write the next version here: without the doubtful labels.",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            parser=between(0.0, 1e6),
            metavar=NUMBER,
            help="Share of the champion's loss that counts as worse.",
        ),
    ] = 0.1,
    refits: Refits = 5,
    asked: Annotated[
        Path | None,
        typer.Option("--list", help="The list; default: the champion's collect.yaml."),
    ] = None,
    seed: Seed = 0,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Judge and diagnose the champion; train on new data; keep the better of the two.

    The first turn trains the champion. A new model takes its place only if it is not
    worse on any slice, on windows that neither was trained on. Doubtful labels are left
    out, never changed, and those of the judge part stay.
    """
    from tundish.flows.loop import LoopOrder
    from tundish.flows.loop import loop as turn
    from tundish.flows.train import Order

    order = LoopOrder(
        train=Order(data=data, scenario=scenario, site=site, seed=seed),
        data_next=data_next,
        accept_relabel=accept_relabel,
        margin=margin,
        refits=refits,
        asked=asked,
    )
    with show.progressing("Looping") as tell:
        report = turn(open_workspace(workspace), order, tell)
    if json:
        show.as_json(report)
    else:
        _show(report.gaps)
        _show_turn(report)


def _show(report: GapsReport) -> None:
    gaps = [item for item in report.weak if item.cause != "hard"]
    hard = [item for item in report.weak if item.cause == "hard"]
    show.line(
        f"Error on the whole: {report.loss:.3g} {report.unit} over {report.judged} "
        f"judged samples; {report.tested} slices looked at"
    )
    if gaps:
        _table("Gaps", report.unit, gaps)
        show.line("What to do next, the largest gain first:")
    else:
        said = (
            "No gap: no slice asks for data of its own, and more of any kind is as good"
        )
        show.line(said, show.GOOD)
    for wanted in report.collect:
        show.line(f"{wanted.rank}. {wanted.text}")
    if hard:
        _table("Harder there, but no gap that data shows", report.unit, hard)
    if report.doubts:
        show.line(f"{len(report.doubts)} doubtful labels are listed in gaps.json")
    for note in report.notes:
        show.line(f"  {note}")
    show.line("The list is in collect.txt, collect.csv and collect.yaml beside the run")


def _table(title: str, unit: str, weak: list[Weakness]) -> None:
    rows = [
        (
            f"{item.where.by}: {item.where.name}",
            str(item.count),
            f"{item.loss:.3g} ({item.elsewhere:.3g} elsewhere)",
            WANTS[item.cause],
            item.why,
        )
        for item in weak
    ]
    show.table(title, ["slice", "judged", f"error, {unit}", "it wants", "why"], rows)


def _show_turn(report: LoopReport) -> None:
    if report.unlabelled is not None:
        taken = report.unlabelled
        show.line(
            f"{taken.removed} doubtful labels left out in {taken.out}; "
            f"{taken.kept_for_judging} of the judge part stay"
        )
    for item in report.came:
        came = "cannot be told" if item.came is None else f"{item.came} came"
        show.line(f"  asked for {item.samples} samples of {item.what}: {came}")
    if report.comparison is not None:
        rows = [
            (
                "the whole" if duel.by == "all" else f"{duel.by}: {duel.name}",
                str(duel.count),
                f"{duel.champion:.3g}",
                f"{duel.challenger:.3g}",
                f"{duel.low:+.3g} to {duel.high:+.3g}",
                {True: "not worse", False: "MAY BE WORSE", None: "too few"}[duel.holds],
            )
            for duel in report.comparison.slices
        ]
        columns = ["slice", "judged", "champion", "new", "change (90 %)", ""]
        unit, bound = report.comparison.unit, report.comparison.margin
        title = f"Error of both models, {unit}; worse is more than {bound:.3g} above"
        show.table(title, columns, rows)
    tone = show.GOOD if report.decision == "champion-replaced" else ""
    show.line(f"{report.decision}: {report.why}. Champion: {report.after}", tone)
