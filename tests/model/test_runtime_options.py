"""No option of the runtime that could write anything is taken.

The names come from the installed runtime itself: a later version that knows more of
them meets the same law.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.model import session
from tundish.model.errors import GraphConventionError, SessionOptionError
from tundish.model.session import ALLOWED_OPTIONS, Session, SessionOptions

Desk = Any
NAME = re.compile(rb"\0((?:session|ep|memory|mlas|optimization)\.[a-z0-9_.]+)\0")
# what writes, as the documentation of other providers has it: caches of engines
PROVIDERS_OWN = (
    "cache_dir",
    "device_type",
    "ep_cache_enable",
    "ModelCacheDirectory",
    "migraphx_model_cache_dir",
    "profiling_file_path",
    "qnn_saver_path",
    "trt_dump_ep_context_model",
    "trt_engine_cache_enable",
    "trt_engine_cache_path",
    "trt_timing_cache_path",
    "user_compute_stream",
)
WRITING = {
    "ep.context_enable",
    "ep.context_file_path",
    "session.collect_node_memory_stats_to_file",
    "session.enable_profiling",
    "session.optimized_model_external_initializers_file_name",
    "session.optimized_model_filepath",
    "session.save_external_prepacked_constant_initializers",
    "session.save_model_format",
}


def known_names() -> list[str]:
    """Return the names of options in the installed runtime's library."""
    spec = find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    library = next((Path(spec.origin).parent / "capi").glob("*pybind11_state*.so"))
    return sorted({name.decode() for name in NAME.findall(library.read_bytes())})


KNOWN = known_names()


def test_the_names_are_found_in_the_runtime() -> None:
    """So that the laws below cannot hold by looking at nothing."""
    assert len(KNOWN) > 60
    assert set(KNOWN) >= WRITING
    assert set(KNOWN) >= ALLOWED_OPTIONS, "an allowed option that no runtime knows"


@pytest.mark.parametrize("name", sorted({*KNOWN, *PROVIDERS_OWN} - ALLOWED_OPTIONS))
def test_every_option_of_the_runtime_is_refused_unless_it_is_harmless(
    desk: Desk, name: str
) -> None:
    for value in ("1", "x"):
        with pytest.raises(SessionOptionError, match=re.escape(name)):
            Session(desk.graph, desk.golden, SessionOptions(config={name: value}))


@given(name=st.text(max_size=40))
def test_any_other_name_is_refused_too(name: str) -> None:
    harmless = {"session.dynamic_block_base": "4"}
    for config in ({name: "1"}, {**harmless, name: "1"}):
        if name not in ALLOWED_OPTIONS:
            with pytest.raises(SessionOptionError):
                session._open(b"", SessionOptions(config=config))


class Recorder:
    """A runtime that keeps how a session was asked for."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.SessionOptions: Any = _real().SessionOptions

    def InferenceSession(self, graph: bytes, **asked: Any) -> Any:  # noqa: N802
        self.asked.append(asked)
        return _real().InferenceSession(graph, **asked)


def _real() -> Any:
    import onnxruntime  # noqa: PLC0415 -- silenced by the fixtures of this room

    return onnxruntime


def test_a_session_is_asked_for_on_the_processor_only_and_with_nothing_to_write(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No configuration reaches a provider that keeps engines in a cache."""
    recorder = Recorder()
    monkeypatch.setattr(session, "_runtime", lambda: recorder)
    config = dict.fromkeys(ALLOWED_OPTIONS, "1")
    for options in (SessionOptions(), SessionOptions(threads=2, config=config)):
        opened = Session(desk.graph, desk.golden, options)
        assert opened._loaded._session.get_providers() == ["CPUExecutionProvider"]
    for asked in recorder.asked:
        chosen = asked["sess_options"]
        assert set(asked) == {
            "sess_options", "providers", "read_config_from_model", "enable_fallback",
        }  # fmt: skip
        assert asked["providers"] == ["CPUExecutionProvider"]
        assert not chosen.has_providers()
        assert not chosen.enable_profiling
        assert chosen.optimized_model_filepath == ""
        for name in WRITING:
            with pytest.raises(RuntimeError):  # it was not set
                chosen.get_session_config_entry(name)


# --- settings that travel in a graph -------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from tundish.model import session
from tundish.model.session import SessionOptions
if sys.argv[2] == "ours":
    session._open(Path(sys.argv[1]).read_bytes(), SessionOptions())
else:
    session._runtime().InferenceSession(
        sys.argv[1], providers=["CPUExecutionProvider"]
    )
"""


def with_settings(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    settings = json.dumps({"session_options": {"enable_profiling": 1}})
    model.metadata_props.add(key="ort_config", value=settings)
    return bytes(model.SerializeToString())


def profiles(folder: Path, graph: Path, how: str) -> list[Path]:
    """Open a graph in a process that reads settings from graphs; return profiles."""
    scratch = folder / how
    scratch.mkdir()
    subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, str(graph), how],
        check=True,
        cwd=scratch,
        env={
            "PYTHONPATH": str(Path(session.__file__).parents[2]),
            "HOME": str(folder),
            "ORT_LOAD_CONFIG_FROM_MODEL": "1",
        },
    )
    return list(scratch.glob("*profile*"))


@pytest.mark.integration
def test_settings_in_a_graph_do_not_turn_on_profiles(
    desk: Desk, tmp_path: Path
) -> None:
    """The runtime writes one where nobody forbids it, so the law can fail."""
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(with_settings(desk.graph))
    assert profiles(tmp_path, graph, "plain") != []
    assert profiles(tmp_path, graph, "ours") == []


def test_a_graph_that_brings_settings_is_refused(desk: Desk) -> None:
    with pytest.raises(GraphConventionError, match="ort_config"):
        session.make_golden(with_settings(desk.graph), np.zeros((1, 2, 3), np.float32))
