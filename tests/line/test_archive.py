"""Laws of the archive: every sample in order and once, whatever is killed or full."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tundish.kernel import canonical
from tundish.line import plugins
from tundish.line.archiver import Archiver
from tundish.line.buffer import LineBuffer, Settled
from tundish.line.contract import ListedSignal, SignalList
from tundish.line.engine import LineEngine
from tundish.line.errors import LineFileInvalidError, SourceUnreachableError
from tundish.line.events import Event
from tundish.line.kept import HEAD, to_columns
from tundish.line.linefile import SinkSpec
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.samples import Sample
from tundish.line.sinks.archive import ArchiveOptions, ArchiveSink
from tundish.line.spool import PartRules

Kit = Any  # the class lives in conftest, which cannot be imported
KILLS = int(os.environ.get("TUNDISH_KILLS", "10"))
FIVE = SignalList(
    key="five",
    signals=(
        ListedSignal(name="number", unit="degC"),
        ListedSignal(name="spectrum", channels=3),
        ListedSignal(name="truth"),
        ListedSignal(name="text"),
        ListedSignal(name="bad", unit="bar"),
    ),
)


def _spec(folder: Path, **options: Any) -> SinkSpec:
    return SinkSpec(
        kind="archive", name="kept", endpoint=f"file://{folder}", options=options
    )


def _sink(folder: Path, contract: Any, **options: Any) -> ArchiveSink:
    spec = _spec(folder, **options)
    about = {"line": "l1"}
    return ArchiveSink(spec, contract, spec.read_options(ArchiveOptions), about)


def _frame(folder: Path) -> pd.DataFrame:
    parts = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    return pd.concat(parts, ignore_index=True)


def _parts(kit: Kit, buffer: LineBuffer, folder: Path, source: Any) -> LineParts:
    scenario = kit.scenario()
    return LineParts(
        scenario=scenario,
        scorer=kit.MeanScorer(),
        model=kit.MODEL,
        sources=(source,),
        archive=_sink(folder, scenario, part_rows=10),
        buffer=buffer,
    )


step = st.one_of(
    st.tuples(st.just("store"), st.lists(st.integers(0, 60), max_size=6)),
    st.tuples(st.just("settle"), st.integers(0, 60)),
    st.tuples(st.just("part"), st.booleans()),
    st.tuples(st.just("kill"), st.booleans()),
)


@given(steps=st.lists(step, max_size=30))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_every_new_sample_is_in_one_part_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "buffer.db"
    archive: dict[int, list[int]] = {}  # what stands under the name of a part
    taken: list[int] = []

    def opened() -> Any:
        buffer = LineBuffer(
            path, scenario="s", signals={"a": 1}, max_rows=10, durability="process"
        )
        return buffer, buffer.keep_for("kept", lambda: 7, 1.0)

    buffer, spool = opened()
    for what, given_ in steps:
        if what == "store":
            some = [
                Sample("a", at_us, "good", np.array([float(at_us)])) for at_us in given_
            ]
            before = spool.taken
            new = [one.at_us for one in buffer.store(some).new]
            assert len(set(new)) == len(new)
            known = spool.taken - before
            fresh = [at_us for at_us in new if at_us not in taken]
            assert known <= len(fresh)  # never twice, even if the buffer forgot it
            taken += fresh[len(fresh) - known :] if known == len(fresh) else []
            if known != len(fresh):
                assert spool.unsure > 0
                taken += _newest_of(spool, known)
        elif what == "settle":
            buffer.settle([], Settled(at_us=given_, segment_rows=0))
        elif what == "part":
            _write(spool, archive, finished=given_)
        else:
            buffer.close()
            buffer, spool = opened()
    while _write(spool, archive, finished=True):
        pass
    buffer.close()
    found = [at_us for first in sorted(archive) for at_us in archive[first]]
    assert found == taken
    assert len(set(found)) == len(found)


def _newest_of(spool: Any, rows: int) -> list[int]:
    found = spool._db.execute(
        "SELECT head FROM spool ORDER BY first DESC LIMIT 1"
    ).fetchone()
    at_us: list[int] = np.frombuffer(found[0], HEAD)["at_us"].tolist() if rows else []
    assert len(at_us) == rows or not rows
    return at_us


def _write(spool: Any, archive: dict[int, list[int]], *, finished: bool) -> bool:
    part = spool.cut(PartRules(rows=5), now=finished)
    if part is None:
        return False
    batches, after = [], part.first
    while page := spool.page(part, after):
        batches += page
        after = page[-1].first + page[-1].rows
    columns = to_columns(batches, ("a",), (1,))
    numbers = list(range(part.first, part.end))
    assert columns.number.tolist() == numbers
    written = columns.at_us.tolist()
    assert archive.get(part.first, written) == written  # given again, it is the same
    archive[part.first] = written
    if finished:
        spool.done(part)
    return True


def test_a_sample_of_any_kind_comes_back_as_it_was(tmp_path: Path) -> None:
    samples = [
        Sample("number", 1_000_000, "good", np.array([1.5])),
        Sample("spectrum", 1_000_000, "uncertain", np.array([1.0, 2.0, 3.0]), "old", 0x40920000),
        Sample("truth", 2_000_000, "good", None, said=True),
        Sample("truth", 3_000_000, "good", None, said=False),
        Sample("text", 2_000_000, "good", None, said="批次 7 \ud800"),
        Sample("bad", 4_000_000, "bad", None, "no link", 0x80310000),
        Sample("bad", 5_000_000, "bad", None, "no number", 0),
        Sample("number", 900_000, "good", np.array([np.inf])),
    ]  # fmt: skip
    widths = plugins.widths_of(FIVE)
    with LineBuffer(tmp_path / "b.db", scenario="five", signals=widths) as buffer:
        spool = buffer.keep_for("kept", lambda: 6_000_000, 1.0)
        buffer.store(samples[:3])
        buffer.store(samples[3:])
        part = spool.cut(PartRules(), now=True)
        assert part is not None
        columns = to_columns(spool.page(part, 0), tuple(widths), tuple(widths.values()))
    (tmp_path / "kept").mkdir()
    asyncio.run(_sink(tmp_path / "kept", FIVE).write_part(columns))
    table = pq.read_table(next((tmp_path / "kept").glob("*.parquet")))
    rows = table.to_pylist()
    assert [row["signal"] for row in rows] == [one.signal for one in samples]
    assert [row["number"] for row in rows] == list(range(8))
    assert [row["quality"] for row in rows] == [one.quality for one in samples]
    assert [row["status"] for row in rows] == [
        0, 0x40920000, 0, 0, 0, 0x80310000, 0x80000000, 0,
    ]  # fmt: skip
    assert [row["value"] for row in rows] == [1.5, None, 1, 0, None, None, None, np.inf]
    assert [row["boolean"] for row in rows][2:4] == [True, False]
    assert rows[1]["values"] == [1.0, 2.0, 3.0]
    assert rows[4]["text"] == "批次 7 ?"
    assert [row["reason"] for row in rows][5:7] == ["no link", "no number"]
    assert [row["time"].timestamp() for row in rows] == [
        1, 1, 2, 3, 2, 4, 5, 0.9,
    ]  # fmt: skip
    assert {row["received"].timestamp() for row in rows} == {6}
    assert [row["unit"] for row in rows][::5] == ["degC", "bar"]
    about: Any = canonical.loads(table.schema.metadata[b"tundish"])
    assert about["line"] == "l1"
    assert about["units"]["bad"] == "bar"


def test_a_line_with_an_archive_keeps_all_it_took_and_ends_with_a_part(
    kit: Kit, tmp_path: Path
) -> None:
    async def job(first: int, last: int) -> None:
        source = kit.ScriptedSource()
        with kit.buffer(tmp_path / "b.db", kit.scenario()) as buffer:
            engine = LineEngine(_parts(kit, buffer, tmp_path / "kept", source))
            stop = asyncio.Event()
            run = asyncio.create_task(engine.run(stop))
            for row in range(first, last):
                source.give(kit.sample(row), kit.sample(row))
            await kit.eventually(
                lambda: engine.status().totals["received"] >= last - first - 1
            )
            stop.set()
            await run
            assert engine.report().delivered["kept"] in {25, 26}

    asyncio.run(job(0, 25))
    asyncio.run(job(24, 50))  # the last sample comes again, as it does from a broker
    frame = _frame(tmp_path / "kept")
    assert frame["number"].tolist() == list(range(50))
    assert frame["value"].tolist() == [float(row) for row in range(50)]


def test_a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again(
    kit: Kit, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    told: list[Event] = []

    async def job() -> None:
        source = kit.ScriptedSource()
        with kit.buffer(tmp_path / "b.db", kit.scenario()) as buffer:
            parts = _parts(kit, buffer, folder, source)
            options = EngineOptions(sink_pauses_s=(0.01, 0.02))
            engine = LineEngine(parts, options=options, on_event=told.append)
            stop = asyncio.Event()
            run = asyncio.create_task(engine.run(stop))
            await kit.eventually(folder.is_dir)
            name = f"kept-{0:015d}-{10:015d}.parquet.part.tmp"
            (folder / name).symlink_to("/dev/full")  # the kernel says ENOSPC
            for row in range(12):
                source.give(kit.sample(row))
                await asyncio.sleep(0)
            await kit.eventually(lambda: "sink-restored" in {e.kind for e in told})
            stop.set()
            await run

    asyncio.run(job())
    lost = next(event for event in told if event.kind == "sink-lost")
    assert "No space left on device" in lost.text
    assert _frame(folder)["value"].tolist() == [float(row) for row in range(12)]
    assert {p.suffix for p in folder.iterdir()} == {".parquet"}  # no half part


def test_a_spool_that_is_full_drops_the_oldest_with_a_gap_and_keeps_the_rest(
    kit: Kit, tmp_path: Path
) -> None:
    with kit.buffer(tmp_path / "b.db", kit.scenario()) as buffer:
        spool = buffer.keep_for("kept", lambda: 0, 0.01)  # 10 kB
        for row in range(400):
            buffer.store([kit.sample(row)])
        gaps = [gap for gap in buffer.gaps() if gap.signal == "sink:kept"]
        told = list(spool.given_up)
        archive: dict[int, list[int]] = {}
        while _write(spool, archive, finished=True):
            pass
    kept = [at_us for first in sorted(archive) for at_us in archive[first]]
    assert kept[-1] == kit.sample(399).at_us
    assert kept == sorted(kept)
    assert gaps == told
    dropped = sum(int(gap.reason.split()[0]) for gap in gaps)
    assert dropped + len(kept) == 400
    assert dropped > 200
    assert gaps[-1].to_us < kept[0]


@pytest.mark.parametrize("keep_mb", [0.02, 1e-6])
def test_the_oldest_parts_go_first_and_each_is_written_down(
    tmp_path: Path, keep_mb: float
) -> None:
    """The newest stays, however small the bound is."""
    folder = tmp_path / "kept"
    sink = _sink(folder, FIVE, keep_mb=keep_mb)
    widths = plugins.widths_of(FIVE)

    async def job() -> list[str]:
        said: list[str] = []
        with LineBuffer(tmp_path / "b.db", scenario="f", signals=widths) as buffer:
            spool = buffer.keep_for("kept", lambda: 0, 1.0)
            await sink.connect()
            (folder / "another-name.parquet").write_bytes(b"x" * 100_000)
            for row in range(12):
                buffer.store([Sample("number", row + 1, "good", np.array([1.0]))])
                part = spool.cut(PartRules(), now=True)
                assert part is not None
                batches = spool.page(part, 0)
                columns = to_columns(batches, tuple(widths), tuple(widths.values()))
                said += await sink.write_part(columns)
                spool.done(part)
        return said

    said = asyncio.run(job())
    left = sorted(path.name for path in folder.glob("kept-*.parquet"))
    lines = (folder / "dropped.jsonl").read_text().splitlines()
    said_of: list[Any] = [canonical.loads(line.encode()) for line in lines]
    gone = [one["part"] for one in said_of]
    assert gone + left == [f"kept-{n:015d}-{n + 1:015d}.parquet" for n in range(12)]
    assert len(said) == len(gone) > 0
    size = sum((folder / name).stat().st_size for name in left)
    assert size <= 1e6 * keep_mb or len(left) == 1
    assert left
    assert (folder / "another-name.parquet").exists()


def test_two_archives_and_an_archive_with_nodes_are_refused(
    kit: Kit, tmp_path: Path
) -> None:
    spec = _spec(tmp_path)
    with pytest.raises(LineFileInvalidError, match="takes every signal"):
        ArchiveSink(spec.model_copy(update={"nodes": {"estimate": "x"}}), FIVE)
    with pytest.raises(LineFileInvalidError, match="expected a folder"):
        ArchiveSink(spec.model_copy(update={"endpoint": "http://x/y"}), FIVE)
    with pytest.raises(LineFileInvalidError, match="names no nodes"):
        plugins.open_sink(spec.model_copy(update={"kind": "csv"}), kit.scenario())


def test_an_archive_that_cannot_be_written_stops_the_start(
    kit: Kit, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file in its place")
    with kit.buffer(tmp_path / "b.db", kit.scenario()) as buffer:
        parts = _parts(kit, buffer, tmp_path / "kept", kit.ScriptedSource())
        with pytest.raises(SourceUnreachableError, match="cannot be written"):
            asyncio.run(LineEngine(parts).run())


CHILD = """
    import asyncio, sys
    from pathlib import Path
    import numpy as np
    from tundish.line.archiver import Archiver
    from tundish.line.buffer import LineBuffer
    from tundish.line.contract import ListedSignal, SignalList
    from tundish.line.linefile import SinkSpec
    from tundish.line.samples import Sample
    from tundish.line.sinks.archive import ArchiveOptions, ArchiveSink

    folder = Path(sys.argv[1])
    five = SignalList(key="five", signals=(ListedSignal(name="number"),))
    spec = SinkSpec(kind="archive", name="kept", endpoint=f"file://{folder}/kept")
    options = ArchiveOptions(part_rows=200)

    async def run():
        buffer = LineBuffer(folder / "b.db", scenario="f", signals={"number": 1})
        spool = buffer.keep_for("kept", lambda: 0, 100.0)
        sink = ArchiveSink(spec, five, options)
        archiver = Archiver(sink, spool, five, print, (0.01, 0.1))
        await archiver.connect()
        job = asyncio.create_task(write(archiver))
        row = buffer.newest_us("number") or 0
        while True:
            # the last one again: its word may have come and the answer not
            rows = [Sample("number", at, "good", np.array([float(at)]))
                    for at in range(max(row, 1), row + 20)]
            buffer.store(rows)
            row += 19
            sys.stdout.write(f"{row}\\n")  # acknowledged
            sys.stdout.flush()
            await asyncio.sleep(0)
            if job.done():
                job.result()

    async def write(archiver):  # as `Archiver.run`, without its pauses
        while True:
            while await archiver.write_next():
                pass
            await asyncio.sleep(0)

    asyncio.run(run())
"""


@pytest.mark.slow
def test_kill_9_at_random_moments_leaves_no_sample_lost_and_none_twice(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(11)
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)]
    acknowledged = 0
    for _ in range(KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said = child.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.3))
            child.send_signal(signal.SIGKILL)
            lines = [said, *child.stdout.read().splitlines()]
        whole = [int(line) for line in lines[:-1] or lines if line.strip()]
        acknowledged = max([acknowledged, *whole])
        for path in (tmp_path / "kept").glob("*.parquet"):
            pq.read_table(path)  # whole under its name, at any moment
    asyncio.run(_finish(tmp_path))
    frame = _frame(tmp_path / "kept")
    numbers = frame["number"].tolist()
    assert numbers == list(range(len(numbers)))
    assert frame["value"].tolist() == [float(n + 1) for n in numbers]
    assert len(numbers) >= acknowledged > 100


async def _finish(folder: Path) -> None:
    one = SignalList(key="five", signals=(ListedSignal(name="number"),))
    with LineBuffer(folder / "b.db", scenario="f", signals={"number": 1}) as buffer:
        spool = buffer.keep_for("kept", lambda: 0, 100.0)
        sink = _sink(folder / "kept", one, part_rows=200)
        archiver = Archiver(sink, spool, one, lambda *_: None, (0.01, 0.1))
        await archiver.connect()
        await archiver.close()
