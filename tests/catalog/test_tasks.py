"""What a scenario must say for its task, and may not say for another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tundish.catalog import library
from tundish.catalog.documents import parse_document
from tundish.catalog.errors import DocumentInvalidError
from tundish.catalog.scenario import Scenario

DECLARED = Path(library.__file__).parent / "declared" / "scenarios"


def _judged(key: str) -> str:
    """Return the text of a scenario without its generator, which binds the task."""
    text = (DECLARED / f"{key}.yaml").read_text(encoding="utf-8")
    return text.partition("\nsimulation:")[0] + "\n"


REGRESS = _judged("C25.21.fermentation-glucose")
ANOMALY = _judged("D46.27.pipeline-flow")
CLASSES = (
    "\nclasses:\n  - {name: good, description: as new, good: true}\n"
    "  - {name: worn, description: it leaks}\n"
)


def read(text: str) -> Scenario:
    return parse_document(text.encode(), Scenario, "mine.yaml")


def refused(text: str) -> str:
    with pytest.raises(DocumentInvalidError) as caught:
        read(text)
    return caught.value.message


def test_a_diagnosis_tells_at_least_two_classes_apart() -> None:
    text = REGRESS.replace("task: regress", "task: diagnose")
    assert "at least two" in refused(text)
    assert [item.good for item in read(text + CLASSES).classes] == [True, False]
    assert "a name stands twice" in refused(text + CLASSES.replace("worn", "good"))


def test_classes_belong_to_a_diagnosis() -> None:
    assert "a regress scenario has none" in refused(REGRESS + CLASSES)


def test_a_forecast_needs_a_horizon_and_nothing_else_takes_one() -> None:
    horizon = "\nhorizon: {rows: 24, season_rows: 24}\n"
    forecast = REGRESS.replace("task: regress", "task: forecast")
    assert "needs horizon" in refused(forecast)
    assert read(forecast + horizon).horizon is not None
    assert "takes no horizon" in refused(REGRESS + horizon)


def test_a_remaining_life_needs_a_tolerance() -> None:
    text = REGRESS.replace("task: regress", "task: rul")
    assert read(text).task == "rul"
    assert "acceptance.tolerance" in refused(text.replace("  tolerance: 4.0\n", ""))


def test_a_picture_has_one_row_for_each_pixel() -> None:
    text = ANOMALY.replace("task: anomaly", "task: inspect")
    assert "needs picture" in refused(text)
    picture = (
        "\npicture: {height: 32, width: 32, colours: 1, map_height: 4, map_width: 4}\n"
    )
    said = refused(text + picture)
    assert "1024 rows (pixels) of 1 channels (colours" in said
    for uneven in ("map_height: 5, map_width: 4", "map_height: 4, map_width: 5"):
        said = refused(text + picture.replace("map_height: 4, map_width: 4", uneven))
        assert "a whole number of pixels" in said


@pytest.mark.parametrize(
    ("mechanism", "said"),
    [
        ("{}", "declare at least one"),
        ("{low: 5, high: 5}", "low must lie below high"),
        (
            "{monotone: [{signal: heat, target: rises, why: physics}]}",
            "'heat' is no single-valued signal",
        ),
        (
            "{prior: {formula: '__import__(1)', use: feature, why: none}}",
            "mechanism.prior: formula",
        ),
    ],
)
def test_a_mechanism_that_cannot_be_used_is_refused(mechanism: str, said: str) -> None:
    assert said in refused(f"{REGRESS}\nmechanism: {mechanism}\n")


def test_a_mechanism_speaks_of_a_number() -> None:
    assert "has none" in refused(f"{ANOMALY}\nmechanism: {{low: 0}}\n")


def test_costs_without_a_cost_are_refused() -> None:
    assert "at least one cost" in refused(
        f"{REGRESS}\ncosts: {{unit: EUR, why: none}}\n"
    )
