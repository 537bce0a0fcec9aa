"""``tundish seal``, ``grant``, ``verify``, ``score``: the sealed package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import carry, show
from tundish.cli.options import (
    MOST,
    MOST_DAYS,
    NUMBER,
    AsJson,
    Days,
    GrantFile,
    In,
    between,
    open_workspace,
)
from tundish.kernel.digest import Digest, short
from tundish.kernel.paths import existing_file

if TYPE_CHECKING:
    from tundish.flows.registry import TransferReport
    from tundish.flows.seal import SealReport
    from tundish.flows.verify import PackageReport
    from tundish.model.registry import Registry

DAY_S = 86_400.0

Package = Annotated[Path, typer.Argument(help="The package: a .tar or its folder.")]


group = typer.Typer(
    help="Packages: build, verify, open, show and sign them; carry them by registry or stick.",
    no_args_is_help=True,
)

Run = Annotated[
    str, typer.Argument(help="A run, or its beginning; default: the newest.")
]
Clear = Annotated[
    bool, typer.Option("--clear", help="Sign only; leave the graph readable.")
]
Licence = Annotated[str, typer.Option(help="The model's own licence.")]
Contact = Annotated[str, typer.Option(help="Whom users of the model can ask.")]
Encrypt = Annotated[
    list[str] | None,
    typer.Option(
        "--encrypt",
        metavar="NAME",
        help="Encrypt this too: scenario, golden, envelope or parity. May be repeated.",
    ),
]
Reuse = Annotated[
    Path | None,
    typer.Option(
        help="The last version: carry its ciphertext if the graph is the same, so that "
        "a delta is small. Grants for it hold the identity that opens both."
    ),
]
Reference = Annotated[
    str, typer.Argument(help="host[:port]/repository:tag, or @sha256:... to pin one.")
]
PlainHttp = Annotated[
    bool, typer.Option("--plain-http", help="No TLS: a registry on this machine only.")
]
Authority = Annotated[
    Path | None,
    typer.Option("--ca", help="Certificate authority of the plant (PEM)."),
]

Also = Annotated[
    list[str] | None,
    typer.Option(help="A further host that the registry may lead to; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (seal, grant, verify, score):
        app.command()(command)
    group.command("verify")(verify)
    carry.register(group)
    app.add_typer(group, name="package")


def seal(  # noqa: PLR0913  (a command's options)
    run: Run = "",
    days: Days = 365.0,
    clear: Clear = False,
    licence: Licence = "proprietary",
    contact: Contact = "",
    encrypt: Encrypt = None,
    reuse: Reuse = None,
    fingerprint: Annotated[
        bool, typer.Option("--fingerprint", help="Make and commit a fingerprint first.")
    ] = False,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Seal an accepted run: card, verdict, bill of materials, signature, encryption."""
    from tundish.flows.seal import SealOrder
    from tundish.flows.seal import seal as seal_run

    order = SealOrder(
        valid_s=days * DAY_S,
        encrypt=not clear,
        licence=licence,
        contact=contact,
        marked=tuple(encrypt or ()),
        fingerprint=fingerprint,
    )
    _show_sealed(seal_run(open_workspace(workspace), run, order, reuse), json=json)


@group.command()
def build(  # noqa: PLR0913  (a command's options)
    run: Run = "",
    folder: Annotated[
        Path | None, typer.Option(help="Pack this folder of files instead of a run.")
    ] = None,
    days: Days = 365.0,
    clear: Clear = False,
    licence: Licence = "proprietary",
    contact: Contact = "",
    encrypt: Encrypt = None,
    reuse: Reuse = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Build a package from a run ('tundish seal' does the same) or from a folder.

    A folder holds graph.onnx, card.json, scenario.yaml, verdict.json, parity.json and
    golden.json, and may hold envelope.json, bom.cdx.json and texts (.md, .txt).
    Product, licence and contact are the card's; the version is counted here. The
    verdict must accept this very graph.

    tundish package build                                  the newest run

    tundish package build --folder model/ --clear          sign only

    tundish package build --encrypt golden --encrypt scenario

    tundish package build --reuse pump-v1.tar              same graph, same ciphertext
    """
    from tundish.flows.build import build_package
    from tundish.flows.seal import SealOrder

    if folder is None:
        seal(
            run, days, clear, licence, contact, encrypt, reuse,
            workspace=workspace, json=json,
        )  # fmt: skip
        return
    if run:
        msg = "Either a run or --folder is named, and not both."
        raise typer.BadParameter(msg)
    order = SealOrder(
        valid_s=days * DAY_S, encrypt=not clear, marked=tuple(encrypt or ())
    )
    report = build_package(open_workspace(workspace), folder, order, reuse)
    _show_sealed(report, json=json)


def _show_sealed(report: SealReport, *, json: bool) -> None:
    if json:
        show.as_json(report)
        return
    kind = "signed and encrypted" if report.encrypted else "signed"
    show.line(f"Sealed {report.product} version {report.version} ({kind})", show.GOOD)
    show.line(f"  package {report.file}")
    show.line(f"  digest  {report.digest}")
    if report.reused:
        show.line(f"  carries the ciphertext of {short(Digest(report.reused))}")
    if report.fingerprint:
        show.line(f"  fingerprint committed before: {report.fingerprint}")
    if report.encrypted:
        show.line("Next: tundish grant PACKAGE --device TEXT", "dim")


def grant(  # noqa: PLR0913  (a command's options)
    package: Package,
    device: Annotated[
        str | None,
        typer.Option(help="The line that 'tundish device show' prints on the device."),
    ] = None,
    request: Annotated[
        Path | None, typer.Option(help="The device's request, in place of --device.")
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(
            parser=between(0.0, MOST_DAYS, beyond=True),
            metavar=NUMBER,
            help="Days until it is refused; default: as asked for, or 30.",
        ),
    ] = None,
    uses: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="How often it opens the package."),
    ] = None,
    purpose: Annotated[
        str | None, typer.Option(help="What for; default: as asked for, or production.")
    ] = None,
    renewal: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Counter; default: one more than the last."),
    ] = None,
    grace_hours: Annotated[
        float,
        typer.Option(
            parser=between(0.0, 31 * 24.0),
            metavar=NUMBER,
            help="A running line stops at a safe point within these.",
        ),
    ] = 0.0,
    spare_days: Annotated[
        float | None,
        typer.Option(
            parser=between(0.0, 92.0, beyond=True),
            metavar=NUMBER,
            help="For a spare: opens with a code, for so many days from then.",
        ),
    ] = None,
    answers_per_day: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST, help="Answers a day that the model gives the device."
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Where to write the grant.")] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Let one device open one package until a date; a small file for mail or a stick."""
    from tundish.flows.grant import Answer, GrantOrder, answer, grant_spare
    from tundish.flows.grant import grant as issue

    code = ""
    owner, grace_s = open_workspace(workspace), round(grace_hours * 3600)
    if (device is None) == (request is None):
        msg = "Either --device or --request is needed, and not both."
        raise typer.BadParameter(msg)
    if request is not None and (renewal, spare_days) != (None, None):
        msg = "--renewal and --spare-days go with --device, not with --request."
        raise typer.BadParameter(msg)
    if request is not None:
        valid_s = days * DAY_S if days is not None else None
        said = Answer(
            purpose=purpose, valid_s=valid_s, uses=uses, grace_s=grace_s,
            answers_per_day=answers_per_day,
        )  # fmt: skip
        report = answer(owner, package, request, said, to)
    else:
        order = GrantOrder(
            device=device or "",
            purpose=purpose or "production",
            valid_s=(30.0 if days is None else days) * DAY_S,
            uses=uses,
            version=renewal,
            grace_s=grace_s,
            spare_s=None if spare_days is None else max(1, round(spare_days * DAY_S)),
            answers_per_day=answers_per_day,
        )
        if order.spare_s is not None:
            made = grant_spare(owner, package, order, to)
            report, code = made.report, made.code.reveal()
        else:
            report = issue(owner, package, order, to)
    if json:
        show.as_json({**report.to_json(), "code": code} if code else report)
        return
    show.line(
        f"Granted to the device {short(report.device)} until {report.not_after}",
        show.GOOD,
    )
    if report.package_ends:
        show.line(
            f"  but the package ends at {report.package_ends}, and opens nowhere after: "
            "seal a longer one ('tundish seal --days N --reuse PACKAGE') and grant that",
            show.WARN,
        )
    show.line(f"  for   {report.purpose} (number {report.version})")
    if report.answers_per_day is not None:
        show.line(f"  limit {report.answers_per_day:,} answers a day, signed")
    if report.gives_away:
        show.line(f"  a day's {report.gives_away}")
    if code:
        show.line(f"  code  {code}  (for the envelope: shown once, kept nowhere)")
    show.line(f"  grant {report.file}")


def verify(package: Package, workspace: In = Path(), json: AsJson = False) -> None:
    """Verify every byte of a package, its signer, its end date and its version.

    Nothing is opened, and no grant is needed: 'tundish package open' tries that too. The
    version is remembered; an older one is refused from then on.

    tundish verify pump-v2.tar
    """
    from tundish.flows.verify import verify as verify_package

    report = verify_package(open_workspace(workspace), package)
    if json:
        show.as_json(report)
        return
    show.line(
        f"Verified {report.product} version {report.version}: {report.title}", show.GOOD
    )
    kind = "encrypted" if report.encrypted else "in clear"
    show.line(
        f"  signed by {_who(report, report.signer)}, valid until {report.not_after}, graph {kind}"
    )
    for further in report.signers[1:]:
        show.line(f"  and by {_who(report, further)}")
    show.line(f"  digest {report.digest}")


def _who(report: PackageReport, key: str) -> str:
    """Return how a signer is called: by the X.509 certificate, if any, and by the key."""
    cut = f"{key[:19]}..."
    return f"{report.subjects[key]} ({cut})" if key in report.subjects else cut


def score(
    package: Package,
    windows: Annotated[
        Path, typer.Argument(help="CSV: one row per time, one column per channel.")
    ],
    grant: GrantFile = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Open a package with a grant and score the windows of a file."""
    from tundish.flows.open_package import open_package, read_windows
    from tundish.flows.open_package import score as score_windows

    model = open_package(open_workspace(workspace), package, grant)
    report = score_windows(model, read_windows(windows, model.scenario))
    if json:
        show.as_json(report)
        return
    if model.warning:
        show.line(model.warning, show.WARN)
    names = sorted({name for item in report.scores for name in item.outputs})
    rows = [
        (
            str(number),
            *(
                f"{item.outputs[name]:.4g}" if name in item.outputs else "-"
                for name in names
            ),
            item.abstained or item.because,
        )
        for number, item in enumerate(report.scores)
    ]
    show.table(
        f"{report.product} version {report.version}",
        ["window", *names, "from, or why no answer"],
        rows,
    )


@group.command("show")
def show_package(
    package: Package, workspace: In = Path(), json: AsJson = False
) -> None:
    """Show what a package says of itself, after verifying every byte of it."""
    from tundish.flows.verify import verify as verify_package

    report = verify_package(open_workspace(workspace), package)
    if json:
        show.as_json(report)
        return
    show.line(f"{report.product} version {report.version}: {report.title}", show.GOOD)
    for name in ("purpose", "target", "licence", "contact"):
        show.line(f"  {name}: {report.card.get(name) or '-'}")
    show.line(
        f"  valid until {report.not_after}, signed by {_who(report, report.signer)}"
    )
    show.table("Files", ["file"], [(name,) for name in report.files])


@group.command()
def sign(
    package: Package,
    to: Annotated[
        Path | None,
        typer.Option(help="Where to write it: a .tar or a new folder; default: there."),
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Add this workspace's signature to a package that another one signed.

    The package keeps its digest and its first signature; grants for it stay valid.
    Who must have signed what is said in policy.yaml beside tundish.toml.
    """
    from tundish.flows.sign import sign as sign_package

    report = sign_package(open_workspace(workspace), package, to)
    if json:
        show.as_json(report)
        return
    show.line(f"Signed {report.product} version {report.version}", show.GOOD)
    for key in report.signers:
        show.line(f"  by {' '.join(filter(None, (report.subjects.get(key), key)))}")
    show.line(f"  file {report.file}")


@group.command()
def push(  # noqa: PLR0913  (what one may say of a registry)
    package: Package,
    reference: Reference,
    plain_http: PlainHttp = False,
    ca: Authority = None,
    also: Also = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Push a package to an OCI registry; what is there already is not sent again."""
    from tundish.flows.registry import push as push_package

    report = push_package(
        open_workspace(workspace), package, _registry(reference, plain_http, ca, also)
    )
    _show_transfer(report, "Pushed", json=json)


@group.command()
def pull(  # noqa: PLR0913  (as above)
    reference: Reference,
    to: Annotated[
        Path | None, typer.Option(help="The file to write; default: .tundish/packages.")
    ] = None,
    plain_http: PlainHttp = False,
    ca: Authority = None,
    also: Also = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Pull a package from an OCI registry; it is written only after it was verified."""
    from tundish.flows.registry import pull as pull_package

    report = pull_package(
        open_workspace(workspace), _registry(reference, plain_http, ca, also), to
    )
    _show_transfer(report, "Pulled", json=json)


def _registry(
    reference: str, plain_http: bool, ca: Path | None, also: list[str] | None
) -> Registry:
    from tundish.model.registry import Registry

    authority = str(existing_file(ca)) if ca else None
    return Registry(
        reference=reference,
        plain_http=plain_http,
        ca_file=authority,
        also=tuple(also or ()),
    )


def _show_transfer(report: TransferReport, act: str, *, json: bool) -> None:
    if json:
        show.as_json(report)
        return
    said = report.package
    show.line(f"{act} {said.product} version {said.version}", show.GOOD)
    show.line(f"  registry {report.reference}")
    show.line(f"  manifest {report.manifest}")
    show.line(f"  file     {report.file}")
    show.line(
        f"  {report.sent:,} bytes travelled, {report.spared:,} were there already"
    )
