"""``tundish device``: this machine's identity, and its requests for grants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tundish.cli import show
from tundish.cli.options import (
    MOST,
    AsJson,
    In,
    InToken,
    NewInToken,
    ask_hidden,
    ask_pin,
    open_workspace,
    token_order,
)

group = typer.Typer(
    help="This machine's identity, and its requests for grants.",
    invoke_without_command=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="device")


@group.callback()
def device(context: typer.Context, workspace: In = Path()) -> None:
    """Print the line that names this machine, or one of the commands below."""
    if context.invoked_subcommand is not None and workspace != Path():
        msg = f"Name it after the command: 'tundish device {context.invoked_subcommand} -w'."
        raise typer.BadParameter(msg)
    if context.invoked_subcommand is None:
        typer.echo(open_workspace(workspace).device_text)


@group.command("show")
def show_device(workspace: In = Path()) -> None:
    """Print the line that names this machine to whoever issues grants for it."""
    typer.echo(open_workspace(workspace).device_text)


@group.command("init")
def init(
    folder: Annotated[
        Path, typer.Argument(help="Where; made if it is not there.")
    ] = Path(),
    name: Annotated[
        str | None, typer.Option(help="Its name; default: the folder's.")
    ] = None,
    token: InToken = None,
    new: NewInToken = False,
    json: AsJson = False,
) -> None:
    """Make a box: a workspace with a device key of its own, which is never replaced.

    With TUNDISH_PASSPHRASE set, the keys are kept under that passphrase. With --token,
    the device's key is encrypted under a key that never leaves a token or TPM: a copy
    of the folder opens nothing elsewhere.
    """
    from tundish.flows.device import init_device
    from tundish.flows.keys import KeyOrders

    order = token_order(token, new=new)
    report = init_device(folder, name, orders=KeyOrders(device=order, ask=ask_pin))
    if json:
        show.as_json(report)
        return
    show.line(f"Made the box in {Path(report.workspace).resolve()}", show.GOOD)
    kept = "under a passphrase" if report.passphrase else "as a file, no passphrase"
    kept = f"by a token, {report.method}" if report.token else kept
    show.line(f"  device {report.device} (key kept {kept})")
    if report.token:
        inside = report.made_inside is True
        show.kept_in_token("key that opens it", report.token, inside=inside)
    show.line("Next: tundish trust OWNER.pub, then tundish device request PACKAGE")


@group.command("request")
def request(  # noqa: PLR0913  (a command's options)
    what: Annotated[
        str, typer.Argument(help="A package that is here, or a product's name.")
    ],
    purpose: Annotated[str, typer.Option(help="What for, in your words.")],
    days: Annotated[
        int | None,
        typer.Option(
            min=1, max=366, help="For how many days; default: the owner decides."
        ),
    ] = None,
    uses: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST, help="How often it shall open; default: no limit."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The file to write; default: here.")
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Write a request for a grant; its owner answers with 'tundish grant --request'."""
    from tundish.flows.device import AskOrder, ask

    order = AskOrder(what=what, purpose=purpose, days=days, uses=uses)
    report = ask(open_workspace(workspace), order, to)
    if json:
        show.as_json(report)
        return
    show.line(f"Wrote the request {report.file}", show.GOOD)
    show.line(f"  device {report.device}")
    show.line(
        "Send it to the package's owner, and tell them the device's line by phone."
    )


@group.command("asked")
def asked(
    file: Annotated[Path, typer.Argument(help="The request of a device.")],
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Show what a device asks for, and whether its box was answered here before."""
    from tundish.flows.grant import read_request

    report = read_request(open_workspace(workspace), file)
    if json:
        show.as_json(report)
        return
    asked_for = f"{report.days} days" if report.days else "as the owner likes"
    uses = f"{report.uses} uses" if report.uses else "not limited"
    show.line(f"{report.product}: {report.purpose}", "bold")
    show.line(f"  device {report.device}")
    show.line(f"  time   {asked_for}, {uses}; written {report.made_at}")
    if report.known:
        show.line(f"  known  this box was answered {report.known} times before")
    else:
        show.line("  new    compare the device's line with its people first", show.WARN)


@group.command("time")
def hear_time(
    file: Annotated[Path, typer.Argument(help="A time that the owner signed.")],
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Take a signed time; this box then refuses a clock that shows an earlier one."""
    from tundish.flows.device import hear_time as hear

    report = hear(open_workspace(workspace), file)
    if json:
        show.as_json(report)
        return
    did = "corrected to" if report.corrects else "at least"
    show.line(f"The time here is {did} {report.time}.", show.GOOD)


@group.command("activate")
def activate(
    package: Annotated[Path, typer.Argument(help="The package.")],
    grant: Annotated[Path, typer.Argument(help="The grant of this spare device.")],
    code: Annotated[
        str | None,
        typer.Option(help="Default: asked for, or a line of standard input."),
    ] = None,
    workspace: In = Path(),
) -> None:
    """Activate a spare device when the other one failed; the ledger keeps the use."""
    from tundish.flows.open_package import activate as activate_grant

    here = open_workspace(workspace)
    code = ask_hidden("Code from the envelope") if code is None else code
    opened = activate_grant(here, package, grant, code)
    show.line(
        f"Activated; this device opens the package until {opened.ends_at}.", show.GOOD
    )
    show.line("Tell the owner: the use of the code is in this box's ledger.")
