"""Laws of sessions: silent, in memory, and checked after every load."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import tundish
from tundish.kernel.errors import RefusedError
from tundish.model import package
from tundish.model.errors import (
    GoldenMismatchError,
    GraphMalformedError,
    SessionFailedError,
    SessionOptionError,
    WindowShapeError,
)
from tundish.model.golden import Golden, Tensor
from tundish.model.session import Session, SessionOptions, make_golden

Desk = Any
SOURCE = str(Path(tundish.__file__).parents[1])


def windows(count: int = 4) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(count * 6, dtype=np.float32).reshape(count, 2, 3)


def test_a_session_computes_what_the_graph_says(desk: Desk) -> None:
    session = Session(desk.graph, desk.golden)
    found = session.run(windows())
    expected = windows().reshape(4, 6) @ np.arange(1, 7, dtype=np.float32) + 0.5
    np.testing.assert_allclose(found["estimate"][:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(found["lower"], found["estimate"] - 2)
    assert session.outputs == ("estimate", "lower", "upper", "applicability")
    assert (session.rows, session.channels) == (2, 3)
    assert all(values.dtype == np.float32 for values in found.values())


def test_another_graph_does_not_pass_the_golden_check(
    desk: Desk, make_graph: Callable[..., bytes]
) -> None:
    """The wrong numbers of a session from freed memory are found in the same way."""
    with pytest.raises(GoldenMismatchError, match="estimate"):
        Session(make_graph(0.6), desk.golden)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_session_that_gives_no_numbers_does_not_pass(
    desk: Desk, make_graph: Callable[..., bytes], wrong: float
) -> None:
    with pytest.raises(GoldenMismatchError, match="not finite"):
        Session(make_graph(wrong), desk.golden)
    with pytest.raises(GoldenMismatchError):
        make_golden(make_graph(wrong), windows(1))


def test_small_differences_between_runtimes_pass(
    desk: Desk, make_graph: Callable[..., bytes]
) -> None:
    Session(make_graph(0.5 + 5e-6), desk.golden)


def test_a_golden_check_with_other_outputs_is_refused(desk: Desk) -> None:
    outputs = dict(desk.golden.outputs)
    other = {**outputs, "more": outputs["estimate"]}
    with pytest.raises(GoldenMismatchError):
        Session(desk.graph, desk.golden.model_copy(update={"outputs": other}))
    flat = Tensor.of(outputs["estimate"].array()[0])
    shaped = desk.golden.model_copy(update={"outputs": {**outputs, "estimate": flat}})
    with pytest.raises(GoldenMismatchError, match="shape"):
        Session(desk.graph, shaped)


def test_a_golden_check_round_trips_exactly(desk: Desk) -> None:
    values = np.asarray([[0.1, -0.0, 3e-45, 3.4e38]], np.float32)
    again = Tensor.model_validate(Tensor.of(values).model_dump())
    assert again.array().tobytes() == values.tobytes()
    assert Golden.model_validate(desk.golden.model_dump()) == desk.golden


def test_a_tensor_that_does_not_fit_its_shape_is_refused() -> None:
    body = Tensor.of(np.zeros(3, np.float32)).data
    for shape in ((2,), (4,), (), (10**6, 10**6)):
        with pytest.raises(ValidationError):
            Tensor(shape=shape, data=body)


@pytest.mark.parametrize(
    "window",
    [
        np.zeros((1, 2, 3)),
        np.zeros((1, 3, 2), np.float32),
        np.zeros((2, 3), np.float32),
        np.zeros((1, 2, 3, 1), np.float32),
    ],
)
def test_a_window_of_another_shape_is_refused(desk: Desk, window: Any) -> None:
    with pytest.raises(WindowShapeError):
        Session(desk.graph, desk.golden).run(window)


@pytest.mark.parametrize(
    "options",
    [
        SessionOptions(config={"session.save_model_format": "ORT"}),
        SessionOptions(config={"ep.context_enable": "1"}),
        SessionOptions(
            config={"session.optimized_model_external_initializers_file_name": "x"}
        ),
        SessionOptions(threads=0),
        SessionOptions(threads=1000),
    ],
)
def test_options_that_are_not_known_to_be_harmless_are_refused(
    desk: Desk, options: SessionOptions
) -> None:
    with pytest.raises(SessionOptionError):
        Session(desk.graph, desk.golden, options)


def test_harmless_options_are_taken(desk: Desk) -> None:
    options = SessionOptions(threads=2, config={"session.intra_op.allow_spinning": "1"})
    Session(desk.graph, desk.golden, options)


def test_a_graph_is_checked_before_the_runtime_sees_it(desk: Desk) -> None:
    with pytest.raises(GraphMalformedError):
        Session(b"not a graph", desk.golden)
    with pytest.raises(RefusedError):
        Session(desk.graph[:-1], desk.golden)


def test_a_graph_that_the_runtime_refuses_is_said(
    desk: Desk, make_graph: Callable[..., bytes]
) -> None:
    broken = make_graph().replace(b"Gemm", b"Gemn")
    with pytest.raises(SessionFailedError):
        Session(broken, desk.golden)


# --- in a process of its own --------------------------------------------------------


def run(program: str, folder: Path, *arguments: str) -> str:
    """Run a program with an empty environment, a home and a temporary folder."""
    home, scratch = folder / "home", folder / "scratch"
    home.mkdir()
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=scratch,
        env={
            "HOME": str(home),
            "TMPDIR": str(scratch),
            "XDG_CACHE_HOME": str(home / "cache"),
            "PYTHONPATH": SOURCE,
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def left_behind(folder: Path) -> list[Path]:
    return [*(folder / "home").rglob("*"), *(folder / "scratch").rglob("*")]


OPEN = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    written = []
    def watch(event, arguments):
        if event == "open" and isinstance(arguments[2], int):
            if arguments[2] & 0o3 and arguments[0] != "/dev/null":
                written.append(str(arguments[0]))
    from tundish.model import package
    from tundish.model.session import Session
    from tundish.seal.envelope import identity_from_secret
    from tundish.seal.freshness import MemoryFreshness
    from tundish.seal.keys import VerifyKey
    from tundish.seal.secret import SecretText
    sys.addaudithook(watch)
    found = package.read(
        Path(sys.argv[1]),
        trusted=[VerifyKey.load(Path(sys.argv[2]))],
        now=datetime(2026, 5, 4, 6, 0, tzinfo=UTC),
        seen=MemoryFreshness(),
    )
    identity = identity_from_secret(SecretText(sys.stdin.readline().strip()))
    with package.clear_graph(found, identity) as graph:
        session = Session(graph.data, found.golden)
    session.run(found.golden.window.array())
    assert not written, written
    heavy = {"onnx", "polars", "pandas", "sklearn", "torch"} & set(sys.modules)
    assert not heavy, heavy
"""


@pytest.mark.integration
def test_opening_leaves_nothing_on_the_disk(
    desk: Desk, tmp_path: Path, now: datetime
) -> None:
    """No device id, no telemetry store, no temporary file; CI is not set."""
    package.write_tar(desk.build(), tmp_path / "p.tar")
    (tmp_path / "key.pub").write_bytes(desk.key.public.to_pem())
    secret = repr(desk.identity.secret.reveal())
    program = textwrap.dedent(OPEN).replace("sys.stdin.readline().strip()", secret)
    run(program, tmp_path, str(tmp_path / "p.tar"), str(tmp_path / "key.pub"))
    assert left_behind(tmp_path) == []


@pytest.mark.integration
def test_a_runtime_that_was_loaded_too_early_is_refused(tmp_path: Path) -> None:
    program = """
        import sys, types
        sys.modules["onnxruntime"] = types.ModuleType("onnxruntime")
        from tundish.model.errors import TelemetryNotSilencedError
        from tundish.model.session import _runtime
        for _ in range(2):
            try:
                _runtime()
            except TelemetryNotSilencedError as error:
                print(error.code)
        """
    found = run(program, tmp_path)
    assert found.split() == ["telemetry-not-silenced", "telemetry-not-silenced"]


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_opening_an_encrypted_graph_hardens_the_process(tmp_path: Path) -> None:
    program = """
        import ctypes, resource
        from tundish.model.hardening import harden
        done = harden()
        print(done.dumpable_off, done.core_off, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
        print(resource.getrlimit(resource.RLIMIT_CORE))
        """
    found = run(program, tmp_path).splitlines()
    assert found == ["True True 0", "(0, 0)"]
