"""Each real set that is here loads to typed data, and a broken copy of one does not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry, HandSource
from tundish.data.fetch import cache as cache_state
from tundish.data.load import load
from tundish.data.sets.loaded import LoadedSet
from tundish.kernel import settings
from tundish.kernel.errors import TundishError

TYPES = {
    "number": pl.Float64(),
    "whole": pl.Int64(),
    "text": pl.String(),
    "time": pl.Datetime("us", "UTC"),
}
# The folder of the tests has half of it: FD001 and FD003.
IN_PART = {"cmapss"}
KEYS = [
    "aeration-rate-spc", "assetopsbench", "batch-dryer", "batch-nylon",
    "bibmon-real-process", "cmapss", "concrete-slump", "concrete-strength",
    "debutanizer-column", "deeppcb-subset", "dtu-pectin-ftir", "failuresensoriq-qa",
    "fjsp-instances", "gasoline-nir-octane", "hydraulic-zema",
    "ikv-injection-molding-bricks", "kamyr-digester-full", "mtconnect-okuma-lathe",
    "nist-dataplot-spc-doe", "nist-excavator-vocab", "openmv-batch-yield-purity",
    "openmv-cheddar-cheese", "openmv-ldpe", "openmv-rubber-colour", "openmv-solvents",
    "openmv-tablet-nir", "pet-yarn-nir", "polymer-pilot-plant",
    "polymer-umetrics-proc1a", "production-event-log", "production-plant-ppd",
    "pyphi-tpls-pharma", "skab", "steam-flow-pattern", "steam-generator-abbott",
    "tclab-heater", "tep-braatz", "wzl-milling-parameters",
]  # fmt: skip


@cache
def _entry(key: str) -> DatasetEntry:
    return library.dataset(key)


def _loaded(key: str, root: Path) -> LoadedSet:
    return load(_entry(key), root / key, partial=key in IN_PART)


@pytest.mark.parametrize("key", KEYS)
def test_a_real_set_loads_to_typed_data(key: str, real_sets: Path) -> None:
    _is_typed(key, _loaded(key, real_sets))


def _is_typed(key: str, found: LoadedSet) -> None:
    parts = {*found.tables, *found.pictures, *found.texts, *found.instances}
    assert parts | set(found.absent) == set(_entry(key).load)
    assert bool(found.absent) == (key in IN_PART)
    for table in found.tables.values():
        assert [c.name for c in table.columns] == table.frame.columns
        for column in table.columns:
            series = table.frame[column.name]
            assert series.dtype == TYPES[column.holds], column.name
            if column.holds == "number":
                assert series.drop_nulls().is_finite().all(), column.name
    for album in found.pictures.values():
        assert all(p.width and p.height and p.labels for p in album.pictures)
    for texts in found.texts.values():
        assert all(item.text for item in texts.items)
    for problems in found.instances.values():
        assert all(one.operations for one in problems.instances)
    _agrees_with_its_description(key, found)


def _fetchable() -> list[str]:
    """Name the other sets that no person has to fetch, and that say what they hold."""
    keys = [key for key in library.names(DatasetEntry) if key not in KEYS]
    return [
        key
        for key in keys
        if _entry(key).load and not isinstance(_entry(key).source, HandSource)
    ]


@pytest.mark.parametrize("key", _fetchable())
def test_a_set_that_was_fetched_loads_to_typed_data(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNDISH_AIR_GAPPED", "1")  # no index is asked
    home = cache_state.home_of(_entry(key), settings.cache_dir())
    beside = (settings.data_dir() or home) / key
    folder = next((place for place in (home, beside) if place.is_dir()), None)
    if folder is None:
        pytest.skip(f"{key} is neither in the cache nor in TUNDISH_DATA")
    _is_typed(key, load(_entry(key), folder))


def _agrees_with_its_description(key: str, found: LoadedSet) -> None:
    """Hold each "N rows" of a description against rows that were counted."""
    rows = [table.frame.height for table in found.tables.values()]
    named = re.findall(r"([\d,]+) rows", _entry(key).description)
    counted = {*rows, sum(rows)}
    for table in found.tables.values():
        for column in table.of_role("unit", "batch"):
            counted |= set(table.frame[column].value_counts()["count"])
    for text in named:
        assert int(text.replace(",", "")) in counted, text


def test_all_sets_that_lie_here_are_tested(real_sets: Path) -> None:
    assert sorted(path.name for path in real_sets.iterdir()) == KEYS


def test_labels_are_balanced_as_the_makers_say(real_sets: Path) -> None:
    skab = load(_entry("skab"), real_sets / "skab", only=["faulty"]).tables["faulty"]
    assert skab.frame["run"].n_unique() == 34
    assert (skab.frame["anomaly"] == "1").mean() == pytest.approx(0.349, abs=0.001)
    assert (skab.frame["changepoint"] == "1").sum() == 129
    rig = load(_entry("hydraulic-zema"), real_sets / "hydraulic-zema", only=["profile"])
    valve = dict(rig.tables["profile"].frame["valve"].value_counts().iter_rows())
    assert valve == {"73": 360, "80": 360, "90": 360, "100": 1125}


def test_normal_operation_of_tennessee_eastman_is_turned_the_right_way(
    real_sets: Path,
) -> None:
    parts = load(
        _entry("tep-braatz"), real_sets / "tep-braatz", only=["normal", "test"]
    )
    normal, test = parts.tables["normal"].frame, parts.tables["test"].frame
    fine = test.filter(pl.col("run") == "d00_te")
    for name in ("reactor_pressure", "reactor_temperature", "separator_temperature"):
        assert normal[name].mean() == pytest.approx(fine[name].mean(), rel=0.01)
    began = test.filter(pl.col("run") == "d06_te")["fault"]
    assert began[:160].to_list() == ["00"] * 160
    assert set(began[160:]) == {"06"}


def test_two_files_of_the_same_moments_agree(real_sets: Path) -> None:
    parts = load(
        _entry("assetopsbench"),
        real_sets / "assetopsbench",
        only=["chiller", "chiller_jsonl"],
    ).tables
    one, other = parts["chiller"].frame, parts["chiller_jsonl"].frame
    apart = (one["timestamp"] - other["timestamp"]).dt.total_milliseconds()
    assert apart.abs().to_numpy().max() < 1000
    assert one["tonnage"].to_list() == other["tonnage"].to_list()


def _without_a_column(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines))


def _with_a_word(path: Path) -> None:
    lines = path.read_text().splitlines()
    cells = lines[9].split(",")
    lines[9] = ",".join(["Shutdown", *cells[1:]])
    path.write_text("\n".join(lines))


def _across(path: Path) -> None:
    rows = [line.split() for line in path.read_text().splitlines()]
    turned = zip(*rows, strict=True)
    path.write_text("\n".join("  ".join(row) for row in turned))


def _half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


BROKEN: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "a column gone": ("concrete-strength", "cement_strength.txt", _without_a_column, "lacks the column 'csMPa'"),
    "a word in a column of numbers": ("concrete-strength", "cement_strength.txt", _with_a_word, "'cement' of cement_strength.txt is one of numbers, and holds 'Shutdown' 1x"),
    "an empty file": ("concrete-strength", "cement_strength.txt", lambda p: p.write_bytes(b""), "cement_strength.txt is empty"),
    "no file": ("concrete-strength", "cement_strength.txt", Path.unlink, "needs 1 files"),
    "lines for columns": ("polymer-pilot-plant", "polymer.dat", _across, "61 columns, and the entry says 14; is it to be transposed"),
    "half a workbook": ("polymer-umetrics-proc1a", "proc1a.xls", _half, "observations has 44 records, and the entry says 92"),
    "half an R file": ("pet-yarn-nir", "yarn.RData", _half, "yarn.RData"),
    "half a packed table": ("concrete-slump", "data.csv.gz", _half, "data.csv.gz"),
    "half a log": ("mtconnect-okuma-lathe", "okuma.txt", _half, "and the entry says 25,507"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_copy_of_a_real_set_is_refused(
    what: str, real_sets: Path, tmp_path: Path
) -> None:
    key, name, change, said = BROKEN[what]
    copied = tmp_path / key
    shutil.copytree(real_sets / key, copied)
    (copied / name).chmod(0o644)
    copied.chmod(0o755)
    change(copied / name)
    with pytest.raises(TundishError, match=said) as found:
        load(_entry(key), copied)
    assert found.value.code != "internal"
    assert found.value.advice
