"""``tundish ledger`` and ``tundish reach``: the record that can be checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, In, open_workspace
from tundish.kernel.digest import short

group = typer.Typer(help="The tamper-evident log of every act.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="ledger")
    app.command()(reach)


@group.command()
def verify(
    workspace: In = Path(),
    witness: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint of this ledger that was kept elsewhere."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Prove the ledger offline: every entry and every signed checkpoint."""
    from tundish.flows.ledger import verify_ledger

    report = verify_ledger(open_workspace(workspace), witness or ())
    if json:
        show.as_json(report)
        return
    show.line(
        f"The ledger holds: {report.size} entries, root {report.root[:16]}...",
        show.GOOD,
    )
    show.line(
        f"{report.checkpoints} signed checkpoints fit; {report.unwitnessed} entries after the last."
    )


@group.command()
def log(workspace: In = Path(), json: AsJson = False) -> None:
    """List the entries, oldest first."""
    from tundish.flows.ledger import list_ledger

    entries = list_ledger(open_workspace(workspace))
    if json:
        show.as_json([{"index": index, **entry.to_json()} for index, entry in entries])
        return
    rows = [
        (
            str(index),
            entry.at[:19],
            entry.act,
            entry.code or entry.outcome,
            ", ".join(entry.names.get(item, short(item)) for item in entry.outputs),
        )
        for index, entry in entries
    ]
    show.table("Ledger", ["no.", "time (UTC)", "act", "outcome", "made"], rows)


@group.command()
def checkpoint(workspace: In = Path()) -> None:
    """Print the newest signed checkpoint; keep it elsewhere as a witness."""
    from tundish.flows.ledger import latest_checkpoint

    typer.echo(latest_checkpoint(open_workspace(workspace)), nl=False)


def reach(
    digest: Annotated[
        str, typer.Argument(help="A digest, its beginning, a name, or a file.")
    ],
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """List all that descends from a data set, a run or a package."""
    from tundish.flows.ledger import reach as follow

    found = follow(open_workspace(workspace), digest)
    if json:
        show.as_json(found)
        return
    show.line(f"{found.name or 'It'} ({short(found.digest)}) reached:")
    rows = [
        (
            "  " * (item.depth - 1) + (item.name or short(item.digest)),
            item.act,
            short(item.digest),
        )
        for item in found.relatives
    ]
    show.table("", ["what", "by which act", "digest"], rows)


@group.command("time")
def sign_time(
    to: Annotated[Path, typer.Option(help="The file to write.")],
    correct: Annotated[
        str | None,
        typer.Option(help="Line of a device whose clock once showed a later time."),
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Sign how late it is, with the newest checkpoint: for boxes without a network.

    The box takes it with 'tundish device time FILE'. With --correct it also sets back
    the highest time that one device has seen; it counts once.
    """
    from tundish.flows.device import say_time

    report = say_time(open_workspace(workspace), to, correct)
    if json:
        show.as_json(report)
        return
    show.line(f"Signed the time {report.time} in {report.file}.", show.GOOD)
