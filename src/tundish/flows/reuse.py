"""Whether a new version may carry the ciphertext of the last one.

Encryption is random, so a graph that is encrypted again is other bytes, and a delta
between two versions would hold all of it. A version with the same graph may carry the
same ciphertext. The price: whoever was granted the old version has an identity that
opens the new one's files too. So this is asked for, never done by itself, and it is
refused wherever somebody was meant to be locked out. See ADR 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tundish.flows import policy
from tundish.flows.errors import ReuseRefusedError
from tundish.flows.workspace import Workspace
from tundish.kernel.digest import Digest, short
from tundish.ledger.record import Entry
from tundish.model import marked
from tundish.model import package as packages
from tundish.model.package import Package
from tundish.seal import envelope
from tundish.seal.envelope import Identity


@dataclass(frozen=True, kw_only=True)
class Reused:
    """A package whose ciphertext a new version may carry.

    Attributes:
        package: The last version.
        identity: What opens it, and the new version too.
    """

    package: Package
    identity: Identity

    def kept(self, name: str, clear: bytes) -> bytes:
        """Return the old ciphertext of these clear bytes.

        The identity never opens anything new: a file that differs is refused, not
        encrypted to it.

        Raises:
            ReuseRefusedError: if the old version holds other bytes, or none.
        """
        closed = self.package.files.get(name + marked.AGE)
        if closed is not None and envelope.recipients(closed) != 1:
            msg = f"The file {name} was encrypted to others beside the package's identity."
            raise ReuseRefusedError(msg)
        if closed is None or envelope.decrypt(closed, self.identity) != clear:
            version = self.package.statement.version
            msg = f"The file {name} is to be encrypted, and version {version} has another one."
            raise ReuseRefusedError(msg)
        return closed


def allowed(workspace: Workspace, path: Path, product: str, version: int) -> Reused:
    """Return the package whose ciphertext a new version may carry.

    It must be the last version of the product that was sealed here, encrypted, and
    nobody who was granted any package with its identity may have been locked out.

    Args:
        workspace: The owner's.
        path: The package that was named. It may be past its end.
        product: Of the new version.
        version: The new version.

    Raises:
        ReuseRefusedError: if it may not be used.
        IdentityMissingError: if it was sealed elsewhere.
        RefusedError: one of its kinds, if its bytes or its signature do not hold.
    """
    package = packages.recognise(path, trusted=policy.signers(workspace))
    said = package.statement
    if (said.product, said.version + 1) != (product, version):
        msg = (
            f"The package {said.product} version {said.version} is not the one before "
            f"{product} version {version}."
        )
        raise ReuseRefusedError(msg)
    if not package.encrypted:
        msg = f"The package {said.product} version {said.version} is in clear."
        raise ReuseRefusedError(msg)
    identity = workspace.identity(package.digest)
    fault = next(_locked_out(workspace, package, identity), None)
    if fault is not None:
        msg = f"The identity of {said.product} version {said.version} is not used again: {fault}."
        raise ReuseRefusedError(msg)
    return Reused(package=package, identity=identity)


def _locked_out(
    workspace: Workspace, package: Package, identity: Identity
) -> Iterator[str]:
    """Yield why somebody who holds the identity was meant to be locked out.

    A revoked grant of which the ledger does not say what it was for counts: it may
    have been for this package.
    """
    shared = workspace.sharing(identity)
    revoked = [
        (item.kind, item.name)
        for issued in workspace.standing().lists
        for item in issued.entries
    ]
    with workspace.ledger() as ledger:
        issued = [
            entry
            for _, entry in ledger.entries()
            if entry.act == "grant-issued" and entry.outcome == "done"
        ]
    ours = [entry for entry in issued if shared & set(entry.inputs)]
    devices = {entry.detail.get("device") for entry in ours}
    elsewhere = {_name(entry) for entry in issued} - {_name(entry) for entry in ours}
    signers = {by.key.key_id for by in package.by}
    for kind, name in revoked:
        if kind == "package" and Digest(name) in shared:
            yield f"the package {short(Digest(name))} was revoked"
        if kind == "key" and Digest(name) in signers:
            yield f"the key {short(Digest(name))} that signed it was revoked"
        if kind == "device" and name in devices:
            yield f"the device {short(Digest(name))} that was granted it was revoked"
        if kind == "grant" and name not in elsewhere:
            yield f"the grant {name} was revoked"


def _name(entry: Entry) -> str:
    return str(entry.detail.get("grant"))
