"""``tundish data``: sets of the catalogue and your own, their cards and versions."""

from __future__ import annotations

from typing import Annotated

import typer

from tundish.cli import cards, data_sets, sets, show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import (
    AsJson,
    Data,
    Licence,
    Mirror,
    TargetColumn,
    TimeColumn,
    TimeZone,
    UnitColumn,
    nearby,
)
from tundish.kernel.digest import short

FILES_SHOWN = 20

group = typer.Typer(
    help="Data sets: the catalogue's and your own.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    data_sets.register(group)
    cards.register(group)
    sets.register(group)
    app.add_typer(group, name="data")


@group.command()
def version(data: Data, mirror: Mirror = None, json: AsJson = False) -> None:
    """Print the version of a data set: one digest over names and bytes of its files."""
    from tundish.flows.fetch import locate

    with show.working(f"Reading {data}") as tell:
        located = locate(data, mirror=mirror, progress=tell)
        found = located.version
    if json:
        show.as_json(found)
        return
    show.line(found.digest, "bold")
    show.line(f"  {located.name}: {len(found.files):,} files, {found.size:,} bytes")
    for file in found.files[:FILES_SHOWN]:
        show.line(f"  {short(file.root)}  {file.size:>14,}  {file.name}", "dim")
    if len(found.files) > FILES_SHOWN:
        show.line(f"  and {len(found.files) - FILES_SHOWN:,} more", "dim")


@group.command("diff")
def compare(  # noqa: PLR0913  (a command's options)
    before: Annotated[str, typer.Argument(help="The older version.")],
    after: Annotated[str, typer.Argument(help="The newer version.")],
    scenario: Annotated[
        str | None, typer.Option(help="Grade both against this contract.")
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="The site profile that binds both.")
    ] = None,
    time: TimeColumn = None,
    unit: UnitColumn = None,
    target: TargetColumn = None,
    time_zone: TimeZone = None,
    licence: Licence = None,
    mirror: Mirror = None,
    json: AsJson = False,
) -> None:
    """Compare two versions: rows, columns, distributions, cells, and the grade.

    Ends with exit code 1 if the letter of the newer version is worse.
    """
    from tundish.cli.diff import show_diff
    from tundish.flows.diff import diff
    from tundish.flows.grade import GradeOptions

    options = GradeOptions(
        scenario=scenario, site=site, time=time, unit=unit, target=target,
        time_zone=time_zone, licence=licence,
    )  # fmt: skip
    with show.working(f"Comparing {before} and {after}") as tell:
        report = diff(
            before, after, options, mirror=mirror, workspace=nearby(), progress=tell
        )
    if json:
        show.as_json(report)
    else:
        show_diff(report)
    if report.grade.fell:
        raise typer.Exit(NOT_GOOD_ENOUGH)
