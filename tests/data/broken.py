"""Broken and hostile files, made one after the other.

Each is (name, bytes). Whatever reads them must end in a table or in an error of Tundish,
in seconds and in bounded memory.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tests.data.formats import CSV, SAMPLES, write_sample

File = tuple[str, bytes]

ZEROS = bytes(64 * 1024 * 1024)
TENTHS = 10


def truncated(folder: Path) -> Iterator[File]:
    """Cut every sample at each tenth of its length."""
    for name in SAMPLES:
        data = write_sample(name, folder).read_bytes()
        for i in range(TENTHS):
            yield name, data[: len(data) * i // TENTHS]


def mutated(folder: Path, rng: np.random.Generator, each: int) -> Iterator[File]:
    """Change a few bytes of every sample: single ones, runs, repeats and swaps."""
    for name in SAMPLES:
        data = write_sample(name, folder).read_bytes()
        for _ in range(each):
            yield name, mutate(data, rng)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the data with one kind of damage."""
    made = bytearray(data)
    if not made:
        return data
    at = int(rng.integers(len(made)))
    kind = int(rng.integers(5))
    length = int(rng.integers(1, 64))
    if kind <= 1:
        made[at] = int(rng.integers(256))
    elif kind == 2:
        made[at : at + length] = rng.bytes(length)
    elif kind == 3:
        made[at:at] = made[max(0, at - length) : at] * int(rng.integers(1, 9))
    else:
        del made[at : at + length]
    return bytes(made)


def odd_texts() -> Iterator[File]:
    """Text tables that no exporter should write."""
    half = len(CSV) // 2
    yield (
        "encodings.csv",
        "zeit;maß\n1;2,5\n".encode("cp1252") + "中文;3\n".encode("utf-16"),
    )
    yield "utf16_half.csv", "a,b\n1,2\n".encode("utf-16")[:-1]
    yield "nul.csv", CSV[:half] + b"\x00" * 10 + CSV[half:]
    yield (
        "wide.csv",
        (
            ",".join(f"t{i}" for i in range(10_000))
            + "\n"
            + ",".join(["1"] * 10_000)
            + "\n"
        ).encode(),
    )
    yield "too_wide.csv", b"," * 60_000 + b"\n" + b"1," * 60_000 + b"\n"
    yield (
        "ragged.csv",
        "\n".join(",".join("7" * (1 + i * i % 13)) for i in range(300)).encode(),
    )
    yield (
        "formula.csv",
        b'name,value\n=cmd|\'/c calc\'!A0,1\n@SUM(1+1),2\n"=HYPERLINK(""http://x"")",3\n',
    )
    yield "same_names.csv", b"flow," * 20_000 + b"\n" + b"1," * 20_000 + b"\n"
    yield "no_names.csv", b"," * 500 + b"\n" + b"1," * 500 + b"\n" + b"2," * 500 + b"\n"
    yield "huge_name.csv", b"a" * 5_000_000 + b",b\n1,2\n3,4\n"
    yield "quote.csv", b'a,b\n"1,2\n3,4\n' * 3_000
    yield "quotes.csv", b'"' * 100_001
    yield "one_line.csv", b"1," * 500_000
    yield "no_line_end.csv", b"7" * 3_000_000
    yield "returns.csv", b"\r" * 200_000 + b"a,b\r1,2\r"
    yield "control.csv", bytes(range(1, 32)) * 300
    yield "spaces.csv", b" " * 2_000_000 + b"x\n"
    yield "numbers.csv", b"a,b\n" + b"1e999,-1e-999\n" * 50 + b"9" * 400 + b",1\n"
    yield (
        "times.csv",
        b"time,flow\n" + b"9999-99-99 99:99:99,1\n" * 40 + b"0000-00-00,2\n",
    )
    yield (
        "far_times.csv",
        b"time,flow\n" + b"".join(b"%d,1\n" % (10**i) for i in range(1, 60)),
    )
    yield "brackets.csv", b"[" * 100_000 + b"]" * 100_000 + b"\n[1]\n[2]"
    yield "bom.csv", b"\xef\xbb\xbf" * 40
    yield "surrogate.csv", b"a,b\n\xed\xa0\x80,1\n\xff\xfe,2\n"
    yield (
        "bars.txt",
        b"2026-01-01T00:00:00Z|a|\n" * 50
        + b"2026-01-01T00:00:00Z|--multiline--A\n" * 3,
    )


def odd_records() -> Iterator[File]:
    """JSON and XML that is deep, huge or lies."""
    yield "deep.json", b"[" * 500_000
    yield "deep_object.json", b'{"a":' * 200_000 + b"1" + b"}" * 200_000
    yield "deep_lines.jsonl", (b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"\n") * 20
    yield "big_number.json", b'[{"a": ' + b"9" * 1_000_000 + b"}]"
    yield "nan.json", b'[{"a": NaN, "b": Infinity}, {"a": 1e400, "b": -0.0}]'
    yield "many_keys.jsonl", b"".join(b'{"k%d": 1}\n' % i for i in range(20_000))
    yield "same_keys.json", b'[{"a": 1, "a": 2, "a.b": 3, "": 4}]'
    yield "half_surrogate.json", b'[{"a": "\\ud800", "\\udfff": 1}]'
    yield "list.json", b'[1, "a", {}, [], null]'
    yield "ragged_lists.json", b'{"a": [[1], [2, 3]], "b": [1, "x"]}'
    yield "empty.json", b"{}"
    yield "empties.json", b"[{}, {}, {}]"
    yield "lists.json", b"[" + b"[]," * 3_000_000 + b"[]]"
    laughs = b"".join(
        b'<!ENTITY l%d "%s">' % (i + 1, b"&l%d;" % i * 10) for i in range(9)
    )
    yield (
        "laughs.xes",
        b'<?xml version="1.0"?><!DOCTYPE log [<!ENTITY l0 "ha">'
        + laughs
        + b']><log><trace><event><string key="a" value="&l9;"/></event></trace></log>',
    )
    yield (
        "outside.xes",
        b'<?xml version="1.0"?><!DOCTYPE log [<!ENTITY x SYSTEM "file:///etc/passwd">]><log>&x;</log>',
    )
    yield "deep.xes", b"<log>" + b"<trace>" * 100_000
    yield (
        "wide.xes",
        b"<log><trace>"
        + b"".join(
            b'<event><int key="k%d" value="1"/></event>' % i for i in range(3_000)
        )
        + b"</trace></log>",
    )
    yield "other.xes", b"<svg><path/></svg>"


@functools.cache
def bombs() -> tuple[File, ...]:
    """Return small files that unpack to large ones; to pack them takes seconds."""
    return tuple(_bombs())


def _bombs() -> Iterator[File]:
    yield "bomb.csv.gz", gzip.compress(ZEROS, 9)
    yield "bomb.csv.bz2", bz2.compress(ZEROS, 9)
    yield "bomb.csv.xz", lzma.compress(ZEROS)
    yield "bombs.csv.gz", gzip.compress(gzip.compress(gzip.compress(ZEROS)))
    numbers = b"1,2\n" * (8 * 1024 * 1024)
    yield "numbers.csv.gz", gzip.compress(numbers, 9)
    yield "bomb.zip", _zip({"a.csv": ZEROS})
    yield "many.zip", _zip({f"{i}.csv": b"a,b\n1,2\n" for i in range(300)})
    yield (
        "nested.zip",
        _zip({"a.zip": _zip({"b.zip": _zip({"c.zip": _zip({"d.csv": CSV})})})}),
    )
    yield "bomb.xlsx", _zip({"xl/workbook.xml": ZEROS, "[Content_Types].xml": b"x"})
    yield "bomb.npz", _zip({"x.npy": _npy("(8388608,)") + ZEROS})
    yield "lies.npy", _npy("(1000000000000,)") + bytes(80)
    yield "lies.npz", _zip({"x.npy": _npy("(99999999999, 99999999)")})
    yield "code.npy", _npy("__import__('os').system('true')")


def tricks() -> Iterator[File]:
    """Archives whose names or kinds lead elsewhere."""
    for name in (
        "../../escape.csv",
        "/absolute.csv",
        "..\\..\\w.csv",
        "C:\\x.csv",
        "a\x00b.csv",
    ):
        yield "path.zip", _zip({name: CSV})
        yield "path.tar", _tar([(tarfile.TarInfo(name), CSV)])
    link = tarfile.TarInfo("link.csv")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard = tarfile.TarInfo("hard.csv")
    hard.type, hard.linkname = tarfile.LNKTYPE, "/etc/passwd"
    device = tarfile.TarInfo("device.csv")
    device.type = tarfile.CHRTYPE
    yield "kinds.tar", _tar([(link, b""), (hard, b""), (device, b"")])
    yield "twice.zip", _zip_twice("a.csv")
    info = zipfile.ZipInfo("link.csv")
    info.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(info, "/etc/passwd")
    yield "link.zip", out.getvalue()
    data = bytearray(_zip({"a.csv": CSV}))
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 2**31)
    yield "size_lies.zip", bytes(data)
    struct.pack_into("<H", data, at + 8, 1)
    yield "encrypted.zip", bytes(data)
    yield "tail.tar", _tar([(tarfile.TarInfo("a.csv"), CSV)])[:700] + b"\xff" * 512


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _zip_twice(name: str) -> bytes:
    first = _zip({name: CSV, "b" + name[1:]: CSV})
    return first.replace(b"b" + name[1:].encode(), name.encode())


def _tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for info, data in members:
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _npy(shape: str) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def all_made(folder: Path) -> Iterator[File]:
    """Return every broken file but the mutated ones."""
    yield from truncated(folder)
    yield from odd_texts()
    yield from odd_records()
    yield from bombs()
    yield from tricks()
