"""``tundish run``: from data to a sealed package in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import (
    AsJson,
    Candidate,
    DataOrKey,
    Days,
    In,
    Mirror,
    Precision,
    ScenarioName,
    Seed,
    SiteName,
    open_workspace,
)
from tundish.cli.runs import show_verdict

if TYPE_CHECKING:
    from tundish.flows.run_all import RunAllReport

DAY_S = 86_400.0


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(run)


def run(  # noqa: PLR0913  (a command's options)
    data: DataOrKey,
    scenario: ScenarioName,
    site: SiteName,
    candidate: Candidate = None,
    seed: Seed = 0,
    precision: Precision = "double",
    days: Days = 365.0,
    seal: Annotated[
        bool, typer.Option("--seal/--no-seal", help="Seal what the judge accepts.")
    ] = True,
    clear: Annotated[
        bool, typer.Option("--clear", help="Sign only; leave the graph readable.")
    ] = False,
    fingerprint: Annotated[
        bool, typer.Option("--fingerprint", help="Make and commit a fingerprint first.")
    ] = False,
    despite_gates: Annotated[
        bool,
        typer.Option(
            "--despite-gates", help="Go on though a gate of the grade failed."
        ),
    ] = False,
    mirror: Mirror = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Grade, train and judge in one go; seal the model if the judge accepts it.

    A refused model is a result: it is shown with each limit that it misses, and
    nothing is sealed. Data that fails a hard gate of the grade is not trained on.

    For example: 'tundish run fermentation --scenario C25.21.fermentation-glucose --site
    fermentation'; 'tundish run export/ --scenario mine.yaml --site plant.yaml --no-seal'
    to stop at the verdict.
    """
    from tundish.flows.run_all import RunAllOrder, run_all
    from tundish.flows.seal import SealOrder
    from tundish.flows.train import Order

    sealing = SealOrder(
        valid_s=days * DAY_S, encrypt=not clear, fingerprint=fingerprint
    )
    order = RunAllOrder(
        train=Order(
            data=data,
            scenario=scenario,
            site=site,
            candidate=candidate,
            seed=seed,
            precision=precision,
        ),
        seal=sealing if seal else None,
        despite_gates=despite_gates,
    )
    with show.working("Running") as tell:
        report = run_all(open_workspace(workspace), order, mirror=mirror, progress=tell)
    if json:
        show.as_json(report)
    else:
        _show(report)
    if not report.verdict.accepted:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def _show(report: RunAllReport) -> None:
    graded = report.grade
    show.line(f"Grade {graded.letter}: {graded.why}")
    for finding in graded.findings[:3]:
        show.line(f"  {finding.what}")
    show.line(f"Run {report.train.run}: candidate {report.train.candidate}")
    show.line(f"  parity: {report.train.parity}")
    show_verdict(report.verdict)
    if report.sealed is not None:
        show.line(
            f"Sealed {report.sealed.product} version {report.sealed.version}", show.GOOD
        )
        show.line(f"  package {report.sealed.file}")
        if report.sealed.fingerprint:
            show.line(f"  fingerprint committed before: {report.sealed.fingerprint}")
        show.line("Next: tundish grant PACKAGE --device TEXT", "dim")
    elif not report.verdict.accepted:
        show.line("Nothing is sealed. Next: tundish diagnose", "dim")
