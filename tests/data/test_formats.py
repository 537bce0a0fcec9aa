"""Every kind of file comes in with its names, units, times and values."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
import xlsxwriter
from scipy.io import savemat
from tests.data.formats import ROWS, SAMPLES, VALUES, write_sample

from tundish.data.errors import (
    ReaderBrokenError,
    SheetMissingError,
    TableUnreadableError,
)
from tundish.data.readers import check_reader, read_table, read_tables, readers
from tundish.data.readers.reader import HEAD_BYTES, Reader
from tundish.data.readers.text import TextReader
from tundish.data.roles import Named, find_roles
from tundish.data.table import Table


def _reader(path: Path) -> Reader:
    head = path.read_bytes()[:HEAD_BYTES]
    return next(reader for reader in readers() if reader.claims(path.name, head))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_built_in_reader_keeps_the_promises(name: str, tmp_path: Path) -> None:
    sample = write_sample(name, tmp_path)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    with warnings.catch_warnings(action="ignore"):
        check_reader(_reader(sample), sample, damaged)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_read_through_the_front_door(name: str, tmp_path: Path) -> None:
    for table in read_tables(write_sample(name, tmp_path)):
        assert table.name == name
        assert table.frame.height >= ROWS
        assert any(dtype == pl.Float64 for dtype in table.frame.dtypes)


class _NanReader(TextReader):
    def read(self, path: Path, name: str) -> list[Table]:
        frame = pl.DataFrame({"a": [1.0, float("nan")]})
        return [Table(name=name, frame=frame, lines=2)]


class _CrashingReader(TextReader):
    def read(self, path: Path, name: str) -> list[Table]:
        frame = pl.DataFrame({"a": [1.0 / (path.stat().st_size - 6), 2.0]})
        return [Table(name=name, frame=frame, lines=2)]


@pytest.mark.parametrize(
    ("reader", "said"), [(_NanReader(), "NaN"), (_CrashingReader(), "ZeroDivision")]
)
def test_a_reader_that_breaks_a_promise_is_named(
    reader: Reader, said: str, tmp_path: Path
) -> None:
    sample = tmp_path / "t.csv"
    sample.write_bytes(b"x" * 8)
    with pytest.raises(ReaderBrokenError, match=said):
        check_reader(reader, sample, tmp_path)


def _workbook(path: Path, fill: Callable[[xlsxwriter.Workbook], None]) -> Path:
    with xlsxwriter.Workbook(str(path)) as book:
        fill(book)
    return path


def test_a_historian_workbook_is_read_below_its_titles(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        when = book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        sheet = book.add_worksheet("Export")
        sheet.merge_range("A1:D1", "Plant 7, line 2")
        sheet.write_row(2, 0, ["Time", "Flow", "Level", "State"])
        sheet.write_row(3, 0, ["", "l/s", "%", ""])
        for i in range(30):
            sheet.write_datetime(4 + i, 0, datetime(2026, 3, 1, 6, i), when)  # noqa: DTZ001
            sheet.write(4 + i, 1, "Bad Input" if i == 5 else 1.25 * i)
            sheet.write(4 + i, 2, f"{i},5")
            sheet.write(4 + i, 3, "run")
        book.add_worksheet("Empty")

    table = read_table(_workbook(tmp_path / "t.xlsx", fill))
    assert table.frame.columns == ["Time", "Flow", "Level", "State"]
    assert table.units == {"Flow": "l/s", "Level": "%"}
    assert table.states == {"Flow": {"Bad Input": 1}}
    assert table.places["Flow"]["Bad Input"].tolist() == [5]
    assert table.frame["Level"][3] == 3.5
    assert table.first_line == 5
    times = find_roles(table, Named()).times
    assert times is not None
    assert np.datetime_as_string(times.datetimes()[1], unit="m") == "2026-03-01T06:01"


def test_titles_of_groups_are_put_before_repeated_names(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.merge_range("B1:C1", "Reactor 1")
        sheet.merge_range("D1:E1", "Reactor 2")
        sheet.write_row(1, 0, ["Batch", "Temp", "Flow", "Temp", "Flow"])
        for i in range(12):
            sheet.write_row(2 + i, 0, [i, 80.5 + i % 3, i % 4, 70.5 + i % 2, i % 5])

    table = read_table(_workbook(tmp_path / "t.xlsx", fill))
    assert table.frame.columns[1:3] == ["Reactor 1 Temp", "Reactor 1 Flow"]
    assert table.frame["Reactor 2 Temp"][1] == 71.5


def test_day_numbers_without_a_format_are_times(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Date", "Flow"])
        for i in range(12):
            sheet.write_row(1 + i, 0, [46_082 + i / 24, i % 4])

    table = read_table(_workbook(tmp_path / "t.xlsx", fill))
    assert str(table.frame["Date"][1]) == "2026-03-01 01:00:00"
    assert any("days since 1900" in said.what for said in table.assumptions)


def test_thousands_with_commas_are_not_taken_for_decimals(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["n", "mass"])
        for i in range(12):
            sheet.write_row(1 + i, 0, [i, f"{i + 1},250"])

    table = read_table(_workbook(tmp_path / "t.xlsx", fill))
    assert table.frame["mass"].dtype == pl.String


def test_the_largest_table_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    sample = write_sample("t.xlsx", tmp_path)
    table = read_table(sample)
    assert table.part == "Trend"
    assert "Lab (40 x 3)" in table.assumptions[0].why
    assert "--sheet" in table.assumptions[0].otherwise
    assert read_table(sample, sheet="LAB").part == "Lab"
    with pytest.raises(SheetMissingError, match="Trend, Lab"):
        read_table(sample, sheet="Shift")


def test_structures_of_matlab_become_named_tables(tmp_path: Path) -> None:
    batches = np.empty((1, 3), dtype=object)
    for i in range(3):
        batches[0, i] = VALUES[: 10 + i]
    names = np.array([["flow"], ["temp"], ["level"]], dtype=object)
    savemat(
        tmp_path / "t.mat",
        {
            "plant": {"runs": {"good": batches, "tags": names}},
            "bearing": {"sr": 97_656.0, "gs": VALUES[:, :1], "load": VALUES[:, 1:2]},
        },
    )
    found = {table.part: table for table in read_tables(tmp_path / "t.mat")}
    assert set(found) == {"plant.runs.good", "bearing"}
    good = found["plant.runs.good"]
    assert good.unit == "batch"
    assert good.frame.columns == ["batch", "flow", "temp", "level"]
    assert good.frame.height == 33
    assert found["bearing"].frame.columns == ["gs", "load"]
    assert "bearing.sr = 97656.0" in found["bearing"].assumptions[-1].what


def test_matlab_7_3_is_read_upright(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.mat", "w", userblock_size=512) as made:
        signal = made.create_dataset("signal", data=VALUES.T)
        signal.attrs["MATLAB_class"] = np.bytes_("double")
    (table,) = read_tables(tmp_path / "t.mat")
    np.testing.assert_array_equal(table.frame.to_numpy(), VALUES)


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["x"] = VALUES
    (tmp_path / "raw.bin").write_bytes(VALUES.tobytes())
    with h5py.File(tmp_path / "t.h5", "w") as made:
        made["own"] = VALUES
        made["link"] = h5py.ExternalLink("secret.h5", "/x")
        made["soft"] = h5py.SoftLink("/own")
        made.create_dataset(
            "raw", (ROWS, 3), "f8", external=[(str(tmp_path / "raw.bin"), 0, 960)]
        )
    assert [table.part for table in read_tables(tmp_path / "t.h5")] == ["own"]


def test_an_array_of_objects_is_left_out_and_never_unpickled(tmp_path: Path) -> None:
    evil = np.array([{"a": 1}, None], dtype=object)
    np.savez(tmp_path / "t.npz", good=VALUES, evil=evil)
    assert [table.part for table in read_tables(tmp_path / "t.npz")] == ["good"]
    np.save(tmp_path / "t.npy", evil)
    with pytest.raises(TableUnreadableError):
        read_tables(tmp_path / "t.npy")


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        ([{"a": 1, "b": {"c": 2.5, "d": {"e": "x"}}}] * 5, ["a", "b.c", "b.d.e"]),
        ({"rows": [{"a": 1}, {"b": 2}]}, ["a", "b"]),
        ({"t": [1, 2, 3], "flow": [1.5, 2.5, 3.5]}, ["t", "flow"]),
        ({"u1": {"p": 1, "q": 2}, "u2": {"p": 3, "q": 4}}, ["key", "p", "q"]),
        (
            {"t": {"0": 1, "1": 2, "2": 5}, "f": {"0": 3, "1": 4, "2": 6}},
            ["key", "t", "f"],
        ),
        ([[1, 2.5], [3, 4.5]], ["column_1", "column_2"]),
    ],
)
def test_json_in_its_usual_shapes(
    value: object, columns: list[str], tmp_path: Path
) -> None:
    (tmp_path / "t.json").write_text(json.dumps(value), "utf-8")
    assert read_table(tmp_path / "t.json").frame.columns == columns


def test_a_few_broken_json_lines_are_dropped_and_counted(tmp_path: Path) -> None:
    lines = [f'{{"a": {i}, "b": "x"}}' for i in range(100)]
    lines[17] = lines[17][:7]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), "utf-8")
    table = read_table(tmp_path / "t.jsonl")
    assert table.dropped == (18,)
    assert table.frame.height == 99


def test_an_event_log_has_case_activity_and_time(tmp_path: Path) -> None:
    table = read_table(write_sample("t.xes", tmp_path))
    assert table.frame.columns == ["case", "activity", "timestamp", "parts"]
    assert table.frame["case"][8] == "case 1"
    assert table.frame["parts"].dtype == pl.Float64


def test_conditions_messages_and_assets_of_an_adapter(tmp_path: Path) -> None:
    text = (
        "2026-01-01T00:00:00Z|avail|AVAILABLE|mode|AUTOMATIC\n"
        "2026-01-01T00:00:01Z|oil|WARNING|42|2|LOW|oil is low\n"
        "2026-01-01T00:00:02Z|@ASSET@|7|CuttingTool|--multiline--AB\n"
        "<CuttingTool>\n<Life>3|4</Life>\n--multiline--AB\n"
        "2026-01-01T00:00:03Z|note|0815|shift has ended\n"
        "2026-01-01T00:00:04Z|x|UNAVAILABLE|y|2|z|3\n"
    )
    (tmp_path / "log.txt").write_text(text, "utf-8")
    frame = read_table(tmp_path / "log.txt").frame
    assert frame.select("tag", "value").rows() == [
        ("avail", "AVAILABLE"),
        ("mode", "AUTOMATIC"),
        ("oil", "WARNING 42 2 LOW oil is low"),
        ("note", "shift has ended"),
        ("x", "UNAVAILABLE"),
        ("y", "2"),
        ("z", "3"),
    ]


def test_numbers_below_a_long_text_are_found(tmp_path: Path) -> None:
    text = "\n".join(f"Line {i}: about this, and that" for i in range(20))
    rows = "\n".join(f" {i}.5   {i % 3}   {-i}" for i in range(6))
    (tmp_path / "t.dat").write_text(f"{text}\n A  B  C\n------\n{rows}\n", "utf-8")
    table = read_table(tmp_path / "t.dat")
    assert table.frame.columns == ["A", "B", "C"]
    assert table.frame.height == 6


def test_lines_with_different_counts_of_numbers_are_ragged(tmp_path: Path) -> None:
    rows = "\n".join(" ".join(["7"] * (3 + i * i % 9)) for i in range(12))
    (tmp_path / "t.txt").write_text(rows, "utf-8")
    with pytest.raises(TableUnreadableError, match="ragged"):
        read_table(tmp_path / "t.txt")


def test_tables_of_columns_and_rows_are_found_in_a_json_by_their_names(
    tmp_path: Path,
) -> None:
    one = {"columns": ["x", "y"], "rows": [[1, 2.5], [2, None]], "coded": False}
    two = {"columns": ["a"], "data": [["red"], ["blue"], ["red"]]}
    whole = {
        "about": "two experiments",
        "experiments": [
            {"name": "first", "runs": one},
            {"name": "second", "runs": two},
        ],
    }
    (tmp_path / "book.json").write_text(json.dumps(whole), "utf-8")
    first, second = read_tables(tmp_path / "book.json")
    assert (first.part, second.part) == ("first", "second")
    assert first.frame.rows() == [(1.0, 2.5), (2.0, None)]
    assert read_table(tmp_path / "book.json", sheet="second").frame.height == 3


def test_rows_that_do_not_fit_their_columns_are_no_table(tmp_path: Path) -> None:
    ragged = {"runs": {"columns": ["x", "y"], "rows": [[1, 2], [3]]}}
    (tmp_path / "t.json").write_text(json.dumps(ragged), "utf-8")
    with pytest.raises(TableUnreadableError):
        read_table(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("place", "shape"),
    [
        ("polymer-umetrics-proc1a/proc1a.xls", (92, 35)),
        ("production-event-log/Production.xes", (9906, 10)),
        ("mtconnect-okuma-lathe/okuma.txt", (25507, 3)),
        ("assetopsbench/chiller6_june2020_sensordata_couchdb.jsonl", (2896, 14)),
        ("failuresensoriq-qa/single_answer.json", (940, 119)),
        ("nist-dataplot-spc-doe/BOXSPRINGS_3_8.DAT", (8, 4)),
        ("nist-dataplot-spc-doe/MANDEL30.DAT", (7, 3)),
    ],
)
def test_real_files_come_in_whole(
    place: str, shape: tuple[int, int], real_sets: Path
) -> None:
    assert read_table(real_sets / place).frame.shape == shape
