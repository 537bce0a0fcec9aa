"""``tundish init``: a workspace and its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tundish.cli import show
from tundish.cli.options import (
    AsJson,
    Curve,
    InToken,
    NewInToken,
    ask_pin,
    token_order,
)
from tundish.kernel.canonical import Json


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
    token: InToken = None,
    new: NewInToken = False,
    curve: Curve = "P-256",
    json: AsJson = False,
) -> None:
    """Make a workspace: keys, a ledger, room for runs and packages.

    With TUNDISH_PASSPHRASE set, the keys are kept under that passphrase. With --token,
    the key that signs lies in a token, which it never leaves.
    """
    from tundish.flows.keys import KeyOrders
    from tundish.flows.workspace import create

    order = token_order(token, new=new, curve=curve)
    made = create(folder, name, orders=KeyOrders(signing=order, ask=ask_pin))
    named = made.key_folder.signing_in_token
    if json:
        told: dict[str, Json] = {
            "workspace": str(made.root),
            "name": made.name,
            "key": made.actor,
        }
        if named is not None:
            told |= {"token": named.token, "made_inside": named.made_inside}
        show.as_json(told)
        return
    show.line(f"Made the workspace {made.name} in {made.root.resolve()}")
    if named is not None:
        show.kept_in_token("signing key", named.token, inside=named.made_inside)
    show.line("Next: tundish grade FILE, or tundish train --help.")
