"""The check of a graph before any runtime sees it: light, own, and strict.

It runs on an edge box, without the ``onnx`` package. It refuses: operators of other
domains, control flow and functions, weights in other files, unknown or doubled parts,
tensors whose bytes do not fit their shape, and sizes beyond the limits below. It does
not infer shapes: a graph that grows a tensor step by step passes here and meets the
bound on memory when it is loaded and run (``model.memory``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tundish.kernel.records import Record
from tundish.model.errors import (
    GraphControlFlowError,
    GraphConventionError,
    GraphExternalDataError,
    GraphMalformedError,
    GraphOperatorError,
    GraphTooLargeError,
)
from tundish.model.onnxparts import SCHEMA
from tundish.model.protowire import Message, Reader, signed

MAX_BYTES = 2**31 - 1
MAX_NODES = 20_000
MAX_ELEMENTS = 2**28
MAX_RANK = 8
OPSETS = range(17, 22)
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})

_FLOAT, _INT64 = 1, 7
_SETTINGS = "ort_config"  # with it onnxruntime may be told to write profiles
# element type -> (bytes per element, field of typed data)
_TYPES: dict[int, tuple[int, str]] = {
    1: (4, "float_data"),
    2: (1, "int32_data"),
    3: (1, "int32_data"),
    4: (2, "int32_data"),
    5: (2, "int32_data"),
    6: (4, "int32_data"),
    7: (8, "int64_data"),
    8: (0, "string_data"),
    9: (1, "int32_data"),
    10: (2, "int32_data"),
    11: (8, "double_data"),
    12: (4, "uint64_data"),
    13: (8, "uint64_data"),
    16: (2, "int32_data"),
}
_STORES = ("raw_data", *sorted({store for _, store in _TYPES.values()}))
_CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_DENIED = frozenset(
    {
        "Bernoulli",
        "ImageDecoder",
        "Multinomial",
        "Optional",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "RegexFullMatch",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
    }
)
# operators that make a tensor as large as an input says: which input, and how
_GROWING = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "OneHot": 1, "Pad": 1}


class ValueFacts(Record):
    """An input or output of a graph.

    Attributes:
        name: Its name.
        element: ONNX element type (1 is float32).
        shape: Sizes, names of free axes, or ``None`` for an unnamed free axis.
    """

    name: str
    element: int
    shape: tuple[int | str | None, ...]


class GraphFacts(Record):
    """What a checked graph is made of.

    Attributes:
        inputs: Inputs without those that are constants.
        outputs: Outputs in order.
        opsets: Version of each operator set.
        operators: How often each operator occurs.
        nodes: Number of operators.
        parameters: Number of constant elements.
        texts: Characters of documentation, metadata and node names: they may tell
            tag names and paths to whoever reads the graph.
        producer: What wrote the graph.
    """

    inputs: tuple[ValueFacts, ...]
    outputs: tuple[ValueFacts, ...]
    opsets: dict[str, int]
    operators: dict[str, int]
    nodes: int
    parameters: int
    texts: int
    producer: str


def check_graph(data: bytes, *, opsets: range = OPSETS) -> GraphFacts:
    """Take a graph apart and refuse what Tundish does not run.

    Args:
        data: Untrusted bytes of an ONNX file.
        opsets: Versions of the operator set that are taken; a graph to be imported may
            have one that it is converted from.

    Raises:
        GraphMalformedError, GraphTooLargeError, GraphOperatorError,
        GraphControlFlowError, GraphExternalDataError, GraphConventionError:
            as their names say.
    """
    if not 0 < len(data) <= MAX_BYTES:
        msg = f"A graph has {len(data)} bytes; 1 to {MAX_BYTES} are read."
        raise GraphTooLargeError(msg)
    model = Reader(SCHEMA).read(memoryview(data), "Model")
    graph = model.one("graph")
    if graph is None:
        msg = "A file has no graph in it, so it is no ONNX model."
        raise GraphMalformedError(msg)
    found = _check_opsets(model, opsets)
    if any(item.text("key") == _SETTINGS for item in model.all("metadata_props")):
        msg = (
            f"A graph brings settings for the runtime ({_SETTINGS!r} in its metadata)."
        )
        raise GraphConventionError(msg)
    constants = {item.text("name"): item for item in graph.all("initializer")}
    if len(constants) != len(graph.all("initializer")):
        msg = "A graph has two constants of one name."
        raise GraphMalformedError(msg)
    parameters = sum(_check_tensor(item) for item in graph.all("initializer"))
    nodes = graph.all("node")
    if len(nodes) > MAX_NODES:
        msg = f"A graph has {len(nodes)} operators; at most {MAX_NODES}."
        raise GraphTooLargeError(msg)
    operators: dict[str, int] = {}
    for node in nodes:
        parameters += _check_node(node, constants)
        kind = node.text("op_type")
        operators[kind] = operators.get(kind, 0) + 1
    inputs = [_value(item) for item in graph.all("input")]
    for item in graph.all("value_info"):
        _value(item)
    return GraphFacts(
        inputs=tuple(item for item in inputs if item.name not in constants),
        outputs=tuple(_value(item) for item in graph.all("output")),
        opsets=found,
        operators=operators,
        nodes=len(nodes),
        parameters=parameters,
        texts=_count_texts(model),
        producer=f"{model.text('producer_name')} {model.text('producer_version')}".strip(),
    )


def check_convention(facts: GraphFacts) -> None:
    """Check inputs and outputs against the convention of all Tundish graphs.

    Raises:
        GraphConventionError: naming what differs.
    """
    names = [item.name for item in facts.inputs]
    if names != ["window"]:
        msg = f"A graph has the inputs {names}; expected one, called 'window'."
        raise GraphConventionError(msg)
    window = facts.inputs[0]
    if window.element != _FLOAT or len(window.shape) != 3:
        msg = "The graph's input 'window' is not float32 with three axes."
        raise GraphConventionError(msg)
    if any(not isinstance(size, int) or size < 1 for size in window.shape[1:]):
        msg = "The graph's input 'window' leaves its rows or channels open."
        raise GraphConventionError(msg)
    if not facts.outputs or any(item.element != _FLOAT for item in facts.outputs):
        msg = "A graph has no outputs, or one that is not float32."
        raise GraphConventionError(msg)


def _check_opsets(model: Message, taken: range) -> dict[str, int]:
    opsets = {
        item.text("domain"): item.number("version")
        for item in model.all("opset_import")
    }
    foreign = set(opsets) - DOMAINS
    if foreign:
        msg = f"A graph needs operators of the domain {min(foreign)[:60]!r}."
        raise GraphOperatorError(msg)
    main = opsets.get("", opsets.get("ai.onnx", 0))
    if main not in taken:
        msg = f"A graph has opset {main}; {taken.start} to {taken.stop - 1} are run."
        raise GraphConventionError(msg)
    return opsets


def _check_node(node: Message, constants: dict[str, Message]) -> int:
    kind, domain = node.text("op_type"), node.text("domain")
    if domain not in DOMAINS or node.text("overload"):
        msg = f"A graph uses the operator {kind[:60]!r} of the domain {domain[:60]!r}."
        raise GraphOperatorError(msg)
    if kind in _CONTROL:
        msg = f"A graph uses the operator {kind!r}, which runs a graph of its own."
        raise GraphControlFlowError(msg)
    if kind in _DENIED or kind.startswith("Sequence"):
        msg = f"A graph uses the operator {kind!r}, which Tundish does not run."
        raise GraphOperatorError(msg)
    _check_growth(node, kind, constants)
    elements = 0
    for attribute in node.all("attribute"):
        tensors = [*attribute.all("t"), *attribute.all("tensors")]
        elements += sum(_check_tensor(item) for item in tensors)
        if kind == "Constant" and attribute.all("t"):
            constants.update(dict.fromkeys(node.texts.get("output", []), tensors[0]))
    return elements


def _check_growth(node: Message, kind: str, constants: dict[str, Message]) -> None:
    place = _GROWING.get(kind)
    inputs = node.texts.get("input", [])
    if place is None or place >= len(inputs) or inputs[place] not in constants:
        return
    sizes = _small_integers(constants[inputs[place]])
    grown = (
        sum(map(abs, sizes)) if kind == "Pad" else math.prod(max(1, n) for n in sizes)
    )
    if grown > MAX_ELEMENTS:
        msg = f"The operator {kind!r} of a graph makes a tensor of {grown} elements."
        raise GraphTooLargeError(msg)


def _small_integers(tensor: Message) -> list[int]:
    if tensor.number("data_type") != _INT64 or _elements(tensor) > MAX_RANK * 2:
        return []
    if "raw_data" in tensor.data:
        raw = bytes(tensor.data["raw_data"][0])
        words = [raw[at : at + 8] for at in range(0, len(raw), 8)]
        return [int.from_bytes(word, "little", signed=True) for word in words]
    return [signed(value) for value in tensor.numbers.get("int64_data", [])]


def _check_tensor(tensor: Message) -> int:
    """Check one constant; return its number of elements."""
    name = tensor.text("name")[:60]
    if tensor.number("data_location"):
        msg = f"The weights {name!r} of a graph lie in another file."
        raise GraphExternalDataError(msg)
    kind = tensor.number("data_type")
    if kind not in _TYPES:
        msg = f"The weights {name!r} of a graph have the element type {kind}."
        raise GraphMalformedError(msg)
    width, store = _TYPES[kind]
    elements = _elements(tensor)
    held = {name: _stored(tensor, name) for name in _STORES if _stored(tensor, name)}
    wanted = {"raw_data": elements * width} if "raw_data" in held else {store: elements}
    if held != {name: size for name, size in wanted.items() if size}:
        msg = f"The weights {name!r} of a graph do not fit their shape."
        raise GraphMalformedError(msg)
    return elements


def _stored(tensor: Message, store: str) -> int:
    if store == "raw_data":
        return sum(len(item) for item in tensor.data.get(store, []))
    if store in tensor.counts:
        return tensor.counts[store]
    return len(tensor.numbers.get(store, ())) or len(tensor.data.get(store, ()))


def _elements(tensor: Message) -> int:
    return _product([signed(size) for size in tensor.numbers.get("dims", [])])


def _product(sizes: Iterable[int]) -> int:
    shape = list(sizes)
    if len(shape) > MAX_RANK or any(size < 0 for size in shape):
        msg = f"A tensor of a graph has the shape {shape[:12]}."
        raise GraphMalformedError(msg)
    product = math.prod(shape)
    if product > MAX_ELEMENTS or any(size > MAX_ELEMENTS for size in shape):
        msg = f"A tensor of a graph has {product} elements; at most {MAX_ELEMENTS}."
        raise GraphTooLargeError(msg)
    return product


def _value(item: Message) -> ValueFacts:
    kind = item.one("type")
    tensor = None if kind is None else kind.one("tensor_type")
    shape = None if tensor is None else tensor.one("shape")
    axes = [] if shape is None else [_axis(axis) for axis in shape.all("dim")]
    _product(size for size in axes if isinstance(size, int))
    element = 0 if tensor is None else tensor.number("elem_type")
    return ValueFacts(name=item.text("name"), element=element, shape=tuple(axes))


def _axis(axis: Message) -> int | str | None:
    if "dim_value" in axis.numbers:
        return signed(axis.number("dim_value"))
    return axis.text("dim_param") or None


def _count_texts(message: Message) -> int:
    own = sum(
        len(text)
        for name in ("doc_string", "key", "value")
        for text in message.texts.get(name, [])
    )
    if "op_type" in message.texts:
        own += len(message.text("name"))
    inner = (item for items in message.messages.values() for item in items)
    return own + sum(_count_texts(item) for item in inner)
