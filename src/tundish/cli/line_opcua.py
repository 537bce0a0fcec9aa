"""``tundish line browse`` and ``certificate``: what OPC UA needs before a line file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, Days, nearby

if TYPE_CHECKING:
    from tundish.flows.line_browse import VariableRow
    from tundish.kernel.canonical import Json


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command()(browse)
    group.command()(certificate)


def browse(  # noqa: PLR0913  (one per option)
    endpoint: Annotated[str, typer.Argument(help="opc.tcp://host:port/path")],
    scenario: Annotated[
        str | None,
        typer.Option(help="Key or file of a scenario: prints a nodes: block for it."),
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="As security.policy in a line file.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="As security.mode in a line file.")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(help="Certificate of the server or its authority.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Our certificate; its key beside it as .key.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Name for the server.")] = None,
    password_env: Annotated[
        str | None, typer.Option(help="Variable that holds the password.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List the variables of an OPC UA server: node, type, unit, rights, history.

    With --scenario, a nodes: block ready for a line file follows, with each signal
    whose name exactly one variable bears. Nothing is written or subscribed to.
    """
    from tundish.flows.line_browse import browse_server

    said: dict[str, Json] = {
        "policy": policy,
        "mode": mode,
        "trust": str(trust) if trust else None,
        "certificate": str(certificate) if certificate else None,
        "key": str(certificate.with_suffix(".key")) if certificate else None,
        "user": user,
        "password": {"env": password_env} if password_env else None,
    }
    security = {name: value for name, value in said.items() if value is not None}
    found = browse_server(nearby(), endpoint, scenario, security)
    if json:
        show.as_json(found)
        return
    show.table(
        f"{found.endpoint} ({found.security or 'no message security'})",
        ("variable", "node", "type", "unit", "access", "history"),
        [_variable(row) for row in found.variables],
    )
    if not found.whole:
        show.line("The server has more than was listed.", show.WARN)
    if scenario:
        show.raw(found.block() + "\n")


def certificate(
    place: Annotated[
        Path, typer.Argument(help="Where: PLACE.crt and PLACE.key are written.")
    ],
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address of this box; default: its host name."),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option(help="Application URI; default: urn:HOST:tundish:line."),
    ] = None,
    days: Days = 1825.0,
    bits: Annotated[
        int,
        typer.Option(
            min=2048, max=4096, help="Length of the RSA key: 2048, 3072 or 4096."
        ),
    ] = 2048,
    json: AsJson = False,
) -> None:
    """Make a certificate and key with which OPC UA servers know this box.

    Give PLACE.crt to whoever runs the server, to be trusted there; name both files in
    the line file as security.certificate and security.key. The key stays on this box.
    """
    from tundish.flows.line_certificate import CertificateOrder, make_certificate

    order = CertificateOrder(
        place=place, hosts=tuple(host or ()), uri=uri, days=days, bits=bits
    )
    made = make_certificate(order)
    if json:
        show.as_json(made)
        return
    show.line(f"Made {made.certificate} and {made.key}.", show.GOOD)
    show.line(f"  {made.uri}, until {made.not_after}")
    show.line(f"  SHA-1 {made.thumbprint} (how servers list it)")
    show.line(f"  Have the server's owner trust {made.certificate}.")


def _variable(row: VariableRow) -> tuple[str, ...]:
    rights = (("read", row.may_read), ("write", row.may_write))
    wide = f" x {row.channels}" if row.channels else ""
    return (
        row.path,
        row.node,
        row.kind + wide,
        row.unit,
        "+".join(word for word, may in rights if may) or "none",
        {True: "yes", False: "no", None: ""}[row.history],
    )
