"""A window that reaches back before a life began is filled; one across a gap never is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tundish.catalog.documents import parse_document
from tundish.catalog.errors import DocumentInvalidError
from tundish.catalog.lives import beginnings
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data.binding import bind
from tundish.data.samples import full_run, make_samples
from tundish.kernel.digest import Digest
from tundish.line.rows import Row
from tundish.line.windows import Window, WindowCutter

HOUR_US = 3_600_000_000

SCENARIO = """
format: tundish.scenario
version: 1
key: C34.28.test-lives
name: {en: Wear, zh: 磨损}
problem: none
decision: {what: nothing, who: nobody}
task: rul
signals:
  - {name: hours, description: hours, unit: h, range: [0, 999], period_s: 3600}
  - {name: heat, description: heat, unit: degC, range: [0, 999], period_s: 3600}
target: {name: left, description: left, unit: h, range: [0, 99]}
recipe: any
candidates: {any: {recipe: any, why: test}}
acceptance: {tolerance: 1, limits: [{metric: rmse, at_most: 1, why: test}]}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 7200
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
"""
SITE = """
format: tundish.site
version: 1
scenario: C34.28.test-lives
site: here
tables: {runs: {file: a.csv, time_column: time, unit_column: unit, target: {by: unit-end}}}
tags: {hours: {column: hours}, heat: {column: heat}}
uses: [{part: fit, table: runs}]
"""
WINDOW = "window: {{rows: 4, stride: {}, begins: hours <= 1}}\n"


def scenario(window: str) -> Scenario:
    return parse_document((SCENARIO + window).encode(), Scenario, "s.yaml")


# hour of the clock, unit, hours run, heat: a gap after 11, a new life (overhaul) at 22
ROWS = [
    *((10 + n, "a", 1 + n, 50 + n) for n in range(2)),
    *((15 + n, "a", 6 + n, 60 + n) for n in range(7)),
    *((22 + n, "a", 1 + n, 10 + n) for n in range(6)),
]


def written(folder: Path) -> tuple[Path, SiteProfile]:
    start = np.datetime64("2024-01-01T00:00:00")
    lines = [
        f"{start + np.timedelta64(clock, 'h')}Z,{unit},{hours},{heat}"
        for clock, unit, hours, heat in ROWS
    ]
    text = "\n".join(["time,unit,hours,heat", *lines]) + "\n"
    (folder / "a.csv").write_text(text, encoding="utf-8")
    return folder, parse_document(SITE.encode(), SiteProfile, "site.yaml")


@pytest.mark.parametrize("stride", [1, 3])
def test_only_a_young_life_is_filled_and_the_line_cuts_the_same_windows(
    tmp_path: Path, stride: int
) -> None:
    asked = scenario(WINDOW.format(stride))
    root, site = written(tmp_path)
    bound = bind(site, asked, root)
    made = make_samples(bound, asked, site)
    cutter = WindowCutter(asked, HOUR_US)
    rows = [
        Row(
            at_us=clock * HOUR_US,
            values=np.array([hours, heat], dtype=np.float32),
            quality="good",
            why="",
            reason="",
        )
        for clock, _, hours, heat in ROWS
    ]
    cut = [window for row in rows for window in cutter.push([row])]
    assert digests(cut) == digests(WindowCutter(asked, HOUR_US).push(rows))
    answered = [window.values for window in cut if window.quality == "good"]
    np.testing.assert_array_equal(np.stack(answered), made.x)
    runs = full_run(bound, asked, "runs")
    np.testing.assert_array_equal(runs[0].x, made.x)
    if stride == 1:
        heats = made.x[:, :, 1].tolist()
        assert heats[:2] == [[50, 50, 50, 50], [50, 50, 50, 51]]
        assert heats[2:6] == [[60 + n + k for k in range(4)] for n in range(4)]
        assert heats[6:9] == [[10, 10, 10, 10], [10, 10, 10, 11], [10, 10, 11, 12]]
        assert len(heats) == 2 + 4 + 6
        assert [w.why for w in cut].count("too-few-rows") == 3  # after the gap


def digests(windows: list[Window]) -> list[Digest]:
    return [window.digest() for window in windows]


def test_after_a_restart_a_young_life_is_filled_as_before(tmp_path: Path) -> None:
    asked = scenario(WINDOW.format(1))
    rows = [
        Row(
            at_us=n * HOUR_US,
            values=np.array([1 + n, 5 + n], dtype=np.float32),
            quality="good",
            why="",
            reason="",
        )
        for n in range(3)
    ]
    whole, again = WindowCutter(asked, HOUR_US), WindowCutter(asked, HOUR_US)
    whole.push(rows[:2])
    again.restore(rows[:2], whole.segment_rows)
    expected = digests(whole.push(rows[2:]))
    assert expected
    assert digests(again.push(rows[2:])) == expected


def test_without_the_condition_nothing_is_filled(tmp_path: Path) -> None:
    asked = scenario("window: {rows: 4}\n")
    root, site = written(tmp_path)
    made = make_samples(bind(site, asked, root), asked, site)
    assert beginnings(asked) is None
    assert len(made) == 10  # of the 13 rows after the gap: over the overhaul, untold


def test_a_missing_counter_begins_no_life() -> None:
    begins = beginnings(scenario(WINDOW.format(1)))
    assert begins is not None
    assert begins(np.array([[1.0, 9.0], [np.nan, 9.0], [2.0, 9.0]])).tolist() == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("said", "problem"),
    [("age <= 1", "'age' is no single-valued signal"), ("hours +", "window.begins")],
)
def test_a_condition_on_what_is_no_signal_is_refused(said: str, problem: str) -> None:
    with pytest.raises(DocumentInvalidError, match=problem):
        scenario(f"window: {{rows: 4, begins: {said}}}\n")
