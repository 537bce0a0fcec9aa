"""Injected faults on sets whose events nobody marked: injected, not real.

The first 70 % of a set, in ten stretches: of each the first 70 % to fit, the rest for the
limit, so that both hold the same states of the plant. The last 30 % are judged: named
faults are put into them (``tundish.learn.injection``), and beside that stands how often
they alarm untouched. These plants wander, so that is seldom the promised rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from bench.results.anomaly_sets import Floats, Options, Stretch, detect, windows_of
from bench.results.row import Row
from tundish.data.readers import read_table
from tundish.learn.injection import Scale, injected
from tundish.learn.judge import answers
from tundish.learn.verdict import InjectedResult

RATE = 0.01
ROWS = 20
LONG = ["timestamp", "tag", "value"]
TRAIN, FIT, STRETCHES = 0.7, 0.7, 10
LEAST = 100  # rows of a stretch: its limit part must hold a few windows
CONTENDERS: tuple[tuple[str, Options], ...] = (
    ("mahalanobis", {}),
    ("moving", {}),
    ("neighbours", {}),
)
SETS: tuple[tuple[str, str], ...] = (
    ("production-plant-ppd", "C7-1.csv.gz"),
    ("bibmon-real-process", "real_process_data.csv"),
    ("mtconnect-okuma-lathe", "okuma.txt"),
    ("assetopsbench", "chiller6_june2020_sensordata_couchdb.jsonl"),
)


def injected_rows(root: Path) -> Iterator[Row]:
    """Yield detection by fault and size, and the false alarms beside it."""
    for folder, file in SETS:
        frame = read_table(root / folder / file).frame
        rows = moving_rows(wide(frame) if frame.columns == LONG else frame)
        end = int(TRAIN * len(rows))
        stretches = min(STRETCHES, end // LEAST)
        train = []
        for place, stretch in enumerate(np.array_split(rows[:end], stretches)):
            cut = int(FIT * len(stretch))
            for part, piece in (("fit", stretch[:cut]), ("calibrate", stretch[cut:])):
                name = f"{part} {place}"
                train.append(Stretch(rows=piece, part=part, source=name))
        for recipe, options in CONTENDERS:
            yield from _one(folder, train, rows[end:], recipe, options)


def wide(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a log of (time, tag, value) as one row a second, the last value of each tag."""
    numbers = frame.select(
        pl.col("timestamp").str.slice(0, 19).alias("second"),
        "tag",
        pl.col("value").cast(pl.Float64, strict=False),
    ).drop_nulls()
    table = numbers.pivot(
        on="tag", index="second", values="value", aggregate_function="last"
    )
    return table.sort("second").drop("second")


def moving_rows(frame: pl.DataFrame) -> Floats:
    """Return the numbers of a table, gaps filled by the last value, [n, C].

    Left out: texts, clocks and counters (they only rise), tags without any value, and
    tags that do not move in the first part.
    """
    kept = []
    for series in frame.iter_columns():
        if not series.dtype.is_numeric():
            continue
        values = series.cast(pl.Float64).fill_nan(None).fill_null(strategy="forward")
        found = values.fill_null(strategy="backward").to_numpy()
        if not np.isfinite(found).all():
            continue
        step = np.diff(found)
        first = found[: int(TRAIN * len(found))]
        if (step >= 0).all() or (step <= 0).all() or first.std() <= 0.0:
            continue
        kept.append(found)
    return np.column_stack(kept)


def _one(
    name: str, train: list[Stretch], later: Floats, recipe: str, options: Options
) -> Iterator[Row]:
    found, scenario = detect(train, recipe, options, ROWS, RATE)
    x = windows_of(later, ROWS)
    alarm = answers(found.run, x, scenario)["score"][:, 0] > 1.0
    protocol = (
        f"first {TRAIN:.0%} in up to {STRETCHES} stretches, of each {FIT:.0%} to fit and the "
        f"rest for the limit at {RATE:.0%}; last {1 - TRAIN:.0%} judged ({len(x)} windows "
        f"of {ROWS} rows, {later.shape[1]} tags); faults injected, not real"
    )

    def row(metric: str, value: float, low: float | None, high: float | None) -> Row:
        return Row(
            set=name,
            protocol=protocol,
            recipe=recipe,
            metric=metric,
            value=round(value, 4),
            low=None if low is None else round(low, 4),
            high=None if high is None else round(high, 4),
            train_s=round(found.train_s, 2),
            ms_per_1000=round(found.ms_per_1000, 1),
        )

    yield row(
        "false alarm rate on untouched later windows, %", 100 * alarm.mean(), None, None
    )
    scale = Scale.of(found.fitted.envelope, scenario)
    table = injected(
        x,
        lambda part: answers(found.run, part, scenario),
        scale,
        np.random.default_rng(0),
    )
    quiet = max(result.unchanged for result in table)
    yield row("alarms of the same windows before a fault, %", 100 * quiet, None, None)
    for result in table:
        rate = (100 * each for each in (result.found, result.low, result.high))
        yield row(f"found: {_name(result)}, %", *rate)
    for result in table:
        if result.named is not None:
            yield row(
                f"right tag named: {_name(result)}, %", 100 * result.named, None, None
            )


def _name(result: InjectedResult) -> str:
    return result.fault if result.size is None else f"{result.fault} {result.size:g}"
