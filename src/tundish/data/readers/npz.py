"""NumPy arrays: .npy and .npz. Objects (pickles) inside are never loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from tundish.data import archive
from tundish.data.readers import damage
from tundish.data.readers.arrays import Node, tables_of
from tundish.data.readers.size import MAX_TEXT_BYTES
from tundish.data.table import Table

_MARK = b"\x93NUMPY"


class NumpyReader:
    """NumPy's own files."""

    name = "NumPy arrays"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:
        """Claim files with NumPy's mark, and zips that are named .npz."""
        ending = PurePosixPath(name.lower()).suffix
        return head.startswith(_MARK) or (head.startswith(b"PK") and ending == ".npz")

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read every array of numbers, times or texts."""
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"PK"
        if zipped:
            limits = archive.ArchiveLimits(member_bytes=MAX_TEXT_BYTES)
            archive.refuse_bomb(path, name, limits)
        with damage.said(name, "file of NumPy arrays"):
            root = _arrays(path)
        return tables_of(name, root)


def _arrays(path: Path) -> dict[str, Node]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"array": loaded}
    root: dict[str, Node] = {}
    with loaded:
        for key in loaded.files:
            try:
                root[key] = loaded[key]
            except ValueError as error:
                if "pickle" not in str(error):  # an array of objects is left out
                    raise
    return root
