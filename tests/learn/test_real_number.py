"""Concrete of other laboratories: what random folds hide, and what physics still holds."""

from __future__ import annotations

import numpy as np
import pytest

from tundish.catalog import library
from tundish.flows.material import prepare
from tundish.kernel import digest, settings
from tundish.learn import parity
from tundish.learn.judge import judge
from tundish.learn.train import train
from tundish.model.session import Session, make_golden

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_strength_of_mixes_never_seen_is_refused_and_physics_is_kept() -> None:
    """Random folds say 4 MPa; mixes of a source that was not trained on say twice that."""
    folder = settings.data_dir()
    if folder is None or not (folder / "concrete-strength").is_dir():
        pytest.skip("TUNDISH_DATA names no folder with concrete-strength")
    scenario = library.scenario("C30.26.concrete-strength")
    site = library.site("concrete-strength")
    material = prepare(site, scenario, folder / "concrete-strength").material
    assert [int((material.part == p).sum()) for p in ("fit", "calibrate", "judge")] == [
        566,
        206,
        258,
    ]
    data = digest.of_bytes(b"real")
    fitted = train(material, scenario, data=data, candidate="linear").fitted
    session = Session(fitted.graph, make_golden(fitted.graph, fitted.golden_window))
    compared = parity.compare(
        fitted.reference(material.x), session.run(material.x), scenario
    )
    parity.require(compared)
    verdict = judge(material, scenario, session.run, fitted.claim)
    found = {figure.metric: figure.value for figure in verdict.figures}
    assert not verdict.accepted
    assert found["rmse"] is not None
    assert found["rmse"] > 5.0
    assert found["share_beyond_physics"] == 0.0
    assert found["share_against_monotone"] == 0.0
    assert found["interval_coverage"] is not None
    assert found["interval_coverage"] > 0.85
    age = fitted.reference(material.x)["contribution"][:, 7]
    assert np.corrcoef(age, material.x[:, 0, 7])[0, 1] > 0.4
