"""Forecasts of other tools become like our own: real converters wrote each of them."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from tests.learn.conftest import open_graph
from tests.learn.test_forecasts import AHEAD, LOAD, ROWS, load, made

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.learn import parity
from tundish.learn.adopt import Adoption, adopt
from tundish.learn.backends import against_others
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.judge import answers, judge
from tundish.learn.material import Material
from tundish.learn.recipe import Fitted

__all__ = ["load", "made"]  # fixtures
CHANNELS = 2
WANTED = (0.05, 0.5, 0.95)


@pytest.fixture(scope="module")
def ridge(made: Material) -> bytes:
    """Scikit-learn's own output for several targets, [N, H]."""
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.linear_model import Ridge  # noqa: PLC0415

    x, y = _flat(made)
    return bytes(to_onnx(Ridge().fit(x, y), x[:1]).SerializeToString())


def boosted(made: Material) -> bytes:
    """LightGBM for each step ahead, joined by scikit-learn."""
    import lightgbm  # noqa: PLC0415
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import (  # noqa: PLC0415
        convert_lightgbm,
    )
    from skl2onnx import to_onnx, update_registered_converter  # noqa: PLC0415
    from skl2onnx.common.shape_calculator import (  # noqa: PLC0415
        calculate_linear_regressor_output_shapes,
    )
    from sklearn.multioutput import MultiOutputRegressor  # noqa: PLC0415

    update_registered_converter(
        lightgbm.LGBMRegressor, "LightGbmLGBMRegressor",
        calculate_linear_regressor_output_shapes, convert_lightgbm,
        options={"split": None},
    )  # fmt: skip
    x, y = _flat(made)
    one = lightgbm.LGBMRegressor(n_estimators=30, verbose=-1, n_jobs=1)
    model = MultiOutputRegressor(one).fit(x, y)
    wanted = {"": 15, "ai.onnx.ml": 3}
    return bytes(to_onnx(model, x[:1], target_opset=wanted).SerializeToString())


def _flat(made: Material) -> tuple[np.ndarray, np.ndarray]:
    fit = made.of("fit")
    return fit.x.reshape(len(fit), -1), fit.y


def quantiles(made: Material, *, several: bool = False, turned: bool = False) -> bytes:
    """A linear network for three quantiles, trained on the pinball loss.

    Args:
        made: Its fit part is learnt.
        several: One output for each, and not one of the form [N, H, 3].
        turned: [N, 3, H], and highest first if so.
    """
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    x, y = (torch.tensor(v, dtype=torch.float32) for v in _flat(made))
    middle, width = x.mean(0), x.std(0)

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.lines = torch.nn.Linear(x.shape[1], 3 * AHEAD)

        def forward(self, window: Any) -> Any:
            flat = (window.flatten(1) - middle) / width
            found = self.lines(flat).reshape(-1, AHEAD, 3) * 10.0 + 80.0
            if turned:
                return found.transpose(1, 2).flip(1)
            return found.unbind(2) if several else found

    net, rates = Net(), torch.tensor(WANTED)
    steps = torch.optim.Adam(net.parameters(), lr=0.02)
    several, later = False, several
    turned, after = False, turned
    for _ in range(300):
        off = y[..., None] - net(x)
        steps.zero_grad()
        torch.maximum(rates * off, (rates - 1.0) * off).mean().backward()
        steps.step()
    several, turned = later, after
    out = io.BytesIO()
    names = ["low", "middle", "high"] if several else ["quantiles"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (torch.zeros(1, ROWS, CHANNELS),), out, dynamo=False, opset_version=17,
            input_names=["in"], output_names=names, dynamic_axes={"in": {0: "n"}},
        )  # fmt: skip
    return out.getvalue()


def held(data: bytes, how: Adoption, made: Material, load: Scenario) -> Fitted:
    """Adopt, and hold it to what every import is held to."""
    fitted = adopt(data, how, made, load)
    run = open_graph(fitted.graph, fitted.golden_window)
    ours = answers(run, made.x, load)
    parity.require(parity.compare(fitted.reference(made.x), ours, load))
    for other in against_others(fitted.graph, run, made.x, load):
        parity.require(other)
    assert (ours["lower"] <= ours["estimate"]).all()
    assert (ours["estimate"] <= ours["upper"]).all()
    verdict = judge(made, load, run, fitted.claim)
    assert verdict.accepted, verdict.limits
    return fitted


def covered(fitted: Fitted, made: Material) -> np.ndarray:
    """Return the share inside the interval on the judge part, by step, [H]."""
    judged = made.of("judge")
    said = fitted.reference(judged.x)
    inside = (said["lower"] <= judged.y) & (judged.y <= said["upper"])
    return np.asarray(inside.mean(axis=0))


def test_a_forecast_of_scikit_learn_gets_an_interval_for_each_step(
    load: Scenario, made: Material, ridge: bytes
) -> None:
    fitted = held(ridge, Adoption(), made, load)
    assert (covered(fitted, made) > 0.82).all()
    wide = fitted.reference(made.x[:1])
    half = wide["upper"] - wide["estimate"]
    assert half[0, -1] > 1.5 * half[0, 0]  # the order is known two hours ahead only


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_forecast_of_lightgbm_by_step_is_taken(
    load: Scenario, made: Material
) -> None:
    pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxmltools")
    fitted = held(boosted(made), Adoption(), made, load)
    assert (covered(fitted, made) > 0.82).all()


def test_quantiles_are_kept_and_moved_until_each_step_holds(
    load: Scenario, made: Material
) -> None:
    one = held(quantiles(made), Adoption(), made, load)
    assert one.chosen[0]["quantiles"] is True
    assert (covered(one, made) > 0.82).all()
    named = Adoption(output="middle", lower="low", upper="high")
    three = held(quantiles(made, several=True), named, made, load)
    for name in ("lower", "estimate", "upper"):
        np.testing.assert_allclose(
            one.reference(made.x[:9])[name], three.reference(made.x[:9])[name],
            rtol=1e-4,
        )  # fmt: skip


def test_a_forecast_from_some_signals_is_given_those(
    load: Scenario, made: Material
) -> None:
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.linear_model import Ridge  # noqa: PLC0415

    fit = made.of("fit")
    x = fit.x[:, :, 1]
    data = to_onnx(Ridge().fit(x, fit.y), x[:1]).SerializeToString()
    fitted = adopt(data, Adoption(signals=("load",)), made, load)
    again = fitted.reference(made.x[:4])["estimate"]
    changed = made.x[:4].copy()
    changed[:, :, 0] += 3.0
    np.testing.assert_array_equal(fitted.reference(changed)["estimate"], again)
    with pytest.raises(ForeignUnfitError, match="48 rows of 2 channels"):
        adopt(data, Adoption(), made, load)
    with pytest.raises(ForeignUnfitError, match="no signal 'steam'"):
        adopt(data, Adoption(signals=("steam",)), made, load)


def test_what_is_no_forecast_of_these_steps_is_refused(
    load: Scenario, made: Material, ridge: bytes
) -> None:
    other = parse_document(
        LOAD.replace("horizon: {rows: 8", "horizon: {rows: 6").encode(), Scenario, "t"
    )
    short = Material(
        x=made.x, y=made.y[:, :6], part=made.part, source=made.source,
        event=made.event, group=made.group, at=made.at,
    )  # fmt: skip
    with pytest.raises(ForeignUnfitError, match=r"\[8\].*6 steps"):
        adopt(ridge, Adoption(), short, other)
    with pytest.raises(ForeignUnfitError, match="go together"):
        adopt(ridge, Adoption(lower="variable"), made, load)
    with pytest.raises(ForeignUnfitError, match="rising, were expected"):
        adopt(quantiles(made, turned=True), Adoption(), made, load)
