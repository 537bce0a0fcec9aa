"""A session: one graph in memory, checked before and after it is loaded.

Built from bytes, never from a path; one thread unless more are asked for; every option
that could write the graph, an engine or a profile to the disk is refused; the golden
check follows every load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tundish.kernel import settings
from tundish.model import graphcheck, memory
from tundish.model.errors import (
    GoldenMismatchError,
    GraphConventionError,
    SessionFailedError,
    SessionMemoryError,
    SessionOptionError,
    TelemetryNotSilencedError,
    WindowShapeError,
)
from tundish.model.golden import ABSOLUTE, RELATIVE, Floats, Golden, Tensor
from tundish.seal.statement import first_fault

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ALLOWED_OPTIONS = frozenset(
    {
        "session.dynamic_block_base",
        "session.inter_op.allow_spinning",
        "session.intra_op.allow_spinning",
        "session.set_denormal_as_zero",
    }
)
MAX_THREADS = 64
Numbers = NDArray[np.generic]
_NUMBERS, _DOUBLE, _ROW = frozenset({1, 7, 11}), 11, 2


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How a session runs.

    Attributes:
        threads: Threads for one operator; with 1, results do not depend on the
            machine's number of cores.
        config: Runtime options by name; only those in ``ALLOWED_OPTIONS`` are taken.
    """

    threads: int = 1
    config: Mapping[str, str] | None = None


class Session:
    """A loaded graph that has given its golden answer.

    Args:
        graph: Bytes of the graph; kept alive until the session stands (onnxruntime
            reads freed memory without any error otherwise).
        golden: The signed check of the package the graph came from.
        options: Threads and allowed runtime options.

    Raises:
        TelemetryNotSilencedError: if onnxruntime was imported too early.
        GoldenMismatchError: if the golden input gives another answer.
        SessionOptionError, SessionFailedError: as their names say; and all that
            ``graphcheck.check_graph`` refuses.
    """

    def __init__(
        self, graph: bytes, golden: Golden, options: SessionOptions | None = None
    ) -> None:
        self._loaded = _Loaded(graph, options or SessionOptions())
        golden.check(self._loaded.run(golden.window.array()))

    @property
    def rows(self) -> int:
        """Rows of a window."""
        return self._loaded.rows

    @property
    def channels(self) -> int:
        """Channels of a window."""
        return self._loaded.channels

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self._loaded.outputs

    def run(self, window: Floats) -> dict[str, Floats]:
        """Score windows.

        Args:
            window: float32 of shape (windows, rows, channels). Missing values are
                NaN; what they do is the graph's affair, and the caller's guard must
                refuse an output that is not finite.

        Returns:
            Every output by name, float32, first axis windows.

        Raises:
            WindowShapeError: if the shape or the number type is wrong.
            SessionFailedError: if the runtime fails.
        """
        return self._loaded.run(window)


def evaluate(graph: bytes, window: Floats) -> dict[str, Floats]:
    """Run a graph that is being made, and so has no golden check yet.

    Args:
        graph: Bytes of the graph; checked as for ``Session``.
        window: float32 of shape (windows, rows, channels).

    Raises:
        Exception: the refusals of ``Session`` but for the golden check.
    """
    return _Loaded(graph, SessionOptions()).run(window)


def make_golden(
    graph: bytes,
    window: Floats,
    *,
    relative: float = RELATIVE,
    absolute: float = ABSOLUTE,
) -> Golden:
    """Run a graph on a window and write down its answer as the golden check.

    Raises:
        GoldenMismatchError: if an output is not finite, or a tensor too large.
        Exception: the other refusals of ``Session``.
    """
    found = _Loaded(graph, SessionOptions()).run(window)
    try:
        return Golden(
            window=Tensor.of(window),
            outputs={name: Tensor.of(values) for name, values in found.items()},
            relative=relative,
            absolute=absolute,
        )
    except ValidationError as error:
        advice = "Choose another window: finite answers, and not too large."
        raise GoldenMismatchError(
            first_fault("golden check", error), advice=advice
        ) from error


def run_foreign(graph: bytes, window: Floats) -> dict[str, Floats]:
    """Answer windows with a graph of somebody else, once.

    The graph is checked like any other; only names are free: its one input may have
    any name and may take a window as one long row, and outputs that are no numbers of
    float32, float64 or int64 are left out.

    Args:
        graph: Untrusted bytes.
        window: float32 [N, T, C].

    Raises:
        GraphConventionError: if it has not one input, or none of its outputs is a number.
        Exception: what ``graphcheck.check_graph`` refuses, and ``SessionFailedError``.
    """
    facts = graphcheck.check_graph(graph)
    names = [item.name for item in facts.outputs if item.element in _NUMBERS]
    if len(facts.inputs) != 1 or not names:
        msg = f"A graph has {len(facts.inputs)} inputs and {len(names)} outputs that are numbers; one input and an output are needed."
        raise GraphConventionError(msg)
    entry = facts.inputs[0]
    kind = np.float64 if entry.element == _DOUBLE else np.float32
    asked = window.astype(kind)
    if len(entry.shape) == _ROW:
        asked = asked.reshape(len(asked), -1)
    session = _open(graph, SessionOptions())
    budget = memory.for_window(asked.nbytes, len(graph))
    said = _no_answer(window)
    values = _answers(session, names, {entry.name: asked}, budget, said)
    found = zip(names, values, strict=True)
    return {name: np.asarray(value, np.float32) for name, value in found}


class Foreign:
    """A graph of somebody else in the runtime, with inputs and outputs of its own.

    Args:
        graph: Its bytes; checked like any other, only names and forms are free.

    Raises:
        Exception: what ``graphcheck.check_graph`` refuses, and ``SessionFailedError``.
    """

    def __init__(self, graph: bytes) -> None:
        graphcheck.check_graph(graph)
        self._size = len(graph)
        self._session = _open(graph, SessionOptions())

    def run(self, asked: Mapping[str, Numbers], outputs: Sequence[str]) -> list[Floats]:
        """Answer with some of its outputs, float32.

        Args:
            asked: Each input, as the graph wants it.
            outputs: Their names.

        Raises:
            SessionFailedError: if the runtime fails.
        """
        size = sum(part.nbytes for part in asked.values())
        budget = memory.for_window(size, self._size)
        forms = ", ".join(str(part.shape[1:]) for part in asked.values())
        said = f"The graph cannot answer inputs of shape {forms}"
        found = _answers(self._session, outputs, asked, budget, said)
        return [np.asarray(value, np.float32) for value in found]


class _Loaded:
    """A graph in the runtime, before its golden check."""

    def __init__(self, graph: bytes, options: SessionOptions) -> None:
        facts = graphcheck.check_graph(graph)
        graphcheck.check_convention(facts)
        _, rows, channels = facts.inputs[0].shape
        self.rows, self.channels = int(str(rows)), int(str(channels))
        self.outputs = tuple(item.name for item in facts.outputs)
        self._names = list(self.outputs)
        self._size = len(graph)
        self._session = _open(graph, options)

    def run(self, window: Floats) -> dict[str, Floats]:
        expected = (self.rows, self.channels)
        if window.dtype != np.float32 or window.shape[1:] != expected:
            msg = (
                f"A window is {window.dtype} of shape {window.shape}; expected float32 "
                f"of shape (windows, {self.rows}, {self.channels})."
            )
            raise WindowShapeError(msg)
        budget = memory.for_window(window.nbytes, self._size)
        said, asked = "The inference runtime failed", {"window": window}
        values = _answers(self._session, self._names, asked, budget, said)
        return dict(zip(self.outputs, cast("list[Floats]", values), strict=True))


def _open(graph: bytes, options: SessionOptions) -> InferenceSession:
    """Load a graph within a bound on memory: every graph comes in through here."""
    denied = set(options.config or {}) - ALLOWED_OPTIONS
    if denied or not 1 <= options.threads <= MAX_THREADS:
        what = min(denied) if denied else f"threads={options.threads}"
        msg = f"The session option {what!r} is not allowed."
        raise SessionOptionError(msg)
    runtime = _runtime()  # its libraries do not count against the graph
    settings.deny_settings_in_graphs()
    chosen = runtime.SessionOptions()
    chosen.intra_op_num_threads = options.threads
    chosen.inter_op_num_threads = 1
    chosen.use_deterministic_compute = True
    chosen.log_severity_level = 4
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in (options.config or {}).items():
        chosen.add_session_config_entry(name, value)
    budget = memory.for_graph(len(graph))
    try:
        with memory.bounded(budget):
            # `graph` is a name of this frame: it lives until the session stands
            opened = runtime.InferenceSession(
                graph,
                sess_options=chosen,
                providers=["CPUExecutionProvider"],
                read_config_from_model=0,
                # falling back prints what the runtime says, and tries again
                enable_fallback=0,
            )
        # the wrapper would keep the file as long as the session, beside its weights
        vars(opened)["_model_bytes"] = b""
    except Exception as error:
        said = "The inference runtime cannot load a graph"
        raise _failed(budget, error, said) from error
    return cast("InferenceSession", opened)


def _answers(
    session: InferenceSession,
    names: Sequence[str],
    asked: Mapping[str, Numbers],
    budget: int,
    said: str,
) -> list[Numbers]:
    """Run a graph within a bound on memory: every answer comes out through here."""
    try:
        with memory.bounded(budget):
            return cast("list[Numbers]", session.run(names, asked))
    except Exception as error:
        raise _failed(budget, error, said) from error


def _no_answer(window: Floats) -> str:
    return f"The graph cannot answer windows of shape {window.shape[1:]}"


_NO_MEMORY = (
    "Failed to allocate memory",
    "bad_alloc",
    "MemoryError",
    "output tensor would require more than",  # what the runtime itself bounds
)


def _failed(budget: int, error: Exception, said: str) -> SessionFailedError:
    found = f"{type(error).__name__}: {error}"
    if any(words in found for words in _NO_MEMORY):
        msg = (
            f"A graph takes more than {budget // 1024**2} MiB of memory when it is run."
        )
        return SessionMemoryError(msg)
    return SessionFailedError(f"{said}: {type(error).__name__}.")


@cache
def _silent() -> bool:
    # asked once: what was too late the first time stays too late
    return settings.silence_onnxruntime()


def _runtime() -> ModuleType:
    if not _silent():
        msg = "onnxruntime was loaded before its telemetry could be turned off."
        raise TelemetryNotSilencedError(msg)
    import onnxruntime  # noqa: PLC0415 -- only now is it silent

    module: ModuleType = onnxruntime
    return module
