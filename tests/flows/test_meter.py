"""Laws of the signed budget of answers: nothing on the box can raise it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.flows.device import hear_time, say_time
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.open_package import OpenModel, open_package, score
from tundish.flows.permit import GrantPermit
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import ManualClock
from tundish.line.budget import DAY_US, Budget, BudgetSpec
from tundish.seal.errors import FreshnessRolledBackError
from tundish.seal.freshness import Seen, after_answers

DAY_S = 86_400.0
NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
END = datetime(9999, 1, 1, tzinfo=UTC)


def granted(desk: Any, box: Workspace, name: str = "model.grant", **terms: Any) -> Path:
    order = GrantOrder(device=box.device_text, purpose="p", valid_s=40 * DAY_S, **terms)
    return Path(grant(desk.plant, desk.package, order, box.root / name).file)


def answered(model: OpenModel, windows: int) -> int:
    asked = np.full((windows, 2, 1), 5.0, np.float32)
    found = score(model, asked).scores
    spent = [item.abstained for item in found if not item.outputs]
    assert all("the grant's budget" in reason for reason in spent)
    return len(found) - len(spent)


def test_a_grant_says_how_many_answers_a_day_also_after_a_restart(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box, answers_per_day=7)
    assert answered(open_package(box, desk.package, file), 3) == 3
    assert answered(open_package(box, desk.package, file), 9) == 4
    assert answered(open_package(box, desk.package, file), 1) == 0
    box.clock.advance(DAY_S)
    assert answered(open_package(box, desk.package, file), 9) == 7


def test_without_a_signed_limit_nothing_is_counted(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    assert answered(open_package(box, desk.package, granted(desk, box)), 50) == 50
    assert "answers-taken" not in {entry.act for _, entry in list_ledger(box)}


def test_a_renewal_gives_no_new_budget_on_the_same_day(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box, answers_per_day=5)
    model = open_package(box, desk.package, file)
    permit = GrantPermit(box, model, file)
    assert answered(model, 9) == 5
    granted(desk, box, answers_per_day=6)
    assert "now ends at" in permit.look().note
    assert answered(model, 9) == 1
    other = granted(desk, box, "second.grant", answers_per_day=6)
    assert answered(open_package(box, desk.package, other), 9) == 0


def test_a_budget_put_back_is_noticed_by_the_ledger(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    model = open_package(box, desk.package, granted(desk, box, answers_per_day=4))
    record, kept = box.inner / "freshness.json", tmp_path / "kept.json"
    shutil.copy(record, kept)
    assert answered(model, 4) == 4
    shutil.copy(kept, record)
    with pytest.raises(FreshnessRolledBackError, match="4 answers on 2026-03-01"):
        answered(model, 1)


@pytest.mark.parametrize("also", [{}, {"time": "2026-03-09T08:00:00Z"}])
def test_a_budget_put_forward_is_noticed_too(
    desk: Any, tmp_path: Path, also: dict[str, str]
) -> None:
    """A later day has a budget of its own: the record may not be ahead of its time."""
    box = desk.box(tmp_path / "box")
    model = open_package(box, desk.package, granted(desk, box, answers_per_day=4))
    assert answered(model, 4) == 4
    record = box.inner / "freshness.json"

    def edited(plain: dict[str, Any], day: str, **more: str) -> None:
        series = next(iter(plain["answers"]))
        plain = plain | more | {"answers": {series: {"day": day, "taken": 0}}}
        record.write_text(json.dumps(plain, sort_keys=True, separators=(",", ":")))

    before = json.loads(record.read_text())
    edited(before, "2026-03-09", **also)
    if also:  # of these days one has as many as ever, and then the time stays there
        assert answered(model, 9) == 4
        edited(before, "2026-03-08")
    with pytest.raises(FreshnessRolledBackError):
        answered(model, 1)
    edited(before, "2026-03-32")
    with pytest.raises(FreshnessRolledBackError):
        answered(model, 1)


def test_signed_times_of_ones_own_give_no_days_beyond_the_grant(
    desk: Any, tmp_path: Path
) -> None:
    """A server that runs asks the record for the day, and the box may sign a time."""
    box = desk.box(tmp_path / "box")
    model = open_package(box, desk.package, granted(desk, box, answers_per_day=4))
    given, now = 0, box.clock.now()
    for day in range(0, 90, 5):
        ahead = Workspace(box.root, ManualClock(now + timedelta(days=day)))
        say_time(ahead, tmp_path / "own.time")
        hear_time(ahead, tmp_path / "own.time")
        given += answered(model, 9)
    assert given == 4 * 40 / 5


def test_neither_line_file_nor_source_time_raises_a_signed_budget(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    model = open_package(box, desk.package, granted(desk, box, answers_per_day=10))
    spec = BudgetSpec(per_day=1_000_000)
    limits = Budget(spec, np.zeros(1), np.ones(1), 10_000_000, model.meter)
    said = limits.take(
        [day * DAY_US for day in range(40)], np.zeros((40, 1), np.float32)
    )
    assert said.count("") == 10, (
        "forty false days of source time are one day of the box"
    )
    assert "the grant's budget of 10 answers" in said[-1]
    found = limits.report()
    assert (found.asked, found.refused, found.signed_per_day) == (10, 30, 10)
    tight = Budget(
        BudgetSpec(per_day=2), np.zeros(1), np.ones(1), 10_000_000, model.meter
    )
    box.clock.advance(DAY_S)
    assert tight.take(range(4), np.zeros((4, 1), np.float32)).count("") == 2


def test_a_line_writes_a_block_at_a_time_and_loses_at_most_one(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    file = granted(desk, box, answers_per_day=1000)
    model = open_package(box, desk.package, file)
    given_out = sum(model.meter.take(1) for _ in range(95))
    taken = [e for _, e in list_ledger(box) if e.act == "answers-taken"]
    assert given_out == 95
    assert len(taken) == 10
    again = open_package(box, desk.package, file)
    assert sum(again.meter.take(1) for _ in range(1000)) == 900


def test_an_answer_to_a_request_may_carry_a_limit(desk: Any, tmp_path: Path) -> None:
    box = desk.box(tmp_path / "box")
    order = GrantOrder(
        device=box.device_text, purpose="p", valid_s=DAY_S, answers_per_day=12
    )
    report = grant(desk.plant, desk.package, order, tmp_path / "a.grant")
    assert report.answers_per_day == 12
    entry = list_ledger(desk.plant)[-1][1]
    assert entry.detail["answers_per_day"] == 12


@given(
    st.lists(
        st.tuples(st.integers(-30, 30), st.integers(1, 8)), min_size=1, max_size=30
    )
)
def test_however_the_clock_is_turned_a_day_is_given_once(
    steps: list[tuple[int, int]],
) -> None:
    """The clock jumps by hours either way; days only go forward, each with its limit."""
    seen, now, total = Seen(), NOW, 0
    days = set()
    for hours, wanted in steps:
        now += timedelta(hours=hours)
        seen, given_now = after_answers(
            seen, "a/b", wanted=wanted, per_day=10, now=now, until=END
        )
        total += given_now
        days.add(seen.answers["a/b"].day)
        assert 0 <= given_now <= wanted
    assert total <= 10 * len(days)
    latest = max(days)
    assert seen.answers["a/b"].day == latest
    assert seen.time is not None
    assert seen.time[:10] == latest
