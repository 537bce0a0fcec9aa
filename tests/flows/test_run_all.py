"""The chain from data to package: what stops it, and what a narrow graph takes along."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tundish.flows import runs
from tundish.flows import workspace as workspaces
from tundish.flows.errors import GateFailedError
from tundish.flows.ledger import list_ledger
from tundish.flows.open_package import open_package
from tundish.flows.repeat import repeat
from tundish.flows.report.run_page import write_page
from tundish.flows.run_all import RunAllOrder, run_all
from tundish.flows.seal import SealOrder, seal
from tundish.flows.train import Order, train
from tundish.learn.errors import ParityBrokenError, PrecisionUnfitError


def leaking(folder: Path) -> tuple[Path, Path, Path]:
    """Write a table one of whose signals is the target, and its scenario and site."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    result = rng.uniform(0, 9, 400).round(3)
    rows = [
        f"{x:.3f},{y},{y}" for x, y in zip(rng.uniform(0, 9, 400), result, strict=True)
    ]
    (folder / "parts.csv").write_text(
        "\n".join(["load,result_copy,result", *rows]) + "\n", encoding="utf-8"
    )
    scenario, site = folder.parent / "s.yaml", folder.parent / "site.yaml"
    scenario.write_text(
        """
format: tundish.scenario
version: 1
key: C34.27.test-leak
name: {en: Leak, zh: 漏}
problem: none
decision: {what: nothing, who: nobody}
task: regress
signals:
  - {name: load, description: load, unit: "1", range: [-1, 10], period_s: 60}
  - {name: copy, description: the result itself, unit: "1", range: [-1, 10], period_s: 60}
target: {name: result, description: result, unit: "1", range: [-1, 10]}
recipe: pls
candidates: {pls: {recipe: pls, why: test, options: {components: [1, 2]}}}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
acceptance: {tolerance: 1, limits: [{metric: rmse, at_most: 1, why: test}]}
""",
        encoding="utf-8",
    )
    site.write_text(
        """
format: tundish.site
version: 1
scenario: C34.27.test-leak
site: here
tags: {load: {column: load}, copy: {column: result_copy}}
tables: {parts: {file: parts.csv, target: {file: parts.csv, column: result, by: row}}}
""",
        encoding="utf-8",
    )
    return folder, scenario, site


def test_a_failed_gate_stops_before_training(tmp_path: Path) -> None:
    plant = workspaces.create(tmp_path / "plant")
    folder, scenario, site = leaking(tmp_path / "data")
    order = Order(data=str(folder), scenario=str(scenario), site=str(site))
    with pytest.raises(GateFailedError, match="gate"):
        run_all(plant, RunAllOrder(train=order))
    acts = [entry.act for _, entry in list_ledger(plant)]
    assert "trained" not in acts
    shutil.rmtree(folder)


def steady(folder: Path) -> tuple[Path, Path, Path]:
    """Write a table whose result follows from two signals, its scenario and site."""
    _, scenario, site = leaking(folder)
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 4, (400, 2))
    y = x @ [1.0, 0.5] + rng.normal(0, 0.05, 400)
    rows = [f"{a:.4f},{b:.4f},{c:.4f}" for (a, b), c in zip(x, y, strict=True)]
    text = "\n".join(["load,result_copy,result", *rows]) + "\n"
    (folder / "parts.csv").write_text(text, encoding="utf-8")
    return folder, scenario, site


def test_a_narrow_graph_is_judged_and_its_comparison_travels_in_the_package(
    tmp_path: Path,
) -> None:
    plant = workspaces.create(tmp_path / "plant")
    folder, scenario, site = steady(tmp_path / "data")
    order = Order(
        data=str(folder), scenario=str(scenario), site=str(site), precision="float32"
    )
    done = run_all(
        plant, RunAllOrder(train=order, seal=SealOrder(valid_s=1e6, encrypt=False))
    )
    assert done.verdict.accepted
    assert done.verdict.graph == done.train.graph
    assert "graph in double and graph in float32" in done.train.parity
    found = runs.find(plant, done.train.run)
    assert found.record.precision == "float32"
    assert repeat(plant, done.train.run).same
    page = tmp_path / "run.html"
    write_page(plant, "", page)
    assert "graph in double" in page.read_text(encoding="utf-8")
    assert done.sealed is not None
    package = open_package(plant, Path(done.sealed.file)).package
    besides = [item["candidate"] for item in cast("Any", package.parity["besides"])]
    assert "graph in float32" in besides


def test_a_run_whose_precision_breaks_the_tolerance_is_not_made(tmp_path: Path) -> None:
    plant = workspaces.create(tmp_path / "plant")
    folder, scenario, site = steady(tmp_path / "data")
    strict = scenario.read_text(encoding="utf-8").replace("0.0001", "1.0e-9")
    scenario.write_text(strict, encoding="utf-8")
    order = Order(
        data=str(folder), scenario=str(scenario), site=str(site), precision="float32"
    )
    with pytest.raises(PrecisionUnfitError, match="graph in double in '"):
        train(plant, order)
    assert runs.names(plant) == []
    assert list_ledger(plant)[-1][1].code == "precision-unfit"
    train(plant, order.model_copy(update={"precision": "double"}))
    assert len(runs.names(plant)) == 1


def test_a_comparison_of_precisions_that_failed_is_not_sealed(tmp_path: Path) -> None:
    plant = workspaces.create(tmp_path / "plant")
    folder, scenario, site = steady(tmp_path / "data")
    order = Order(
        data=str(folder), scenario=str(scenario), site=str(site), precision="float32"
    )
    done = run_all(plant, RunAllOrder(train=order))
    found = runs.find(plant, done.train.run)
    *others, narrow = found.parity.besides
    broken = narrow.model_copy(update={"passed": False})
    parity = found.parity.model_copy(update={"besides": (*others, broken)})
    runs.write(found.folder, {runs.PARITY: parity})
    with pytest.raises(ParityBrokenError, match="float32 differs from the graph in do"):
        seal(plant, found.name, SealOrder(valid_s=1e6))
