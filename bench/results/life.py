"""The task rul on C-MAPSS FD001 and FD003: the last flight of each test engine.

    python -m bench.results.life [--seeds 3] [--only FD001 FD003] [--recipes ...]

All training engines fit; the truth is capped at 125 flights in training. The test engines
are judged once each, at their last flight, against the raw life left and against that
capped at 125. Two recipes: ``conv_life`` once, ``boost_life`` without costs (the field's
protocol: the figures of others are such) and with the costs of the scenario, which tells
shorter lives on purpose. Settings were chosen on training engines, by the error on engines that the
members had not seen, which stands in the table too.

The spread is the bootstrap of engines of the seed whose error is in the middle; the other
seeds have rows of their own. Milliseconds are those of the processor, since the machine
may be shared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from bench.results.row import Row

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.flows.material import prepare
from tundish.kernel import digest, settings
from tundish.learn.judge import judge
from tundish.learn.material import Material
from tundish.learn.train import train
from tundish.learn.verdict import Verdict
from tundish.model.session import Session, make_golden

KEY = "C37.28.turbofan-life"
SETS = {"FD001": 12.0, "FD003": None}
"""Set -> raw RMSE to reach."""
METRICS = ("rmse", "rmse_capped", "nasa_score", "interval_coverage", "late_share")
RECIPES = {
    "boost_life": ("boost_life", False),
    "boost_life, costs late 2 : early 1": ("boost_life", True),
    "conv_life": ("conv_life", False),
}
"""Name in the table -> recipe, and whether costs are told."""
SLOW = {"conv_life"}
"""Trained once: minutes each, and no rival of the trees."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One training and its verdict."""

    verdict: Verdict
    unseen: float
    train_s: float
    ms: float


def measured(material: Material, scenario: Scenario, seed: int) -> Outcome:
    """Train with a seed and judge."""
    started = perf_counter()
    fitted = train(material, scenario, data=digest.of_bytes(b""), seed=seed).fitted
    train_s = perf_counter() - started
    session = Session(fitted.graph, make_golden(fitted.graph, fitted.golden_window))
    kept = next(tried for tried in fitted.search if tried.kept)
    return Outcome(
        verdict=judge(material, scenario, session.run, fitted.claim),
        unseen=kept.scores["rmse_without_the_unit"],
        train_s=train_s,
        ms=milliseconds(session, material),
    )


def milliseconds(session: Session, material: Material) -> float:
    """Return the processor's milliseconds for 1,000 windows, the best of five."""
    x = np.resize(material.of("judge").x, (1000, *material.x.shape[1:]))
    times = []
    for _ in range(5):
        started = process_time()
        session.run(x)
        times.append(process_time() - started)
    return 1000.0 * min(times)


def rows_of(name: str, seeds: int, wanted: list[str]) -> Iterator[Row]:
    """Yield the rows of one set."""
    scenario = library.scenario(KEY)
    folder = (settings.data_dir() or Path()) / "cmapss"
    site = library.site(f"cmapss-{name.lower()}")
    material = prepare(site, scenario, folder).material
    for label in wanted:
        recipe, costly = RECIPES[label]
        asked = with_recipe(scenario, recipe)
        asked = asked if costly else asked.model_copy(update={"costs": None})
        tries = 1 if recipe in SLOW else seeds
        outcomes = [measured(material, asked, seed) for seed in range(tries)]
        yield from _rows(name, label, outcomes, SETS[name] if not costly else None)


def with_recipe(scenario: Scenario, recipe: str) -> Scenario:
    """Return the scenario with its candidate of another recipe, settings kept."""
    candidate = scenario.candidates[scenario.recipe]
    other = candidate.model_copy(update={"recipe": recipe})
    return scenario.model_copy(update={"candidates": {scenario.recipe: other}})


def _rows(
    name: str, recipe: str, outcomes: list[Outcome], reference: float | None
) -> Iterator[Row]:
    protocol = "last flight of each of 100 test engines, life capped at 125 in training"
    errors = [outcome.verdict.figure("rmse").value or 0.0 for outcome in outcomes]
    order = np.argsort(errors, kind="stable")
    middle = outcomes[int(order[(len(order) - 1) // 2])]
    for metric in METRICS:
        figure = middle.verdict.figure(metric)
        leading = metric == "rmse"
        value = figure.value if figure.value is not None else float("nan")
        yield Row(
            set=f"cmapss {name}",
            protocol=protocol,
            recipe=recipe,
            metric=metric + (" (raw), flights" if leading else ""),
            value=round(value, 3),
            low=None if figure.low is None else round(figure.low, 3),
            high=None if figure.high is None else round(figure.high, 3),
            reference=reference if leading else None,
            met=value <= reference if leading and reference else None,
            train_s=round(middle.train_s, 1) if leading else None,
            ms_per_1000=round(middle.ms, 1) if leading else None,
        )
    if len(outcomes) > 1:
        yield Row(
            set=f"cmapss {name}",
            protocol=f"{protocol}; {len(outcomes)} seeds",
            recipe=recipe,
            metric="rmse (raw), mean, least and largest of the seeds",
            value=round(float(np.mean(errors)), 3),
            low=round(min(errors), 3),
            high=round(max(errors), 3),
        )
    yield Row(
        set=f"cmapss {name}",
        protocol="training engines, each told by a member that has not seen it; all flights",
        recipe=recipe,
        metric="rmse against the capped life",
        value=round(middle.unseen, 3),
    )


def main() -> None:
    """Print the rows as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(SETS))
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES))
    asked = parser.parse_args()
    for name in asked.only:
        for row in rows_of(name, asked.seeds, asked.recipes):
            sys.stdout.write(row.line() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
