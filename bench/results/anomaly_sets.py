"""Reading the sets of ``anomaly``, and running one recipe on one of them."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Option, Scenario
from tundish.kernel import digest
from tundish.learn.judge import answers
from tundish.learn.material import Material
from tundish.learn.recipe import Fitted, Scorer
from tundish.learn.train import train
from tundish.model.session import Session, make_golden

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Options = Mapping[str, Option]
TIMED = 50  # windows in a call: a batch that stays in the cache


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Rows of one source and what they are for."""

    rows: Floats
    part: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Detected:
    """A trained detector: its graph at work and what it cost."""

    fitted: Fitted
    run: Scorer
    train_s: float
    ms_per_1000: float


def windows_of(rows: Floats, length: int) -> NDArray[np.float32]:
    """Return every window of so many rows, [n - T + 1, T, C]."""
    view = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1)).astype(np.float32)


def material_of(stretches: Sequence[Stretch], length: int) -> Material:
    """Return the windows of stretches; none reaches over the edge of one."""
    parts = [windows_of(item.rows, length) for item in stretches]
    x = np.concatenate(parts)
    return Material(
        x=x,
        y=np.full(len(x), np.nan),
        part=np.repeat([item.part for item in stretches], [len(p) for p in parts]),
        source=np.repeat([item.source for item in stretches], [len(p) for p in parts]),
        event=np.full(len(x), -1),
        group=np.arange(len(x)),
    )


def scenario_of(
    seen: Floats, recipe: str, options: Options, rows: int, rate: float
) -> Scenario:
    """Return a scenario over nameless tags; ranges are ten spans around what training sees."""
    low, high = seen.min(axis=0), seen.max(axis=0)
    wide = 10.0 * np.maximum(high - low, 1e-6 + 1e-3 * np.abs(high))
    return Scenario.model_validate(
        {
            "format": "tundish.scenario",
            "version": 1,
            "key": "C26.27.bench",
            "name": {"en": "bench", "zh": "bench"},
            "problem": "a figure for the table of results",
            "decision": {"what": "none", "who": "nobody"},
            "task": "anomaly",
            "signals": tuple(
                {
                    "name": f"tag_{place}",
                    "description": "a tag",
                    "unit": "1",
                    "range": (float(a), float(b)),
                    "period_s": 1.0,
                }
                for place, (a, b) in enumerate(
                    zip(low - wide, high + wide, strict=True)
                )
            ),
            "window": {"rows": rows, "stride": 1},
            "recipe": "one",
            "candidates": {
                "one": {"recipe": recipe, "why": "bench", "options": dict(options)}
            },
            "acceptance": {
                "alarm_rate": rate,
                "limits": (
                    {
                        "metric": "share_of_normal_windows_alarmed",
                        "at_most": rate,
                        "why": "bench",
                    },
                ),
            },
            "baseline": "none",
            "parity_tolerance": 1e-3,
            "stale_after_s": 60.0,
            "risk": {
                "outcome": "low",
                "ambiguity": "low",
                "autonomy": "perceive",
                "why": "bench",
            },
        }
    )


def detect(
    stretches: Sequence[Stretch], recipe: str, options: Options, rows: int, rate: float
) -> tuple[Detected, Scenario]:
    """Train a recipe on stretches and time its graph on 1,000 windows."""
    seen = np.concatenate([item.rows for item in stretches])
    scenario = scenario_of(seen, recipe, options, rows, rate)
    material = material_of(stretches, rows)
    began = time.perf_counter()
    fitted = train(material, scenario, data=digest.of_bytes(b"bench")).fitted
    took = time.perf_counter() - began
    session = Session(fitted.graph, make_golden(fitted.graph, fitted.golden_window))
    sample = np.resize(material.x, (1000, *material.x.shape[1:]))
    times = []
    for _ in range(5):  # seconds of this process: others share the machine
        began = time.process_time()
        for first in range(0, 1000, TIMED):
            session.run(sample[first : first + TIMED])
        times.append(time.process_time() - began)
    return (
        Detected(
            fitted=fitted,
            run=session.run,
            train_s=took,
            ms_per_1000=1000.0 * min(times),
        ),
        scenario,
    )


def scores_of(found: Detected, scenario: Scenario, rows: Floats) -> Floats:
    """Return the score of each window of some rows, [n - T + 1]."""
    x = windows_of(rows, scenario.window.rows)
    return answers(found.run, x, scenario)["score"][:, 0]


@dataclass(frozen=True, kw_only=True)
class SkabFile:
    """One file of SKAB."""

    name: str
    at: Floats
    rows: Floats
    bad: Bools
    changes: Bools


def skab_files(root: Path) -> list[SkabFile]:
    """Return the 34 files with marked anomalies."""
    found = []
    for path in sorted(root.glob("skab/*/*.csv")):
        if path.parent.name == "anomaly-free":
            continue
        with path.open(encoding="utf-8") as lines:
            table = list(csv.reader(lines, delimiter=";"))[1:]
        values = np.array([[float(cell) for cell in line[1:]] for line in table])
        moments = np.array([np.datetime64(line[0].replace(" ", "T")) for line in table])
        found.append(
            SkabFile(
                name=f"{path.parent.name}/{path.stem}",
                at=moments.astype("datetime64[s]").astype(np.float64),
                rows=values[:, :8],
                bad=values[:, 8] > 0,
                changes=values[:, 9] > 0,
            )
        )
    return found


def tep_file(root: Path, name: str) -> Floats:
    """Return the rows of a file of the Tennessee Eastman set, [n, 52]."""
    values = np.loadtxt(root / "tep-braatz" / name)
    return values.T if values.shape[0] == 52 else values
