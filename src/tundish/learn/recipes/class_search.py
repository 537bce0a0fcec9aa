"""What the recipes of a diagnosis share: which features, chosen how, calibrated on what.

Sets of features are tried from the simplest to the richest on folds that keep neighbours
together (``learn.class_folds``). Each try gives scores of windows that its models did not see;
their log-loss, at the temperature that suits them, is what counts. Kept is the simplest
set within one standard error of the best (L. Breiman et al., "Classification and
Regression Trees", 1984), the error taken over the independent pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Name, Option, Scenario
from tundish.kernel.records import Record
from tundish.learn import calibration
from tundish.learn import recipe as recipes
from tundish.learn.class_answers import (
    ROUNDING,
    Answers,
    channel_signals,
    losses,
    temperature_of,
)
from tundish.learn.class_folds import Folds, folds_of
from tundish.learn.courses import Courses, Look, courses_of, width
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.reach import MARGIN, reach_of
from tundish.learn.recipe import CONTRIBUTION, Fitted, Outputs, Tried

LEAST_FIT = 10


class FoldOptions(Record):
    """Options of every recipe of a diagnosis.

    Attributes:
        folds: Folds of the search.
        margin: Share of a channel's training range by which a window may lie outside.
    """

    folds: Annotated[int, Field(ge=2, le=10)] = 3
    margin: Annotated[float, Field(ge=0, le=10)] = MARGIN


class ClassOptions(FoldOptions):
    """Options of the recipes of a diagnosis that look at features.

    Attributes:
        pieces: Numbers of equal pieces of each course that are tried, rising.
        bands: Number of bands of spectrum and envelope spectrum.
        spectra: Whether spectra are tried.
        speed: Signal that tells a shaft's speed; its orders are looked at too.
        orders: Which.
    """

    pieces: tuple[Annotated[int, Field(ge=2, le=1000)], ...] = (10, 60)
    bands: Annotated[int, Field(ge=2, le=64)] = 12
    spectra: bool = True
    speed: Name | None = None
    orders: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 1, 2, 3, 4, 5, 6, 8)


class Model(Protocol):
    """A trained classifier of features."""

    def scores(self, features: Windows | Floats) -> Floats:
        """Return the score of each class, [N, K]."""
        ...

    def parts(self, features: Windows | Floats) -> Floats:
        """Return what each signal moved each score, [N, K, S]."""
        ...

    def add(self, writer: GraphWriter, features: str) -> tuple[str, str]:
        """Add both to a graph."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Features and truth of labelled windows.

    Attributes:
        features: [n, F].
        classes: Place of the class, [n].
        weights: So that each group weighs 1, [n].
        count: Number of classes of the scenario.
        signal_of: Signal of each feature, [F].
    """

    features: Windows | Floats
    classes: Indices
    weights: Floats
    count: int
    signal_of: Indices

    def take(self, which: np.ndarray) -> Sample:
        """Return some of them."""
        return replace(
            self,
            features=self.features[which],
            classes=self.classes[which],
            weights=self.weights[which],
        )


class Method(Protocol):
    """A way to learn classes from features."""

    @property
    def name(self) -> str:
        """Name of the recipe."""
        ...

    @property
    def library(self) -> str:
        """Distribution that it learns with."""
        ...

    def features(self, courses: Courses, x: Windows) -> Windows | Floats:
        """Return the features that the method learns from."""
        ...

    def trial(self, learn: Sample, held: Sample) -> tuple[Floats, int]:
        """Return the scores of the held windows, and how many rounds were best."""
        ...

    def fit(self, learn: Sample, rounds: int) -> Model:
        """Return the model of all of them."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Try:
    courses: Courses
    scores: Floats
    rounds: int
    temperature: float
    loss: float
    error: float
    accuracy: float

    @property
    def setting(self) -> dict[str, Option]:
        shown = tuple(
            f"{look.kind}-{look.count}" if look.count else look.kind
            for look in self.courses.looks
        )
        return {"features": shown, "rounds": self.rounds}


@dataclass(frozen=True, kw_only=True)
class _Diagnosis:
    """The trained estimator."""

    method: Method
    courses: Courses
    model: Model
    answers: Answers

    def __call__(self, x: Windows) -> Outputs:
        features = self.method.features(self.courses, x)
        return self.answers.of(
            x, self.model.scores(features), self.model.parts(features)
        )

    def graph(self, scenario: Scenario) -> bytes:
        writer = GraphWriter(scenario.window.rows, scenario.channels)
        raw = writer.window()
        features = self.courses.build()(writer, raw)
        scores, parts = self.model.add(writer, features)
        outputs = self.answers.add(writer, scores, parts)
        widths = {**recipes.outputs_of(scenario), CONTRIBUTION: scenario.channels}
        return writer.write(outputs, {name: widths[name] for name in outputs})


def fit_classes(
    method: Method,
    material: Material,
    scenario: Scenario,
    options: FoldOptions,
    sets: list[Courses],
) -> Fitted:
    """Choose features, fit, calibrate and write the graph.

    Args:
        method: Learns from features.
        material: See ``Recipe.fit``.
        scenario: See ``Recipe.fit``.
        options: Folds and margin.
        sets: The sets of features to try, the simplest first.

    Raises:
        PartMissingError: if fit or calibrate have no labelled window.
        MaterialUnfitError: if a class has fewer samples than there are folds.
    """
    known = material.take(np.isfinite(material.y))
    seen = known.take(np.isin(known.part, ["fit", "select"]))
    fit = known.needed("fit", LEAST_FIT)
    calibrate = known.needed("calibrate", 1)
    classes = _classes(seen, scenario, options.folds)
    folds = folds_of(seen, classes, options.folds)
    tries = [
        _try(method, courses, (seen, classes, folds), scenario) for courses in sets
    ]
    kept = chosen(tries)
    courses = kept.courses
    learn = _sample(method, courses, seen, classes, scenario)
    model = method.fit(learn, kept.rounds)
    answers = Answers(
        classes=len(scenario.classes),
        temperature=kept.temperature,
        least=0.0,
        reach=reach_of(
            material.take(np.isin(material.part, ["fit", "select", "calibrate"])),
            scenario,
            margin=options.margin,
        ),
        signal_of=channel_signals(scenario),
    )
    scores = model.scores(method.features(courses, calibrate.x))
    least, promise = calibration.classes(
        answers.probability(scores),
        calibrate.y.astype(np.int64),
        scenario,
        calibrate.weights(),
    )
    answers = replace(answers, least=max(0.0, least - ROUNDING))
    estimator = _Diagnosis(method=method, courses=courses, model=model, answers=answers)
    envelope = recipes.envelope_of(
        fit, with_target=False, classes=len(scenario.classes)
    )
    golden = recipes.golden_window(envelope, fit.x.shape[1])
    return Fitted(
        recipe=method.name,
        task="diagnose",
        graph=estimator.graph(scenario),
        golden_window=golden,
        golden_outputs=recipes.as_float32(estimator(golden)),
        envelope=envelope,
        promise=promise,
        search=tuple(_recorded(one, one is kept) for one in tries),
        chosen=(kept.setting,),
        thresholds={
            "least_probability": answers.least,
            "temperature": answers.temperature,
            "reach_margin": options.margin,
        },
        versions=recipes.versions(method.library, "numpy", "onnx", "scipy"),
        notes=_notes(kept, tries, folds, learn),
        reference=estimator,
    )


def sets_of_features(scenario: Scenario, options: ClassOptions) -> list[Courses]:
    """Return the sets of features to try, the simplest first.

    Raises:
        OptionsInvalidError: if the speed is no signal.
    """
    return [
        courses_of(scenario, looks, options.speed)
        for looks in sets_of_looks(scenario, options)
    ]


def sets_of_looks(scenario: Scenario, options: ClassOptions) -> list[tuple[Look, ...]]:
    """Return the sets of features to try, the simplest first, none twice."""
    whole = Look(kind="whole")
    pieces = [Look(kind="pieces", count=count) for count in options.pieces]
    spectrum = Look(kind="spectrum", count=options.bands)
    envelope = Look(kind="envelope", count=options.bands)
    wanted = [(whole,), *((whole, one) for one in pieces)]
    if options.spectra:
        wanted += [(whole, *pieces[:1], spectrum)]
        wanted += [(whole, *pieces[:1], spectrum, envelope)]
    if options.speed is not None:
        turning = Look(kind="orders", wanted=options.orders)
        wanted += [(*wanted[-1], turning)]
    groups = courses_of(scenario, (whole,), options.speed).groups
    found: dict[tuple[int, ...], tuple[Look, ...]] = {}
    for looks in wanted:
        real = tuple(k for k in looks if any(width(k, group) for group in groups))
        size = tuple(width(look, group) for look in real for group in groups)
        found.setdefault(size, real)
    return list(found.values())


def chosen(tries: list[_Try]) -> _Try:
    """Return the first try within one standard error of the best."""
    best = min(tries, key=lambda one: one.loss)
    return next(one for one in tries if one.loss <= best.loss + best.error)


def _classes(seen: Material, scenario: Scenario, folds: int) -> Indices:
    """Return the class of each window; each fold must be able to hold every class."""
    classes = seen.y.astype(np.int64)
    few = [
        f"{item.name} ({count})"
        for place, item in enumerate(scenario.classes)
        if (count := len(np.unique(seen.group[classes == place]))) < folds
    ]
    if few:
        msg = f"Fit and select hold too few samples of a class to choose and fit on: {', '.join(few)}; {folds} of each are needed."
        raise MaterialUnfitError(
            msg,
            advice="Give fit a stretch with every class, or take the class out of the scenario.",
        )
    return classes


def _sample(
    method: Method,
    courses: Courses,
    seen: Material,
    classes: Indices,
    scenario: Scenario,
) -> Sample:
    return Sample(
        features=method.features(courses, seen.x),
        classes=classes,
        weights=seen.weights(),
        count=len(scenario.classes),
        signal_of=courses.signal_of,
    )


def _try(
    method: Method,
    courses: Courses,
    data: tuple[Material, Indices, Folds],
    scenario: Scenario,
) -> _Try:
    seen, classes, folds = data
    sample = _sample(method, courses, seen, classes, scenario)
    scores = np.zeros((len(classes), sample.count))
    rounds = []
    for one in range(folds.count):
        held = folds.fold == one
        scores[held], best = method.trial(sample.take(~held), sample.take(held))
        rounds.append(best)
    temperature = temperature_of(scores, classes, sample.weights)
    loss = losses(scores, classes, temperature)
    right = scores.argmax(axis=1) == classes
    return _Try(
        courses=courses,
        scores=scores,
        rounds=int(np.median(rounds)),
        temperature=temperature,
        loss=float(np.average(loss, weights=sample.weights)),
        error=_standard_error(loss, sample.weights, folds.piece),
        accuracy=float(np.average(right, weights=sample.weights)),
    )


def _standard_error(loss: Floats, weights: Floats, piece: Indices) -> float:
    """Return the standard error of the mean loss, pieces drawn as wholes."""
    mean = float(np.average(loss, weights=weights))
    off = np.bincount(piece, weights * (loss - mean)) / weights.sum()
    pieces = int(np.count_nonzero(np.bincount(piece)))
    return float(np.sqrt(np.sum(off**2) * pieces / max(1, pieces - 1)))


def _recorded(one: _Try, kept: bool) -> Tried:  # noqa: FBT001  (a column of a record)
    scores = {
        "log_loss": one.loss,
        "standard_error": one.error,
        "share_wrong": 1.0 - one.accuracy,
    }
    return Tried(setting=one.setting, scores=scores, kept=kept)


def _notes(
    kept: _Try, tries: list[_Try], folds: Folds, learn: Sample
) -> tuple[str, ...]:
    return (
        f"the simplest of {len(tries)} sets of features within one standard error of the "
        f"best, by the log-loss of {folds.count} folds of {folds.by}: "
        f"{learn.features.shape[1]} features, {kept.accuracy:.1%} of windows right while "
        "held out",
        "a contribution is that of the whole signal, spread evenly over its channels",
    )
