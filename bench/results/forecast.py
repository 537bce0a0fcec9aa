"""The task forecast on two real series, each against the plain forecast of the judge.

    python -m bench.results.forecast

- la-haute-borne (catalogue; ``tundish data fetch la-haute-borne``): power of four wind
  turbines in steps of ten minutes, four hours ahead, every two hours. Learnt on 2014,
  chosen on January to mid-March 2015, calibrated until June, judged on July to December.
  There is no season at this range: the plain forecast holds the last value.
- assetopsbench chiller 6, June 2020: electric power of a chiller in steps of a quarter of
  an hour, four hours ahead; a season is a day (96 rows), so the plain forecast is the same
  quarter hour yesterday. Thirty days are little: the first half is learnt from, the last
  three tenths are judged. The makers masked the values; that the daily course of the load
  survived is seen, what else did not is unknown.

Milliseconds are those of the processor, since the machine may be shared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

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
CHILLER = """
format: tundish.scenario
version: 1
key: D44.16.chiller-power
name: {en: Power of a chiller, zh: 冷水机组功率}
problem: the peak of the site's electric load is bought a few hours ahead
decision: {what: which loads are shed, who: the energy manager}
task: forecast
signals:
  - {name: power, description: electric power, unit: kW, range: [-10, 5000], period_s: 900}
  - {name: cooling, description: cooling delivered, unit: tons, range: [-10, 20000], period_s: 900}
  - {name: flow, description: condenser water flow, unit: gpm, range: [-10, 50000], period_s: 900}
target: {name: power, description: electric power, unit: kW, range: [-10, 5000]}
window: {rows: 96}
horizon: {rows: 16, season_rows: 96}
recipe: boosted
candidates:
  plain: {recipe: seasonal, why: baseline}
  boosted: {recipe: boost_forecast, why: corrections}
acceptance:
  tolerance: 100
  limits: [{metric: share_of_baseline_error, at_most: 0.9, why: measured here only}]
baseline: the same quarter hour yesterday
parity_tolerance: 0.0001
stale_after_s: 3600
risk: {outcome: low, ambiguity: low, autonomy: advise, why: measured here only}
"""
CHILLER_SITE = """
format: tundish.site
version: 1
scenario: D44.16.chiller-power
site: AssetOpsBench, chiller 6
tables:
  june:
    file: dcp_test.csv
    time_column: timestamp
    target: {file: dcp_test.csv, column: chiller_6_power_input, by: row}
tags:
  power: {column: chiller_6_power_input}
  cooling: {column: chiller_6_tonnage}
  flow: {column: chiller_6_condenser_water_flow}
uses:
  - {part: fit, table: june, share: 0.5}
  - {part: calibrate, table: june, share: 0.2}
  - {part: judge, table: june}
"""


def sets() -> Iterator[tuple[str, Scenario, Material]]:
    """Yield each set with its scenario and windows."""
    scenario = library.scenario("D44.16.wind-power-ahead")
    root = locate("la-haute-borne").root
    site = library.site("la-haute-borne-ahead")
    yield "la-haute-borne", scenario, prepare(site, scenario, root).material
    chiller = parse_document(CHILLER.encode(), Scenario, "chiller.yaml")
    site = parse_document(CHILLER_SITE.encode(), SiteProfile, "site.yaml")
    folder = (settings.data_dir() or Path()) / "assetopsbench"
    yield "assetopsbench chiller", chiller, prepare(site, chiller, folder).material


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
        value = figure.value if figure.value is not None else float("nan")
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
