"""Reading tables as plants write them, and refusing what is no table."""

from __future__ import annotations

import gzip
import io
import tomllib
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tundish.data.errors import TableUnreadableError
from tundish.data.readers import read_table, read_text
from tundish.data.readers.reader import BUILT_IN
from tundish.data.table import Table
from tundish.kernel.errors import PathMissingError, TundishError

FLOATS = st.floats(
    allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12
)
CELLS = st.one_of(FLOATS, st.none())


@st.composite
def _tables(draw: st.DrawFn) -> list[list[float | None]]:
    columns = draw(st.integers(2, 6))
    rows = draw(st.integers(3, 30))
    values = [[draw(CELLS) for _ in range(columns)] for _ in range(rows)]
    values[0] = [draw(FLOATS) for _ in range(columns)]
    return values


def _written(
    rows: list[list[float | None]], separator: str, *, comma: bool, header: bool
) -> str:
    def cell(value: float | None) -> str:
        if value is None:
            return ""
        text = repr(float(value))
        return text.replace(".", ",") if comma else text

    names = [separator.join(f"tag_{i}" for i in range(len(rows[0])))] if header else []
    return "\n".join([*names, *(separator.join(map(cell, row)) for row in rows)]) + "\n"


def _expected(rows: list[list[float | None]]) -> np.ndarray:
    return np.asarray([[np.nan if v is None else v for v in row] for row in rows])


@settings(max_examples=120, deadline=None)
@given(
    rows=_tables(),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    comma=st.booleans(),
    header=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)
def test_a_table_survives_separator_decimal_mark_and_encoding(
    rows: list[list[float | None]],
    separator: str,
    comma: bool,
    header: bool,
    encoding: str,
) -> None:
    comma = comma and separator != ","
    text = _written(rows, separator, comma=comma, header=header)
    table = read_text(text.encode(encoding), "t.csv")
    values = _expected(rows)
    kept = ~np.isnan(values).all(axis=0)
    got = table.frame.cast(pl.Float64, strict=False).to_numpy()
    if not header:  # a column without name and value is left out
        values = values[:, kept]
    filled = ~np.isnan(values).all(axis=1)
    np.testing.assert_array_equal(got[: filled.sum()], values[filled])


@given(data=st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_end_in_a_table_or_in_one_sentence(data: bytes) -> None:
    try:
        table = read_text(data, "x.csv")
    except TundishError as caught:
        refused = caught
        one_sentence = bool(refused.code) and "\n" not in refused.one_line()
        assert one_sentence
    else:
        assert table.frame.height > 0


@given(text=st.text(alphabet='0123456789.,;\t"\n -aé', max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_of_table_letters_ends_in_a_table_or_in_one_sentence(
    text: str,
) -> None:
    with suppress(TundishError):
        assert read_text(text.encode(), "x.csv").frame.height > 0


def test_text_states_become_missing_and_are_counted() -> None:
    text = "time,flow\n" + "".join(
        f"2026-01-01 00:{i:02d}:00,{'Bad Input' if i in {3, 7} else i / 2}\n"
        for i in range(40)
    )
    table = read_text(text.encode(), "t.csv")
    assert table.frame["flow"].dtype == pl.Float64
    assert table.states == {"flow": {"Bad Input": 2}}
    assert table.frame["flow"].null_count() == 2


def test_words_for_nothing_are_missing_but_no_states() -> None:
    text = "a;b\n" + "1,5;-\n2,5;NaN\n3,5;7,0\n4,5;8,0\n"
    table = read_text(text.encode(), "t.csv")
    assert table.frame["a"].to_list() == [1.5, 2.5, 3.5, 4.5]
    assert table.frame["b"].to_list() == [None, None, 7.0, 8.0]
    assert table.states == {}
    assert table.missing_words == {"b": 2}


def test_thousands_points_in_a_decimal_comma_file() -> None:
    table = read_text(b"a;b\n1.234,5;1\n2.000,0;2\n-7,25;3\n", "t.csv")
    assert table.frame["a"].to_list() == [1234.5, 2000.0, -7.25]


def test_a_units_row_is_kept_as_units() -> None:
    text = "time;Flow;Temp\n;l/s;degC\n" + "".join(
        f"{i};{i}.5;{20 + i}.1\n" for i in range(9)
    )
    table = read_text(text.encode(), "t.csv")
    assert table.units == {"Flow": "l/s", "Temp": "degC"}
    assert table.frame.height == 9


def test_units_in_brackets_are_read_from_the_header() -> None:
    table = read_text(b"t (s),Flow [l/s],Name (old one)\n0,1.5,2\n1,1.6,3\n", "t.csv")
    assert table.units == {"t (s)": "s", "Flow [l/s]": "l/s"}


def test_a_file_without_header_keeps_its_first_row() -> None:
    table = read_text(b"1.5,2\n1.6,3\n1.7,4\n", "t.csv")
    assert table.frame.columns == ["column_1", "column_2"]
    assert table.frame.height == 3
    assert any("no header" in a.what for a in table.assumptions)


def test_a_spectrum_header_of_numbers_is_a_header() -> None:
    axis = ",".join(str(400 + 2 * i) for i in range(30))
    rows = "\n".join(
        ",".join(f"{0.1 + 0.01 * ((i * 7 + j * 3) % 11):.3f}" for i in range(30))
        for j in range(5)
    )
    table = read_text(f"{axis}\n{rows}\n".encode(), "t.csv")
    assert table.frame.columns[0] == "400"
    assert table.frame.height == 5


def test_quoted_fields_may_hold_separators_quotes_and_line_breaks() -> None:
    text = 'name,value\n"a, ""b""\nc",1.5\nplain,2.5\n"d,e",3.5\n'
    table = read_text(text.encode(), "t.csv")
    assert table.frame["name"].to_list() == ['a, "b"\nc', "plain", "d,e"]
    assert table.frame["value"].to_list() == [1.5, 2.5, 3.5]


def test_an_inch_mark_does_not_swallow_the_rest_of_the_file() -> None:
    text = 'size,value\n5" pipe,1\n6 pipe,2\n7 pipe,3\n'
    table = read_text(text.encode(), "t.csv")
    assert table.frame["value"].to_list() == [1.0, 2.0, 3.0]


def test_white_space_separates_when_nothing_else_does() -> None:
    table = read_text(b"  1.0   2.0\n  3.0   4.0\n -1e-3  5\n", "t.dat")
    assert table.frame.to_numpy().tolist() == [[1, 2], [3, 4], [-0.001, 5]]


def test_a_preamble_and_a_rule_above_the_data_are_stepped_over() -> None:
    text = "This is a file\nof some laboratory, 1995\n\nX  Y\n-----\n" + "\n".join(
        f"{i}.0 {i * 2}.5" for i in range(12)
    )
    table = read_text(text.encode(), "t.dat")
    assert table.frame.columns == ["X", "Y"]
    assert table.frame.height == 12
    assert any("preamble" in a.what for a in table.assumptions)


@pytest.mark.parametrize("mark", [";", ",", "\t"])
@pytest.mark.parametrize("columns", [2, 3])
def test_the_line_that_names_the_separator_is_no_record(
    mark: str, columns: int
) -> None:
    """Of two columns it has as many fields as a record: the header became a value."""
    names = ["Zeit", "Wert", "Druck"][:columns]
    rows = [[f"2026-03-{i:02d} 10:00", f"{i}", f"{2 * i}"] for i in range(1, 29)]
    lines = [f"sep={mark}", mark.join(names), *(mark.join(r[:columns]) for r in rows)]
    table = read_text("\r\n".join(lines).encode(), "export.csv")
    assert table.frame.columns == names
    assert table.frame["Wert"].to_list() == [float(i) for i in range(1, 29)]
    assert any("name a separator" in a.why for a in table.assumptions)


def test_chinese_text_in_gb18030_is_read() -> None:
    text = "时间,流量,状态\n" + "".join(f"{i},{i}.5,正常\n" for i in range(9))
    table = read_text(text.encode("gb18030"), "t.csv")
    assert table.frame.columns == ["时间", "流量", "状态"]
    assert table.frame["状态"][0] == "正常"


def test_a_few_ragged_lines_are_dropped_and_counted() -> None:
    lines = ["a,b,c"] + [f"{i},{i},{i}" for i in range(100)]
    lines[50] = "50,50"
    lines[60] = "60,60,60,60"
    table = read_text("\n".join(lines).encode(), "t.csv")
    assert table.dropped == (51, 61)
    assert table.frame.height == 98
    assert table.unreadable_share == pytest.approx(0.02)


def test_a_ragged_file_is_refused_with_its_first_bad_line() -> None:
    lines = ["a,b,c"] + [",".join(["1"] * (1 + i % 5)) for i in range(60)]
    with pytest.raises(TableUnreadableError, match="ragged: line"):
        read_text("\n".join(lines).encode(), "t.csv")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"  \n\n \n", "is empty"),
        (b"a,b\n", "no record"),
        (b"\x00\x01\x02\x03" * 50, "no text"),
        (b"a,b\n1,2\n\x00\x00\x00\n3,4\n", "no text"),
        (b"PK\x03\x04rest", "Excel"),
        (b"\xd0\xcf\x11\xe0rest", "Excel"),
        (b'{"a": 1}', "JSON"),
        (b'[\n {"a": 1}]', "JSON"),
        (b"%PDF-1.7 x", "PDF"),
        (b"<html><body>", "web page"),
    ],
)
def test_what_is_no_table_is_named(data: bytes, said: str) -> None:
    with pytest.raises(TableUnreadableError, match=said):
        read_text(data, "x.csv")


def test_a_wrong_path_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError):
        read_table(tmp_path / "none.csv")
    with pytest.raises(PathMissingError, match="a folder"):
        read_table(tmp_path)


def test_parquet_gzip_and_zip_give_the_same_table(tmp_path: Path) -> None:
    plain = b"time,flow\n2026-01-01T00:00:00Z,1.5\n2026-01-01T01:00:00Z,\n"
    (tmp_path / "t.csv").write_bytes(plain)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(plain))
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("__MACOSX/._t.csv", b"x")
        archive.writestr("t.csv", plain)
    want = read_table(tmp_path / "t.csv").frame
    want.write_parquet(tmp_path / "t.parquet")
    for name in ("t.csv.gz", "t.zip", "t.parquet"):
        assert read_table(tmp_path / name).frame.equals(want), name


def test_a_zip_of_files_of_one_form_is_one_table_with_their_names(
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("run1.csv", b"a,b\n1,2\n")
        archive.writestr("run2.csv", b"a,b\n3,4\n5,6\n")
    table = read_table(tmp_path / "t.zip")
    assert table.frame["file"].to_list() == ["run1", "run2", "run2"]
    assert table.frame["b"].to_list() == [2.0, 4.0, 6.0]
    assert table.unit == "file"


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_truncated_packed_files_are_one_clear_error(tmp_path: Path, cut: int) -> None:
    out = io.BytesIO()
    pl.DataFrame({"a": [1.0, 2.0] * 50}).write_parquet(out)
    (tmp_path / "t.parquet").write_bytes(out.getvalue()[:-cut])
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[:-cut])
    for name in ("t.parquet", "t.csv.gz"):
        with pytest.raises(TableUnreadableError):
            read_table(tmp_path / name)


def test_ten_thousand_columns_are_read() -> None:
    names = ",".join(f"t{i}" for i in range(10_000))
    row = ",".join("1.5" for _ in range(10_000))
    table = read_text(f"{names}\n{row}\n{row}\n".encode(), "wide.csv")
    assert table.frame.shape == (2, 10_000)


def test_a_reader_can_be_plugged_in(tmp_path: Path) -> None:
    class Backwards:
        name = "backwards"
        alone_above = None

        def claims(self, name: str, head: bytes) -> bool:
            return name.endswith(".vsc")

        def read(self, path: Path, name: str) -> list[Table]:
            return [read_text(path.read_bytes()[::-1], name)]

    (tmp_path / "t.vsc").write_bytes(b"a,b\n1,2\n3,4\n"[::-1])
    table = read_table(tmp_path / "t.vsc", readers=(Backwards(),))
    assert table.frame.columns == ["a", "b"]


def test_the_built_in_readers_are_the_entry_points_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    declared = tomllib.loads(text)["project"]["entry-points"]["tundish.readers"]
    assert declared == {point.name: point.value for point in BUILT_IN}


def test_a_column_that_is_named_count_may_hold_states() -> None:
    text = "time,count\n" + "".join(f"{i},{i}\n" for i in range(9)) + "9,Bad\n"
    table = read_text(text.encode(), "counts.csv")
    assert table.states == {"count": {"Bad": 1}}
