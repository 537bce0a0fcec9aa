"""R's own files (.RData, .rda, .rds): tables, matrices and vectors in them.

Only data is taken: the file is parsed to a tree of values and nothing in it is run.
Functions, environments and promises are left aside.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tundish.data.errors import TableUnreadableError
from tundish.data.readers import damage
from tundish.data.readers.arrays import MAX_DEPTH, Leaf, Node, tables_of
from tundish.data.readers.size import limit_bytes
from tundish.data.table import Table

_MARKS = (b"RDX2\n", b"RDX3\n", b"X\n\x00\x00\x00")
_NAMES = (".rdata", ".rda", ".rds")
_PACKED: dict[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": lambda path: cast("IO[bytes]", gzip.open(path)),  # noqa: SIM115
    b"BZ": lambda path: cast("IO[bytes]", bz2.open(path)),  # noqa: SIM115
    b"\xfd7": lambda path: cast("IO[bytes]", lzma.open(path)),  # noqa: SIM115
}
_BLOCK = 4 * 1024**2
_MISSING_INT = -(2**31)


class _Info(Protocol):
    type: object


class _Object(Protocol):
    """A node of the parsed file."""

    info: _Info
    value: object
    attributes: _Object | None
    tag: _Object | None


class RDataReader:
    """R workspaces and single R objects."""

    name = "an R file"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:
        """Claim files with R's mark, and packed ones with R's ending."""
        if head.startswith(_MARKS):
            return True
        return name.lower().endswith(_NAMES) and head[:2] in _PACKED

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read every table, matrix and vector."""
        from rdata.parser import parse_data  # noqa: PLC0415  (heavy: in the child only)

        data = _unpacked(path, name)
        with damage.said(name, "R file"):
            parsed = parse_data(data)
            root = _root(cast("_Object", parsed.object), Path(name).stem)
        return tables_of(name, root)


def _unpacked(path: Path, name: str) -> bytes:
    with path.open("rb") as stream:
        opener = _PACKED.get(stream.read(2))
    if opener is None:
        limit_bytes(name, path.stat().st_size)
        return path.read_bytes()
    parts, size = [], 0
    try:
        with opener(path) as packed:
            while block := packed.read(_BLOCK):
                size += len(block)
                limit_bytes(name, size)
                parts.append(block)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        msg = f"{name} is damaged: {error}."
        raise TableUnreadableError(msg) from error
    return b"".join(parts)


def _root(top: _Object, stem: str) -> dict[str, Node]:
    """Return the named objects of a workspace, or the only one under the file's name."""
    if _kind(top) == "LIST":
        made = {key: _node(one, 0) for key, one in _pairs(top)}
        return {key: node for key, node in made.items() if node is not None}
    node = _node(top, 0)
    if isinstance(node, dict):
        return node
    return {} if node is None else {stem: node}


def _node(one: _Object, depth: int) -> Node | None:
    if depth > MAX_DEPTH:
        return None
    traits = dict(_pairs(one.attributes))
    if _kind(one) == "VEC":
        return _list(one, traits, depth)
    return _vector(one, traits)


def _list(one: _Object, traits: Mapping[str, _Object], depth: int) -> Node:
    """Return a named list or data frame as a group; matrices in it become columns."""
    items = cast("list[_Object]", one.value)
    names = _texts(traits.get("names")) or [f"{i + 1}" for i in range(len(items))]
    group: dict[str, Node] = {}
    for name, item in zip(names, items, strict=False):
        node = _node(item, depth + 1)
        matrix = "dim" in dict(_pairs(item.attributes))
        if isinstance(node, dict) and matrix:
            group |= node
        elif isinstance(node, np.ndarray) and matrix:
            group |= {f"{name}.{i + 1}": node[:, i] for i in range(node.shape[1])}
        elif node is not None:
            group[name] = node
    return group


def _vector(one: _Object, traits: Mapping[str, _Object]) -> Node | None:
    kind = _kind(one)
    if kind == "STR":
        return _texts(one)
    if kind not in {"REAL", "INT", "LGL"}:
        return None
    values = np.asarray(one.value)
    if "levels" in traits:
        return _levels(values, _texts(traits["levels"]))
    numbers = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
    if kind != "REAL":
        numbers[numbers == _MISSING_INT] = np.nan
    return _shaped(numbers, traits)


def _shaped(numbers: NDArray[np.float64], traits: Mapping[str, _Object]) -> Node | None:
    shape = _shape(traits.get("dim"), numbers.size)
    if shape is None:
        return numbers
    if len(shape) != 2:
        return None
    matrix = numbers.reshape(shape, order="F")
    names = _column_names(traits, shape[1])
    if any(names):
        return {name or f"column_{i + 1}": matrix[:, i] for i, name in enumerate(names)}
    return matrix


def _levels(codes: NDArray[np.generic], levels: list[str]) -> Leaf:
    return [
        levels[int(code) - 1] if 1 <= int(code) <= len(levels) else ""
        for code in np.ma.filled(codes, 0)
    ]


def _shape(dim: _Object | None, size: int) -> tuple[int, ...] | None:
    if dim is None:
        return None
    shape = tuple(int(length) for length in np.asarray(dim.value).reshape(-1))
    return shape if int(np.prod(shape, dtype=np.int64)) == size else None


def _column_names(traits: Mapping[str, _Object], columns: int) -> list[str]:
    names = traits.get("dimnames")
    if names is None or _kind(names) != "VEC":
        return [""] * columns
    both = cast("list[_Object]", names.value)
    titles = _texts(both[1]) if len(both) == 2 else []
    return titles if len(titles) == columns else [""] * columns


def _texts(one: _Object | None) -> list[str]:
    if one is None or _kind(one) != "STR":
        return []
    return [
        item.value.decode("utf-8", "replace") if isinstance(item.value, bytes) else ""
        for item in cast("list[_Object]", one.value)
    ]


def _pairs(one: _Object | None) -> list[tuple[str, _Object]]:
    """Return the named items of R's linked lists."""
    found: list[tuple[str, _Object]] = []
    while one is not None and _kind(one) == "LIST":
        pair = cast("tuple[_Object, _Object | None]", one.value)
        found.append((_symbol(one.tag), pair[0]))
        one = pair[1]
    return found


def _symbol(tag: _Object | None) -> str:
    if tag is None:
        return ""
    if _kind(tag) == "REF":  # a name that stands earlier in the file
        referenced = getattr(tag, "referenced_object", None)
        return "" if referenced is None else _symbol(cast("_Object", referenced))
    inner = tag.value
    text = getattr(inner, "value", inner)
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else ""


def _kind(one: _Object) -> str:
    return str(getattr(one.info.type, "name", ""))
