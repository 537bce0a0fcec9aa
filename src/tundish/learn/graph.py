"""Writing ONNX graphs that are the same to the byte each time.

Everything is computed in double precision between the float32 input and the float32
outputs: weights of a spectrum may be a million times its values, and the difference
of large numbers is where float32 loses an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
ML_DOMAIN = "ai.onnx.ml"
ML_OPSET = 3
INPUT = "window"
GRAFT = "foreign/"


class GraphWriter:
    """Collects nodes in order and writes the model.

    A value inside the graph is known by its name; every method that adds a node
    returns the name of what it computes.

    Attributes:
        FLOAT, DOUBLE, INT64, BOOL: Element types, for ``Cast``.
    """

    FLOAT: Final = int(TensorProto.FLOAT)
    DOUBLE: Final = int(TensorProto.DOUBLE)
    INT64: Final = int(TensorProto.INT64)
    BOOL: Final = int(TensorProto.BOOL)

    def __init__(self, rows: int, channels: int) -> None:
        self._shape = (rows, channels)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._used: dict[str, int] = {}

    def constant(
        self, value: NDArray[np.generic], hint: str, *, single: bool = False
    ) -> str:
        """Add a constant; floats as double (``single``: as float32), integers as int64."""
        floats = np.float32 if single else np.float64
        kind = np.int64 if value.dtype.kind in "iu" else floats
        name = self._name(hint)
        array = np.asarray(value, dtype=kind, order="C")
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def add(
        self,
        operator: str,
        *inputs: str,
        hint: str = "",
        domain: str = "",
        **attributes: Any,  # noqa: ANN401 -- whatever ONNX allows as an attribute
    ) -> str:
        """Add a node of one operator and return the name of its output."""
        name = self._name(hint or operator.lower())
        node = helper.make_node(
            operator, list(inputs), [name], name=name, domain=domain
        )
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in attributes.items()
        )
        self._nodes.append(node)
        return name

    def add_pair(
        self,
        operator: str,
        *inputs: str,
        hint: str = "",
        **attributes: Any,  # noqa: ANN401 -- whatever ONNX allows as an attribute
    ) -> tuple[str, str]:
        """Add a node of an operator with two outputs, such as ``TopK``."""
        first = self.add(operator, *inputs, hint=hint, **attributes)
        second = self._name(f"{first}_second")
        self._nodes[-1].output.append(second)
        return first, second

    def window(self) -> str:
        """Return the input in double precision, [N, T, C]."""
        return self.add("Cast", INPUT, to=TensorProto.DOUBLE, hint="raw")

    def edges(self) -> list[str]:
        """Return the largest and the smallest value of each channel, [N, C] in double.

        They are found in float32, which is exact and makes no second array of the input's
        size. In a window of one row both are that row.
        """
        rows, channels = self._shape
        if rows == 1:
            shape = self.constant(np.array([-1, channels]), "row_shape")
            return [self.add("Reshape", self.window(), shape, hint="row")]
        found = []
        for operator in ("ReduceMax", "ReduceMin"):
            edge = self.add(operator, INPUT, axes=[1], keepdims=0, hint="edge")
            found.append(self.add("Cast", edge, to=self.DOUBLE, hint="edge_exact"))
        return found

    def pick(
        self,
        value: str,
        places: NDArray[np.int64],
        *,
        width: int | None = None,
        axis: int = 2,
        hint: str = "picked",
    ) -> str:
        """Return some columns of a value, in the given order.

        Columns side by side are sliced: the runtime gathers numbers one by one, at some
        10 ns each, which for all channels of a window costs more than a model of them.

        Args:
            value: Its last axis is ``axis``.
            places: Which columns.
            width: How many columns it has; None: the channels of a window.
            axis: Their axis.
            hint: Name of what is picked.
        """
        if np.array_equal(places, np.arange(width or self._shape[1])):
            return value
        runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
        if 2 * len(runs) > max(len(places), 2):
            index = self.constant(places, "columns")
            return self.add("Gather", value, index, axis=axis, hint=hint)
        along = self.constant(np.array([axis]), "axis")
        parts = []
        for run in runs:
            ends = (self.constant(run[:1], "from"), self.constant(run[-1:] + 1, "to"))
            parts.append(self.add("Slice", value, *ends, along, hint=hint))
        if len(parts) == 1:
            return parts[0]
        return self.add("Concat", *parts, axis=axis, hint=hint)

    def flat(self, value: str) -> str:
        """Return a [N, T, C] value as [N, T * C]."""
        rows, channels = self._shape
        shape = self.constant(np.array([-1, rows * channels]), "flat_shape")
        return self.add("Reshape", value, shape, hint="flat")

    def sum_last(self, value: str, hint: str) -> str:
        """Return the sums over the last axis, kept as [N, 1]."""
        axes = self.constant(np.array([1]), "axis")
        return self.add("ReduceSum", value, axes, keepdims=1, hint=hint)

    def split(self, value: str, sizes: str) -> tuple[str, str]:
        """Return a value [N, A + B] as its first columns and the rest."""
        first, rest = self._name("first"), self._name("rest")
        node = helper.make_node("Split", [value, sizes], [first, rest], axis=1)
        self._nodes.append(node)
        return first, rest

    def graft(
        self, model: onnx.ModelProto, inputs: Mapping[str, str], outputs: list[str]
    ) -> list[str]:
        """Add all nodes of another graph and return the names of its outputs here.

        Args:
            model: Its operator sets must be those of this writer.
            inputs: Name of each of its inputs -> name of a value of this graph.
            outputs: Which of its outputs are wanted.
        """
        names = dict(inputs)
        first = not any(item.name.startswith(GRAFT) for item in self._constants)
        for item in model.graph.initializer:
            names[item.name] = f"{GRAFT}{item.name}"
            if first:
                kept = onnx.TensorProto()
                kept.CopyFrom(item)
                kept.name = names[item.name]
                self._constants.append(kept)
        for node in model.graph.node:
            made = onnx.NodeProto()
            made.CopyFrom(node)
            made.name = self._name(f"{GRAFT}{node.op_type.lower()}")
            made.doc_string = ""
            made.ClearField("input")
            made.input.extend(names[name] if name else "" for name in node.input)
            for name in node.output:
                names[name] = self._name(f"{GRAFT}{name}") if name else ""
            made.ClearField("output")
            made.output.extend(names[name] for name in node.output)
            self._nodes.append(made)
        return [names[name] for name in outputs]

    def write(
        self, outputs: Mapping[str, str], widths: Mapping[str, int | None]
    ) -> bytes:
        """Return the model.

        Args:
            outputs: Name of each output -> name of the value inside the graph.
            widths: Number of columns of each output; None leaves it open.
        """
        rows, channels = self._shape
        infos = []
        for name, value in outputs.items():
            cast = helper.make_node(
                "Cast", [value], [name], name=f"out_{name}", to=TensorProto.FLOAT
            )
            self._nodes.append(cast)
            shape: list[str | int | None] = ["N", widths[name]]
            infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        entry = helper.make_tensor_value_info(
            INPUT, TensorProto.FLOAT, ["N", rows, channels]
        )
        graph = helper.make_graph(
            self._nodes, "tundish", [entry], infos, self._constants
        )
        model = helper.make_model(
            graph,
            producer_name="tundish",
            producer_version="1",
            ir_version=IR_VERSION,
            opset_imports=self._opsets(),
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _opsets(self) -> list[onnx.OperatorSetIdProto]:
        found = [helper.make_opsetid("", OPSET)]
        if any(node.domain == ML_DOMAIN for node in self._nodes):
            found.append(helper.make_opsetid(ML_DOMAIN, ML_OPSET))
        return found

    def _name(self, hint: str) -> str:
        count = self._used.get(hint, 0)
        self._used[hint] = count + 1
        return f"{hint}_{count}" if count else hint
