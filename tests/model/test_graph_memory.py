"""A graph that grows step by step inside allowed operators meets a bound, and no more."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tundish
from tundish.model import graphcheck, memory
from tundish.model.errors import SessionFailedError, SessionMemoryError
from tundish.model.session import Foreign, Session, make_golden, run_foreign

Node = onnx.NodeProto
MEGABYTES = 1024**2
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


def graph(nodes: list[Node], **constants: Any) -> bytes:
    """Return a graph from ``window`` to ``y``: the sum of what the nodes call ``big``."""
    wide = helper.make_node("Cast", ["big"], ["wide"], to=TensorProto.FLOAT)
    summed = helper.make_node("ReduceSum", ["wide"], ["sum"], keepdims=0)
    last = helper.make_node("Add", ["sum", "window"], ["y"])
    made = helper.make_graph(
        [*nodes, wide, summed, last],
        "g",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 3])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(made, opset_imports=opset, ir_version=8)
    return bytes(model.SerializeToString())


def node(kind: str, inputs: str, output: str = "big", **options: Any) -> Node:
    return helper.make_node(kind, inputs.split(), [output], **options)


def joined() -> bytes:
    """Joined to itself 32 times."""
    steps = [
        node("Concat", f"c{i} c{i}".replace("c0", "window"), f"c{i + 1}", axis=2)
        for i in range(32)
    ]
    return graph([*steps, node("Identity", "c32")])


def shape_of_window() -> list[Node]:
    """A shape that only the values of the window say: their maximum, twice."""
    return [
        node("ReduceMax", "window", "m", keepdims=0),
        node("Cast", "m", "n", to=TensorProto.INT64),
        node("Unsqueeze", "n zero", "n1"),
        node("Concat", "n1 n1", "shape", axis=0),
    ]


ZERO, ONE = np.zeros(1, np.int64), np.float32(1)
BOMBS: dict[str, Callable[[], bytes]] = {
    "joined": joined,
    "outer": lambda: graph(
        [node("Add", "a b")],
        a=np.zeros((1, 60_000), np.float32),
        b=np.zeros((60_000, 1), np.float32),
    ),
    "product": lambda: graph(
        [node("MatMul", "b a")],
        a=np.zeros((1, 60_000), np.float32),
        b=np.zeros((60_000, 1), np.float32),
    ),
    "Range": lambda: graph(
        [
            node("ReduceMax", "window", "m", keepdims=0),
            node("Mul", "m m", "n"),
            node("Range", "nought n one"),
        ],
        nought=np.float32(0),
        one=ONE,
    ),
    "Expand": lambda: graph([*shape_of_window(), node("Expand", "one shape")], zero=ZERO, one=ONE),
    "ConstantOfShape": lambda: graph([*shape_of_window(), node("ConstantOfShape", "shape")], zero=ZERO),
    "Tile": lambda: graph(
        [*shape_of_window(), node("Tile", "one shape")], zero=ZERO, one=np.ones((1, 1), np.float32)
    ),
    "Pad": lambda: graph(
        [*shape_of_window(), node("Concat", "shape shape", "four", axis=0), node("Pad", "one four")],
        zero=ZERO,
        one=np.ones((1, 1), np.float32),
    ),
    "OneHot": lambda: graph(
        [
            *shape_of_window(),
            node("Expand", "zero n1", "places"),
            node("OneHot", "places n pair"),
        ],
        zero=ZERO,
        pair=np.array([0, 1], np.float32),
    ),
    "EyeLike": lambda: graph(
        [*shape_of_window(), node("Expand", "one shape", "x"), node("EyeLike", "x", dtype=1)],
        zero=ZERO,
        one=ONE,
    ),
}  # fmt: skip
SIZE = 60_000  # what the shapes above come to: 60,000 x 60,000 numbers, 14 GB


def resized() -> bytes:
    """As written by hand: Resize leaves two inputs empty."""
    made = helper.make_node("Resize", ["one", "", "", "shape"], ["big"], mode="nearest")
    one = np.ones((1, 1), np.float32)
    return graph([*shape_of_window(), made], zero=ZERO, one=one)


BOMBS["Resize"] = resized


@pytest.mark.parametrize("kind", BOMBS)
def test_a_graph_that_grows_step_by_step_ends_in_one_clear_error(kind: str) -> None:
    """Each passes the check of the graph, and asks for 14 GB when it runs."""
    data = BOMBS[kind]()
    graphcheck.check_graph(data)
    before = resource.getrlimit(resource.RLIMIT_AS)
    window = np.full((1, 2, 3), SIZE, np.float32)
    with pytest.raises(SessionMemoryError, match="MiB of memory"):
        make_golden(data, window)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.mark.parametrize("kind", ["joined", "Expand"])
def test_a_strangers_graph_meets_the_same_bound(kind: str) -> None:
    """A suspect that is held against a fingerprint, and a model of another tool."""
    data, window = BOMBS[kind](), np.full((1, 2, 3), SIZE, np.float32)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(SessionMemoryError, match="MiB of memory"):
        run_foreign(data, window)
    with pytest.raises(SessionMemoryError, match="MiB of memory"):
        Foreign(data).run({"window": window}, ["y"])
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_graph_that_is_harmless_until_a_certain_window_comes_is_stopped_there() -> (
    None
):
    data = BOMBS["Expand"]()
    calm = np.full((1, 2, 3), 5, np.float32)
    session = Session(data, make_golden(data, calm))
    for _ in range(3):
        assert np.isfinite(session.run(calm)["y"]).all()
        with pytest.raises(SessionMemoryError):
            session.run(np.full((1, 2, 3), SIZE, np.float32))


def test_the_process_does_not_grow_beyond_the_budget() -> None:
    """Measured from outside: the peak of a process that meets two bombs."""
    program = """
        import resource, sys
        import numpy as np
        from tests.model.test_graph_memory import BOMBS, SIZE
        from tundish.model.errors import SessionMemoryError
        from tundish.model.session import make_golden
        window = np.full((1, 2, 3), SIZE, np.float32)
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        start = peak()
        for kind in ("joined", "Expand"):
            try: make_golden(BOMBS[kind](), window)
            except SessionMemoryError: print("stopped")
        print(peak() - start)
        """
    root = Path(tundish.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    *stopped, grown = done.stdout.split()
    assert stopped == ["stopped", "stopped"]
    assert int(grown) * MEGABYTES < memory.WORKING_BYTES * 1.2


def test_bounds_of_several_threads_end_with_the_last() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    inside, go = threading.Barrier(3), threading.Event()

    def stay() -> None:
        with memory.bounded(2**30):
            inside.wait()
            go.wait()

    threads = [threading.Thread(target=stay) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    assert resource.getrlimit(resource.RLIMIT_AS) != before
    go.set()
    for thread in threads:
        thread.join()
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_bound_that_was_tighter_before_stays() -> None:
    program = """
        import resource
        from tundish.model import memory
        tight = memory._address_space() + 2**20
        resource.setrlimit(resource.RLIMIT_AS, (tight, resource.RLIM_INFINITY))
        with memory.bounded(2**32):
            assert resource.getrlimit(resource.RLIMIT_AS)[0] == tight
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


def test_a_run_that_fails_for_another_reason_is_not_called_hungry() -> None:
    data = graph([node("Reshape", "window shape")], shape=np.array([7], np.int64))
    with pytest.raises(SessionFailedError) as failed:
        make_golden(data, np.zeros((1, 2, 3), np.float32))
    assert failed.value.code == "session-failed"
