"""What may not be trained on is not: a failed gate stops the chain before training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tundish.flows import workspace as workspaces
from tundish.flows.errors import GateFailedError
from tundish.flows.ledger import list_ledger
from tundish.flows.run_all import RunAllOrder, run_all
from tundish.flows.train import Order


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
candidates: {pls: {recipe: pls, why: test}}
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
