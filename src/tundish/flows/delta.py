"""Carry a package over a slow link: make a delta, and apply one."""

from __future__ import annotations

from pathlib import Path

from tundish.flows import policy
from tundish.flows.outputs import write_out
from tundish.flows.verify import PackageReport, describe, read
from tundish.flows.workspace import Workspace
from tundish.kernel import digest as digests
from tundish.kernel import paths
from tundish.kernel.records import Record
from tundish.model import delta
from tundish.model import package as packages


class DeltaReport(Record):
    """A delta that was made or applied.

    Attributes:
        package: The package that the delta leads to.
        base_version: The version that it starts from.
        file: What was written: the delta, or the package.
        delta: Digest of the delta.
        size: Bytes of the delta.
        whole: Bytes of the package as one file.
    """

    package: PackageReport
    base_version: int
    file: str
    delta: str
    size: int
    whole: int

    @property
    def saved(self) -> float:
        """The share of the package's bytes that need not travel."""
        return 1.0 - self.size / self.whole


def make_delta(workspace: Workspace, new: Path, old: Path, to: Path) -> DeltaReport:
    """Write what a package holds that an older one of its product does not.

    Args:
        workspace: This machine's.
        new: The package that the other side shall have; verified like any.
        old: The package that it has. It may be past its end: only its bytes and its
            signature are verified.
        to: The delta's file.

    Raises:
        DeltaOtherProductError: if they are of two products.
        RefusedError: one of its kinds, if a package does not verify.
    """
    result = read(workspace, new)
    with workspace.refusals_kept("package-delta-made", [result.digest]):
        base = packages.recognise(old, trusted=policy.signers(workspace))
        data = delta.make(packages.to_layout(base), packages.to_layout(result))
    write_out(to, data)
    made = digests.of_bytes(data)
    workspace.record(
        "package-delta-made",
        inputs=[base.digest, result.digest],
        outputs=[made],
        names={made: to.name},
        detail={"bytes": len(data)},
    )
    return DeltaReport(
        package=describe(result),
        base_version=base.statement.version,
        file=str(to),
        delta=made,
        size=len(data),
        whole=len(packages.to_tar(result)),
    )


def apply_delta(workspace: Workspace, step: Path, base: Path, to: Path) -> DeltaReport:
    """Make a package of a delta and its base, verify it, and only then write it.

    The package is read as one that came whole: signature, revocations, policy, end and
    version. Of the base only bytes and signature are verified: it may be past its end.

    Args:
        workspace: This machine's.
        step: The delta. Untrusted.
        base: The package that it starts from.
        to: The file to write; the very bytes of the package that the maker has.

    Raises:
        DeltaMalformedError, DeltaOtherBaseError, DeltaOtherProductError: if the delta
            is not whole, or starts elsewhere.
        RefusedError: one of its kinds, if base or result does not verify.
    """
    with workspace.refusals_kept("package-delta-applied"):
        trusted = policy.signers(workspace)
        data = paths.read_file(step, most=packages.MAX_BYTES)
        delta.read(data)  # a file that is none is said before the base is looked at
        old = packages.recognise(base, trusted=trusted)
        package = packages.read_layout(
            delta.apply(data, packages.to_layout(old)),
            trusted=trusted,
            now=workspace.clock.now(),
            seen=workspace.freshness(),
            admit=policy.admission(workspace),
        )
    whole = packages.to_tar(package)
    write_out(to, whole)
    used = digests.of_bytes(data)
    workspace.record(
        "package-delta-applied",
        inputs=[used, old.digest],
        outputs=[package.digest],
        names={package.digest: to.name},
        detail={"bytes": len(data)},
    )
    return DeltaReport(
        package=describe(package),
        base_version=old.statement.version,
        file=str(to),
        delta=used,
        size=len(data),
        whole=len(whole),
    )
