"""Binding and samples: parts by time, windows across no gap, the contract held."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from tundish.catalog import library
from tundish.catalog.contract import check_window
from tundish.catalog.errors import ContractBrokenError
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import Part, SiteProfile, Use
from tundish.data.binding import BoundData, bind
from tundish.data.conform import sound_rows
from tundish.data.errors import (
    ColumnMissingError,
    SamplesEmptyError,
    SheetMissingError,
    TimeUnreadableError,
)
from tundish.data.parts import Labelled, assign_parts
from tundish.data.samples import Samples, full_run, make_samples

START = datetime(2026, 1, 1, tzinfo=UTC)


def _scenario(rows: int = 1, task: str = "anomaly", **changes: object) -> Scenario:
    value: dict[str, object] = {
        "format": "tundish.scenario",
        "version": 1,
        "key": "C26.21.test-plant",
        "name": {"en": "A test", "zh": "测试"},
        "problem": "p",
        "decision": {"what": "w", "who": "o"},
        "task": task,
        "signals": (
            {
                "name": "flow",
                "description": "d",
                "unit": "l/s",
                "range": (0.0, 100.0),
                "period_s": 60.0,
            },
            {
                "name": "temp",
                "description": "d",
                "unit": "degC",
                "range": (-20.0, 80.0),
                "period_s": 60.0,
            },
        ),
        "window": {"rows": rows},
        "recipe": "x",
        "candidates": {"x": {"recipe": "pca", "why": "w"}},
        "acceptance": {
            "tolerance": 1.0,
            "limits": ({"metric": "rmse", "at_most": 1.0, "why": "w"},),
        },
        "baseline": "b",
        "parity_tolerance": 1e-4,
        "stale_after_s": 200.0,
        "risk": {
            "outcome": "low",
            "ambiguity": "low",
            "autonomy": "perceive",
            "why": "w",
        },
    }
    if task == "regress":
        value["target"] = {
            "name": "kappa",
            "description": "d",
            "unit": "1",
            "range": (0.0, 50.0),
        }
    return Scenario.model_validate(value | changes)


def _site(table: dict[str, object] | None = None, **changes: object) -> SiteProfile:
    value: dict[str, object] = {
        "format": "tundish.site",
        "version": 1,
        "scenario": "C26.21.test-plant",
        "site": "a test plant",
        "tables": {"run": {"file": "run.csv", "time_column": "t"} | (table or {})},
        "tags": {"flow": {"column": "F1"}, "temp": {"column": "T1"}},
    }
    return SiteProfile.model_validate(value | changes)


def _write(folder: Path, rows: int = 100, *, skip: range = range(0)) -> None:
    lines = ["t,F1,T1,unit"]
    for i in range(rows):
        if i not in skip:
            at = (START + timedelta(minutes=i)).isoformat()
            lines.append(f"{at},{10 + i % 7},{20 + i % 5},{'A' if i % 2 else 'B'}")
    (folder / "run.csv").write_text("\n".join(lines))


def _made(
    folder: Path, scenario: Scenario, site: SiteProfile
) -> tuple[BoundData, Samples]:
    bound = bind(site, scenario, folder)
    return bound, make_samples(bound, scenario, site)


def test_missing_columns_break_the_contract_and_are_named(tmp_path: Path) -> None:
    _write(tmp_path)
    tags = {"flow": {"column": "F9"}, "temp": {"column": "T9"}}
    with pytest.raises(ContractBrokenError, match="F9, T9"):
        bind(_site(tags=tags), _scenario(), tmp_path)


def test_a_signal_without_a_tag_breaks_the_contract(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(ContractBrokenError, match="temp"):
        bind(_site(tags={"flow": {"column": "F1"}}), _scenario(), tmp_path)


def test_a_wrong_time_column_is_told_from_one_without_times(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(ColumnMissingError, match="when"):
        bind(_site({"time_column": "when"}), _scenario(), tmp_path)
    with pytest.raises(TimeUnreadableError, match="unit"):
        bind(_site({"time_column": "unit"}), _scenario(), tmp_path)


def test_scale_and_offset_turn_the_plants_unit_into_the_contracts(
    tmp_path: Path,
) -> None:
    _write(tmp_path)
    tags = {
        "flow": {"column": "F1", "scale": 0.5},
        "temp": {"column": "T1", "scale": 5 / 9, "offset": -160 / 9},
    }
    bound = bind(_site(tags=tags), _scenario(), tmp_path)
    channels = bound.tables["run"].channels
    assert channels[0].tolist() == pytest.approx([5.0, (20 - 32) * 5 / 9])


def test_a_spectrum_is_turned_to_the_contracts_direction(tmp_path: Path) -> None:
    axis = {
        "quantity": "w",
        "unit": "1/cm",
        "first": 100.0,
        "last": 120.0,
        "points": 21,
    }
    signal = {
        "name": "spectrum",
        "description": "d",
        "unit": "1",
        "range": (-9.0, 9.0),
        "period_s": 60.0,
        "axis": axis,
    }
    names = [f"N{120 - i}" for i in range(21)]
    text = ",".join(names) + "\n" + ",".join(str(i / 10) for i in range(21))
    (tmp_path / "run.csv").write_text(text + "\n" + text.split("\n")[1])
    site = _site({"time_column": None}, tags={"spectrum": {"columns": "N"}})
    bound = bind(site, _scenario(signals=(signal,)), tmp_path)
    assert bound.tables["run"].columns[0] == "N100"
    assert bound.tables["run"].channels[0, 0] == 2.0


def test_a_spectrum_with_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    axis = {"quantity": "w", "unit": "1/cm", "first": 1.0, "last": 30.0, "points": 30}
    signal = {
        "name": "spectrum",
        "description": "d",
        "unit": "1",
        "range": (-9.0, 9.0),
        "period_s": 60.0,
        "axis": axis,
    }
    (tmp_path / "run.csv").write_text("1,2,3\n0.1,0.3,0.2\n0.2,0.1,0.3\n")
    site = _site({"time_column": None}, tags={"spectrum": {"columns": "numeric"}})
    with pytest.raises(ContractBrokenError, match="needs 30"):
        bind(site, _scenario(signals=(signal,)), tmp_path)


@given(
    values=hnp.arrays(
        np.float64,
        (12, 2),
        elements=st.one_of(st.just(np.nan), st.floats(-200, 200), st.floats(0, 50)),
    ),
    rows=st.integers(1, 4),
)
def test_a_window_breaks_the_contract_exactly_if_a_row_does(
    values: np.ndarray, rows: int
) -> None:
    scenario = _scenario(rows)
    sound = sound_rows(scenario, values)
    for end in range(rows - 1, len(values)):
        window = values[end - rows + 1 : end + 1]
        kept = not check_window(scenario, window)
        assert kept == bool(sound[end - rows + 1 : end + 1].all())


def test_a_dead_spectrum_breaks_the_contract_in_both_checks() -> None:
    scenario = library.scenario("C25.21.fermentation-glucose")
    values = np.vstack([np.ones(1047), np.linspace(0, 9, 1047)])
    assert sound_rows(scenario, values).tolist() == [False, True]
    assert check_window(scenario, values[:1])
    assert not check_window(scenario, values[1:])


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_windows_never_cross_a_gap(tmp_path: Path, rows: int) -> None:
    _write(tmp_path, skip=range(40, 45))
    scenario = _scenario(rows)
    _, made = _made(tmp_path, scenario, _site(uses=({"part": "fit", "table": "run"},)))
    assert len(made) == (40 - rows + 1) + (55 - rows + 1)
    minutes = (made.at - np.datetime64(START.replace(tzinfo=None), "us")).astype(int)
    last = minutes // 60_000_000
    assert not any(40 <= end < 45 + rows - 1 for end in last)


def test_windows_never_mix_units(tmp_path: Path) -> None:
    _write(tmp_path)
    signals = tuple(s.model_dump() | {"period_s": 120.0} for s in _scenario().signals)
    scenario = _scenario(3, signals=signals)
    _, made = _made(tmp_path, scenario, _site({"unit_column": "unit"}))
    assert set(made.source) == {"run/A", "run/B"}
    flow = made.x[:, :, 0]
    steps = np.mod(np.diff(flow, axis=1), 7)
    assert (steps == 2).all()  # every other minute


@given(
    shares=st.lists(st.floats(0.01, 0.5), min_size=1, max_size=4), n=st.integers(8, 60)
)
def test_shares_count_labelled_rows_in_time_order(shares: list[float], n: int) -> None:
    us = np.random.default_rng(n).permutation(n).astype(np.int64)
    names: tuple[Part, ...] = ("fit", "select", "calibrate", "judge")
    uses = [
        Use(part=names[i], table="run", share=share) for i, share in enumerate(shares)
    ]
    counted = np.arange(n) % 2 == 0
    part = assign_parts(
        "run", Labelled(us=us, group=None, counted=counted, batches=False), uses
    )
    order = part[np.argsort(us)]
    used = [p for p in order if p]
    assert used == sorted(used, key=[str(name) for name in names].index)
    left = int(counted.sum())
    for i, share in enumerate(shares):
        got = int((counted & (part == names[i])).sum())
        assert got == min(int(share * counted.sum() + 1e-9), left)
        left -= got


def test_without_uses_the_split_is_by_time(tmp_path: Path) -> None:
    _write(tmp_path)
    _, made = _made(tmp_path, _scenario(), _site())
    counts = {p: int((made.part == p).sum()) for p in ("fit", "calibrate", "judge")}
    assert counts == {"fit": 50, "calibrate": 20, "judge": 30}
    assert made.at[made.part == "fit"].max() < made.at[made.part == "judge"].min()


def test_a_batch_is_never_cut(tmp_path: Path) -> None:
    lines = ["batch,F1,T1"] + [
        f"B{b},{10 + i % 7},{20 + i % 5}" for b in range(10) for i in range(13)
    ]
    (tmp_path / "run.csv").write_text("\n".join(lines))
    site = _site({"time_column": None}, batch_column="batch")
    _, made = _made(tmp_path, _scenario(), site)
    for source in np.unique(made.source):
        assert len(set(made.part[made.source == source])) == 1


def _settings(folder: Path, *, long: int = 0) -> None:
    """Write 40 settings of a rig, 5 rows each; the one numbered ``long`` has 200."""
    lines = ["valve,pump,F1,T1"]
    lines += [
        f"{number % 4},{number // 4 % 2},{10 + i % 7},{20 + i % 5}"
        for number in range(40)
        for i in range(200 if number == long - 1 else 5)
    ]
    (folder / "run.csv").write_text("\n".join(lines))


def _blocked(**changes: object) -> SiteProfile:
    uses = (
        {"part": "fit", "table": "run", "share": 0.5},
        {"part": "calibrate", "table": "run", "share": 0.25},
        {"part": "judge", "table": "run"},
    )
    said = {"blocks": {"columns": ("valve", "pump")}, "order": "mixed", "uses": uses}
    return _site({"time_column": None}, **(said | changes))


def test_a_block_is_a_run_of_one_setting_and_is_never_cut(tmp_path: Path) -> None:
    _settings(tmp_path)
    _, made = _made(tmp_path, _scenario(), _blocked())
    sources, counts = np.unique(made.source, return_counts=True)
    assert len(sources) == 40
    assert set(counts) == {5}
    for source in sources:
        assert len(set(made.part[made.source == source])) == 1


def test_mixed_blocks_interleave_in_an_order_that_never_changes(
    tmp_path: Path,
) -> None:
    _settings(tmp_path, long=7)
    _, made = _made(tmp_path, _scenario(), _blocked())
    blocks = {str(s): str(p) for s, p in zip(made.source, made.part, strict=True)}
    parts = [blocks[name] for name in sorted(blocks)]
    assert [parts.count(p) for p in ("fit", "calibrate", "judge")] == [20, 10, 10]
    assert sum(a != b for a, b in itertools.pairwise(parts)) > 10
    _, again = _made(tmp_path, _scenario(), _blocked())
    assert (again.part == made.part).all()


def test_blocks_in_order_of_time_are_stretches(tmp_path: Path) -> None:
    _settings(tmp_path)
    _, made = _made(tmp_path, _scenario(), _blocked(order="time"))
    assert sum(a != b for a, b in itertools.pairwise(made.part.tolist())) == 2


def test_a_setting_that_is_repeated_anywhere_is_one_block(tmp_path: Path) -> None:
    _settings(tmp_path)
    blocks = {"columns": ("valve", "pump"), "anywhere": True}
    _, made = _made(tmp_path, _scenario(), _blocked(blocks=blocks))
    sources, counts = np.unique(made.source, return_counts=True)
    assert len(sources) == 8
    assert set(counts) == {25}
    for source in sources:
        assert len(set(made.part[made.source == source])) == 1


def test_rows_without_batches_are_never_mixed() -> None:
    with pytest.raises(ValidationError, match="only batches"):
        _site(order="mixed")
    with pytest.raises(ValidationError, match="either blocks"):
        _blocked(batch_column="unit")


def test_one_of_several_tables_of_a_file_is_bound_by_its_name(tmp_path: Path) -> None:
    rows = [[10 + i % 7, 20 + i % 5] for i in range(60)]
    tables = [
        {"name": "spring", "columns": ["F1", "T1"], "rows": rows},
        {"name": "autumn", "columns": ["F1", "T1"], "rows": rows[:40]},
    ]
    (tmp_path / "book.json").write_text(json.dumps({"runs": tables}), "utf-8")
    uses = ({"part": "fit", "table": "run"},)
    site = _site({"file": "book.json#autumn", "time_column": None}, uses=uses)
    bound, _ = _made(tmp_path, _scenario(), site)
    assert bound.tables["run"].table.frame.height == 40
    with pytest.raises(SheetMissingError, match="winter"):
        _made(tmp_path, _scenario(), _site({"file": "book.json#winter"}))


def test_replicates_that_stand_apart_are_one_block(tmp_path: Path) -> None:
    _settings(tmp_path)  # eight settings, each run five times, far apart
    said = {"columns": ("valve", "pump"), "anywhere": True}
    _, made = _made(tmp_path, _scenario(), _blocked(blocks=said))
    sources, counts = np.unique(made.source, return_counts=True)
    assert counts.tolist() == [25] * 8
    for source in sources:
        assert len(set(made.part[made.source == source])) == 1
    assert {str(part) for part in made.part} == {"fit", "calibrate", "judge"}


def test_replicates_that_stand_apart_have_no_order_of_time() -> None:
    said = {"columns": ("valve", "pump"), "anywhere": True}
    with pytest.raises(ValidationError, match="order: mixed"):
        _blocked(blocks=said, order="time")


def test_a_column_of_blocks_that_is_absent_is_named(tmp_path: Path) -> None:
    _settings(tmp_path)
    with pytest.raises(ColumnMissingError, match="'cooler'"):
        _made(tmp_path, _scenario(), _blocked(blocks={"columns": ("cooler",)}))


def test_a_window_lies_in_one_part(tmp_path: Path) -> None:
    _write(tmp_path)
    bound, made = _made(tmp_path, _scenario(5), _site())
    assert len(made) == 100 - 3 * 4
    assert bound.tables["run"].rows == 100


def _lab(folder: Path) -> SiteProfile:
    _write(folder, rows=200)
    moments = [START + timedelta(minutes=10 * i, seconds=20) for i in range(1, 20)]
    lines = ["when,kappa"] + [f"{m.isoformat()},{i}.5" for i, m in enumerate(moments)]
    (folder / "lab.csv").write_text("\n".join(lines))
    target = {
        "file": "lab.csv",
        "column": "kappa",
        "by": "time",
        "time_column": "when",
        "within_s": 150,
    }
    uses = (
        {"part": "fit", "table": "run", "share": 0.5},
        {"part": "judge", "table": "run"},
    )
    return _site({"target": target}, uses=uses)


def test_a_laboratory_value_labels_every_row_near_it_as_one_group(
    tmp_path: Path,
) -> None:
    site, scenario = _lab(tmp_path), _scenario(task="regress")
    _, made = _made(tmp_path, scenario, site)
    assert len(made) == 19 * 5  # 150 s on both sides of 20 s past the minute
    for label in np.unique(made.group):
        one = made.where(made.group == label)
        assert len(one) == 5
        assert set(one.y) == {label + 0.5}
        assert len(set(one.part)) == 1
        assert one.row.tolist() == list(range(10 * label + 8, 10 * label + 13))
    assert len(np.unique(made.group[made.part == "fit"])) == 9


def test_rows_that_break_the_contract_speak_for_no_label(tmp_path: Path) -> None:
    site, scenario = _lab(tmp_path), _scenario(task="regress")
    lines = (tmp_path / "run.csv").read_text().split("\n")
    for i in (9, 10):
        lines[1 + i] = lines[1 + i].replace(f",{20 + i % 5},", ",-273.2,")
    (tmp_path / "run.csv").write_text("\n".join(lines))
    _, made = _made(tmp_path, scenario, site)
    assert (made.group == 0).sum() == 3
    assert made.excluded == {"out-of-range": 2}
    assert made.x.min() > -20


def test_stops_are_cut_out_and_counted(tmp_path: Path) -> None:
    _write(tmp_path)
    _, made = _made(tmp_path, _scenario(), _site(running="F1 > 12"))
    assert (made.x[:, 0, 0] > 12).all()
    assert made.excluded["stopped"] == 100 - len(made)


def test_events_mark_the_windows_that_overlap_them(tmp_path: Path) -> None:
    _write(tmp_path)
    event = {
        "start": START + timedelta(minutes=50),
        "end": START + timedelta(minutes=52),
        "kind": "burst",
        "marked_by": "hand",
    }
    uses = ({"part": "judge", "table": "run"},)
    _, made = _made(tmp_path, _scenario(4), _site(events=(event,), uses=uses))
    minutes = made.row[made.anomalous]
    assert minutes.tolist() == [50, 51, 52, 53, 54, 55]
    assert set(made.event) == {"", "burst"}


def test_a_run_holds_every_window_sound_or_not(tmp_path: Path) -> None:
    _write(tmp_path, skip=range(40, 45))
    scenario, site = _scenario(), _site()
    text = (tmp_path / "run.csv").read_text().replace(",24,", ",-273.2,", 1)
    (tmp_path / "run.csv").write_text(text)
    bound = bind(site, scenario, tmp_path)
    (run,) = full_run(bound, scenario, "run")
    assert len(run.x) == 95
    assert (~run.sound).sum() == 1
    assert run.at[0] == np.datetime64("2026-01-01T00:00", "us")


def test_an_empty_part_is_said(tmp_path: Path) -> None:
    _write(tmp_path)
    _, made = _made(tmp_path, _scenario(), _site())
    assert len(made.need("fit", "judge")) == 80
    with pytest.raises(SamplesEmptyError, match="select"):
        made.need("select")


def test_nothing_left_is_said(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(SamplesEmptyError, match="out-of-range"):
        _made(
            tmp_path,
            _scenario(),
            _site(
                tags={"flow": {"column": "F1", "offset": 1e6}, "temp": {"column": "T1"}}
            ),
        )


def test_the_fermentation_gives_its_parts(fermentation: Path) -> None:
    site = library.site("fermentation")
    scenario = library.scenario(site.scenario)
    bound = bind(site, scenario, fermentation)
    made = make_samples(bound, scenario, site)
    parts = ("fit", "select", "judge")
    counts = {p: len(np.unique(made.group[made.part == p])) for p in parts}
    assert counts == {"fit": 21, "select": 8, "judge": 26}
    assert made.x.shape[1:] == (1, 1047)
    assert made.excluded == {"dead": 3}
    (run,) = full_run(bound, scenario, "run")
    assert run.x.shape == (1629, 1, 1047)
    assert run.sound.sum() == 1626


def test_the_water_main_has_every_event_in_the_judged_part(water_flow: Path) -> None:
    site = library.site("water-flow")
    scenario = library.scenario(site.scenario)
    made = make_samples(bind(site, scenario, water_flow), scenario, site)
    assert not made.of("fit", "calibrate").anomalous.any()
    assert set(made.of("judge").event) == {"", "low flow", "peak"}
