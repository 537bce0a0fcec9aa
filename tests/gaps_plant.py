"""A made plant with a known gap, and a plain boosted recipe to be diagnosed on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import lightgbm
import numpy as np

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.learn import gaps
from tundish.learn.gaps_report import GapsReport
from tundish.learn.material import Material, Windows
from tundish.learn.patient import Patient
from tundish.learn.recipe import Outputs, Scorer

HEAD = """
format: tundish.scenario
version: 1
key: C25.21.test-gaps
name: {en: Gaps, zh: 缺}
problem: none
decision: {what: nothing, who: nobody}
window: {rows: 1, stride: 1}
recipe: any
candidates: {any: {recipe: any, why: test}}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
signals:
  - {name: load, description: load, unit: kW, range: [-1000, 1000], period_s: 60}
  - {name: heat, description: heat, unit: K, range: [-1000, 1000], period_s: 60}
  - {name: flow, description: flow, unit: l/s, range: [-1000, 1000], period_s: 60}
  - {name: vent, description: vent, unit: "1", range: [-1000, 1000], period_s: 60}
modes:
  - {name: low load, when: load < 3}
  - {name: middle load, when: load >= 3 and load < 7}
  - {name: high load, when: load >= 7}
"""
REGRESS = """
task: regress
target: {name: level, description: level, unit: mm, range: [-1000, 1000]}
acceptance: {tolerance: 1, limits: [{metric: rmse, at_most: 1, why: test}]}
"""
DIAGNOSE = """
task: diagnose
target: {name: state, description: state, unit: "1", range: [0, 2]}
classes:
  - {name: good, description: as new, good: true}
  - {name: worn, description: leaks}
  - {name: broken, description: stands}
acceptance: {limits: [{metric: macro_f1, at_least: 0.5, why: test}]}
"""
ANOMALY = """
task: anomaly
acceptance: {limits: [{metric: missed_events, at_most: 0, why: test}]}
"""
Plant = tuple[Material, Scenario]


def scenario(tail: str) -> Scenario:
    return parse_document((HEAD + tail).encode(), Scenario, "gaps.yaml")


def regress(seed: int, count: int = 3000) -> Plant:
    """Return windows of four machines; the level obeys one law, with equal noise."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.0, 10.0, (count, 4))
    y = law(x) + rng.normal(0.0, 0.5, count)
    return _material(x, y, rng), scenario(REGRESS)


def law(x: np.ndarray) -> np.ndarray:
    return np.asarray(2.0 * x[:, 0] + 3.0 * np.sin(x[:, 1] / 2) + 0.5 * x[:, 2])


def diagnose(seed: int, count: int = 3000) -> Plant:
    """Return windows of three conditions that lie well apart."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, count)
    x = rng.uniform(0.0, 10.0, (count, 4))
    x[:, 1] = 4.0 * truth + rng.normal(0.0, 0.8, count)
    x[:, 2] = -3.0 * truth + rng.normal(0.0, 0.8, count)
    return _material(x, truth.astype(float), rng), scenario(DIAGNOSE)


def _material(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Material:
    count = len(y)
    share = np.arange(count) / count
    part = np.where(share < 0.5, "fit", np.where(share < 0.7, "calibrate", "judge"))
    start = np.datetime64("2024-01-01T00:00:00", "us")
    return Material(
        x=x[:, None, :].astype(np.float32),
        y=y,
        part=part,
        source=np.array(["m1", "m2", "m3", "m4"])[rng.integers(0, 4, count)],
        event=np.full(count, -1, dtype=np.int64),
        group=np.arange(count, dtype=np.int64),
        at=start + np.arange(count) * np.timedelta64(60, "s"),
    )


def without(plant: Plant, gone: np.ndarray) -> Plant:
    """Return a plant whose training parts lack some windows."""
    material, contract = plant
    return material.take(~gone | (material.part == "judge")), contract


def relabelled(plant: Plant, where: np.ndarray, y: np.ndarray) -> Plant:
    material, contract = plant
    return replace(material, y=np.where(where, y, material.y)), contract


def boosted(contract: Scenario) -> Callable[[Material], Scorer]:
    """Return a maker: boosted trees over the newest row, classes or a number."""
    classes = len(contract.classes)
    fixed = {"verbosity": -1, "deterministic": True, "num_threads": 1, "seed": 1}
    kind = (
        {"objective": "multiclass", "num_class": classes}
        if classes
        else {"objective": "regression"}
    )

    def make(material: Material) -> Scorer:
        fit = material.of("fit")
        data = lightgbm.Dataset(fit.x[:, -1].astype(float), fit.y)
        booster = lightgbm.train({**fixed, **kind, "num_leaves": 15}, data, 100)

        def run(x: Windows) -> Outputs:
            told = np.asarray(booster.predict(x[:, -1].astype(float)))
            nothing = np.zeros((len(x), 1))
            if classes:
                label = told.argmax(axis=1)[:, None].astype(float)
                return {"probability": told, "label": label, "applicability": nothing}
            told = told[:, None]
            return {
                "estimate": told,
                "lower": told - 1,
                "upper": told + 1,
                "applicability": nothing,
            }

        return run

    return make


def watching(material: Material) -> Scorer:
    """Return a detector: the largest squared distance of a channel from fit's mean."""
    rows = material.of("fit").x[:, -1].astype(float)
    middle, spread = rows.mean(axis=0), rows.std(axis=0)

    def run(x: Windows) -> Outputs:
        square = ((x[:, -1] - middle) / spread) ** 2 / 4.0
        return {
            "score": square.max(axis=1)[:, None],
            "contribution": square,
            "applicability": np.zeros((len(x), 1)),
        }

    return run


def diagnosed(plant: Plant, refits: int = 0, seed: int = 0) -> GapsReport:
    """Train the boosted recipe and diagnose it."""
    material, contract = plant
    make = watching if contract.task == "anomaly" else boosted(contract)
    return gaps.diagnose(
        Patient(
            material=material,
            scenario=contract,
            run=make(material),
            graph="sha256:" + "0" * 64,
            maker=make,
            seed=seed,
            refits=refits,
        )
    )
