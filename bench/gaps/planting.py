"""Splits of a set, and gaps planted into them.

A split deals whole blocks to the parts by chance, and four crews to the blocks, by
chance too: no crew is worse than another until something is planted in
it. A quarter of the blocks, "proof", is seen by nobody before the diagnosis is done: it
says whether a weak slice is weak on rows that played no part in naming it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
from bench.gaps.models import maker_of
from bench.gaps.sets import Table
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.judge import answers
from tundish.learn.losses import CLASSES, NUMBERS, loss_of
from tundish.learn.material import Floats, Material

Bools = NDArray[np.bool_]
PARTS = np.array(["fit", "fit", "fit", "calibrate", "judge", "judge", "proof", "proof"])
CREWS = np.array(["a", "b", "c", "d"])


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A split, with or without a gap.

    Attributes:
        material: All parts; "proof" must be taken out before it is diagnosed.
        planted: Windows of the slice in which a gap was planted, [N].
    """

    material: Material
    scenario: Scenario
    planted: Bools


def clean(table: Table, seed: int) -> Case:
    """Return a split of a set, nothing planted."""
    rng = np.random.default_rng([seed, 1])
    names, place = np.unique(table.block, return_inverse=True)
    dealt = rng.permutation(np.arange(len(names)) % len(PARTS))
    crew = rng.permutation(np.arange(len(names)) % len(CREWS))
    count = len(table.y)
    start = np.datetime64("2024-01-01T00:00:00", "us")
    material = Material(
        x=table.x[:, None, :].astype(np.float32),
        y=table.y.copy(),
        part=PARTS[dealt[place]],
        source=np.full(count, "all") if table.timed else table.block.astype(str),
        shift=CREWS[crew[place]],
        event=np.full(count, -1, dtype=np.int64),
        group=np.arange(count, dtype=np.int64),
        at=start + np.arange(count) * np.timedelta64(60, "s") if table.timed else None,
    )
    return Case(
        material=material, scenario=_scenario(table), planted=np.zeros(count, bool)
    )


def no_gap(table: Table, seed: int) -> Case:
    """Return a split in which no slice can be weak: errors are dealt anew to the windows.

    The model's own errors on calibrate and judge, shifted round by chance among these
    windows (in time, so that neighbours stay alike) or dealt anew where there is no time.
    Their sizes are real, where they stand is chance.
    """
    case = clean(table, seed)
    rng = np.random.default_rng([seed, 2])
    material = case.material
    run = maker_of(case.scenario)(material)
    use = np.flatnonzero(np.isin(material.part, ["calibrate", "judge"]))
    move = (
        np.roll(use, int(rng.integers(len(use))))
        if table.timed
        else rng.permutation(use)
    )
    outputs = answers(run, material.x, case.scenario)
    y = material.y.copy()
    if table.task in CLASSES:
        told = outputs["probability"].argmax(axis=1).astype(float)
        wrong = loss_of(outputs, material, case.scenario)[move] > 0
        other = rng.permutation(
            told[use]
        )  # no class gets more than its share of errors
        y[use] = np.where(wrong, other, told[use])
    else:
        told = outputs["estimate"][:, 0]
        y[use] = told[use] + (y - told)[move]
    return replace(case, material=replace(material, y=y))


def mode_left_out(table: Table, seed: int, share: float) -> Case:
    """Leave the top of a signal's range out of every part that training may look at."""
    case = clean(table, seed)
    column = table.x[:, table.cut[0]]
    planted = column > np.quantile(column, 1.0 - share)
    kept = ~planted | np.isin(case.material.part, ["judge", "proof"])
    edge = f"s{table.cut[0]} > {np.quantile(column, 1.0 - share):.9g}"
    scenario = _scenario(table, edge)
    return Case(
        material=case.material.take(kept), scenario=scenario, planted=planted[kept]
    )


def labels_flipped(table: Table, seed: int, share: float) -> Case:
    """Give a share of one crew's rows the truth of another row, or a wrong class."""
    case = clean(table, seed)
    planted = np.asarray(case.material.shift == CREWS[1], dtype=bool)
    return _flipped(table, case, planted, share, seed)


def region_flipped(table: Table, seed: int, share: float) -> Case:
    """Do the same to the top quarter of a signal on which no mode is declared."""
    case = clean(table, seed)
    column = next(n for n in range(table.x.shape[1]) if n not in table.cut)
    planted = table.x[:, column] > np.quantile(table.x[:, column], 0.75)
    return _flipped(table, case, planted, share, seed)


def sensor_noisy(table: Table, seed: int, spreads: float) -> Case:
    """Add noise of so many spreads to the telling sensors of one crew."""
    case = clean(table, seed)
    rng = np.random.default_rng([seed, 4])
    planted = np.asarray(case.material.shift == CREWS[1], dtype=bool)
    x = case.material.x.copy()
    column = telling(table)
    noise = spreads * float(table.x[:, column].std())
    x[planted, :, column] += rng.normal(0.0, noise, (int(planted.sum()), 1)).astype(
        np.float32
    )
    return replace(case, material=replace(case.material, x=x), planted=planted)


def _flipped(table: Table, case: Case, planted: Bools, share: float, seed: int) -> Case:
    rng = np.random.default_rng([seed, 3])
    wrong = planted & (rng.uniform(size=len(planted)) < share)
    y = case.material.y
    other = (y + 1) % max(1, len(table.classes))
    if table.task not in CLASSES:
        other = rng.permutation(y)
    material = replace(case.material, y=np.where(wrong, other, y))
    return replace(case, material=material, planted=planted)


def telling(table: Table) -> int:
    """Return the column that a boosted model of the whole set uses most."""
    if table.task == "anomaly":
        return table.cut[0]
    kind = {"objective": "regression"}
    if table.classes:
        kind = {"objective": "multiclass", "num_class": str(len(table.classes))}
    data = lightgbm.Dataset(table.x, table.y)
    fixed = {"verbosity": -1, "num_threads": 1, "num_leaves": 7, "seed": 1}
    booster = lightgbm.train({**fixed, **kind}, data, 30)
    return int(np.argmax(booster.feature_importance("gain")))


SIZES: dict[str, tuple[Callable[[Table, int, float], Case], tuple[float, ...]]] = {
    "mode left out": (mode_left_out, (0.05, 0.1, 0.2)),
    "labels flipped": (labels_flipped, (0.1, 0.2, 0.4)),
    "region's labels flipped": (region_flipped, (0.2, 0.4)),
    "sensor noisy": (sensor_noisy, (0.5, 1.0, 3.0)),
}


def losses_of(case: Case) -> Floats:
    """Return the loss of every window, proof too, [N]."""
    part = np.where(case.material.part == "proof", "judge", case.material.part)
    whole = replace(case.material, part=part)
    run = maker_of(case.scenario)(case.material)
    return loss_of(answers(run, whole.x, case.scenario), whole, case.scenario)


def _scenario(table: Table, planted: str | None = None) -> Scenario:
    """Return a contract with modes on two signals, and one that was left out."""
    low, high = np.quantile(table.x[:, table.cut[1]], [0.3, 0.7])
    second = f"s{table.cut[1]}"
    modes = [
        {"name": "low", "when": f"{second} < {low:.9g}"},
        {"name": "high", "when": f"{second} > {high:.9g}"},
    ]
    first = f"s{table.cut[0]} > {np.quantile(table.x[:, table.cut[0]], 0.9):.9g}"
    modes.append({"name": "top", "when": planted or first})
    wide = (float(table.x.min()) - 1e6, float(table.x.max()) + 1e6)
    told = {"description": "as in the set", "unit": "1", "range": wide}
    limit = {
        "regress": "r2", "rul": "rmse", "diagnose": "macro_f1",
        "anomaly": "share_of_normal_windows_alarmed",
    }[table.task]  # fmt: skip
    end = "at_least" if limit in {"r2", "macro_f1"} else "at_most"
    acceptance: dict[str, object] = {
        "limits": ({"metric": limit, end: 0.5, "why": "bench"},)
    }
    if table.task in NUMBERS:
        acceptance["tolerance"] = 1.0
    parts: dict[str, object] = {}
    if table.task != "anomaly":
        ends = (-1e6, 1e6) if not table.classes else (0.0, len(table.classes) - 1.0)
        parts["target"] = {
            "name": "target", "description": "as in the set", "unit": "1", "range": ends
        }  # fmt: skip
    if table.classes:
        parts["classes"] = tuple(
            {"name": name, "description": "as in the set", "good": place == 0}
            for place, name in enumerate(table.classes)
        )
    return Scenario.model_validate(
        {
            "format": "tundish.scenario", "version": 1, "key": "C26.21.bench",
            "name": {"en": table.name, "zh": table.name}, "problem": "bench",
            "decision": {"what": "none", "who": "nobody"}, "task": table.task,
            "signals": tuple(
                {"name": f"s{n}", "period_s": 60.0, **told}
                for n in range(table.x.shape[1])
            ),
            "modes": tuple(modes), "window": {"rows": 1, "stride": 1}, "recipe": "any",
            "candidates": {"any": {"recipe": "any", "why": "bench"}},
            "acceptance": acceptance,
            "baseline": "none", "parity_tolerance": 1e-4, "stale_after_s": 3600.0,
            "risk": {
                "outcome": "low", "ambiguity": "low", "autonomy": "advise",
                "why": "bench",
            },
            **parts,
        }
    )  # fmt: skip
