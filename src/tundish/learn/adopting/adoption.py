"""How a foreign model is to be read, as its user says it, and what each kind makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypeAlias

import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Option
from tundish.kernel.records import Record
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.recipe import Outputs, Promise

LEAST = 10
"""Samples of the calibrate part without which nothing is calibrated."""
Layout: TypeAlias = Literal["", "channels-last", "channels-first"]
Side: TypeAlias = Annotated[int, Field(ge=8, le=2048)]


class Adoption(Record):
    """How a foreign model is to be read; what is empty is found from the file.

    Attributes:
        output: Its output that answers.
        lower, upper: Its outputs with the ends of an interval (forecast).
        map_output: Its output that says where (inspect).
        layout: ``channels-first`` if it takes [N, C, T] or [N, C, H, W].
        signals: The scenario's signals that it takes, in its order; none: all of them.
        high_is_normal: Its score is high for what is normal, as scikit-learn's are.
        logits: Its classes are log-odds, and not yet probabilities.
        classes: The scenario's classes in the order of its columns; none: the
            scenario's order. Where a scenario has no classes: ``good`` and ``bad``.
        size: Height and width of its picture, where the file leaves them open.
        scale: What a pixel of 255 is to it, before mean and spread are taken off.
        mean, std: What it was trained to have taken off and divided by, one for each
            colour; none: nothing.
        bgr: Its colours are blue, green, red.
    """

    output: str = ""
    lower: str = ""
    upper: str = ""
    map_output: str = ""
    layout: Layout = ""
    signals: tuple[str, ...] = ()
    high_is_normal: bool = False
    logits: bool = False
    classes: tuple[str, ...] = ()
    size: tuple[Side, Side] | None = None
    scale: Annotated[float, Field(gt=0)] = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[Annotated[float, Field(gt=0)], ...] = ()
    bgr: bool = False

    def said(self) -> dict[str, Option]:
        """Return what differs from the defaults, for the record."""
        return {
            name: getattr(self, name)
            for name in sorted(self.model_fields_set)
            if getattr(self, name) != type(self).model_fields[name].default
        }


class Estimator(Protocol):
    """A foreign model with what is put around it."""

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows, float64; the foreign file itself is run."""
        ...

    def write(self) -> bytes:
        """Return the graph that does the same."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Wrapped:
    """What a kind of task makes of a foreign model.

    Attributes:
        estimator: It does the work.
        seen: Windows that say what is as in training.
        promise: What its limit or interval promises.
        chosen: What was found from the file.
        thresholds: Numbers inside the graph that decide.
        notes: What a reader must know besides.
    """

    estimator: Estimator
    seen: Material
    promise: Promise
    chosen: dict[str, Option]
    thresholds: dict[str, float]
    notes: tuple[str, ...] = ()


def fit_or(learnt: Material, other: Material) -> Material:
    """Return the fit part, or another one where a plant kept none."""
    fit = learnt.of("fit")
    return fit if len(fit) else other


def softmax(odds: Floats) -> Floats:
    """Return the probabilities of log-odds, along the last axis."""
    grown = np.exp(odds - odds.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))
