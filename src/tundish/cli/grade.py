"""``tundish grade``: is the data good enough, and what to mend first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.grade_shown import show_grade
from tundish.cli.options import (
    AsJson,
    Licence,
    Mirror,
    TargetColumn,
    TimeColumn,
    TimeZone,
    UnitColumn,
    nearby,
    open_workspace,
)

if TYPE_CHECKING:
    from tundish.data.card.card import Use
    from tundish.data.grade.file import Task
    from tundish.data.grade.kind import DataKind
    from tundish.data.join import Keep
    from tundish.flows.engine import Engine
    from tundish.flows.grade import GradeOptions, PageWish
    from tundish.flows.report.grade_words import Language


MEND_ALONE = "--mend needs a place to write to, and goes without --certificate and --html: grade the new version for these."
JOIN_MISSING = (
    "--on, --lag and --retests say how results are joined: name their file with --join."
)


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(grade)


def grade(  # noqa: PLR0913  (a command's options)
    data: Annotated[
        str, typer.Argument(help="A file, a folder, or a key of 'tundish data list'.")
    ],
    scenario: Annotated[
        str | None, typer.Option(help="Grade against this contract.")
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="The site profile that binds the data.")
    ] = None,
    time: TimeColumn = None,
    unit: UnitColumn = None,
    target: TargetColumn = None,
    task: Annotated[
        str | None,
        typer.Option(help="regress (a number), diagnose (a class) or anomaly."),
    ] = None,
    time_zone: TimeZone = None,
    kind: Annotated[
        str | None,
        typer.Option(help="What the data is: table, images, texts or events."),
    ] = None,
    running: Annotated[
        str | None,
        typer.Option(help="When the plant runs, e.g. 'FT101 > 5'; the rest are stops."),
    ] = None,
    join: Annotated[
        str | None, typer.Option(help="File of laboratory or MES results to join.")
    ] = None,
    on: Annotated[
        str, typer.Option(help="Join by this column (A=B if names differ), or by TIME.")
    ] = "TIME",
    lag: Annotated[
        str, typer.Option(help="Time from the process to its result, e.g. 40min.")
    ] = "0",
    retests: Annotated[
        str | None,
        typer.Option(help="Which result of a sample counts: first, last or mean."),
    ] = None,
    licence: Licence = None,
    use: Annotated[
        str | None,
        typer.Option(
            help="What for: product, research or internal; decides on licences."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what fits models.")
    ] = False,
    sheet: Annotated[
        str | None,
        typer.Option(help="Which sheet, member or variable of a file with several."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(help="local, or ray: a Parquet file over many machines."),
    ] = "local",
    at_least: Annotated[
        str | None, typer.Option(help="End with exit code 1 below this letter.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the grade as a page to this file.")
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of the page: en or zh.")] = "en",
    mend: Annotated[
        Path | None,
        typer.Option(help="Write a mended new version to this new folder or file."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="With --mend: only say what would be done."),
    ] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(help="Sign the grade over the data's digest into this file."),
    ] = None,
    mirror: Mirror = None,
    json: AsJson = False,
) -> None:
    """Say whether data is good enough, and what to mend first.

    Needs no configuration: it finds time, unit and target columns, says what it took for
    granted, and gives a letter from A to D with the rule behind it, hard gates, and
    findings in order of worth: tag, time, cost, mend.

    For example: 'tundish grade export.csv --html grade.html' for a page to print;
    'tundish grade trend.xlsx --running "FT101 > 5"' to leave stops out; 'tundish grade
    batches.csv --join lab.xlsx --on BATCH --target purity' with laboratory results;
    'tundish grade export.csv --mend better' for a mended new version.
    """
    from tundish.flows.grade import GradeOptions, PageWish
    from tundish.flows.grade import grade as grade_data
    from tundish.flows.outputs import refuse_other

    options = GradeOptions(
        scenario=scenario, site=site, time=time, unit=unit, target=target,
        task=task_of(task), time_zone=time_zone, kind=chosen_kind(kind),
        licence=licence, use=chosen_use(use), quick=quick, running=running,
        sheet=sheet, join=join, on=on, lag=lag, retests=keep_of(retests),
        engine=chosen_engine(engine),
    )  # fmt: skip
    if join is None and (on, lag, retests) != ("TIME", "0", None):
        raise typer.BadParameter(JOIN_MISSING)
    least = letter_of(at_least)
    page = PageWish(file=html, language=language(lang)) if html else None
    if html is not None:
        refuse_other(html, b"<!doctype html>")  # before an hour's grading
    if mend is not None or dry_run:
        if mend is None or certificate or html:
            raise typer.BadParameter(MEND_ALONE)
        letter = _mend(data, mend, options, dry_run=dry_run, mirror=mirror, json=json)
        _end_below(least, letter)
        return
    if certificate is not None:
        letter = _certify(data, certificate, options, page, mirror=mirror, json=json)
        _end_below(least, letter)
        return
    with show.working(f"Grading {data}") as tell:
        report = grade_data(
            data,
            options,
            mirror=mirror,
            page=page,
            workspace=nearby(),
            progress=tell,
        )
    if json:
        show.as_json(report)
    else:
        show_grade(report)
        if html:
            show.line(f"Page: {html}")
    _end_below(least, report.letter)


def _end_below(least: str | None, letter: str) -> None:
    if least and letter > least:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def letter_of(said: str | None) -> str | None:
    """Return a letter that data can have; another one would let everything pass."""
    letter = said.upper() if said is not None else None
    if letter not in {None, "A", "B", "C", "D"}:
        msg = f"--at-least is one of the letters A, B, C and D, not {said}."
        raise typer.BadParameter(msg)
    return letter


def chosen_kind(said: str | None) -> DataKind | None:
    """Return the kind of data that was asked for; refuse an unknown one."""
    for kind in ("table", "images", "texts", "events"):
        if said == kind:
            return kind
    if said is None:
        return None
    msg = f"--kind is one of table, images, texts and events, not {said}."
    raise typer.BadParameter(msg)


def _mend(
    data: str,
    out: Path,
    options: GradeOptions,
    *,
    dry_run: bool,
    mirror: Path | None,
    json: bool,
) -> str:
    from tundish.cli.mend import show_mend
    from tundish.flows.mend import mend

    with show.working(f"Mending {data}") as tell:
        report = mend(
            data,
            out,
            options,
            dry_run=dry_run,
            mirror=mirror,
            workspace=nearby(),
            progress=tell,
        )
    if json:
        show.as_json(report)
    else:
        show_mend(report)
    return report.after.letter


def _certify(
    data: str,
    to: Path,
    options: GradeOptions,
    page: PageWish | None,
    *,
    mirror: Path | None,
    json: bool,
) -> str:
    from tundish.cli.certificate import show_made
    from tundish.flows.certify import CertifyOrder, certify

    with show.working(f"Certifying {data}") as tell:
        made = certify(
            open_workspace(Path()),
            data,
            options,
            CertifyOrder(to=to, page=page),
            mirror=mirror,
            progress=tell,
        )
    if json:
        show.as_json(made.report)
    else:
        show_grade(made.report)
        show_made(made.file, made.certificate)
    return made.report.letter


def keep_of(said: str | None) -> Keep | None:
    """Return which of several results counts; refuse an unknown word."""
    for keep in ("first", "last", "mean"):
        if said == keep:
            return keep
    if said is None:
        return None
    msg = f"--retests is one of first, last and mean, not {said}."
    raise typer.BadParameter(msg)


def chosen_use(text: str | None) -> Use | None:
    """Return a use that terms may allow."""
    uses: dict[str, Use] = {
        "product": "product",
        "research": "research",
        "internal": "internal",
    }
    if text is not None and text not in uses:
        msg = f"'{text}' is no use that terms speak of: product, research or internal."
        raise typer.BadParameter(msg)
    return uses[text] if text else None


def chosen_engine(text: str) -> Engine:
    """Return where a grade may be computed."""
    engines: dict[str, Engine] = {"local": "local", "ray": "ray"}
    if text not in engines:
        msg = f"'{text}' is no engine; they are local and ray."
        raise typer.BadParameter(msg)
    return engines[text]


def language(text: str) -> Language:
    """Return a language the pages are written in."""
    if text not in {"en", "zh"}:
        msg = f"'{text}' is no language of the pages; they are written in en and zh."
        raise typer.BadParameter(msg)
    return "zh" if text == "zh" else "en"


def task_of(text: str | None) -> Task | None:
    """Return a task that data can be graded for."""
    tasks: dict[str | None, Task | None] = {
        None: None, "regress": "regress", "diagnose": "diagnose", "anomaly": "anomaly",
    }  # fmt: skip
    if text not in tasks:
        msg = f"'{text}' is no task; there are regress, diagnose and anomaly."
        raise typer.BadParameter(msg)
    return tasks[text]
