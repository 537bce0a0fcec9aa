"""People answer an alarm, not a thousand answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.line.test_engine import Bench, _run
from tests.line.test_governor import SCENARIO

from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import of_bytes
from tundish.line.alarms import Alarm, AlarmLog
from tundish.line.estimates import Estimate

Kit = Any
MODEL = of_bytes(b"model")


def answers(text: str, first: int = 0) -> list[Estimate]:
    """Return answers ten seconds apart: ``!`` alarms, ``.`` does not, ``x`` abstains."""
    return [
        Estimate(
            at_us=(first + place) * 10_000_000,
            quality="bad" if letter == "x" else "good",
            value=None if letter == "x" else 1.0,
            alarm=None if letter == "x" else letter == "!",
            because="fuel 80%" if letter == "!" else "",
            model=MODEL,
            input=MODEL,
        )
        for place, letter in enumerate(text)
    ]


def told(
    text: str, scenario: Scenario = SCENARIO
) -> list[tuple[float, float, int, bool]]:
    log = AlarmLog(scenario)  # a row a second: the quiet is a minute
    found = [*log.take(answers(text)), *log.end()]
    return [(a.from_us / 1e7, a.to_us / 1e7, a.answers, a.over) for a in found]


def test_alarming_answers_in_a_row_are_one_alarm() -> None:
    assert told("..!!!!........!..") == [
        (2, 2, 1, False),
        (2, 5, 4, True),
        (14, 14, 1, False),
        (14, 14, 1, True),
    ]


def test_a_short_quiet_ends_nothing() -> None:
    assert told("!.!......!.......") == [
        (0, 0, 1, False),
        (0, 2, 2, True),
        (9, 9, 1, False),
        (9, 9, 1, True),
    ]


def test_where_answers_are_rare_the_quiet_is_five_strides() -> None:
    window = SCENARIO.window.model_copy(
        update={"stride": 40}
    )  # 40 s, so 200 s of quiet
    slow = SCENARIO.model_copy(update={"window": window})
    assert told("!" + 19 * "." + "!", slow) == [(0, 0, 1, False), (0, 20, 2, True)]
    assert [alarm[0] for alarm in told("!" + 20 * "." + "!", slow)] == [0, 0, 21, 21]


def test_a_sensor_that_fails_during_an_alarm_neither_prolongs_nor_cuts_it() -> None:
    assert told("!xxxx!") == [(0, 0, 1, False), (0, 5, 2, True)]
    assert told("!xxxxxxx.") == [(0, 0, 1, False), (0, 0, 1, True)]


def test_the_batches_that_answers_come_in_make_no_difference() -> None:
    whole = answers("..!!x.!.......!!")
    log = AlarmLog(SCENARIO)
    found: list[Alarm] = []
    for one in whole:
        found += log.take([one])
    assert found == AlarmLog(SCENARIO).take(whole)


def test_a_line_tells_where_an_alarm_begins_and_ends(kit: Kit, tmp_path: Path) -> None:
    acceptance = {**kit.scenario().acceptance.model_dump(), "tolerance": None}
    scenario = kit.scenario(task="anomaly", target=None, acceptance=acceptance)
    bench = Bench(kit, tmp_path, scenario=scenario)

    async def script() -> None:
        for row in range(40):  # the fake model answers the mean: rising past its limit
            bench.source.give(kit.sample(row))
        await kit.eventually(lambda: len(bench.answered()) >= 38)

    _run(bench, script)
    kinds = [event.kind for event in bench.events if "alarm" in event.kind]
    assert kinds == ["alarm", "alarm-over"]
    over = next(event for event in bench.events if event.kind == "alarm-over")
    assert str(over.detail["from"]) < str(over.detail["to"])
