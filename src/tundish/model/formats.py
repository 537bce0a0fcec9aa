"""Which files of a foreign model come in: by what they are, not by what they are called.

Formats that can only hold data are allowed, and each is read by its own strict parser
before it counts as that format. Everything else is refused, whether or not something
was found in it: what looks like a pickle, an archive or native code is named so that a
person knows why, but not being recognised lets nothing in.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import DocumentMalformedError
from tundish.model import graphcheck
from tundish.model.errors import ModelFormatError

MAX_HEADER = 16 * 1024 * 1024
_WIDTHS = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
# first bytes -> what a person should know; advice only, never what lets a file in
_SIGNS: tuple[tuple[bytes, str], ...] = (
    (b"\x80\x02", "a pickle: loading it runs code"),
    (b"\x80\x03", "a pickle: loading it runs code"),
    (b"\x80\x04", "a pickle: loading it runs code"),
    (b"\x80\x05", "a pickle: loading it runs code"),
    (b"PK\x03\x04", "a ZIP archive, as PyTorch and Keras write: it may hold code"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes: it may hold code"),
    (b"\x7fELF", "native code"),
    (b"MZ", "native code"),
    (b"\x78\x9c", "zlib data, as joblib writes: it may hold a pickle"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy array: it may hold a pickle"),
)


def check_file(name: str, data: bytes) -> None:
    """Refuse a file of a foreign model that is not of an allowed format.

    Args:
        name: Its safe name; the ending says as what it is read.
        data: Untrusted bytes; no code in them is run.

    Raises:
        ModelFormatError: if its format is not allowed, or its bytes are not of it.
        Exception: what ``graphcheck.check_graph`` refuses in a graph.
    """
    reader = _READERS.get(name[name.rfind(".") :].lower() if "." in name else "")
    if reader is None:
        raise _refusal(name, data, "its format is not one that comes in")
    if reader is not graphcheck.check_graph and _sign(data):
        raise _refusal(name, data, "its bytes are not what its name says")
    try:
        reader(data)
    except (DocumentMalformedError, ValueError) as error:
        raise _refusal(name, data, "its bytes are not what its name says") from error


def _refusal(name: str, data: bytes, why: str) -> ModelFormatError:
    sign = _sign(data)
    looks = f"; it looks like {sign}" if sign else ""
    return ModelFormatError(f"The file {name[:80]!r} is refused: {why}{looks}.")


def _sign(data: bytes) -> str:
    return next((what for first, what in _SIGNS if data.startswith(first)), "")


def _text(data: bytes) -> None:
    if b"\x00" in data:
        msg = "a text holds no zero byte"
        raise ValueError(msg)
    data.decode()  # a UnicodeDecodeError is a ValueError


def _json(data: bytes) -> None:
    canonical.loads(data)


def _safetensors(data: bytes) -> None:
    """Check header and offsets after the format's own description (v0.4)."""
    size = int.from_bytes(data[:8], "little")
    if not 2 <= size <= min(MAX_HEADER, len(data) - 8):
        msg = "the header's length is wrong"
        raise ValueError(msg)
    header = canonical.loads(data[8 : 8 + size])
    if not isinstance(header, dict):
        msg = "the header is no object"
        raise ValueError(msg)  # noqa: TRY004 -- a fault of the data, not of the caller
    spans = sorted(
        _span(item) for name, item in header.items() if name != "__metadata__"
    )
    at = 0
    for begin, end in spans:
        if begin != at or end < begin:
            msg = "tensors overlap, or leave a gap"
            raise ValueError(msg)
        at = end
    if at != len(data) - 8 - size:
        msg = "the tensors do not fill the file"
        raise ValueError(msg)


def _span(item: Json) -> tuple[int, int]:
    fields = item if isinstance(item, dict) else {}
    shape, offsets = fields.get("shape"), fields.get("data_offsets")
    width = _WIDTHS.get(str(fields.get("dtype")), 0)
    if not width or not isinstance(shape, list) or not isinstance(offsets, list):
        msg = "a tensor has no type, shape or place"
        raise ValueError(msg)
    numbers = [n for n in [*shape, *offsets] if type(n) is int and n >= 0]
    if len(numbers) != len(shape) + 2 or len(shape) > graphcheck.MAX_RANK:
        msg = "a tensor's shape or place is wrong"
        raise ValueError(msg)
    begin, end = numbers[-2:]
    if end - begin != math.prod(numbers[:-2]) * width:
        msg = "a tensor's bytes do not fit its shape"
        raise ValueError(msg)
    return begin, end


_READERS: dict[str, Callable[[bytes], object]] = {
    ".onnx": graphcheck.check_graph,
    ".safetensors": _safetensors,
    ".json": _json,
    ".yaml": _text,
    ".yml": _text,
    ".md": _text,
    ".txt": _text,
    ".csv": _text,
}
