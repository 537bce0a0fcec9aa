"""How a picture of the scenario becomes the picture that a foreign model was trained on.

Colours, the scale of pixels, what is taken off and divided by, and the size. All of it is
linear, so NumPy and the graph multiply by the same matrices. Sizes change by the triangle
filter that Pillow and torchvision use by default: between pixels when a picture grows, over
all pixels that a new one covers when it shrinks (K. Turkowski, "Filters for common
resampling tasks", Graphics Gems, 1990).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tundish.catalog.tasks import Picture
from tundish.learn.adopting.adoption import Adoption
from tundish.learn.adopting.feed import Numbers, kind_of
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Windows
from tundish.model.graphcheck import ValueFacts

_COLOURS = 3
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and OpenCV make grey
_WHITE = 255.0
_EXPECTED = "a picture as [N, channels, height, width] or [N, height, width, channels] was expected"


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureFeed:
    """A picture in the form that a foreign model takes.

    Attributes:
        entry: The model's input.
        picture: The scenario's form.
        first: Whether its channels stand before height and width.
        gain, offset: value = gain @ channels + offset, [K, C] and [K].
        height, width: Of its picture.
    """

    entry: ValueFacts
    picture: Picture
    first: bool
    gain: Floats
    offset: Floats
    height: int
    width: int

    def of(self, x: Windows) -> dict[str, Numbers]:
        """Return the input for windows; see ``Feed``."""
        picture = self.picture
        value = x.astype(np.float64) @ self.gain.T + self.offset
        value = value.reshape(len(x), picture.height, picture.width, -1)
        value = value.transpose(0, 3, 1, 2)
        value = resized(value, (self.height, self.width))
        if not self.first:
            value = value.transpose(0, 2, 3, 1)
        return {self.entry.name: value.astype(kind_of(self.entry))}

    def add(self, writer: GraphWriter, window: str) -> dict[str, str]:
        """Add the same to a graph; see ``Feed``."""
        picture = self.picture
        gain = writer.constant(np.ascontiguousarray(self.gain.T), "colour_gain")
        value = writer.add("MatMul", window, gain, hint="colours")
        offset = writer.constant(self.offset, "colour_offset")
        value = writer.add("Add", value, offset, hint="normalised")
        form = [-1, picture.height, picture.width, len(self.gain)]
        shape = writer.constant(np.array(form), "picture_shape")
        value = writer.add("Reshape", value, shape, hint="picture")
        value = writer.add("Transpose", value, perm=[0, 3, 1, 2], hint="planes")
        have = (picture.height, picture.width)
        value = add_resized(writer, value, have, (self.height, self.width))
        if not self.first:
            value = writer.add("Transpose", value, perm=[0, 2, 3, 1])
        return {self.entry.name: writer.add("Cast", value, to=self.entry.element)}

    def said(self) -> str:
        """Return what is done to a picture, for people."""
        picture = self.picture
        order = "channels first" if self.first else "channels last"
        size = f"{picture.height} x {picture.width} to {self.height} x {self.width}"
        black = float(self.offset[0])
        ends = black, black + _WHITE * float(self.gain[0].sum())
        return (
            f"the model is given {len(self.gain)} channels made of {self.gain.shape[1]}, {order}, "
            f"pictures of {size} pixels; in its first channel black is {ends[0]:.4g} and "
            f"white {ends[1]:.4g}"
        )


def picture_feed(
    inputs: tuple[ValueFacts, ...], how: Adoption, picture: Picture
) -> PictureFeed:
    """Return the feed of a model that takes pictures; layout and size from its input.

    Raises:
        ForeignUnfitError: naming what was found and what was expected.
    """
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        forms = ", ".join(f"{i.name!r} {list(i.shape)}" for i in inputs)
        msg = f"The model takes {forms}; {_EXPECTED}."
        raise ForeignUnfitError(msg)
    entry = inputs[0]
    first = _channels_first(entry, how, picture)
    _, a, b, c = entry.shape
    channels, *sides = (a, b, c) if first else (c, a, b)
    wanted = channels if isinstance(channels, int) else picture.colours
    mix = _mix(wanted, how, picture)
    mean, std = _per_channel(how.mean, wanted, 0.0), _per_channel(how.std, wanted, 1.0)
    if np.any(np.abs(mean) > how.scale):
        msg = f"The mean {mean.max():g} lies outside the pixels' range of 0 to {how.scale:g}."
        advice = "If it was counted in grey levels, say --scale 255."
        raise ForeignUnfitError(msg, advice=advice)
    height, width = _size(entry, sides, how, picture)
    return PictureFeed(
        entry=entry,
        picture=picture,
        first=first,
        gain=mix * (how.scale / _WHITE) / std[:, None],
        offset=0.0 - mean / std,
        height=height,
        width=width,
    )


def _channels_first(entry: ValueFacts, how: Adoption, picture: Picture) -> bool:
    known = {1, _COLOURS, picture.colours, picture.channels}
    first, last = entry.shape[1] in known, entry.shape[3] in known
    if how.layout:
        return how.layout == "channels-first"
    if not first and not last and isinstance(entry.shape[1], int):
        msg = f"The model's input {entry.name!r} has the form {list(entry.shape)}; {_EXPECTED}, with {', '.join(map(str, sorted(known)))} channels."
        raise ForeignUnfitError(msg)
    return first or not last


def _mix(wanted: int, how: Adoption, picture: Picture) -> Floats:
    """Return which of the picture's channels make each of the model's, [K, C]."""
    have, colours = picture.channels, picture.colours
    mix = np.zeros((wanted, have))
    if wanted in {have, colours}:
        mix[:, :wanted] = np.eye(wanted)
    elif wanted == _COLOURS and colours == 1:
        mix[:, 0] = 1.0
    elif wanted == 1 and colours == _COLOURS:
        mix[0, :_COLOURS] = _LUMA
    else:
        msg = f"The model takes pictures of {wanted} channels; the scenario's have {have}, {colours} of them the picture's own colours."
        raise ForeignUnfitError(msg)
    if how.bgr and colours == _COLOURS and wanted % _COLOURS == 0:
        turned = mix.reshape(-1, _COLOURS, have)[:, ::-1]
        mix = turned.reshape(wanted, have)
    return mix


def _per_channel(given: tuple[float, ...], wanted: int, default: float) -> Floats:
    values = given or (default,)
    if len(values) not in {1, wanted}:
        msg = f"{len(values)} numbers were given for mean or spread of pixels; one, or one for each of {wanted} channels, was expected."
        raise ForeignUnfitError(msg)
    return np.broadcast_to(np.array(values, np.float64), (wanted,)).copy()


def _size(
    entry: ValueFacts, sides: list[int | str | None], how: Adoption, picture: Picture
) -> tuple[int, int]:
    own = how.size or (picture.height, picture.width)
    found = [
        side if isinstance(side, int) else free
        for side, free in zip(sides, own, strict=True)
    ]
    if how.size and tuple(found) != how.size:
        msg = f"The model's input {entry.name!r} has the form {list(entry.shape)}, so pictures of {how.size[0]} x {how.size[1]} pixels do not fill it."
        raise ForeignUnfitError(msg)
    return found[0], found[1]


def weights_between(have: int, want: int) -> Floats:
    """Return the share of each old pixel in each new one along a side, [want, have]."""
    step = have / want
    reach = max(1.0, step)
    middle = (np.arange(want) + 0.5) * step
    away = np.abs(np.arange(have) + 0.5 - middle[:, None]) / reach
    weight = np.maximum(0.0, 1.0 - away)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def resized(value: Floats, want: tuple[int, int]) -> Floats:
    """Return planes [..., H, W] in another size."""
    for axis, (old, new) in enumerate(zip(value.shape[-2:], want, strict=True)):
        if old != new:
            weights = weights_between(old, new)
            value = weights @ value if axis == 0 else value @ weights.T
    return value


def add_resized(
    writer: GraphWriter, value: str, have: tuple[int, int], want: tuple[int, int]
) -> str:
    """Add the same to a graph; ``value`` is [..., H, W] in double."""
    if have[0] != want[0]:
        down = writer.constant(weights_between(have[0], want[0]), "rows_between")
        value = writer.add("MatMul", down, value, hint="rows_resized")
    if have[1] != want[1]:
        across = np.ascontiguousarray(weights_between(have[1], want[1]).T)
        value = writer.add(
            "MatMul", value, writer.constant(across, "columns_between"), hint="resized"
        )
    return value
