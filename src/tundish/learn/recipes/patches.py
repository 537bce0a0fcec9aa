"""Descriptors of patches: features of a pretrained backbone, one row for each cell of the map.

Two levels of the backbone are averaged over 3 x 3 neighbours, brought to the size of the
map by means or repetition, scaled to a like spread, and put side by side (K. Roth et al.,
"Towards total recall in industrial anomaly detection", CVPR 2022, section 3.1). Where
the scenario has a reference, the descriptor is the difference of picture and reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.tasks import Picture
from tundish.learn import backbone
from tundish.learn.backbone import Planes
from tundish.learn.errors import OptionsInvalidError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Windows
from tundish.learn.recipes.picture_parts import add_planes, planes
from tundish.model.session import evaluate

_STRIDES = (2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32, 32, 32, 32)
_BATCH = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """How patches are described.

    Attributes:
        picture: Form of the pictures.
        blocks: Blocks of the backbone, rising.
        held: Its weights.
        scales: What each level is divided by.
    """

    picture: Picture
    blocks: tuple[int, ...]
    held: dict[str, Planes]
    scales: tuple[float, ...]

    @property
    def cells(self) -> int:
        """Number of cells of the map."""
        return self.picture.map_height * self.picture.map_width

    def of(self, x: Windows) -> NDArray[np.float32]:
        """Return the descriptors by NumPy, [N, cells, D]: the estimator's."""
        return np.stack([self._one(each) for each in planes(x, self.picture)])

    def fast(self, x: Windows) -> NDArray[np.float32]:
        """Return the descriptors by the graph, for training."""
        graph = self.graph()
        parts = [
            evaluate(graph, x[first : first + _BATCH])["patches"]
            for first in range(0, len(x), _BATCH)
        ]
        return np.concatenate(parts).reshape(len(x), self.cells, -1)

    def graph(self) -> bytes:
        """Return a graph that gives the descriptors, as one row for each picture."""
        picture = self.picture
        writer = GraphWriter(picture.height * picture.width, picture.channels)
        flat = writer.constant(np.array([0, -1]), "row")
        row = writer.add("Reshape", self.add(writer), flat, hint="patches_row")
        return writer.write({"patches": row}, {"patches": None})

    def add(self, writer: GraphWriter) -> str:
        """Add the descriptors to a graph, [N, cells, D] in float32."""
        picture = self.picture
        both = add_planes(writer, picture)
        own = self._described(writer, both, 0)
        if not picture.reference:
            return own
        other = self._described(writer, both, picture.colours)
        return writer.add("Sub", own, other, hint="unlike_reference")

    def _described(self, writer: GraphWriter, both: str, first: int) -> str:
        picture = self.picture
        grey = picture.colours == 1
        which = np.full(3, first) if grey else np.arange(first, first + 3)
        places = writer.constant(which, "which_colours")
        colours = writer.add("Gather", both, places, axis=1, hint="three_colours")
        form = (colours, picture.height, picture.width)
        levels = backbone.add_to(writer, form, self.held, self.blocks)
        parts = [
            self._level(writer, level, place) for place, level in enumerate(levels)
        ]
        joined = (
            writer.add("Concat", *parts, axis=1, hint="levels")
            if len(parts) > 1
            else parts[0]
        )
        shape = writer.constant(np.array([0, 0, self.cells]), "cells_shape")
        flat = writer.add("Reshape", joined, shape, hint="cells")
        return writer.add("Transpose", flat, perm=[0, 2, 1], hint="described")

    def _level(self, writer: GraphWriter, value: str, place: int) -> str:
        mean = writer.add(
            "AveragePool", value, kernel_shape=[3, 3], pads=[1] * 4, hint="around"
        )
        smaller, larger = self._steps(place)
        if smaller != (1, 1):
            mean = writer.add(
                "AveragePool", mean, kernel_shape=list(smaller), strides=list(smaller)
            )
        if larger != (1, 1):
            scales = writer.constant(
                np.array([1.0, 1.0, *larger]), "larger", single=True
            )
            mean = writer.add(
                "Resize", mean, "", scales, mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )  # fmt: skip
        scale = writer.constant(
            np.array(self.scales[place]), "level_scale", single=True
        )
        return writer.add("Div", mean, scale, hint="level")

    def _steps(self, place: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return by how much a level is made smaller, and larger, to fit the map."""
        picture, stride = self.picture, _STRIDES[self.blocks[place]]
        sizes = (
            (picture.height, picture.map_height),
            (picture.width, picture.map_width),
        )
        smaller, larger = [], []
        for pixels, cells in sizes:
            have = pixels // stride
            if pixels % stride or (have % cells and cells % have):
                msg = f"A map of {picture.map_height} x {picture.map_width} cells does not fit a level of {have} cells of the backbone."
                raise OptionsInvalidError(msg)
            smaller.append(max(1, have // cells))
            larger.append(max(1, cells // have))
        return (smaller[0], smaller[1]), (larger[0], larger[1])

    def _one(self, both: NDArray[np.floating]) -> NDArray[np.float32]:
        colours = self.picture.colours
        own = self._numpy(both[:colours].astype(np.float32))
        if not self.picture.reference:
            return own
        return own - self._numpy(both[colours:].astype(np.float32))

    def _numpy(self, x: Planes) -> Planes:
        parts = []
        levels = backbone.features(x, self.held, self.blocks)
        for place, level in enumerate(levels):
            mean = _around(level)
            (down, across), (tall, wide) = self._steps(place)
            depth, height, width = mean.shape
            mean = mean.reshape(depth, height // down, down, width // across, across)
            mean = mean.mean(axis=(2, 4)).repeat(tall, axis=1).repeat(wide, axis=2)
            parts.append(mean.reshape(depth, -1) / self.scales[place])
        return np.concatenate(parts).T.astype(np.float32)


def scaled(patches: Patches, x: Windows) -> Patches:
    """Return the same descriptors with each level divided by its spread over pictures."""
    found = patches.fast(x).astype(np.float64)
    at, scales = 0, []
    for place in range(len(patches.blocks)):
        many = _width(patches, place)
        scales.append(max(float(found[..., at : at + many].std()), 1e-6))
        at += many
    return replace(patches, scales=tuple(scales))


def _width(patches: Patches, place: int) -> int:
    return len(patches.held[f"{patches.blocks[place]}.project.b"])


def _around(level: Planes) -> Planes:
    """Return means over 3 x 3 neighbours; those outside are not counted."""
    wide = np.pad(level.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    one = np.pad(np.ones(level.shape[1:]), 1)
    height, width = level.shape[1:]
    total, count = np.zeros(level.shape), np.zeros(level.shape[1:])
    for down in range(3):
        for right in range(3):
            total += wide[:, down : down + height, right : right + width]
            count += one[down : down + height, right : right + width]
    return np.asarray(total / count, dtype=np.float32)
