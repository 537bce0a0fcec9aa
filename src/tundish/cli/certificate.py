"""``tundish certificate``: a signed grade, and the proof that it fits the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.options import (
    AsJson,
    Days,
    In,
    Licence,
    Mirror,
    TargetColumn,
    TimeColumn,
    TimeZone,
    UnitColumn,
    nearby,
    open_workspace,
)
from tundish.kernel.digest import short

if TYPE_CHECKING:
    from tundish.flows.certificate import CertificateReport
    from tundish.flows.workspace import Workspace

DAY_S = 86_400.0
FILES_SHOWN = 20

Data = Annotated[
    str, typer.Argument(help="A file, a folder, or a key of 'tundish data list'.")
]
File = Annotated[Path, typer.Argument(help="The certificate.")]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="A public key that may certify; may be repeated."),
]
Here = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        help="The workspace whose keys count; default: the one around here, if any.",
    ),
]

group = typer.Typer(
    help="Signed grades: make one, verify it against the data.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="certificate")


@group.command()
def make(  # noqa: PLR0913  (a command's options)
    data: Data,
    to: Annotated[
        Path | None, typer.Option(help="Where to write it; default: the packages.")
    ] = None,
    days: Days = 365.0,
    scenario: Annotated[
        str | None, typer.Option(help="Grade against this contract.")
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="The site profile that binds the data.")
    ] = None,
    time: TimeColumn = None,
    unit: UnitColumn = None,
    target: TargetColumn = None,
    time_zone: TimeZone = None,
    licence: Licence = None,
    mirror: Mirror = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Grade a data set and sign the grade over the digest of the data."""
    from tundish.flows.certify import CertifyOrder, certify
    from tundish.flows.grade import GradeOptions

    options = GradeOptions(
        scenario=scenario, site=site, time=time, unit=unit, target=target,
        time_zone=time_zone, licence=licence,
    )  # fmt: skip
    order = CertifyOrder(valid_s=days * DAY_S, to=to)
    with show.working(f"Certifying {data}") as tell:
        made = certify(
            open_workspace(workspace),
            data,
            options,
            order,
            mirror=mirror,
            progress=tell,
        )
    if json:
        show.as_json({"file": made.file, "certificate": made.certificate.to_json()})
        return
    show_made(made.file, made.certificate)


@group.command()
def verify(
    file: File,
    data: Data,
    key: Keys = None,
    mirror: Mirror = None,
    workspace: Here = None,
    json: AsJson = False,
) -> None:
    """Verify that a trusted key signed this grade for exactly this data; no network."""
    from tundish.flows.certificate import verify_certificate

    with show.working(f"Verifying {file}") as tell:
        found = verify_certificate(
            file,
            data,
            workspace=_workspace(workspace),
            keys=key or (),
            mirror=mirror,
            progress=tell,
        )
    if json:
        show.as_json(found)
        return
    show.line(f"Verified: grade {found.letter} for {found.name}", show.GOOD)
    _show_facts(found)


@group.command("show")
def show_one(
    file: File, key: Keys = None, workspace: Here = None, json: AsJson = False
) -> None:
    """Print what a certificate says; without its data, nothing is proven of the data."""
    from tundish.flows.certificate import show_certificate

    found = show_certificate(file, workspace=_workspace(workspace), keys=key or ())
    if json:
        show.as_json(found)
        return
    if found.proof == "signed":
        show.line(f"Signed by a key that counts here: grade {found.letter} for {found.name}")  # fmt: skip
        show.line("The data was not looked at: 'tundish certificate verify' does.", "dim")  # fmt: skip
    else:
        show.line(
            f"Unknown signer, nothing is proven: grade {found.letter} for {found.name}",
            show.WARN,
        )
    _show_facts(found)
    show.line(f"  {found.why}")
    for name, state in found.gates.items():
        show.line(f"  gate {name}: {state}")
    kinds = [f"{kind} {count}x" for kind, count in found.findings.items()]
    show.line(f"  findings: {', '.join(kinds) or 'none'}")
    for name in found.listed[:FILES_SHOWN]:
        show.line(f"  file {name}", "dim")


def show_made(file: str, said: CertificateReport) -> None:
    """Print that a certificate was made."""
    show.line(f"Certified {said.name} with grade {said.letter}", show.GOOD)
    _show_facts(said)
    show.line(f"  certificate {file}")
    show.line("Next: tundish certificate verify FILE DATA", "dim")


def _show_facts(said: CertificateReport) -> None:
    contract = f" for {said.scenario}" if said.scenario else ""
    show.line(f"  data {said.data} ({said.files:,} files, {said.size:,} bytes)")
    show.line(
        f"  graded{contract} by {said.tool}, key {short(said.issuer)}, number {said.version}"
    )
    show.line(f"  issued {said.issued_at}, valid until {said.not_after}")


def _workspace(folder: Path | None) -> Workspace | None:
    return nearby() if folder is None else open_workspace(folder)
