"""``tundish bundle-wheels`` and ``verify-wheels``: an installation without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, In, open_workspace

if TYPE_CHECKING:
    from tundish.flows.wheelhouse import WheelhouseReport


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("bundle-wheels")(bundle_wheels)
    app.command("verify-wheels")(verify_wheels)


def bundle_wheels(  # noqa: PLR0913  (a command's options)
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    extra: Annotated[
        list[str] | None,
        typer.Option(help="An extra of Tundish, such as line; may be repeated."),
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(
            help="The box as pip names it, such as manylinux_2_28_aarch64; may be "
            "repeated; default: this machine."
        ),
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="CPython of the box; default: the one here.")
    ] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(help="Tundish's own wheel; default: the one that runs here."),
    ] = None,
    sign: Annotated[
        bool, typer.Option("--sign", help="Sign it with the workspace's key.")
    ] = False,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Fetch all wheels that a box without network needs, locked by their digests.

    The folder holds the wheels, requirements.txt, install.sh and a manifest with the
    licence of each wheel. The same command goes on where it was broken off.

    tundish bundle-wheels edge-box --extra line --platform manylinux_2_28_aarch64 --sign
    """
    from tundish.flows.bundle_wheels import WheelOrder, bundle

    order = WheelOrder(
        extras=tuple(extra or ()),
        platforms=tuple(platform or ()),
        python=python,
        wheel=wheel,
    )
    signer = open_workspace(workspace) if sign else None
    with show.working("Wheels") as tell:
        report = bundle(order, out, signer=signer, tell=tell)
    _show(report, json=json)
    if not json:
        show.line(f"On the box: sh {out.name}/install.sh VENV")


def verify_wheels(
    folder: Annotated[Path, typer.Argument(help="The folder.")],
    unsigned: Annotated[
        bool,
        typer.Option(
            "--unsigned", help="Accept one that nobody signed; no workspace is needed."
        ),
    ] = False,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Hold every wheel against the manifest, and that against a trusted signature.

    tundish verify-wheels edge-box
    """
    from tundish.flows.wheelhouse import verify

    own = None if unsigned else open_workspace(workspace)
    _show(verify(folder, own, unsigned=unsigned), json=json)


def _show(report: WheelhouseReport, *, json: bool) -> None:
    if json:
        show.as_json(report)
        return
    extras = f"[{','.join(report.extras)}]" if report.extras else ""
    show.line(f"Tundish {report.tundish}{extras} in {report.folder}", show.GOOD)
    show.line(f"  for      Python {report.python} on {', '.join(report.platforms)}")
    show.line(f"  holds    {report.wheels} wheels, {report.size:,} bytes in all")
    show.line(f"  manifest {report.digest}")
    if report.signer:
        show.line(f"  signed   by {report.signer}")
    else:
        show.line("  signed   by nobody", show.WARN)
    for licence, names in sorted(report.licences.items()):
        show.line(f"  {licence}: {', '.join(names)}")
