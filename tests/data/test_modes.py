"""Q14: declared operating modes, visited or missing; old scenarios stay valid."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tundish.catalog import library
from tundish.catalog.modes import Mode
from tundish.catalog.scenario import Scenario
from tundish.data.binding import BoundTable
from tundish.data.grade.modes import covered, visited
from tundish.data.grade.sheet import Series, Sheet
from tundish.data.table import Table
from tundish.kernel import canonical
from tundish.kernel.canonical import Json


def scenario(*modes: dict[str, Json]) -> Scenario:
    """Return the shipped water scenario with modes declared."""
    known = library.scenario(library.site("water-flow").scenario)
    text = canonical.dumps({**known.to_json(), "modes": list(modes)})
    return Scenario.model_validate_json(text)


def rows(contract: Scenario, values: np.ndarray, us: np.ndarray) -> BoundTable:
    channels = np.zeros((len(values), contract.channels))
    channels[:, 0] = values
    return BoundTable(
        name="t", table=Table(name="t", frame=pl.DataFrame()), channels=channels,
        columns=("a",) * contract.channels, us=us, times=None, group=None, target=None,
        laboratory=None, running=None,
    )  # fmt: skip


def test_visited_and_missing_modes_are_named() -> None:
    first = library.scenario(library.site("water-flow").scenario).signals[0].name
    contract = scenario(
        {"name": "load", "signal": first, "edges": [0, 10, 20, 30]},
        {"name": "surge", "when": f"{first} > 25"},
        {"name": "winter", "months": [12, 1, 2]},
    )
    values = np.linspace(0, 19.9, 200)
    us = np.arange(200) * 3_600_000_000 + 1_767_225_600_000_000  # January 2026
    found = visited(
        rows(contract, values, us), contract, "UTC", np.ones(200, dtype=bool)
    )
    assert found is not None
    sheet = Sheet(
        name="t", rows=200, series=(Series(tag="a", values=values),), visits=found
    )
    tally = covered([sheet], deep=True)
    assert (tally.bad, tally.of) == (2, 5)
    assert "load 20 to 30, surge" in tally.findings[0].what
    assert "2 of 5 declared modes" in tally.findings[0].cost


def test_without_declared_modes_nothing_is_counted_and_groups_are_offered() -> None:
    rng = np.random.default_rng(0)
    power = np.repeat([100.0, 900.0], 300) + rng.normal(size=600)
    sheet = Sheet(name="t", rows=600, series=(Series(tag="power", values=power),))
    tally = covered([sheet], deep=True)
    assert tally.of == 0
    assert "50% with power about 900" in tally.detail
    even = Sheet(name="t", rows=600, series=(Series(tag="p", values=rng.random(600)),))
    assert "groups" not in covered([even], deep=True).detail


@pytest.mark.parametrize(
    "mode",
    [
        {"name": "a"},
        {"name": "a", "when": "x > 1", "months": [1]},
        {"name": "a", "signal": "x"},
        {"name": "a", "signal": "x", "edges": [2, 1]},
        {"name": "a", "when": "__import__('os')"},
        {"name": "a", "months": [13]},
    ],
)
def test_a_mode_that_says_nothing_or_two_things_is_refused(
    mode: dict[str, Json],
) -> None:
    with pytest.raises(ValidationError):
        Mode.model_validate_json(canonical.dumps(mode))


def test_a_mode_of_an_unknown_signal_is_refused() -> None:
    with pytest.raises(ValidationError, match="nosuch"):
        scenario({"name": "a", "when": "nosuch > 1"})
