"""``tundish control``: the security controls, and what serves each today."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

from tundish.cli import show
from tundish.cli.options import AsJson

Kind: TypeAlias = Literal["implemented", "tested", "evidence", "planned"]

group = typer.Typer(
    help="Security controls: what serves each today, and what lacks.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="control")


@group.command("list")
def list_controls(
    kind: Annotated[
        Kind | None, typer.Option(help="Only those that stand so today.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Only those of a family, by its letter.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List the controls. A control supports evidence for what it refers to, no more."""
    from tundish.catalog.controls import controls, of_family

    every = controls().controls if family is None else of_family(family)
    found = {key: one for key, one in every.items() if kind in {None, one.kind}}
    if json:
        show.as_json({key: one.to_json() for key, one in found.items()})
        return
    rows = [
        (key, one.kind, one.name.en, one.name.zh, str(len(one.served_by)))
        for key, one in found.items()
    ]
    show.table("Controls", ["id", "today", "name", "名称", "served by"], rows)


@group.command("show")
def show_control(
    control: Annotated[str, typer.Argument(help="Its id, such as M5.")],
    json: AsJson = False,
) -> None:
    """Show a control: how it is done, what serves it, what lacks, what it refers to."""
    from tundish.catalog.controls import control as find
    from tundish.catalog.controls import controls

    found = find(control)
    if json:
        show.as_json(found)
        return
    show.line(f"{control}: {found.name.en} ({found.name.zh}): {found.kind}", "bold")
    show.line(found.how)
    if found.lacks:
        show.line(f"Lacks: {found.lacks}", show.WARN)
    for served in found.served_by:
        show.line(f"  served by {served}")
    rows = [
        (framework, number, item.name, "" if item.checked else "unchecked")
        for framework, number, item in map(controls().item, found.references)
    ]
    show.table("Supports evidence for", ["framework", "item", "name", ""], rows)
