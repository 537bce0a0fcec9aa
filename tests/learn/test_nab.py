"""The score of the Numenta benchmark, held against cases counted by hand."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

NAB = runpy.run_path(
    str(Path(__file__).parents[2] / "bench" / "results" / "nab.py"), run_name="nab"
)
Series, nab, worth, windows = (NAB[n] for n in ("Series", "nab", "worth", "windows"))


def series(alarmed: range, changes: list[float], rows: int = 300) -> object:
    at = np.arange(rows, dtype=float)
    return Series(at=at, alarm=np.isin(at, list(alarmed)), changes=np.array(changes))


def test_silence_scores_0_and_perfection_100() -> None:
    assert nab([series(range(0), [100.0, 200.0])]) == 0.0
    assert nab([series(range(100, 200), [100.0, 200.0])]) == pytest.approx(100.0)


def test_a_case_counted_by_hand() -> None:
    # One change found at once (+1), one missed (-1), one named outside (-0.11).
    # (1 - 1 - 0.11 + 2) / (2 * 2) = 0.4725
    assert nab([series(range(100, 180), [100.0, 20.0][::-1])]) == pytest.approx(47.25)


def test_finding_late_earns_less_down_to_the_price_of_a_false_one() -> None:
    assert worth(0.0) == pytest.approx(1.0)
    assert worth(0.5) == pytest.approx(0.445)
    assert worth(1.0) == pytest.approx(-0.11)


def test_a_window_begins_where_the_one_before_it_ends() -> None:
    np.testing.assert_array_equal(
        windows(np.array([0.0, 40.0, 200.0]), 60.0), [[0, 60], [60, 100], [200, 260]]
    )


def test_only_the_first_in_a_window_counts_and_the_rest_cost_nothing() -> None:
    once = nab([series(range(100, 300), [100.0])])
    twice = nab([series(range(100, 130), [100.0])])
    assert once == twice == pytest.approx(100.0)


def test_scores_are_pooled_over_series() -> None:
    found, silent = series(range(100, 300), [100.0]), series(range(0), [100.0])
    assert nab([found, silent]) == pytest.approx(50.0)
