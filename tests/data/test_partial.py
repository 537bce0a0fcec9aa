"""Any cut of a table into pieces gives the same state, and so the same grade."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tundish.data.grade import stream
from tundish.data.grade.file import grade_file
from tundish.data.grade.partial import Partial, Piece
from tundish.data.grade.report import GradeReport
from tundish.data.grade.sketch import CELLS, Sketch
from tundish.data.times import NO_TIME

NOW = datetime(2026, 6, 1, tzinfo=UTC)
START_US = 1_767_225_600_000_000
CELL = st.sampled_from([np.nan, np.nan, 0.0, 1.0, 1.0, 2.5, -3.0, 1e6, 0.1])


def _state(columns: np.ndarray, us: np.ndarray, cuts: list[int]) -> Partial:
    edges = sorted({0, len(us), *(cut for cut in cuts if cut < len(us))})
    parts = [
        Partial.of(
            Piece(
                first=a,
                values=tuple(np.ascontiguousarray(c[a:b]) for c in columns),
                us=us[a:b],
                texts=np.zeros(b - a, dtype=np.uint64),
            )
        )
        for a, b in pairwise(edges)
    ]
    return reduce(Partial.merge, parts).closed()


def _same(a: object, b: object, where: str = "state") -> None:
    if is_dataclass(a):
        for field in fields(a):
            one, two = getattr(a, field.name), getattr(b, field.name)
            _same(one, two, f"{where}.{field.name}")
    elif isinstance(a, tuple):
        assert isinstance(b, tuple)
        assert len(a) == len(b), where
        for i, (one, two) in enumerate(zip(a, b, strict=True)):
            _same(one, two, f"{where}[{i}]")
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b, err_msg=where)
    else:
        assert a == b or (a != a and b != b), (where, a, b)


@hypothesis_settings(max_examples=150)
@given(
    columns=hnp.arrays(
        np.float64, st.tuples(st.just(2), st.integers(1, 60)), elements=CELL
    ),
    steps=st.lists(
        st.sampled_from([0, 1, 1, 1, 5, -1, None]), min_size=60, max_size=60
    ),
    cuts=st.lists(st.integers(1, 59), max_size=8),
)
def test_any_cut_gives_the_same_state(
    columns: np.ndarray, steps: list[int | None], cuts: list[int]
) -> None:
    us = START_US + np.cumsum([step or 0 for step in steps])[: columns.shape[1]]
    if all(step is None or step >= 0 for step in steps):
        us[[i for i in range(len(us)) if steps[i] is None]] = NO_TIME
    one, many = _state(columns, us, []), _state(columns, us, cuts)
    if one.times and one.times.back[0]:
        return  # copies and places of a time that steps back are not asked for
    _same(one, many)


@example(values=np.array([2.22507386e-313]), at=0)
@given(
    values=hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(width=64)),
    at=st.integers(0, 300),
)
def test_sketches_merge_exactly_whatever_the_values(
    values: np.ndarray, at: int
) -> None:
    whole = Sketch.of(values)
    merged = Sketch.of(values[:at]).merge(Sketch.of(values[at:]))
    _same(whole, merged)
    assert whole.total == int(np.isfinite(values).sum())


def test_a_sketch_stays_small_and_is_right_to_the_width_it_states() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate((rng.normal(50, 0.01, 100_000), [-9999.0, 1e12]))
    whole = Sketch.of(values)
    parts = [Sketch.of(part) for part in np.array_split(rng.permutation(values), 7)]
    merged = reduce(Sketch.merge, parts)
    _same(whole, merged)
    found = whole.quantiles()
    assert found is not None
    assert len(whole.keys) <= CELLS
    assert found.width < 1e-4  # two far values do not squeeze the body
    for share, got in ((0.01, found.q01), (0.5, found.q50), (0.99, found.q99)):
        assert got == pytest.approx(np.quantile(values, share), abs=2 * found.width)


def test_pieces_that_do_not_follow_each_other_are_refused() -> None:
    us = START_US + np.arange(20)
    piece = Piece(first=0, values=(), us=us, texts=np.zeros(20, np.uint64))
    with pytest.raises(ValueError, match="do not follow"):
        Partial.of(piece).merge(Partial.of(piece))


def _plant(path: Path, rows: int = 30_000) -> None:
    """Write a plant with a frozen tag, spikes, gaps, copies, a code and empty cells."""
    rng = np.random.default_rng(11)
    at = np.arange(rows)
    us = START_US + at * 1_000_000
    us[rows // 2 :] += 7_200_000_000
    columns = {}
    for i in range(5):
        drift = np.sin(at / (900 + 300 * i)) * 10
        columns[f"T{i}"] = np.round(50 + drift + rng.normal(size=rows), 3)
        columns[f"T{i}"][rng.choice(rows, rows // 100, replace=False)] = np.nan
    columns["T0"][4_000:5_500] = columns["T0"][3_999]
    columns["T1"][[7_000, 9_500, 15_000]] += 60.0
    columns["T2"][rng.choice(rows, 40, replace=False)] = -9999.0
    frame = pl.DataFrame({"time": us.view("datetime64[us]"), **columns}).fill_nan(None)
    frame = pl.concat(
        [frame.head(20_000), frame.slice(19_900, 100), frame.tail(10_000)]
    )
    frame.sort("time").write_parquet(path, row_group_size=3_000)


def _counts(report: GradeReport) -> dict[str, tuple[int, int]]:
    return {i.id: (i.bad, i.of) for i in report.indicators}


@pytest.mark.slow
def test_a_stream_finds_what_is_found_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "plant.parquet"
    _plant(path)
    whole = grade_file(path, now=NOW, deep=False)
    streamed = grade_file(path, now=NOW, spread=lambda plan: [stream.state_of(plan)])
    parted = grade_file(
        path,
        now=NOW,
        spread=lambda plan: [stream.state_of(plan, s) for s in plan.shares(4)],
    )
    assert parted == streamed
    assert len(_counts(streamed)) > 8
    for name in ("Q02", "Q04", "Q05", "Q06", "Q07", "Q08", "Q09", "Q23"):
        assert _counts(streamed).get(name) == _counts(whole).get(name), name
    kinds = {f.kind for f in streamed.findings}
    assert {"stuck", "spike", "gap", "duplicate-row", "code-value"} <= kinds
    (stuck,) = (f for f in streamed.findings if f.kind == "stuck")
    (same,) = (f for f in whole.findings if f.kind == "stuck")
    assert (stuck.tag, stuck.first, stuck.last, stuck.rows) == (
        same.tag, same.first, same.last, same.rows,
    )  # fmt: skip
    assert any("in a stream" in said.what for said in streamed.assumptions)
    absent = {n.id: n.why for n in streamed.not_measured}
    assert "all its rows at once" in absent["Q10"]


def test_a_large_file_is_streamed_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plant.parquet"
    _plant(path, rows=20_100)
    monkeypatch.setattr(stream, "STREAM_FROM_CELLS", 1_000)
    monkeypatch.setattr(stream, "STREAM_FROM_BYTES", 1_000)
    report = grade_file(path, now=NOW)
    assert "is graded in a stream" in report.assumptions[0].what
