"""Laws of the graph check: it sees what the runtime sees, and refuses the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tundish.kernel.errors import TundishError
from tundish.model import graphcheck, protowire
from tundish.model.errors import (
    GraphControlFlowError,
    GraphConventionError,
    GraphExternalDataError,
    GraphMalformedError,
    GraphOperatorError,
    GraphTooLargeError,
)

Finish = Callable[..., bytes]
Make = Callable[..., bytes]


def value(
    name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def one_node(
    node: onnx.NodeProto,
    finish: Finish,
    *,
    constants: list[onnx.TensorProto] | None = None,
) -> bytes:
    graph = helper.make_graph(
        [node],
        "g",
        [value("window", ["N", 2, 3])],
        [value("y", ["N", 1])],
        constants or [],
    )
    return finish(graph)


@pytest.fixture
def model(make_graph: Make) -> onnx.ModelProto:
    return onnx.load_model_from_string(make_graph())


def test_a_plain_graph_passes_with_its_facts(make_graph: Make) -> None:
    data = make_graph()
    facts = graphcheck.check_graph(data)
    graphcheck.check_convention(facts)
    assert facts.inputs[0].shape == ("N", 2, 3)
    assert [item.name for item in facts.outputs] == [
        "estimate",
        "lower",
        "upper",
        "applicability",
    ]
    assert facts.opsets == {"": 17}
    assert facts.operators["Gemm"] == 1
    assert facts.nodes == 6
    assert facts.parameters == 8
    assert facts.texts == 0


def test_texts_that_may_tell_plant_names_are_counted(model: onnx.ModelProto) -> None:
    model.doc_string = "x" * 10
    model.graph.node[0].name = "LINE3/TT101"
    helper.set_model_props(model, {"path": "C:/plant"})
    assert graphcheck.check_graph(model.SerializeToString()).texts == 10 + 11 + 4 + 8


# --- what is refused ----------------------------------------------------------------


def test_operators_of_other_domains_are_refused(finish_graph: Finish) -> None:
    node = helper.make_node("Evil", ["window"], ["y"], domain="com.evil")
    with pytest.raises(GraphOperatorError, match="evil"):
        graphcheck.check_graph(one_node(node, finish_graph))


def test_imports_of_other_domains_are_refused(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))
    with pytest.raises(GraphOperatorError, match=r"ai\.onnx\.contrib"):
        graphcheck.check_graph(model.SerializeToString())


@pytest.mark.parametrize(
    "kind", ["RandomNormal", "ImageDecoder", "RegexFullMatch", "SequenceEmpty"]
)
def test_operators_with_no_place_on_a_line_are_refused(
    finish_graph: Finish, kind: str
) -> None:
    node = helper.make_node(kind, ["window"], ["y"])
    with pytest.raises(GraphOperatorError):
        graphcheck.check_graph(one_node(node, finish_graph))


@pytest.mark.parametrize("kind", ["If", "Loop", "Scan", "Anything"])
@pytest.mark.parametrize("many", [False, True])
def test_subgraphs_are_refused_wherever_they_hang(
    finish_graph: Finish, kind: str, many: bool
) -> None:
    inner = helper.make_graph([], "inner", [], [])
    node = helper.make_node(kind, ["window"], ["y"])
    body = [inner] if many else inner
    node.attribute.append(helper.make_attribute("body", body))
    with pytest.raises(GraphControlFlowError):
        graphcheck.check_graph(one_node(node, finish_graph))


def test_a_loop_without_a_body_is_refused_by_name(finish_graph: Finish) -> None:
    node = helper.make_node("Loop", ["window"], ["y"])
    with pytest.raises(GraphControlFlowError):
        graphcheck.check_graph(one_node(node, finish_graph))


def test_functions_and_training_are_refused(model: onnx.ModelProto) -> None:
    data = model.SerializeToString()
    function = helper.make_function(
        "", "F", ["a"], ["b"], [], [helper.make_opsetid("", 17)]
    )
    with_function = onnx.load_model_from_string(data)
    with_function.functions.append(function)
    with_training = onnx.load_model_from_string(data)
    with_training.training_info.add()
    for item in (with_function, with_training):
        with pytest.raises(GraphControlFlowError):
            graphcheck.check_graph(item.SerializeToString())


def test_weights_in_other_files_are_refused(model: onnx.ModelProto) -> None:
    data = model.SerializeToString()
    marked = onnx.load_model_from_string(data)
    marked.graph.initializer[0].data_location = TensorProto.EXTERNAL
    named = onnx.load_model_from_string(data)
    entry = named.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    for item in (marked, named):
        with pytest.raises(GraphExternalDataError):
            graphcheck.check_graph(item.SerializeToString())


def test_weights_in_other_files_are_refused_inside_attributes(
    finish_graph: Finish,
) -> None:
    tensor = numpy_helper.from_array(np.zeros(1, np.float32))
    tensor.data_location = TensorProto.EXTERNAL
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    with pytest.raises(GraphExternalDataError):
        graphcheck.check_graph(one_node(node, finish_graph))


def test_tensors_that_do_not_fit_their_shape_are_refused(
    model: onnx.ModelProto,
) -> None:
    data = model.SerializeToString()

    def with_dims(dims: list[int]) -> bytes:
        changed = onnx.load_model_from_string(data)
        del changed.graph.initializer[0].dims[:]
        changed.graph.initializer[0].dims.extend(dims)
        return bytes(changed.SerializeToString())

    for dims in ([5, 1], [7, 1], [], [0], [-6, -1], [1] * 9):
        with pytest.raises(GraphMalformedError):
            graphcheck.check_graph(with_dims(dims))
    for dims in ([2**31, 2**31], [2**40], [0, 2**40]):
        with pytest.raises(GraphTooLargeError):
            graphcheck.check_graph(with_dims(dims))


def test_a_tensor_stored_twice_is_refused(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].float_data.extend([1.0] * 6)
    with pytest.raises(GraphMalformedError):
        graphcheck.check_graph(model.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (np.float32, [1.5, 2.5]),
        (np.float64, [1.5, 2.5]),
        (np.int64, [-1, 2**40]),
        (np.int32, [-1, 5]),
        (np.uint8, [1, 255]),
        (np.bool_, [True, False]),
        (np.uint64, [1, 2**63]),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_every_way_to_store_a_tensor_is_read(
    model: onnx.ModelProto, kind: type, values: list[float], raw: bool
) -> None:
    array: np.ndarray[Any, np.dtype[Any]] = np.asarray(values, kind)
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    body = array.tobytes() if raw else array.tolist()
    model.graph.initializer.append(helper.make_tensor("more", code, [2], body, raw=raw))
    assert graphcheck.check_graph(model.SerializeToString()).parameters == 10


def test_texts_as_weights_are_counted(model: onnx.ModelProto) -> None:
    texts: Any = [b"a", b"b"]
    strings = helper.make_tensor("s", TensorProto.STRING, [2], texts)
    model.graph.initializer.append(strings)
    assert graphcheck.check_graph(model.SerializeToString()).parameters == 10


def test_element_types_without_a_runtime_are_refused(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = TensorProto.COMPLEX64
    with pytest.raises(GraphMalformedError, match="element type"):
        graphcheck.check_graph(model.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "place", "sizes"),
    [
        ("ConstantOfShape", 0, [100_000, 100_000]),
        ("Expand", 1, [2**20, 2**20]),
        ("Tile", 1, [1, 2**16, 2**16]),
        ("Pad", 1, [0, 2**30, 0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_operators_that_blow_up_a_tensor_are_refused(
    finish_graph: Finish, kind: str, place: int, sizes: list[int], raw: bool
) -> None:
    array = np.asarray(sizes, np.int64)
    body = array.tobytes() if raw else sizes
    tensor = helper.make_tensor("n", TensorProto.INT64, [len(sizes)], body, raw=raw)
    inputs = ["window"] * place + ["n"]
    node = helper.make_node(kind, inputs, ["y"])
    with pytest.raises(GraphTooLargeError):
        graphcheck.check_graph(one_node(node, finish_graph, constants=[tensor]))


def test_shapes_with_negative_or_huge_sizes_are_refused(finish_graph: Finish) -> None:
    wrong: list[tuple[list[int | str], type[TundishError]]] = [
        (["N", -1, 3], GraphMalformedError),
        (["N", 2**40, 3], GraphTooLargeError),
    ]
    for shape, refusal in wrong:
        graph = helper.make_graph(
            [], "g", [value("window", shape)], [value("y", ["N"])]
        )
        with pytest.raises(refusal):
            graphcheck.check_graph(finish_graph(graph))


@pytest.mark.parametrize("opset", [16, 22, 0])
def test_other_opsets_are_refused(finish_graph: Finish, opset: int) -> None:
    graph = helper.make_graph([], "g", [value("window", ["N", 1, 1])], [])
    with pytest.raises(GraphConventionError, match="opset"):
        graphcheck.check_graph(finish_graph(graph, opset=opset))


def test_inputs_and_outputs_follow_the_convention(finish_graph: Finish) -> None:
    good_out = [value("y", ["N", 1])]
    wrong = [
        ([value("x", ["N", 2, 3])], good_out),
        ([value("window", ["N", 2, 3]), value("more", [1])], good_out),
        ([value("window", ["N", 2])], good_out),
        ([value("window", ["N", "T", 3])], good_out),
        ([value("window", ["N", 2, 3], TensorProto.DOUBLE)], good_out),
        ([value("window", ["N", 2, 3])], []),
        ([value("window", ["N", 2, 3])], [value("y", ["N", 1], TensorProto.INT64)]),
    ]
    for inputs, outputs in wrong:
        graph = helper.make_graph([], "g", inputs, outputs)
        with pytest.raises(GraphConventionError):
            graphcheck.check_convention(graphcheck.check_graph(finish_graph(graph)))


# --- the wire format ----------------------------------------------------------------


def test_parts_that_come_twice_are_refused(make_graph: Make) -> None:
    """Protobuf would merge the two graphs; the checker must not see only one."""
    with pytest.raises(GraphMalformedError, match="twice"):
        graphcheck.check_graph(make_graph() + make_graph(9.0))


@pytest.mark.parametrize(
    ("tail", "what"),
    [
        (b"\xb8\x3e\x01", "unknown"),
        (b"\x08\x01", "twice"),
        (b"\x23\x24", "type"),
        (b"\x2d\x00\x00\x00\x00", "type"),
        (b"\x72\xff\xff\xff\xff\x0f", "cut off"),
        (b"\x72\xff", "cut off"),
        (b"\xff" * 11, "too long"),
        (b"\x72\x03\x0a\x01\xff", "no text"),
        (b"\xd2\x01\x00", "configuration"),
    ],
)
def test_bytes_with_another_meaning_are_refused(
    make_graph: Make, tail: bytes, what: str
) -> None:
    with pytest.raises(GraphMalformedError, match=what):
        graphcheck.check_graph(make_graph() + tail)


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(GraphTooLargeError):
        graphcheck.check_graph(b"")
    for data in (b"hello world", b"\x08\x08", b"\x80\x04\x95pickle", b"PK\x03\x04"):
        with pytest.raises(GraphMalformedError):
            graphcheck.check_graph(data)


def test_two_constants_of_one_name_are_refused(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(GraphMalformedError, match="one name"):
        graphcheck.check_graph(model.SerializeToString())


def test_limits_on_fields_and_nodes_hold(
    make_graph: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphcheck, "MAX_NODES", 5)
    with pytest.raises(GraphTooLargeError, match="operators"):
        graphcheck.check_graph(make_graph())
    monkeypatch.setattr(protowire, "MAX_FIELDS", 20)
    with pytest.raises(GraphTooLargeError, match="fields"):
        graphcheck.check_graph(make_graph())


def test_deep_nesting_is_refused(
    make_graph: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protowire, "MAX_DEPTH", 2)
    with pytest.raises(GraphTooLargeError, match="nested"):
        graphcheck.check_graph(make_graph())


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_bytes_make_the_checker_fail_otherwise_than_by_refusal(
    data: st.DataObject, make_graph: Make
) -> None:
    body = bytearray(make_graph())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        how = data.draw(st.sampled_from(["set", "cut", "insert"]))
        if how == "set":
            body[at] = data.draw(st.integers(0, 255))
        elif how == "insert":
            body[at:at] = data.draw(st.binary(min_size=1, max_size=12))
        else:
            del body[at : at + data.draw(st.integers(1, 20))]
        if not body:
            return
    try:
        graphcheck.check_graph(bytes(body))
    except TundishError:
        return


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        graphcheck.check_graph(data)
    except TundishError:
        return
