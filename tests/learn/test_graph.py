"""Laws of the graph writer."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tundish.learn.graph import GraphWriter
from tundish.model.session import evaluate

CHANNELS = 8
PICKS = {
    "all": ((0, 1, 2, 3, 4, 5, 6, 7), set()),
    "one stretch": ((2, 3, 4, 5), {"Slice"}),
    "two stretches": ((0, 1, 2, 5, 6, 7), {"Slice", "Concat"}),
    "in another order": ((4, 5, 6, 0, 1, 2), {"Slice", "Concat"}),
    "one": ((3,), {"Slice"}),
    "every second": ((0, 2, 4, 6), {"Gather"}),
}


@pytest.mark.parametrize("name", PICKS)
def test_picked_columns_are_those_asked_for_and_gathered_only_where_scattered(
    name: str,
) -> None:
    places, wanted = PICKS[name]
    x = np.random.default_rng(0).normal(size=(5, 3, CHANNELS)).astype(np.float32)
    writer = GraphWriter(3, CHANNELS)
    picked = writer.pick(writer.window(), np.array(places))
    shape = writer.constant(np.array([-1, 3 * len(places)]), "shape")
    flat = writer.add("Reshape", picked, shape)
    graph = writer.write({"found": flat}, {"found": 3 * len(places)})
    found = evaluate(graph, x)["found"].reshape(5, 3, len(places))
    assert np.array_equal(found, x[:, :, places])
    used = {node.op_type for node in onnx.load_from_string(graph).graph.node}
    assert used - {"Cast", "Reshape"} == wanted
