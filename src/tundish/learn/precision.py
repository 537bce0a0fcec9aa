"""A graph in a narrower precision: fewer bytes, and less work for each window.

Recipes write graphs that compute in double (``learn.graph``). A box at the line may want
less:

- ``float32``: every constant, cast and attribute in double becomes float32. Half the
  bytes of the weights, and the arithmetic takes about half the time.
- ``float16``: the same, and every large constant is kept in float16 and cast to float32.
  The runtime does these casts once, when it loads the graph: a quarter of the bytes, the
  speed and the memory of float32.

The forms that were measured and are not offered (float16 arithmetic, weights in int8,
dynamic int8) stand with their figures in ``docs/reference/precision.md``.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from tundish.catalog.scenario import Scenario
from tundish.learn import parity
from tundish.learn.errors import PrecisionUnfitError
from tundish.learn.material import Windows
from tundish.learn.parity import ParityReport
from tundish.learn.recipe import Scorer
from tundish.learn.record import Precision

LARGE = 256  # elements from which a constant is worth a node that casts it
_DOUBLE, _FLOAT = int(TensorProto.DOUBLE), int(TensorProto.FLOAT)
_ELEMENT_TYPES = frozenset({"to", "dtype", "output_datatype"})
_HALF = np.finfo(np.float16)


def narrowed(graph: bytes, precision: Precision) -> bytes:
    """Return a graph in a narrower precision; the same bytes each time.

    Args:
        graph: A graph by the convention of all Tundish graphs, checked.
        precision: ``float32`` or ``float16``.
    """
    model = onnx.load_from_string(graph)
    del model.graph.value_info[:]  # they speak of doubles
    for constant in model.graph.initializer:
        _make_single(constant)
    for node in model.graph.node:
        for attribute in node.attribute:
            _make_attribute_single(attribute)
    if precision == "float16":
        _keep_in_half(model.graph)
    return bytes(model.SerializeToString(deterministic=True))


def against_wide(
    wide: Scorer, run: Scorer, x: Windows, scenario: Scenario, precision: Precision
) -> ParityReport:
    """Compare a narrow graph with the one in double that it was made from.

    Args:
        wide: The one in double.
        run: The narrow one.
        x: Windows.
        scenario: Its tolerance counts.
        precision: Of the narrow one, for its name.

    Raises:
        PrecisionUnfitError: names the output that differs by more than is allowed.
    """
    report = parity.compare(
        parity.batched(wide, x),
        parity.batched(run, x),
        scenario,
        names=("graph in double", f"graph in {precision}"),
    )
    if not report.passed:
        worst = report.worst()
        msg = (
            f"The graph in {precision} differs from the graph in double in "
            f"{worst.output!r} by {parity.said(worst)}, and {report.tolerance:g} is allowed."
        )
        raise PrecisionUnfitError(msg)
    return report


def _make_attribute_single(attribute: AttributeProto) -> None:
    if attribute.name in _ELEMENT_TYPES and attribute.i == _DOUBLE:
        attribute.i = _FLOAT
    if attribute.type == AttributeProto.TENSOR:
        _make_single(attribute.t)


def _make_single(tensor: TensorProto) -> None:
    if tensor.data_type == _DOUBLE:
        with np.errstate(over="ignore"):  # beyond float32 is infinite: compared later
            values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _keep_in_half(graph: onnx.GraphProto) -> None:
    """Keep large constants in float16, each with a node that casts it to float32."""
    casts = []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if constant.data_type != _FLOAT or not _fits_half(values):
            continue
        name, kept = constant.name, f"{constant.name}/float16"
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), kept))
        casts.append(helper.make_node("Cast", [kept], [name], name=kept, to=_FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _fits_half(values: np.ndarray) -> bool:
    """Whether the largest values keep their eleven bits in float16."""
    if values.size < LARGE:
        return False
    largest = float(np.abs(values).max())
    return float(_HALF.tiny) <= largest <= float(_HALF.max)
