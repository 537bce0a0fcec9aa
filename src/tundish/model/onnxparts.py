"""The parts of an ONNX file that Tundish knows, and those it refuses on sight.

Field numbers from ``onnx.proto`` of ONNX 1.23 (IR version 13). What is not listed is
refused as unknown: subgraph attributes, functions, training, sparse tensors, external
data and multi-device configuration have their own refusals.
"""

from __future__ import annotations

from tundish.model.errors import (
    GraphControlFlowError,
    GraphExternalDataError,
    GraphMalformedError,
)
from tundish.model.protowire import Part, Schema

_DOC = Part("doc_string", "text")
_NAME = Part("name", "text")
_PROPS = Part("metadata_props", "message", many=True, message="Pair")


def _refused(name: str, refusal: type[GraphControlFlowError] | None = None) -> Part:
    return Part(name, "refused", refusal=refusal or GraphMalformedError)


SCHEMA: Schema = {
    "Model": {
        1: Part("ir_version", "number"),
        2: Part("producer_name", "text"),
        3: Part("producer_version", "text"),
        4: Part("domain", "text"),
        5: Part("model_version", "number"),
        6: _DOC,
        7: Part("graph", "message", message="Graph"),
        8: Part("opset_import", "message", many=True, message="Opset"),
        14: _PROPS,
        20: _refused("training_info", GraphControlFlowError),
        25: _refused("functions", GraphControlFlowError),
        26: _refused("configuration"),
    },
    "Opset": {1: Part("domain", "text"), 2: Part("version", "number")},
    "Pair": {1: Part("key", "text"), 2: Part("value", "text")},
    "Graph": {
        1: Part("node", "message", many=True, message="Node"),
        2: _NAME,
        5: Part("initializer", "message", many=True, message="Tensor"),
        10: _DOC,
        11: Part("input", "message", many=True, message="Value"),
        12: Part("output", "message", many=True, message="Value"),
        13: Part("value_info", "message", many=True, message="Value"),
        14: _refused("quantization_annotation"),
        15: _refused("sparse_initializer"),
        16: _PROPS,
    },
    "Node": {
        1: Part("input", "text", many=True),
        2: Part("output", "text", many=True),
        3: _NAME,
        4: Part("op_type", "text"),
        5: Part("attribute", "message", many=True, message="Attribute"),
        6: _DOC,
        7: Part("domain", "text"),
        8: Part("overload", "text"),
        9: _PROPS,
        10: _refused("device_configurations"),
    },
    "Attribute": {
        1: _NAME,
        2: Part("f", "floats"),
        3: Part("i", "number"),
        4: Part("s", "bytes"),
        5: Part("t", "message", message="Tensor"),
        6: _refused("g", GraphControlFlowError),
        7: Part("floats", "floats", many=True),
        8: Part("ints", "numbers", many=True),
        9: Part("strings", "bytes", many=True),
        10: Part("tensors", "message", many=True, message="Tensor"),
        11: _refused("graphs", GraphControlFlowError),
        13: _DOC,
        14: _refused("tp"),
        15: _refused("type_protos"),
        20: Part("type", "number"),
        21: _refused("ref_attr_name", GraphControlFlowError),
        22: _refused("sparse_tensor"),
        23: _refused("sparse_tensors"),
    },
    "Tensor": {
        1: Part("dims", "numbers", many=True),
        2: Part("data_type", "number"),
        3: _refused("segment"),
        4: Part("float_data", "floats", many=True),
        5: Part("int32_data", "numbers", many=True),
        6: Part("string_data", "bytes", many=True),
        7: Part("int64_data", "numbers", many=True),
        8: _NAME,
        9: Part("raw_data", "bytes"),
        10: Part("double_data", "doubles", many=True),
        11: Part("uint64_data", "numbers", many=True),
        12: _DOC,
        13: Part("external_data", "refused", refusal=GraphExternalDataError),
        14: Part("data_location", "number"),
        16: _PROPS,
    },
    "Value": {
        1: _NAME,
        2: Part("type", "message", message="Type"),
        3: _DOC,
        4: _PROPS,
    },
    "Type": {
        1: Part("tensor_type", "message", message="TensorType"),
        4: _refused("sequence_type"),
        5: _refused("map_type"),
        6: Part("denotation", "text"),
        7: _refused("opaque_type"),
        8: _refused("sparse_tensor_type"),
        9: _refused("optional_type"),
    },
    "TensorType": {
        1: Part("elem_type", "number"),
        2: Part("shape", "message", message="Shape"),
    },
    "Shape": {1: Part("dim", "message", many=True, message="Dimension")},
    "Dimension": {
        1: Part("dim_value", "number"),
        2: Part("dim_param", "text"),
        3: Part("denotation", "text"),
    },
}
