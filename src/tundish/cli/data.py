"""``tundish data``: sets of the catalogue and your own, their cards and versions."""

from __future__ import annotations

from typing import Annotated

import typer

from tundish.cli import cards, show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import AsJson, Data, Mirror, nearby
from tundish.kernel.digest import short

FILES_SHOWN = 20

group = typer.Typer(
    help="Data sets: the catalogue's and your own.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    cards.register(group)
    app.add_typer(group, name="data")


@group.command("list")
def list_sets(json: AsJson = False) -> None:
    """List the data sets of the catalogue, and those that are registered here."""
    from tundish.catalog import library
    from tundish.catalog.datasets import DatasetEntry
    from tundish.flows import own_sets

    found = [library.dataset(name) for name in library.names(DatasetEntry)]
    workspace = nearby()
    own = own_sets.list_sets(workspace) if workspace else []
    if json:
        show.as_json([entry.to_json() for entry in [*found, *own]])
        return
    rows = [
        (e.key, e.name.en, e.sector, e.task, f"{e.licence.name} ({e.licence.kind})")
        for e in found
    ]
    for one in own:
        title = one.card.title.en if one.card.title else one.card.name
        licence = one.card.licence.name if one.card.licence else ""
        rows.append(
            (one.name, title, one.card.sector or "", one.card.task or "", licence)
        )
    show.table("Data sets", ["key", "name", "sector", "task", "licence (class)"], rows)


@group.command()
def fetch(
    key: Annotated[str, typer.Argument(help="A key of 'tundish data list'.")],
    mirror: Mirror = None,
    json: AsJson = False,
) -> None:
    """Fetch a data set, check every byte against its pinned digest, and cache it."""
    from tundish.flows.fetch import fetch as fetch_set

    with show.working(f"Fetching {key}") as tell:
        report = fetch_set(key, mirror=mirror, workspace=nearby(), progress=tell)
    if json:
        show.as_json(report)
        return
    show.line(f"{report.name}: {len(report.files)} files in {report.folder}", show.GOOD)
    show.line(
        f"Licence: {report.licence} (class {report.licence_class}). Cite: {report.citation}"
    )
    for caveat in report.caveats:
        show.line(f"Caveat: {caveat}", show.WARN)


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
    time: Annotated[str | None, typer.Option(help="Name of the time column.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="Name of the column of assets or batches.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Name of the column to be estimated.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Zone of local times, e.g. Asia/Shanghai.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="The data's licence or terms, if you know them.")
    ] = None,
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
