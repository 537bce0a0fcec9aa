"""A dry opening: everything that opening a package does, and nothing kept of it."""

from __future__ import annotations

from pathlib import Path

from tundish.flows.open_package import open_package
from tundish.flows.verify import PackageReport, describe
from tundish.flows.workspace import Workspace
from tundish.kernel import clock
from tundish.kernel.records import Record


class OpenReport(Record):
    """What stands after a package was opened on this machine.

    Attributes:
        package: What it says of itself.
        grant: Name of the grant; None if the package is not encrypted.
        purpose: What the grant is for.
        ends_at: Moment from which the grant opens nothing.
        uses_left: How often it still opens the package; None: not limited.
        outputs: The graph's outputs that gave the signed golden answer.
        warning: A sentence if the grant runs out soon.
    """

    package: PackageReport
    grant: str | None
    purpose: str | None
    ends_at: str | None
    uses_left: int | None
    outputs: tuple[str, ...]
    warning: str


def try_open(workspace: Workspace, path: Path, grant: Path | None = None) -> OpenReport:
    """Verify, take the grant, decrypt in memory, give the golden answer, and forget it.

    It is the opening of ``score`` and of a line, so it counts as one use of a grant
    with a number of uses.

    Raises:
        As ``open_package``.
    """
    model = open_package(workspace, path, grant)
    found = model.grant
    return OpenReport(
        package=describe(model.package),
        grant=found.grant if found else None,
        purpose=found.terms.purpose if found else None,
        ends_at=clock.to_text(found.ends_at) if found else None,
        uses_left=found.uses_left if found else None,
        outputs=tuple(sorted(model.package.golden.outputs)),
        warning=model.warning,
    )
