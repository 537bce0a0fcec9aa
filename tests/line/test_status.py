"""What a line says of itself is true while it runs, and no longer when it does not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.line.test_engine import Bench, _run
from typer.testing import CliRunner

from tundish.cli.main import app
from tundish.kernel import canonical
from tundish.kernel.clock import to_text
from tundish.line.errors import StatusUnreadableError
from tundish.line.status import (
    LineStatus,
    boot_id,
    read_status,
    status_path,
    write_status,
)

Kit = Any
NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)


def status(**changed: Any) -> LineStatus:
    said: dict[str, Any] = {
        "line": "kiln", "mode": "shadow", "model": "sha256:" + "0" * 64,
        "pid": os.getpid(), "boot": boot_id(), "started": to_text(NOW),
        "at": to_text(NOW), "every_s": 2.0, "state": "good", "totals": {},
        "governed": {}, "latency_ms": {},
    }  # fmt: skip
    return LineStatus.model_validate(said | changed)


def gone() -> int:
    """Return the number of a process that is gone."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


def test_only_a_line_that_speaks_is_taken_for_a_running_one() -> None:
    assert status().alive(NOW + timedelta(seconds=6)) == ""
    assert status().alive(NOW + timedelta(seconds=7)) == "it has said nothing for 7 s"
    assert "was started anew" in status(boot="another").alive(NOW)
    assert status(pid=gone()).alive(NOW).endswith("is gone")
    assert status(pid=1).alive(NOW) == ""  # another user's process is one too


def test_a_running_line_says_each_tag_each_sink_and_its_own_state(
    kit: Kit, tmp_path: Path
) -> None:
    path = tmp_path / "b.status"
    bench = Bench(kit, tmp_path, status=path, name="kiln")
    seen: list[LineStatus] = []

    def now() -> LineStatus:
        found = read_status(path)
        assert found is not None
        return found

    async def script() -> None:
        await kit.eventually(path.exists)
        assert now().state == "stale"
        bench.source.give(kit.sample(0))
        await kit.eventually(lambda: now().state == "good")
        bench.source.link(up=False)
        await kit.eventually(lambda: now().state == "uncertain")
        seen.append(now())
        bench.sink.down = True
        bench.source.link(up=True)
        bench.source.give(kit.sample(1))
        bench.source.give(kit.sample(2))
        await kit.eventually(lambda: now().sinks[0].waiting > 0)
        seen.append(now())

    _run(bench, script)
    held, waiting = seen
    assert (held.line, held.mode, held.pid) == ("kiln", "shadow", os.getpid())
    assert [tag.signal for tag in held.tags] == ["level"]
    assert "the last value is held" in held.tags[0].reason
    assert held.tags[0].at.startswith("2020-01-01T00:00:00")
    assert held.totals["estimates"] == 1
    assert waiting.sinks[0].lost


def test_a_state_that_stands_is_written_every_two_seconds_and_not_at_each_look(
    kit: Kit, tmp_path: Path
) -> None:
    path = tmp_path / "b.status"
    bench = Bench(kit, tmp_path, status=path, name="kiln")
    written: set[int] = set()
    took_s: list[float] = []

    async def script() -> None:
        bench.source.give(kit.sample(0))
        await kit.eventually(lambda: (s := read_status(path)) and s.state == "good")
        begin_s = time.monotonic()
        for _ in range(50):  # ten milliseconds a look
            written.add(path.stat().st_mtime_ns)
            await asyncio.sleep(0.01)
        took_s.append(time.monotonic() - begin_s)

    _run(bench, script)
    assert len(written) <= 2 + took_s[0] // 2


def test_a_disk_that_is_full_does_not_end_the_line(tmp_path: Path) -> None:
    place = tmp_path / "no folder"
    place.write_text("a file")
    write_status(place / "b.status", status())
    assert read_status(tmp_path / "nothing") is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"state": "good"}'])
def test_what_is_no_status_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "b.status"
    path.write_bytes(data)
    with pytest.raises(StatusUnreadableError):
        read_status(path)


LINE: dict[str, Any] = {
    "format": "tundish.line", "version": 1, "name": "kiln", "package": "x.tar",
    "buffer": {"path": "b"},
    "sources": [
        {"kind": "opcua", "endpoint": "opc.tcp://127.0.0.1:4840", "nodes": {"a": "i=1"}}
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (None, 1, "kiln does not run: it has not run here"),
        ({}, 0, "kiln, mode shadow: good"),
        (
            {"state": "uncertain", "signal": "a", "reason": "held"},
            0,
            "uncertain a: held",
        ),
        ({"state": "stale", "signal": "a", "reason": "silent"}, 1, "stale a: silent"),
        ({"pid": 2**22 + 7}, 1, "kiln does not run: its process"),
    ],
)
def test_the_command_says_it_and_its_end_is_the_verdict(
    tmp_path: Path, said: dict[str, Any] | None, code: int, text: str
) -> None:
    file = tmp_path / "kiln.line.yaml"
    file.write_bytes(canonical.dumps(LINE))
    if said is not None:
        now = to_text(datetime.now(UTC))
        write_status(status_path(tmp_path / "b"), status(**{"at": now, **said}))
    for options in ([], ["--json"]):
        result = CliRunner().invoke(app, ["line", "status", str(file), *options])
        assert result.exit_code == code, result.output
        if not options:
            assert text in result.output.replace("\n", " ")
