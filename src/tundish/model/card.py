"""The model card: what a model is, what it is for and not for, how good and from what.

For people and for machines; it stays readable when the graph is encrypted, so it
holds nothing that the owner would not show.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tundish.kernel.digest import Digest
from tundish.kernel.records import SignedRecord

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]

GENERATED = "generated_data"
"""Option of the training: true if what it learnt from was generated, not measured."""


class DataUse(SignedRecord):
    """A data set and what it was used for.

    Attributes:
        name: Its name in the catalogue.
        digest: Digest of the data as used.
        role: ``fit``, ``select``, ``calibrate``, ``judge`` or several, with commas.
        licence: SPDX expression, or a name if there is none.
        rows: Number of samples used.
        source: Citation or origin.
    """

    name: Text
    digest: Digest
    role: Text
    licence: Text
    rows: Annotated[int, Field(ge=0)] | None = None
    source: str = ""


class TrainingFacts(SignedRecord):
    """How it was made, so that it can be made again."""

    recipe: Text
    options: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    seed: int
    trained_at: Text
    run: Digest | None = None
    software: dict[str, str] = Field(default_factory=dict)


class Metric(SignedRecord):
    """A number of the judge, with its spread.

    Attributes:
        name: What was measured, in plant terms.
        value: The number.
        unit: Its unit, or empty.
        lower: Lower end of the spread, if known.
        upper: Upper end of the spread, if known.
        part: On which part of the data.
    """

    name: Text
    value: float
    unit: str = ""
    lower: float | None = None
    upper: float | None = None
    part: str = "judge"


class ModelCard(SignedRecord):
    """What a package says of its model.

    Attributes:
        product: The package's product.
        version: The package's version counter.
        title: For people.
        task: As in the scenario, such as ``regress``.
        scenario: Key of the scenario it was judged against.
        purpose: What it is for.
        not_for: What it must not be used for.
        target: What is estimated or watched, with its unit if it has one.
        graph: Digest of the graph in clear.
        data: Data sets it was made and judged with.
        training: How it was made.
        metrics: How good it is.
        limits: What is known not to work.
        licence: SPDX expression of the model's own licence.
        contact: Whom to ask.
    """

    format: Literal["tundish.card"] = "tundish.card"
    form: Literal[1] = 1
    product: Text
    version: Annotated[int, Field(ge=1)]
    title: Text
    task: Text
    scenario: Text
    purpose: Text
    not_for: tuple[Text, ...]
    target: Text
    target_unit: str = ""
    graph: Digest
    data: tuple[DataUse, ...]
    training: TrainingFacts
    metrics: tuple[Metric, ...] = ()
    limits: tuple[Text, ...] = ()
    licence: Text
    contact: str = ""
