"""The sites of the process industries bind: scenario, profile and set hang together."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tundish.catalog import library
from tundish.data.binding import BoundData, bind
from tundish.data.samples import make_samples
from tundish.data.units import conversion

SITES = {
    "aeration-rate-spc": "aeration-rate-spc",
    "batch-dryer": "batch-dryer",
    "batch-nylon": "batch-nylon",
    "bibmon-real-process": "bibmon-real-process",
    "bibmon-stand-in": "bibmon-real-process",
    "debutanizer-analyser": "debutanizer-column",
    "debutanizer-column": "debutanizer-column",
    "dtu-pectin-ftir": "dtu-pectin-ftir",
    "gasoline-nir-octane": "gasoline-nir-octane",
    "kamyr-digester-full": "kamyr-digester-full",
    "openmv-batch-yield-purity": "openmv-batch-yield-purity",
    "openmv-cheddar-cheese": "openmv-cheddar-cheese",
    "openmv-ldpe": "openmv-ldpe",
    "openmv-solvents": "openmv-solvents",
    "openmv-tablet-nir": "openmv-tablet-nir",
    "pet-yarn-nir": "pet-yarn-nir",
    "polymer-pilot-plant": "polymer-pilot-plant",
    "pyphi-tpls-pharma": "pyphi-tpls-pharma",
    "steam-flow-pattern": "steam-flow-pattern",
    "steam-generator-level": "steam-generator-abbott",
    "steam-generator-oxygen": "steam-generator-abbott",
    "tennessee-eastman-cause": "tep-braatz",
}
"""Site -> the folder of its set."""
MOST_OUTSIDE = 0.01


@cache
def _bound(name: str) -> BoundData | None:
    folder = Path(os.environ.get("TUNDISH_DATA", "/nonexistent")) / SITES[name]
    site = library.site(name)
    there = folder.is_dir()
    return bind(site, library.scenario(site.scenario), folder) if there else None


def bound_site(name: str) -> BoundData:
    bound = _bound(name)
    if bound is None:
        pytest.skip("needs the real set under TUNDISH_DATA")
    return bound


@pytest.mark.parametrize("name", sorted(SITES))
def test_a_site_names_a_shipped_scenario_and_no_other_signals(name: str) -> None:
    site = library.site(name)
    scenario = library.scenario(site.scenario)
    assert set(site.tags) == {signal.name for signal in scenario.signals}
    for unit in {signal.unit for signal in scenario.signals}:
        assert conversion(unit, unit) == (1.0, 0.0)


@pytest.mark.parametrize("name", sorted(SITES))
def test_the_values_of_a_set_lie_in_the_contracts_ranges(name: str) -> None:
    bound = bound_site(name)
    scenario = bound.scenario
    first = 0
    for signal in scenario.signals:
        values = np.concatenate(
            [
                table.channels[:, first : first + signal.channels].ravel()
                for table in bound.tables.values()
            ]
        )
        first += signal.channels
        assert _outside(values, signal.range) <= MOST_OUTSIDE, signal.name
    if scenario.target is not None:
        truths = [t.target for t in bound.tables.values() if t.target is not None]
        assert _outside(np.concatenate(truths), scenario.target.range) <= MOST_OUTSIDE


@pytest.mark.parametrize("name", sorted(SITES))
def test_a_site_leaves_samples_to_fit_and_later_ones_to_judge(name: str) -> None:
    bound = bound_site(name)
    scenario = bound.scenario
    made = make_samples(bound, scenario, bound.site)
    fit, judged = made.of("fit"), made.of("judge")
    assert len(fit) > len(judged) > 0 or scenario.task == "diagnose"
    if scenario.task == "diagnose":
        assert set(judged.y) == set(fit.y) == set(range(len(scenario.classes)))
    for source in set(fit.source) & set(judged.source):
        early = fit.row[fit.source == source].max()
        assert early < judged.row[judged.source == source].min()


def _outside(values: NDArray[np.float64], limits: tuple[float, float]) -> float:
    finite = values[np.isfinite(values)]
    assert len(finite) > 0
    return float(np.mean((finite < limits[0]) | (finite > limits[1])))
