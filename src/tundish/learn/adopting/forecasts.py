"""A foreign forecast: its course or its quantiles, widened until each step keeps its promise.

With quantiles the interval is conformalised quantile regression, without them a margin
around the estimate that grows with the steps ahead (``forecast_parts``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.learn import recipe as recipes
from tundish.learn.adopting.adoption import LEAST, Adoption, Wrapped, fit_or
from tundish.learn.adopting.feed import window_feed
from tundish.learn.adopting.foreign import ForeignGraph
from tundish.learn.adopting.foreign_model import ForeignModel
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.reach import Reach, reach_of
from tundish.learn.recipe import Outputs
from tundish.learn.recipes.forecast_parts import calibrated_margins
from tundish.model.session import Foreign

ENDS = ("lower", "estimate", "upper")
_SEVERAL = 3


@dataclass(frozen=True, kw_only=True)
class Courses:
    """Where lower end, estimate and upper end of each step stand in foreign outputs.

    Attributes:
        outputs: One output, or those of lower, estimate and upper.
        ahead: Steps (H).
        form: Of the one output behind its batch axis: [H], [H, Q] or [Q, H].
        places: Of lower, estimate and upper among Q; the same for all without quantiles.
    """

    outputs: tuple[str, ...]
    ahead: int
    form: tuple[int, ...]
    places: tuple[int, int, int] = (0, 0, 0)

    @property
    def quantiles(self) -> bool:
        """Whether the model gives an interval of its own."""
        return len(self.outputs) > 1 or len(set(self.places)) > 1

    @property
    def _axis(self) -> int:
        return 2 if self.form[0] == self.ahead else 1

    def of(self, found: list[Floats]) -> tuple[Floats, Floats, Floats]:
        """Return lower, estimate and upper, [N, H] each."""
        count = len(found[0])
        if len(self.outputs) > 1:
            low, middle, high = (each.reshape(count, self.ahead) for each in found)
        elif not self.quantiles:
            low = middle = high = found[0].reshape(count, self.ahead)
        else:
            whole = found[0].reshape(count, *self.form)
            low, middle, high = (
                np.asarray(np.take(whole, [p], axis=self._axis)).reshape(count, -1)
                for p in self.places
            )
        return low, middle, high

    def add(self, writer: GraphWriter, found: list[str]) -> list[str]:
        """Add the same to a graph."""
        flat = writer.constant(np.array([-1, self.ahead]), "course_shape")
        if not self.quantiles:
            return [writer.add("Reshape", found[0], flat, hint="course")] * _SEVERAL
        if len(found) > 1:
            return [writer.add("Reshape", name, flat, hint="course") for name in found]
        form = writer.constant(np.array([-1, *self.form]), "quantile_shape")
        whole = writer.add("Reshape", found[0], form, hint="quantiles")
        return [
            writer.add(
                "Gather",
                whole,
                writer.constant(np.array(place), "quantile"),
                axis=self._axis,
            )
            for place in self.places
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Forecast:
    """The estimator.

    Attributes:
        margin: Widens the interval of each step, in the target's unit, [H].
    """

    model: ForeignModel
    courses: Courses
    scenario: Scenario
    reach: Reach
    margin: Floats

    def raw(self, x: Windows) -> tuple[Floats, Floats, Floats]:
        """Return what the foreign file says of lower, estimate and upper."""
        return self.courses.of(self.model.ask(x, list(self.courses.outputs)))

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows."""
        low, estimate, high = self.raw(window)
        return {
            "estimate": estimate,
            "lower": np.minimum(low - self.margin, estimate),
            "upper": np.maximum(high + self.margin, estimate),
            "applicability": self.reach.of(window),
        }

    def write(self) -> bytes:
        """Return the graph that does the same."""
        writer = GraphWriter(self.scenario.window.rows, self.scenario.channels)
        window = writer.window()
        found = self.model.add(writer, window, list(self.courses.outputs))
        low, estimate, high = self.courses.add(writer, found)
        margin = writer.constant(self.margin, "margin")
        lower = writer.add("Sub", low, margin, hint="low")
        upper = writer.add("Add", high, margin, hint="high")
        outputs = {
            "estimate": estimate,
            "lower": writer.add("Min", lower, estimate, hint="low_end"),
            "upper": writer.add("Max", upper, estimate, hint="high_end"),
            "applicability": self.reach.add(writer),
        }
        return writer.write(outputs, recipes.outputs_of(self.scenario))


def wrap(
    graph: ForeignGraph, how: Adoption, learnt: Material, scenario: Scenario
) -> Wrapped:
    """Calibrate each step of a foreign forecast; see ``adopt.adopt``."""
    calibrate = learnt.needed("calibrate", LEAST)
    feed = window_feed(graph.inputs, how, scenario)
    model = ForeignModel(graph=graph, foreign=Foreign(graph.data), feed=feed)
    courses = _courses(model, how, calibrate.x, calibrate.y.shape[1])
    model.check(calibrate.x, list(courses.outputs))
    reach = reach_of(learnt, scenario)
    bare = np.zeros(courses.ahead)
    forecast = _Forecast(
        model=model, courses=courses, scenario=scenario, reach=reach, margin=bare
    )
    low, estimate, high = forecast.raw(calibrate.x)
    if not low.mean() <= estimate.mean() <= high.mean():
        msg = f"The quantiles of {', '.join(courses.outputs)} are {low.mean():.4g}, {estimate.mean():.4g} and {high.mean():.4g} on average; lower, estimate and upper, rising, were expected."
        raise ForeignUnfitError(msg)
    margin, promise = calibrated_margins(low, high, calibrate, scenario)
    done = _Forecast(
        model=model, courses=courses, scenario=scenario, reach=reach, margin=margin
    )
    own = (
        "its own quantiles, moved outwards by"
        if courses.quantiles
        else "its estimate, give or take"
    )
    ends = f"{margin.min():.3g} to {margin.max():.3g}"
    return Wrapped(
        estimator=done,
        seen=fit_or(learnt, calibrate),
        promise=promise,
        chosen={
            "output": courses.outputs,
            "layout": feed.layout,
            "quantiles": courses.quantiles,
        },
        thresholds={"widest_margin": float(margin.max())},
        notes=(f"the interval of each step is {own} {ends}",),
    )


def _courses(model: ForeignModel, how: Adoption, x: Windows, ahead: int) -> Courses:
    graph, forms = model.graph, model.forms(x)
    known = [item.name for item in graph.outputs]
    ends = (how.lower, how.output, how.upper)
    if not any(ends) and set(ENDS) <= set(known):
        ends = ENDS
    if bool(how.lower) != bool(how.upper):
        msg = "One end of the interval is named; --lower and --upper go together."
        raise ForeignUnfitError(msg)
    if ends[0]:
        middle = ends[1] or _third(known, ends)
        names = tuple(
            graph.named(name, role)
            for name, role in zip((ends[0], middle, ends[2]), ENDS, strict=True)
        )
        wrong = [name for name in names if prod(forms[name]) != ahead]
        if wrong:
            raise _unfit(wrong[0], forms[wrong[0]], ahead)
        return Courses(outputs=names, ahead=ahead, form=(ahead,))
    name = graph.named(how.output, "estimate") if how.output else graph.only("estimate")
    form = tuple(size for size in forms[name] if size != 1) or (1,)
    if prod(form) == ahead:
        return Courses(outputs=(name,), ahead=ahead, form=form)
    several = prod(form) // ahead
    form = form if ahead > 1 else (1, *form)
    if sorted(form) != sorted((ahead, several)) or several % 2 == 0:
        raise _unfit(name, forms[name], ahead)
    places = (0, several // 2, several - 1)
    return Courses(outputs=(name,), ahead=ahead, form=form, places=places)


def _third(known: list[str], ends: tuple[str, str, str]) -> str:
    left = [name for name in known if name not in ends]
    return left[0] if len(left) == 1 else "estimate"


def _unfit(name: str, form: tuple[int, ...], ahead: int) -> ForeignUnfitError:
    msg = f"The output {name!r} gives the form {list(form)} for a window; {ahead} steps, or an odd number of quantiles for each of {ahead}, were expected."
    return ForeignUnfitError(msg)
