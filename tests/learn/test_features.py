"""Every feature means the same in numpy and in a graph."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tundish.learn import features, trees
from tundish.learn.features import Feature, Kind

ROWS = 12


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("rows", [1, 2, 7, 11, 12])
def test_numpy_and_graph_agree(kind: Kind, rows: int) -> None:
    feature = Feature(kind=kind, rows=rows)
    if not feature.fits(ROWS):
        pytest.skip("looks further back than the window")
    x = np.random.default_rng(rows).normal(50.0, 9.0, (40, ROWS, 3)).astype(np.float32)
    expected = features.values([feature], x)
    found = trees.features_of(features.build([feature], ROWS), x)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        (3, ROWS, 2),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
def test_they_are_finite_and_agree_on_any_window(x: np.ndarray) -> None:
    every = [Feature(kind=kind, rows=5) for kind in get_args(Kind)]
    expected = features.values(every, x)
    found = trees.features_of(features.build(every, ROWS), x)
    assert np.isfinite(found).all()
    scale = 1e-5 * np.maximum(1.0, np.abs(x).max())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=scale)


def test_known_answers() -> None:
    ramp = np.arange(ROWS, dtype=np.float32)[None, :, None] * 2.0
    asked = [
        Feature(kind="slope", rows=5),
        Feature(kind="change", rows=3),
        Feature(kind="mean", rows=3),
        Feature(kind="roughness", rows=4),
        Feature(kind="lag", rows=11),
    ]
    np.testing.assert_allclose(features.values(asked, ramp)[0], [2, 6, 20, 2, 0])


def test_names_say_what_each_column_is() -> None:
    asked = [Feature(kind="last"), Feature(kind="mean", rows=5)]
    assert features.names(asked, ["flow", "heat"]) == (
        "last(flow)", "last(heat)", "mean5(flow)", "mean5(heat)",
    )  # fmt: skip
    assert features.channel_of(asked, 2).tolist() == [0, 1, 0, 1]
