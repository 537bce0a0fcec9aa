"""``tundish scenario simulate|run``: what a scenario does on data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import (
    AsJson,
    Candidate,
    Days,
    In,
    Mirror,
    NameOrFile,
    Seed,
    nearby,
    open_workspace,
)
from tundish.cli.runs import show_verdict
from tundish.cli.scenario_new import new


def register(group: typer.Typer) -> None:
    """Add the commands of this file to ``tundish scenario``."""
    for command in (new, simulate, run, attest):
        group.command()(command)


def simulate(
    name: NameOrFile,
    out: Annotated[Path, typer.Argument(help="A new folder for the generated set.")],
    seed: Seed = 0,
    json: AsJson = False,
) -> None:
    """Generate a stream with failure modes, for a dry run before any sensor is wired.

    It is marked as generated in every file and in its card. It shows that grade,
    training and line fit together, and says nothing about a plant.
    """
    from tundish.flows.simulate import simulate as make

    with show.working(f"Generating {name}"):
        report = make(name, out, seed=seed, workspace=nearby())
    if json:
        show.as_json(report)
        return
    for file, rows in report.rows.items():
        show.line(f"{file}: {rows:,} {'' if file == 'pictures' else 'rows'}".rstrip())
    modes = list(report.failures.items())
    show.table("Failure modes in it", ["failure mode", "what it does"], modes)
    show.line(
        f"Generated, not measured: {report.folder}; its site profile is {report.site}.",
        show.WARN,
    )
    show.line(f"Next: tundish run {out} --scenario {name} --site {report.site}")


def run(  # noqa: PLR0913  (a command's options)
    name: NameOrFile,
    data: Annotated[
        str,
        typer.Option(
            "--on",
            help="A set of the catalogue that can show it, or 'generated'.",
        ),
    ] = "generated",
    site: Annotated[
        str | None,
        typer.Option(help="A site profile; default: the one that the set names."),
    ] = None,
    candidate: Candidate = None,
    seed: Seed = 0,
    mirror: Mirror = None,
    evidence: Annotated[
        Path | None,
        typer.Option(help="Keep what came of it as a file in this folder."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Grade, train and judge a scenario on a public set or on a generated stream.

    Ends with 1 if a limit is missed. Its level follows from what is kept of such runs.
    """
    from tundish.flows.scenario_run import On, keep, run_scenario
    from tundish.flows.workspace import passing

    if evidence is not None:
        evidence.mkdir(
            parents=True, exist_ok=True
        )  # a slip is said before an hour's run
    on = On(data=data, site=site, mirror=mirror, seed=seed, candidate=candidate)
    with passing(nearby()) as workspace, show.working(f"Running {name}") as tell:
        report = run_scenario(workspace, name, on, progress=tell)
    if evidence is not None:
        keep(report.evidence, evidence)
    if json:
        show.as_json(report)
    else:
        show.line(f"Grade {report.letter} of {data} ({report.evidence.origin})")
        show_verdict(report.verdict)
    if not report.evidence.accepted:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def attest(
    line: Annotated[Path, typer.Argument(help="The line file; the line is stopped.")],
    out: Annotated[Path, typer.Argument(help="Where the signed evidence is written.")],
    plant: Annotated[
        str, typer.Option(help="The name under which the plant wants to be known.")
    ],
    days: Days = 365.0,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Sign what a scenario does on this plant's own line: the level 'proven'.

    Numbers and digests only: answers, withheld ones, alarms that people called right or
    wrong. The package must be sealed here from the plant's own data, and must have
    answered for a day or more.
    """
    from tundish.flows.attest import attest as sign

    body = sign(open_workspace(workspace), line, plant, out, days=days)
    if json:
        show.as_json(body)
        return
    seen = body.seen
    show.line(
        f"{seen.plant}: {seen.scenario} gave {seen.answers:,} answers from {seen.first} to {seen.last}, "
        f"{seen.withheld:,} of them without a number; alarms {seen.right} right, {seen.wrong} wrong, {seen.unclear} unclear.",
        show.GOOD,
    )
    show.line(f"Signed: {out}, until {body.not_after}.")
