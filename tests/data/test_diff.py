"""Laws of comparing two versions of a table."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.data.grade.diff import ColumnDiff, Side, TableDiff, diff_tables
from tundish.data.grade.shift import ks, psi, psi_of_levels

ROWS = 1000
MINUTE = 60_000_000

numbers = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60)


def _frame(seed: int = 0) -> pl.DataFrame:
    values = np.random.default_rng(seed).normal(size=(ROWS, 3))
    return pl.DataFrame(values, schema=["Flow", "Level", "Power"])


def _side(frame: pl.DataFrame, start: int = 0, *, timed: bool = True) -> Side:
    us = (np.arange(frame.height) + start) * MINUTE if timed else None
    return Side(name="t", frame=frame, us=us)


def _of(found: TableDiff, name: str) -> ColumnDiff:
    return next(column for column in found.columns if column.name == name)


@given(numbers, numbers)
def test_the_distance_is_the_largest_gap_between_the_shares_below_any_value(
    one: list[float], two: list[float]
) -> None:
    gaps = [
        abs(sum(v <= x for v in one) / len(one) - sum(v <= x for v in two) / len(two))
        for x in (*one, *two)
    ]
    assert ks(np.asarray(one), np.asarray(two)) == pytest.approx(max(gaps), abs=1e-12)


@given(numbers, numbers)
def test_the_index_is_never_negative_and_zero_for_the_same(
    one: list[float], two: list[float]
) -> None:
    a, b = np.asarray(one), np.asarray(two)
    found = psi(a, b)
    assert found is not None
    assert found >= 0
    assert psi(a, a) == pytest.approx(0, abs=1e-12)


def test_the_index_is_that_of_the_formula() -> None:
    before = np.repeat(np.arange(10.0), 10)
    after = np.concatenate((np.repeat(np.arange(9.0), 10), np.zeros(10)))
    moved = 0.1 * math.log(2) + (0.1 - 0.005) * math.log(0.1 / 0.005)
    assert psi(before, after) == pytest.approx(moved, rel=1e-9)
    assert psi(before, np.zeros(0)) is None
    levels = [pl.Series(v.astype(int).astype(str)) for v in (before, after)]
    assert psi_of_levels(levels[0], levels[1]) == pytest.approx(moved, rel=1e-9)


def test_the_same_table_has_no_difference() -> None:
    found = diff_tables(_side(_frame()), _side(_frame()))
    assert found.moved == ()
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (0, 0, 0)
    assert found.rows.joined_by == "time"


def test_rows_are_joined_by_time_whatever_their_order() -> None:
    old, new = _side(_frame()), _frame().reverse()
    turned = Side(name="t", frame=new, us=np.arange(ROWS)[::-1] * MINUTE)
    assert diff_tables(old, turned).moved == ()
    later = _side(_frame()[200:], start=200)
    found = diff_tables(old, later).rows
    assert (found.added, found.removed, found.same) == (0, 200, 800)


def test_units_tell_rows_of_one_time_apart() -> None:
    group = np.repeat(["a", "b"], ROWS // 2)
    us = np.tile(np.arange(ROWS // 2), 2) * MINUTE
    old = Side(name="t", frame=_frame(), us=us, group=group)
    keep = np.r_[0:400, 500:1000]
    new = Side(name="t", frame=_frame()[keep], us=us[keep], group=group[keep])
    found = diff_tables(old, new).rows
    assert found.joined_by == "time and unit"
    assert (found.added, found.removed, found.changed) == (0, 100, 0)


def test_changed_cells_are_counted_and_empty_is_not_a_value() -> None:
    changed = _frame().to_numpy().copy()
    changed[[3, 4, 5], 0] = 99.0
    changed[[5, 6], 1] = np.nan
    new = pl.DataFrame(changed, schema=["Flow", "Level", "Power"]).fill_nan(None)
    found = diff_tables(_side(_frame()), _side(new))
    assert [_of(found, n).changed for n in ("Flow", "Level", "Power")] == [3, 2, 0]
    assert found.rows.changed == 4
    assert _of(found, "Level").filled_after == ROWS - 2
    assert not _of(found, "Flow").shifted


def test_columns_are_added_removed_retyped_and_renamed() -> None:
    new = _frame().rename({"Flow": "FI-101"}).drop("Level")
    texts = pl.Series("Power", ["x"] * ROWS)
    fresh = pl.Series("Extra", np.arange(ROWS, dtype=float))
    new = new.with_columns(texts, fresh)
    found = diff_tables(_side(_frame()), _side(new))
    states = {column.name: column.state for column in found.columns}
    assert states == {
        "FI-101": "renamed",
        "Power": "retyped",
        "Extra": "added",
        "Level": "removed",
    }
    assert _of(found, "FI-101").was == "Flow"


def test_a_change_of_unit_and_a_shift_are_told_apart() -> None:
    new = _frame().with_columns(pl.col("Flow") * 3.6, pl.col("Level") + 2)
    found = diff_tables(_side(_frame()), _side(new))
    flow, level, power = (_of(found, n) for n in ("Flow", "Level", "Power"))
    assert flow.factor == pytest.approx(3.6)
    assert level.factor is None
    assert level.shifted
    assert level.ks is not None
    assert level.ks > 0.6
    assert not power.shifted


def test_without_time_rows_of_another_count_are_matched_whole() -> None:
    old = _frame()
    new = pl.concat([old[100:], old[:50], old[:7]])
    found = diff_tables(_side(old, timed=False), _side(new, timed=False)).rows
    assert found.joined_by == "whole rows"
    assert (found.same, found.added, found.removed) == (950, 7, 50)
    assert found.changed is None


def test_two_samples_of_one_process_are_not_called_shifted() -> None:
    for rows in (30, 100, 1000):
        old, new = _frame(1)[:rows], _frame(2)[: rows - 1]
        found = diff_tables(_side(old, timed=False), _side(new, timed=False))
        assert not any(column.shifted for column in found.columns)
