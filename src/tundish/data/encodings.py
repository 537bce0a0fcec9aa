"""From bytes of unknown encoding to UTF-8, or to a clear refusal."""

from __future__ import annotations

import re

from tundish.data.errors import TableUnreadableError

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook (.xlsx)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"RDX", "an R file"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"<?xml", "XML"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
)
_JSON = re.compile(rb"\s*(\[\s*)*\{\s*\"")
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SAMPLE = 1024 * 1024


def to_utf8(data: bytes, origin: str) -> tuple[bytes, str]:
    """Return text bytes as UTF-8 without a mark, and the encoding they were in.

    Known: UTF-8 and UTF-16 with or without a mark, GB 18030, Windows-1252 (which
    contains Latin-1's letters).

    Args:
        data: Untrusted bytes.
        origin: The file's name, for messages.

    Raises:
        TableUnreadableError: if the bytes are empty, binary or another known format.
    """
    if not data.strip():
        msg = f"{origin} is empty; a table was expected."
        raise TableUnreadableError(msg)
    for magic, what in _FOREIGN:
        if data.startswith(magic):
            msg = f"{origin} is {what}; a text table or Parquet was expected."
            raise TableUnreadableError(msg)
    if _JSON.match(data):
        msg = f"{origin} is JSON; a text table or Parquet was expected."
        raise TableUnreadableError(msg)
    text, encoding = _decoded(data, origin)
    head = text[:_SAMPLE]
    if b"\x00" in text or len(_CONTROL.findall(head)) > len(head) // 200:
        msg = f"{origin} is no text (it holds control bytes); a table was expected."
        raise TableUnreadableError(msg)
    return text, encoding


def _decoded(data: bytes, origin: str) -> tuple[bytes, str]:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    encoding = encoding or _sixteen(data)
    try:
        if encoding == "utf-8-sig":
            return _checked(data[3:]), encoding
        if encoding:
            return data.decode(encoding).removeprefix("\ufeff").encode(), encoding
        return _checked(data), "utf-8"
    except UnicodeDecodeError as error:
        if encoding:
            msg = f"{origin} begins as {encoding} text and is not ({error.reason})."
            raise TableUnreadableError(msg) from error
    return _eight(data)


def _checked(data: bytes) -> bytes:
    if not data.isascii():
        data.decode()
    return data


def _sixteen(data: bytes) -> str:
    """Recognise UTF-16 without a mark: every other byte of ASCII text is zero."""
    head = data[:4096]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = head[offset::2].count(0)
        if len(head) > 3 and zeros > 0.6 * len(head[offset::2]):
            return name
    return ""


def _eight(data: bytes) -> tuple[bytes, str]:
    """Tell GB 18030 from Windows-1252: Chinese text has high bytes in pairs."""
    runs = re.findall(rb"[\x80-\xff]+", data[:_SAMPLE])
    if all(len(run) % 2 == 0 for run in runs[:-1]):
        try:
            return data.decode("gb18030").encode(), "gb18030"
        except UnicodeDecodeError:
            pass
    return data.decode("cp1252", errors="replace").encode(), "windows-1252"
