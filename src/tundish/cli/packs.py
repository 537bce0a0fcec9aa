"""``tundish scenario pack|add|packs|drop``: scenarios of other people."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, Days, nearby, open_workspace

if TYPE_CHECKING:
    from tundish.flows.packs import PackReport


# as flows.workspace has it, which takes long to import
_KEPT = Path(".tundish", "packs")


def packs_here() -> AbstractContextManager[None]:
    """Let the catalogue have the packs of the workspace around here."""
    try:
        here = Path().absolute()
        found = any((folder / _KEPT).is_dir() for folder in (here, *here.parents))
    except OSError:  # a folder that is gone, or that may not be looked into
        found = False
    if not found:
        return nullcontext()  # most commands, which so import nothing for it
    from tundish.catalog import library
    from tundish.flows.packs import shelves_of

    return library.beside(shelves_of(nearby, show.note))


def register(group: typer.Typer) -> None:
    """Add the commands of this file to ``tundish scenario``."""
    for command in (pack, add, packs, drop):
        group.command()(command)


def pack(
    folder: Annotated[
        Path,
        typer.Argument(
            help="With pack.yaml, scenarios/, and sites/, datasets/, evidence/ if needed."
        ),
    ],
    days: Days = 730.0,
    json: AsJson = False,
) -> None:
    """Check a folder of scenarios and sign it, so that others can add it as a pack.

    Every file is checked first, and the signature (pack.sig) names each: a pack holds
    documents, no code. Its pack.yaml is, for example:

    \b
    format: tundish.pack-card
    version: 1
    name: forge
    release: 1
    title: Scenarios of a drop forge
    licence: CC-BY-4.0
    maker: A forge, forge@example.org
    """  # noqa: D301  (Click's own mark: these lines stay as they are)
    from tundish.flows.packs import sign_pack

    made = sign_pack(open_workspace(Path()), folder, days=days)
    if json:
        show.as_json(made)
        return
    _say(made, "Signed")
    show.line("Next: hand on the folder and your public key (tundish key).")


def add(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, or the name of a pack that a Python package brought."
        ),
    ],
    json: AsJson = False,
) -> None:
    """Add a pack to this workspace, if a key that is trusted here signed it.

    Its scenarios, site profiles and data sets then stand in every list and can be used by
    name. A changed file, an older release or a name that is taken is refused.
    """
    from tundish.flows.packs import add_pack

    made = add_pack(open_workspace(Path()), source)
    if json:
        show.as_json(made)
        return
    _say(made, "Added")


def packs(json: AsJson = False) -> None:
    """List the packs of this workspace and those installed beside it, and which stand."""
    from tundish.flows.packs import list_packs

    found = list_packs(open_workspace(Path()))
    if json:
        show.as_json([one.to_json() for one in found])
        return
    rows = [
        (
            one.name,
            str(one.pack.release) if one.pack else "-",
            one.where,
            str(len(one.pack.scenarios)) if one.pack else "-",
            f"{one.pack.title} ({one.pack.maker}; {one.pack.licence})"
            if one.pack
            else f"refused: {one.fault}",
        )
        for one in found
    ]
    show.table("Packs", ["name", "release", "where", "scenarios", "what"], rows)


def drop(
    name: Annotated[str, typer.Argument(help="As tundish scenario packs lists it.")],
) -> None:
    """Remove a pack from this workspace; what was made with it stays."""
    from tundish.flows.packs import drop_pack

    drop_pack(open_workspace(Path()), name)
    show.line(f"The pack {name} is no longer here.", show.GOOD)


def _say(made: PackReport, done: str) -> None:
    counts = (
        (made.scenarios, "scenario"),
        (made.sites, "site profile"),
        (made.datasets, "data set"),
    )
    held = ", ".join(
        f"{len(names)} {what}{'s' if len(names) > 1 else ''}"
        for names, what in counts
        if names
    )
    show.line(
        f"{done}: {made.name}, release {made.release}, of {made.maker}: {held}; until {made.ends}.",
        show.GOOD,
    )
    for name in made.scenarios:
        show.line(f"  {name}")
