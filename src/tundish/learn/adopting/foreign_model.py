"""A foreign model that can be asked: its own file in NumPy's world, its nodes in a graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.learn.adopting.feed import Feed, Numbers
from tundish.learn.adopting.foreign import ForeignGraph
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Windows
from tundish.model.errors import SessionFailedError
from tundish.model.session import Foreign

_BATCH = 256
_BATCH_VALUES = 2**20  # a network holds hundreds of times its picture
_TRIED = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class ForeignModel:
    """A foreign model with its feed.

    Attributes:
        graph: Its nodes.
        foreign: Its file in the runtime.
        feed: Makes its input.
    """

    graph: ForeignGraph
    foreign: Foreign
    feed: Feed

    def ask(self, x: Windows, outputs: list[str]) -> list[Floats]:
        """Return what the foreign file answers to windows, [N, ...] each, float64."""
        step = max(1, min(_BATCH, _BATCH_VALUES // x[0].size))
        found = [
            self.foreign.run(self.feed.of(x[first : first + step]), outputs)
            for first in range(0, len(x), step)
        ]
        return [
            np.concatenate(each).astype(np.float64) for each in zip(*found, strict=True)
        ]

    def add(self, writer: GraphWriter, window: str, outputs: list[str]) -> list[str]:
        """Add its nodes to a graph; return the names of outputs, in double."""
        found = writer.graft(self.graph.model, self.feed.add(writer, window), outputs)
        return [
            writer.add("Cast", name, to=writer.DOUBLE, hint="foreign_answer")
            for name in found
        ]

    def forms(self, x: Windows) -> dict[str, tuple[int, ...]]:
        """Return the form of each output for one window, without its batch axis.

        Raises:
            ForeignUnfitError: if it has no output that is a number.
        """
        names = [item.name for item in self.graph.outputs]
        if not names:
            msg = "The model has no output that is a number."
            raise ForeignUnfitError(msg)
        found = self.foreign.run(self.feed.of(x[:1]), names)
        return {name: value.shape[1:] for name, value in zip(names, found, strict=True)}

    def check(self, x: Windows, outputs: list[str]) -> list[Floats]:
        """Return the answers to a few windows, once it is sure that each stands alone.

        Raises:
            ForeignUnfitError: if an output has no batch axis, values that are not
                finite, or depends on the rest of the batch.
        """
        few = x[:_TRIED]
        each = [self.foreign.run(self.feed.of(one[None]), outputs) for one in few]
        try:
            together = self.foreign.run(self.feed.of(few), outputs)
        except SessionFailedError as error:
            msg = f"The model answers one window and fails on {len(few)} at once: its batch is fixed."
            raise ForeignUnfitError(msg) from error
        for place, name in enumerate(outputs):
            _check_alone(name, [one[place] for one in each], together[place])
        return [value.astype(np.float64) for value in together]


def _check_alone(name: str, alone: list[Numbers], together: Numbers) -> None:
    form = list(together.shape)
    if form[:1] != [len(alone)] or any(one.shape[:1] != (1,) for one in alone):
        msg = f"The output {name!r} has the form {form} for {len(alone)} windows; a first axis of {len(alone)} was expected."
        raise ForeignUnfitError(msg)
    single, both = np.concatenate(alone), together.astype(np.float64)
    if not (np.isfinite(both).all() and np.isfinite(single).all()):
        msg = f"The output {name!r} has values that are not finite."
        raise ForeignUnfitError(msg)
    size = max(1.0, float(np.abs(both).max(initial=0.0)))
    if not np.allclose(single, both, rtol=1e-5, atol=1e-6 * size):
        msg = f"The output {name!r} for one window depends on the rest of the batch."
        raise ForeignUnfitError(msg)
