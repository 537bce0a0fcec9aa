"""``tundish recipe``: the ways to make a model, and what each is good for."""

from __future__ import annotations

from typing import Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson

group = typer.Typer(
    help="Recipes: the ways to make a model. A scenario's candidates name them.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="recipe")


@group.command("list")
def list_recipes(
    task: Annotated[
        str | None, typer.Option(help="Only those for a task, such as regress.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List the installed recipes by task."""
    from tundish.learn.about import every

    found = [one for one in every() if task is None or one.task in {task, None}]
    if json:
        show.as_json([one.to_json() for one in found])
        return
    rows = [(one.task or "any", one.name, one.line) for one in found]
    show.table("Recipes", ["task", "name", "what it is"], rows)
    show.line("Next: tundish recipe show NAME", "dim")


@group.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="A name of 'tundish recipe list'.")],
    json: AsJson = False,
) -> None:
    """Print a recipe's method, its source, and the options that a candidate may give."""
    from tundish.learn.about import about

    found = about(name)
    if json:
        show.as_json(found)
        return
    show.line(f"{found.name} ({found.task or 'any task'}): {found.line}", "bold")
    show.line(found.note)
    rows = [(one.name, one.default, one.text) for one in found.options]
    show.table("Options", ["option", "default", "what it does"], rows)
