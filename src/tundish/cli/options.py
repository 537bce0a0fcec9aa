"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from tundish.flows import workspace as workspaces
from tundish.flows.errors import WorkspaceMissingError
from tundish.flows.workspace import Workspace

AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, for machines.")
]
Data: TypeAlias = Annotated[
    str, typer.Argument(help="A file, a folder, or a key of 'tundish data list'.")
]
In: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", help="The workspace; default: this folder or one above."
    ),
]
Mirror: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Take the same bytes from this folder; for plants without a network."
    ),
]


def open_workspace(folder: Path) -> Workspace:
    """Return the workspace that a command works in."""
    return workspaces.find(folder)


def nearby() -> Workspace | None:
    """Return the workspace around here, if there is one."""
    try:
        return workspaces.find(Path())
    except WorkspaceMissingError:
        return None
