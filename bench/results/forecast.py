"""The task forecast on two real series, each against the plain forecast of the judge.

    python -m bench.results.forecast

- la-haute-borne (catalogue; ``tundish data fetch la-haute-borne``): power of four wind
  turbines in steps of ten minutes, four hours ahead, every two hours. Learnt on 2014,
  chosen on January to mid-March 2015, calibrated until June, judged on July to December.
  There is no season at this range: the plain forecast holds the last value.
- steam-generator-abbott (DaISy): steam flow of a boiler, eight hours in steps of 3 s, two
  minutes ahead from fuel, air, level and pressure. The first half is learnt from, a fifth
  calibrates, three tenths are judged. The plain forecast holds the last value.

A third was tried and left out: the chiller of assetopsbench stands still from the eleventh
of its thirty days on, so that every forecast of its power is right.

Milliseconds are those of the processor, since the machine may be shared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import polars as pl

from bench.results.life import milliseconds
from bench.results.row import Row

from tundish.catalog import library
from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.flows.fetch import locate
from tundish.flows.material import prepare
from tundish.kernel import digest, settings
from tundish.learn.judge import judge
from tundish.learn.material import Material
from tundish.learn.train import train
from tundish.model.session import Session, make_golden

METRICS = (
    "share_of_baseline_error",
    "rmse",
    "mae",
    "interval_coverage",
    "interval_score",
)
START = datetime(2000, 1, 1)  # the file names no day
COLUMNS = (
    "time_s", "fuel", "air", "level_reference", "disturbance",
    "pressure", "oxygen", "level", "steam",
)  # fmt: skip
STEAM = """
format: tundish.scenario
version: 1
key: D44.16.boiler-steam
name: {en: Steam flow of a boiler, zh: 锅炉蒸汽流量}
problem: fuel and air must be set before the steam is drawn, since the drum answers late
decision: {what: the firing rate, who: the boiler operator}
task: forecast
signals:
  - {name: steam, description: steam flow, unit: kg/s, range: [-5, 60], period_s: 3}
  - {name: fuel, description: scaled fuel flow, unit: "1", range: [-1, 2], period_s: 3}
  - {name: air, description: scaled air flow, unit: "1", range: [-1, 2], period_s: 3}
  - {name: pressure, description: drum pressure, unit: psi, range: [0, 1000], period_s: 3}
  - {name: oxygen, description: excess oxygen in the flue gas, unit: "%", range: [-5, 30], period_s: 3}
  - {name: level, description: water level in the drum, unit: in, range: [-50, 50], period_s: 3}
  - {name: disturbance, description: disturbance of the load, unit: "1", range: [-1, 2], period_s: 3}
target: {name: steam, description: steam flow, unit: kg/s, range: [-5, 60]}
window: {rows: 100}
horizon: {rows: 40}
recipe: boosted
candidates:
  plain: {recipe: seasonal, why: baseline}
  boosted: {recipe: boost_forecast, why: corrections}
acceptance:
  tolerance: 1
  limits: [{metric: share_of_baseline_error, at_most: 0.9, why: measured here only}]
baseline: the last value
parity_tolerance: 0.0001
stale_after_s: 60
risk: {outcome: low, ambiguity: low, autonomy: advise, why: measured here only}
"""
STEAM_SITE = """
format: tundish.site
version: 1
scenario: D44.16.boiler-steam
site: Abbott power plant
tables:
  run:
    file: steamgen.csv
    time_column: time
    target: {file: steamgen.csv, column: steam, by: row}
tags:
  steam: {column: steam}
  fuel: {column: fuel}
  air: {column: air}
  pressure: {column: pressure}
  oxygen: {column: oxygen}
  level: {column: level}
  disturbance: {column: disturbance}
uses:
  - {part: fit, table: run, share: 0.5}
  - {part: calibrate, table: run, share: 0.2}
  - {part: judge, table: run}
"""


def sets() -> Iterator[tuple[str, Scenario, Material]]:
    """Yield each set with its scenario and windows."""
    scenario = library.scenario("D44.16.wind-power-ahead")
    root = locate("la-haute-borne").root
    site = library.site("la-haute-borne-ahead")
    yield "la-haute-borne", scenario, prepare(site, scenario, root).material
    steam = parse_document(STEAM.encode(), Scenario, "steam.yaml")
    site = parse_document(STEAM_SITE.encode(), SiteProfile, "site.yaml")
    raw = (settings.data_dir() or Path()) / "steam-generator-abbott" / "steamgen.dat"
    with TemporaryDirectory() as folder:
        _as_csv(raw, Path(folder) / "steamgen.csv")
        yield (
            "steam-generator-abbott",
            steam,
            prepare(site, steam, Path(folder)).material,
        )


def _as_csv(raw: Path, to: Path) -> None:
    """Write the numbers with names, and with times that begin on some day."""
    table = pl.DataFrame(np.loadtxt(raw), schema=list(COLUMNS), orient="row")
    times = pl.lit(START) + pl.duration(milliseconds=pl.col("time_s") * 1000)
    table.with_columns(times.alias("time")).write_csv(to)


def rows_of(
    name: str, scenario: Scenario, material: Material, candidate: str
) -> Iterator[Row]:
    """Yield the rows of one candidate on one set."""
    started = perf_counter()
    made = train(
        material, scenario, data=digest.of_bytes(b""), candidate=candidate
    ).fitted
    train_s = perf_counter() - started
    session = Session(made.graph, make_golden(made.graph, made.golden_window))
    verdict = judge(material, scenario, session.run, made.claim)
    ms = milliseconds(session, material)
    ahead = scenario.horizon.rows if scenario.horizon else 1
    for metric in METRICS:
        figure = verdict.figure(metric)
        if figure.value is None:
            continue  # nothing to compare with
        value = figure.value
        leading = metric == "share_of_baseline_error"
        yield Row(
            set=name,
            protocol=f"{ahead} rows ahead, later months; {verdict.judged} forecasts against {verdict.baseline_name}",
            recipe=made.recipe,
            metric=f"{metric}, {figure.unit}" if figure.unit else metric,
            value=round(value, 4),
            low=None if figure.low is None else round(figure.low, 4),
            high=None if figure.high is None else round(figure.high, 4),
            reference=1.0 if leading else None,
            met=value < 1.0 if leading else None,
            train_s=round(train_s, 1) if leading else None,
            ms_per_1000=round(ms, 1) if leading else None,
        )


def main() -> None:
    """Print the rows as JSON lines."""
    for name, scenario, material in sets():
        for candidate in ("plain", "boosted"):
            for row in rows_of(name, scenario, material, candidate):
                sys.stdout.write(row.line() + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
