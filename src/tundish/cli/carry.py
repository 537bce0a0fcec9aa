"""``tundish package open``, ``delta``, ``apply``: what a stick or a slow link carries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, GrantFile, In, open_workspace

Package = Annotated[Path, typer.Argument(help="The package: a .tar or its folder.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file to ``tundish package``."""
    group.command("open")(try_open)
    for command in (delta, apply):
        group.command()(command)


def try_open(
    package: Package,
    grant: GrantFile = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Try on this device whether a package opens; nothing in clear reaches the disk.

    It verifies the package and the grant, decrypts in memory, lets the graph give its
    signed golden answer, says what stands, and forgets it. It is an opening like any:
    a grant for a number of uses has one less afterwards.

    tundish package open pump-v2.tar --grant pump.grant
    """
    from tundish.flows.rehearse import try_open as rehearse

    report = rehearse(open_workspace(workspace), package, grant)
    if json:
        show.as_json(report)
        return
    said = report.package
    show.line(f"Opens here: {said.product} version {said.version}", show.GOOD)
    show.line(f"  verified    every byte, signed by {said.signer[:19]}...")
    if report.grant:
        uses = "any number of" if report.uses_left is None else report.uses_left
        show.line(f"  grant       {report.purpose}, until {report.ends_at}")
        show.line(f"  uses left   {uses}")
    show.line(f"  golden      {', '.join(report.outputs)} as signed")
    show.line(f"  valid until {said.not_after}")
    if report.warning:
        show.line(report.warning, show.WARN)


def delta(
    package: Annotated[
        Path, typer.Argument(help="The package that the other side shall have.")
    ],
    base: Annotated[
        Path, typer.Option("--from", help="The package that the other side has.")
    ],
    to: Annotated[Path, typer.Option(help="The file to write.")],
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Write only what a package holds that an older one does not, for a slow link.

    The graph travels again if it was encrypted again: seal the new version with
    --reuse if its graph is the same.

    tundish package delta pump-v2.tar --from pump-v1.tar --to step.tar
    """
    from tundish.flows.delta import make_delta

    report = make_delta(open_workspace(workspace), package, base, to)
    if json:
        show.as_json({**report.to_json(), "saved": round(report.saved, 4)})
        return
    said = report.package
    show.line(
        f"Delta of {said.product} from version {report.base_version} to {said.version}",
        show.GOOD,
    )
    show.line(f"  file   {report.file}")
    show.line(
        f"  {report.size:,} bytes instead of {report.whole:,}: {report.saved:.1%} saved"
    )


def apply(
    step: Annotated[Path, typer.Argument(help="The delta.")],
    base: Annotated[
        Path, typer.Option("--base", help="The package that it starts from.")
    ],
    to: Annotated[Path, typer.Option(help="The file to write, a .tar.")],
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Make the newer package of a delta and the older one; written once it is verified.

    What comes out is the maker's file, byte for byte. Signature, revocations, policy,
    end and version are checked as for any package. The old one may be past its end.

    tundish package apply step.tar --base pump-v1.tar --to pump-v2.tar
    """
    from tundish.flows.delta import apply_delta

    report = apply_delta(open_workspace(workspace), step, base, to)
    if json:
        show.as_json({**report.to_json(), "saved": round(report.saved, 4)})
        return
    said = report.package
    show.line(
        f"Verified {said.product} version {said.version}, made from version "
        f"{report.base_version}",
        show.GOOD,
    )
    show.line(f"  file   {report.file}")
    show.line(f"  digest {said.digest}")
    show.line(
        f"  {report.size:,} bytes came instead of {report.whole:,}: {report.saved:.1%} saved"
    )
