"""Training: one candidate of a scenario, run so that it can be repeated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tundish.catalog.scenario import Scenario
from tundish.kernel import digest
from tundish.kernel.digest import Digest
from tundish.learn import recipe as recipes
from tundish.learn.errors import OptionsInvalidError
from tundish.learn.material import Material
from tundish.learn.precision import narrowed
from tundish.learn.recipe import Fitted, Recipe
from tundish.learn.record import Precision, RunRecord


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained candidate and how to repeat it.

    Attributes:
        fitted: What the recipe made, its graph in the precision asked for.
        record: What repeats it.
        wide: The graph in double precision, if the one that was asked for is narrower.
    """

    fitted: Fitted
    record: RunRecord
    wide: bytes | None = None


def train(
    material: Material,
    scenario: Scenario,
    *,
    data: Digest,
    candidate: str | None = None,
    seed: int = 0,
    recipe: Recipe | None = None,
) -> Trained:
    """Train one candidate.

    Args:
        material: Windows with their parts; the judge part is taken away first.
        scenario: The contract.
        data: Digest of the data set, for the record.
        candidate: Name of the candidate; None: the scenario's own choice.
        seed: Seed of the recipe's generator.
        recipe: The recipe; None: the installed one that the candidate names.

    Raises:
        OptionsInvalidError: if there is no such candidate, or its options are wrong.
        RecipeUnknownError: if its recipe is not installed.
        PartMissingError, MaterialUnfitError: if the material does not do.
    """
    name = scenario.recipe if candidate is None else candidate
    if name not in scenario.candidates:
        have = ", ".join(scenario.candidates)
        msg = f"The scenario {scenario.key} has no candidate {name!r}; it has: {have}."
        raise OptionsInvalidError(msg)
    chosen = scenario.candidates[name]
    maker = recipe or recipes.load(chosen.recipe, scenario.task)
    learnable = material.take(material.part != "judge")
    with threadpool_limits(limits=1):
        fitted = maker.fit(
            learnable, scenario, chosen.options, np.random.default_rng(seed)
        )
    record = RunRecord(
        scenario=scenario.key,
        scenario_digest=scenario.digest,
        data=data,
        material=learnable.digest(),
        candidate=name,
        recipe=chosen.recipe,
        options=dict(chosen.options),
        seed=seed,
        chosen=fitted.chosen,
        search=fitted.search,
        promise=fitted.promise,
        thresholds=fitted.thresholds,
        versions=fitted.versions,
        notes=fitted.notes,
        graph=digest.of_bytes(fitted.graph),
    )
    return Trained(fitted=fitted, record=record)


def repeat(
    material: Material,
    scenario: Scenario,
    record: RunRecord,
    *,
    recipe: Recipe | None = None,
) -> Trained:
    """Train again what a record says.

    A search that the clock stopped makes as many tries as it made then, whatever time
    they take now.

    Raises:
        As ``train``.
    """
    again = train(
        material,
        _without_clock(scenario, record),
        data=Digest(record.data),
        candidate=record.candidate,
        seed=record.seed,
        recipe=recipe,
    )
    return in_precision(again, record.precision)


def in_precision(made: Trained, precision: Precision) -> Trained:
    """Return what was trained with its graph in another precision."""
    wide = made.fitted.graph
    if precision == "double":
        return made
    graph = narrowed(wide, precision)
    note = f"The graph computes in {precision}: {len(graph):,} bytes instead of {len(wide):,} in double."
    if precision == "float16":
        note = f"The graph computes in float32 and keeps large weights in float16: {len(graph):,} bytes instead of {len(wide):,} in double."
    notes = (*made.fitted.notes, note)
    named = {"precision": precision, "graph": digest.of_bytes(graph), "notes": notes}
    return Trained(
        fitted=replace(made.fitted, graph=graph, notes=notes),
        record=made.record.model_copy(update=named),
        wide=wide,
    )


def _without_clock(scenario: Scenario, record: RunRecord) -> Scenario:
    chosen = scenario.candidates[record.candidate]
    if chosen.recipe != recipes.AUTO:
        return scenario
    tries = sum(recipes.TRY in item.setting for item in record.search)
    options = {**chosen.options, "tries": tries, "seconds": recipes.NO_END_S}
    timeless = chosen.model_copy(update={"options": options})
    return scenario.model_copy(
        update={"candidates": {**scenario.candidates, record.candidate: timeless}}
    )
