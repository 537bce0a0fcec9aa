"""``tundish init``: a workspace and its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson
from tundish.flows import workspace as workspaces


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(init)


def init(
    folder: Annotated[
        Path, typer.Argument(help="Where; made if it is not there.")
    ] = Path(),
    name: Annotated[
        str | None, typer.Option(help="Its name; default: the folder's.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a workspace: keys, a ledger, room for runs and packages.

    With TUNDISH_PASSPHRASE set, the keys are kept under that passphrase.
    """
    made = workspaces.create(folder, name)
    if json:
        show.as_json(
            {"workspace": str(made.root), "name": made.name, "key": made.actor}
        )
        return
    show.line(f"Made the workspace {made.name} in {made.root}.")
    show.line("Next: tundish grade FILE, or tundish train --help.")
