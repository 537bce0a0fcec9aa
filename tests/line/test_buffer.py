"""Laws of the disk buffer: nothing acknowledged is lost, nothing is written twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel.digest import of_bytes
from tundish.kernel.errors import DiskFullError
from tundish.line.buffer import LineBuffer, Settled
from tundish.line.errors import (
    BufferLockedError,
    BufferOfOtherLineError,
    BufferUnreadableError,
)
from tundish.line.estimates import Estimate
from tundish.line.samples import Gap, Sample

Kit = Any  # the class lives in conftest, which cannot be imported


def _estimate(at_us: int, value: float = 1.0) -> Estimate:
    digest = of_bytes(b"x")
    return Estimate(
        at_us=at_us, quality="good", value=value, because="t1 62 %, t2 21 %",
        model=digest, input=digest,
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "buffer.db"


def test_a_sample_is_stored_once_however_often_it_comes(kit: Kit, path: Path) -> None:
    with kit.buffer(path, kit.scenario()) as buffer:
        first = buffer.store([kit.sample(0), kit.sample(1), kit.sample(1, 99.0)])
        again = buffer.store([kit.sample(1, 77.0)])
        kept = buffer.samples_after(0, limit=10)
    assert (len(first.new), first.duplicates) == (2, 1)
    assert (len(again.new), again.duplicates) == (0, 1)
    assert [sample.values.tolist() for sample in kept] == [[0.0], [1.0]]


def test_samples_come_back_in_source_time_order_as_they_were(
    kit: Kit, path: Path
) -> None:
    rng = np.random.default_rng(1)
    samples = [kit.sample(row, value) for row, value in enumerate(rng.normal(size=50))]
    with kit.buffer(path, kit.scenario()) as buffer:
        for index in rng.permutation(50):
            buffer.store([samples[index]])
        buffer.store([kit.bad_sample(50)])
    with kit.buffer(path, kit.scenario()) as buffer:
        kept = buffer.samples_after(0, limit=100)
    assert [s.at_us for s in kept] == [s.at_us for s in (*samples, kit.bad_sample(50))]
    assert all(
        np.array_equal(a.values, b.values)
        for a, b in zip(kept[:50], samples, strict=True)
    )
    assert kept[50].values is None
    assert kept[50].quality == "bad"
    assert "BadSensorFailure" in kept[50].reason


_BITS = st.floats(width=64) | st.sampled_from([float("nan"), -0.0, float("-inf")])


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["one", "many"]),
            st.integers(0, 40),
            st.none() | st.lists(_BITS, min_size=0, max_size=4),
        ),
        max_size=40,
    ),
    limit=st.integers(1, 5),
    until=st.none() | st.integers(0, 40),
)
def test_values_come_back_to_the_bit_and_the_last_of_each_signal_are_the_last(
    rows: list[tuple[str, int, list[float] | None]], limit: int, until: int | None
) -> None:
    samples = [
        Sample(
            signal=name, at_us=at_us, quality="bad" if values is None else "good",
            values=None if values is None else np.array(values[:1] if name == "one" else values),
        )
        for name, at_us, values in rows
        if name != "one" or values != []
    ]  # fmt: skip
    known: dict[tuple[int, str], Sample] = {}
    for sample in samples:
        known.setdefault((sample.at_us or 0, sample.signal), sample)
    with LineBuffer(
        Path(":memory:"), scenario="law", signals={"one": 1, "many": 4}
    ) as buffer:
        stored = [one for sample in samples for one in buffer.store([sample]).new]
        kept = buffer.samples_after(-1, limit=99)
        last = buffer.last_samples({"one": limit, "many": limit}, until_us=until)
    assert stored == list(known.values())
    in_order = [known[key] for key in sorted(known, key=lambda key: (key[0], key[1] != "one"))]  # fmt: skip
    assert [_bits(sample) for sample in kept] == [_bits(sample) for sample in in_order]
    for name, found in last.items():
        mine = [s for s in in_order if s.signal == name and (until is None or (s.at_us or 0) <= until)]  # fmt: skip
        assert [_bits(sample) for sample in found] == [_bits(s) for s in mine[-limit:]]


def _bits(sample: Sample) -> tuple[object, ...]:
    body = None if sample.values is None else sample.values.tobytes()
    return sample.signal, sample.at_us, sample.quality, body


def test_what_comes_later_with_an_older_time_is_counted(kit: Kit, path: Path) -> None:
    with kit.buffer(path, kit.scenario()) as buffer:
        assert buffer.store([kit.sample(0), kit.sample(2), kit.sample(1)]).behind == 1
        assert buffer.store([kit.sample(1), kit.sample(0.5), kit.sample(3)]).behind == 1


def test_a_long_log_comes_into_the_file_when_the_buffer_rests(
    kit: Kit, path: Path
) -> None:
    with kit.buffer(path, kit.scenario()) as buffer:
        empty = path.stat().st_size
        buffer.store([kit.sample(row) for row in range(1000)])
        buffer.rest()
        assert path.stat().st_size == empty, "a short log waits"
        for begin in range(1000, 90_000, 1000):
            buffer.store([kit.sample(row) for row in range(begin, begin + 1000)])
        assert path.stat().st_size == empty, "no commit of the line brings it in"
        buffer.rest()
        assert path.stat().st_size > empty + 80_000 * 16


def test_an_estimate_is_written_exactly_once(kit: Kit, path: Path) -> None:
    with kit.buffer(path, kit.scenario()) as buffer:
        mark = Settled(at_us=2, segment_rows=2)
        assert buffer.settle([_estimate(1), _estimate(2)], mark) == 2
        assert buffer.settle([_estimate(2, 99.0), _estimate(3)], mark) == 1
        assert [e.value for e in buffer.estimates_after(0, limit=9)] == [1.0, 1.0, 1.0]


def test_a_restart_goes_on_at_the_settled_mark(kit: Kit, path: Path) -> None:
    with kit.buffer(path, kit.scenario()) as buffer:
        assert buffer.settled() is None
        buffer.settle([_estimate(5)], Settled(at_us=5, segment_rows=3))
        buffer.mark_delivered("sink", 5)
        buffer.record_gap(Gap(signal="level", from_us=1, to_us=4, reason="why"))
    with kit.buffer(path, kit.scenario()) as buffer:
        assert buffer.settled() == Settled(at_us=5, segment_rows=3)
        assert buffer.undelivered("sink", limit=9) == []
        assert len(buffer.undelivered("other", limit=9)) == 1
        assert not buffer.record_gap(
            Gap(signal="level", from_us=1, to_us=4, reason="again")
        )
        assert [gap.reason for gap in buffer.gaps()] == ["why"]


def test_a_full_buffer_drops_the_oldest_scored_first(kit: Kit, path: Path) -> None:
    with kit.buffer(path, kit.scenario(), max_rows=20) as buffer:
        buffer.store([kit.sample(row) for row in range(20)])
        mark = Settled(at_us=kit.sample(14).at_us, segment_rows=1)
        buffer.settle([], mark)
        stored = buffer.store([kit.sample(row) for row in range(20, 25)])
        left = [s.values[0] for s in buffer.samples_after(0, limit=99)]
        assert stored.dropped == ()
        assert left == list(range(25 - len(left), 25))
        assert len(left) <= 20
        assert buffer.gaps() == []


def test_unscored_samples_are_dropped_only_with_a_gap_record(
    kit: Kit, path: Path
) -> None:
    with kit.buffer(path, kit.scenario(), max_rows=20) as buffer:
        buffer.store([kit.sample(row) for row in range(20)])
        stored = buffer.store([kit.sample(row) for row in range(20, 25)])
        left = [s.values[0] for s in buffer.samples_after(0, limit=99)]
        gaps = buffer.gaps()
    assert left == list(range(5, 25))
    assert len(stored.dropped) == len(gaps) == 1
    assert (gaps[0].from_us, gaps[0].to_us) == (
        kit.sample(0).at_us,
        kit.sample(4).at_us,
    )
    assert "full" in gaps[0].reason


def test_old_answers_are_dropped_and_undelivered_ones_are_a_gap(
    kit: Kit, path: Path
) -> None:
    with LineBuffer(
        path, scenario="s", signals={"level": 1}, max_estimates=20
    ) as buffer:
        buffer.mark_delivered("slow", 3)
        for at_us in range(1, 22):
            buffer.settle([_estimate(at_us)], Settled(at_us=at_us, segment_rows=1))
        assert len(buffer.last_estimates(99)) == 18
        assert [gap.signal for gap in buffer.gaps()] == []
        for at_us in range(22, 25):
            buffer.settle([_estimate(at_us)], Settled(at_us=at_us, segment_rows=1))
        assert [gap.signal for gap in buffer.gaps()] == ["sink:slow"]


def test_a_second_process_is_refused_in_one_sentence(kit: Kit, path: Path) -> None:
    with (
        kit.buffer(path, kit.scenario()),
        pytest.raises(BufferLockedError, match="locked by another process"),
    ):
        kit.buffer(path, kit.scenario())


def test_the_buffer_of_another_line_is_refused(kit: Kit, path: Path) -> None:
    kit.buffer(path, kit.scenario()).close()
    with pytest.raises(BufferOfOtherLineError, match="belongs to the line"):
        kit.buffer(path, kit.scenario(channels=3))


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 40])
def test_a_file_that_is_no_buffer_is_refused(
    kit: Kit, path: Path, content: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(BufferUnreadableError):
        kit.buffer(path, kit.scenario())
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_alone(
    kit: Kit, path: Path
) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(BufferUnreadableError, match="not made by Tundish"):
        kit.buffer(path, kit.scenario())


def test_a_folder_in_the_buffers_place_is_said(kit: Kit, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(BufferUnreadableError, match="folder"):
        kit.buffer(path, kit.scenario())


def _fill(kit: Kit, buffer: LineBuffer) -> None:
    for row in range(1, 20):
        buffer.store([kit.sample(row, channels=1000)])


def test_a_full_disk_is_said_and_what_was_stored_stays(kit: Kit, path: Path) -> None:
    scenario = kit.scenario(channels=1000)
    with kit.buffer(path, scenario) as buffer:
        buffer.store([kit.sample(0, channels=1000)])
        pages = buffer._db.execute("PRAGMA page_count").fetchone()[0]
        buffer._db.execute(f"PRAGMA max_page_count = {pages + 4}")
        with pytest.raises(DiskFullError, match="no room on the disk"):
            _fill(kit, buffer)
        stored = len(buffer.samples_after(0, limit=99))
    with kit.buffer(path, scenario) as buffer:
        assert len(buffer.samples_after(0, limit=99)) == stored >= 1


WRITER = """
    import sys
    from pathlib import Path
    import numpy as np
    from tundish.kernel.digest import of_bytes
    from tundish.line.buffer import LineBuffer, Settled
    from tundish.line.estimates import Estimate
    from tundish.line.samples import Sample

    digest = of_bytes(b"x")
    buffer = LineBuffer(Path(sys.argv[1]), scenario="s", signals={"level": 3})
    mark = buffer.settled()
    row = mark.at_us if mark else 0
    while True:
        row += 1
        values = np.full(3, float(row))
        sample = Sample(signal="level", at_us=row, quality="good", values=values)
        buffer.store([sample])
        sys.stdout.write(f"stored {row}\\n")
        sys.stdout.flush()
        estimate = Estimate(
            at_us=row, quality="good", value=float(row), model=digest, input=digest
        )
        new = buffer.settle([estimate], Settled(at_us=row, segment_rows=1))
        sys.stdout.write(f"scored {row} {new}\\n")
        sys.stdout.flush()
"""


@pytest.mark.integration
def test_kill_9_at_random_moments_loses_and_repeats_nothing(path: Path) -> None:
    rng = np.random.default_rng(20)
    stored: set[int] = set()
    scored: list[int] = []
    for _ in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        for _ in range(int(rng.integers(1, 60))):
            _note(child.stdout.readline(), stored, scored)
        os.kill(child.pid, signal.SIGKILL)
        for line in child.stdout.read().splitlines():
            _note(line, stored, scored)
        child.wait()
        child.stdout.close()
    with LineBuffer(path, scenario="s", signals={"level": 3}) as buffer:
        kept = {s.at_us for s in buffer.samples_after(0, limit=10**6)}
        answers = [e.at_us for e in buffer.estimates_after(0, limit=10**6)]
    assert stored <= kept
    assert set(scored) <= set(answers)
    assert len(scored) == len(set(scored))
    assert answers == sorted(set(answers))
    assert answers == list(range(1, len(answers) + 1))


def _note(line: str, stored: set[int], scored: list[int]) -> None:
    words = line.split()
    if len(words) == 2 and words[0] == "stored":
        stored.add(int(words[1]))
    elif len(words) == 3:
        assert words[2] == "1", "an estimate was written that was there already"
        scored.append(int(words[1]))
