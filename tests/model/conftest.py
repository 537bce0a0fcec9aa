"""Small graphs and packages for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import onnx
import pytest
from hypothesis import settings as hypothesis_settings
from onnx import TensorProto, helper, numpy_helper

from tundish.kernel import clock, digest, settings
from tundish.model import making, marked
from tundish.model.bom import Library, bill_of_materials
from tundish.model.card import DataUse, Metric, ModelCard, TrainingFacts
from tundish.model.golden import Golden
from tundish.model.making import PackageParts
from tundish.model.package import Package
from tundish.model.session import make_golden
from tundish.seal import envelope
from tundish.seal.chain import Certified
from tundish.seal.envelope import Identity
from tundish.seal.keys import SigningKey
from tundish.seal.statement import make_statement

settings.silence_onnxruntime()  # before any test imports onnxruntime
hypothesis_settings.register_profile("no-deadline", deadline=None)
hypothesis_settings.load_profile("no-deadline")

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
ROWS, CHANNELS = 2, 3


def small_graph(bias: float = 0.5) -> bytes:
    """Return a graph that weighs a window: 2 rows, 3 channels."""
    weights = np.arange(1, 7, dtype=np.float32).reshape(6, 1)
    nodes = [
        helper.make_node("Flatten", ["window"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["estimate"]),
        helper.make_node("Sub", ["estimate", "half"], ["lower"]),
        helper.make_node("Add", ["estimate", "half"], ["upper"]),
        helper.make_node("Abs", ["flat"], ["size"]),
        helper.make_node(
            "ReduceMax", ["size"], ["applicability"], axes=[1], keepdims=1
        ),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1])
        for name in ("estimate", "lower", "upper", "applicability")
    ]
    window = helper.make_tensor_value_info(
        "window", TensorProto.FLOAT, ["N", ROWS, CHANNELS]
    )
    constants = {"weights": weights, "bias": [bias], "half": [2.0]}
    graph = helper.make_graph(
        nodes,
        "small",
        [window],
        outputs,
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in constants.items()
        ],
    )
    return finish(graph)


def finish(graph: onnx.GraphProto, *, opset: int = 17) -> bytes:
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9
    )
    return bytes(model.SerializeToString())


@dataclass(frozen=True)
class Desk:
    """The owner's desk: a key, an identity, and what goes into packages."""

    key: SigningKey
    identity: Identity
    golden: Golden
    graph: bytes

    def parts(self, version: int = 1) -> PackageParts:
        card = ModelCard(
            product="C34.27.pump",
            version=version,
            title="Pump soft sensor",
            task="regress",
            scenario="C34.27.pump",
            purpose="Shows the flow when the meter is out",
            not_for=("Safety functions",),
            target="flow",
            target_unit="l/min",
            graph=digest.of_bytes(self.graph),
            data=(
                DataUse(
                    name="pump-days",
                    digest=digest.of_bytes(b"data"),
                    role="fit,judge",
                    licence="MIT",
                    rows=120,
                ),
            ),
            training=TrainingFacts(
                recipe="pls", options={"components": 6}, seed=1, trained_at="2026-05-04"
            ),
            metrics=(
                Metric(name="RMSE", value=0.25, unit="l/min", lower=0.2, upper=0.3),
            ),
            limits=("Not below 5 degC",),
            licence="Apache-2.0",
        )
        libraries = [Library(name="numpy", version="2.4.6", licence="BSD-3-Clause")]
        return PackageParts(
            graph=self.graph,
            card=card,
            scenario_yaml="scenario: C34.27.pump\n",
            verdict={"accepted": True},
            parity={"largest": 1e-7},
            bom=bill_of_materials(
                card,
                libraries=libraries,
                tundish_version="0.1.0",
                created_at="2026-05-04T06:00:00Z",
            ),
            golden=self.golden,
            envelope={"mean": [0.0]},
        )

    def build(  # noqa: PLR0913  (what a desk may vary)
        self,
        version: int = 1,
        *,
        encrypted: bool = True,
        key: SigningKey | None = None,
        days: int = 365,
        encrypt: Sequence[str] = (),
        kept: marked.Kept = marked.nothing_kept,
        chain: Certified | None = None,
    ) -> Package:
        statement = make_statement(
            product="C34.27.pump",
            version=version,
            not_after=clock.to_text(NOW + timedelta(days=days)),
            created_at=clock.to_text(NOW),
            parents=(digest.of_bytes(b"data"),),
        )
        return making.build(
            self.parts(version),
            statement=statement,
            key=key or self.key,
            encrypt_to=[self.identity.recipient] if encrypted else None,
            encrypt=encrypt,
            kept=kept,
            chain=chain,
        )

    def with_graph(self, graph: bytes, golden: Golden) -> Desk:
        return replace(self, graph=graph, golden=golden)


@pytest.fixture(scope="session")
def desk() -> Desk:
    graph = small_graph()
    window = np.linspace(-1, 1, ROWS * CHANNELS, dtype=np.float32)
    golden = make_golden(graph, window.reshape(1, ROWS, CHANNELS))
    return Desk(SigningKey.generate(), envelope.new_identity(), golden, graph)


@pytest.fixture(scope="session")
def make_graph() -> Callable[..., bytes]:
    return small_graph


@pytest.fixture(scope="session")
def finish_graph() -> Callable[..., bytes]:
    return finish


@pytest.fixture
def now() -> datetime:
    return NOW
