"""The recipe ``conv_classes``: which fault it is, by convolutions along each signal.

A small network (``recipes.networks``) is shown the whole course of each signal, less its
usual course and over its spread; no features are made by hand. It stops at the pass that
tells held-out folds best (the folds of ``learn.class_folds``), and is trained again on all of
fit and select for as many passes. Probabilities by temperature, a reject option by conformal
calibration, contributions of whole signals: as for the other recipes of a diagnosis.

On the valve of the hydraulic bench of ZeMA, judged on combinations of states never seen, the
macro-F1 with the defaults is 0.986 (bootstrap of blocks 0.980 to 0.993; 0.95 was to be reached),
at 42 ms for 1,000 cycles. With few labelled windows what oscillates fast is its weak side: on
a made fan, 120 windows are too few to find the ringing of a bearing with certainty.

Needs PyTorch (extra ``deep``) for training only; the graph is made of the trained numbers
and runs without it.

Sources: those of ``recipes.networks``; Z. Wang, W. Yan, T. Oates, "Time series classification
from scratch with deep neural networks", IJCNN 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.learn import recipe as recipes
from tundish.learn.courses import Courses, Look, courses_of
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes.class_search import FoldOptions, Sample, fit_classes
from tundish.learn.recipes.networks import FAR, ConvNet, ConvOptions, Trainee
from tundish.learn.recipes.passes import alone, best_pass

_STILL = 1e-7


class ConvClassesOptions(ConvOptions, FoldOptions):
    """Options of ``conv_classes``: those of the network, and of every diagnosis.

    Labelled windows are few, so a step takes fewer of them, and there are more passes.
    """

    batch: int = Field(default=32, ge=1, le=65536)
    passes: int = Field(default=100, ge=1, le=2000)
    patience: int = Field(default=20, ge=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Usual:
    """The usual course of all signals and the reciprocal of their spread, [F] each."""

    middle: Floats
    scale: Floats

    @classmethod
    def of(cls, sample: Sample) -> _Usual:
        """Return them; a signal has one spread, and one that stood still counts as 0."""
        values = sample.features.astype(np.float64)
        middle = np.average(values, axis=0, weights=sample.weights)
        square = ((values - middle) ** 2).mean(axis=0)
        owner = np.unique(sample.signal_of, return_inverse=True)[1]
        spread = np.sqrt(np.bincount(owner, square) / np.bincount(owner))[owner]
        moves = spread > _STILL * (1.0 + np.abs(middle))
        scale = np.where(moves, 1.0 / np.where(moves, spread, 1.0), 0.0)
        return cls(middle=middle, scale=scale)

    def courses(self, values: Windows | Floats) -> Floats:
        """Return courses as the network takes them, [N, F]."""
        off = (values.astype(np.float64) - self.middle) * self.scale
        return np.asarray(np.clip(off, -FAR, FAR))

    def add(self, writer: GraphWriter, values: str) -> str:
        """Add the same to a graph."""
        off = writer.add("Sub", values, writer.constant(self.middle, "usual_course"))
        scaled = writer.add("Mul", off, writer.constant(self.scale, "over_spread"))
        ends = [writer.constant(np.array(end), "far") for end in (-FAR, FAR)]
        return writer.add("Clip", scaled, *ends, hint="courses")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Network:
    """See ``class_search.Model``.

    Attributes:
        usual: What the courses are measured against.
        net: The network.
        place: Place among its signals of each signal of the scenario, [S].
    """

    usual: _Usual
    net: ConvNet
    place: Indices

    def scores(self, features: Windows | Floats) -> Floats:
        return self.net.answers(self.usual.courses(features))

    def parts(self, features: Windows | Floats) -> Floats:
        return self.net.parts(self.usual.courses(features))[:, :, self.place]

    def add(self, writer: GraphWriter, features: str) -> tuple[str, str]:
        scores, parts = self.net.add(writer, self.usual.add(writer, features))
        order = writer.constant(self.place, "signals")
        return scores, writer.add("Gather", parts, order, axis=2, hint="parts")


@dataclass(frozen=True, kw_only=True)
class _Convolutions:
    options: ConvClassesOptions
    seed: int
    name: str = field(default="conv_classes")
    library: str = field(default="torch")

    def features(self, courses: Courses, x: Windows) -> Floats:
        """Return every point of the courses."""
        return courses.values(x)

    def trial(self, learn: Sample, held: Sample) -> tuple[Floats, int]:
        """Train until the held windows are told no better."""
        with alone() as torch:
            usual = _Usual.of(learn)
            shown = _tensor(torch, usual.courses(held.features))
            truth, weight = _truth(torch, held)
            trainee, done = self._training(torch, learn, usual, self.options.passes)

            def loss() -> float:
                told = trainee.answers(shown)
                return float(_loss(torch, told, truth, weight))

            (scores, number) = best_pass(
                done,
                loss,
                lambda: trainee.answers(shown).numpy().astype(np.float64),
                patience=self.options.patience,
            )
        return scores, max(1, number)

    def fit(self, learn: Sample, rounds: int) -> _Network:
        """Train for as many passes as were best on held-out windows."""
        with alone() as torch:
            usual = _Usual.of(learn)
            trainee, done = self._training(torch, learn, usual, rounds)
            for _ in done:
                pass
            net = trainee.learnt()
        starts = np.flatnonzero(np.diff(learn.signal_of, prepend=-1))
        place = np.argsort(learn.signal_of[starts], kind="stable")
        return _Network(usual=usual, net=net, place=place)

    def _training(
        self,
        torch: Any,  # noqa: ANN401 -- the library is optional, so its types are too
        learn: Sample,
        usual: _Usual,
        most: int,
    ) -> tuple[Trainee, Any]:
        options = self.options
        shown = _tensor(torch, usual.courses(learn.features))
        truth, weight = _truth(torch, learn)
        trainee = Trainee(torch, learn.signal_of, learn.count, options, self.seed)

        def loss(at: Any) -> Any:  # noqa: ANN401
            return _loss(torch, trainee(shown[at]), truth[at], weight[at])

        return trainee, trainee.passes(loss, len(shown), most)


def _loss(torch: Any, told: Any, truth: Any, weight: Any) -> Any:  # noqa: ANN401
    each = torch.nn.functional.cross_entropy(told, truth, reduction="none")
    return torch.sum(each * weight) / torch.sum(weight)


def _tensor(torch: Any, values: Floats) -> Any:  # noqa: ANN401
    return torch.from_numpy(values.astype(np.float32))


def _truth(torch: Any, sample: Sample) -> tuple[Any, Any]:  # noqa: ANN401
    return torch.from_numpy(sample.classes), _tensor(torch, sample.weights)


class ConvClassesRecipe:
    """Convolutions along each signal; see the module."""

    name: Final = "conv_classes"
    task: Final[Task] = "diagnose"
    simplicity: Final = 3
    needs: Final = "torch"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Find the best number of passes and train; see ``Recipe.fit``.

        Raises:
            ModuleNotFoundError: if PyTorch is not installed; the CLI names the extra.
        """
        chosen = recipes.read_options(options, ConvClassesOptions, self.name)
        method = _Convolutions(options=chosen, seed=int(rng.integers(2**31)))
        whole = [courses_of(scenario, (Look(kind="course"),))]
        return fit_classes(method, material, scenario, chosen, whole)
