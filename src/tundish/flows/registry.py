"""Push a package to an OCI registry, and pull one."""

from __future__ import annotations

from pathlib import Path

from tundish.flows import policy
from tundish.flows.outputs import write_out
from tundish.flows.verify import PackageReport, describe, read
from tundish.flows.witness import signed_by
from tundish.flows.workspace import Workspace
from tundish.kernel.digest import Digest, hex_part
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record
from tundish.model import layout, tarball
from tundish.model import package as packages
from tundish.model.registry import Registry, Transfer


class TransferReport(Record):
    """A package that travelled.

    Attributes:
        reference: Where it lies in the registry.
        manifest: Digest of its manifest there; pull by it to get just this package.
        file: The package on this machine.
        sent: Bytes that travelled.
        spared: Bytes that were at the other end already.
    """

    package: PackageReport
    reference: str
    manifest: str
    file: str
    sent: int
    spared: int


def push(workspace: Workspace, path: Path, registry: Registry) -> TransferReport:
    """Verify a package and push it; what the registry has already is not sent.

    Raises:
        RefusedError: one of its kinds if the package does not verify, or the registry
            refuses.
        RegistryNameError, RegistryUnreachableError: as their names say.
    """
    registry.each(workspace.may_connect)
    package = read(workspace, path)
    moved = registry.push(packages.to_layout(package))
    workspace.record(
        "package-pushed",
        inputs=[package.digest],
        detail={"reference": registry.reference, "manifest": moved.manifest},
    )
    return _report(describe(package), registry, moved, path)


def pull(
    workspace: Workspace, registry: Registry, to: Path | None = None
) -> TransferReport:
    """Pull a package, verify it, and only then write it to the disk.

    Layers that any package of this workspace holds do not travel again.

    Args:
        workspace: This machine's.
        registry: Where to pull from.
        to: The file to write; default: the workspace's folder of packages.

    Raises:
        RefusedError: one of its kinds, naming what does not fit.
    """
    with workspace.refusals_kept("package-pulled"):
        registry.each(workspace.may_connect)
        entries, moved = registry.pull(_known_blobs(workspace).get)
        package = packages.read_layout(
            entries,
            trusted=policy.signers(workspace),
            now=workspace.clock.now(),
            seen=workspace.freshness(),
            admit=policy.admission(workspace),
        )
    said = package.statement
    path = to or workspace.packages / f"{said.product}-v{said.version}.tar"
    write_out(path, packages.to_tar(package))
    workspace.record(
        "package-pulled",
        inputs=[package.digest],
        detail={
            "reference": registry.reference,
            "manifest": moved.manifest,
            **signed_by(package),
        },
    )
    return _report(describe(package), registry, moved, path)


def _report(
    package: PackageReport, registry: Registry, moved: Transfer, path: Path
) -> TransferReport:
    return TransferReport(
        package=package,
        reference=registry.reference,
        manifest=moved.manifest,
        file=str(path),
        sent=moved.sent,
        spared=moved.spared,
    )


def _known_blobs(workspace: Workspace) -> dict[Digest, bytes]:
    """Return the blobs of the packages that lie here; each is checked again by digest."""
    found: dict[Digest, bytes] = {}
    for path in sorted(workspace.packages.glob("*.tar")):
        try:
            entries = tarball.read(path.read_bytes())
        except (OSError, TundishError):
            continue  # a broken package spares nothing
        for name, blob in entries.items():
            if name.startswith(layout.BLOBS):
                found[Digest("sha256:" + hex_part(name.removeprefix(layout.BLOBS)))] = (
                    blob
                )
    return found
