"""Laws of the few words that say which tags an answer comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.line.because import because
from tundish.line.guard import answers
from tundish.line.pipeline import Pipeline
from tundish.line.windows import Window

Kit = Any  # the class lives in conftest, which cannot be imported


@pytest.fixture(scope="module")
def plant() -> Scenario:
    return library.scenario("C26.27.reactor-separator")


def parts(scenario: Scenario, **values: float) -> np.ndarray:
    names = [signal.name for signal in scenario.signals]
    found = np.zeros(scenario.channels, np.float32)
    for name, value in values.items():
        found[names.index(name)] = value
    return found


def test_the_largest_come_first_with_their_share(plant: Scenario) -> None:
    first, second, third = (signal.name for signal in plant.signals[:3])
    told = because(plant, parts(plant, **{first: 1.0, second: 6.0, third: 3.0}))
    assert told == f"{second} 60%, {third} 30%, {first} 10%"


def test_three_tags_are_named_and_no_more(plant: Scenario) -> None:
    names = [signal.name for signal in plant.signals[:4]]
    told = because(plant, parts(plant, **dict.fromkeys(names, 1.0)))
    assert told == ", ".join(f"{name} 25%" for name in names[:3])


def test_small_parts_are_left_out_and_nothing_is_made_up(plant: Scenario) -> None:
    first, second = (signal.name for signal in plant.signals[:2])
    assert because(plant, parts(plant, **{first: 99.0, second: 1.0})) == f"{first} 99%"
    assert because(plant, parts(plant)) == ""
    assert because(plant, parts(plant, **{first: np.nan})) == ""
    assert because(plant, np.ones(plant.channels, np.float32)) == ""


def test_a_quiet_detector_names_no_tag(plant: Scenario, kit: Kit) -> None:
    window = Window(
        at_us=0, values=np.zeros((plant.window.rows, plant.channels), np.float32),
        quality="good", why="", reason="",
    )  # fmt: skip
    part = parts(plant, **{plant.signals[0].name: 1.0})
    for score, told in ((0.9, ""), (1.1, f"{plant.signals[0].name} 100%")):
        outputs = {
            "score": np.array([[score]], np.float32),
            "applicability": np.array([[0.5]], np.float32),
            "contribution": part[None],
        }
        (found,) = answers(plant, [window], outputs, kit.MODEL, [kit.MODEL])
        assert found.because == told


def test_the_line_keeps_which_tags_with_the_answer(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario, scorer = kit.scenario(), kit.MeanScorer()
    alone = scorer.run

    def with_parts(window: np.ndarray) -> dict[str, np.ndarray]:
        share = np.full((len(window), scenario.channels), 2.0, np.float32)
        return {**alone(window), "contribution": share}

    monkeypatch.setattr(scorer, "run", with_parts)
    monkeypatch.setattr(
        "tundish.line.guard.because", lambda _scenario, part: f"{part[0]:g}"
    )
    with kit.buffer(tmp_path / "b", scenario) as buffer:
        pipeline = Pipeline(
            scenario=scenario, scorer=scorer, model=kit.MODEL, buffer=buffer
        )
        pipeline.restore()
        pipeline.take([kit.sample(row) for row in range(2)], live=True)
        assert [e.because for e in pipeline.step()] == ["2", "2"]
        assert [e.because for e in buffer.last_estimates(5)] == ["2", "2"]
