"""What the recipes for pictures promise, on drawn parts whose faults are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.learn.conftest import open_graph

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.learn import backbone, parity
from tundish.learn.backends import NAME, against_others
from tundish.learn.check_recipe import check_recipe
from tundish.learn.errors import BackboneMissingError, MaterialUnfitError
from tundish.learn.material import Material
from tundish.learn.ranking import auroc
from tundish.learn.recipe import Options
from tundish.learn.recipes.linear_head import LinearHeadRecipe
from tundish.learn.recipes.patchcore import PatchcoreRecipe, coreset
from tundish.learn.recipes.template import TemplateRecipe

SIDE, CELLS = 48, 6
INSPECT = """
format: tundish.scenario
version: 1
key: C39.18.test-part
name: {en: Part, zh: "零件"}
problem: none
decision: {what: nothing, who: nobody}
task: inspect
signals:
%s
window: {rows: 2304, stride: 1}
picture: {height: 48, width: 48, colours: 1, reference: %s, map_height: 6, map_width: 6}
%s
recipe: a
candidates:
  a: {recipe: template, why: test}
acceptance:
  alarm_rate: 0.1
  limits:
    - {metric: image_auroc, at_least: 0.9, why: test}
baseline: brightness
parity_tolerance: 0.0005
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: perceive, why: test}
"""
_SIGNAL = '  - {name: %s, description: grey, unit: "1", range: [0, 255], period_s: 1}'
_CLASSES = "classes: [{name: sound, description: ok, good: true}, {name: spot, description: a spot}]"


def scenario(*, reference: bool = False, classes: bool = False) -> Scenario:
    signals = "\n".join(_SIGNAL % n for n in ("own", "golden")[: 1 + reference])
    flag = str(reference).lower()
    text = INSPECT % (signals, flag, _CLASSES if classes else "")
    return parse_document(text.encode(), Scenario, "test")


def parts(*, reference: bool, count: int = 60) -> Material:
    """Striped parts with noise; a bad one has a dark spot of 6 pixels.

    With a reference, each has stripes of its own and lies 2 pixels off it.
    """
    draw = np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    x, mask = [], []
    bad = np.arange(count) % 3 == 2
    for i in range(count):
        phase = draw.integers(0, 12) if reference else 0
        tilt = draw.integers(0, 2) if reference else 1
        wide = 128.0 + 100.0 * np.sign(np.sin((columns + phase + tilt * rows) / 3.0))
        there = columns + phase + tilt * rows - (2 if reference else 0)
        own = 128.0 + 100.0 * np.sign(np.sin(there / 3.0))
        cells = np.zeros((CELLS, CELLS), bool)
        if bad[i]:
            top, left = draw.integers(8, SIDE - 16, size=2)
            spot = own[top : top + 6, left : left + 6]
            spot[:] = 256.0 - spot if reference else 20.0
            cells[(top + 3) // 8, (left + 3) // 8] = True
        own = np.clip(own + draw.normal(0, 3, own.shape), 0, 255).round()
        stacked = [own, wide] if reference else [own]
        x.append(np.stack([each.ravel() for each in stacked], axis=1))
        mask.append(cells.ravel())
    names = np.array(["fit", "select", "calibrate", "judge"])
    part = names[np.searchsorted([18, 24, 48], np.arange(count), side="right")]
    return Material(
        x=np.stack(x).astype(np.float32),
        y=bad.astype(np.float64),
        part=part,
        source=part.copy(),
        event=np.full(count, -1),
        group=np.arange(count),
        mask=np.stack(mask),
    )


def _found(outputs: dict[str, np.ndarray], material: Material) -> tuple[float, float]:
    assert material.mask is not None
    image = auroc(outputs["score"][:, 0].astype(float), material.y != 0)
    pixel = auroc(outputs["map"].ravel().astype(float), material.mask.ravel())
    return image, pixel


@pytest.fixture(scope="module")
def held() -> None:
    try:
        backbone.weights()
    except BackboneMissingError:
        pytest.skip("the extra [vision] is not installed")


def test_comparison_with_a_reference_finds_spots_that_a_shift_does_not_explain() -> (
    None
):
    material = parts(reference=True)
    fitted = check_recipe(
        TemplateRecipe(), material, scenario(reference=True), {}, open_graph=open_graph
    )
    judged = material.of("judge")
    run = open_graph(fitted.graph, fitted.golden_window)
    image, pixel = _found(dict(run(judged.x)), judged)
    assert image == 1.0
    assert pixel > 0.9
    contract = scenario(reference=True)
    others = against_others(fitted.graph, run, judged.x, contract)
    assert NAME in others[0].candidate
    for other in others:
        parity.require(other)


def test_comparison_without_a_reference_is_refused() -> None:
    with pytest.raises(MaterialUnfitError, match="reference"):
        TemplateRecipe().fit(
            parts(reference=False), scenario(), {}, np.random.default_rng(0)
        )


def test_nearest_good_patches_find_what_no_good_part_shows(held: None) -> None:
    material = parts(reference=False)
    options: Options = {"blocks": (2, 4), "coreset": 50, "sample": 300}
    fitted = check_recipe(
        PatchcoreRecipe(), material, scenario(), options, open_graph=open_graph
    )
    judged = material.of("judge")
    run = open_graph(fitted.graph, fitted.golden_window)
    image, pixel = _found(dict(run(judged.x)), judged)
    assert image == 1.0
    assert pixel > 0.9


def test_bad_parts_never_enter_the_coreset(held: None) -> None:
    material = parts(reference=False)
    options: Options = {"blocks": (2,), "coreset": 50, "sample": 300}
    changed = replace(
        material, x=np.where((material.y != 0)[:, None, None], 255, material.x)
    )
    graphs = [
        PatchcoreRecipe().fit(each, scenario(), options, np.random.default_rng(0)).graph
        for each in (material, changed)
    ]
    assert graphs[0] == graphs[1]


def test_a_linear_head_tells_classes_and_keeps_what_every_recipe_promises(
    held: None,
) -> None:
    material = parts(reference=False)
    fitted = check_recipe(
        LinearHeadRecipe(),
        material,
        scenario(classes=True),
        {"blocks": (2, 4)},
        open_graph=open_graph,
    )
    judged = material.of("judge")
    run = open_graph(fitted.graph, fitted.golden_window)
    assert (run(judged.x)["probability"].argmax(axis=1) == judged.y).all()


def test_a_coreset_leaves_no_row_farther_than_a_random_choice_does() -> None:
    draw = np.random.default_rng(1)
    rows = np.concatenate([draw.normal(size=(500, 4)), draw.normal(6, 1, (5, 4))])
    rows = rows.astype(np.float32)

    def farthest(kept: np.ndarray) -> float:
        return float(((rows[:, None] - kept) ** 2).sum(axis=2).min(axis=1).max())

    chosen = farthest(coreset(rows, 20))
    assert chosen < min(farthest(draw.permutation(rows)[:20]) for _ in range(20))


def test_weights_that_are_not_the_pinned_ones_are_refused(
    held: None, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("TUNDISH_CACHE", str(tmp_path))
    monkeypatch.setattr(backbone, "_FILE_SHA256", "0" * 64)
    with pytest.raises(BackboneMissingError, match="pinned"):
        backbone.weights()


def test_a_changed_cache_is_made_again(
    held: None, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("TUNDISH_CACHE", str(tmp_path))
    first = backbone.weights()
    place = next(iter(__import__("pathlib").Path(str(tmp_path)).rglob("*.onnx")))
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    again = backbone.weights()
    assert all((first[name] == again[name]).all() for name in first)
