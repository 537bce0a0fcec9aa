"""Training a network with PyTorch, the same numbers each time.

One thread, and every draw from one seeded generator: the same arguments give the same
numbers. Adam steps through the fit part in passes, and what counts is the pass after which
held-out samples were told best.

Source: D. Kingma, J. Ba, "Adam", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tundish.learn.material import Floats

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Step of Adam, samples in a step, and the most passes."""

    rate: float
    batch: int
    most: int


@contextmanager
def alone() -> Iterator[Any]:
    """Give PyTorch with one thread: sums in another order are other numbers.

    Raises:
        ModuleNotFoundError: if it is not installed; the CLI names the extra.
    """
    import torch  # noqa: PLC0415  -- an extra, for training alone

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield torch
    finally:
        torch.set_num_threads(threads)


def passes(
    torch: Any,  # noqa: ANN401
    parameters: list[Any],
    loss: Callable[[Any], Any],
    count: int,
    draw: Any,  # noqa: ANN401
    steps: Steps,
) -> Iterator[int]:
    """Train, and yield the number of each pass when it is over.

    Args:
        torch: The library.
        parameters: What is trained.
        loss: Of the samples at some places.
        count: Number of samples.
        draw: Generator of the order.
        steps: How long and how many.
    """
    adam = torch.optim.Adam(parameters, lr=steps.rate)
    for number in range(1, steps.most + 1):
        order = torch.randperm(count, generator=draw)
        for first in range(0, count, steps.batch):
            adam.zero_grad()
            loss(order[first : first + steps.batch]).backward()
            adam.step()
        yield number


def best_pass(
    done: Iterable[int],
    held: Callable[[], float],
    state: Callable[[], T],
    *,
    patience: int,
) -> tuple[T, int]:
    """Return the state after the pass with the least held-out loss, and its number.

    Args:
        done: The passes.
        held: The loss on held-out samples as things stand.
        state: What is kept of a pass.
        patience: Passes without a better one after which training stops.
    """
    best, kept, at = np.inf, state(), 0
    for number in done:
        loss = held()
        if loss < best:
            best, kept, at = loss, state(), number
        if number - at >= patience:
            break
    return kept, at


def numbers(tensor: Any) -> Floats:  # noqa: ANN401
    """Return a tensor's numbers."""
    return np.asarray(tensor.detach().numpy().astype(np.float64))
