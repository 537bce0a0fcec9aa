"""Files that a person asked for, at a place that a person named."""

from __future__ import annotations

from pathlib import Path

from tundish.flows.errors import OutExistsError
from tundish.kernel import paths

_HEAD = 24  # bytes: enough to tell a key from a request, a ledger, a package, a grant


def write_out(path: Path, data: bytes) -> None:
    """Write a file; it takes the place of an empty one, or of one of its own kind.

    A slip such as ``--to model.tar`` for a grant so destroys no package, key or ledger.

    Raises:
        OutExistsError: if a file of another kind is there.
        DiskFullError, PlaceRefusedError: if it cannot be written.
    """
    if path.is_file():
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
        if head != data[: len(head)]:
            msg = f"Another file is at {path}; it is not replaced."
            raise OutExistsError(msg, advice="Choose another place, or remove it.")
    paths.write_whole(path, data)
