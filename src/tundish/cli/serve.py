"""``tundish serve`` and ``tundish client``: a sealed package for programs that ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.line import STYLES
from tundish.cli.options import (
    MOST,
    NUMBER,
    AsJson,
    GrantFile,
    In,
    between,
    open_workspace,
    require_with,
)

if TYPE_CHECKING:
    from tundish.line.events import Event

group = typer.Typer(
    help="Clients of 'tundish serve': each has a token, shown once and kept as a digest.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Letters, digits, dots and dashes.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(serve)
    app.add_typer(group, name="client")


def serve(  # noqa: PLR0913  (a command's options)
    package: Annotated[Path, typer.Argument(help="The package: a .tar or its folder.")],
    grant: GrantFile = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS:PORT",
            help="Where; one that other machines reach needs a certificate. Port 0: any.",
        ),
    ] = "127.0.0.1:8080",
    tls_cert: Annotated[
        Path | None, typer.Option(help="The server's certificate and chain (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="Its key (PEM, without a passphrase).")
    ] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option(
            help="Clients must show a certificate of this authority too (PEM)."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Further tokens, one a line; not readable by everybody."),
    ] = None,
    most_rows: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Windows in one request.")
    ] = 4096,
    rate: Annotated[
        float,
        typer.Option(
            parser=between(0.0, MOST),
            metavar=NUMBER,
            help="Requests a second of one client; 0: as many as it likes.",
        ),
    ] = 0.0,
    safe_point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HH:MM",
            help="Time of day (UTC) at which an ended grant may stop it, within the "
            "grant's grace. May be repeated.",
        ),
    ] = None,
    insecure_plaintext: Annotated[
        bool,
        typer.Option(
            "--insecure-plaintext",
            help="Let other machines ask without TLS: something in front encrypts.",
        ),
    ] = False,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Answer programs over HTTP by the Open Inference Protocol (KServe V2) until Ctrl-C.

    Every address but /v2/health/live asks for a token. What 'tundish score' would not
    answer is null here too, and the answer's parameters say why. /metrics is for
    Prometheus. Ctrl-C and SIGTERM answer what is in hand and end; the end of the grant
    ends it with 1. A renewal is put in the place of the grant's file.

    tundish client add scada                               shows a token, once

    tundish serve pump-v2.tar --grant model.grant

    curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8080/v2
    """
    from tundish.flows.serve import ServeOrder, Serving
    from tundish.line.serving.limits import Limits

    require_with("--tls-key", tls_key, tls_cert=tls_cert)
    require_with("--tls-cert", tls_cert, tls_key=tls_key, client_ca=client_ca)
    order = ServeOrder(
        listen=listen,
        certificate=tls_cert,
        key=tls_key,
        client_ca=client_ca,
        token_file=token_file,
        insecure_plaintext=insecure_plaintext,
        safe_points=tuple(map(_time_of_day, safe_point or ())),
        limits=Limits(rows=most_rows, rate=rate),
        on_event=_silent if json else _said,
    )
    serving = Serving(open_workspace(workspace), package, grant, order)
    report = serving.run()
    if json:
        show.as_json(report)
    else:
        show.line(report.one_line(), "bold")
    if report.ended == "grant":
        raise typer.Exit(NOT_GOOD_ENOUGH)


@group.command("add")
def add_command(name: Name, workspace: In = Path(), json: AsJson = False) -> None:
    """Make a token for a client and show it, once; a server that runs takes it."""
    from tundish.flows.clients import add_client

    token = add_client(open_workspace(workspace), name).reveal()
    if json:
        show.as_json({"client": name, "token": token})
        return
    show.line(f"The token of {name}, shown once and kept nowhere:", show.GOOD)
    show.raw(f"{token}\n")


@group.command("list")
def list_command(workspace: In = Path(), json: AsJson = False) -> None:
    """List the clients; their tokens are not known here."""
    from tundish.flows.clients import list_clients

    known = list_clients(open_workspace(workspace))
    if json:
        show.as_json([{"name": c.name, "added_at": c.added_at} for c in known])
        return
    if not known:
        show.line("No client yet: tundish client add NAME", "dim")
        return
    show.table("Clients", ["name", "added"], [(c.name, c.added_at) for c in known])


@group.command("remove")
def remove_command(name: Name, workspace: In = Path(), json: AsJson = False) -> None:
    """Take a client's token back; a server that runs refuses it within seconds."""
    from tundish.flows.clients import remove_client

    remove_client(open_workspace(workspace), name)
    if json:
        show.as_json({"removed": name})
    else:
        show.line(f"Removed {name}.", show.GOOD)


def _time_of_day(text: str) -> str:
    from datetime import time

    try:
        time.fromisoformat(text)
    except ValueError as error:
        msg = f"{text} was given; a time of day such as 14:00 is needed."
        raise typer.BadParameter(msg) from error
    return text[:5]


def _said(event: Event) -> None:
    show.line(
        f"{event.at:%H:%M:%S} {event.kind}: {event.text}", STYLES.get(event.kind, "")
    )


def _silent(_event: Event) -> None:
    return
