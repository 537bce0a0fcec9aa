"""Limits keep their promise, and promise no more than the count supports."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.learn.conformal import split_limit


@pytest.mark.parametrize("count", [9, 29, 100])
@pytest.mark.parametrize("rate", [0.1, 0.2])
def test_exchangeable_scores_exceed_the_limit_no_more_often_than_promised(
    count: int, rate: float
) -> None:
    rng = np.random.default_rng(0)
    rounds = 4000
    exceeded = 0
    for _ in range(rounds):
        scores = rng.standard_cauchy(count + 1)  # no moments: nothing Gaussian helps
        exceeded += scores[-1] > split_limit(scores[:-1], rate).limit
    share = exceeded / rounds
    error = 3.0 * np.sqrt(rate * (1 - rate) / rounds)
    assert share <= rate + error
    assert share >= rate - 1.0 / (count + 1) - error


@given(
    scores=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80),
    rate=st.floats(0.001, 0.5),
)
def test_no_rate_finer_than_the_count_supports_is_promised(
    scores: list[float], rate: float
) -> None:
    found = split_limit(np.array(scores), rate)
    finest = 1.0 / (len(scores) + 1)
    assert found.rate >= finest - 1e-9
    assert found.supported == (found.rate == rate)
    assert found.limit in scores
    if not found.supported:
        assert found.limit == max(scores)


@given(scores=st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=40))
def test_a_rarer_rate_never_lowers_the_limit(scores: list[float]) -> None:
    values = np.array(scores)
    limits = [split_limit(values, rate).limit for rate in (0.4, 0.2, 0.1, 0.01)]
    assert limits == sorted(limits)


def test_many_looks_at_one_sample_count_as_one() -> None:
    scores = np.arange(9.0)
    repeated = np.repeat(scores, 7)
    found = split_limit(repeated, 0.2, weights=np.full(63, 1 / 7))
    assert found.count == 9
    assert found.limit == split_limit(scores, 0.2).limit
    assert not split_limit(repeated, 0.05, weights=np.full(63, 1 / 7)).supported


def test_the_boundary_rank_is_not_lost_to_rounding() -> None:
    assert split_limit(np.arange(9.0), 0.1).limit == 8.0
    assert split_limit(np.arange(9.0), 0.1).supported
    assert split_limit(np.arange(19.0), 0.1).limit == 17.0
