"""The graph of a comparison with a reference: find the shift, dilate both, subtract."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.tasks import Picture
from tundish.learn.graph import GraphWriter
from tundish.learn.recipes.picture_parts import Overall, add_planes


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What decides how two pictures are compared; see ``template.TemplateOptions``.

    Attributes:
        noise: Differences up to it are the camera's, in grey levels.
        limit: Residual at which a part is bad.
    """

    picture: Picture
    shift: int
    tolerance: int
    blur: int
    map_blur: int
    noise: float = 0.0
    limit: float = 1.0

    @property
    def stride(self) -> int:
        """Every so manieth pixel is looked at to find the shift."""
        return max(1, round(math.sqrt(self.picture.height * self.picture.width) / 40))

    @property
    def shifts(self) -> list[tuple[int, int]]:
        """Shifts (down, right) in the padded reference, the smallest first."""
        span = range(-self.shift, self.shift + 1)
        each = [(a, b) for a in span for b in span]
        each.sort(key=lambda move: (move[0] ** 2 + move[1] ** 2, move))
        return [(a + self.shift, b + self.shift) for a, b in each]


def write_graph(how: Comparison, overall: Overall) -> bytes:
    """Return the ONNX graph of score, map and applicability."""
    picture = how.picture
    writer = GraphWriter(picture.height * picture.width, picture.channels)
    both = add_planes(writer, picture)
    own = _colours(writer, both, 0, picture.colours)
    reference = _colours(writer, both, picture.colours, picture.channels)
    fitted = _aligned(writer, own, reference, how)
    cells = _cells(writer, own, fitted, how)
    limit = writer.constant(np.array(how.limit), "limit", single=True)
    scaled = writer.add("Div", cells, limit, hint="scaled")
    worst = writer.add("ReduceMax", scaled, axes=[1, 2, 3], keepdims=0, hint="worst")
    column = writer.constant(np.array([-1, 1]), "column")
    row = writer.constant(np.array([-1, picture.map_height * picture.map_width]), "row")
    smooth = _mean(writer, scaled, how.map_blur)
    outputs = {
        "score": writer.add("Reshape", worst, column, hint="score_of"),
        "map": writer.add("Reshape", smooth, row, hint="map_of"),
        "applicability": overall.add(writer),
    }
    widths = {
        "score": 1,
        "map": picture.map_height * picture.map_width,
        "applicability": 1,
    }
    return writer.write(outputs, widths)


def _colours(writer: GraphWriter, both: str, first: int, end: int) -> str:
    places = writer.constant(np.arange(first, end), "which_colours")
    return writer.add("Gather", both, places, axis=1, hint="colours")


def _aligned(writer: GraphWriter, own: str, reference: str, how: Comparison) -> str:
    """Return the reference where it fits best, [N, colours, H, W].

    A pixel of the padded reference is known by its place in reading order; a shift adds
    the same number to all of them.
    """
    picture, margin = how.picture, how.shift
    wide = picture.width + 2 * margin
    pads = writer.constant(np.array([0, 0, margin, margin] * 2), "pads")
    padded = writer.add("Pad", reference, pads, mode="edge", hint="padded")
    best = _best(writer, own, padded, how)
    flat = writer.constant(np.array([0, picture.colours, -1]), "flat_planes")
    around = writer.add("Reshape", padded, flat, hint="padded_flat")
    pixels = writer.add("Transpose", around, perm=[0, 2, 1], hint="padded_pixels")
    places = _grid(picture.height, picture.width, 1, wide).reshape(1, -1, 1)
    moved = writer.add("Add", writer.constant(places, "pixels"), best, hint="moved")
    taken = writer.add("GatherND", pixels, moved, batch_dims=1, hint="taken")
    form = [-1, picture.height, picture.width, picture.colours]
    shape = writer.constant(np.array(form), "fitted_shape")
    whole = writer.add("Reshape", taken, shape, hint="fitted_whole")
    return writer.add("Transpose", whole, perm=[0, 3, 1, 2], hint="fitted")


def _best(writer: GraphWriter, own: str, padded: str, how: Comparison) -> str:
    """Return what the best shift adds to a pixel's place, int64 [N, 1, 1].

    Summed in double: whole grey values then have exact sums, and equal costs stay equal.
    """
    picture, step = how.picture, how.stride
    wide = picture.width + 2 * how.shift
    row = writer.constant(np.array([0, -1]), "grey_row")

    def grey(value: str) -> str:
        double = writer.add("Cast", value, to=writer.DOUBLE, hint="double")
        mean = writer.add("ReduceMean", double, axes=[1], keepdims=0, hint="grey")
        return writer.add("Reshape", mean, row, hint="grey_flat")

    seen = _grid(picture.height, picture.width, step, picture.width)
    there = _grid(picture.height, picture.width, step, wide)
    moves = np.array([a * wide + b for a, b in how.shifts], dtype=np.int64)
    moves_of = writer.constant(moves, "moves")
    column = writer.constant(np.array([1]), "move_axis")
    down = writer.add("Unsqueeze", moves_of, column, hint="moves_down")
    places = writer.add("Add", down, writer.constant(there, "looked_at"), hint="looked")
    others = writer.add("Gather", grey(padded), places, axis=1, hint="others")
    pixels = writer.add(
        "Gather", grey(own), writer.constant(seen, "own_pixels"), axis=1, hint="own"
    )
    single = writer.add("Unsqueeze", pixels, column, hint="own_each")
    off = writer.add("Abs", writer.add("Sub", single, others, hint="apart"))
    last = writer.constant(np.array([2]), "pixel_axis")
    cost = writer.add("ReduceSum", off, last, keepdims=0, hint="cost")
    place = writer.add("ArgMin", cost, axis=1, keepdims=1, hint="best")
    return writer.add(
        "Gather", moves_of, writer.add("Unsqueeze", place, column), axis=0, hint="move"
    )


def _grid(height: int, width: int, step: int, wide: int) -> NDArray[np.int64]:
    """Return the places of every so manieth pixel in a picture of another width."""
    rows, columns = np.arange(0, height, step), np.arange(0, width, step)
    places = rows[:, None] * wide + columns
    return places.reshape(-1).astype(np.int64)


def _cells(writer: GraphWriter, own: str, reference: str, how: Comparison) -> str:
    """Return the largest residual of each cell, [N, 1, map height, map width]."""
    terms = []
    for one, other in ((own, reference), (reference, own)):
        lightest = _most(writer, other, how.tolerance)
        darkest = writer.add(
            "Neg", _most(writer, writer.add("Neg", other), how.tolerance)
        )
        over = writer.add("Sub", one, lightest, hint="too_light")
        under = writer.add("Sub", darkest, one, hint="too_dark")
        terms += [writer.add("Relu", over), writer.add("Relu", under)]
    off = writer.add("Sum", *terms, hint="off")
    worst = writer.add("ReduceMax", off, axes=[1], keepdims=1, hint="worst_colour")
    noise = writer.constant(np.array(how.noise), "noise", single=True)
    above = writer.add("Relu", writer.add("Sub", worst, noise, hint="above_noise"))
    mean = _mean(writer, above, how.blur)
    picture = how.picture
    cell = [
        picture.height // picture.map_height,
        picture.width // picture.map_width,
    ]
    return writer.add("MaxPool", mean, kernel_shape=cell, strides=cell, hint="cells")


def _most(writer: GraphWriter, value: str, distance: int) -> str:
    if distance == 0:
        return value
    side = 2 * distance + 1
    return writer.add(
        "MaxPool",
        value,
        kernel_shape=[side, side],
        pads=[distance] * 4,
        hint="most",
    )


def _mean(writer: GraphWriter, value: str, side: int) -> str:
    if side == 1:
        return value
    pad = side // 2
    return writer.add(
        "AveragePool",
        value,
        kernel_shape=[side, side],
        pads=[pad] * 4,
        count_include_pad=1,
        hint="mean",
    )
