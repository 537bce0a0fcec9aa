"""A foreign model from its file to a sealed package; and what parity stops on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tundish.flows import runs
from tundish.flows import workspace as workspaces
from tundish.flows.adopt import adopt, onnx_file
from tundish.flows.judge import judge
from tundish.flows.open_package import open_package
from tundish.flows.seal import SealOrder, seal
from tundish.flows.train import Order
from tundish.flows.workspace import Workspace
from tundish.kernel import digest
from tundish.kernel.clock import ManualClock
from tundish.learn.adopt import Adoption
from tundish.learn.errors import ForeignUnfitError, ParityBrokenError
from tundish.model import making
from tundish.model.package import Package
from tundish.model.session import make_golden

SCENARIO = """
format: tundish.scenario
version: 1
key: C25.21.test-import
name: {en: Import, zh: "导入"}
problem: none
decision: {what: nothing, who: nobody}
task: regress
signals:
  - {name: a, description: a, unit: K, range: [-50, 50], period_s: 60}
  - {name: b, description: b, unit: K, range: [-50, 50], period_s: 60}
target: {name: y, description: y, unit: g, range: [-20, 20]}
recipe: one
candidates:
  one: {recipe: pls, why: test}
acceptance:
  tolerance: 2.0
  limits:
    - {metric: r2, at_least: 0.9, why: test}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: perceive, why: test}
"""
SITE = """
format: tundish.site
version: 1
scenario: C25.21.test-import
site: test
tables:
  run:
    file: run.csv
    clock: {start: "2026-01-01T00:00:00Z", every_s: 60}
    target: {file: run.csv, column: y, by: row}
tags: {a: {column: a}, b: {column: b}}
uses:
  - {part: fit, table: run, share: 0.4}
  - {part: calibrate, table: run, share: 0.3}
  - {part: judge, table: run}
"""


def _model(factor: float = 3.0) -> bytes:
    entry = helper.make_tensor_value_info("features", 1, ["n", 2])
    left = helper.make_tensor_value_info("y", 1, ["n", 1])
    weight = numpy_helper.from_array(np.array([[factor], [-2.0]], np.float32), "w")
    node = helper.make_node("MatMul", ["features", "w"], ["y"])
    graph = helper.make_graph([node], "g", [entry], [left], [weight])
    opsets = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
    return bytes(model.SerializeToString())


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Workspace, Order, Path]:
    draw = np.random.default_rng(2)
    x = draw.normal(size=(300, 2))
    y = x @ [3.0, -2.0] + draw.normal(0, 0.1, 300)
    data = tmp_path / "data"
    data.mkdir()
    lines = [f"{a:.6f},{b:.6f},{c:.6f}" for (a, b), c in zip(x, y, strict=True)]
    (data / "run.csv").write_text("\n".join(["a,b,y", *lines]) + "\n")
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    (tmp_path / "site.yaml").write_text(SITE)
    exported = tmp_path / "mlflow" / "artifacts"
    exported.mkdir(parents=True)
    (exported / "model.onnx").write_bytes(_model())
    plant = workspaces.create(
        tmp_path / "plant", clock=ManualClock(datetime(2026, 3, 1, 8, tzinfo=UTC))
    )
    order = Order(
        data=str(data),
        scenario=str(tmp_path / "scenario.yaml"),
        site=str(tmp_path / "site.yaml"),
    )
    return plant, order, tmp_path / "mlflow"


def test_a_foreign_model_goes_from_its_folder_to_a_sealed_package(
    shop: tuple[Workspace, Order, Path],
) -> None:
    plant, order, folder = shop
    report = adopt(plant, folder, order, Adoption())
    assert "reference evaluator" in report.parity
    assert "FAILED" not in report.parity
    assert judge(plant).accepted
    sealed = seal(plant, report.run, SealOrder(valid_s=1e6, encrypt=False))
    model = open_package(plant, Path(sealed.file))
    window = np.array([[[1.0, 1.0]]], np.float32)
    found = model.session.run(window)["estimate"][0, 0]
    assert abs(found - 1.0) < 1e-5
    assert model.package.card.training.recipe == "imported"


def test_a_run_that_differs_between_backends_is_not_sealed(
    shop: tuple[Workspace, Order, Path],
) -> None:
    plant, order, folder = shop
    report = adopt(plant, folder, order, Adoption())
    judge(plant)
    found = runs.find(plant, report.run)
    besides = [
        item.model_copy(update={"passed": "evaluator" not in item.candidate})
        for item in found.parity.besides
    ]
    failed = found.parity.model_copy(update={"besides": tuple(besides)})
    runs.write(found.folder, {runs.PARITY: failed})
    with pytest.raises(ParityBrokenError, match="reference evaluator"):
        seal(plant, report.run, SealOrder(valid_s=1e6))


def test_a_package_that_answers_otherwise_than_the_judged_graph_is_refused(
    shop: tuple[Workspace, Order, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, order, folder = shop
    report = adopt(plant, folder, order, Adoption())
    judge(plant)
    found = runs.find(plant, report.run)
    model = onnx.load_from_string(found.graph)
    for item in model.graph.initializer:
        if item.name == "foreign/w":
            values = numpy_helper.to_array(item) * np.float32(1.01)
            item.CopyFrom(numpy_helper.from_array(values, item.name))
    other = model.SerializeToString()
    golden = make_golden(other, found.golden.window.array())
    whole = making.build

    def swapped(parts: making.PackageParts, **rest: object) -> Package:
        card = parts.card.model_copy(update={"graph": digest.of_bytes(other)})
        changed = replace(parts, graph=other, golden=golden, card=card)
        statement = rest["statement"]
        parents = tuple(
            digest.of_bytes(other) if p == found.record.graph else p
            for p in statement.parents  # type: ignore[attr-defined]
        )
        rest["statement"] = statement.model_copy(update={"parents": parents})  # type: ignore[attr-defined]
        return whole(changed, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "build", swapped)
    before = list(plant.packages.glob("*"))
    with pytest.raises(ParityBrokenError, match="sealed package"):
        seal(plant, report.run, SealOrder(valid_s=1e6))
    assert list(plant.packages.glob("*")) == before


def test_a_folder_with_two_models_names_none_of_them(tmp_path: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        (tmp_path / name).write_bytes(_model())
    with pytest.raises(ForeignUnfitError, match="2 ONNX files"):
        onnx_file(tmp_path)
