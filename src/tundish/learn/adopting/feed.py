"""How a window becomes the input of a foreign model, in NumPy and in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.learn.adopting.adoption import Adoption, Layout
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Windows
from tundish.model.graphcheck import ValueFacts

Numbers = NDArray[np.generic]
_DOUBLE = 11


class Feed(Protocol):
    """Makes the inputs of a foreign model."""

    def of(self, x: Windows) -> dict[str, Numbers]:
        """Return them by name for windows [N, T, C]."""
        ...

    def add(self, writer: GraphWriter, window: str) -> dict[str, str]:
        """Add the same to a graph; ``window`` is [M, T, C] in double."""
        ...


def kind_of(item: ValueFacts) -> type[np.floating]:
    """Return the number type of an input."""
    return np.float64 if item.element == _DOUBLE else np.float32


@dataclass(frozen=True, kw_only=True)
class WindowFeed:
    """A window as it is, turned, or some of its channels.

    Attributes:
        inputs: The model's: one, or one for each channel of a single row, as
            converters of data frames write them.
        rows: Of the window.
        places: Channels taken, in the model's order.
        layout: As in ``Adoption``.
    """

    inputs: tuple[ValueFacts, ...]
    rows: int
    places: tuple[int, ...]
    layout: Layout

    def of(self, x: Windows) -> dict[str, Numbers]:
        """Return the inputs for windows; see ``Feed``."""
        taken = x[:, :, list(self.places)]
        if len(self.inputs) > 1:
            return {
                item.name: taken[:, 0, place : place + 1].astype(kind_of(item))
                for place, item in enumerate(self.inputs)
            }
        item = self.inputs[0]
        if self.layout == "channels-first":
            taken = taken.transpose(0, 2, 1)
        return {item.name: taken.reshape(len(x), *self.sizes).astype(kind_of(item))}

    def add(self, writer: GraphWriter, window: str) -> dict[str, str]:
        """Add the same to a graph; see ``Feed``."""
        value = writer.pick(window, np.array(self.places))
        if len(self.inputs) > 1:
            return {
                item.name: self._column(writer, value, place)
                for place, item in enumerate(self.inputs)
            }
        item = self.inputs[0]
        if self.layout == "channels-first":
            value = writer.add(
                "Transpose", value, perm=[0, 2, 1], hint="channels_first"
            )
        shape = writer.constant(np.array([-1, *self.sizes]), "foreign_shape")
        value = writer.add("Reshape", value, shape, hint="foreign_form")
        return {item.name: writer.add("Cast", value, to=item.element, hint="fed")}

    def _column(self, writer: GraphWriter, value: str, place: int) -> str:
        which = writer.constant(np.array([place]), "which_channel")
        column = writer.constant(np.array([-1, 1]), "column_shape")
        one = writer.add("Gather", value, which, axis=2, hint="channel")
        one = writer.add("Reshape", one, column, hint="channel_column")
        return writer.add("Cast", one, to=self.inputs[place].element, hint="fed")

    @property
    def sizes(self) -> list[int]:
        """Sizes of the only input behind its batch axis, with a free one worked out.

        Raises:
            ForeignUnfitError: if a window does not fill it.
        """
        item, values = self.inputs[0], self.rows * len(self.places)
        sizes = [size if isinstance(size, int) else -1 for size in item.shape[1:]]
        if len(sizes) == 2 and sizes.count(-1) == 2:
            ends = [self.rows, len(self.places)]
            return ends[::-1] if self.layout == "channels-first" else ends
        sizes = sizes or [values]
        known = int(np.prod([size for size in sizes if size > 0]))
        if sizes.count(-1) > 1 or (values % known if -1 in sizes else values != known):
            msg = f"The model's input {item.name!r} has the form {list(item.shape)}, and a window has {values} values: {self.rows} rows of {len(self.places)} channels."
            raise ForeignUnfitError(msg)
        return [size if size > 0 else values // known for size in sizes]


def window_feed(
    inputs: tuple[ValueFacts, ...], how: Adoption, scenario: Scenario
) -> WindowFeed:
    """Return the feed of a model that takes windows of numbers.

    Raises:
        ForeignUnfitError: naming the input, or the signal, that does not fit.
    """
    rows, places = scenario.window.rows, _places(how, scenario)
    if len(inputs) > 1 and (rows, len(inputs)) != (1, len(places)):
        msg = f"The model has {len(inputs)} inputs; one, or one for each of {len(places)} channels of a single row, was expected."
        raise ForeignUnfitError(msg)
    layout = how.layout
    turned = (len(places), rows)
    if not layout and inputs[0].shape[1:] == turned != turned[::-1]:
        layout = "channels-first"
    feed = WindowFeed(
        inputs=inputs, rows=rows, places=places, layout=layout or "channels-last"
    )
    if len(inputs) == 1:
        _ = feed.sizes
    return feed


def _places(how: Adoption, scenario: Scenario) -> tuple[int, ...]:
    first, held = 0, dict[str, range]()
    for signal in scenario.signals:
        held[signal.name] = range(first, first + signal.channels)
        first += signal.channels
    unknown = [name for name in how.signals if name not in held]
    if unknown:
        msg = f"The scenario has no signal {unknown[0]!r}; it has: {', '.join(held)}."
        raise ForeignUnfitError(msg)
    return tuple(place for name in how.signals or held for place in held[name])
