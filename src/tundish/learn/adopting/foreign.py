"""A graph that another tool wrote, made ready to be a part of one of ours.

Converters write all versions of the operator sets. A graph whose operators mean the same
in the version that Tundish writes is only relabelled; else ONNX's own converter is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import helper, version_converter

from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import ML_DOMAIN, ML_OPSET, OPSET
from tundish.model import graphcheck
from tundish.model.graphcheck import ValueFacts

OPSETS_TAKEN = range(7, 27)

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

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return bytes(self.model.SerializeToString(deterministic=True))

    def named(self, name: str, role: str) -> str:
        """Return the name of an output that was asked for.

        Raises:
            ForeignUnfitError: if it is not there, or is no number.
        """
        known = [item.name for item in self.outputs]
        if name not in known:
            msg = f"The model has no output {name!r} for {role!r} that is a number; it has: {', '.join(known)}."
            raise ForeignUnfitError(msg)
        return name

    def only(self, role: str) -> str:
        """Return the name of its only output.

        Raises:
            ForeignUnfitError: if there are none, or several.
        """
        if len(self.outputs) != 1:
            have = ", ".join(item.name for item in self.outputs) or "none"
            msg = f"The model has several outputs that are numbers, or none ({have}); which one is {role!r}?"
            raise ForeignUnfitError(msg)
        return self.outputs[0].name


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
