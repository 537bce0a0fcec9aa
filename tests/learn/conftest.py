"""A small plant that obeys physics: Beer-Lambert spectra, and two coupled flows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Options, Scorer
from tundish.model.session import Session, make_golden

CHANNELS = 120
STEP_S = 60

GLUCOSE = b"""
format: tundish.scenario
version: 1
key: C25.21.test-sugar
name: {en: Sugar, zh: "\xe7\xb3\x96"}
problem: none
decision: {what: nothing, who: nobody}
task: regress
signals:
  - name: spectrum
    description: absorbance
    unit: "1"
    range: [-100, 100]
    period_s: 60
    axis: {quantity: wavenumber, unit: 1/cm, first: 900, last: 1200, points: 120}
target: {name: sugar, description: sugar, unit: g/l, range: [0, 60]}
recipe: pls
candidates:
  pls:
    recipe: pls
    why: test
    options: {regions: [[950, 1150]], derivatives: [1, 2], smoothing_points: [11, 15], components: [1, 2, 3], choose_on: [fit, select], keep: within-one-standard-error}
acceptance:
  tolerance: 2.0
  coverage: 0.9
  limits:
    - {metric: rmse, at_most: 2.0, why: test}
    - {metric: share_within_tolerance, at_least: 0.8, why: test}
baseline: the last laboratory value
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
"""

FLOW = b"""
format: tundish.scenario
version: 1
key: D46.27.test-flow
name: {en: Flow, zh: "\xe6\xb5\x81"}
problem: none
decision: {what: nothing, who: nobody}
task: anomaly
signals:
  - {name: inlet, description: flow in, unit: l/s, range: [0, 300], period_s: 60}
  - {name: outlet, description: flow out, unit: l/s, range: [0, 300], period_s: 60}
  - {name: valve, description: angle of the valve, unit: deg, range: [0, 360], period_s: 60, circular: true}
window: {rows: 3, stride: 1}
recipe: pca
candidates:
  pca: {recipe: pca, why: test, options: {explained: 0.9, statistics: both}}
acceptance:
  alarm_rate: 0.02
  limits:
    - {metric: missed_events, at_most: 0, why: test}
baseline: an alarm when one value leaves its range
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: perceive, why: test}
"""


def open_graph(graph: bytes, window: Windows) -> Scorer:
    """Load a graph as the line does."""
    return Session(graph, make_golden(graph, window)).run


def spectra(
    count: int, rng: np.random.Generator, *, drift: float
) -> tuple[Windows, np.ndarray]:
    """Return spectra of a mixture on a drifting baseline, and the sugar in g/l."""
    axis = np.linspace(900.0, 1200.0, CHANNELS)
    sugar = rng.uniform(2.0, 50.0, count)
    other = rng.uniform(0.0, 20.0, count)
    bands = [
        np.exp(-(((axis - at) / width) ** 2)) for at, width in ((1035, 14), (1080, 18))
    ]
    x = 0.02 * sugar[:, None] * bands[0] + 0.03 * other[:, None] * bands[1]
    slope = np.linspace(0.0, 1.0, CHANNELS)
    x += drift * (
        rng.uniform(0.0, 1.0, (count, 1)) + rng.uniform(0, 1, (count, 1)) * slope
    )
    x += rng.normal(0.0, 0.002, x.shape)
    return x[:, None, :].astype(np.float32), sugar


def moments(count: int) -> np.ndarray:
    start = np.datetime64("2024-01-01T00:00:00", "us")
    return start + np.arange(count) * np.timedelta64(STEP_S, "s")


@pytest.fixture(scope="session")
def sugar() -> Scenario:
    return parse_document(GLUCOSE, Scenario, "sugar.yaml")


@pytest.fixture(scope="session")
def flow() -> Scenario:
    return parse_document(FLOW, Scenario, "flow.yaml")


@pytest.fixture(scope="session")
def sugar_material() -> Material:
    rng = np.random.default_rng(3)
    fit, fit_y = spectra(25, rng, drift=0.0)  # prepared samples: no baseline
    run, run_y = spectra(60, rng, drift=0.5)
    part = ["fit"] * 25 + ["select"] * 12 + ["judge"] * 48
    return Material(
        x=np.concatenate([fit, run]),
        y=np.concatenate([fit_y, run_y]),
        part=np.array(part),
        source=np.array(["laboratory"] * 25 + ["run"] * 60),
        event=np.full(85, -1),
        group=np.arange(85),
        at=moments(85),
    )


def flow_rows(count: int, rng: np.random.Generator) -> np.ndarray:
    level = 100.0 + 5.0 * np.sin(np.arange(count) / 40.0) + rng.normal(0, 1.0, count)
    outlet = level + rng.normal(0.0, 0.5, count)
    valve = rng.uniform(0.0, 360.0, count)
    return np.stack([level, outlet, valve], axis=1)


@pytest.fixture(scope="session")
def flow_material() -> Material:
    count, rows = 2000, flow_rows(2000, np.random.default_rng(5))
    rows[1500:1520, 1] -= 12.0
    windows = np.stack([rows[i - 2 : i + 1] for i in range(2, count)]).astype(
        np.float32
    )
    last = np.arange(2, count)
    part = np.where(last < 600, "fit", np.where(last < 1200, "calibrate", "judge"))
    event = np.where((last >= 1500) & (last < 1522), 0, -1)
    return Material(
        x=windows,
        y=np.full(len(last), np.nan),
        part=part,
        source=np.full(len(last), "main"),
        event=event,
        group=np.arange(len(last)),
        at=moments(count)[2:],
    )


@pytest.fixture(scope="session")
def opener() -> Callable[[bytes, Windows], Scorer]:
    return open_graph


@pytest.fixture(scope="session")
def sugar_options(sugar: Scenario) -> Options:
    return sugar.candidates["pls"].options


@pytest.fixture(scope="session")
def flow_options(flow: Scenario) -> Options:
    return flow.candidates["pca"].options
