"""HDF5, and MATLAB 7.3, which is HDF5.

Links to other files, data kept outside the file, virtual data and filters from plug-in
folders are not followed: a foreign file must not name what else is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tundish.data.errors import TableUnreadableError
from tundish.data.readers import damage
from tundish.data.readers.arrays import MAX_DEPTH, Node, tables_of
from tundish.data.readers.size import limit_cells
from tundish.data.table import Table

if TYPE_CHECKING:
    import h5py

_MARK = b"\x89HDF\r\n\x1a\n"
_MOST_NODES = 20_000
_MOST_CELLS_OF_LIST = 10_000
_BYTES_OF_TEXT = 64  # what Python takes for each text beside its letters


class Hdf5Reader:
    """HDF5 and MATLAB 7.3."""

    name = "an HDF5 file"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:  # noqa: ARG002  (the mark decides)
        """Claim files with HDF5's mark, at the start or after MATLAB's block."""
        return any(head[at : at + 8] == _MARK for at in (0, 512, 1024, 2048))

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read every array that lies in the file itself."""
        import h5py  # noqa: PLC0415  (heavy: loaded in the child process only)

        with damage.said(name, "HDF5 file"):
            for _ in range(h5py.h5pl.size()):
                h5py.h5pl.remove(0)  # filters are not loaded from folders
            with h5py.File(path, "r") as opened:
                root = _Walk(name, opened, opened.attrs).group(opened, 0)
        return tables_of(name, root)


class _Walk:
    """One walk through a file; counts what it has seen, so that it ends."""

    def __init__(
        self, name: str, opened: h5py.File, marks: h5py.AttributeManager
    ) -> None:
        self.name = name
        self.opened = opened
        self.matlab = "MATLAB_class" in marks or _has_matlab(opened)
        self.seen = 0

    def group(self, group: h5py.Group, depth: int) -> dict[str, Node]:
        """Return what lies in a group."""
        found: dict[str, Node] = {}
        if depth > MAX_DEPTH:
            return found
        for key, item in self._own(group):
            if key.startswith("#"):  # MATLAB's store of referenced cells
                continue
            node = self._node(item, depth)
            if node is not None:
                found[key] = node
        return found

    def _own(self, group: h5py.Group) -> Iterator[tuple[str, object]]:
        import h5py  # noqa: PLC0415  (see above)

        for key in group:
            self.seen += 1
            if self.seen > _MOST_NODES:
                msg = f"{self.name} holds more than {_MOST_NODES} arrays."
                raise TableUnreadableError(msg)
            if isinstance(group.get(key, getlink=True), h5py.HardLink):
                yield key, group[key]

    def _node(self, item: object, depth: int) -> Node | None:
        import h5py  # noqa: PLC0415  (see above)

        if isinstance(item, h5py.Group):
            return self.group(item, depth + 1)
        if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
            return None
        if item.dtype.kind == "O":
            return self._objects(item, depth)
        limit_cells(f"{self.name} ({item.name})", _cells(item), 1)
        if not item.size or item.attrs.get("MATLAB_empty", 0):
            return None
        if _class(item) == "char":
            return _chars(np.asarray(item[()]))
        values = np.asarray(item[()])
        return values.T if self.matlab else values

    def _objects(self, item: h5py.Dataset, depth: int) -> Node | None:
        import h5py  # noqa: PLC0415  (see above)

        if h5py.check_string_dtype(item.dtype) is not None:
            return [_text(v) for v in np.asarray(item[()]).reshape(-1)]
        references = h5py.check_ref_dtype(item.dtype) is h5py.Reference
        if (
            not references
            or int(item.size or 0) > _MOST_CELLS_OF_LIST
            or depth > MAX_DEPTH
        ):
            return None
        made: list[Node] = []
        for reference in np.asarray(item[()]).T.reshape(-1):
            self.seen += 1
            if self.seen > _MOST_NODES or not reference:
                break
            node = self._node(self.opened[reference], depth + 1)
            if node is not None:
                made.append(node)
        texts = [n[0] for n in made if isinstance(n, list) and len(n) == 1]
        flat = [text for text in texts if isinstance(text, str)]
        return flat if flat and len(flat) == len(made) else made


def _cells(item: h5py.Dataset) -> int:
    """Return how many numbers of eight bytes an array is worth once it is read."""
    width = max(8, int(item.dtype.itemsize))
    each = width if item.dtype.kind in "biufc" else width + _BYTES_OF_TEXT
    return int(item.size or 0) * each // 8


def _has_matlab(opened: h5py.File) -> bool:
    return any("MATLAB_class" in opened[key].attrs for key in list(opened)[:5])


def _class(item: h5py.Dataset) -> str:
    return _text(item.attrs.get("MATLAB_class", b""))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)


def _chars(codes: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Node:
    rows = np.atleast_2d(codes.T)
    return ["".join(chr(int(c)) for c in row).strip() for row in rows]
