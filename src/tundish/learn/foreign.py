"""A graph that another tool wrote, made ready to be a part of one of ours.

Converters write all versions of the operator sets. A graph whose operators mean the same
in the version that Tundish writes is only relabelled; else ONNX's own converter is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, version_converter

from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import ML_DOMAIN, ML_OPSET, OPSET, GraphWriter
from tundish.model import graphcheck
from tundish.model.graphcheck import ValueFacts

OPSETS_TAKEN = range(7, 27)
Layout = Literal["rows-first", "channels-first"]

# later versions of these only take more
_ADDITIVE = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
_NUMBERS = frozenset({1, 6, 7, 11})  # float32, int32, int64, float64


@dataclass(frozen=True, kw_only=True)
class ForeignGraph:
    """A checked graph of another tool in Tundish's operator sets.

    Attributes:
        model: The graph.
        inputs, outputs: What goes in and comes out.
        producer: What wrote it.
        changed: How its operator sets were changed, for the record.
    """

    model: onnx.ModelProto
    inputs: tuple[ValueFacts, ...]
    outputs: tuple[ValueFacts, ...]
    producer: str
    changed: str

    def check_form(self, form: tuple[int, int]) -> None:
        """Refuse inputs that a window of [T, C] does not fill.

        Raises:
            ForeignUnfitError: naming the input.
        """
        rows, channels = form
        if len(self.inputs) == 1:
            _sizes(self.inputs[0], rows * channels)
        elif (rows, len(self.inputs)) != (1, channels):
            msg = f"The model has {len(self.inputs)} inputs; one, or one for each of {channels} channels of a single row, was expected."
            raise ForeignUnfitError(msg)

    def add(
        self,
        writer: GraphWriter,
        window: str,
        form: tuple[int, int],
        wanted: list[str],
        layout: Layout,
    ) -> list[str]:
        """Add it to a graph.

        Args:
            writer: The graph.
            window: Name of the window in double, [M, T, C].
            form: T and C.
            wanted: Names of its outputs.
            layout: ``channels-first`` if it takes [N, C, T].

        Returns:
            Names of those outputs, in double.
        """
        fed = self._fed(writer, window, form, layout)
        found = writer.graft(self.model, fed, wanted)
        return [
            writer.add("Cast", name, to=writer.DOUBLE, hint="foreign_answer")
            for name in found
        ]

    def _fed(
        self, writer: GraphWriter, window: str, form: tuple[int, int], layout: Layout
    ) -> dict[str, str]:
        rows, channels = form
        if len(self.inputs) > 1:  # one input for each channel, as for a data frame
            column = writer.constant(_shape([-1, 1]), "column_shape")
            fed = {}
            for place, item in enumerate(self.inputs):
                which = writer.constant(_shape([place]), "which_channel")
                value = writer.add("Gather", window, which, axis=2, hint="channel")
                value = writer.add("Reshape", value, column, hint="channel_column")
                fed[item.name] = writer.add("Cast", value, to=item.element)
            return fed
        item = self.inputs[0]
        value = window
        if layout == "channels-first":
            value = writer.add(
                "Transpose", value, perm=[0, 2, 1], hint="channels_first"
            )
        shape = [-1, *_sizes(item, rows * channels)]
        if len(item.shape) != 3 or layout == "rows-first":
            value = writer.add(
                "Reshape", value, writer.constant(_shape(shape), "foreign_shape")
            )
        return {item.name: writer.add("Cast", value, to=item.element, hint="fed")}


def read_foreign(data: bytes) -> ForeignGraph:
    """Check the bytes of a foreign ONNX file and bring it to Tundish's operator sets.

    Raises:
        ForeignUnfitError: if an operator has no form there.
        Exception: what ``graphcheck.check_graph`` refuses: it looks first, by a parser of
            its own, and nothing of ``onnx`` sees bytes that it refuses.
    """
    facts = graphcheck.check_graph(data, opsets=OPSETS_TAKEN)
    wrong = [i.name for i in facts.inputs if i.element not in {1, 11}]
    if not facts.inputs or wrong:
        msg = (
            f"The model's input {wrong[0] if wrong else ''!r} is not of floating point."
        )
        raise ForeignUnfitError(msg)
    model = onnx.load_from_string(data)
    for item in model.graph.input:  # a batch of one was traced: the axis is freed
        if item.type.tensor_type.shape.dim:
            item.type.tensor_type.shape.dim[0].dim_param = "N"
    main = facts.opsets.get("", facts.opsets.get("ai.onnx", OPSET))
    changed = "as it was"
    if main != OPSET or facts.opsets.get(ML_DOMAIN, ML_OPSET) != ML_OPSET:
        changed = f"from opset {main} to {OPSET}"
        model = _converted(model, main, facts.opsets.get(ML_DOMAIN, ML_OPSET))
    return ForeignGraph(
        model=model,
        inputs=facts.inputs,
        outputs=tuple(o for o in facts.outputs if o.element in _NUMBERS),
        producer=facts.producer,
        changed=changed,
    )


def _converted(model: onnx.ModelProto, main: int, learnt: int) -> onnx.ModelProto:
    versions = {
        "": (main, OPSET),
        "ai.onnx": (main, OPSET),
        ML_DOMAIN: (learnt, ML_OPSET),
    }
    unlike = sorted(
        {n.op_type for n in model.graph.node if not _same(n, versions[n.domain])}
    )
    if any(n.op_type in unlike and n.domain == ML_DOMAIN for n in model.graph.node):
        msg = (
            f"The model's operator {unlike[0]!r} has no form in {ML_DOMAIN} {ML_OPSET}."
        )
        raise ForeignUnfitError(msg)
    if unlike:
        try:
            model = version_converter.convert_version(model, OPSET)
        except Exception as error:  # a C++ library's own kinds
            msg = f"The model's operator {unlike[0]!r} of opset {main} cannot be brought to opset {OPSET}."
            raise ForeignUnfitError(msg) from error
    del model.opset_import[:]
    model.opset_import.extend(
        [helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, ML_OPSET)]
    )
    return model


def _same(node: onnx.NodeProto, versions: tuple[int, int]) -> bool:
    """Tell whether an operator means the same in two versions of its set."""
    if node.op_type in _ADDITIVE and versions[0] <= versions[1]:
        return True
    have, want = (
        onnx.defs.get_schema(node.op_type, version, node.domain).since_version
        if onnx.defs.has(node.op_type, node.domain)
        else -1
        for version in versions
    )
    return bool(have == want != -1)


def _sizes(item: ValueFacts, values: int) -> list[int]:
    """Return the sizes of an input behind its batch axis, with a free one worked out."""
    sizes = [size if isinstance(size, int) else -1 for size in item.shape[1:]] or [
        values
    ]
    known = 1
    for size in sizes:
        known *= size if size > 0 else 1
    if sizes.count(-1) > 1 or (values != known if -1 not in sizes else values % known):
        msg = f"The model's input {item.name!r} has the form {list(item.shape)}, and a window has {values} values."
        raise ForeignUnfitError(msg)
    return [size if size > 0 else values // known for size in sizes]


def _shape(sizes: list[int]) -> NDArray[np.int64]:
    return np.array(sizes, dtype=np.int64)


def roles(mapping: Mapping[str, str], graph: ForeignGraph) -> dict[str, str]:
    """Return role -> output of the graph, checked.

    Raises:
        ForeignUnfitError: if an output is not there, or is no number.
    """
    known = [item.name for item in graph.outputs]
    for role, name in mapping.items():
        if name not in known:
            msg = f"The model has no output {name!r} for {role!r} that is a number; it has: {', '.join(known)}."
            raise ForeignUnfitError(msg)
    return dict(mapping)
