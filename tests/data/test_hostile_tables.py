"""Tables made to harm whoever reads them: small files that stand for gigabytes, files
that name other files, types that want to be made."""

from __future__ import annotations

import io
import os
import socket
import struct
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from tundish.data.aside import Aside
from tundish.data.errors import TableTooLargeError, TableUnreadableError
from tundish.data.grade import stream
from tundish.data.grade.file import grade_file
from tundish.data.readers import read_table, read_tables
from tundish.data.readers.confine import Limits, read_alone
from tundish.data.readers.excel import ExcelReader
from tundish.data.readers.npz import NumpyReader
from tundish.data.readers.parquet import ParquetReader
from tundish.data.readers.reader import readers
from tundish.data.readers.wave import WaveReader
from tundish.data.table import Table
from tundish.kernel.errors import TundishError

SMALL = Limits(memory_bytes=2 * 1024**3, cpu_s=2, wall_s=40)
MADE: list[str] = []


class Planted(pa.ExtensionType):  # type: ignore[misc]  # pyarrow ships no types
    """A type that tells when a file makes one."""

    def __init__(self) -> None:
        super().__init__(pa.float64(), "planted.type")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"anything"

    @classmethod
    def __arrow_ext_deserialize__(
        cls,
        storage_type: pa.DataType,
        serialized: bytes,
    ) -> Planted:
        MADE.append(str(storage_type))
        return cls()


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Path]:
    """A file with the type, which stays registered in this process."""
    pa.register_extension_type(Planted())
    path = tmp_path / "planted.parquet"
    column = pa.ExtensionArray.from_storage(Planted(), pa.array([1.0, 2.0, 3.0]))
    pq.write_table(pa.table({"t": [5.0, 6.0, 7.0], "e": column}), path)
    MADE.clear()
    pq.read_schema(path)
    assert MADE, "the trap does not work"
    MADE.clear()
    yield path
    pa.unregister_extension_type("planted.type")


def test_an_extension_type_of_a_file_is_never_made(planted: Path) -> None:
    """Neither here nor in a stream: the values are read as what they are stored as."""
    (table,) = read_tables(planted)
    assert table.frame["e"].to_list() == [1.0, 2.0, 3.0]
    head = stream.head_of(planted)
    assert head.frame["e"].to_list() == [1.0, 2.0, 3.0]
    assert stream.cells_of(planted) == 6
    assert MADE == []


def long_list(path: Path) -> None:
    """A kilobyte that stands for a list of 40 million numbers."""
    lists = pa.ListArray.from_arrays(
        pa.array([0, 1, 2, 40_000_000], pa.int32()),
        pa.array(np.zeros(40_000_000, np.int8)),
    )
    table = pa.table({"a": [1.0, 2.0, 3.0], "l": lists})
    pq.write_table(table, path, compression="zstd")


def repeated_text(path: Path) -> None:
    """A text of 10 MB that each of 100,000 rows names."""
    texts = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * 10_000_000])
    )
    table = pa.table({"a": np.arange(100_000.0), "s": texts})
    pq.write_table(table, path, compression="zstd")


def many_rows(path: Path) -> None:
    """330 million rows of one number in two megabytes."""
    column = pa.array(np.zeros(2**22))
    with pq.ParquetWriter(path, pa.schema({"a": pa.float64()})) as writer:
        for _ in range(80):
            writer.write_table(pa.table({"a": column}), row_group_size=2**22)


def test_a_long_list_in_a_small_file_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    long_list(path)
    assert path.stat().st_size < 2_000
    start = time.perf_counter()
    (table,) = read_alone(ParquetReader(), path, "list.parquet", SMALL)
    assert table.frame.columns == ["a"]
    assert "lists or structures" in table.assumptions[-1].why
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("make", [repeated_text, many_rows])
def test_a_small_parquet_that_stands_for_gigabytes_is_refused(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    """Read in this process, the first of them ended it (24 GB of memory)."""
    path = tmp_path / "bomb.parquet"
    make(path)
    with pytest.raises((TableTooLargeError, TableUnreadableError)) as refused:
        read_alone(ParquetReader(), path, path.name, SMALL)
    assert "MiB of memory" in str(refused.value) or "processor" in str(refused.value)


def test_a_stream_of_a_bomb_ends_with_its_child(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    repeated_text(path)
    file = Aside(path, SMALL)
    assert file.facts().cells == 200_000
    with pytest.raises((TableTooLargeError, TableUnreadableError)):
        list(file.batches(["s"], [0], 100_000))


def test_a_stream_whose_child_is_killed_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"a": np.arange(1e6)}), path, row_group_size=1000)
    file = Aside(path)
    groups = file.facts().groups
    read = file.batches(["a"], range(len(groups)), 1000)
    next(read)
    os.kill(file._child.pid, 6)
    with pytest.raises(TableUnreadableError, match="its parser stopped"):
        list(read)


def test_a_damaged_stream_is_no_whole_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": np.arange(1e5)}), path)
    data = bytearray(path.read_bytes())
    data[100:5_000] = bytes(4_900)
    path.write_bytes(data)
    with pytest.raises(TableUnreadableError, match="no whole Parquet file"):
        stream.head_of(path)
    path.write_bytes(b"PAR1 and nothing else")
    assert stream.cells_of(path) == 0


def test_every_reader_with_a_native_parser_works_in_a_child() -> None:
    """What stays in the command's process is Python on text or bytes of its own."""
    here = {reader.name for reader in readers() if reader.alone_above != 0}
    assert here == {
        "JSON",
        "an MTConnect recording",
        "a packed file",
        "an archive",
        "text table",
    }


# --- files that name other files ------------------------------------------------------


def test_an_hdf5_file_reads_no_other_file_by_any_way(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["s"] = np.arange(10.0) + 777
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(5.0)
        file["outer"] = h5py.ExternalLink(str(secret), "/s")
        file["soft"] = h5py.SoftLink("/outer")
        layout = h5py.VirtualLayout(shape=(10,), dtype="f8")
        layout[:] = h5py.VirtualSource(str(secret), "s", shape=(10,))
        file.create_virtual_dataset("virtual", layout)
        size = secret.stat().st_size // 8
        file.create_dataset("raw", (size,), "f8", external=[(str(secret), 0, size * 8)])
        pointers = file.create_dataset("pointers", (2,), dtype=h5py.ref_dtype)
        pointers[0], pointers[1] = file["virtual"].ref, file["raw"].ref
    tables = read_tables(path)
    assert [table.frame.shape for table in tables] == [(5, 1)]
    assert tables[0].frame["a"].to_list() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_an_hdf5_array_of_wide_texts_is_refused_unread(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "wide.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("s", (1000,), "S100000000", chunks=(1,), compression="gzip")
        file["a"] = np.arange(5.0)
    assert path.stat().st_size < 10_000
    start = time.perf_counter()
    with pytest.raises(TableTooLargeError, match="cells are read"):
        read_tables(path)
    assert time.perf_counter() - start < 15


WORKBOOK = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/'
    '2006/content-types"><Override PartName="/xl/workbook.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml'
    '/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/'
    'relationships"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
}
RELATION = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
    'relationships/worksheet" Target="{target}" {mode}/></Relationships>'
)
SHEET = (
    '<?xml version="1.0"?>{above}<worksheet xmlns="http://schemas.openxmlformats.org/'
    'spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>'
)
ROWS = "".join(f'<row r="{i}"><c r="A{i}"><v>{i}</v></c></row>' for i in range(1, 30))
ENTITY = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname"><!ENTITY a "aaaa">]>'
TELLING = '<row r="1"><c r="A1" t="inlineStr"><is><t>&f;&a;</t></is></c></row>'
FAR = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'


def workbook(path: Path, sheet: str, target: str, mode: str = "") -> None:
    relation = RELATION.format(target=target, mode=mode)
    parts = {
        **WORKBOOK,
        "xl/_rels/workbook.xml.rels": relation,
        "xl/worksheets/sheet1.xml": sheet,
    }
    stream_ = io.BytesIO()
    with zipfile.ZipFile(stream_, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in parts.items():
            made.writestr(name, text)
    path.write_bytes(stream_.getvalue())


@pytest.mark.parametrize(
    ("sheet", "target", "mode"),
    [
        (SHEET.format(above=ENTITY, rows=TELLING + ROWS), "worksheets/sheet1.xml", ""),
        (SHEET.format(above="", rows=ROWS), "file:///etc/hostname", 'TargetMode="External"'),
        (SHEET.format(above="", rows=ROWS), "../../../../../etc/hostname", ""),
        (SHEET.format(above="", rows=ROWS), "http://192.0.2.1/s.xml", ""),
        (SHEET.format(above="", rows=ROWS + FAR), "worksheets/sheet1.xml", ""),
    ],
)  # fmt: skip
def test_a_workbook_reads_no_other_file_and_expands_nothing(
    sheet: str, target: str, mode: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, sheet, target, mode)
    host = socket.gethostname()
    try:
        read = ExcelReader().read if FAR not in sheet else _in_child
        said = " ".join(str(table.frame) for table in read(path, "t.xlsx"))
    except TundishError as error:
        said = error.one_line()
    assert host not in said
    assert "aaaa" not in said
    assert "note:" not in said


def _in_child(path: Path, name: str) -> Sequence[Table]:
    return read_alone(ExcelReader(), path, name)


def numpy_file(header: str, body: bytes) -> bytes:
    text = header.encode() + b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def wave_file(body: bytes, said: int, channels: int, rate: int) -> bytes:
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * 2, channels * 2, 16)
    whole = b"WAVEfmt " + form + b"data" + struct.pack("<I", said) + body
    return b"RIFF" + struct.pack("<I", min(36 + said, 2**32 - 1)) + whole


HEAD = "{'descr':'%s','fortran_order':False,'shape':%s}"
LYING: dict[str, bytes] = {
    "huge.npy": numpy_file(HEAD % ("<f8", "(1000000000000,)"), bytes(80)),
    "negative.npy": numpy_file(HEAD % ("<f8", "(-1,10)"), bytes(80)),
    "deep.npy": numpy_file(HEAD % ("<f8", "(" + "1," * 70 + ")"), bytes(8)),
    "text.npy": numpy_file(HEAD % ("<U500000000", "(1,)"), bytes(8)),
    "code.npy": numpy_file(HEAD % ("<f8", "__import__('os').abort()"), bytes(8)),
    "object.npy": numpy_file(HEAD % ("|O", "(1,)"), b"cos\nabort\n(tR."),
    "nothing.npy": numpy_file(HEAD % ("<f8", "(0,1000000000000)"), b""),
    "size.wav": wave_file(bytes(100), 2**32 - 1, 1, 1000),
    "channels.wav": wave_file(bytes(100), 100, 0, 1000),
    "rate.wav": wave_file(bytes(100), 100, 1, 0),
}


@pytest.mark.parametrize("name", LYING)
def test_a_header_that_lies_gives_no_table_of_what_is_not_there(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(LYING[name])
    reader = NumpyReader() if name.endswith(".npy") else WaveReader()
    try:
        rows = sum(table.frame.height for table in reader.read(path, name))
    except (TundishError, MemoryError):
        rows = 0
    assert rows <= 100


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "xlsx"])
def test_a_column_named_as_a_pattern_stands_for_no_other(
    kind: str, tmp_path: Path
) -> None:
    """``*`` and ``^f.*$`` are names of all and of some columns to Polars."""
    frame = pl.DataFrame(
        {"flow": ["1.5", "2.5"] * 5, "*": ["on", "off"] * 5, "^f.*$": ["a", "b"] * 5}
    )
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        frame.write_csv(path)
    elif kind == "json":
        path.write_text(frame.write_json())
    elif kind == "parquet":
        frame.write_parquet(path)
    else:
        with xlsxwriter.Workbook(str(path)) as book:
            sheet = book.add_worksheet()
            for i, row in enumerate((frame.columns, *frame.iter_rows())):
                sheet.write_row(i, 0, row)
    table = read_table(path)
    assert table.frame.columns == ["flow", "'*'", "'^f.*$'"]
    assert table.frame["flow"].to_list() == [1.5, 2.5] * 5
    assert table.frame["'*'"].to_list() == ["on", "off"] * 5
    assert grade_file(path, now=datetime(2026, 5, 4, tzinfo=UTC)).letter
