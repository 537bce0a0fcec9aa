"""Whether a package on a running line has been revoked meanwhile."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

from tundish.flows.open_package import OpenModel
from tundish.flows.permit import Revoked
from tundish.flows.workspace import Workspace
from tundish.kernel.errors import TundishError
from tundish.seal.grant import OpenedGrant

_Stamp = tuple[tuple[str, int, int], ...]


def withdrawn_in(workspace: Workspace) -> Revoked:
    """Return what tells a line since when its package or grant is revoked.

    Lists are read again only when a file of them, or the grant, has changed. While they cannot be
    read, what was known last holds: a line does not stop over a file that is just being
    replaced, and the next start is refused. A list that was taken away cannot be read
    either: it brings nothing back.
    """
    folder = workspace.inner / "revocations"
    seen: tuple[_Stamp, str] | None = None
    found: datetime | None = None

    def revoked(model: OpenModel, grant: OpenedGrant | None) -> datetime | None:
        nonlocal seen, found
        with contextlib.suppress(TundishError, OSError):
            now = (_stamp(folder), grant.grant if grant else "")
            if now != seen:
                found = _asked(workspace, model, grant)
                seen = now
        return found

    return revoked


def _asked(
    workspace: Workspace, model: OpenModel, grant: OpenedGrant | None
) -> datetime | None:
    trust = workspace.standing()
    signers = [by.key.key_id for by in model.package.by]
    if grant is not None:
        signers.append(grant.issuer)
    return trust.withdrawn(
        package=model.package.digest,
        signers=signers,
        grant=grant.grant if grant else None,
        device=workspace.device_public.device_id,
    )


def _stamp(folder: Path) -> _Stamp:
    """Tell lists apart, also of one tick of the file system's clock: by their inode."""
    if not folder.is_dir():
        return ()
    found = ((path.name, path.stat()) for path in sorted(folder.glob("*.txt")))
    return tuple((name, one.st_mtime_ns, one.st_ino) for name, one in found)
