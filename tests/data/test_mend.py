"""Laws of mending: only what findings name, nothing invented, and once is enough."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tundish.data import mended
from tundish.data.grade.asked import Asked
from tundish.data.grade.file import graded_table
from tundish.data.mend import Mended, mend_table
from tundish.data.readers import read_table
from tundish.data.roles import Named
from tundish.data.table import Table

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ROWS = 2000


def _mend(table: Table, named: Named | None = None) -> Mended:
    return mend_table(
        table,
        lambda held: graded_table(held, named or Named(), Asked(now=NOW, deep=False)),
    )


def _mend_file(path: Path, into: Path) -> Mended:
    table = read_table(path)
    made = _mend(table)
    mended.write(path, table, made.edits, into)
    return made


def _signals(seed: int = 0, rows: int = ROWS) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(seed).normal(size=(rows, 4))
    walk = np.cumsum(noise, axis=0) * 0.1 + noise
    return {
        "Flow": (50 + walk[:, 0]).round(3),
        "Level": (3 + 0.1 * walk[:, 1]).round(4),
        "Power": (200 + 5 * walk[:, 2]).round(2),
        "Temp [degC]": (80 + walk[:, 3]).round(2),
    }


def _times(rows: int = ROWS) -> list[str]:
    start = np.datetime64("2026-03-01T00:00:00")
    return [f"{start + np.timedelta64(60 * i, 's')}Z" for i in range(rows)]


def _lines(columns: dict[str, np.ndarray], times: list[str] | None) -> list[str]:
    names = ["Time", *columns] if times else list(columns)
    cells = [list(map(str, values.tolist())) for values in columns.values()]
    rows = zip(*([times, *cells] if times else cells), strict=True)
    return [",".join(names), *(",".join(row) for row in rows)]


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def clean() -> list[str]:
    return _lines(_signals(), _times())


def _changed(before: list[str], after: list[str]) -> list[int]:
    return [i for i, pair in enumerate(zip(before, after, strict=True)) if len({*pair}) > 1]  # fmt: skip


def test_a_clean_file_is_copied_byte_by_byte(tmp_path: Path, clean: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\r\n".join(clean).encode("utf-16"))
    made = _mend_file(path, tmp_path / "b.csv")
    assert made.steps == ()
    assert (tmp_path / "b.csv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "column", "rows", "value"),
    [
        ("code-value", 1, [40, 900, 1500], "-9999"),
        ("impossible", 4, [40, 900], "-280"),
        ("spike", 3, [700], "900"),
        ("text-state", 2, [40, 41, 1600], "Bad Input"),
        ("stuck", 1, list(range(400, 700)), "50.123"),
    ],
)
def test_cells_that_cannot_be_true_become_empty_and_no_other_line_changes(
    tmp_path: Path,
    clean: list[str],
    kind: str,
    column: int,
    rows: list[int],
    value: str,
) -> None:
    lines = list(clean)
    for row in rows:
        cells = lines[row + 1].split(",")
        cells[column] = value
        lines[row + 1] = ",".join(cells)
    path = _write(tmp_path / "a.csv", lines)
    made = _mend_file(path, tmp_path / "b.csv")
    after = (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()
    assert [step.kind for step in made.steps] == [kind]
    assert made.steps[0].cells == len(rows)
    assert _changed(lines, after) == [row + 1 for row in rows]
    for row in rows:
        cells = lines[row + 1].split(",")
        cells[column] = ""
        assert after[row + 1] == ",".join(cells)
    if kind == "text-state":
        assert made.steps[0].states == {"Bad Input": 3}


def test_what_a_reader_would_not_keep_stays_as_it_was_written(tmp_path: Path) -> None:
    """Leading zeros, quotes, long numbers and decimal commas are not numbers to us."""
    lines = ['Batch;"Note; free";Serial;Flow;Level']
    flows = _signals()
    for i in range(200):
        flow = f"{flows['Flow'][i]}".replace(".", ",")
        level = f"{flows['Level'][i]}".replace(".", ",")
        lines.append(f'00{i};"a; ""b"" {i}";98765432109876543210;{flow};{level}')
    lines.insert(50, lines[20])
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join(lines).encode("cp1252"))
    made = _mend_file(path, tmp_path / "b.csv")
    assert [step.kind for step in made.steps] == ["duplicate-row"]
    del lines[50]
    after = (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()
    assert after == lines


def test_units_and_preamble_stand_above_the_mended_values(tmp_path: Path) -> None:
    lines = _lines(_signals(), None)
    above = ["Export of line 4", lines[0], "l/s,m,kW,degC"]
    whole = [*above, *lines[1:], lines[7]]
    path = _write(tmp_path / "a.csv", whole)
    _mend_file(path, tmp_path / "b.csv")
    after = (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()
    assert after == whole[:-1]
    assert read_table(tmp_path / "b.csv").units == read_table(path).units != {}


def test_rows_of_one_time_are_merged_if_they_do_not_contradict(
    tmp_path: Path, clean: list[str]
) -> None:
    lines = list(clean)
    one, two = lines[100].split(","), lines[100].split(",")
    one[2], two[3], two[4] = "", "", ""
    lines[100:101] = [",".join(one), ",".join(two)]
    path = _write(tmp_path / "a.csv", lines)
    made = _mend_file(path, tmp_path / "b.csv")
    assert [(s.kind, s.rows, s.cells) for s in made.steps] == [("duplicate-time", 1, 1)]
    assert (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines() == clean


def test_rows_of_one_time_that_contradict_stay_and_the_reason_is_said(
    tmp_path: Path, clean: list[str]
) -> None:
    lines = list(clean)
    other = lines[100].split(",")
    other[2] = "3.3333"
    lines.insert(101, ",".join(other))
    made = _mend_file(_write(tmp_path / "a.csv", lines), tmp_path / "b.csv")
    assert made.steps == ()
    (stays,) = [item for item in made.unmended if item.kind == "duplicate-time"]
    assert "different values" in stays.why


def test_rows_are_put_in_order_of_time(tmp_path: Path, clean: list[str]) -> None:
    lines = [clean[0], *clean[501:1001], *clean[1:501], *clean[1001:]]
    made = _mend_file(_write(tmp_path / "a.csv", lines), tmp_path / "b.csv")
    assert [step.kind for step in made.steps] == ["backward-time"]
    assert (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines() == clean


def test_a_row_without_any_cell_left_is_still_a_row(tmp_path: Path) -> None:
    lines = _lines(_signals(), None)
    codes = {5: "-9999,-9999,-9999,-9999", 9: "-9999,-9999,-9999,-9999"}
    for row, line in codes.items():
        lines[row] = line
    path = _write(tmp_path / "a.csv", lines)
    _mend_file(path, tmp_path / "b.csv")
    assert read_table(tmp_path / "b.csv").frame.height == ROWS - 1


def test_ragged_lines_are_left_out_and_counted(
    tmp_path: Path, clean: list[str]
) -> None:
    lines = [*clean[:30], "a,b", *clean[30:]]
    made = _mend_file(_write(tmp_path / "a.csv", lines), tmp_path / "b.csv")
    assert [(step.kind, step.rows) for step in made.steps] == [("ragged", 1)]
    assert (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines() == clean


@pytest.mark.parametrize("moved", [False, True])
def test_parquet_keeps_its_types_and_metadata(tmp_path: Path, moved: bool) -> None:
    columns = _signals()
    columns["Flow"][[5, 900]] = -9999
    count = pa.array(np.arange(ROWS) % 97, type=pa.int16())
    start = np.datetime64("2026-03-01T00:00:00", "us")
    order = np.arange(ROWS)
    if moved:
        order[200:400] = order[200:400][::-1]
    times = start + order * np.timedelta64(60, "s")
    made = {"Time": pa.array(times), **columns, "Count": count}
    table = pa.table(made).replace_schema_metadata({"site": "north"})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    done = _mend_file(tmp_path / "a.parquet", tmp_path / "b.parquet")
    after = pq.read_table(tmp_path / "b.parquet")
    assert after.schema.equals(table.schema, check_metadata=True)
    assert after["Flow"].null_count == 2
    kinds = ["code-value", "backward-time"] if moved else ["code-value"]
    assert [step.kind for step in done.steps] == kinds
    back = np.argsort(order)
    assert after["Level"].to_pylist() == columns["Level"][back].tolist()
    assert after["Count"].to_pylist() == (np.arange(ROWS) % 97)[back].tolist()


def test_a_file_of_another_kind_is_written_as_csv(tmp_path: Path) -> None:
    frame = pl.DataFrame(_signals())
    frame = pl.concat([frame, frame[:7]])
    frame.write_excel(tmp_path / "a.xlsx")
    table = read_table(tmp_path / "a.xlsx")
    made = _mend(table)
    name = mended.file_name(tmp_path / "a.xlsx", table, made.edits)
    assert name == "a.xlsx.csv"
    mended.write(tmp_path / "a.xlsx", table, made.edits, tmp_path / name)
    again = read_table(tmp_path / name)
    assert again.frame.equals(table.frame[:ROWS])


FAULTS = st.lists(
    st.sampled_from(["copy", "code", "spike", "stuck", "text", "swap", "twice"]),
    min_size=1,
    max_size=5,
)


def _broken(seed: int, faults: list[str]) -> list[str]:
    columns, rng = _signals(seed, 600), np.random.default_rng(seed)
    lines = _lines(columns, _times(600))
    for fault in faults:
        at = int(rng.integers(20, 400))
        cells = lines[at].split(",")
        column = int(rng.integers(1, 5))
        if fault in {"code", "spike", "text"}:
            for row in {"code": (at, at + 9), "spike": (at,), "text": (at,)}[fault]:
                cells = lines[row].split(",")
                cells[column] = {"code": "-9999", "spike": "4000", "text": "Bad"}[fault]
                lines[row] = ",".join(cells)
        elif fault == "stuck":
            for row in range(at, at + 90):
                moving = lines[row].split(",")
                moving[column] = cells[column]
                lines[row] = ",".join(moving)
        elif fault == "swap":
            lines[at], lines[at + 30] = lines[at + 30], lines[at]
        elif fault == "copy":
            lines.insert(at, lines[at])
        else:
            cells[column] = ""
            lines.insert(at, ",".join(cells))
    return lines


@given(st.integers(0, 10_000), FAULTS)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_mending_a_mended_file_changes_nothing_and_no_value_is_new(
    tmp_path: Path, seed: int, faults: list[str]
) -> None:
    lines = _broken(seed, faults)
    path = _write(tmp_path / "a.csv", lines)
    for name in ("b.csv", "c.csv"):
        (tmp_path / name).unlink(missing_ok=True)
    _mend_file(path, tmp_path / "b.csv")
    again = _mend_file(tmp_path / "b.csv", tmp_path / "c.csv")
    assert again.steps == ()
    assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    known: dict[str, set[tuple[int, str]]] = {
        line.split(",")[0]: set() for line in lines
    }
    for line in lines:
        time, *cells = line.split(",")
        known[time] |= set(enumerate(cells))
    for line in (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines():
        time, *cells = line.split(",")
        assert {(i, c) for i, c in enumerate(cells) if c} <= known[time]


def test_a_file_with_one_line_per_value_is_mended_in_its_lines(tmp_path: Path) -> None:
    columns, times = _signals(), _times()
    columns["Flow"][400:700] = columns["Flow"][400]
    columns["Level"][[30, 900]] = -9999
    lines = ["tag;timestamp;value;quality"]
    texts = {name: list(map(str, values.tolist())) for name, values in columns.items()}
    texts["Power"][77] = "Bad Input"
    lines += [
        f"{name};{times[i]};{texts[name][i]};Good"
        for i in range(ROWS)
        for name in texts
    ]
    path = _write(tmp_path / "a.csv", lines)
    made = _mend_file(path, tmp_path / "b.csv")
    found = {(step.kind, step.tags): step.cells for step in made.steps}
    assert found == {
        ("text-state", ("value",)): 1,
        ("code-value", ("Level",)): 2,
        ("stuck", ("Flow",)): 300,
    }
    after = (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()
    changed = _changed(lines, after)
    assert len(changed) == 303
    for i in changed:
        tag, time, _, quality = lines[i].split(";")
        assert after[i] == f"{tag};{time};;{quality}"
    assert _mend_file(tmp_path / "b.csv", tmp_path / "c.csv").steps == ()


def test_real_copies_are_dropped(tmp_path: Path, real_sets: Path) -> None:
    path = real_sets / "concrete-strength" / "cement_strength.txt"
    made = _mend_file(path, tmp_path / "b.txt")
    assert [(step.kind, step.rows) for step in made.steps] == [("duplicate-row", 25)]
    before = path.read_text(encoding="utf-8").splitlines()
    after = (tmp_path / "b.txt").read_text(encoding="utf-8").splitlines()
    assert after == list(dict.fromkeys(before))


def test_an_equal_row_of_a_batch_may_be_its_next_sample(
    tmp_path: Path, real_sets: Path
) -> None:
    made = _mend_file(real_sets / "batch-nylon" / "nylon.csv", tmp_path / "b.csv")
    assert made.steps == ()
    assert not {f.kind for f in made.after.findings} & {"duplicate-row"}


def test_a_real_process_is_mended_once(tmp_path: Path, real_sets: Path) -> None:
    path = real_sets / "bibmon-real-process" / "real_process_data.csv"
    made = _mend_file(path, tmp_path / "b.csv")
    assert {"text-state", "stuck"} <= {step.kind for step in made.steps}
    assert not {"stuck", "text-state"} & {f.kind for f in made.after.findings}
    assert _mend_file(tmp_path / "b.csv", tmp_path / "c.csv").steps == ()
