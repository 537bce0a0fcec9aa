"""Preprocessing of spectra: Savitzky-Golay derivatives and regions, all linear.

Source: A. Savitzky, M. J. E. Golay, Analytical Chemistry 36 (1964) 1627. A first
derivative removes a constant baseline, a second one a sloping baseline. Derivatives
are taken by channel, not by axis unit: an instrument's grid is even but rounded, and
the scale is absorbed by the regression that follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from tundish.learn.material import Floats

Rows = Literal["mean", "unfold"]
Region = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the channels of a window are laid out.

    Attributes:
        axis: Axis value of each channel, [C]; NaN for a channel without one.
        blocks: First and last-plus-one channel of each signal, in order.
        rows: ``mean``: rows are averaged (repeated looks at one state);
            ``unfold``: each row has weights of its own (lags).
    """

    axis: Floats
    blocks: tuple[tuple[int, int], ...]
    rows: Rows

    def gather(self, x: NDArray[np.floating]) -> Floats:
        """Return windows [n, T, C] as [n, T', C]: T' is 1 if rows are averaged."""
        wide = x.astype(np.float64)
        return wide.mean(axis=1, keepdims=True) if self.rows == "mean" else wide


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """One way to prepare spectra.

    Attributes:
        region: Lowest and highest axis value kept; None keeps all.
        derivative: 0 leaves the values as they are, unsmoothed.
        points: Smoothing points of the derivative (odd).
        order: Polynomial order of the derivative.
    """

    region: Region | None
    derivative: int
    points: int
    order: int

    def channels(self, values: Floats, layout: Layout) -> Floats:
        """Prepare values whose last axis is the channels; channels without an axis pass."""
        prepared = []
        for first, last in layout.blocks:
            block = values[..., first:last]
            axis = layout.axis[first:last]
            if not np.isnan(axis).any():
                block = self._derived(block)[..., self._inside(axis)]
            prepared.append(block)
        return np.concatenate(prepared, axis=-1)

    def features(self, x: NDArray[np.floating], layout: Layout) -> Floats:
        """Return the features of windows, [n, F]."""
        prepared = self.channels(layout.gather(x), layout)
        return prepared.reshape(len(prepared), -1)

    def matrix(self, layout: Layout) -> Floats:
        """Return the matrix that prepares one row of channels, [C, F per row]."""
        return self.channels(np.eye(len(layout.axis)), layout)

    def _derived(self, block: Floats) -> Floats:
        if self.derivative == 0:
            return block
        derived: Floats = savgol_filter(
            block, self.points, self.order, deriv=self.derivative, axis=-1
        )
        return derived

    def _inside(self, axis: Floats) -> NDArray[np.bool_]:
        if self.region is None:
            return np.ones(len(axis), dtype=bool)
        low, high = self.region
        return np.asarray((axis >= low) & (axis <= high))
