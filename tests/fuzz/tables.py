"""Targets for data of factories: every reader, and what stands beside a table."""

from __future__ import annotations

import bz2
import csv
import functools
import gzip
import io
import json
import lzma
import struct
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl
from PIL import Image
from tests.data.formats import CSV, write_sample
from tests.fuzz.target import Target, at_file, room

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.data import archive, cells, encodings, quality, times, units
from tundish.data.card.beside import load as load_card
from tundish.data.card.card import read_card
from tundish.data.card.foreign import read_foreign
from tundish.data.folder import read_folder
from tundish.data.grade.file import grade_file
from tundish.data.historian import unfold
from tundish.data.images import look
from tundish.data.images.boxes import read_boxes, read_coco
from tundish.data.images.folder import read_album
from tundish.data.readers.biff import read_bare_sheet
from tundish.data.readers.excel import ExcelReader
from tundish.data.readers.hdf5 import Hdf5Reader
from tundish.data.readers.json_records import JsonReader
from tundish.data.readers.mat import MatReader
from tundish.data.readers.npz import NumpyReader
from tundish.data.readers.packed import ArchiveReader, PackedReader
from tundish.data.readers.parquet import ParquetReader
from tundish.data.readers.rdata import RDataReader
from tundish.data.readers.reader import HEAD_BYTES, Reader
from tundish.data.readers.shdr import ShdrReader
from tundish.data.readers.text import read_text, read_words
from tundish.data.readers.wave import WaveReader
from tundish.data.readers.xes import XesReader
from tundish.data.roles import Named
from tundish.data.texts.items import head, read_texts
from tundish.flows.open_package import read_windows
from tundish.kernel import canonical
from tundish.kernel.errors import TundishError

_DATA, _READERS = "tundish.data.", "tundish.data.readers."
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _sample(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [write_sample(name, room()).read_bytes() for name in names]


def _read_by(kind: type[Reader], file: str) -> Callable[[bytes], None]:
    """Return what hands a file to one reader in this process."""

    def read(data: bytes) -> None:
        path, reader = at_file(file, data), kind()
        reader.claims(file, data[:HEAD_BYTES])
        for table in reader.read(path, file):
            assert table.frame.width >= 0

    return read


def _csv(data: bytes) -> None:
    table = read_text(data, "t.csv")
    unfold(table, Named())


def _words(data: bytes) -> None:
    read_words(data, "t.csv")


_HISTORIAN = "time,tag,value,quality\n" + "".join(
    f"2026-01-01T00:{i:02d}:00Z,{'TI1' if i % 2 else 'PI2'},{i * 7 % 11}.5,"
    f"{'Good' if i % 5 else 'Bad'}\n"
    for i in range(40)
)
_GERMAN = "Zeit;Durchfluß [m³/h];Zustand\n" + "".join(
    f"01.02.2026 00:{i:02d}:00;{i * 7 % 11},5;{'an' if i % 9 else 'aus'}\n"
    for i in range(30)
)


def _tables() -> list[bytes]:
    return [
        CSV, _HISTORIAN.encode(), _GERMAN.encode("cp1252"), _GERMAN.encode("utf-16"),
        b"a b  c\n1 2  3\n4 5  6\n7 8  9\n", b'"a,b","c"\n"1",2\n"3",4\n',
        "时间\t流量\n2026年1月1日\t5\n2026年1月2日\t6\n".encode("gb18030"),
    ]  # fmt: skip


def _grade(data: bytes) -> None:
    grade_file(at_file("t.csv", data), now=NOW)


def _series(data: bytes) -> pl.Series:
    return pl.Series("t", data.decode("utf-8", "replace").split("\n"), dtype=pl.String)


def _times(data: bytes) -> None:
    texts = _series(data)
    for zone in ("", "Europe/Berlin"):
        times.parse_times(texts, zone)
    numbers = texts.cast(pl.Float64, strict=False)
    times.parse_times(numbers, "")
    times.parse_elapsed(numbers)
    times.parse_elapsed(texts)


def _time_texts() -> list[bytes]:
    rows: Sequence[Sequence[str]] = (
        [f"2026-03-29T0{i}:30:00" for i in range(6)],
        [f"{i:02d}/13/2026 0{i}:30 PM" for i in range(1, 9)],
        [f"2026-03-29 0{i}:30:00+02:00" for i in range(6)],
        [str(1_760_000_000 + 60 * i) for i in range(6)],
        [f"0{i}:30:00" for i in range(6)],
        [f"29.10.2026 0{i}:30:00.5" for i in range(6)],
        ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"] * 4,
    )
    return ["\n".join(row).encode() for row in rows]


def _cells(data: bytes) -> None:
    texts = _series(data)
    cells.decimal_comma(texts.to_frame())
    for comma in (False, True):
        cells.to_column(texts, comma=comma)
    quality.read_quality(texts, named=True)
    quality.read_quality(texts.cast(pl.Float64, strict=False), named=True)


def _unit(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    units.in_base(text)
    units.conversion(text, "m3/h")


def _encoding(data: bytes) -> None:
    text, _ = encodings.to_utf8(data, "t.csv")
    text.decode()


def _biff(data: bytes) -> None:
    read_bare_sheet(data, "t.xls")


def _bare_sheet() -> bytes:
    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    cells_made = b"".join(
        record(0x0203, struct.pack("<HHHd", row, 1, 0, row * 1.5))
        + record(0x027E, struct.pack("<HHHi", row, 2, 0, (row << 2) | 2))
        + record(0x0204, struct.pack("<HHHH", row, 0, 0, 2) + b"ab")
        for row in range(5)
    )
    begin = record(0x0409, struct.pack("<HHH", 0, 0x10, 0))
    return begin + cells_made + record(0x000A, b"")


def _workbooks() -> list[bytes]:
    return [*_sample("t.xlsx")(), _bare_sheet()]


def _zips() -> list[bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.csv", CSV)
    return [*_sample("t.zip")(), out.getvalue()]


def _zip_member(data: bytes) -> None:
    path, limits = at_file("t.whl", data), archive.ArchiveLimits()
    out = room() / "member"
    out.unlink(missing_ok=True)
    with archive.opened(path, limits) as opened:
        for name in archive.file_names(opened)[:1]:
            archive.extract(opened, name, out, limits)
            assert opened.read(name) == out.read_bytes()


def _tar_file() -> list[bytes]:
    return [gzip.decompress(data) for data in _sample("t.tar.gz")()]


def _r_files() -> list[bytes]:
    """Write a vector and a named list as R's ``saveRDS(x, compress = FALSE)`` does."""
    head = b"X\n" + struct.pack(">iii", 2, 0x00040101, 0x00020300)

    def text(word: bytes) -> bytes:
        return struct.pack(">ii", 0x00040009, len(word)) + word

    vector = struct.pack(">ii5d", 14, 5, *range(5))
    factor = struct.pack(">ii3i", 13, 3, 1, 2, 1)
    words = struct.pack(">ii", 16, 1) + text(b"ab")
    names = struct.pack(">ii", 1026, 1) + text(b"names")
    names += struct.pack(">ii", 16, 3) + b"".join(map(text, (b"a", b"b", b"c")))
    end = struct.pack(">i", 254)
    listed = struct.pack(">ii", 0x213, 3) + vector + factor + words + names + end
    return [head + vector, head + listed, gzip.compress(head + listed)]


def _parquets() -> list[bytes]:
    out = io.BytesIO()
    pl.DataFrame({"t": [NOW, None], "s": [["a"], []], "d": [1.5, None]}).write_parquet(
        out
    )
    return [*_sample("t.parquet")(), out.getvalue()]


def _picture(data: bytes) -> None:
    canonical.dumps(look.answer([at_file("picture", data)]))


def _pictures() -> list[bytes]:
    picture = Image.fromarray(
        (np.arange(24 * 24 * 3) % 251).astype(np.uint8).reshape(24, 24, 3)
    )
    made = []
    for form in ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM"):
        out = io.BytesIO()
        picture.save(out, form)
        made.append(out.getvalue())
    return made


def _boxes(data: bytes) -> None:
    read_boxes(at_file("a.txt", data))
    read_boxes(at_file("a.xml", data))


def _coco(data: bytes) -> None:
    read_coco(at_file("a.json", data))


def _album(data: bytes) -> None:
    """Read a folder of a picture, its labels and a file of all labels."""
    place = room() / "album"
    place.mkdir(exist_ok=True)
    (place / "a.png").write_bytes(_pictures()[1])
    for name in ("a.txt", "a.xml", "labels.json"):
        (place / name).write_bytes(data)
    read_album(place)


_VOC = (
    b"<annotation><size><width>640</width><height>480</height></size><object><name>scratch"
    b"</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
    b"</object></annotation>"
)
_COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4.5]}],
    "categories": [{"id": 2, "name": "scratch"}],
}


def _texts(data: bytes) -> None:
    for name in ("a.jsonl", "a.json", "a.txt"):
        path = at_file(name, data)
        head(path)
        try:
            read_texts(path)
        except TundishError:
            continue


def _text_files() -> list[bytes]:
    rows = [
        {
            "id": i,
            "question": f"Why does pump {i} trip at night?",
            "answer": "Low suction.",
        }
        for i in range(6)
    ]
    lines = "\n".join(map(json.dumps, rows)).encode()
    talk = {
        "messages": [{"role": "user", "content": "Why?"}, {"role": "a", "content": "X"}]
    }
    return [lines, json.dumps(rows).encode(), b"First text.\n\nSecond text.\n",
            json.dumps(talk).encode()]  # fmt: skip


def _own_card(data: bytes) -> None:
    read_card(at_file("card.yaml", data))


_CARD = b"""format: tundish.card
version: 1
name: pump-days
description: Vibration of a pump
licence: {name: MIT License, spdx: MIT}
period: {first: "2026-01-01", last: "2026-02-01"}
terms: {uses: [], until: "2027-01-01"}
fields: [{name: flow, unit: m3/h, role: target, range: [0, 10]}]
files: [{path: a.csv, bytes: 12}]
"""

_CROISSANT = {
    "@context": {"@vocab": "https://schema.org/"}, "@type": "sc:Dataset", "name": "pump",
    "conformsTo": "http://mlcommons.org/croissant/1.1", "license": ["MIT"],
    "description": "x", "datePublished": "2026-01-01", "version": 1.5,
    "distribution": [{"@id": "a", "@type": "cr:FileObject", "contentUrl": "a.csv",
                      "sha256": "ab" * 32}],
    "recordSet": [{"field": [{"name": "flow", "dataType": "sc:Float", "source": {
        "fileObject": {"@id": "a"}, "extract": {"column": "flow"}}}]}],
    "rai:dataCollectionTimeframe": ["2026-01-01T00:00:00", "2026-02"],
}  # fmt: skip
_PACKAGE = {
    "name": "pump", "licenses": [{"name": "MIT"}], "created": "2026-01-01",
    "resources": [{"path": "a.csv", "hash": "sha256:" + "ab" * 32, "bytes": 3, "schema": {
        "fields": [{"name": "flow", "unit": "m3/h", "constraints": {
            "minimum": 0, "maximum": 5}}]}}],
}  # fmt: skip


def _foreign_card(data: bytes) -> None:
    path = at_file("croissant.json", data)
    load_card(path)
    read_foreign(path)


def _windows(data: bytes) -> None:
    for scenario in _scenarios():
        try:
            read_windows(at_file("w.csv", data), scenario)
        except TundishError:
            continue


@functools.cache
def _scenarios() -> tuple[Scenario, ...]:
    """Return the shipped scenario with the fewest channels, and the one with most."""
    every = (library.scenario(name) for name in library.names(Scenario))
    ordered = sorted(every, key=lambda scenario: scenario.channels)
    return ordered[0], ordered[-1]


def _window_files() -> list[bytes]:
    made = []
    for scenario in _scenarios():
        out = io.StringIO()
        rows = np.linspace(0, 1, scenario.channels).round(2).tolist()
        csv.writer(out).writerows([rows] * (scenario.window.rows + 1))
        made.append(out.getvalue().encode())
    return made


def _folder(data: bytes) -> None:
    """Read a folder of three files that have the fuzzer's bytes between them."""
    place = room() / "folder"
    place.mkdir(exist_ok=True)
    parts = data.split(b"\n--\n")
    for i, name in enumerate(("a.csv", "b.txt", "notes.md")):
        (place / name).write_bytes(parts[i] if i < len(parts) else b"")
    read_folder(place)


def _card_file(value: object) -> bytes:
    return json.dumps(value).encode()


def _seed(*values: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(values)


TARGETS = (
    Target(
        name="csv", parse=_csv, seeds=_tables,
        doors=(_READERS + "text:read_text", _DATA + "historian:unfold"),
    ),
    Target(name="words", parse=_words, seeds=_tables, doors=(_READERS + "text:read_words",)),
    Target(
        name="encoding", parse=_encoding, seeds=_tables,
        doors=(_DATA + "encodings:to_utf8",),
    ),
    Target(
        name="times", parse=_times, seeds=_time_texts, most=4096,
        doors=(_DATA + "times:parse_times", _DATA + "times:parse_elapsed"),
    ),
    Target(
        name="cells", parse=_cells, most=4096,
        seeds=_seed(b"1.5\n2\nn/a\n", b"1.234,5\n2,5\n-\n", b"192\n0\n193\n", b"<5\n7\n"),
        doors=(_DATA + "cells:to_column", _DATA + "quality:read_quality"),
    ),
    Target(
        name="unit", parse=_unit, most=64, doors=(_DATA + "units:unit_of",),
        seeds=_seed(b"m3/h", b"Nm3/h", "°C".encode(), b"bar(g)", b"l/min", b"kg*m^2/s^3"),
    ),
    Target(
        name="windows", parse=_windows, seeds=_window_files,
        doors=("tundish.flows.open_package:read_windows",),
    ),
    Target(
        name="json", json=True, parse=_read_by(JsonReader, "t.json"),
        seeds=_sample("t.json", "t.jsonl"), doors=(_READERS + "json_records:JsonReader.read",),
    ),
    Target(
        name="xes", alone=True, parse=_read_by(XesReader, "t.xes"), seeds=_sample("t.xes"),
        doors=(_READERS + "xes:XesReader.read",),
    ),
    Target(
        name="shdr", parse=_read_by(ShdrReader, "t.txt"), seeds=_sample("t.txt"),
        doors=(_READERS + "shdr:ShdrReader.read",),
    ),
    Target(
        name="packed", parse=_read_by(PackedReader, "t.csv.gz"),
        seeds=lambda: [gzip.compress(CSV), bz2.compress(CSV), lzma.compress(CSV)],
        doors=(_READERS + "packed:PackedReader.read",),
    ),
    Target(
        name="zip", parse=_read_by(ArchiveReader, "t.zip"), seeds=_zips,
        doors=(_READERS + "packed:ArchiveReader.read", _DATA + "archive:opened",
               _DATA + "archive:unpack"),
    ),
    Target(
        name="zip-member", parse=_zip_member, seeds=_zips,
        doors=(_DATA + "archive:extract",),
    ),
    Target(
        name="tar-archive", parse=_read_by(ArchiveReader, "t.tar"), seeds=_tar_file,
        doors=(_READERS + "packed:ArchiveReader.read",),
    ),
    Target(
        name="parquet", alone=True, parse=_read_by(ParquetReader, "t.parquet"),
        seeds=_parquets, doors=(_READERS + "parquet:ParquetReader.read",),
    ),
    Target(
        name="excel", alone=True, parse=_read_by(ExcelReader, "t.xlsx"), seeds=_workbooks,
        doors=(_READERS + "excel:ExcelReader.read", _DATA + "archive:refuse_bomb"),
    ),
    Target(
        name="biff", alone=True, parse=_biff, seeds=lambda: [_bare_sheet()],
        doors=(_READERS + "biff:read_bare_sheet",),
    ),
    Target(
        name="mat", alone=True, parse=_read_by(MatReader, "t.mat"), seeds=_sample("t.mat"),
        doors=(_READERS + "mat:MatReader.read",),
    ),
    Target(
        name="hdf5", alone=True, parse=_read_by(Hdf5Reader, "t.h5"), seeds=_sample("t.h5"),
        doors=(_READERS + "hdf5:Hdf5Reader.read",),
    ),
    Target(
        name="npz", alone=True, parse=_read_by(NumpyReader, "t.npz"),
        seeds=_sample("t.npz", "t.npy"), doors=(_READERS + "npz:NumpyReader.read",),
    ),
    Target(
        name="rdata", alone=True, parse=_read_by(RDataReader, "t.rds"), seeds=_r_files,
        doors=(_READERS + "rdata:RDataReader.read",),
    ),
    Target(
        name="wave", alone=True, parse=_read_by(WaveReader, "t.wav"), seeds=_sample("t.wav"),
        doors=(_READERS + "wave:WaveReader.read",),
    ),
    Target(
        name="picture", alone=True, parse=_picture, seeds=_pictures,
        doors=(_DATA + "images.look:answer",),
    ),
    Target(
        name="boxes", parse=_boxes, doors=(_DATA + "images.boxes:read_boxes",),
        seeds=_seed(_VOC, b"0 0.5 0.5 0.1 0.2\n", b"1,2,30,40,scratch\n"),
    ),
    Target(
        name="album", parse=_album, doors=(_DATA + "images.folder:read_album",),
        seeds=_seed(_VOC, b"0 0.5 0.5 0.1 0.2\n", _card_file(_COCO)),
    ),
    Target(
        name="coco", json=True, parse=_coco, seeds=_seed(_card_file(_COCO)),
        doors=(_DATA + "images.boxes:read_coco",),
    ),
    Target(
        name="texts", json=True, parse=_texts, seeds=_text_files,
        doors=(_DATA + "texts.items:read_texts", _DATA + "texts.items:head"),
    ),
    Target(
        name="card", json=True, parse=_own_card, seeds=_seed(_CARD),
        doors=(_DATA + "card.card:read_card",),
    ),
    Target(
        name="foreign-card", json=True, parse=_foreign_card,
        seeds=_seed(_card_file(_CROISSANT), _card_file(_PACKAGE)),
        doors=(_DATA + "card.foreign:read_foreign", _DATA + "card.beside:load"),
    ),
    Target(
        name="folder", parse=_folder, seeds=_seed(CSV + b"\n--\n" + CSV + b"\n--\nnotes"),
        doors=(_DATA + "folder:read_folder",),
    ),
    Target(
        name="grade", parse=_grade, seeds=_tables, most=16 * 1024,
        doors=(_DATA + "grade.file:grade_file",),
    ),
)  # fmt: skip
