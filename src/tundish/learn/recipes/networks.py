"""Small networks: trained with PyTorch, written down as numbers, run without it.

Convolutions run along the course of each signal by itself, with filters that all
signals of equally long courses share; what they find is averaged over the whole course, its
halves and its quarters; one hidden layer then sees all signals. So a signal enters the hidden
layer as a term of a sum, and what the answer would be if that signal had taken its usual
course is told without running the convolutions again: that difference is the signal's
contribution (the occlusion of ``learn.contributions``).

Half of the filters start as moving averages: on noisy plant data filters that start at random
have first to learn to average. The others start at random, for what oscillates.

Sources: X. Li, Q. Ding, J.-Q. Sun, Reliability Engineering & System Safety 172 (2018) 1
(convolution over time only, by sensor); Y. Zheng et al., WAIM 2014 (multi-channel networks);
K. He et al., ECCV 2014 (pooling over wholes and parts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pydantic import Field

from tundish.kernel.records import Record
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices
from tundish.learn.recipes.passes import Steps, numbers, passes

PARTS: Final = (1, 2, 4)
FAR = 10.0
"""Spreads from the usual course beyond which a value counts as that far."""
_START = 0.1
_BLOCK = 1024


class ConvOptions(Record):
    """Options of a network of convolutions.

    Attributes:
        filters: Filters that run along each course.
        kernel: Points that a filter sees at once.
        stride: Points from one place of a filter to the next.
        hidden: Width of the hidden layer.
        dropout: Share of values that a step of the training does without.
        rate: Step of the training.
        batch: Samples in a step.
        passes: Most passes over the fit part.
        patience: Passes without a better one after which training stops.
    """

    filters: int = Field(default=8, ge=1, le=128)
    kernel: int = Field(default=8, ge=1, le=1024)
    stride: int = Field(default=8, ge=1, le=1024)
    hidden: int = Field(default=64, ge=1, le=1024)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    rate: float = Field(default=4e-3, gt=0, le=1)
    batch: int = Field(default=128, ge=1, le=65536)
    passes: int = Field(default=25, ge=1, le=2000)
    patience: int = Field(default=10, ge=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Branch:
    """Filters along the courses of some signals that have equally many points.

    Attributes:
        signals: How many signals (S).
        points: Points of each course (P).
        stride: Points from place to place.
        weight, offset: Of the filters, [k, F] and [F].
        pool: Means over parts of the places, [L, G].
        into: From what was found in each signal to the hidden layer, [S, F * G, H].
    """

    signals: int
    points: int
    stride: int
    weight: Floats
    offset: Floats
    pool: Floats
    into: Floats

    def terms(self, courses: Floats) -> Floats:
        """Return what each signal brings to the hidden layer, [N, S, H].

        Args:
            courses: [N, S * P].
        """
        z = courses.reshape(-1, self.signals, self.points)
        view = np.lib.stride_tricks.sliding_window_view(z, len(self.weight), axis=2)
        found = np.maximum(view[:, :, :: self.stride] @ self.weight + self.offset, 0.0)
        pooled = np.swapaxes(found, 2, 3) @ self.pool
        flat = pooled.reshape(*pooled.shape[:2], -1)
        return np.asarray(np.einsum("nsq,sqh->nsh", flat, self.into, optimize=True))

    def add(self, writer: GraphWriter, courses: str) -> str:
        """Add ``terms`` to a graph; ``Conv`` runs in single precision."""
        (kernel, filters), parts = self.weight.shape, self.pool.shape[1]
        form = writer.constant(np.array([-1, 1, self.points]), "one_course")
        z = writer.add("Reshape", courses, form)
        found = writer.add(
            "Conv",
            writer.add("Cast", z, to=writer.FLOAT),
            writer.constant(self.weight.T.reshape(filters, 1, kernel), "filters", single=True),
            writer.constant(self.offset, "offset", single=True),
            strides=[self.stride],
            hint="convolved",
        )  # fmt: skip
        bent = writer.add("Cast", writer.add("Relu", found), to=writer.DOUBLE)
        pooled = writer.add("MatMul", bent, writer.constant(self.pool, "pool"))
        size = np.array([-1, self.signals, filters * parts])
        flat = writer.add("Reshape", pooled, writer.constant(size, "by_signal"))
        turned = writer.add("Transpose", flat, perm=[1, 0, 2])
        each = writer.add("MatMul", turned, writer.constant(self.into, "into"))
        return writer.add("Transpose", each, perm=[1, 0, 2], hint="terms")


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvNet:
    """A trained network, as numbers; see the module.

    Attributes:
        branches: In the order of the courses; S signals in all.
        usual: What each signal brings when it takes its usual course, [S, H].
        hidden: Offset of the hidden layer, [H].
        weight, offset: Of the answers, [H, K] and [K].
    """

    branches: tuple[Branch, ...]
    usual: Floats
    hidden: Floats
    weight: Floats
    offset: Floats

    def answers(self, courses: Floats) -> Floats:
        """Return the answers to standardised courses [N, S * P ...], [N, K]."""
        return self._answers_and_parts(courses, parts=False)[0]

    def parts(self, courses: Floats) -> Floats:
        """Return what each signal moved each answer, [N, K, S]."""
        return self._answers_and_parts(courses, parts=True)[1]

    def add(self, writer: GraphWriter, courses: str) -> tuple[str, str]:
        """Add answers [N, K] and parts [N, K, S] to a graph."""
        terms = self._add_terms(writer, courses)
        one = writer.constant(np.array([1]), "axis")
        total = writer.add("ReduceSum", terms, one, keepdims=1)
        hidden = writer.add("Add", total, writer.constant(self.hidden, "hidden"))
        usual = writer.constant(self.usual, "usual_terms")
        without = writer.add("Sub", hidden, writer.add("Sub", terms, usual))
        answer, others = (self._add_head(writer, one_) for one_ in (hidden, without))
        moved = writer.add("Sub", answer, others)
        parts = writer.add("Transpose", moved, perm=[0, 2, 1], hint="parts")
        return writer.add("Squeeze", answer, one, hint="answers"), parts

    def _add_head(self, writer: GraphWriter, hidden: str) -> str:
        bent = writer.add("Relu", hidden)
        last = writer.add("MatMul", bent, writer.constant(self.weight, "weight"))
        return writer.add("Add", last, writer.constant(self.offset, "offset"))

    def _add_terms(self, writer: GraphWriter, courses: str) -> str:
        if len(self.branches) == 1:
            return self.branches[0].add(writer, courses)
        found, first = [], 0
        axis = writer.constant(np.array([1]), "axis")
        for branch in self.branches:
            last = first + branch.signals * branch.points
            ends = [writer.constant(np.array([at]), "end") for at in (first, last)]
            mine = writer.add("Slice", courses, *ends, axis)
            found.append(branch.add(writer, mine))
            first = last
        return writer.add("Concat", *found, axis=1, hint="terms")

    def _answers_and_parts(
        self, courses: Floats, *, parts: bool
    ) -> tuple[Floats, Floats]:
        blocks = range(0, len(courses), _BLOCK)  # terms of all at once would be large
        found = [self._of(courses[at : at + _BLOCK], parts=parts) for at in blocks]
        return (
            np.concatenate([one for one, _ in found]),
            np.concatenate([two for _, two in found]),
        )

    def _of(self, courses: Floats, *, parts: bool) -> tuple[Floats, Floats]:
        ends = np.cumsum([one.signals * one.points for one in self.branches])
        pieces = np.split(courses, ends[:-1], axis=1)
        terms = np.concatenate(
            [one.terms(mine) for one, mine in zip(self.branches, pieces, strict=True)],
            axis=1,
        )
        hidden = terms.sum(axis=1) + self.hidden
        answer = self._head(hidden)
        if not parts:
            return answer, np.zeros((len(answer), 0, 0))
        others = self._head(hidden[:, None] - (terms - self.usual))
        return answer, np.swapaxes(answer[:, None] - others, 1, 2)

    def _head(self, hidden: Floats) -> Floats:
        return np.asarray(np.maximum(hidden, 0.0) @ self.weight + self.offset)


class Trainee:
    """A network of convolutions while it is trained.

    Args:
        torch: The library, from ``alone``.
        owner: Signal of each point of the courses, [S * P ...]; see ``shapes_of``.
        answers: Number of answers (K).
        options: Of the network.
        seed: Of its start and of all that is drawn later.
    """

    def __init__(
        self,
        torch: Any,  # noqa: ANN401 -- the library is optional, so its types are too
        owner: Indices,
        answers: int,
        options: ConvOptions,
        seed: int,
    ) -> None:
        self.draw = torch.Generator().manual_seed(seed)
        self.parameters: list[Any] = []
        self._torch, self._options = torch, options
        self._shapes = shapes_of(owner)
        self._pools: list[Any] = []
        self._filters: list[tuple[Any, Any]] = []
        inputs = 0
        for signals, points in self._shapes:
            kernel = min(options.kernel, points)
            places = (points - kernel) // options.stride + 1
            pool = _pool(places)
            self._pools.append(torch.from_numpy(pool.astype(np.float32)))
            start = self._start(kernel).requires_grad_()
            self._filters.append((start, self._zeros(options.filters)))
            self.parameters.append(start)
            inputs += signals * options.filters * pool.shape[1]
        self._into = self._weight(inputs, options.hidden)
        self._hidden = self._zeros(options.hidden)
        self._last = self._weight(options.hidden, answers)
        self._offset = self._zeros(answers)

    def __call__(self, courses: Any, *, training: bool = True) -> Any:  # noqa: ANN401
        """Return the answers to courses [n, S * P ...], [n, K]."""
        torch, options, found, first = self._torch, self._options, [], 0
        each = zip(self._shapes, self._filters, self._pools, strict=True)
        for (signals, points), (weight, offset), pool in each:
            z = courses[:, first : first + signals * points]
            z = z.reshape(-1, signals, points).unfold(2, len(weight), options.stride)
            bent = torch.relu(z @ weight + offset)
            found.append((bent.transpose(2, 3) @ pool).reshape(len(courses), -1))
            first += signals * points
        value = self._dropped(torch.cat(found, 1), training=training)
        value = torch.relu(value @ self._into + self._hidden)
        value = self._dropped(value, training=training)
        return value @ self._last + self._offset

    def answers(self, courses: Any) -> Any:  # noqa: ANN401
        """Return the answers outside training, [n, K]."""
        with self._torch.no_grad():
            blocks = range(0, len(courses), _BLOCK)
            found = [self(courses[at : at + _BLOCK], training=False) for at in blocks]
            return self._torch.cat(found)

    def passes(
        self,
        loss: Callable[[Any], Any],
        count: int,
        most: int,
    ) -> Iterator[int]:
        """Train on samples at places below ``count``; see ``passes.passes``."""
        options = self._options
        steps = Steps(rate=options.rate, batch=options.batch, most=most)
        return passes(self._torch, self.parameters, loss, count, self.draw, steps)

    def learnt(self) -> ConvNet:
        """Return the network as it stands, as numbers."""
        into, first, branches = numbers(self._into), 0, []
        each = zip(self._shapes, self._filters, self._pools, strict=True)
        for (signals, points), (weight, offset), pool in each:
            last = first + signals * weight.shape[1] * pool.shape[1]
            branches.append(
                Branch(
                    signals=signals,
                    points=points,
                    stride=self._options.stride,
                    weight=numbers(weight),
                    offset=numbers(offset),
                    pool=numbers(pool),
                    into=into[first:last].reshape(signals, -1, into.shape[1]),
                )
            )
            first = last
        still = [
            one.terms(np.zeros((1, one.signals * one.points)))[0] for one in branches
        ]
        return ConvNet(
            branches=tuple(branches),
            usual=np.concatenate(still),
            hidden=numbers(self._hidden),
            weight=numbers(self._last),
            offset=numbers(self._offset),
        )

    def _dropped(self, value: Any, *, training: bool) -> Any:  # noqa: ANN401
        share = self._options.dropout
        if not training or not share:
            return value
        kept = self._torch.rand(value.shape, generator=self.draw) >= share
        return value * kept / (1.0 - share)

    def _start(self, kernel: int) -> Any:  # noqa: ANN401
        """Return filters [k, F]: the first half average, the others are drawn."""
        options = self._options
        drawn = self._randn(kernel, options.filters, over=kernel / 2)
        level = self._torch.randn(1, options.filters, generator=self.draw) / kernel**0.5
        averaging = self._torch.arange(options.filters) < (options.filters + 1) // 2
        return self._torch.where(averaging, level + _START * drawn, drawn)

    def _randn(self, rows: int, columns: int, *, over: float) -> Any:  # noqa: ANN401
        drawn = self._torch.randn(rows, columns, generator=self.draw)
        return drawn / over**0.5

    def _weight(self, rows: int, columns: int) -> Any:  # noqa: ANN401
        made = self._randn(rows, columns, over=rows / 2).requires_grad_()
        self.parameters.append(made)
        return made

    def _zeros(self, size: int) -> Any:  # noqa: ANN401
        made = self._torch.zeros(size, requires_grad=True)
        self.parameters.append(made)
        return made


def shapes_of(owner: Indices) -> list[tuple[int, int]]:
    """Return (signals, points) of each run of equally long courses.

    Args:
        owner: Signal of each point of the courses; a course is a run of one signal.
    """
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    found: list[tuple[int, int]] = []
    for points in np.diff(starts, append=len(owner)).tolist():
        if found and found[-1][1] == points:
            found[-1] = (found[-1][0] + 1, points)
        else:
            found.append((1, points))
    return found


def _pool(places: int) -> Floats:
    """Return means over the whole, its halves and its quarters, [L, G]."""
    found = []
    for count in (one for one in PARTS if one <= places):
        edges = np.linspace(0, places, count + 1)
        for low, high in zip(np.floor(edges[:-1]), np.ceil(edges[1:]), strict=True):
            inside = (np.arange(places) >= low) & (np.arange(places) < high)
            found.append(inside / inside.sum())
    return np.stack(found, axis=1)
