"""What the recipes for numbers look at: lagged tags, prepared spectra, a declared formula.

Everything but the formula is linear in the window: a matrix over rows (which lags, means
of which stretches) and one over channels (derivative and region of a spectrum). So the
part that each tag had in an answer follows from the answer's slope, without asking again.

Sources: W. Ku, R. H. Storer, C. Georgakis, Chemom. Intell. Lab. Syst. 30 (1995) 179
(lagged rows); P. Nomikos, J. F. MacGregor, Technometrics 37 (1995) 41 (a batch unfolded to
one row); means over stretches that grow with age: what a mixed vessel remembers fades.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats
from tundish.learn.prior import PriorFormula
from tundish.learn.recipes.spectra import Layout, Preparation

Plan: TypeAlias = Literal["newest", "mean", "lags", "fading", "stretches"]
MOST_LAGS = 12
STRETCHES = 10


def row_weights(plan: Plan, rows: int) -> Floats:
    """Return which rows are weighed how, [K, rows], the newest first.

    ``newest``: the last row. ``mean``: all rows alike (repeated looks at one state).
    ``lags``: up to 12 rows, evenly spread. ``fading``: means over the last 1, 1, 2, 4,
    8, ... rows. ``stretches``: means of 10 equal stretches (a batch's course).
    """
    if plan == "newest":
        ends = [(rows - 1, rows)]
    elif plan == "mean":
        ends = [(0, rows)]
    elif plan == "lags":
        places = np.unique(np.linspace(0, rows - 1, min(rows, MOST_LAGS)).astype(int))
        ends = [(int(at), int(at) + 1) for at in places[::-1]]
    elif plan == "fading":
        edges = [0, 1]
        while edges[-1] < rows:
            edges.append(min(rows, 2 * edges[-1]))
        ends = [(rows - far, rows - near) for near, far in pairwise(edges)]
    else:
        cuts = np.unique(np.linspace(0, rows, STRETCHES + 1).astype(int))
        ends = [(int(a), int(b)) for a, b in pairwise(cuts)][::-1]
    weights = np.zeros((len(ends), rows))
    for place, (first, last) in enumerate(ends):
        weights[place, first:last] = 1.0 / (last - first)
    return weights


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """The features of a window.

    Attributes:
        rows: Weights of rows, [K, T].
        columns: Weights of channels, [C, P]; None: every channel by itself.
        channels: Channels of a window (C).
        prior: The declared formula as one more feature, at the end.
    """

    rows: Floats
    channels: int
    columns: Floats | None = None
    prior: PriorFormula | None = None

    def values(self, x: NDArray[np.floating]) -> Floats:
        """Return the features of windows [N, T, C], [N, F]."""
        seen = self.rows @ x.astype(np.float64)
        if self.columns is not None:
            seen = seen @ self.columns
        flat = seen.reshape(len(x), -1)
        if self.prior is None:
            return np.asarray(flat)
        return np.concatenate([flat, self.prior.values(x)], axis=1)

    def spread(self, features: Floats, blocks: tuple[tuple[int, int], ...]) -> Floats:
        """Return what each feature is divided by, [F].

        A tag by its own spread; a spectrum's channels all by their common one, which
        keeps a band tall and noise low.

        Args:
            features: Those of the fit part.
            blocks: First and last-plus-one prepared channel of each signal.
        """
        each = features.std(axis=0)
        if self.columns is not None or any(b - a > 1 for a, b in blocks):
            last = -1 if self.prior else None
            wide = each[:last].reshape(len(self.rows), -1)
            for first, end in blocks:
                wide[:, first:end] = np.sqrt(np.mean(wide[:, first:end] ** 2))
        floor = 1e-9 * np.maximum(1.0, np.abs(features).max(axis=0))
        return np.where(each > floor, each, 1.0)

    def unprepared(self, weights: Floats) -> tuple[Inputs, Floats]:
        """Return the inputs without ``columns``, and the same weights of those.

        A preparation of a thousand channels is a million multiplications a window; what
        follows it is linear, so it is taken into the weights once.

        Args:
            weights: Of the features, [F, D].

        Returns:
            Inputs, and weights of their features, [F', D].
        """
        if self.columns is None:
            return self, weights
        wide = weights[: self.linear].reshape(len(self.rows), -1, weights.shape[1])
        own = (self.columns @ wide).reshape(-1, weights.shape[1])
        found = np.concatenate([own, weights[self.linear :]])
        return replace(self, columns=None), found

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add the features; ``raw`` is [N, T, C] in double. Returns [N, F]."""
        seen = writer.add("MatMul", writer.constant(self.rows, "row_weights"), raw)
        if self.columns is not None:
            matrix = writer.constant(self.columns, "channel_weights")
            seen = writer.add("MatMul", seen, matrix, hint="prepared")
        shape = writer.constant(np.array([-1, self.linear]), "features_shape")
        flat = writer.add("Reshape", seen, shape, hint="linear_features")
        if self.prior is None:
            return flat
        return writer.add("Concat", flat, self.prior.add(writer, raw), axis=1)

    @property
    def linear(self) -> int:
        """Number of features without the formula."""
        width = len(self.columns[0]) if self.columns is not None else self.channels
        return len(self.rows) * width

    def attribute(
        self, x: NDArray[np.floating], slope: Floats, usual: Floats
    ) -> Floats:
        """Return each channel's part in an answer with these slopes, [N, C].

        Args:
            x: Windows.
            slope: Of the answer by feature, [N, F] or [1, F].
            usual: The mean course of the fit part, [T, C].
        """
        by_row = self.back(slope)
        found = np.sum(by_row * (x.astype(np.float64) - usual), axis=1)
        if self.prior is None:
            return np.asarray(found)
        moved = slope[:, -1:] * self.prior.moved(x)
        return np.asarray(found + moved @ self.prior.spread(x.shape[2]))

    def back(self, slope: Floats) -> Floats:
        """Return slopes by feature as slopes by raw value, [N, T, C]."""
        wide = slope[:, : self.linear].reshape(len(slope), len(self.rows), -1)
        if self.columns is not None:
            wide = wide @ self.columns.T
        return np.asarray(self.rows.T @ wide)

    def add_attribution(
        self, writer: GraphWriter, raw: str, slope: str, usual: Floats
    ) -> str:
        """Add ``attribute``; ``slope`` is [N, F] in double."""
        first = writer.constant(np.array([0]), "from")
        end = writer.constant(np.array([self.linear]), "to")
        axis = writer.constant(np.array([1]), "axis")
        own = writer.add("Slice", slope, first, end, axis, hint="linear_slope")
        width = self.linear // len(self.rows)
        shape = writer.constant(np.array([-1, len(self.rows), width]), "slope_shape")
        wide = writer.add("Reshape", own, shape, hint="slope_by_row")
        if self.columns is not None:
            matrix = writer.constant(self.columns.T, "channel_weights_back")
            wide = writer.add("MatMul", wide, matrix, hint="slope_by_channel")
        turned = writer.constant(self.rows.T, "row_weights_back")
        by_row = writer.add("MatMul", turned, wide, hint="slope_by_value")
        course = writer.constant(usual, "usual_course")
        off = writer.add("Sub", raw, course, hint="off_usual")
        parts = writer.add("Mul", by_row, off, hint="parts")
        found = writer.add("ReduceSum", parts, axis, keepdims=0, hint="by_channel")
        if self.prior is None:
            return found
        last = writer.constant(np.array([self.linear]), "prior_place")
        pull = writer.add("Gather", slope, last, axis=1, hint="prior_slope")
        added = self.prior.add_moved(writer, raw, self.prior.add(writer, raw))
        spread = writer.constant(self.prior.spread(usual.shape[1]), "prior_channels")
        weighed = writer.add("Mul", added, pull, hint="prior_weighed")
        placed = writer.add("MatMul", weighed, spread, hint="prior_by_channel")
        return writer.add("Add", found, placed, hint="with_prior")


def inputs_of(
    plan: Plan,
    shape: tuple[int, int],
    *,
    matrix: Floats | None = None,
    prior: PriorFormula | None = None,
) -> Inputs:
    """Return the inputs of a plan.

    Args:
        plan: Which rows.
        shape: Rows and channels of a window.
        matrix: Prepares one row of channels, [C, P].
        prior: Formula as a feature.
    """
    rows, channels = shape
    return Inputs(
        rows=row_weights(plan, rows),
        columns=matrix,
        prior=prior,
        channels=channels,
    )


def blocks_of(scenario: Scenario) -> tuple[tuple[int, int], ...]:
    """Return first and last-plus-one channel of each signal."""
    ends = np.cumsum([signal.channels for signal in scenario.signals])
    starts = [0, *ends[:-1]]
    return tuple((int(a), int(b)) for a, b in zip(starts, ends, strict=True))


def layout_of(scenario: Scenario, axis: Floats) -> Layout:
    """Return the layout of a scenario's channels, for the preparation of spectra."""
    return Layout(axis=axis, blocks=blocks_of(scenario), rows="unfold")


def prepared(
    scenario: Scenario, axis: Floats, derivative: int, points: int, order: int
) -> tuple[Floats | None, tuple[tuple[int, int], ...]]:
    """Return the matrix of a derivative of every spectrum, and the blocks after it.

    None where nothing is to be done: derivative 0, or no spectrum.
    """
    blocks = blocks_of(scenario)
    if derivative == 0 or np.isnan(axis).all():
        return None, blocks
    preparation = Preparation(
        region=None, derivative=derivative, points=points, order=order
    )
    return preparation.matrix(layout_of(scenario, axis)), blocks
