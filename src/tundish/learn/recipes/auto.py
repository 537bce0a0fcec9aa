"""The recipe ``auto``: tries what fits the task, and keeps the simplest that does.

Simple recipes come first and networks last, so that these are tried where the time allows it,
and only where the library that they train with is installed.

First the scenario's other candidates and every installed recipe of the task with its
defaults are tried, then settings of those that declare a space (``learn.space``), proposed
by a tree-structured Parzen estimator. Each is scored on splits inside the parts fit and
select (``auto_splits``, ``auto_loss``). Of those whose loss lies within one standard error
of the best (of the paired differences, block by block) the simplest is kept, trained on
all of its parts, and calibrated as it always is.

Tries are what repeats; seconds do not. So a search that the clock stops is recorded with
the tries that it made, and a repetition makes as many (``learn.train.repeat``).

Sources: J. Bergstra et al., NeurIPS 2011 (the estimator); T. Akiba et al., KDD 2019
(Optuna); L. Breiman et al., "Classification and Regression Trees", 1984 (the
one-standard-error rule).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np
import optuna
from pydantic import Field

from tundish.catalog.scenario import Option, Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.auto_loss import INJECTED, injects, losses
from tundish.learn.auto_splits import Split, splits_of
from tundish.learn.errors import MaterialUnfitError, RecipeUnknownError
from tundish.learn.material import Floats, Material
from tundish.learn.recipe import AUTO, TRY, Fitted, Options, Recipe, Tried
from tundish.learn.space import (
    Among,
    Between,
    Space,
    can_train,
    simplicity_of,
    space_of,
)

_SPARSE = 10  # tries that the estimator draws at random before it proposes


class AutoOptions(Record):
    """Options of the recipe ``auto``.

    Attributes:
        tries: Most settings to try.
        seconds: Time after which no further setting is tried.
        recipes: Names of the recipes to try; none: all of the task that are installed, with
            the extra that they train with.
        splits: Splits that each setting is tried on.
        patience: Proposed settings without a better one after which the search stops.
    """

    tries: int = Field(default=30, ge=1, le=10_000)
    seconds: float = Field(default=600.0, gt=0)
    recipes: tuple[str, ...] = ()
    splits: int = Field(default=3, ge=2, le=20)
    patience: int = Field(default=15, ge=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Try:
    """A setting, its loss by block (none: refused, with the reason) and graph bytes."""

    recipe: str
    options: dict[str, Option]
    losses: Floats | None = None
    size: int = 0
    refused: str = ""

    @property
    def mean(self) -> float:
        return np.inf if self.losses is None else float(self.losses.mean())


class AutoRecipe:
    """What fits the task, tried in turn; see the module.

    Args:
        task: The task.
        among: The recipes to try; None: the installed ones.
        clock: Tells when the time is up.
    """

    name: Final = AUTO

    def __init__(
        self,
        task: Task,
        *,
        among: tuple[Recipe, ...] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.task: Task = task
        self._among = among
        self._clock = clock or SystemClock()

    @classmethod
    def of_task(cls, task: Task) -> AutoRecipe:
        """Return the recipe for a task; ``recipe.load`` asks for it so."""
        return cls(task)

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Search, train what is kept and calibrate it; see ``Recipe.fit``."""
        asked = recipes.read_options(options, AutoOptions, self.name)
        learnable = material.take(material.part != "judge")
        seed = int(rng.integers(2**31))
        splits, how = splits_of(learnable, scenario, asked.splits, rng)
        search = _Search(self._recipes(asked), scenario, splits, seed, asked)
        stopped = search.run(self._clock)
        kept = search.kept()
        maker = search.among[kept.recipe]
        fitted = maker.fit(
            learnable, scenario, kept.options, np.random.default_rng([seed, 0])
        )
        return self._told(fitted, search, kept, f"{how}; {stopped}")

    def _recipes(self, asked: AutoOptions) -> dict[str, Recipe]:
        found = recipes.of_task(self.task) if self._among is None else list(self._among)
        by_name = {item.name: item for item in found if item.name != self.name}
        wanted = asked.recipes or tuple(n for n in by_name if can_train(by_name[n]))
        absent = [name for name in wanted if name not in by_name]
        if absent or not wanted:
            have = ", ".join(sorted(by_name)) or "none"
            msg = f"The recipe 'auto' has no recipe {', '.join(absent) or 'at all'} for the task {self.task!r}; there are: {have}."
            raise RecipeUnknownError(msg)
        return {name: by_name[name] for name in wanted}

    def _told(self, fitted: Fitted, search: _Search, kept: _Try, how: str) -> Fitted:
        notes = [
            f"auto kept {kept.recipe} after {len(search.tried)} tries ({how}): the simplest "
            "within one standard error of the best"
        ]
        if search.injects:
            notes.append(INJECTED)
        refused = sorted({t.recipe for t in search.tried if t.refused})
        if refused:
            notes.append(f"refused at least once: {', '.join(refused)}")
        return replace(
            fitted,
            recipe=self.name,
            search=(*search.told(kept), *fitted.search),
            chosen=({"recipe": kept.recipe, **kept.options}, *fitted.chosen),
            versions={**fitted.versions, **recipes.versions("optuna")},
            notes=(*notes, *fitted.notes),
        )


class _Search:
    """The tries of one search, in order."""

    def __init__(
        self,
        among: dict[str, Recipe],
        scenario: Scenario,
        splits: tuple[Split, ...],
        seed: int,
        asked: AutoOptions,
    ) -> None:
        self.among = among
        self.tried: list[_Try] = []
        self.injects = any(injects(split, scenario) for split in splits)
        self._scenario, self._splits = scenario, splits
        self._seed, self._asked = seed, asked
        self._spaces = {
            name: space
            for name, item in among.items()
            if (space := space_of(item, scenario))
        }

    def run(self, clock: Clock) -> str:
        """Try until tries, time or patience end; return what ended it, in words."""
        begun = clock.monotonic_s()

        def late() -> bool:
            usable = any(item.losses is not None for item in self.tried)
            return usable and clock.monotonic_s() - begun >= self._asked.seconds

        for name, options in self._first():
            if len(self.tried) >= self._asked.tries:
                return "all tries made"
            if late():
                return "stopped by the clock"
            self.tried.append(self._try(name, options))
        if not self._spaces:
            return "no recipe here declares settings to try"
        return self._propose(late)

    def _first(self) -> list[tuple[str, dict[str, Option]]]:
        """Return the scenario's candidates, then defaults, simple recipes first."""
        order = sorted(self.among, key=lambda n: (simplicity_of(self.among[n]), n))
        found: list[tuple[str, dict[str, Option]]] = [
            (name, dict(candidate.options))
            for name in order
            for candidate in self._scenario.candidates.values()
            if candidate.recipe == name
        ]
        found += [(name, {}) for name in order if (name, {}) not in found]
        return found

    def _propose(self, late: Callable[[], bool]) -> str:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self._seed, n_startup_trials=_SPARSE)
        study = optuna.create_study(sampler=sampler)
        best, since = min(item.mean for item in self.tried), 0
        while len(self.tried) < self._asked.tries:
            if late():
                return "stopped by the clock"
            if since >= self._asked.patience:
                return f"no better setting in {since} tries"
            trial = study.ask()
            name = trial.suggest_categorical("recipe", sorted(self._spaces))
            made = self._try(name, self._proposed(trial, name))
            self.tried.append(made)
            if made.losses is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, made.mean)
            since = 0 if made.mean < best else since + 1
            best = min(best, made.mean)
        return "all tries made"

    def _proposed(self, trial: optuna.Trial, name: str) -> dict[str, Option]:
        base = next(o for n, o in self._first() if n == name)
        return {**base, **_suggested(trial, name, self._spaces[name])}

    def _try(self, name: str, options: dict[str, Option]) -> _Try:
        """Train and score one setting on every split; a refusal is a result."""
        for earlier in self.tried:
            if (earlier.recipe, earlier.options) == (name, options):
                return earlier
        found, size = [], 0
        for number, split in enumerate(self._splits, 1):
            rng = np.random.default_rng([self._seed, number])
            try:
                fitted = self.among[name].fit(split.learn, self._scenario, options, rng)
            except (TundishError, ValueError, ArithmeticError) as error:
                said = error.code if isinstance(error, TundishError) else ""
                why = said or type(error).__name__
                return _Try(recipe=name, options=options, refused=why)
            found.append(losses(fitted.reference, split, self._scenario))
            size = max(size, len(fitted.graph))
        each = np.concatenate(found)
        if not np.isfinite(each).any():
            return _Try(recipe=name, options=options, refused="no-loss")
        return _Try(recipe=name, options=options, losses=each, size=size)

    def kept(self) -> _Try:
        """Return the simplest try within one standard error of the best.

        Raises:
            MaterialUnfitError: if every setting was refused.
        """
        usable = [item for item in self.tried if item.losses is not None]
        if not usable:
            why = ", ".join(f"{item.recipe}: {item.refused}" for item in self.tried)
            msg = f"Every recipe that 'auto' tried refused the material ({why})."
            raise MaterialUnfitError(msg)
        each = np.stack([cast("Floats", item.losses) for item in usable])
        each = each[:, np.isfinite(each).all(axis=0)]
        best = int(each.mean(axis=1).argmin())
        over = each - each[best]
        blocks = each.shape[1]
        error = over.std(axis=1, ddof=1) / np.sqrt(blocks) if blocks > 1 else 0.0
        near = np.flatnonzero(over.mean(axis=1) <= error + 1e-15)
        return usable[
            min(near, key=lambda at: (*self._weight(usable[at]), each[at].mean(), at))
        ]

    def _weight(self, item: _Try) -> tuple[int, int]:
        return simplicity_of(self.among[item.recipe]), item.size

    def told(self, kept: _Try) -> tuple[Tried, ...]:
        """Return every try for the run record."""
        first = self.tried.index(kept)
        return tuple(
            Tried(
                setting={
                    TRY: number,
                    "recipe": item.recipe,
                    **({"refused": item.refused} if item.refused else {}),
                    **item.options,
                },
                scores={} if item.losses is None else _scores(item),
                kept=number == first,
            )
            for number, item in enumerate(self.tried)
        )


def _scores(item: _Try) -> dict[str, float]:
    each = cast("Floats", item.losses)
    known = each[np.isfinite(each)]
    return {
        "loss": float(known.mean()),
        "spread": float(known.std()),
        "graph_bytes": float(item.size),
    }


def _suggested(trial: optuna.Trial, recipe: str, space: Space) -> dict[str, Option]:
    found: dict[str, Option] = {}
    for name, choice in sorted(space.items()):
        key = f"{recipe}.{name}"
        match choice:
            case Among():
                place = trial.suggest_categorical(key, list(range(len(choice.values))))
                found[name] = choice.values[place]
            case Between(whole=True):
                found[name] = trial.suggest_int(
                    key, int(choice.low), int(choice.high), log=choice.log
                )
            case Between():
                found[name] = trial.suggest_float(
                    key, choice.low, choice.high, log=choice.log
                )
    return found
