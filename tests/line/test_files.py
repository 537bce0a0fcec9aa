"""Laws of the files source: whole files only, each once, whatever is killed or broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tundish.catalog import library
from tundish.data.images.looking import shrink
from tundish.kernel.clock import to_text
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.errors import (
    HistoryUnavailableError,
    LineFileInvalidError,
    SourceUnreachableError,
)
from tundish.line.filerows import FileRefusedError, RowForm, read_rows
from tundish.line.intake import REFUSED, TAKEN, TAKING
from tundish.line.linefile import NodeSpec, SourceSpec, read_line_file
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.samples import Arrival, Sample, from_us
from tundish.line.security import SecuritySpec

Kit = Any
Options = dict[str, bool | int | float | str]
QUICK: Options = {"poll_s": 0.02, "settle_s": 0.15}
BOARD = library.scenario("C39.24.pcb-bare-board")
GREY: dict[str, str | NodeSpec] = {"copper": "grey", "golden": "reference-grey"}


def _spec(folder: Path, nodes: Any, **options: Any) -> SourceSpec:
    endpoint = f"file://{folder}"
    return SourceSpec(
        kind="files", endpoint=endpoint, nodes=nodes, options=QUICK | options
    )


@asynccontextmanager
async def _running(source: Any) -> AsyncIterator[list[Arrival]]:
    found: list[Arrival] = []

    async def collect() -> None:
        async for arrival in source.samples():
            found.append(arrival)  # noqa: PERF401  (read while it grows)

    await source.connect()
    task = asyncio.create_task(collect())
    try:
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await source.close()


async def _until(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _run(job: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(job, 40))


def _of(found: list[Arrival], name: str) -> list[Sample]:
    return [s for a in found for s in a.samples if s.signal == name]


def _values(samples: list[Sample]) -> list[float | None]:
    return [None if s.values is None else float(s.values[0]) for s in samples]


def _in(folder: Path, place: str) -> list[str]:
    """Names of what was put away, in the order of their times."""
    return [p.name[18:] for p in sorted((folder / place).iterdir())]


def _row(folder: Path, name: str, at: float, value: object = 1) -> None:
    """Write a file of one row in one step."""
    text = f"time,a\n{at},{value}\n"
    (folder / f".{name}").write_text(text)
    (folder / f".{name}").rename(folder / name)


# --- whole files only, each once


@pytest.mark.integration
def test_a_file_is_read_only_when_it_has_settled(kit: Kit, tmp_path: Path) -> None:
    scenario = kit.scenario()

    async def job() -> None:
        spec = _spec(tmp_path, {"level": "a"}, settle_s=1.0)
        source = plugins.open_source(spec, scenario)
        async with _running(source) as found:
            with (tmp_path / "x.csv").open("w") as file:
                file.write("time,a\n1,")
                for _ in range(6):  # a slow writer: longer than settle_s in all
                    await asyncio.sleep(0.2)
                    file.write("1")
                    file.flush()
                    assert not _of(found, "level")
                file.write("\n")
            await _until(lambda: _in(tmp_path, TAKEN) == ["x.csv"])
            assert _values(_of(found, "level")) == [111111.0]

    _run(job())


@pytest.mark.integration
def test_a_marker_or_a_name_says_when_a_file_is_whole(kit: Kit, tmp_path: Path) -> None:
    scenario = kit.scenario()

    async def job(ready: str, begun: str, end: Callable[[Path], object]) -> None:
        folder = tmp_path / f"{ready} {begun}"
        folder.mkdir()
        spec = _spec(folder, {"level": "a"}, ready=ready)
        async with _running(plugins.open_source(spec, scenario)) as found:
            (folder / begun).write_text("time,a\n5,7\n")
            await asyncio.sleep(0.3)
            assert not _of(found, "level")
            end(folder)
            await _until(lambda: _in(folder, TAKEN) == ["x.csv"])
            assert _values(_of(found, "level")) == [7.0]
            assert sorted(p.name for p in folder.iterdir()) == [TAKING, REFUSED, TAKEN]

    def named(begun: str) -> Callable[[Path], object]:
        return lambda folder: (folder / begun).rename(folder / "x.csv")

    _run(job("marker", "x.csv", lambda f: (f / "x.csv.done").touch()))
    for begun in ("x.csv.tmp", "x.csv.part", "x.csv~", ".x.csv"):
        _run(job("renamed", begun, named(begun)))


@pytest.mark.integration
def test_files_come_in_the_order_asked_for_and_times_rise(
    kit: Kit, tmp_path: Path
) -> None:
    for order, wanted in (("time", [3.0, 2.0, 1.0]), ("name", [1.0, 2.0, 3.0])):
        folder = tmp_path / order
        folder.mkdir()
        for number, name in enumerate("cba"):
            _row(folder, name, 5 + number, 3 - number)
            os.utime(folder / name, (1000 + number, 1000 + number))
        spec = _spec(folder, {"level": "a"}, order=order, ready="renamed")

        async def job(spec: SourceSpec, folder: Path, wanted: list[float]) -> None:
            async with _running(plugins.open_source(spec, kit.scenario())) as found:
                await _until(lambda: len(_in(folder, TAKEN)) == 3)
                assert _values(_of(found, "level")) == wanted
            times = [int(p.name[:17]) for p in sorted((folder / TAKEN).iterdir())]
            assert times == sorted(set(times))

        _run(job(spec, folder, wanted))


@pytest.mark.integration
def test_what_was_taken_and_not_stored_is_given_again_under_the_same_time(
    kit: Kit, tmp_path: Path
) -> None:
    scenario = kit.scenario()
    _row(tmp_path, "x.csv", 5)
    spec = _spec(tmp_path, {"level": "a"}, ready="renamed")

    async def first() -> None:
        source = plugins.open_source(spec, scenario)
        await source.connect()
        async for arrival in source.samples():
            if arrival.samples:
                break  # the engine failed before it was on disk
        await source.close()

    async def second() -> None:
        (left,) = (tmp_path / TAKING).iterdir()
        async with _running(plugins.open_source(spec, scenario)) as found:
            await _until(lambda: _in(tmp_path, TAKEN) == ["x.csv"])
            assert _values(_of(found, "level")) == [1.0]
            assert (tmp_path / TAKEN / left.name).exists()

    _run(first())
    _run(second())


LINE = """
    import asyncio, sys
    from pathlib import Path
    from tundish.catalog.scenario import Scenario
    from tundish.kernel.digest import of_bytes
    from tundish.line import plugins
    from tundish.line.buffer import LineBuffer
    from tundish.line.engine import LineEngine
    from tundish.line.linefile import SourceSpec
    from tundish.line.parts import EngineOptions, LineParts

    folder = Path(sys.argv[1])
    scenario = Scenario.model_validate_json((folder / "scenario.json").read_bytes())
    spec = SourceSpec(
        kind="files", endpoint=f"file://{folder}/in", nodes={"level": "a"},
        options={"ready": "renamed", "poll_s": 0.01},
    )

    class Scorer:
        def run(self, window):
            mean = window.mean(axis=(1, 2)).reshape(-1, 1)
            return {"estimate": mean, "lower": mean - 1, "upper": mean + 1,
                    "applicability": mean * 0}

    parts = LineParts(
        scenario=scenario, scorer=Scorer(), model=of_bytes(b"m"),
        sources=(plugins.open_source(spec, scenario),),
        buffer=LineBuffer(folder / "b.db", scenario=scenario.key, signals={"level": 1}),
    )

    def say(event):
        if event.kind == "progress":
            sys.stdout.write(f"{event.detail['settled_until']}\\n")
            sys.stdout.flush()

    sys.stdout.write("up\\n")
    sys.stdout.flush()
    options = EngineOptions(tick_s=0.01, progress_s=0.02)
    asyncio.run(LineEngine(parts, options=options, on_event=say).run())
"""


@pytest.mark.integration
@pytest.mark.slow
def test_kill_9_at_random_moments_neither_loses_nor_doubles_a_file(
    kit: Kit, tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)
    scenario = kit.scenario()
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "scenario.json").write_text(scenario.model_dump_json(by_alias=True))
    command = [sys.executable, "-c", textwrap.dedent(LINE), str(tmp_path)]
    count = 0
    for kill in range(7):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            end = time.monotonic() + rng.uniform(0.05, 0.5)
            while time.monotonic() < end:
                at_s = kit.START_US / 1e6 + 10 * count
                _row(folder, f"{count:05d}.csv", at_s, count)
                count += 1
                time.sleep(0.004)
            last = to_text(from_us(kit.START_US + 10_000_000 * (count - 1)))
            while kill == 6 and child.stdout.readline().strip() != last:
                assert (
                    child.poll() is None
                )  # the last one takes and answers what is left
            end = time.monotonic() + 20
            while kill == 6 and _in(folder, TAKING) and time.monotonic() < end:
                time.sleep(0.05)
            os.kill(child.pid, signal.SIGKILL)
    assert _in(folder, TAKEN) == [f"{n:05d}.csv" for n in range(count)]
    assert not _in(folder, TAKING)
    with kit.buffer(tmp_path / "b.db", scenario) as buffer:
        samples = buffer.samples_after(0, limit=10**6)
        answers = buffer.estimates_after(0, limit=10**6)
        assert buffer.gaps() == []
    assert _values(samples) == [float(n) for n in range(count)]
    assert [e.value for e in answers] == list(range(count))
    assert count > 100


# --- what is broken


@pytest.mark.integration
def test_what_cannot_be_used_is_a_bad_sample_and_is_put_aside(
    kit: Kit, tmp_path: Path
) -> None:
    bad = {
        "column.csv": b"time,b\n1,2\n", "cells.csv": b"time,a\n1\n",
        "time.csv": b"time,a\nsoon,2\n", "bytes.csv": b"\xff\xfe\x00",
        "quote.csv": b'time,a\n"1,2\n', "giant.csv": b"time,a\n" + b"1,2\n" * 300_000,
        "twice.csv": b"time,a,a\n1,2,3\n",
    }  # fmt: skip
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.csv")
    spec = _spec(tmp_path, {"level": "a"}, ready="renamed", most_mb=1)

    async def job() -> None:
        async with _running(plugins.open_source(spec, kit.scenario())) as found:
            await _until(lambda: len(_in(tmp_path, REFUSED)) == len(bad))
            reasons = " | ".join(s.reason for s in _of(found, "level"))
            for said in (
                "no column 'a'", "1 cells, expected 2", "no time in 'time'", "no UTF-8",
                "no CSV", "1 MB, expected at most 1", "same name",
            ):  # fmt: skip
                assert said in reasons
            assert {s.quality for s in _of(found, "level")} == {"bad"}
            assert all(s.values is None for s in _of(found, "level"))
            _row(tmp_path, "good.csv", 5)
            await _until(lambda: "good.csv" in _in(tmp_path, TAKEN))
            assert (tmp_path / "link.csv").is_symlink()

    _run(job())


def test_a_cell_that_is_no_number_is_a_bad_sample_and_the_row_goes_on() -> None:
    form = RowForm(
        json=False, time_column="time",
        columns={"a": NodeSpec(node="a", scale=2.0, offset=1.0), "b": NodeSpec(node="b")},
    )  # fmt: skip
    data = b"time,a,b,c\n2026-01-01T00:00:00Z,1.5,x,\n1767225601.5,,-2e1,9\n"
    rows = list(read_rows(data, form))
    assert [_values(list(row)) for row in rows] == [[4.0, None], [None, -20.0]]
    assert [s.reason for row in rows for s in row if s.quality == "bad"] == [
        "no number in 'b'", "no number in 'a'",
    ]  # fmt: skip
    assert (
        from_us(rows[1][0].at_us or 0).isoformat() == "2026-01-01T00:00:01.500000+00:00"
    )


@pytest.mark.parametrize(
    "cell",
    ["1,5", "0x10", "1_000", "nan", "inf", "\u0661", "--1", "1e99999", "true", "5\x1f"],
)
def test_texts_are_never_turned_into_numbers(cell: str) -> None:
    form = RowForm(json=True, time_column="t", columns={"a": NodeSpec(node="a")})
    for said in (json.dumps(cell), "true", "null", "[1]"):
        ((sample,),) = read_rows(f'{{"t": 5, "a": {said}}}'.encode(), form)
        assert sample.quality == "bad"


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_in_samples_or_a_reason(data: bytes, lines: bool) -> None:
    form = RowForm(json=lines, time_column="time", columns={"a": NodeSpec(node="a")})
    with contextlib.suppress(FileRefusedError):
        list(read_rows((b"" if lines else b"time,a\n") + data, form))


@pytest.mark.integration
def test_a_folder_that_goes_away_is_a_lost_link_and_is_found_again(
    kit: Kit, tmp_path: Path
) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    spec = _spec(folder, {"level": "a"}, ready="renamed")

    async def job() -> None:
        async with _running(plugins.open_source(spec, kit.scenario())) as found:
            await _until(lambda: bool(found))
            folder.rename(tmp_path / "away")
            await _until(lambda: any(a.link and not a.link.up for a in found))
            (tmp_path / "away").rename(folder)
            await _until(lambda: bool(found[-1].link and found[-1].link.up))
            _row(folder, "x", 5)
            await _until(lambda: _in(folder, TAKEN) == ["x"])
        lost = plugins.open_source(
            _spec(tmp_path / "none", {"level": "a"}), kit.scenario()
        )
        with pytest.raises(SourceUnreachableError, match="cannot be used"):
            await lost.connect()
        with pytest.raises(HistoryUnavailableError):
            await anext(lost.read_history("level", 0, None))

    _run(job())


@pytest.mark.integration
def test_a_disk_that_runs_full_makes_the_tags_uncertain(
    kit: Kit, tmp_path: Path
) -> None:
    spec = _spec(tmp_path, {"level": "a"}, ready="renamed", least_free_mb=1e6)

    async def job() -> None:
        async with _running(plugins.open_source(spec, kit.scenario())) as found:
            _row(tmp_path, "x", 5)
            await _until(lambda: _in(tmp_path, TAKEN) == ["x"])
            assert [s.quality for s in _of(found, "level")][:1]
            (arrival,) = [
                a for a in found if any(s.values is not None for s in a.samples)
            ]
            good, doubt = arrival.samples
            assert good.quality == "good"
            assert (doubt.quality, doubt.at_us) == ("uncertain", None)
            assert "MB left, expected at least" in doubt.reason

    _run(job())


@pytest.mark.integration
def test_only_the_newest_files_are_kept(kit: Kit, tmp_path: Path) -> None:
    spec = _spec(tmp_path, {"level": "a"}, ready="renamed", keep_files=5)

    async def job() -> None:
        async with _running(plugins.open_source(spec, kit.scenario())):
            for number in range(101):
                _row(tmp_path, f"{number:03d}", 5 + number)
            await _until(lambda: _in(tmp_path, TAKEN)[-1:] == ["100"])
            await _until(lambda: len(_in(tmp_path, TAKEN)) == 5)

    _run(job())


# --- pictures


def _picture(path: Path, seed: int, size: tuple[int, int] = (160, 160)) -> None:
    pixels = np.random.default_rng(seed).integers(
        0, 256, (*size[::-1],), dtype=np.uint8
    )
    Image.fromarray(pixels).save(path, "png")


class _Bright:
    """Scores a picture by its mean, and remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def run(self, window: Any) -> Any:
        self.shown += list(window)
        mean = window.mean(axis=(1, 2)).reshape(-1, 1) / 255
        return {"score": mean, "applicability": mean * 0}


@pytest.mark.integration
def test_a_picture_reaches_the_graph_as_it_was_in_training(
    kit: Kit, tmp_path: Path
) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    _picture(tmp_path / "golden.png", 0)
    scorer, sink = _Bright(), kit.ListSink()
    spec = _spec(folder, GREY, reference="golden.png", pattern="*.png")

    async def job() -> None:
        with kit.buffer(tmp_path / "b", BOARD) as buffer:
            parts = LineParts(
                scenario=BOARD, scorer=scorer, model=kit.MODEL, sinks=(sink,),
                sources=(plugins.open_source(spec, BOARD),), buffer=buffer,
            )  # fmt: skip
            engine = LineEngine(parts, options=EngineOptions(tick_s=0.01))
            stop = asyncio.Event()
            running = asyncio.create_task(engine.run(stop))
            for number in range(1, 4):
                _picture(folder / f"{number}.png", number, (200, 180))
            (folder / "half.png").write_bytes(
                (tmp_path / "golden.png").read_bytes()[:9000]
            )
            await _until(lambda: len(sink.taken) == 4)
            stop.set()
            report = await running
        assert report.scored == 3
        assert report.abstained == {"bad-status": 1}
        assert sum(e.value is not None for e in sink.taken) == 3

    _run(job())
    assert _in(folder, REFUSED) == ["half.png"]
    assert sorted(_in(folder, TAKEN)) == ["1.png", "2.png", "3.png"]
    taken = sorted((folder / TAKEN).iterdir())
    wanted = list(shrink([*taken, tmp_path / "golden.png"], 160, 160, 1))
    for window, own in zip(scorer.shown, wanted[:3], strict=True):
        assert window.shape == (25_600, 2)
        np.testing.assert_array_equal(window[:, 0], own.pixels.ravel())
        np.testing.assert_array_equal(window[:, 1], wanted[3].pixels.ravel())


@pytest.mark.integration
def test_a_picture_bomb_and_a_missing_reference_are_refused_and_the_line_goes_on(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    _picture(folder / "alone.png", 1)
    _picture(folder / "pair.png", 2)
    (tmp_path / "golden").mkdir()
    for name in ("bomb", "pair"):
        _picture(tmp_path / "golden" / f"{name}.png", 3)
    spec = _spec(folder, GREY, reference="golden/*.png", ready="renamed")

    async def job() -> None:
        async with _running(plugins.open_source(spec, BOARD)) as found:
            await _until(lambda: _in(folder, TAKEN) == ["pair.png"])
            await _until(lambda: len(_in(folder, REFUSED)) == 2)
            reasons = " | ".join(s.reason for s in _of(found, "copper"))
            assert "20000 x 20000 pixels" in reasons or "declares more than" in reasons
            assert "its reference 'alone.png' is not there" in reasons

    _run(job())


# --- the line file


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nodes": {"copper": "red", "golden": "reference-grey"}}, "none of a picture"),
        ({"options": {}}, "names no reference"),
        ({"options": {"format": "csv"}}, "needs pictures"),
        ({"endpoint": "http://h/in"}, "names no folder"),
        ({"security": SecuritySpec(trust="x")}, "no security at all"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(
    changes: dict[str, Any], said: str
) -> None:
    spec = SourceSpec(
        kind="files", endpoint="file:///in", nodes=GREY, options={"reference": "g.png"}
    ).model_copy(update=changes)
    with pytest.raises(LineFileInvalidError, match=said):
        plugins.open_source(spec, BOARD)


def test_the_line_file_of_the_how_to_page_works(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/files.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    (tmp_path / "line.yaml").write_text(example)
    line = read_line_file(tmp_path / "line.yaml")
    (source,) = plugins.open_sources(line, BOARD)
    assert source.name == f"file://{tmp_path}/incoming"
    with plugins.open_buffer(line, BOARD, tmp_path):
        pass
