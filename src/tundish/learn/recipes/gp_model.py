"""A Gaussian process with a linear and a smooth kernel, in numpy and as matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Windows
from tundish.learn.recipes.inputs import Inputs
from tundish.learn.recipes.number import Said

_HALF = 0.5 / np.sqrt(3.0)
NODES = (0.5 - _HALF, 0.5 + _HALF)
"""Points of the two-point Gauss-Legendre rule on [0, 1]; both weigh a half."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Process:
    """A trained process.

    Attributes:
        middle: Mean of the features, [F].
        turn: Centred features -> places, [F, D].
        level, size: Target = level + size * answer.
        samples: Places of the samples, [n, D].
        lengths: Of the smooth kernel by place, [D].
        smooth, linear, noise: Variances of the parts.
        pull: Weight of each sample in the mean, [n].
        inverse: Inverse of the covariance's lower Cholesky factor, [n, n].
    """

    middle: Floats
    turn: Floats
    level: float
    size: float
    samples: Floats
    lengths: Floats
    smooth: float
    linear: float
    noise: float
    pull: Floats
    inverse: Floats

    def places(self, features: Floats) -> Floats:
        """Return where features lie, [N, D]."""
        return np.asarray((features - self.middle) @ self.turn)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of a new truth, in the target's unit, [N]."""
        at = self.places(features)
        near = self._near(at)
        known = near + self.linear * at @ self.samples.T
        mean = known @ self.pull
        before = self.smooth + self.linear * np.sum(at**2, axis=1)
        explained = np.sum((known @ self.inverse.T) ** 2, axis=1)
        variance = np.maximum(before - explained, 0.0) + self.noise
        return self.level + self.size * mean, self.size * np.sqrt(variance)

    def slope(self, at: Floats) -> Floats:
        """Return the slope of the mean by feature, at places [N, D], [N, F]."""
        weighed = self._near(at) * self.pull
        toward = weighed @ self.samples - weighed.sum(axis=1, keepdims=True) * at
        by_place = toward / self.lengths**2 + self.linear * (self.pull @ self.samples)
        return np.asarray(self.size * by_place @ self.turn.T)

    def _near(self, at: Floats) -> Floats:
        mine, theirs = at / self.lengths, self.samples / self.lengths
        square = np.sum(mine**2, axis=1)[:, None] + np.sum(theirs**2, axis=1)[None]
        apart = np.maximum(square - 2.0 * mine @ theirs.T, 0.0)
        return np.asarray(self.smooth * np.exp(-0.5 * apart))


@dataclass(frozen=True, kw_only=True, eq=False)
class GaussianModel:
    """A process on the features of a window.

    Attributes:
        inputs: The features.
        process: The process.
        usual: Mean course, [T, C], against which contributions are told.
    """

    inputs: Inputs
    process: Process
    usual: Floats

    def say(self, x: Windows) -> Said:
        """Return what it says; see ``NumberModel``."""
        process = self.process
        features = self.inputs.values(x)
        mean, deviation = process.predict(features)
        at, start = process.places(features), process.places(self._start())
        slopes = [process.slope(start + node * (at - start)) for node in NODES]
        return Said(
            estimate=mean[:, None],
            scale=deviation[:, None],
            contribution=self.inputs.attribute(x, np.mean(slopes, axis=0), self.usual),
        )

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str, str]:
        """Add the same to a graph; see ``NumberModel``."""
        process = self.process
        features = self.inputs.add(writer, raw)
        middle = writer.constant(process.middle, "features_middle")
        centred = writer.add("Sub", features, middle, hint="centred")
        at = writer.add("MatMul", centred, writer.constant(process.turn, "turn"))
        nodes = _Nodes(process, writer)
        mean, deviation = nodes.mean_and_deviation(at)
        start = writer.constant(process.places(self._start()), "start")
        way = writer.add("Sub", at, start, hint="way")
        slopes = []
        for node in NODES:
            share = writer.constant(np.array([node]), "node")
            on_way = writer.add("Mul", way, share, hint="on_way")
            slopes.append(nodes.slope(writer.add("Add", start, on_way, hint="there")))
        both = writer.add("Add", *slopes, hint="both_slopes")
        half = writer.constant(np.array([0.5]), "half")
        slope = writer.add("Mul", both, half, hint="mean_slope")
        parts = self.inputs.add_attribution(writer, raw, slope, self.usual)
        return mean, deviation, parts

    def _start(self) -> Floats:
        """Return the features of the usual window, [1, F]."""
        inputs = self.inputs
        flat = (inputs.rows @ self.usual).reshape(1, -1)
        if inputs.prior is None:
            return np.asarray(flat)
        return np.concatenate([flat, [[inputs.prior.level]]], axis=1)


class _Nodes:
    """Adds the process to a graph."""

    def __init__(self, process: Process, writer: GraphWriter) -> None:
        self._process = process
        self._writer = writer
        theirs = process.samples / process.lengths
        self._lengths = writer.constant(process.lengths, "lengths")
        self._theirs = writer.constant(-2.0 * theirs.T, "samples_scaled")
        self._square = writer.constant(np.sum(theirs**2, axis=1)[None], "samples_sq")
        self._smooth = writer.constant(np.array([process.smooth]), "smooth")
        self._minus_half = writer.constant(np.array([-0.5]), "minus_half")

    def mean_and_deviation(self, at: str) -> tuple[str, str]:
        process, writer = self._process, self._writer
        known, before = self._near(at), self._smooth
        if process.linear:
            line = writer.constant(process.linear * process.samples.T, "line")
            straight = writer.add("MatMul", at, line, hint="straight")
            known = writer.add("Add", known, straight, hint="known")
            far = writer.sum_last(writer.add("Mul", at, at), "far")
            weight = writer.constant(np.array([process.linear]), "linear")
            far = writer.add("Mul", far, weight, hint="linear_variance")
            before = writer.add("Add", far, before, hint="variance_before")
        pull = writer.constant(process.size * process.pull[:, None], "pull")
        level = writer.constant(np.array([process.level]), "level")
        mean = writer.add("MatMul", known, pull, hint="pulled")
        mean = writer.add("Add", mean, level, hint="mean")
        factor = writer.constant(process.inverse.T, "inverse")
        whitened = writer.add("MatMul", known, factor, hint="whitened")
        explained = writer.sum_last(writer.add("Mul", whitened, whitened), "explained")
        left = writer.add("Sub", before, explained, hint="variance_left")
        left = writer.add("Relu", left, hint="not_negative")
        noise = writer.constant(np.array([process.noise]), "noise")
        root = writer.add("Sqrt", writer.add("Add", left, noise), hint="deviation")
        size = writer.constant(np.array([process.size]), "size")
        return mean, writer.add("Mul", root, size, hint="deviation_of_target")

    def slope(self, at: str) -> str:
        process, writer = self._process, self._writer
        pull = writer.constant(process.pull[None], "pull_row")
        weighed = writer.add("Mul", self._near(at), pull, hint="weighed")
        samples = writer.constant(process.samples, "samples")
        toward = writer.add("MatMul", weighed, samples, hint="toward")
        whole = writer.add("Mul", writer.sum_last(weighed, "whole"), at)
        apart = writer.add("Sub", toward, whole, hint="gap")
        square = writer.constant(process.lengths**2, "lengths_square")
        by_place = writer.add("Div", apart, square, hint="smooth_slope")
        line = process.linear * (process.pull @ process.samples)
        straight = writer.constant(line[None], "straight_slope")
        by_place = writer.add("Add", by_place, straight, hint="slope_by_place")
        back = writer.constant(process.size * process.turn.T, "turn_back")
        return writer.add("MatMul", by_place, back, hint="slope_by_feature")

    def _near(self, at: str) -> str:
        writer = self._writer
        mine = writer.add("Div", at, self._lengths, hint="mine")
        square = writer.sum_last(writer.add("Mul", mine, mine), "mine_sq")
        crossed = writer.add("MatMul", mine, self._theirs, hint="crossed")
        apart = writer.add("Add", crossed, square, hint="apart_part")
        apart = writer.add("Add", apart, self._square, hint="apart")
        apart = writer.add("Relu", apart, hint="apart_kept")
        power = writer.add("Exp", writer.add("Mul", apart, self._minus_half))
        return writer.add("Mul", power, self._smooth, hint="near")
