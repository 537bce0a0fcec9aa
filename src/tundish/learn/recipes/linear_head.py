"""The recipe ``linear_head``: classes of pictures by a linear model on backbone features.

The descriptors of all patches (``patches``) are averaged over the picture, standardised,
and a multinomial logistic regression tells the classes. A part is bad by the probability
of all classes that are not good, over its conformal limit. Since mean and model are
linear, each patch has its own share in the log-odds: that is the map.

With few labelled pictures a linear model on pretrained features is hard to beat, and it
cannot learn by heart.

Source: S. Kornblith et al., "Do better ImageNet models transfer better?", CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import backbone
from tundish.learn import recipe as recipes
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.recipe import Fitted, Options, Outputs, Promise
from tundish.learn.recipes.patches import Patches
from tundish.learn.recipes.picture_parts import (
    Overall,
    golden_picture,
    good_of,
    overall_of,
    picture_of,
    worst_lot,
)

LEAST = 10
_TINY = 1e-9


class LinearHeadOptions(Record):
    """Options of the recipe ``linear_head``.

    Attributes:
        blocks: Blocks of the backbone whose outputs describe a patch, rising.
        strength: Inverse strength of the regularisation (scikit-learn's C).
    """

    blocks: tuple[Annotated[int, Field(ge=0, lt=backbone.BLOCKS)], ...] = (10, 15)
    strength: Annotated[float, Field(gt=0)] = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inspector:
    """The trained estimator.

    Attributes:
        weight, bias: Of the classes' log-odds, from plain descriptors, [D, K] and [K].
        good: Which classes are good, [K].
    """

    patches: Patches
    weight: Floats
    bias: Floats
    good: NDArray[np.bool_]
    overall: Overall
    limit: float = 1.0

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows, float64."""
        each = self.patches.of(window).astype(np.float64) @ self.weight + self.bias
        probability = softmax(each.mean(axis=1), axis=1)
        return {
            "score": self.bad(probability)[:, None] / self.limit,
            "map": each[..., ~self.good].max(axis=2) - each[..., self.good].max(axis=2),
            "probability": probability,
            "applicability": self.overall.of(window),
        }

    def bad(self, probability: Floats) -> Floats:
        """Return the probability that a part is bad, [N]."""
        return np.asarray(probability[:, ~self.good].sum(axis=1))


class LinearHeadRecipe:
    """Logistic regression on backbone features; see the module."""

    name: Final = "linear_head"
    task: Final[Task] = "inspect"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Describe, fit and calibrate; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, LinearHeadOptions, self.name)
        good = np.array([item.good for item in scenario.classes], dtype=bool)
        learnt = material.take(material.part != "judge")
        fit = learnt.needed("fit", LEAST)
        calibrate = good_of(learnt, scenario).needed("calibrate", LEAST)
        _check_classes(fit, scenario, good)
        blocks = tuple(sorted(set(chosen.blocks)))
        patches = Patches(
            picture=picture_of(scenario),
            blocks=blocks,
            held=backbone.weights(),
            scales=(1.0,) * len(blocks),
        )
        weight, bias = _head(patches, fit, chosen.strength)
        inspector = _Inspector(
            patches=patches,
            weight=weight,
            bias=bias,
            good=good,
            overall=overall_of(learnt),
        )
        logits = patches.fast(calibrate.x).mean(axis=1, dtype=np.float64) @ weight
        scores = inspector.bad(softmax(logits + bias, axis=1))
        limit, promise = worst_lot(scores, calibrate.source, scenario)
        inspector = replace(inspector, limit=max(limit, _TINY))
        return _fitted(inspector, fit, promise)


def _check_classes(fit: Material, scenario: Scenario, good: NDArray[np.bool_]) -> None:
    if good.all() or not good.any():
        msg = f"The recipe 'linear_head' needs good classes and bad ones; {scenario.key} has {len(good)} classes, {int(good.sum())} of them good."
        raise MaterialUnfitError(msg)
    seen = set(fit.y.astype(int).tolist())
    absent = [c.name for place, c in enumerate(scenario.classes) if place not in seen]
    if absent:
        msg = f"The fit part has no picture of the class {absent[0]!r}."
        raise MaterialUnfitError(msg)


def _head(patches: Patches, fit: Material, strength: float) -> tuple[Floats, Floats]:
    """Return weight and bias for descriptors as they are, [D, K] and [K]."""
    pooled = patches.fast(fit.x).mean(axis=1, dtype=np.float64)
    mean, spread = pooled.mean(axis=0), np.maximum(pooled.std(axis=0), _TINY)
    model = LogisticRegression(C=strength, max_iter=2000, tol=1e-8)
    model.fit((pooled - mean) / spread, fit.y.astype(np.int64))
    coefficients, intercept = model.coef_, model.intercept_
    if len(coefficients) == 1:  # two classes: scikit-learn keeps the second's log-odds
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercept = np.concatenate([[0.0], intercept])
    weight = coefficients.T / spread[:, None]
    return weight, np.asarray(intercept - mean @ weight)


def _write(inspector: _Inspector) -> bytes:
    patches, picture = inspector.patches, inspector.patches.picture
    writer = GraphWriter(picture.height * picture.width, picture.channels)
    described = writer.add("Cast", patches.add(writer), to=writer.DOUBLE, hint="exact")
    product = writer.add(
        "MatMul", described, writer.constant(inspector.weight, "weight")
    )
    each = writer.add("Add", product, writer.constant(inspector.bias, "bias"))
    pooled = writer.add("ReduceMean", each, axes=[1], keepdims=0, hint="pooled")
    probability = writer.add("Softmax", pooled, axis=1, hint="probabilities")

    def of(value: str, good: bool, axis: int) -> str:  # noqa: FBT001  (one of two halves)
        places = np.flatnonzero(inspector.good == good)
        which = writer.constant(places, "which_classes")
        return writer.add("Gather", value, which, axis=axis, hint="half")

    bad = writer.sum_last(of(probability, False, 1), "bad")  # noqa: FBT003
    worst, best = (
        writer.add("ReduceMax", of(each, good, 2), axes=[2], keepdims=0)
        for good in (False, True)
    )
    outputs = {
        "score": writer.add(
            "Div", bad, writer.constant(np.array(inspector.limit), "limit")
        ),
        "map": writer.add("Sub", worst, best, hint="odds"),
        "probability": probability,
        "applicability": inspector.overall.add(writer),
    }
    widths = {
        "score": 1,
        "map": patches.cells,
        "probability": len(inspector.good),
        "applicability": 1,
    }
    return writer.write(outputs, widths)


def _fitted(inspector: _Inspector, fit: Material, promise: Promise) -> Fitted:
    envelope = recipes.envelope_of(fit, with_target=False, classes=len(inspector.good))
    golden = golden_picture(envelope, fit.x.shape[1])
    return Fitted(
        recipe=LinearHeadRecipe.name,
        task="inspect",
        graph=_write(inspector),
        golden_window=golden,
        golden_outputs=recipes.as_float32(inspector(golden)),
        envelope=envelope,
        promise=promise,
        search=(),
        chosen=({"blocks": inspector.patches.blocks},),
        thresholds={"bad_probability_limit": inspector.limit},
        versions=recipes.versions(
            "numpy", "onnx", "onnxruntime", "scikit-learn", backbone.PACKAGE
        ),
        notes=(
            f"features of {backbone.NAME} (ImageNet weights, {backbone.LICENCE}, package "
            f"{backbone.PACKAGE}) at the blocks {list(inspector.patches.blocks)}",
            "the map is each patch's share in the log-odds of bad against good",
        ),
        reference=inspector,
    )
