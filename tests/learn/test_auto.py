"""``recipe: auto`` keeps the simplest that does, and repeats a search to the byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import onnx
import pytest

from tundish.catalog.scenario import Candidate, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel import digest
from tundish.kernel.clock import ManualClock
from tundish.learn import recipe as recipes
from tundish.learn.auto_loss import injected
from tundish.learn.auto_splits import splits_of
from tundish.learn.check_recipe import check_recipe
from tundish.learn.errors import MaterialUnfitError, RecipeUnknownError
from tundish.learn.material import Material, Windows
from tundish.learn.recipe import Fitted, Options, Outputs, Promise, Scorer
from tundish.learn.recipes.auto import AutoRecipe
from tundish.learn.space import Between, Space
from tundish.learn.train import Trained, repeat, train

DATA = digest.of_bytes(b"data")


@dataclass
class Shrunk:
    """Ridge on the last row; ``strength`` is searched. Ticks a clock at each training."""

    name: str = "shrunk"
    task: Task = "regress"
    simplicity: int = 1
    needs: str | None = None
    padding: int = 0
    offset: float = 0.0
    tick: Callable[[], None] = lambda: None
    seen: list[Material] = field(default_factory=list)

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        self.tick()
        self.seen.append(material)
        if self.offset == np.inf:
            msg = "The part has one value only."
            raise MaterialUnfitError(msg)
        strength = float(options.get("strength", 1e6))  # type: ignore[arg-type]
        fit = material.needed("fit", 4)
        x = fit.x[:, -1, :].astype(np.float64)
        mean = x.mean(axis=0)
        root = (x - mean).T @ (x - mean) + strength * np.eye(x.shape[1])
        weight = np.linalg.solve(root, (x - mean).T @ (fit.y - fit.y.mean()))
        constant = float(fit.y.mean() - mean @ weight) + self.offset

        def reference(window: Windows) -> Outputs:
            estimate = window[:, -1, :].astype(np.float64) @ weight[:, None] + constant
            return {
                "estimate": estimate,
                "lower": estimate - 1,
                "upper": estimate + 1,
                "applicability": np.zeros((len(window), 1)),
            }

        envelope = recipes.envelope_of(fit, with_target=True)
        golden = recipes.golden_window(envelope, fit.x.shape[1])
        return Fitted(
            recipe=self.name, task="regress", graph=self._graph(weight, constant),
            golden_window=golden, golden_outputs=recipes.as_float32(reference(golden)),
            envelope=envelope, search=(), chosen=(dict(options),), thresholds={},
            promise=Promise(
                kind="interval", asked=0.9, promised=0.9, count=len(fit), parts=("fit",), note="test"
            ),
            versions={}, notes=(), reference=reference,
        )  # fmt: skip

    def _graph(self, weight: np.ndarray, constant: float) -> bytes:
        model = onnx.ModelProto()
        model.doc_string = f"{weight.tolist()} {constant} " + "x" * self.padding
        return bytes(model.SerializeToString(deterministic=True))


class Searched(Shrunk):
    """The same, and it says what is worth trying."""

    def space(self, scenario: Scenario) -> Space:
        return {"strength": Between(low=1e-6, high=1e6, log=True)}


def with_auto(scenario: Scenario, **options: object) -> Scenario:
    auto = Candidate.model_validate(
        {"recipe": "auto", "why": "test", "options": options}
    )
    return scenario.model_copy(update={"candidates": {"auto": auto}, "recipe": "auto"})


def searched(
    scenario: Scenario, material: Material, *among: Shrunk, **more: object
) -> Trained:
    maker = AutoRecipe("regress", among=among, **more)  # type: ignore[arg-type]
    return train(material, scenario, data=DATA, recipe=maker)


@pytest.fixture
def plain(sugar_material: Material) -> Material:
    """A target that is linear in four channels, with noise."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(len(sugar_material), 1, 4)).astype(np.float32)
    y = x[:, 0] @ np.array([3.0, -2.0, 1.0, 0.5]) + rng.normal(0, 0.3, len(x))
    return replace(sugar_material, x=x, y=y.astype(np.float64))


def test_a_searched_setting_beats_a_poor_default_and_is_on_record(
    sugar: Scenario, plain: Material
) -> None:
    made = searched(with_auto(sugar, tries=12), plain, Searched())
    tries = [item for item in made.record.search if "try" in item.setting]
    assert len(tries) == 12
    assert [item.setting["try"] for item in tries] == list(range(12))
    (kept,) = [item for item in tries if item.kept]
    assert kept.scores["loss"] < 0.2 * tries[0].scores["loss"]
    assert made.record.recipe == "auto"
    assert made.record.chosen[0]["recipe"] == "shrunk"
    assert made.record.chosen[0]["strength"] == kept.setting["strength"]


def test_between_equals_the_simpler_then_the_smaller_is_kept(
    sugar: Scenario, plain: Material
) -> None:
    heavy = Shrunk(name="a-heavy", simplicity=1, padding=500)
    light = Shrunk(name="b-light", simplicity=1)
    network = Shrunk(name="a-network", simplicity=3)
    made = searched(with_auto(sugar), plain, network, heavy, light)
    assert made.record.chosen[0]["recipe"] == "b-light"


def test_a_recipe_without_its_extra_is_not_tried(
    sugar: Scenario, plain: Material
) -> None:
    absent = Shrunk(name="absent", needs="no_such_library")
    present = Shrunk(name="present", needs="numpy", simplicity=3)
    made = searched(with_auto(sugar), plain, absent, present)
    assert {item.setting["recipe"] for item in made.record.search} == {"present"}
    assert absent.seen == []


def test_a_network_is_not_begun_when_the_time_is_up(
    sugar: Scenario, plain: Material
) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    slow = Shrunk(name="z-slow", tick=lambda: clock.advance(10.0))
    network = Shrunk(name="a-network", simplicity=3)
    made = searched(with_auto(sugar, seconds=5.0), plain, network, slow, clock=clock)
    assert made.record.chosen[0]["recipe"] == "z-slow"
    assert network.seen == []


def test_a_simpler_one_that_is_clearly_worse_is_not_kept(
    sugar: Scenario, plain: Material
) -> None:
    wrong = Shrunk(name="wrong", simplicity=1, offset=50.0)
    good = Shrunk(name="good", simplicity=3)
    made = searched(with_auto(sugar), plain, wrong, good)
    assert made.record.chosen[0]["recipe"] == "good"


def test_a_search_that_the_clock_stopped_repeats_to_the_byte(
    sugar: Scenario, plain: Material
) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    slow = Searched(tick=lambda: clock.advance(1.0))
    scenario = with_auto(sugar, tries=50, seconds=20.0, patience=50)
    first = searched(scenario, plain, slow, clock=clock)
    tries = sum("try" in item.setting for item in first.record.search)
    assert 5 < tries < 50
    assert any("stopped by the clock" in note for note in first.record.notes)
    hasty = AutoRecipe("regress", among=(Searched(),))
    again = repeat(plain, scenario, first.record, recipe=hasty)
    assert again.record.graph == first.record.graph
    assert again.record.search == first.record.search


def test_neither_judge_nor_calibrate_windows_are_what_a_try_is_scored_on(
    sugar: Scenario, plain: Material
) -> None:
    spy = Shrunk()
    searched(with_auto(sugar), plain, spy)
    assert not any((seen.part == "judge").any() for seen in spy.seen)
    learnable = plain.take(plain.part != "judge")
    splits, _ = splits_of(learnable, sugar, 3, np.random.default_rng(0))
    held = np.concatenate([split.held.group for split in splits])
    inside = np.isin(plain.part, ("fit", "select"))
    assert sorted(held) == sorted(plain.group[inside])
    for split in splits:
        assert not set(split.held.group) & set(split.learn.group)


def test_what_shares_rows_with_a_held_out_stretch_is_not_learnt(
    flow: Scenario, flow_material: Material
) -> None:
    learnable = flow_material.take(flow_material.part != "judge")
    splits, how = splits_of(learnable, flow, 3, np.random.default_rng(0))
    assert "stretches" in how
    for split in splits:
        held = set(split.held.group.tolist())
        learnt = split.learn.group[split.learn.part == "fit"].tolist()
        assert not any({g - 2, g - 1, g, g + 1, g + 2} & held for g in learnt)


def test_whole_machines_are_held_out_where_there_are_enough(
    sugar: Scenario, plain: Material
) -> None:
    source = np.array([f"m{place % 12}" for place in range(len(plain))])
    material = replace(
        plain, source=source, part=np.where(plain.part == "judge", "judge", "fit")
    )
    splits, how = splits_of(material, sugar, 3, np.random.default_rng(0))
    assert "whole sources" in how
    for split in splits:
        inside = split.learn.source[split.learn.part == "fit"]
        assert not set(split.held.source) & set(inside)


def test_a_recipe_that_refuses_ends_nothing_unless_all_do(
    sugar: Scenario, plain: Material
) -> None:
    poor = Shrunk(name="poor", offset=np.inf)
    made = searched(with_auto(sugar), plain, poor, Shrunk())
    assert made.record.chosen[0]["recipe"] == "shrunk"
    (refused,) = [t for t in made.record.search if "refused" in t.setting]
    assert refused.setting["refused"] == "material-unfit"
    with pytest.raises(MaterialUnfitError, match="poor: material-unfit"):
        searched(with_auto(sugar), plain, poor)


def test_a_recipe_that_is_named_must_be_there(sugar: Scenario, plain: Material) -> None:
    with pytest.raises(RecipeUnknownError, match="there are: shrunk"):
        searched(with_auto(sugar, recipes=("absent",)), plain, Shrunk())


def test_auto_is_a_recipe_like_any_other(
    flow: Scenario, flow_material: Material, opener: Callable[..., Scorer]
) -> None:
    maker = recipes.load("auto", "anomaly")
    fitted = check_recipe(
        maker,
        flow_material,
        flow,
        {"tries": 4, "recipes": ("pca",), "splits": 2},
        open_graph=opener,
    )
    assert fitted.recipe == "auto"
    assert fitted.chosen[0]["recipe"] == "pca"
    assert any("faults were injected" in note for note in fitted.notes)


def test_auto_never_tries_itself() -> None:
    found = [item.name for item in recipes.of_task("anomaly")]
    assert "pca" in found
    assert "auto" not in found


def test_injected_faults_change_one_channel_of_each_window() -> None:
    x = np.random.default_rng(0).normal(size=(12, 5, 2)).astype(np.float32)
    changed = (injected(x, x) != x).any(axis=1)
    assert (changed.sum(axis=1) == 1).all()
