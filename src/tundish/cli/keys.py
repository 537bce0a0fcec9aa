"""``tundish key``, ``trust``, ``revoke``: who signs here, and whose signature counts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import chains, show
from tundish.cli.options import (
    MOST_DAYS,
    NUMBER,
    AsJson,
    Curve,
    In,
    InToken,
    NewInToken,
    between,
    open_workspace,
    require_with,
    token_order,
)
from tundish.kernel.paths import read_file

if TYPE_CHECKING:
    from tundish.flows.trust import (
        KeyTerms,
        RevocationsReport,
        RotateReport,
        TrustReport,
    )

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
Several = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (key, trust, revoke):
        app.command()(command)


def key(  # noqa: PLR0913  (a command's options)
    rotate: Annotated[
        bool,
        typer.Option("--rotate", help="Hand over to a new key, signed by the old one."),
    ] = False,
    old_days: Annotated[
        float,
        typer.Option(
            parser=between(0.0, MOST_DAYS),
            metavar=NUMBER,
            help="With --rotate: days for which the old key counts.",
        ),
    ] = 30.0,
    to: Annotated[
        Path | None, typer.Option(help="With --rotate: where to write the rotation.")
    ] = None,
    token: InToken = None,
    new: NewInToken = False,
    curve: Curve = "P-256",
    csr: Annotated[
        Path | None,
        typer.Option(help="Write a request to the plant's CA for this key (PEM)."),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="With --csr: whom to name, as 'CN=Li Na,O=Plant 7'."),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(help="Sign under this chain of X.509 certificates (PEM)."),
    ] = None,
    only_id: Annotated[
        bool, typer.Option("--id", help="Print the key's id instead.")
    ] = False,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Print the public key that verifies what this workspace signs (PEM), or replace it.

    With --csr and --chain it is certified by the plant's own CA. After --rotate, carry
    the rotation to all who trust the old key; they give 'tundish trust --rotation
    FILE'. With --token, hand over to a key in a token.
    """
    from tundish.flows.trust import rotate as hand_over

    here = open_workspace(workspace)
    order = token_order(token, new=new, curve=curve)
    require_with("--csr", csr, subject=subject)
    require_with("--rotate or --token", rotate or token, to=to)
    if csr is not None or chain is not None:
        if rotate or order is not None or None not in (csr, chain):
            msg = "Name one thing: --csr FILE, --chain FILE, --token or --rotate."
            raise typer.BadParameter(msg)
        chains.certify(here, csr, chain, subject=subject, json=json)
        return
    if not rotate and order is None:
        typer.echo(here.key_id if only_id else here.public_pem.decode(), nl=only_id)
        return
    report = hand_over(here, old_days=old_days, token=order, to=to)
    if json:
        show.as_json(report)
        return
    _show_rotation(report)


def trust(  # noqa: PLR0913  (a command's options)
    file: Annotated[
        Path | None, typer.Argument(help="A public key (PEM), from 'tundish key'.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=FORMATS, help="It counts from then on (UTC)."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--until", formats=FORMATS, help="It counts until then (UTC)."),
    ] = None,
    may_revoke: Annotated[
        bool,
        typer.Option(
            "--may-revoke", help="Its revocation lists count for everything here."
        ),
    ] = False,
    rotation: Annotated[
        Path | None,
        typer.Option(
            help="Take the successor of a trusted key ('tundish key --rotate')."
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="Trust all that is signed under this CA (X.509, PEM)."),
    ] = None,
    subject: Annotated[
        Several,
        typer.Option(help="With --ca: only whose subject has these parts, as 'O=X'."),
    ] = None,
    crl: Annotated[
        Path | None, typer.Option(help="Take the revocation list of a CA (CRL).")
    ] = None,
    revocations: Annotated[
        Path | None, typer.Option(help="Take a revocation list ('tundish revoke').")
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Trust packages and grants that are signed with a key; take what changes trust."""
    from tundish.flows import trust as flow

    here = open_workspace(workspace)
    if (file, rotation, revocations, ca, crl).count(None) != 4:
        msg = "Name one thing: a public key, --ca, --crl, --rotation or --revocations FILE."
        raise typer.BadParameter(msg)
    require_with("--ca", ca, subject=subject)
    require_with("a public key", file, may_revoke=may_revoke)
    if ca is None:
        require_with("a public key or --ca", file, **{"from": since, "until": until})
    if ca is not None:
        ends = (_utc(since), _utc(until))
        chains.trust_authority(here, ca, subject or [], ends, json=json)
        return
    if crl is not None:
        chains.take_crl(here, crl, json=json)
        return
    if revocations is not None:
        data = read_file(revocations)
        _show_list(flow.take_revocations(here, data), json=json)
        return
    if rotation is not None:
        report = flow.take_rotation(here, rotation)
    else:
        assert file is not None  # noqa: S101  (counted above)
        report = flow.trust_key(
            here,
            file,
            not_before=_utc(since),
            not_after=_utc(until),
            revokes="all" if may_revoke else "own",
        )
    _show_key(report, json=json)


def revoke(  # noqa: PLR0913  (a command's options)
    key: Annotated[
        Several,
        typer.Option(
            help="A key: its id, or the file of its public half or X.509 certificate."
        ),
    ] = None,
    package: Annotated[
        Several, typer.Option(help="A package: its digest, or its file.")
    ] = None,
    grant: Annotated[
        Several, typer.Option(help="A grant: its name, or its file.")
    ] = None,
    device: Annotated[
        Several, typer.Option(help="A device: its line, or its id.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=FORMATS,
            help="Since when (UTC); for a stolen key: the day of the theft.",
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, in your words.")] = "",
    to: Annotated[Path | None, typer.Option(help="Where to write the list.")] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Add to this workspace's revocation list and sign its next version.

    The list counts here at once. Carry it to the boxes: 'tundish trust --revocations
    FILE'; packages that are sealed from now on carry it inside.
    """
    from tundish.flows import trust as flow
    from tundish.seal import revocation

    here = open_workspace(workspace)
    moment = _utc(since) or here.clock.now()
    named: list[tuple[revocation.Kind, str]] = [
        *(("key", item) for item in key or ()),
        *(("package", item) for item in package or ()),
        *(("grant", item) for item in grant or ()),
        *(("device", item) for item in device or ()),
    ]
    if not named:
        msg = "Name what to revoke: --key, --package, --grant or --device."
        raise typer.BadParameter(msg)
    entries = [
        revocation.entry(kind, flow.name_of(here, kind, text), moment, reason)
        for kind, text in named
    ]
    _show_list(flow.revoke(here, entries, to), json=json)


def _show_rotation(report: RotateReport) -> None:
    show.line(f"New key {report.new}", show.GOOD)
    show.line(f"  the old one, {report.old[:19]}..., counts until {report.old_until}")
    show.line(f"  rotation    {report.file}")
    show.line(f"  old private key put away as {report.kept}; destroy it when you can")
    if report.token:
        show.kept_in_token(
            "signing key", report.token, inside=report.made_inside is True
        )


def _show_key(report: TrustReport, *, json: bool) -> None:
    if json:
        show.as_json(report)
        return
    show.line(f"Trusted here from now on: {report.key}.")
    if report.follows:
        show.line(f"  takes over from {report.follows}")
    for said in _terms(report):
        show.line(f"  {said}")
    if report.before:
        said = "; ".join(_terms(report.before)) or "counts without an end"
        show.line(f"  (until now: {said})", show.WARN)


def _terms(terms: KeyTerms) -> list[str]:
    said = []
    if terms.not_before:
        said.append(f"counts from {terms.not_before} on")
    if terms.not_after:
        said.append(f"counts until {terms.not_after}")
    if terms.revokes == "all":
        said.append("its revocation lists count for everything here")
    return said


def _show_list(report: RevocationsReport, *, json: bool) -> None:
    if json:
        show.as_json(report)
        return
    show.line(
        f"Revocation list {report.version} of {report.issuer[:19]}... counts here",
        show.GOOD,
    )
    rows = [
        (item["kind"], item["name"], item["since"], item["reason"])
        for item in report.entries
    ]
    show.table("Revoked", ["what", "name", "since", "why"], rows)
    show.line(f"  file {report.file}")


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
