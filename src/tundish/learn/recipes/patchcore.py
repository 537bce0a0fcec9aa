"""The recipe ``patchcore``: how far each patch lies from the nearest patch of good parts.

Patches are described by a pretrained backbone (``learn.backbone``, ``patches``). Of the
good parts' descriptors a coreset is kept that leaves none far away (greedy k-centres on
a random sample); a patch's score is its distance to the nearest of them, a picture's the
largest of its smoothed map. Everything, backbone included, is one graph.

It finds what looks unlike anything in good parts: right for textures and for parts that
lie in the camera's view the same way each time. Where every good part has a layout of its
own (bare circuit boards), everything new looks unlike; use a reference there.

Source: K. Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import uniform_filter

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import backbone
from tundish.learn import recipe as recipes
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.recipe import Fitted, Options, Outputs, Promise
from tundish.learn.recipes.patches import Patches, scaled
from tundish.learn.recipes.picture_parts import (
    Overall,
    golden_picture,
    good_of,
    overall_of,
    picture_of,
    worst_lot,
)

LEAST = 10
_TINY = 1e-6


class PatchcoreOptions(Record):
    """Options of the recipe ``patchcore``.

    Attributes:
        blocks: Blocks of the backbone whose outputs describe a patch, rising.
        coreset: Number of descriptors kept.
        sample: Number of descriptors that the coreset is chosen from.
        map_blur_cells: Side (odd) over which the map is smoothed, in its cells.
    """

    blocks: tuple[Annotated[int, Field(ge=0, lt=backbone.BLOCKS)], ...] = (4, 10)
    coreset: Annotated[int, Field(ge=8, le=20_000)] = 1000
    sample: Annotated[int, Field(ge=8, le=200_000)] = 20_000
    map_blur_cells: Annotated[int, Field(ge=1, le=31)] = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inspector:
    """The trained estimator: NumPy's convolutions and distances in double precision."""

    patches: Patches
    bank: NDArray[np.float32]
    blur: int
    overall: Overall
    limit: float = 1.0

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows, float64."""
        return self.answers(self.patches.of(window), window)

    def answers(self, described: NDArray[np.float32], window: Windows) -> Outputs:
        """Return the outputs for windows whose patches are described."""
        found = self.maps(described) / self.limit
        return {
            "score": found.max(axis=1)[:, None],
            "map": found,
            "applicability": self.overall.of(window),
        }

    def maps(self, described: NDArray[np.float32]) -> Floats:
        """Return the smoothed distances, [N, cells]."""
        picture = self.patches.picture
        bank = self.bank.astype(np.float64)
        size = (bank**2).sum(axis=1)
        found = []
        for each in described.astype(np.float64):
            square = size - 2.0 * each @ bank.T
            least = square.min(axis=1) + (each**2).sum(axis=1)
            found.append(np.sqrt(np.maximum(least, _TINY)))
        cells = np.stack(found).reshape(-1, picture.map_height, picture.map_width)
        smooth = uniform_filter(cells, (1, self.blur, self.blur), mode="nearest")
        return np.asarray(smooth.reshape(len(cells), -1))


class PatchcoreRecipe:
    """Nearest patches of good parts; see the module."""

    name: Final = "patchcore"
    task: Final[Task] = "inspect"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Describe good parts, keep a coreset, calibrate; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, PatchcoreOptions, self.name)
        picture = picture_of(scenario)
        good = good_of(material.take(material.part != "judge"), scenario)
        fit, calibrate = good.needed("fit", 1), good.needed("calibrate", LEAST)
        blocks = tuple(sorted(set(chosen.blocks)))
        raw = Patches(
            picture=picture,
            blocks=blocks,
            held=backbone.weights(),
            scales=(1.0,) * len(blocks),
        )
        patches = scaled(raw, fit.x[:: max(1, len(fit) // 32)])
        described = patches.fast(fit.x)
        flat = described.reshape(-1, described.shape[2])
        few = rng.permutation(len(flat))[: chosen.sample]
        bank = coreset(flat[few], chosen.coreset)
        inspector = _Inspector(
            patches=patches,
            bank=bank,
            blur=chosen.map_blur_cells | 1,
            overall=overall_of(good),
        )
        scores = inspector.maps(patches.fast(calibrate.x)).max(axis=1)
        limit, promise = worst_lot(scores, calibrate.source, scenario)
        inspector = replace(inspector, limit=max(limit, _TINY))
        return _fitted(inspector, fit, promise)


def coreset(rows: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return rows such that none of the others lies far from the nearest kept one.

    Greedy k-centres: the next one kept is the one farthest from all kept so far, the
    first one the farthest from the mean (T. F. Gonzalez, Theor. Comput. Sci. 38 (1985) 293: at most
    twice the best possible distance).
    """
    if len(rows) <= size:
        return rows
    square = (rows.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    near = ((rows - rows.mean(axis=0)) ** 2).sum(axis=1)
    kept = []
    for turn in range(size):
        place = int(near.argmax())
        kept.append(place)
        away = square + square[place] - 2.0 * (rows @ rows[place])
        near = away if turn == 0 else np.minimum(near, away)
        near[place] = -1.0
    return np.asarray(rows[np.sort(kept)], dtype=np.float32)


def _write(inspector: _Inspector) -> bytes:
    patches = inspector.patches
    picture = patches.picture
    writer = GraphWriter(picture.height * picture.width, picture.channels)
    described = patches.add(writer)
    cells = _distance(writer, described, inspector.bank)
    form = np.array([-1, 1, picture.map_height, picture.map_width])
    whole = writer.add(
        "Reshape", cells, writer.constant(form, "map_form"), hint="whole"
    )
    half = inspector.blur // 2
    if half:
        # the rim is repeated outwards, as the estimator's filter does
        pads = writer.constant(np.array([0, 0, half, half] * 2), "rim")
        whole = writer.add("Pad", whole, pads, mode="edge", hint="with_rim")
        whole = writer.add("AveragePool", whole, kernel_shape=[inspector.blur] * 2)
    row = writer.constant(np.array([-1, patches.cells]), "map_row")
    flat = writer.add("Reshape", whole, row, hint="map_flat")
    limit = writer.constant(np.array(inspector.limit), "limit", single=True)
    scored = writer.add("Div", flat, limit, hint="map_scaled")
    outputs = {
        "score": writer.add("ReduceMax", scored, axes=[1], keepdims=1, hint="worst"),
        "map": scored,
        "applicability": inspector.overall.add(writer),
    }
    return writer.write(outputs, {"score": 1, "map": patches.cells, "applicability": 1})


def _distance(writer: GraphWriter, described: str, bank: NDArray[np.float32]) -> str:
    """Return the distance of each patch to the nearest of the bank, [N, cells].

    In double: a small distance is the difference of large squares.
    """
    described = writer.add("Cast", described, to=writer.DOUBLE, hint="exact")
    bank = bank.astype(np.float64)
    size = (bank**2).sum(axis=1)
    turned = writer.constant(np.ascontiguousarray(-2.0 * bank.T), "bank")
    product = writer.add("MatMul", described, turned, hint="against_bank")
    squares = writer.add("Add", product, writer.constant(size, "bank_size"))
    least = writer.add("ReduceMin", squares, axes=[2], keepdims=0, hint="nearest")
    own = writer.add("Mul", described, described, hint="own_square")
    last = writer.constant(np.array([2]), "last_axis")
    length = writer.add("ReduceSum", own, last, keepdims=0, hint="own_size")
    total = writer.add("Add", least, length, hint="distance_square")
    floor = writer.constant(np.array(_TINY), "distance_floor")
    root = writer.add("Sqrt", writer.add("Max", total, floor), hint="distance")
    return writer.add("Cast", root, to=writer.FLOAT, hint="distance_single")


def _fitted(inspector: _Inspector, fit: Material, promise: Promise) -> Fitted:
    envelope = recipes.envelope_of(fit, with_target=False)
    golden = golden_picture(envelope, fit.x.shape[1])
    return Fitted(
        recipe=PatchcoreRecipe.name,
        task="inspect",
        graph=_write(inspector),
        golden_window=golden,
        golden_outputs=recipes.as_float32(inspector(golden)),
        envelope=envelope,
        promise=promise,
        search=(),
        chosen=(
            {
                "blocks": inspector.patches.blocks,
                "coreset": len(inspector.bank),
                "map_blur_cells": inspector.blur,
            },
        ),
        thresholds={"distance_limit": inspector.limit},
        versions=recipes.versions("numpy", "onnx", "onnxruntime", backbone.PACKAGE),
        notes=(
            f"features of {backbone.NAME} (ImageNet weights, {backbone.LICENCE}, package "
            f"{backbone.PACKAGE}) at the blocks {list(inspector.patches.blocks)}",
            f"{len(inspector.bank)} patches of {len(fit)} good parts are kept",
        ),
        reference=inspector,
    )
