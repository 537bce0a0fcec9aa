"""The field's best-known story, on the real fermentation and the real pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tundish.catalog import library
from tundish.flows.material import prepare
from tundish.kernel import digest
from tundish.learn import parity
from tundish.learn.judge import judge
from tundish.learn.recipe import Recipe
from tundish.learn.recipes.linear_classes import LinearClassesRecipe
from tundish.learn.recipes.mahalanobis import MahalanobisRecipe
from tundish.learn.recipes.pca import PcaRecipe
from tundish.learn.recipes.pls import PlsRecipe
from tundish.learn.train import train
from tundish.learn.verdict import Verdict
from tundish.model.session import Session, make_golden

DATA = digest.of_bytes(b"real")
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def verdict_on(
    root: Path,
    scenario_key: str,
    site: str,
    candidate: str,
    recipe: Recipe,
) -> Verdict:
    scenario = library.scenario(scenario_key)
    material = prepare(library.site(site), scenario, root).material
    fitted = train(
        material, scenario, data=DATA, candidate=candidate, recipe=recipe
    ).fitted
    session = Session(fitted.graph, make_golden(fitted.graph, fitted.golden_window))
    compared = parity.compare(
        fitted.reference(material.x), session.run(material.x), scenario
    )
    parity.require(compared)
    return judge(material, scenario, session.run, fitted.claim)


def test_the_plain_spectrum_misses_the_run_and_would_have_kept_silent(
    fermentation: Path,
) -> None:
    verdict = verdict_on(
        fermentation,
        "C25.21.fermentation-glucose",
        "fermentation",
        "plain",
        PlsRecipe(),
    )
    rmse = verdict.figure("rmse").value
    assert not verdict.accepted
    assert rmse is not None
    assert rmse > 20.0
    assert verdict.figure("share_withheld").value == 1.0


def test_the_derivative_follows_the_run(fermentation: Path) -> None:
    verdict = verdict_on(
        fermentation,
        "C25.21.fermentation-glucose",
        "fermentation",
        "second-derivative",
        PlsRecipe(),
    )
    rmse, r2 = (verdict.figure(name).value for name in ("rmse", "r2"))
    assert rmse is not None
    assert r2 is not None
    assert rmse < 3.5
    assert r2 > 0.95
    assert verdict.figure("share_withheld").value == 0.0


def test_every_marked_event_of_the_pipeline_is_found_and_the_promise_is_checked(
    water_flow: Path,
) -> None:
    verdict = verdict_on(
        water_flow, "D46.27.pipeline-flow", "water-flow", "lagged-pca", PcaRecipe()
    )
    assert verdict.figure("missed_events").value == 0.0
    assert all(event.peak > 1.0 and np.isfinite(event.peak) for event in verdict.events)
    assert any(note.startswith("promised: at most") for note in verdict.notes)


@pytest.mark.timeout(240)  # 21 runs of 900 windows, and the machine may be shared
def test_the_reactor_with_recycle_is_watched_within_its_promise(
    real_sets: Path,
) -> None:
    scenario = library.scenario("C26.27.reactor-separator")
    site = library.site("tennessee-eastman")
    material = prepare(site, scenario, real_sets / "tep-braatz").material
    recipe = MahalanobisRecipe()
    fitted = train(material, scenario, data=DATA, recipe=recipe).fitted
    session = Session(fitted.graph, make_golden(fitted.graph, fitted.golden_window))
    verdict = judge(material, scenario, session.run, fitted.claim)
    missed = verdict.figure("missed_events").value
    false = verdict.figure("share_of_normal_windows_alarmed").value
    found = verdict.figure("share_of_event_windows_alarmed").value
    assert missed is not None
    assert missed <= 3
    assert false is not None
    assert false <= 0.01
    assert found is not None
    assert found > 0.8
    assert verdict.accepted


def test_a_valve_is_told_in_settings_of_the_bench_that_training_never_saw(
    real_sets: Path,
) -> None:
    folder = real_sets / "hydraulic-zema"
    scenario = library.scenario("C34.28.hydraulic-valve")
    material = prepare(library.site("hydraulic-zema-valve"), scenario, folder).material
    learned = set(material.source[material.part != "judge"])
    assert not learned & set(material.source[material.part == "judge"])
    fitted = train(material, scenario, data=DATA, recipe=LinearClassesRecipe()).fitted
    session = Session(fitted.graph, make_golden(fitted.graph, fitted.golden_window))
    verdict = judge(material, scenario, session.run, fitted.claim)
    macro_f1 = verdict.figure("macro_f1").value
    assert verdict.accepted
    assert macro_f1 is not None
    assert macro_f1 > 0.95
