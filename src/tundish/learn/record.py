"""The run record: all that is needed to repeat a training, to the byte."""

from __future__ import annotations

from typing import Literal, TypeAlias

from tundish.catalog.scenario import Option
from tundish.kernel.records import Record
from tundish.learn.recipe import Promise, Tried

Precision: TypeAlias = Literal["double", "float32", "float16"]
"""What a graph computes in, or (float16) keeps its weights in; ``learn.precision``."""


class RunRecord(Record):
    """One training.

    The same scenario, material, options and seed with the same library versions on
    the same kind of processor give the same graph digest. Another processor may round
    differently in the last bit; then the digest differs and parity still holds.

    Attributes:
        scenario: Key of the scenario.
        scenario_digest: Digest of its content.
        data: Digest of the data set that the material was made from.
        material: Digest of the material.
        candidate: Name of the candidate in the scenario.
        recipe, options, seed: What was run.
        precision: What the graph computes in.
        chosen: What the recipe chose: one entry for each setting kept.
        search: Every setting tried.
        promise: What the threshold promises.
        thresholds: Numbers inside the graph that decide.
        versions: Versions of the libraries that took part.
        notes: What the recipe says, frankly.
        graph: Digest of the graph.
    """

    format: Literal["tundish.run"] = "tundish.run"
    version: Literal[1] = 1
    scenario: str
    scenario_digest: str
    data: str
    material: str
    candidate: str
    recipe: str
    options: dict[str, Option]
    seed: int
    precision: Precision = "double"
    chosen: tuple[dict[str, Option], ...]
    search: tuple[Tried, ...]
    promise: Promise
    thresholds: dict[str, float]
    versions: dict[str, str]
    notes: tuple[str, ...]
    graph: str
