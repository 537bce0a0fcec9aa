"""``tundish data card`` and ``tundish data register``: cards out and in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, Data, In, Mirror, nearby, open_workspace

if TYPE_CHECKING:
    from tundish.flows.card import CardForm

FILES_SHOWN = 20


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command()(card)
    group.command("register")(register_set)


def register_set(
    path: Annotated[
        Path,
        typer.Argument(
            help="A card (croissant.json, datapackage.json, card.yaml), or its folder."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call it; default: the card's name.")
    ] = None,
    folder: In = Path(),
    json: AsJson = False,
) -> None:
    """Register a data set of your own by its card, so that its name can be graded."""
    from tundish.flows.own_sets import register as register_card

    report = register_card(path, workspace=open_workspace(folder), name=name)
    if json:
        show.as_json(report)
        return
    files = f"{len(report.files):,} file{'' if len(report.files) == 1 else 's'}"
    show.line(
        f"{report.name}: {files} in {report.root}, from {report.where}", show.GOOD
    )
    show.line(f"  digests that the card names, all of them right: {report.checked}")
    show.line(f"  licence: {report.licence or 'none stated'}")
    for absent in report.absent[:FILES_SHOWN]:
        show.line(f"  not there: {absent}", show.WARN)
    if report.ignored:
        show.line(f"  not understood: {', '.join(report.ignored[:FILES_SHOWN])}", "dim")
    show.line(f"  next: tundish grade {report.name}")


def card(  # noqa: PLR0913  (a command's options)
    data: Data,
    form: Annotated[
        str, typer.Option("--format", help="markdown, croissant or tc609.")
    ] = "markdown",
    template: Annotated[
        bool, typer.Option("--template", help="Write a YAML card to fill in instead.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A file, or a folder; a new folder with tc609 is a whole package."
        ),
    ] = None,
    grade: Annotated[
        bool, typer.Option("--grade", help="Grade it, and repeat the summary.")
    ] = False,
    mirror: Mirror = None,
    json: AsJson = False,
) -> None:
    """Write the card of a data set; without --out it is printed."""
    from tundish.flows.card import write_card

    with show.working(f"Describing {data}") as tell:
        report = write_card(
            data,
            "template" if template else card_form(form),
            out=out,
            graded=grade,
            mirror=mirror,
            workspace=nearby(),
            progress=tell,
        )
    if json:
        show.as_json(report)
        return
    if not report.files:
        show.raw(report.text)
        return
    show.line(f"{report.name}: tables described: {report.tables}", show.GOOD)
    for file in report.files[:FILES_SHOWN]:
        show.line(f"  {file}")
    if len(report.files) > FILES_SHOWN:
        show.line(f"  and {len(report.files) - FILES_SHOWN:,} more files", "dim")
    for name in report.unread[:FILES_SHOWN]:
        show.line(f"  not read as a table: {name}", show.WARN)
    if not report.card and not template:
        show.line("No card was there: --template writes one to fill in.", show.WARN)


def card_form(text: str) -> CardForm:
    """Return a form that cards are written in."""
    forms: dict[str, CardForm] = {
        "markdown": "markdown",
        "croissant": "croissant",
        "tc609": "tc609",
    }
    if text not in forms:
        msg = f"'{text}' is no form of card: markdown, croissant or tc609."
        raise typer.BadParameter(msg)
    return forms[text]
