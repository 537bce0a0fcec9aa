"""What the forecast recipes share: the past of the target, plain forecasts, intervals.

A plain forecast is a weighted sum of past values for each step: the last value, the
value one season before, the mean of the last few seasons at that hour. All of them are
one matrix, in numpy and in the graph alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.catalog.lives import single_channels
from tundish.catalog.scenario import Scenario
from tundish.learn import recipe as recipes
from tundish.learn.calibration import interval
from tundish.learn.errors import MaterialUnfitError, OptionsInvalidError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material
from tundish.learn.recipe import Promise

_HOLD_OUT = 0.2


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A forecast of each step as a weighted sum of the past.

    Attributes:
        name: For people.
        weights: Of each past row for each step, [T, H].
    """

    name: str
    weights: Floats

    def of(self, past: Floats) -> Floats:
        """Return the forecast, [N, H], from the past [N, T]."""
        return np.asarray(past @ self.weights)


def plain_forecasts(rows: int, ahead: int, season: int | None) -> list[Plain]:
    """Return the plain forecasts that a window can hold.

    Args:
        rows: Rows of the window (T).
        ahead: Rows of the horizon (H).
        season: Rows of a season; None: there is none.
    """
    last = np.zeros((rows, ahead))
    last[-1] = 1.0
    found = [Plain(name="the last value", weights=last)]
    short = max(2, rows // 8)
    if short < rows:
        level = np.zeros((rows, ahead))
        level[rows - short :] = 1.0 / short
        found.append(Plain(name=f"the mean of {short} rows", weights=level))
    if season is None or season * -(-ahead // season) > rows:
        return found
    step = np.arange(1, ahead + 1)
    newest = season * -(-step // season)  # rows before its own moment
    most = int(min((rows - 1 + step - newest) // season)) + 1
    for count in range(1, most + 1):
        weights = np.zeros((rows, ahead))
        for back in range(count):
            place = rows - 1 + step - newest - back * season
            weights[place, step - 1] += 1.0 / count
        name = "the season before" if count == 1 else f"the mean of {count} seasons"
        found.append(Plain(name=name, weights=weights))
    return found


def past_channel(scenario: Scenario, past: str | None, recipe: str) -> int:
    """Return the column of the window that holds the target's own past.

    Args:
        scenario: The contract.
        past: Name of the signal; None: that of the target's name.
        recipe: For the refusal.

    Raises:
        OptionsInvalidError: if there is no such signal.
    """
    target = scenario.target.name if scenario.target else ""
    places = single_channels(scenario)
    name = past or target
    if name not in places:
        have = ", ".join(places)
        msg = f"The recipe {recipe!r} needs the target's own past: no signal is named {name!r} ({have}); name it in the option 'past'."
        raise OptionsInvalidError(msg)
    return places[name]


def split(material: Material) -> tuple[Material, Material]:
    """Return the windows to learn from, and later ones to choose by.

    The part select is what to choose by; without it the last fifth of each source's fit
    windows, less those that reach into it.

    Raises:
        MaterialUnfitError: if the target never moves.
    """
    fit, select = material.needed("fit", 20), material.of("select")
    if float(np.ptp(fit.y)) == 0.0:
        msg = f"The target is {fit.y.flat[0]:g} in all {len(fit)} windows of the fit part."
        raise MaterialUnfitError(msg)
    if len(select):
        return fit, select
    late = np.zeros(len(fit), dtype=bool)
    for source in np.unique(fit.source):
        mine = np.flatnonzero(fit.source == source)
        late[mine[int(len(mine) * (1.0 - _HOLD_OUT)) :]] = True
    if late.all() or not late.any():
        late = np.arange(len(fit)) >= int(len(fit) * (1.0 - _HOLD_OUT))
    return fit.take(~late), fit.take(late)


def rmse(estimate: Floats, truth: Floats) -> float:
    """Return the root mean squared error over all steps."""
    return float(np.sqrt(np.mean((estimate - truth) ** 2)))


@dataclass(frozen=True, kw_only=True)
class Rungs:
    """A number for each step that depends on the level of its forecast.

    Straight lines between rising knots, level beyond them.

    Attributes:
        knots: [H, n], strictly rising.
        values: [H, n].
    """

    knots: Floats
    values: Floats

    def at(self, level: Floats) -> Floats:
        """Return the numbers at levels [N, H], [N, H]."""
        each = [
            np.interp(level[:, step], self.knots[step], self.values[step])
            for step in range(level.shape[1])
        ]
        return np.stack(each, axis=1)

    def add(self, writer: GraphWriter, level: str) -> str:
        """Add the same to a graph; ``level`` is [N, H] in double."""
        first = writer.constant(self.values[:, 0], "first_values")
        last_axis = writer.constant(np.array([2]), "last_axis")
        wide = writer.add("Unsqueeze", level, last_axis, hint="wide")
        low = writer.constant(self.knots[:, :-1], "from_knots")
        high = writer.constant(self.knots[:, 1:], "to_knots")
        inside = writer.add("Min", writer.add("Max", wide, low), high)
        slopes = np.diff(self.values, axis=1) / np.diff(self.knots, axis=1)
        rise = writer.add("Sub", inside, low, hint="climbed")
        rise = writer.add("Mul", rise, writer.constant(slopes, "slopes"))
        total = writer.add("ReduceSum", rise, last_axis, keepdims=0)
        return writer.add("Add", total, first, hint="rung")


def quantile_rungs(level: Floats, value: Floats, rate: float, rungs: int) -> Rungs:
    """Return a quantile of values [N, H] by level [N, H], step by step."""
    steps = level.shape[1]
    knots, values = np.zeros((steps, rungs)), np.zeros((steps, rungs))
    for step in range(steps):
        order = np.argsort(level[:, step], kind="stable")
        groups = np.array_split(order, rungs)
        knots[step] = [np.median(level[group, step]) for group in groups]
        values[step] = [np.quantile(value[group, step], rate) for group in groups]
    apart = 1e-6 * max(float(np.ptp(level)), 1e-9)
    return Rungs(knots=knots + apart * np.arange(rungs), values=values)


@dataclass(frozen=True, kw_only=True)
class Band:
    """The interval of each step.

    Attributes:
        low, high: Quantiles of the truth less the forecast, by level.
        margin: Widens them so that the promise holds for each step, [H].
        least, most: Ends of the target's plausible range.
    """

    low: Rungs
    high: Rungs
    margin: Floats
    least: float
    most: float

    def of(self, estimate: Floats) -> tuple[Floats, Floats]:
        """Return lower and upper ends, [N, H] each."""
        low = estimate + self.low.at(estimate) - self.margin
        high = estimate + self.high.at(estimate) + self.margin
        low = np.minimum(np.clip(low, self.least, self.most), estimate)
        return low, np.maximum(np.clip(high, self.least, self.most), estimate)

    def clip(self, estimate: Floats) -> Floats:
        """Return a forecast inside the plausible range."""
        return np.clip(estimate, self.least, self.most)

    def add_clip(self, writer: GraphWriter, estimate: str) -> str:
        """Add ``clip`` to a graph."""
        least = writer.constant(np.array(self.least), "least")
        most = writer.constant(np.array(self.most), "most")
        return writer.add("Min", writer.add("Max", estimate, least), most)

    def add(self, writer: GraphWriter, estimate: str) -> tuple[str, str]:
        """Add lower and upper ends to a graph; ``estimate`` is [N, H] in double."""
        margin = writer.constant(self.margin, "margin")
        low = writer.add("Add", estimate, self.low.add(writer, estimate))
        low = self.add_clip(writer, writer.add("Sub", low, margin))
        high = writer.add("Add", estimate, self.high.add(writer, estimate))
        high = self.add_clip(writer, writer.add("Add", high, margin))
        low = writer.add("Min", low, estimate, hint="low_end")
        return low, writer.add("Max", high, estimate, hint="high_end")


def band_of(estimate: Floats, truth: Floats, scenario: Scenario) -> Band:
    """Return the band that later windows show, before it is calibrated."""
    tail = (1.0 - scenario.acceptance.coverage) / 2.0
    rungs = int(np.clip(len(truth) // 60, 2, 8))
    least, most = scenario.target.range if scenario.target else (-np.inf, np.inf)
    return Band(
        low=quantile_rungs(estimate, truth - estimate, tail, rungs),
        high=quantile_rungs(estimate, truth - estimate, 1.0 - tail, rungs),
        margin=np.zeros(truth.shape[1]),
        least=least,
        most=most,
    )


def calibrated_margins(
    low: Floats, high: Floats, calibrate: Material, scenario: Scenario
) -> tuple[Floats, Promise]:
    """Return the margin of each step, [H], that ends [N, H] need, and its promise.

    Each step has its own conformal limit on the same windows of the calibrate part, so
    the promise is for each step, not for a whole course at once.
    """
    scores = np.maximum(low - calibrate.y, calibrate.y - high)
    found = [interval(scores[:, step], scenario) for step in range(scores.shape[1])]
    promise = found[0][1]
    worth = len(np.unique(_stretches(calibrate)))
    note = (
        f"{promise.promised:.1%} of true values of each step inside the interval, calibrated "
        f"on {promise.count} windows in {worth} stretches; neighbouring windows are alike, so "
        "they are worth fewer; exact only if later windows resemble these, which the judge "
        "checks"
    )
    margins = np.array([limit.limit for limit, _ in found])
    return margins, promise.model_copy(update={"note": note})


def _stretches(material: Material) -> Indices:
    return np.unique(material.source, return_inverse=True)[1].astype(np.int64)


def golden_of(fit: Material) -> tuple[recipes.Envelope, np.ndarray]:
    """Return the envelope and the golden windows."""
    envelope = recipes.envelope_of(fit, with_target=True)
    return envelope, recipes.golden_window(envelope, fit.x.shape[1])
