"""Folders: what belongs together, what is left aside, what kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from tundish.data.errors import (
    ColumnMissingError,
    SheetMissingError,
    TableUnreadableError,
)
from tundish.data.folder import folder_kind, read_folder
from tundish.data.grade.asked import Asked
from tundish.data.grade.folder import graded_folder
from tundish.data.roles import Named

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
PROSE = "This file says in plain words what the other files hold.\n" * 5


def _batch(rows: int, start: int = 0) -> str:
    lines = (f"{i},{20 + (i * 7 + start) % 5}.5,{i % 3}" for i in range(rows))
    return "minute,temp,step\n" + "\n".join(lines) + "\n"


def _write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(data)
    return folder


def test_files_of_one_form_are_batches_named_by_their_file(tmp_path: Path) -> None:
    files = {f"batch_{i}.csv": _batch(10 + i, i) for i in (2, 10, 1)}
    folder = read_folder(_write(tmp_path, {**files, "README.md": PROSE}))
    (table,) = folder.tables
    assert table.unit == "file"
    names = table.frame["file"].unique(maintain_order=True).to_list()
    assert names == ["batch_1", "batch_2", "batch_10"]
    assert table.frame.height == 11 + 12 + 20
    assert [item.file for item in folder.left] == ["README.md"]
    assert any(
        "each file is a unit" in said.what for said in folder.tables[0].assumptions
    )


def test_files_that_follow_one_another_in_time_are_one_record(tmp_path: Path) -> None:
    def day(number: int) -> str:
        lines = (
            f"2026-01-{number:02d} {h:02d}:{m:02d}:00,{h + m / 60:.2f}"
            for h in range(24)
            for m in range(0, 60, 10)
        )
        return "time,flow\n" + "\n".join(lines) + "\n"

    files = {f"d{n}.csv": day(n) for n in (3, 1, 2)}
    (table,) = read_folder(_write(tmp_path, files)).tables
    assert table.unit == ""
    times = table.frame["time"].to_list()
    assert times == sorted(times)
    assert table.frame["file"].unique(maintain_order=True).to_list() == [
        "d1",
        "d2",
        "d3",
    ]


def test_batches_with_a_pause_between_them_stay_units(tmp_path: Path) -> None:
    def batch(day: int) -> str:
        lines = (f"2026-01-{day:02d} 06:{m:02d}:00,{m % 7}.5" for m in range(40))
        return "time,flow\n" + "\n".join(lines) + "\n"

    files = {f"b{n}.csv": batch(n) for n in (1, 2, 5)}
    (table,) = read_folder(_write(tmp_path, files)).tables
    assert table.unit == "file"


def test_units_within_files_keep_both_names(tmp_path: Path) -> None:
    def engines(count: int) -> str:
        lines = (
            f"{unit},{cycle},{(cycle * 7 + unit) % 11}.25"
            for unit in range(1, count + 1)
            for cycle in range(1, 12)
        )
        return "unit,cycle,speed\n" + "\n".join(lines) + "\n"

    files = {"fleet_a.csv": engines(4), "fleet_b.csv": engines(6)}
    (table,) = read_folder(_write(tmp_path, files)).tables
    assert table.frame["file"].n_unique() == 10
    assert table.frame["file"][0] == "fleet_a/1"


def test_signals_without_header_are_not_taken_for_batches(tmp_path: Path) -> None:
    def matrix(level: int) -> str:
        return "\n".join(
            "\t".join(f"{level + (r * 3 + c) % 7 / 10:.2f}" for c in range(6))
            for r in range(30)
        )

    files = {f"TS{i}.txt": matrix(level) for i, level in enumerate((5, 40, 300))}
    assert len(read_folder(_write(tmp_path, files)).tables) == 3
    alike = tmp_path / "alike"
    files = {f"run{i}.txt": matrix(5) for i in range(3)}
    assert len(read_folder(_write(alike, files)).tables) == 1


def test_a_folder_without_a_table_says_why(tmp_path: Path) -> None:
    with pytest.raises(TableUnreadableError, match="holds no file"):
        read_folder(tmp_path)
    _write(
        tmp_path, {"a.py": "import os\n", "README": PROSE, "model.pkl": b"\x80\x04."}
    )
    with pytest.raises(TableUnreadableError, match="None of the 3 files"):
        read_folder(tmp_path)


def test_links_and_hidden_files_are_not_followed(tmp_path: Path) -> None:
    outside = _write(tmp_path / "outside", {"secret.csv": _batch(9)})
    inside = _write(tmp_path / "inside", {"a.csv": _batch(9), ".b.csv": _batch(9)})
    (inside / "link.csv").symlink_to(outside / "secret.csv")
    (inside / "loop").symlink_to(inside)
    (table,) = read_folder(inside).tables
    assert table.part == "a.csv"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"a.csv": "a,b\n1,2\n3,4\n", "notes.txt": PROSE}, "tables"),
        ({f"ok/{i}.png": PNG for i in range(4)}, "images"),
        (
            {f"{i}{end}": PNG if end == ".png" else "1 2 3 4 5\n" for i in range(4) for end in (".png", ".txt")},
            "images",
        ),
        ({f"{i}.txt": PROSE for i in range(4)}, "texts"),
        ({"q.jsonl": '{"question": "why?", "answer": "so"}\n' * 3}, "texts"),
        ({"a.png": PNG, "b.png": PNG, "x.csv": "a,b\n1,2\n3,4\n"}, "mixed"),
    ],
)  # fmt: skip
def test_the_kind_of_a_folder(
    files: dict[str, str | bytes], kind: str, tmp_path: Path
) -> None:
    assert folder_kind(_write(tmp_path, files)) == kind


def test_one_report_grades_each_table_as_its_own(tmp_path: Path, now: datetime) -> None:
    lab = "sample,purity,colour,age\n" + "\n".join(
        f"s{i},{90 + i % 7}.1,{i % 5}.2,{i}.0" for i in range(30)
    )
    folder = read_folder(
        _write(tmp_path, {"r1.csv": _batch(30), "r2.csv": _batch(40), "lab.csv": lab})
    )
    report = graded_folder(folder, Named(), Asked(now=now)).report
    assert report.tables == {"lab.csv": 30, "r1 and 1 more": 70}
    with pytest.raises(ColumnMissingError, match="--unit"):
        graded_folder(folder, Named(unit="nothing"), Asked(now=now))
    chosen = graded_folder(folder, Named(unit="sample"), Asked(now=now)).report
    assert chosen.tables == report.tables


def test_a_table_of_a_folder_can_be_named(tmp_path: Path) -> None:
    files = {"a/x.csv": _batch(5), "y.csv": "p,q,r,s\n1,2,3,4\n5,6,7,8\n"}
    folder = _write(tmp_path, files)
    (table,) = read_folder(folder, sheet="Y.csv").tables
    assert table.frame.columns == ["p", "q", "r", "s"]
    with pytest.raises(SheetMissingError, match=r"a/x\.csv"):
        read_folder(folder, sheet="z.csv")


@pytest.mark.parametrize(
    ("key", "shapes"),
    [
        ("cmapss", {(200, 2), (75043, 27)}),
        ("production-plant-ppd", {(74875, 27)}),
        ("skab", {(9405, 9), (37401, 12)}),
        ("tep-braatz", {(52, 500), (31200, 53)}),
    ],
)
def test_real_folders_come_together(
    key: str, shapes: set[tuple[int, int]], real_sets: Path
) -> None:
    folder = read_folder(real_sets / key)
    assert {table.frame.shape for table in folder.tables} == shapes
