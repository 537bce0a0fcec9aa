"""Files that a person asked for, at a place that a person named."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tundish.flows.errors import OutExistsError
from tundish.kernel import paths
from tundish.kernel.errors import PlaceRefusedError

_MAKING = ".making-"  # a folder that is not whole yet
_HEAD = 24  # bytes: enough to tell a key from a request, a ledger, a package, a grant


def write_out(path: Path, data: bytes) -> None:
    """Write a file; it takes the place of an empty one, or of one of its own kind.

    A slip such as ``--to model.tar`` for a grant so destroys no package, key or ledger.

    Raises:
        OutExistsError: if a file of another kind is there.
        DiskFullError, PlaceRefusedError: if it cannot be written.
    """
    refuse_other(path, data)
    paths.write_whole(path, data)


def refuse_other(path: Path, head: bytes) -> None:
    """Refuse a place at which something of another kind is; also before long work.

    Args:
        path: Where a file is to be written.
        head: Its first bytes, as far as they are known.

    Raises:
        OutExistsError: if a file that begins otherwise is there.
        PlaceRefusedError: if a folder is.
    """
    advice = "Choose another place, or remove it."
    if path.is_dir():
        msg = f"A folder is at {path}; the name of a file was expected."
        raise PlaceRefusedError(msg, advice=advice)
    if path.is_file():
        with path.open("rb") as stream:
            found = stream.read(min(_HEAD, len(head)))
        if found != head[: len(found)]:
            msg = f"Another file is at {path}; it is not replaced."
            raise OutExistsError(msg, advice=advice)


def refuse_used(out: Path) -> None:
    """Refuse a place for a new folder at which something is; before long work.

    Raises:
        OutExistsError: if it is a file, a link, or a folder that holds something.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        msg = f"Something is at {out} already; a new or empty folder was expected."
        raise OutExistsError(msg, advice="Choose another place, or remove it.")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder to fill; at the end it is at its place, or nothing new is.

    A folder that is there and empty is filled and not replaced: somebody may stand in
    it, or a stick may be mounted there.

    Args:
        out: A folder that does not exist yet, or is empty.

    Raises:
        OutExistsError: if something is at ``out``.
        DiskFullError, PlaceRefusedError: if it cannot be written.
    """
    refuse_used(out)
    there = out.is_dir()
    beside = out if there else out.parent
    try:
        beside.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=beside, prefix=_MAKING) as work:
            made = Path(work) / "made"
            made.mkdir()
            yield made
            if not there:
                made.rename(out)
                return
            for item in sorted(made.iterdir()):
                item.rename(out / item.name)
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else ""
        own = any(part.startswith(_MAKING) for part in Path(named).parts)
        raise paths.refused(error, out if own or not named else named) from error
