"""Narrower graphs: what they are made of, what they answer, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tests.learn.conftest import open_graph

from tundish.catalog.scenario import Scenario
from tundish.kernel import digest
from tundish.learn import parity
from tundish.learn.backends import NAME, TRACT, against_others
from tundish.learn.errors import PrecisionUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Material
from tundish.learn.precision import LARGE, against_wide, narrowed
from tundish.learn.record import Precision
from tundish.learn.train import Trained, in_precision, repeat, train
from tundish.model.graphcheck import check_convention, check_graph
from tundish.model.session import evaluate

DATA = digest.of_bytes(b"test")
NARROW: tuple[Precision, ...] = ("float32", "float16")


@pytest.fixture(scope="module")
def trained(flow: Scenario, flow_material: Material) -> Trained:
    return train(flow_material, flow, data=DATA)


@pytest.fixture(scope="module")
def spectral(sugar: Scenario, sugar_material: Material) -> Trained:
    return train(sugar_material, sugar, data=DATA)


def widened() -> bytes:
    """Return a graph with all the places in which double precision can stand."""
    writer = GraphWriter(4, 8)
    rng = np.random.default_rng(5)
    flat = writer.flat(writer.window())
    weight = writer.constant(rng.normal(size=(32, 16)), "weight")
    hidden = writer.add("Tanh", writer.add("MatMul", flat, weight, hint="hidden"))
    square = writer.add("MatMul", hidden, writer.constant(rng.normal(size=(16, 16)), "square"))  # fmt: skip
    tiny = writer.add("Mul", square, writer.constant(rng.normal(size=(1, 16)) * 1e-9, "tiny"))  # fmt: skip
    eye = writer.add("EyeLike", writer.constant(np.zeros((16, 16)), "like"), dtype=TensorProto.DOUBLE, hint="eye")  # fmt: skip
    one = writer.add("ConstantOfShape", writer.constant(np.array([16]), "shape"), value=onnx.numpy_helper.from_array(np.array([1.0])), hint="one")  # fmt: skip
    found = writer.add("Add", writer.add("MatMul", tiny, eye), one, hint="found")
    return writer.write({"estimate": found}, {"estimate": 16})


def element_types(graph: bytes) -> set[int]:
    """Return the element type of every value of a graph, as ONNX infers it."""
    model = onnx.shape_inference.infer_shapes(
        onnx.load_from_string(graph), strict_mode=True, data_prop=True
    )
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    found = {value.type.tensor_type.elem_type for value in values}
    return found | {tensor.data_type for tensor in model.graph.initializer}


@pytest.mark.parametrize("precision", NARROW)
def test_no_double_is_left_in_a_narrow_graph(precision: Precision) -> None:
    wide = widened()
    assert TensorProto.DOUBLE in element_types(wide)
    graph = narrowed(wide, precision)
    assert TensorProto.DOUBLE not in element_types(graph)
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    x = np.random.default_rng(1).normal(size=(5, 4, 8)).astype(np.float32)
    off = np.abs(evaluate(graph, x)["estimate"] - evaluate(wide, x)["estimate"])
    assert off.max() < 1e-6


@pytest.mark.parametrize("precision", NARROW)
def test_a_graph_is_narrowed_to_the_same_bytes_each_time(precision: Precision) -> None:
    assert narrowed(widened(), precision) == narrowed(widened(), precision)


def test_large_weights_are_kept_in_float16_and_small_ones_and_what_would_vanish_are_not() -> (
    None
):
    model = onnx.load_from_string(narrowed(widened(), "float16"))
    kinds = {item.name: item.data_type for item in model.graph.initializer}
    assert kinds["weight/float16"] == kinds["square/float16"] == TensorProto.FLOAT16
    assert kinds["tiny"] == TensorProto.FLOAT  # few, and below what float16 can say
    writer = GraphWriter(1, LARGE)
    rng = np.random.default_rng(2)
    value = writer.flat(writer.window())
    for name, size in (("huge", 1e6), ("faint", 1e-7)):
        value = writer.add("Mul", value, writer.constant(rng.uniform(0.5, 1, (1, LARGE)) * size, name))  # fmt: skip
    graph = narrowed(writer.write({"estimate": value}, {"estimate": LARGE}), "float16")
    stored = onnx.load_from_string(graph).graph.initializer
    assert {i.name: i.data_type for i in stored if i.name != "flat_shape"} == {
        "huge": TensorProto.FLOAT,
        "faint": TensorProto.FLOAT,
    }


@pytest.mark.parametrize("precision", NARROW)
def test_a_narrow_graph_is_checked_run_and_answered_alike_by_every_runtime(
    trained: Trained, flow: Scenario, flow_material: Material, precision: Precision
) -> None:
    made = in_precision(trained, precision)
    check_convention(check_graph(made.fitted.graph))
    run = open_graph(made.fitted.graph, made.fitted.golden_window)
    x = flow_material.x
    others = against_others(made.fitted.graph, run, x, flow)
    names = [item.candidate for item in others]
    assert f"graph in the {NAME}" in names
    pytest.importorskip("tract")
    assert f"graph in the {TRACT}" in names
    for item in others:
        parity.require(item)
    alone, together = run(x[:1]), run(x[:64])
    for name, value in alone.items():
        np.testing.assert_allclose(value, together[name][:1], rtol=1e-5, atol=1e-6)


def test_a_narrow_graph_is_compared_with_the_one_in_double(
    trained: Trained, flow: Scenario, flow_material: Material
) -> None:
    made = in_precision(trained, "float32")
    assert made.wide == trained.fitted.graph
    golden = made.fitted.golden_window
    wide, run = open_graph(made.wide, golden), open_graph(made.fitted.graph, golden)
    report = against_wide(wide, run, flow_material.x, flow, "float32")
    assert report.passed
    assert report.windows == len(flow_material.x)
    assert 0 < (report.worst().max_rel or 0) < flow.parity_tolerance
    strict = flow.model_copy(update={"parity_tolerance": 1e-12})
    with pytest.raises(PrecisionUnfitError) as refused:
        against_wide(wide, run, flow_material.x, strict, "float32")
    assert f"{report.worst().output!r} by" in refused.value.message
    assert "1e-12 is allowed" in refused.value.message
    assert "parity_tolerance" in refused.value.advice


def test_each_narrower_form_of_a_spectral_model_has_fewer_bytes(
    spectral: Trained,
) -> None:
    single, half = (in_precision(spectral, name) for name in NARROW)
    sizes = [len(made.fitted.graph) for made in (spectral, single, half)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < 0.6 * sizes[0]
    assert f"{sizes[1]:,} bytes instead of {sizes[0]:,}" in single.record.notes[-1]


def test_a_run_in_float32_repeats_to_the_byte(
    flow: Scenario, flow_material: Material, trained: Trained
) -> None:
    first = in_precision(trained, "float32")
    assert first.record.graph == digest.of_bytes(first.fitted.graph)
    again = repeat(flow_material, flow, first.record)
    assert again.record == first.record
    assert again.fitted.graph == first.fitted.graph != trained.fitted.graph
