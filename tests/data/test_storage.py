"""Rows that a historian computed are none; ramps, states and smooth signals are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tundish.data.grade.character import characters
from tundish.data.grade.file import grade_file
from tundish.data.grade.sheet import Series, Sheet
from tundish.data.grade.storage import storages
from tundish.data.times import SECOND

ROWS = 4000


def _kept(values: np.ndarray, *, timed: bool = True) -> dict[str, tuple[str, float]]:
    us = np.arange(len(values), dtype=np.int64) * 60 * SECOND + 1_767_225_600 * SECOND
    sheet = Sheet(
        name="t",
        rows=len(values),
        series=(Series(tag="T", values=values, unit="1"),),
        us=us if timed else None,
    )
    found = storages(sheet, characters(sheet))
    return {tag: (s.kind, s.every) for tag, s in found.items()}


def _walk(seed: int = 0, rows: int = ROWS) -> np.ndarray:
    return 50 + np.random.default_rng(seed).normal(size=rows).cumsum()


def _swinging_door(values: np.ndarray, width: float) -> np.ndarray:
    """Return the rows that a historian stores (Bristol's swinging door)."""
    kept, at = [0], 0
    low, high = -np.inf, np.inf
    for i in range(1, len(values)):
        low = max(low, (values[i] - width - values[at]) / (i - at))
        high = min(high, (values[i] + width - values[at]) / (i - at))
        if low > high:
            at = i - 1
            kept.append(at)
            low = values[i] - width - values[at]
            high = values[i] + width - values[at]
    return np.asarray([*kept, len(values) - 1])


@pytest.mark.parametrize("decimals", [2, 4, 12])
@pytest.mark.parametrize("seed", range(3))
def test_interpolated_rows_are_known(seed: int, decimals: int) -> None:
    walk = _walk(seed)
    stored = _swinging_door(walk, 3.0)
    values = np.round(np.interp(np.arange(ROWS), stored, walk[stored]), decimals)
    kind, every = _kept(values)["T"]
    assert kind == "interpolated"
    assert every == pytest.approx(ROWS / len(stored), rel=0.3)


def test_single_precision_hides_nothing() -> None:
    walk = _walk(4)
    values = np.interp(np.arange(ROWS), np.arange(0, ROWS, 10), walk[::10])
    values = values.astype(np.float32).astype(np.float64)
    assert _kept(values)["T"][0] == "interpolated"


@pytest.mark.parametrize("every", [3, 5, 15])
@pytest.mark.parametrize("timed", [True, False])
def test_a_slow_analyser_is_known(every: int, *, timed: bool) -> None:
    values = np.repeat(_walk(1, ROWS // every + 1), every)[:ROWS]
    assert _kept(values, timed=timed) == {"T": ("held", float(every))}


@pytest.mark.parametrize(
    "values",
    [
        _walk(2),
        np.round(_walk(2), 1),
        np.round(20 + 5 * np.sin(np.arange(ROWS) / 200), 2),
        20 + 5 * np.sin(np.arange(ROWS) / 200),
        np.round(np.arange(ROWS) * 0.37, 3),
        np.interp(np.arange(ROWS), [0, 500, 1500, 2500, ROWS], [20, 80, 80, 40, 20]),
        np.tile(
            np.interp(np.arange(100), [0, 20, 60, 99], [20, 80, 80, 20]), ROWS // 100
        ),
        np.repeat(np.random.default_rng(0).normal(size=200), 20)[
            np.sort(np.random.default_rng(1).integers(0, ROWS, ROWS))
        ],
    ],
    ids=[
        "walk",
        "coarse",
        "coarse sine",
        "sine",
        "ramp",
        "program",
        "oven",
        "set-points",
    ],
)
def test_nothing_is_claimed_of_live_signals(values: np.ndarray) -> None:
    assert _kept(values) == {}


def test_what_is_true_of_real_sets_is_found(real_sets: Path, now: datetime) -> None:
    """TEP's product analysers give a value every 15 min; the reflux of the debutanizer
    was interpolated before it was published."""
    te = grade_file(real_sets / "tep-braatz" / "d01_te.dat", now=now)
    (held,) = [f for f in te.findings if f.kind == "interpolated"]
    assert held.tag == "5 tags"
    assert "every 5th row" in held.what
    path = real_sets / "debutanizer-column" / "debutanizer_data.txt"
    lines = [f for f in grade_file(path, now=now).findings if f.kind == "interpolated"]
    assert [f.tag for f in lines] == ["column_4"]
    path = real_sets / "skab" / "anomaly-free" / "anomaly-free.csv"
    assert not [
        f for f in grade_file(path, now=now).findings if f.kind == "interpolated"
    ]
