"""How far a stolen copy agrees, against the number of questions that were asked.

Measured on the very graph: second models are trained on its answers to 500, 2,000 and
10,000 questions, drawn between the plant's own windows or anywhere in the range, with
and without rounding. Each is then held against the graph on windows of the judge part
that no question was made of. The best of three kinds of second model counts, since a
thief keeps the best.

Half of the judge part is lent to the thief: who can ask the line sees what the line
sees. That favours the thief, so the figures err on the side of caution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tundish.catalog.scenario import Scenario
from tundish.learn import surrogates
from tundish.learn.copying_report import CopyingReport, CopyTrial, Kind
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.fingerprint import values_of
from tundish.learn.independents import Values
from tundish.learn.material import Floats, Material, Windows, step_s
from tundish.learn.questions import anywhere, between
from tundish.learn.recipe import Scorer, outputs_of
from tundish.learn.surrogates import Answer, Features

SIZES = (500, 2000, 10_000)
LEAST_JUDGED = 8
MOST_JUDGED = 4000
MOST_CELLS = 40_000_000
DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The graph that is asked, and on what.

    Attributes:
        scorer: The graph.
        digest: Its digest.
        material: Windows of the run, with their parts.
        scenario: Its contract.
    """

    scorer: Scorer
    digest: str
    material: Material
    scenario: Scenario


def measure(
    asked: Asked,
    rng: np.random.Generator,
    tell: Callable[[str, float], None] = lambda _text, _share: None,
) -> CopyingReport:
    """Measure how far copies of a graph agree with it.

    Args:
        asked: The graph and its data.
        rng: Source of randomness.
        tell: Told what is done, and the share of the work that is behind.

    Raises:
        MaterialUnfitError: if the judge part is too small to hold copies against.
    """
    bench = _Bench(asked, rng)
    per_day = max(1, round(DAY_S / step_s(asked.scenario)))
    a_day = min(per_day, bench.sizes[-1])
    plan = [*bench.plan(), ("in-distribution", a_day, False)]
    trials: dict[tuple[Kind, int, bool], CopyTrial] = {}
    with threadpool_limits(limits=1):
        for number, (kind, size, rounded) in enumerate(plan):
            tell(f"{size:,} answers, {kind}", number / len(plan))
            key: tuple[Kind, int, bool] = (kind, size, rounded)
            if key not in trials:
                trials[key] = bench.trial(kind, size, rounded=rounded)
    return CopyingReport(
        graph=asked.digest,
        output=bench.output,
        measure=bench.measure,
        tolerance=bench.tolerance,
        unit=bench.unit,
        step=bench.step,
        judged=len(bench.judged),
        constant=bench.constant(),
        answers_per_day=per_day,
        day=trials["in-distribution", a_day, False],
        trials=tuple(trials.values()),
    )


class _Bench:
    """Questions, the graph's answers to them, and the windows that judge."""

    def __init__(self, asked: Asked, rng: np.random.Generator) -> None:
        scenario, material = asked.scenario, asked.material
        self._scorer, self._rng = asked.scorer, rng
        self.output = next(iter(outputs_of(scenario)))
        self._label = scenario.task == "diagnose"
        self._alarm = scenario.task in {"anomaly", "inspect"}
        judge = np.flatnonzero(material.part == "judge")
        if len(judge) < 2 * LEAST_JUDGED:
            msg = f"The judge part has {len(judge)} windows; at least {2 * LEAST_JUDGED} are needed to hold copies against."
            raise MaterialUnfitError(msg)
        held = judge[1::2]
        self.judged = material.x[held[:: max(1, len(held) // MOST_JUDGED)]]
        self._known = np.delete(material.x, held, axis=0)
        flat = self._known.reshape(-1, self._known.shape[2]).astype(np.float64)
        self._ends = (flat.min(axis=0), flat.max(axis=0))
        self.truth = self._ask(self.judged)
        self.tolerance = self._tolerance(scenario)
        self.unit = scenario.target.unit if scenario.target else ""
        self.step = self.tolerance or 0.1
        room = MOST_CELLS // self._known[0].size
        self.sizes = tuple(size for size in SIZES if size <= room) or (room,)
        self._features: dict[tuple[Kind, int], Features] = {}
        self._drawn = {
            kind: self._draw(kind) for kind in ("in-distribution", "uniform")
        }

    @property
    def measure(self) -> str:
        """What agreement means, for people."""
        if self.tolerance is not None:
            return f"within {self.tolerance:.3g} {self.unit}".strip()
        if self._label:
            return "the same class"
        return "the same side of the alarm limit, both sides weighing alike"

    def plan(self) -> Iterator[tuple[Kind, int, bool]]:
        """Yield every trial."""
        kinds: tuple[Kind, ...] = ("in-distribution", "uniform")
        for size in self.sizes:
            for kind in kinds:
                yield kind, size, False
                if not self._label:  # a class has nothing to round
                    yield kind, size, True

    def trial(self, kind: Kind, size: int, *, rounded: bool) -> CopyTrial:
        """Train copies on so many answers and hold the best against the graph."""
        windows, answers = self._drawn[kind]
        windows, answers = windows[:size], answers[:size]
        if rounded:
            answers = np.round(answers / self.step) * self.step
        if (kind, size) not in self._features:
            self._features = {(kind, size): Features(windows)}
        copies = surrogates.fit_all(
            windows,
            answers,
            label=self._label,
            seed=size,
            features=self._features[kind, size],
        )
        agrees = {name: self._agreement(copy) for name, copy in copies.items()}
        best = max(agrees, key=lambda name: agrees[name])
        return CopyTrial(
            questions=kind, answers=size, rounded=rounded, agrees=agrees[best], by=best
        )

    def agrees(self, copy: Values) -> float:
        """Return the share of judged windows on which answers agree."""
        if self.tolerance is not None:
            return float((np.abs(copy - self.truth) <= self.tolerance).mean())
        if self._label:
            return float((copy == self.truth).mean())
        alarm, said = self.truth > 1.0, copy > 1.0
        sides = [(said[alarm == side] == side).mean() for side in np.unique(alarm)]
        return float(np.mean(sides))

    def constant(self) -> float:
        """Return the agreement of a copy that always says the same."""
        found, often = np.unique(self.truth, return_counts=True)
        says = found[often.argmax()] if self._label else np.median(self.truth)
        return self.agrees(np.full(len(self.truth), says))

    def _tolerance(self, scenario: Scenario) -> float | None:
        """Return the scenario's tolerance; for a forecast without, half its interval."""
        if self._label or self._alarm:
            return None
        if scenario.acceptance.tolerance is not None:
            return scenario.acceptance.tolerance
        said = self._scorer(self.judged)
        return float(np.median(said["upper"][:, 0] - said["lower"][:, 0]) / 2)

    def _agreement(self, copy: Answer) -> float:
        return self.agrees(copy(self.judged))

    def _draw(self, kind: str) -> tuple[Windows, Floats]:
        most, rows = self.sizes[-1], self._known.shape[1]
        if kind == "uniform":
            windows = anywhere(*self._ends, rows, most, self._rng)
        else:
            windows = between(self._known, most, self._rng)
        return windows, self._ask(windows)

    def _ask(self, windows: Windows) -> Floats:
        return values_of(self._scorer(windows), self.output, label=self._label)
