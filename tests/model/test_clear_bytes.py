"""Clear bytes of a graph: in memory only, off swap, out of dumps, and gone afterwards."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests import traced

import tundish
from tundish.kernel import digest
from tundish.model import cleargraph, package
from tundish.model.errors import (
    GoldenMismatchError,
    PackageMalformedError,
    PackageNeedsGrantError,
)
from tundish.model.hardening import ClearBytes
from tundish.model.session import Session, make_golden
from tundish.seal import agefile, envelope
from tundish.seal.errors import EnvelopeClosedError

Desk = Any
SOURCE = str(Path(tundish.__file__).parents[1])
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
TRACED = pytest.mark.skipif(bool(traced.why_not()), reason=traced.why_not())
SIDE = 700

OPEN = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from tundish.model import cleargraph, package
    from tundish.model.session import Session
    from tundish.seal.envelope import identity_from_secret
    from tundish.seal.freshness import MemoryFreshness
    from tundish.seal.keys import VerifyKey
    from tundish.seal.secret import SecretText
    found = package.read(
        Path(sys.argv[1]),
        trusted=[VerifyKey.load(Path(sys.argv[2]))],
        now=datetime(2026, 5, 4, 6, 0, tzinfo=UTC),
        seen=MemoryFreshness(),
    )
    identity = identity_from_secret(SecretText(sys.stdin.readline().strip()))
    with package.clear_graph(found, identity) as graph:
        session = Session(graph.data, found.golden)
        print("held", graph.hardening.locked, flush=True)
        if sys.argv[3:]:
            sys.stdin.readline()
    identity.secret.forget()
    session.run(found.golden.window.array())
    print("open", flush=True)
    if sys.argv[3:]:
        sys.stdin.readline()
"""


@pytest.fixture
def large(desk: Desk) -> Any:
    """Return the desk with a graph of two weights of 2 MB each."""
    rng = np.random.default_rng(3)
    shapes = [(6, SIDE), (SIDE, SIDE), (SIDE, SIDE)]
    nodes, weights = [helper.make_node("Flatten", ["window"], ["h0"], axis=1)], []
    for at, shape in enumerate(shapes):
        values = (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"weights-of-layer-{at}"))
        names = [f"h{at}", f"weights-of-layer-{at}"]
        nodes.append(helper.make_node("MatMul", names, [f"h{at + 1}"]))
    nodes.append(helper.make_node("ReduceMean", ["h3"], ["estimate"], axes=[1]))
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", 2, 3])
    estimate = helper.make_tensor_value_info("estimate", TensorProto.FLOAT, ["N", 1])
    made = helper.make_graph(nodes, "large", [window], [estimate], weights)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    graph = bytes(onnx.ModelProto.SerializeToString(model))
    golden = make_golden(graph, np.ones((1, 2, 3), np.float32))
    return type(desk)(desk.key, desk.identity, golden, graph)


# --- wiped ---------------------------------------------------------------------------


def test_clear_bytes_are_zeros_when_the_session_stands_and_it_answers_as_before(
    large: Desk,
) -> None:
    """A runtime that still read them would answer otherwise from here on."""
    made = large.build()
    windows = np.random.default_rng(4).standard_normal((5, 2, 3)).astype(np.float32)
    expected = Session(large.graph, large.golden).run(windows)["estimate"]
    with package.clear_graph(made, large.identity) as graph:
        assert digest.of_bytes(graph.data) == digest.of_bytes(large.graph)
        session = Session(graph.data, made.golden)
        before = session.run(windows)["estimate"]
    assert len(graph.data) == len(large.graph)
    assert not any(graph.data)
    after = [session.run(windows)["estimate"] for _ in range(3)]
    for found in (before, *after):
        np.testing.assert_array_equal(found, expected)


def test_clear_bytes_are_wiped_also_when_no_session_comes_of_them(large: Desk) -> None:
    made = large.build()
    held = []

    def fail() -> None:
        with package.clear_graph(made, large.identity) as graph:
            held.append(graph.data)
            msg = "another answer"
            raise GoldenMismatchError(msg)

    with pytest.raises(GoldenMismatchError):
        fail()
    assert len(held[0]) == len(large.graph)
    assert not any(held[0])


def test_a_graph_of_another_digest_is_wiped_and_never_handed_out(
    large: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kept = large.build(), []
    other = envelope.encrypt(bytes(5) + large.graph, [large.identity.recipient])
    changed = replace(made, files={**made.files, package.GRAPH_AGE: other})

    class Kept(ClearBytes):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            kept.append(self.data)

    monkeypatch.setattr(cleargraph, "ClearBytes", Kept)
    with (
        pytest.raises(PackageMalformedError, match="card names"),
        package.clear_graph(changed, large.identity),
    ):
        pytest.fail("it was handed out")
    assert len(kept[0]) == len(large.graph) + 5
    assert not any(kept[0])


def test_without_the_right_identity_nothing_is_handed_out(large: Desk) -> None:
    made = large.build()
    for identity, refusal in (
        (None, PackageNeedsGrantError),
        (envelope.new_identity(), EnvelopeClosedError),
    ):
        with pytest.raises(refusal), package.clear_graph(made, identity):
            pytest.fail("it was handed out")


def test_a_copy_that_was_asked_for_is_not_wiped(desk: Desk) -> None:
    copy = package.graph_bytes(desk.build(), desk.identity)
    assert digest.of_bytes(copy) == digest.of_bytes(desk.graph)


@pytest.mark.parametrize("size", [0, 1, 31, 4096, 100_000, 5_000_000])
def test_memory_for_clear_bytes_is_filled_and_wiped_in_its_length(size: int) -> None:
    around = [bytes(50) for _ in range(3)]
    clear = ClearBytes(size)
    clear.buffer()[:] = b"\xaa" * size
    assert clear.data == b"\xaa" * size
    clear.wipe()
    assert clear.data == bytes(size)
    assert around == [bytes(50)] * 3
    assert (bytes(0), bytes([0xAA])) == (b"", b"\xaa")  # the shared ones are as ever


# --- in a process of its own ---------------------------------------------------------


@pytest.fixture
def files(large: Desk, tmp_path: Path) -> list[str]:
    package.write_tar(large.build(), tmp_path / "p.tar")
    (tmp_path / "key.pub").write_bytes(large.key.public.to_pem())
    return [str(tmp_path / "p.tar"), str(tmp_path / "key.pub")]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    return {
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONPATH": SOURCE,
    }


@TRACED
@pytest.mark.integration
def test_opening_makes_no_file_no_shared_memory_and_no_socket_anywhere(
    large: Desk, files: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    """As the kernel saw it: also what has no name or is deleted at once."""
    found = traced.run(
        ["-c", textwrap.dedent(OPEN), *files],
        tmp_path / "trace",
        env=env,
        cwd=tmp_path / "scratch",
        said=large.identity.secret.reveal() + "\n",
    )
    assert found.result.stdout.split()[-1] == "open", found.result.stderr
    assert found.looked > 500
    assert found.made == ()


LEAKS = {
    "a file deleted at once": "import tempfile; tempfile.NamedTemporaryFile().close()",
    "a file without a name": "import tempfile; tempfile.TemporaryFile().close()",
    "memory with a handle": "import os; os.close(os.memfd_create('leak'))",
    "shared memory": "open('/dev/shm/tundish-leak', 'w').close(); import os; "
    "os.remove('/dev/shm/tundish-leak')",
    "a socket": "import socket; socket.socket(socket.AF_UNIX).close()",
    "a file in the working folder": "open('leak', 'w').close()",
    "a link": "import os; os.symlink('a', 'leak')",
}


@TRACED
@pytest.mark.integration
@pytest.mark.parametrize("how", LEAKS)
def test_the_trace_sees(how: str, env: dict[str, str], tmp_path: Path) -> None:
    """So that the law above can fail."""
    found = traced.run(
        ["-c", LEAKS[how]], tmp_path / "trace", env=env, cwd=tmp_path / "scratch"
    )
    assert found.result.returncode == 0, found.result.stderr
    assert found.made != ()


class Piece(ctypes.Structure):
    """A range of memory, for process_vm_readv."""

    # mypy has no word for what ctypes wants here
    _fields_ = [  # type: ignore[mutable-override]
        ("start", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
    ]


def regions(process: int) -> Iterator[bytes]:
    """Return the writable memory of another process, as an administrator reads it."""
    library = ctypes.CDLL(None, use_errno=True)
    maps = Path(f"/proc/{process}/maps").read_text(encoding="utf-8").splitlines()
    for line in maps:
        ends, rights = line.split()[:2]
        if not rights.startswith("rw"):
            continue
        start, end = (int(part, 16) for part in ends.split("-"))
        buffer = ctypes.create_string_buffer(end - start)
        here, there = (
            Piece(ctypes.addressof(buffer), end - start),
            Piece(start, end - start),
        )
        size = library.process_vm_readv(
            process, ctypes.byref(here), 1, ctypes.byref(there), 1, 0
        )
        assert size >= 0, os.strerror(ctypes.get_errno())
        yield buffer.raw[:size]


def may_look() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def is_own_root() -> bool:
    """Tell whether this is the machine's root, not the root of a namespace."""
    if not may_look():
        return False
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", str(2**32 - 1)]


@pytest.mark.integration
@pytest.mark.skipif(not may_look(), reason="only root may look into a hardened process")
def test_no_clear_file_and_no_identity_is_left_in_memory_when_the_session_stands(
    large: Desk, files: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    """The weights are there, as the runtime keeps them; the file is not."""
    at = large.graph.index(b"weights-of-layer-2")
    file_only = large.graph[at - 30 : at + 18]  # the end of one tensor, the next name
    # the text came through Python's buffer of the standard input; the key must not stay
    raw = bytes(agefile._raw_secret(large.identity.secret))
    command = [sys.executable, "-B", "-c", textwrap.dedent(OPEN), *files, "wait"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        say(process.stdin, large.identity.secret.reveal())
        assert process.stdout.readline().startswith("held")
        assert any(file_only in region for region in regions(process.pid))
        say(process.stdin)
        assert process.stdout.readline() == "open\n"
        for region in regions(process.pid):
            assert file_only not in region
            assert raw not in region
        say(process.stdin)
    assert process.returncode == 0


def say(stream: IO[str], text: str = "") -> None:
    stream.write(text + "\n")
    stream.flush()


LOCKS = """
    import json, os, resource, sys
    from pathlib import Path
    from tundish.model.hardening import ClearBytes, harden
    limit, user = int(sys.argv[1]), int(sys.argv[2])
    def status(name):
        for line in open("/proc/self/status"):
            if line.startswith(name):
                return int(line.split()[1])
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
    if user:
        # what another user may not read of Python itself is loaded before
        Path("/proc/self/status").read_text(encoding="ascii")
        os.setresuid(user, user, user)
    done = harden()
    said = {"locked": done.locked, "dumpable_off": done.dumpable_off}
    for size in (100_000, 3_000_000):
        clear = ClearBytes(size, locked=done.locked == "all")
        clear.buffer()[:] = bytes(size)
        said[str(size)] = [clear.locked, status("VmLck:")]
        clear.wipe()
    said["end"] = status("VmLck:")
    large = bytearray(200_000_000)  # no limit is met in the midst of the work
    said["more"] = status("VmLck:") - said["end"]
    print(json.dumps(said))
"""


def locks(env: dict[str, str], limit: int, user: int = 0) -> dict[str, Any]:
    """Harden a process under a limit of locked memory, as a user of that number."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(LOCKS), str(limit), str(user)],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


NOBODY = 65_534
NAMESPACE_OR_ROOT = pytest.mark.skipif(not may_look(), reason="this needs root")


def without_rights() -> int:
    """Return the number of a user who may lock no more than the limit says.

    The root of a namespace, as the tests run with the network cut, is such a user.
    """
    return NOBODY if is_own_root() else 0


@pytest.mark.integration
@pytest.mark.skipif(not is_own_root(), reason="only the machine's root may lock it all")
def test_all_memory_is_kept_off_swap_where_the_system_lets_it(
    env: dict[str, str],
) -> None:
    """What comes later too."""
    found = locks(env, 1 << 20)
    assert found["locked"] == "all"
    assert found["3000000"][0]
    assert found["end"] > 20_000
    assert found["more"] > 190_000


@NAMESPACE_OR_ROOT
@pytest.mark.integration
def test_under_a_limit_the_clear_file_alone_is_locked_if_it_fits(
    env: dict[str, str],
) -> None:
    found = locks(env, 1 << 20, without_rights())
    assert found["locked"] == "none"
    assert found["dumpable_off"]
    assert found["100000"][0]
    assert found["100000"][1] >= 97
    assert not found["3000000"][0]
    assert found["end"] == 0
    assert found["more"] == 0


@NAMESPACE_OR_ROOT
@pytest.mark.integration
def test_what_cannot_be_locked_is_said_and_nothing_fails(env: dict[str, str]) -> None:
    found = locks(env, 0, without_rights())
    assert found["locked"] == "none"
    assert found["100000"] == [False, 0]


@LINUX
@pytest.mark.integration
def test_clear_bytes_are_left_out_of_dumps(env: dict[str, str]) -> None:
    """The kernel's flag of the pages: dd, do not dump."""
    program = """
        from tundish.model.hardening import ClearBytes
        clear = ClearBytes(3_000_000)
        start = id(clear.data)
        inside, flags = False, []
        for line in open("/proc/self/smaps"):
            ends = line.split()[0].split("-")
            if len(ends) == 2:
                low, high = (int(end, 16) for end in ends)
                inside = low <= start + 1_000_000 < high
            if inside and line.startswith("VmFlags"):
                flags += line.split()
        print(" ".join(flags))
        """
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    assert "dd" in done.stdout.split()
