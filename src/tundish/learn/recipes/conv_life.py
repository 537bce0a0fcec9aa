"""The recipe ``conv_life``: remaining life by convolutions along each channel of a window.

A small network (``recipes.networks``) is shown every channel that moves, measured against
what is usual in its operating regime (``learn.regimes``). A life that is capped is one that is
known only to be *that much or more*: telling more than the cap there costs nothing in
training.

As with ``boost_life`` the model is the mean of several, each trained without some units, and
what each says of the units that it has not seen is the ground for the shift to the cheaper
side, for the interval and for the moment to stop: all stop after the same pass, the one after
which the unseen units were told best, so that no single unit decides when its own network
stops. Costs, interval and contributions are then as there.

Try ``boost_life`` first: on C-MAPSS FD001 this recipe is worse. With the defaults, one seed and
no costs, its error on training engines that a network has not seen is 11.8 flights (trees: 8.5)
and at the last flight of the test engines 13.8 (bootstrap 12.1 to 15.4; 12.0 was to be
reached), at three minutes of one processor (trees: 13 s) and 106 ms for 1,000 windows (50 were
wanted). Means and slopes made by hand, and a health summed over all channels, are what a
hundred engines are too few to find anew. The interval holds there (96 % of lives, 90 %
promised).

Needs PyTorch (extra ``deep``) for training only; the graph is made of the trained numbers
and runs without it.

Sources: those of ``recipes.networks`` and ``boost_life``; loss of a censored value: J. Tobin,
Econometrica 26 (1958) 24.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Name, Scenario
from tundish.catalog.tasks import Task
from tundish.learn import recipe as recipes
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.reach import reach_of
from tundish.learn.recipe import Fitted, Options, Tried
from tundish.learn.recipes.life_model import (
    Found,
    LifeModel,
    bounds_of,
    calibrated,
    cap_of,
    fitted_life,
    folds_of,
    moving_regimes,
    units_of,
)
from tundish.learn.recipes.networks import FAR, ConvNet, ConvOptions, Trainee
from tundish.learn.recipes.passes import alone, best_pass, numbers
from tundish.learn.regimes import Regimes

_MIDDLE = 0.5


class ConvLifeOptions(ConvOptions):
    """Options of ``conv_life``: those of the network, and these.

    Attributes:
        settings: Signals that say at which operating point the machine runs.
        networks: Networks, each without its share of the units.
        most_rows: Windows that a network is trained on, at most (evenly taken).
    """

    settings: tuple[Name, ...] = ()
    networks: Annotated[int, Field(ge=2, le=20)] = 5
    most_rows: Annotated[int, Field(ge=100)] = 20000


@dataclass(frozen=True, kw_only=True, eq=False)
class _Networks:
    """See ``life_model.Level``: the mean of some networks, in units of ``most``."""

    regimes: Regimes
    nets: tuple[ConvNet, ...]
    most: float

    def told(self, window: Windows) -> tuple[Floats, Floats]:
        courses = courses_of(self.regimes, window)
        level = np.mean([net.answers(courses) for net in self.nets], axis=0)
        moved = np.mean([net.parts(courses) for net in self.nets], axis=0)
        return (level[:, 0] + _MIDDLE) * self.most, moved[:, 0] * self.most

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        regimes = self.regimes
        ends = [writer.constant(np.array(end), "far") for end in (-FAR, FAR)]
        clipped = writer.add("Clip", regimes.add(writer, raw), *ends)
        turned = writer.add("Transpose", clipped, perm=[0, 2, 1])
        flat = writer.constant(np.array([0, -1]), "flat")
        courses = writer.add("Reshape", turned, flat, hint="courses")
        each = [net.add(writer, courses) for net in self.nets]
        share = writer.constant(np.array(self.most / len(self.nets)), "share")
        level, moved = (
            writer.add("Mul", writer.add("Sum", *values), share)
            for values in zip(*each, strict=True)
        )
        middle = writer.constant(np.array(_MIDDLE * self.most), "middle")
        one = writer.constant(np.array([1]), "axis")
        return (
            writer.add("Add", level, middle, hint="level"),
            writer.add("Squeeze", moved, one, hint="moved"),
        )


class ConvLifeRecipe:
    """Convolutions for remaining life; see the module."""

    name: Final = "conv_life"
    task: Final[Task] = "rul"
    simplicity: Final = 3
    needs: Final = "torch"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Train, move to the cheaper side and calibrate; see ``Recipe.fit``.

        Raises:
            ModuleNotFoundError: if PyTorch is not installed; the CLI names the extra.
        """
        chosen = recipes.read_options(options, ConvLifeOptions, self.name)
        fit = units_of(material)
        regimes = moving_regimes(fit, scenario, chosen.settings, rng, self.name)
        count = min(chosen.networks, len(np.unique(fit.source)))
        fold = folds_of(fit.source, count, rng)
        target = np.minimum(fit.y, cap_of(scenario))
        seed = int(rng.integers(2**31))
        told, number = _trained(
            courses_of(regimes, fit.x),
            (target, cap_of(scenario), fold),
            np.repeat(np.arange(len(regimes.kept)), fit.x.shape[1]),
            chosen,
            seed,
        )
        unseen, nets = told
        most = float(target.max())
        told_life = np.clip(unseen, 0.0, cap_of(scenario))
        rmse = float(np.sqrt(np.mean((told_life - target) ** 2)))
        model = LifeModel(
            level=_Networks(regimes=regimes, nets=nets, most=most),
            kept=regimes.kept,
            bounds=bounds_of(unseen, (fit, target), scenario),
            reach=reach_of(material.take(material.part != "judge"), scenario),
            channels=fit.x.shape[2],
        )
        model, promise = calibrated(model, material, (fit, unseen), scenario, rng)
        tried = Tried(
            setting={"passes": number},
            scores={"rmse_without_the_unit": rmse},
            kept=True,
        )
        found = Found(
            recipe=self.name,
            libraries=("torch", "scikit-learn"),
            members=f"{len(nets)} networks",
            regimes=regimes,
            tries=(tried,),
        )
        return fitted_life(model, fit, promise, found)


def courses_of(regimes: Regimes, x: Windows) -> Floats:
    """Return each kept channel's course as usual in its regime, [N, kept * T]."""
    rows = np.clip(regimes.of(x), -FAR, FAR)
    return np.ascontiguousarray(rows.transpose(0, 2, 1)).reshape(len(x), -1)


class _Fold:
    """One network, the windows that it learns from and those that it has not seen.

    Args:
        torch: The library.
        trainee: The network.
        data: Courses, scaled target, and where it is capped; tensors of all windows.
        seen: Places of the windows to learn from.
        held: Places of the others.
    """

    def __init__(
        self,
        torch: Any,  # noqa: ANN401 -- the library is optional, so its types are too
        trainee: Trainee,
        data: tuple[Any, Any, Any],
        seen: Indices,
        held: Indices,
    ) -> None:
        self.trainee, self.held = trainee, held
        self._torch, self._data = torch, data
        self._seen = torch.from_numpy(seen)
        self._shown = data[0][torch.from_numpy(held)]

    def passes(self, most: int) -> Iterator[int]:
        """Train; yield the number of each pass."""
        return self.trainee.passes(self._loss, len(self._seen), most)

    def told(self) -> Floats:
        """Return what the network says of the windows that it has not seen."""
        return numbers(self.trainee.answers(self._shown)[:, 0])

    def _loss(self, places: Any) -> Any:  # noqa: ANN401
        at = self._seen[places]
        shown, wanted, capped = (one[at] for one in self._data)
        off = self.trainee(shown)[:, 0] - wanted
        off = self._torch.where(capped, off.clamp(max=0.0), off)
        return self._torch.mean(off**2)


def _trained(
    courses: Floats,
    truth: tuple[Floats, float, Indices],
    owner: Indices,
    options: ConvLifeOptions,
    seed: int,
) -> tuple[tuple[Floats, tuple[ConvNet, ...]], int]:
    """Return what is told of unseen units, [N], the networks, and their passes.

    Args:
        courses: [N, S * T].
        truth: Capped life [N], the cap, and the fold of each window [N].
        owner: Channel of each point of the courses, [S * T].
        options: Of the recipe.
        seed: Of the first network; the others count on.
    """
    target, cap, fold = truth
    most = float(target.max())
    unseen = np.zeros(len(target))
    with alone() as torch:
        data = (
            torch.from_numpy(courses.astype(np.float32)),
            torch.from_numpy((target / most - _MIDDLE).astype(np.float32)),
            torch.from_numpy(target >= cap),
        )
        folds = []
        for one in range(int(fold.max()) + 1):
            seen = np.flatnonzero(fold != one)
            seen = seen[:: max(1, -(-len(seen) // options.most_rows))]
            trainee = Trainee(torch, owner, 1, options, seed + one)
            held = np.flatnonzero(fold == one)
            folds.append(_Fold(torch, trainee, data, seen, held))

        def loss() -> float:
            for one in folds:
                unseen[one.held] = (one.told() + _MIDDLE) * most
            return float(np.mean((np.clip(unseen, 0.0, cap) - target) ** 2))

        side_by_side = zip(*(one.passes(options.passes) for one in folds), strict=True)
        return best_pass(
            (numbers_of[0] for numbers_of in side_by_side),
            loss,
            lambda: (unseen.copy(), tuple(one.trainee.learnt() for one in folds)),
            patience=options.patience,
        )
