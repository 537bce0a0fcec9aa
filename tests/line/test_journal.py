"""Laws of the csv and jsonl sinks: each answer once, in order, whatever is killed."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tundish.catalog import library
from tundish.kernel.digest import of_bytes
from tundish.line import plugins
from tundish.line.errors import LineFileInvalidError
from tundish.line.estimates import Estimate
from tundish.line.linefile import SinkSpec, read_line_file
from tundish.line.sinks.journal import JournalSink
from tundish.line.state import TagState

Kit = Any
MODEL = of_bytes(b"m")
NODES = {"estimate": "value", "reason": "reason", "alarm": "alarm", "state": "state"}


def _spec(folder: Path, kind: str = "csv", **options: Any) -> SinkSpec:
    return SinkSpec(
        kind=kind,
        name="desk",
        endpoint=f"file://{folder}",
        nodes=NODES,
        options=options,
    )


def _sink(kit: Kit, spec: SinkSpec) -> JournalSink:
    sink = plugins.open_sink(spec, kit.scenario())
    assert isinstance(sink, JournalSink)
    return sink


def _answer(second: float, value: float | None = 1.5, reason: str = "") -> Estimate:
    return Estimate(
        at_us=round(second * 1e6), quality="good", value=value, reason=reason,
        model=MODEL, input=MODEL,
    )  # fmt: skip


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write(sink: JournalSink, *answers: Estimate) -> None:
    async def job() -> None:
        await sink.connect()
        await sink.write_estimates(answers)
        await sink.close()

    asyncio.run(job())


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_answers_and_states_stand_as_lines_with_their_ids(
    kit: Kit, tmp_path: Path, kind: str
) -> None:
    async def job() -> None:
        sink = _sink(kit, _spec(tmp_path, kind))
        await sink.connect()
        await sink.write_estimates([_answer(5), _answer(6, None, "no, really")])
        state = TagState(signal="level", state="stale", reason="link lost")
        await sink.write_state(state, "shadow", 7_000_000)
        await sink.close()

    asyncio.run(job())
    first, second, third = _rows(tmp_path / f"desk.{kind}")
    assert (first["id"], first["at"]) == ("desk:5000000", "1970-01-01T00:00:05Z")
    assert float(first["value"]) == 1.5
    assert second["reason"] == "no, really"
    assert second["value"] in {"", None}
    assert (third["kind"], third["state"]) == ("state", "stale")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_what_stands_there_is_not_written_again_and_half_a_line_is_cut_off(
    kit: Kit, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"desk.{kind}"
    _write(_sink(kit, _spec(tmp_path, kind)), _answer(1), _answer(2), _answer(3))
    whole = path.read_bytes()
    for cut in range(1, 60, 7):
        path.write_bytes(whole[:-cut])
        _write(_sink(kit, _spec(tmp_path, kind)), _answer(2), _answer(3), _answer(4))
        rows = _rows(path)
        assert [r["id"] for r in rows] == [f"desk:{n}000000" for n in (1, 2, 3, 4)]


def test_a_full_file_is_put_away_and_only_the_newest_are_kept(
    kit: Kit, tmp_path: Path
) -> None:
    spec = _spec(tmp_path, rotate_mb=0.001, keep_files=3)
    _write(_sink(kit, spec), *(_answer(n) for n in range(1, 121)))
    _write(_sink(kit, spec), *(_answer(n) for n in range(100, 141)))
    full = sorted(tmp_path.glob("desk.*Z.csv"))
    assert len(full) == 3
    ids = [int(r["id"][5:]) for path in [*full, tmp_path / "desk.csv"] for r in _rows(path)]  # fmt: skip
    assert ids == sorted(set(ids))
    assert ids[-1] == 140_000_000
    assert all(path.stat().st_size < 2500 for path in full)


def test_each_day_has_a_file_of_its_own_if_asked_for(kit: Kit, tmp_path: Path) -> None:
    spec = _spec(tmp_path, "jsonl", rotate="daily")
    _write(_sink(kit, spec), _answer(86_399), _answer(86_400), _answer(86_401))
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        "desk.19700101T235959000000Z.jsonl", "desk.jsonl",
    ]  # fmt: skip
    assert len(_rows(tmp_path / "desk.jsonl")) == 2
    # a restart right after the turn knows what the full file holds
    (tmp_path / "desk.jsonl").unlink()
    _write(_sink(kit, spec), _answer(86_399), _answer(86_400))
    assert [r["id"] for r in _rows(tmp_path / "desk.jsonl")] == ["desk:86400000000"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "\r\n=1", "=\x00"]
)
def test_a_text_that_a_spreadsheet_would_run_is_made_a_text(
    kit: Kit, tmp_path: Path, text: str
) -> None:
    _write(
        _sink(kit, _spec(tmp_path)), _answer(1, -2.5, text), _answer(2, 1e-300, "a\nb")
    )
    first, second = _rows(tmp_path / "desk.csv")
    assert first["reason"].lstrip()[:1] not in set("=+-@")
    assert first["value"] == "-2.5"
    assert second["reason"] == "a b"
    assert float(second["value"]) == 1e-300


def test_a_full_disk_is_a_lost_sink_and_nothing_is_lost(
    kit: Kit, tmp_path: Path
) -> None:
    code = """
        import asyncio, resource, signal, sys
        from pathlib import Path
        from tests.line.test_journal import _answer, _spec
        from tundish.line.sinks.journal import JournalSink

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

        async def job():
            sink = JournalSink(_spec(Path(sys.argv[1])))
            await sink.connect()
            for n in range(1, 40):
                while True:
                    try:
                        await sink.write_estimates([_answer(n)])
                        break
                    except ConnectionError as error:
                        print(error, flush=True)
                        most = resource.RLIM_INFINITY
                        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
                        await sink.connect()
            await sink.close()

        asyncio.run(job())
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "cannot be written: File too large" in found.stdout
    ids = [int(r["id"][5:]) for r in _rows(tmp_path / "desk.csv")]
    assert ids == [n * 1_000_000 for n in range(1, 40)]


@pytest.mark.integration
@pytest.mark.slow
def test_kill_9_at_random_moments_leaves_each_answer_once(
    kit: Kit, tmp_path: Path
) -> None:
    code = """
        import asyncio, sys
        from pathlib import Path
        from tests.line.test_journal import _answer, _spec
        from tundish.line.sinks.journal import JournalSink

        async def job():
            sink = JournalSink(_spec(Path(sys.argv[1]), rotate_mb=0.002))
            await sink.connect()
            print("up", flush=True)
            # a delivery knows less than the file: it begins some answers before its end
            first = max(1, (sink._last_us or 0) // 1_000_000 - 20)
            for n in range(first, 100_000):
                await sink.write_estimates([_answer(n)])

        asyncio.run(job())
    """
    rng = np.random.default_rng(3)
    for _ in range(6):
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"up\n"
            time.sleep(rng.uniform(0.05, 0.4))
            os.kill(child.pid, signal.SIGKILL)
    files = [*sorted(tmp_path.glob("desk.*Z.csv")), tmp_path / "desk.csv"]
    _write(_sink(kit, _spec(tmp_path)))
    ids = [int(r["id"][5:]) // 1_000_000 for path in files for r in _rows(path)]
    assert ids == list(range(ids[0], ids[-1] + 1))
    assert len(ids) > 50


@pytest.mark.parametrize("endpoint", ["http://h/x", "file://host/x", "answers"])
def test_an_endpoint_that_is_no_folder_is_refused(
    kit: Kit, tmp_path: Path, endpoint: str
) -> None:
    spec = _spec(tmp_path).model_copy(update={"endpoint": endpoint})
    with pytest.raises(LineFileInvalidError, match="expected a folder"):
        plugins.open_sink(spec, kit.scenario())


def test_the_line_file_of_the_how_to_page_works(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/answers-in-files.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    (tmp_path / "line.yaml").write_text(example)
    line = read_line_file(tmp_path / "line.yaml")
    (sink,) = plugins.open_sinks(line, library.scenario("C25.21.fermentation-glucose"))
    assert isinstance(sink, JournalSink)
    _write(sink, _answer(5))
    assert (tmp_path / "answers" / "answers.csv").is_file()
