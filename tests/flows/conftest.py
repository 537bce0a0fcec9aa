"""A desk with a small sealed package: no training, no data set, seconds only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.flows import workspace as workspaces
from tundish.flows.reuse import Reused, allowed
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, clock, digest
from tundish.kernel.clock import ManualClock
from tundish.model import making, marked
from tundish.model import package as packages
from tundish.model.bom import Library, bill_of_materials
from tundish.model.card import ModelCard, TrainingFacts
from tundish.model.session import make_golden
from tundish.seal import envelope
from tundish.seal.statement import make_statement

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
MARKER = b"these-clear-bytes-must-never-reach-a-disk"
ROWS = 2


def graph() -> bytes:
    """Return a graph whose estimate is the mean of a window; its name is a marker."""
    weights = np.full((ROWS, 1), 1 / ROWS, np.float32)
    nodes = [
        helper.make_node("Flatten", ["window"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["estimate"]),
        helper.make_node("Sub", ["estimate", "one"], ["lower"]),
        helper.make_node("Add", ["estimate", "one"], ["upper"]),
        helper.make_node("Mul", ["estimate", "nought"], ["applicability"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1])
        for name in ("estimate", "lower", "upper", "applicability")
    ]
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", ROWS, 1])
    constants = {"weights": weights, "one": [1.0], "nought": [0.0]}
    made = helper.make_graph(
        nodes,
        MARKER.decode(),
        [window],
        outputs,
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    return bytes(onnx.ModelProto.SerializeToString(model))


def scenario(**changed: object) -> Scenario:
    """Return a contract of one signal, two rows a window."""
    signal = {
        "name": "level",
        "description": "level",
        "unit": "1",
        "range": (-1000.0, 1000.0),
        "period_s": 10.0,
    }
    base = library.scenario("C25.21.fermentation-glucose").model_dump()
    changes = {
        "signals": [signal],
        "target": {**base["target"], "range": (-1000.0, 1000.0)},
        "window": {"rows": ROWS, "stride": 1},
        "stale_after_s": 30.0,
        "failure_modes": (),
        "simulation": None,  # it speaks of the signals that were replaced
    }
    return Scenario.model_validate(base | changes | changed, strict=False)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The owner's workspace, its clock, and one sealed package."""

    plant: Workspace
    clock: ManualClock
    package: Path
    digest: str
    graph: bytes
    marker: bytes = MARKER

    def box(self, root: Path, name: str = "box") -> Workspace:
        """Make the workspace of a box that trusts the owner; a clock of its own."""
        box = workspaces.create(root, name, ManualClock(self.clock.now()))
        key = root / "owner.pub"
        key.write_bytes(self.plant.public_pem)
        box.trust(key)
        return box


def build(
    plant: Workspace,
    now: datetime,
    version: int = 1,
    reuse: Reused | None = None,
    of: tuple[bytes, Scenario] | None = None,
    options: dict[str, str | int | float | bool | None] | None = None,
    **changed: object,
) -> tuple[Path, str]:
    """Seal the small graph, or another, in a workspace, past training and judging."""
    made, contract = of or (graph(), scenario(**changed))
    card = ModelCard(
        product=contract.key,
        version=version,
        title="Small soft sensor",
        task="regress",
        scenario=contract.key,
        purpose="Shows the mean level",
        not_for=("Safety functions",),
        target="level",
        target_unit="1",
        graph=digest.of_bytes(made),
        data=(),
        training=TrainingFacts(
            recipe="pls",
            options=options or {},
            seed=1,
            trained_at=clock.to_text(now),
        ),
        metrics=(),
        limits=(),
        licence="proprietary",
    )
    shape = (1, contract.window.rows, contract.channels)
    window = np.linspace(0, 1, shape[1] * shape[2], dtype=np.float32).reshape(shape)
    parts = making.PackageParts(
        graph=made,
        card=card,
        scenario_yaml=canonical.pretty(contract.to_json()),
        verdict={"accepted": True},
        parity={"largest": 0.0},
        bom=bill_of_materials(
            card,
            libraries=[Library(name="numpy", version="2", licence="BSD-3-Clause")],
            tundish_version="0.1.0",
            created_at=clock.to_text(now),
        ),
        golden=make_golden(made, window),
        envelope={},
    )
    statement = make_statement(
        product=contract.key,
        version=version,
        not_after=clock.to_text(now + timedelta(days=3650)),
        created_at=clock.to_text(now),
    )
    identity = reuse.identity if reuse else envelope.new_identity()
    found = making.build(
        parts,
        statement=statement,
        key=plant.key,
        encrypt_to=[identity.recipient],
        kept=reuse.kept if reuse else marked.nothing_kept,
    )
    plant.keep_identity(found.digest, identity)
    path = plant.packages / f"small-v{version}.tar"
    packages.write_tar(found, path)
    return path, found.digest


@pytest.fixture
def make_desk(tmp_path: Path) -> Callable[[datetime], Desk]:
    def make(start: datetime) -> Desk:
        now = ManualClock(start)
        plant = workspaces.create(tmp_path / "plant", "plant", now)
        package, name = build(plant, start)
        return Desk(plant=plant, clock=now, package=package, digest=name, graph=graph())

    return make


@pytest.fixture
def reseal() -> Callable[[Desk, int], Path]:
    """Seal the same graph as the next version, with the ciphertext of the last one."""

    def make(desk: Desk, version: int) -> Path:
        name = scenario().key
        old = allowed(desk.plant, desk.package, name, version)
        return build(desk.plant, desk.clock.now(), version, old)[0]

    return make


@pytest.fixture
def seal_risky() -> Callable[[Desk, int, str, str], Path]:
    """Seal the graph under a contract that allows control at some risk."""

    def make(desk: Desk, version: int, outcome: str, ambiguity: str) -> Path:
        risk = {
            "outcome": outcome, "ambiguity": ambiguity, "autonomy": "control",
            "why": "test",
        }  # fmt: skip
        return build(desk.plant, desk.clock.now(), version, risk=risk)[0]

    return make


@pytest.fixture
def desk(make_desk: Callable[[datetime], Desk]) -> Desk:
    return make_desk(START)
