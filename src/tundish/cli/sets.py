"""``tundish data load`` and ``grade-all``: what the sets of the catalogue hold, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, Mirror

if TYPE_CHECKING:
    from tundish.flows.load_set import PartReport

_SHOWN = 4


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command("load")(load)
    group.command("grade-all")(grade_all)


def load(
    key: Annotated[str, typer.Argument(help="A key of 'tundish data list'.")],
    mirror: Mirror = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write its tables as Parquet to this new or empty folder."),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Leave out parts of which no file is there."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Load a set as typed tables, pictures, texts or problems, checked against its entry.

    Prints what is in it: rows, columns, units, labels. A file that is not as the entry
    says (a column gone, a text among numbers, lines the other way round) is refused.
    With --mirror, FOLDER/KEY is read where it lies.

    For example: 'tundish data load skab --mirror /media/stick --out tables'.
    """
    from tundish.flows.load_set import load_set

    with show.working(f"Loading {key}") as tell:
        report = load_set(key, mirror=mirror, out=out, partial=partial, progress=tell)
    if json:
        show.as_json(report)
        return
    rows = [_row(part) for part in report.parts]
    heads = ["part", "kind", "rows", "columns", "missing", "roles", "units", "labels"]
    show.table(f"{report.name} ({report.key})", heads, rows)
    if report.absent:
        show.line(f"Not there: {', '.join(report.absent)}", show.WARN)
    show.line(f"Licence: {report.licence} (class {report.licence_class}).")
    for caveat in report.caveats:
        show.line(f"Caveat: {caveat}", show.WARN)
    written = [part.file for part in report.parts if part.file]
    if written:
        show.line(f"{len(written)} tables written to {out}", show.GOOD)


def _row(part: PartReport) -> tuple[str, ...]:
    kinds = sorted(set(part.units.values()))
    roles = [f"{role} {_some(names)}" for role, names in part.roles.items()]
    labels = [f"{name}: {_counted(found)}" for name, found in part.labels.items()]
    return (
        part.name,
        part.kind,
        f"{part.rows:,}",
        f"{part.columns:,}" if part.columns else "",
        f"{part.missing:,}" if part.columns else "",
        "; ".join(roles),
        _some(kinds),
        "; ".join(labels),
    )


def _counted(found: dict[str, int]) -> str:
    return _some([f"{label} {count:,}" for label, count in found.items()])


def _some(words: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def grade_all(
    mirror: Annotated[
        Path,
        typer.Option(help="Folder of the sets, each in a folder by its key."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write the table to this file as Markdown.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what fits models.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="A key; give it once for each set.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Grade every set of the catalogue that lies in a folder, and print one table.

    A set with a site profile is graded against its scenario, others as they are loaded.
    Problems of scheduling are not graded.
    """
    from tundish.flows.grade_sets import TITLE, page
    from tundish.flows.grade_sets import grade_all as grade_sets
    from tundish.flows.outputs import refuse_other, write_out

    if out is not None:
        refuse_other(out, TITLE.encode())
    with show.working("Grading") as tell:
        grades = grade_sets(mirror, keys=only, quick=quick, progress=tell)
    if out is not None:
        write_out(out, page(grades).encode())
    if json:
        show.as_json(grades)
        return
    rows = [
        (
            one.key,
            one.letter or "-",
            ", ".join(one.failed),
            one.worst,
            f"{one.seconds:g}",
        )
        for one in grades.graded
    ]
    heads = ["set", "letter", "failed gates", "worst finding", "s"]
    show.table("Grades", heads, rows)
    if grades.absent:
        show.line(f"Not there: {', '.join(grades.absent)}", "dim")
    if out is not None:
        show.line(f"Page: {out}", show.GOOD)
