"""Issue a grant: one device may open one package until a date."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tundish.flows.workspace import Workspace
from tundish.kernel import digest as digests
from tundish.kernel import paths
from tundish.kernel.records import Record
from tundish.model import package as packages
from tundish.seal import grant as grants
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DevicePublic


class GrantOrder(Record):
    """What the owner allows.

    Attributes:
        device: The line that ``tundish device`` prints on the device.
        purpose: What for, in the owner's words.
        valid_s: Seconds from now until it is refused.
        uses: How often it opens the package; None: not limited.
        version: Counter of grants for this package and device: a renewal has a
            higher one.
    """

    device: str
    purpose: str
    valid_s: Annotated[float, Field(gt=0)]
    uses: int | None = None
    version: int = 1


class GrantReport(Record):
    """A grant that was issued."""

    file: str
    digest: str
    package: str
    device: str
    not_after: str
    uses: int | None


def grant(
    workspace: Workspace, package: Path, order: GrantOrder, to: Path | None = None
) -> GrantReport:
    """Issue a grant for a package that was sealed in this workspace.

    Args:
        workspace: The owner's.
        package: The package, as tar or folder; it is verified first.
        order: What is allowed.
        to: Where to write the grant; default: beside the workspace's packages.

    Raises:
        DeviceTextError: if the device's line is not whole.
        IdentityMissingError: if the package was sealed elsewhere or in clear.
    """
    now = workspace.clock.now()
    found = packages.read(
        package, trusted=workspace.trusted(), now=now, seen=MemoryFreshness()
    )
    device = DevicePublic.from_text(order.device)
    terms = grants.make_terms(
        purpose=order.purpose,
        not_before=now,
        not_after=now + timedelta(seconds=order.valid_s),
        uses=order.uses,
        version=order.version,
    )
    data = grants.issue(
        package=found.digest,
        identity=workspace.identity(found.digest),
        device=device,
        terms=terms,
        key=workspace.key,
        now=now,
    )
    made = digests.of_bytes(data)
    name = f"{found.statement.product}-{digests.short(device.device_id)}-{digests.short(made)}.grant"
    path = to or workspace.packages / name
    paths.write_whole(path, data)
    workspace.record(
        "grant-issued",
        inputs=[found.digest],
        outputs=[made],
        names={made: path.name},
        detail={
            "device": device.device_id,
            "not_after": terms.not_after,
            "uses": order.uses,
        },
    )
    return GrantReport(
        file=str(path),
        digest=made,
        package=found.digest,
        device=device.device_id,
        not_after=terms.not_after,
        uses=order.uses,
    )
