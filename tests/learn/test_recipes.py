"""What every recipe promises, and what each of ours adds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.cross_decomposition import PLSRegression

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel import digest
from tundish.learn import recipe as recipes
from tundish.learn.check_recipe import check_recipe
from tundish.learn.errors import (
    MaterialInvalidError,
    MaterialUnfitError,
    OptionsInvalidError,
    ParityBrokenError,
    PartMissingError,
    RecipeBrokenError,
    RecipeUnknownError,
)
from tundish.learn.material import Material, Windows, pieces
from tundish.learn.recipe import Fitted, Options, Scorer
from tundish.learn.recipes.pca import PcaRecipe
from tundish.learn.recipes.pls import PlsRecipe
from tundish.learn.recipes.pls_search import fit_linear
from tundish.learn.train import train

Opener = Callable[[bytes, Windows], Scorer]
DATA = digest.of_bytes(b"test")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_soft_sensor_keeps_what_every_recipe_promises(
    sugar: Scenario, sugar_material: Material, sugar_options: Options, opener: Opener
) -> None:
    fitted = check_recipe(
        PlsRecipe(), sugar_material, sugar, sugar_options, open_graph=opener
    )
    assert fitted.task == "regress"


@pytest.mark.parametrize("statistics", ["both", "t2", "spe"])
def test_the_detector_keeps_what_every_recipe_promises(
    flow: Scenario, flow_material: Material, opener: Opener, statistics: str
) -> None:
    options: Options = {"explained": 0.9, "statistics": statistics}
    fitted = check_recipe(PcaRecipe(), flow_material, flow, options, open_graph=opener)
    assert fitted.promise.promised == 0.02


def test_a_derivative_survives_a_baseline_that_ruins_the_plain_spectrum(
    sugar: Scenario, sugar_material: Material, sugar_options: Options
) -> None:
    errors = {}
    plain: Options = {"components": (1, 2, 3)}
    for name, options in (("plain", plain), ("derivative", sugar_options)):
        fitted = PlsRecipe().fit(sugar_material, sugar, options, rng())
        judged = sugar_material.of("judge")
        off = fitted.reference(judged.x)["estimate"][:, 0] - judged.y
        errors[name] = float(np.sqrt(np.mean(off**2)))
    assert errors["derivative"] < 1.0 < errors["plain"]


def test_nested_components_equal_separate_fits() -> None:
    draw = rng()
    x, y = draw.normal(size=(30, 12)), draw.normal(size=30)
    nested = fit_linear(x, y, 6, scale=False)
    for k in range(1, 7):
        alone = PLSRegression(k, scale=False).fit(x, y)
        np.testing.assert_allclose(nested.slopes[:, k - 1], alone.coef_[0], rtol=1e-8)


def test_large_offsets_do_not_cost_precision(
    sugar: Scenario, sugar_material: Material, sugar_options: Options, opener: Opener
) -> None:
    wide = replace(
        sugar_material, x=(sugar_material.x * 2.0 + 2000.0).astype(np.float32)
    )
    check_recipe(PlsRecipe(), wide, sugar, sugar_options, open_graph=opener)


@pytest.mark.parametrize("rows", ["mean", "unfold"])
def test_windows_of_several_rows_are_averaged_or_unfolded(
    sugar: Scenario, sugar_material: Material, opener: Opener, rows: str
) -> None:
    longer = sugar.model_copy(
        update={"window": sugar.window.model_copy(update={"rows": 3})}
    )
    noise = rng().normal(0, 0.002, (len(sugar_material), 3, 120))
    wide = replace(sugar_material, x=(sugar_material.x + noise).astype(np.float32))
    options: Options = {"derivatives": (2,), "components": (2, 3), "rows": rows}
    check_recipe(PlsRecipe(), wide, longer, options, open_graph=opener)


def test_process_tags_without_an_axis_are_scaled_and_used_as_they_are(
    flow: Scenario, flow_material: Material, sugar: Scenario, opener: Opener
) -> None:
    tags = flow.model_copy(
        update={
            "task": "regress",
            "target": sugar.target,
            "acceptance": sugar.acceptance,
        }
    )
    y = flow_material.x[:, -1, :2].mean(axis=1) / 4.0
    few = replace(flow_material, y=y.astype(np.float64), event=np.full(len(y), -1))
    options: Options = {"components": (1, 2), "scale": True}
    fitted = check_recipe(PlsRecipe(), few, tags, options, open_graph=opener)
    assert fitted.promise.parts == ("calibrate",)


def test_the_detector_names_the_tag_that_moved(
    flow: Scenario, flow_material: Material, flow_options: Options
) -> None:
    fitted = PcaRecipe().fit(flow_material, flow, flow_options, rng())
    out = fitted.reference(flow_material.x[flow_material.event == 0])
    assert (out["score"] > 1.0).all()
    np.testing.assert_allclose(out["contribution"].sum(axis=1), 1.0)
    inlet, outlet, valve = out["contribution"].mean(axis=0)
    assert outlet > inlet > valve


def test_an_angle_just_below_360_is_as_normal_as_one_just_above_0(
    flow: Scenario, flow_material: Material, flow_options: Options
) -> None:
    fitted = PcaRecipe().fit(flow_material, flow, flow_options, rng())
    window = np.repeat([[[100.0, 100.0, 359.5]]], 3, axis=1).astype(np.float32)
    turned = window.copy()
    turned[:, :, 2] = 0.5
    low, high = (fitted.reference(each)["score"][0, 0] for each in (turned, window))
    assert abs(low - high) < 0.2
    assert max(low, high) < 1.0


def test_a_value_that_the_instrument_cannot_mean_makes_the_detector_silent(
    flow: Scenario, flow_material: Material, flow_options: Options
) -> None:
    fitted = PcaRecipe().fit(flow_material, flow, flow_options, rng())
    window = np.repeat([[[100.0, -273.0, 0.5]]], 3, axis=1).astype(np.float32)
    assert fitted.reference(window)["applicability"][0, 0] > 1.0
    assert (fitted.reference(flow_material.x)["applicability"] <= 1.0).all()


def test_a_rate_that_calibration_cannot_support_is_not_promised(
    flow: Scenario, flow_material: Material, flow_options: Options
) -> None:
    strict = flow.model_copy(
        update={"acceptance": flow.acceptance.model_copy(update={"alarm_rate": 1e-5})}
    )
    promise = PcaRecipe().fit(flow_material, strict, flow_options, rng()).promise
    assert promise.promised == pytest.approx(1.0 / (promise.count + 1))
    assert "not supported" in promise.note


def test_marked_events_are_no_example_of_normal(
    flow: Scenario, flow_material: Material, flow_options: Options
) -> None:
    marked = flow_material.event.copy()
    marked[:20] = 3
    spoilt = flow_material.x.copy()
    spoilt[:20] += 50.0
    cut = flow_material.take(np.arange(20, len(flow_material)))
    dirty = replace(flow_material, x=spoilt, event=marked)
    fitted = PcaRecipe().fit(dirty, flow, flow_options, rng())
    assert fitted.graph == PcaRecipe().fit(cut, flow, flow_options, rng()).graph
    assert any("20 windows of the part fit" in note for note in fitted.notes)


def test_no_row_of_the_training_data_travels_in_the_golden_window(
    sugar: Scenario, sugar_material: Material, sugar_options: Options
) -> None:
    fitted = PlsRecipe().fit(sugar_material, sugar, sugar_options, rng())
    for window in fitted.golden_window:
        assert not (sugar_material.x == window).all(axis=(1, 2)).any()


def test_every_setting_tried_is_in_the_record(
    sugar: Scenario, sugar_material: Material
) -> None:
    trained = train(sugar_material, sugar, data=DATA, recipe=PlsRecipe())
    assert len(trained.record.search) == 1 * 2 * 2 * 3
    kept = [tried for tried in trained.record.search if tried.kept]
    assert len(kept) == len(trained.record.chosen) >= 1
    best = min(tried.scores["pooled"] for tried in trained.record.search)
    samples = 25 + 12
    assert all(
        t.scores["pooled"] <= best * (1 + 1 / np.sqrt(2 * samples)) for t in kept
    )


def test_training_repeats_bit_for_bit_in_a_fresh_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import conftest as c, numpy as np;"
        "from tundish.learn.recipes.pls import PlsRecipe;"
        "from tundish.learn.recipes.pca import PcaRecipe;"
        "from tundish.learn.train import train; from tundish.kernel import digest;"
        "d = digest.of_bytes(b'test');"
        "f = lambda g: g.__wrapped__ if hasattr(g, '__wrapped__') else g._fixture_function;"
        "a = train(f(c.sugar_material)(), f(c.sugar)(), data=d, recipe=PlsRecipe());"
        "b = train(f(c.flow_material)(), f(c.flow)(), data=d, recipe=PcaRecipe());"
        "print(digest.of_json(a.record.to_json()), digest.of_json(b.record.to_json()))"
    )
    here = str(Path(__file__).parent)
    answers = {
        subprocess.run(
            [sys.executable, "-c", code, here],
            capture_output=True,
            check=True,
            text=True,
            cwd=tmp_path,
        ).stdout
        for _ in range(2)
    }
    assert len(answers) == 1
    assert answers.pop().startswith("sha256:")


def test_a_graph_has_one_input_and_nothing_that_could_reach_outside(
    sugar: Scenario, sugar_material: Material, sugar_options: Options
) -> None:
    model = onnx.load_from_string(
        PlsRecipe().fit(sugar_material, sugar, sugar_options, rng()).graph
    )
    assert [entry.name for entry in model.graph.input] == ["window"]
    assert {opset.domain for opset in model.opset_import} == {""}
    assert max(opset.version for opset in model.opset_import) <= 21
    assert not model.metadata_props


class Sleepy:
    """A recipe that looks at the judge part and answers with a foreign graph."""

    name = "sleepy"
    task: Task = "regress"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        peeked = replace(
            material, part=np.where(material.part == "judge", "fit", material.part)
        )
        return PlsRecipe().fit(peeked, scenario, options, rng)


def test_a_recipe_that_peeks_at_the_judge_part_is_found_out(
    sugar: Scenario, sugar_material: Material, sugar_options: Options, opener: Opener
) -> None:
    with pytest.raises(RecipeBrokenError, match="another judge part"):
        check_recipe(Sleepy(), sugar_material, sugar, sugar_options, open_graph=opener)


class Careless:
    """A recipe whose graph is not its estimator."""

    name = "careless"
    task: Task = "regress"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        made = PlsRecipe().fit(material, scenario, options, rng)

        def off(window: Windows) -> recipes.Outputs:
            found = dict(made.reference(window))
            return found | {"estimate": found["estimate"] + 0.1}

        return replace(made, reference=off)


def test_a_graph_that_is_not_its_estimator_is_found_out(
    sugar: Scenario, sugar_material: Material, sugar_options: Options, opener: Opener
) -> None:
    with pytest.raises(ParityBrokenError, match="estimate"):
        check_recipe(
            Careless(), sugar_material, sugar, sugar_options, open_graph=opener
        )


def test_a_misspelt_option_is_refused_by_name(
    sugar: Scenario, sugar_material: Material
) -> None:
    with pytest.raises(OptionsInvalidError, match="componets"):
        PlsRecipe().fit(sugar_material, sugar, {"componets": (1, 2)}, rng())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"components": (1, 30)}, "30 components"),
        ({"components": (1,), "regions": ((5000, 6000),)}, "no channel"),
        ({"components": (1,), "derivatives": (3,)}, "derivatives"),
        ({"components": (1,), "smoothing_points": (10,)}, "odd"),
        ({"components": (1,), "choose_on": ("select",)}, "fit"),
    ],
)
def test_options_that_the_material_cannot_meet_are_refused(
    sugar: Scenario, sugar_material: Material, options: Options, said: str
) -> None:
    with pytest.raises(OptionsInvalidError, match=said):
        PlsRecipe().fit(sugar_material, sugar, options, rng())


def test_a_part_without_data_is_refused(
    flow: Scenario, flow_material: Material, flow_options: Options
) -> None:
    alone = flow_material.take(flow_material.part != "calibrate")
    with pytest.raises(PartMissingError, match="calibrate"):
        PcaRecipe().fit(alone, flow, flow_options, rng())


def test_a_dead_channel_is_no_ground_for_a_detector(
    flow: Scenario, flow_material: Material, flow_options: Options
) -> None:
    dead = flow_material.x.copy()
    dead[:, :, 1] = 7.0
    with pytest.raises(MaterialUnfitError, match="outlet"):
        PcaRecipe().fit(replace(flow_material, x=dead), flow, flow_options, rng())


def test_a_target_that_never_moves_is_no_ground_for_a_soft_sensor(
    sugar: Scenario, sugar_material: Material, sugar_options: Options
) -> None:
    flat = replace(sugar_material, y=np.full(len(sugar_material), 4.0))
    with pytest.raises(MaterialUnfitError, match="target"):
        PlsRecipe().fit(flat, sugar, sugar_options, rng())


def test_material_that_does_not_belong_together_is_refused(
    sugar_material: Material,
) -> None:
    with pytest.raises(MaterialInvalidError, match="'y'"):
        replace(sugar_material, y=sugar_material.y[:-1])
    bad = sugar_material.x.copy()
    bad[3, 0, 0] = np.nan
    with pytest.raises(MaterialInvalidError, match="index 3"):
        replace(sugar_material, x=bad)
    with pytest.raises(MaterialInvalidError, match="float32"):
        replace(sugar_material, x=sugar_material.x.astype(np.float64))
    with pytest.raises(MaterialInvalidError, match="axis"):
        replace(sugar_material, axis=np.zeros(3))


def test_every_value_of_the_material_is_in_its_digest(sugar_material: Material) -> None:
    other = sugar_material.x.copy()
    other[0, 0, 0] = np.nextafter(other[0, 0, 0], np.float32(9))
    part = sugar_material.part.copy()
    part[-1] = "fit"
    changed = [
        replace(sugar_material, x=other),
        replace(sugar_material, part=part),
        replace(sugar_material, group=sugar_material.group[::-1]),
        replace(sugar_material, at=moved(sugar_material)),
        replace(sugar_material, axis=np.arange(120.0)),
    ]
    digests = {material.digest() for material in (sugar_material, *changed)}
    assert len(digests) == 6


def moved(material: Material) -> np.ndarray:
    assert material.at is not None
    return material.at + np.timedelta64(1, "us")


def test_pieces_are_the_unbroken_runs_of_a_part(flow_material: Material) -> None:
    part = flow_material.part.copy()
    part[:100] = "judge"
    found = pieces(replace(flow_material, part=part), "judge")
    judged = int((part == "judge").sum())
    assert [len(piece.index) for piece in found] == [100, judged - 100]
    assert np.concatenate([piece.index for piece in found]).tolist() == list(
        range(judged)
    )
    assert found[0].name == "main, 2024-01-01 to 2024-01-01"


def entry_points(folder: Path) -> None:
    info = folder / "tundish_more_recipes-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tundish-more-recipes\nVersion: 1\n"
    )
    (info / "entry_points.txt").write_text(
        "[tundish.recipes]\nmore_pls = tundish.learn.recipes.pls:PlsRecipe\n"
    )


def test_a_recipe_of_another_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_points(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "more_pls" in recipes.names()
    assert recipes.load("more_pls", "regress").name == "pls"
    with pytest.raises(RecipeUnknownError, match="anomaly"):
        recipes.load("more_pls", "anomaly")
    with pytest.raises(RecipeUnknownError, match="more_pls"):
        recipes.load("nothing", "regress")


def test_an_unknown_candidate_is_refused(
    sugar: Scenario, sugar_material: Material
) -> None:
    with pytest.raises(OptionsInvalidError, match="it has: pls"):
        train(sugar_material, sugar, data=DATA, candidate="best", recipe=PlsRecipe())
