"""``tundish line``: a sealed package on the plant's signals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import AsJson, In, open_workspace

if TYPE_CHECKING:
    from tundish.line.events import Event

group = typer.Typer(
    help="Run a sealed package on the plant's signals.", no_args_is_help=True
)

STYLES = {
    "gap": show.WARN,
    "link-lost": show.POOR,
    "dropped": show.POOR,
    "sink-refused": show.POOR,
    "grant": show.WARN,
    "grant-over": show.POOR,
}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="line")


@group.command("run")
def run_command(
    line: Annotated[Path, typer.Argument(help="The line file (YAML).")],
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Run a line until Ctrl-C; starts, states, gaps and the end are in the ledger.

    The line writes its own estimate and state only. Ctrl-C is a clean stop: what was
    acknowledged is on disk, and the next start goes on there. When the grant ends, the
    line stops at the next safe point of its file, at the latest when the grant's grace
    is over, and ends with 1. A renewal is put in the place of the grant's file.
    """
    from tundish.flows.line import LineOptions, run_line, summarise

    options = LineOptions(on_event=_silent if json else _said)
    report = run_line(open_workspace(workspace), line, options)
    if json:
        show.as_json(summarise(report))
    else:
        show.line(report.one_line(), "bold")
    if report.ended == "grant":
        raise typer.Exit(NOT_GOOD_ENOUGH)


@group.command()
def check(
    line: Annotated[Path, typer.Argument(help="The line file (YAML).")],
) -> None:
    """Check a line file; a bad one is refused with the path of the key."""
    from tundish.line.linefile import read_line_file

    found = read_line_file(line)
    show.line(
        f"{found.name}: {len(found.sources)} sources, mode {found.mode}.", show.GOOD
    )


def _said(event: Event) -> None:
    show.line(
        f"{event.at:%H:%M:%S} {event.kind}: {event.text}", STYLES.get(event.kind, "")
    )


def _silent(_event: Event) -> None:
    return
