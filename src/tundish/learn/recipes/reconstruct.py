"""The recipe ``reconstruct``: a small network that must give back what it is shown.

An autoencoder learns to press a block of rows through a narrow middle and to give it
back; what it cannot give back is unusual. Unlike principal components it can bend with
the plant (a power curve, a pump curve). Each column's error is scaled by its own spread
on windows that training did not see, else the columns that no model can predict would
speak loudest. The errors of all blocks of the window are averaged.

Noise is added to what is shown and not to what is asked for (denoising), so that copying
does not pay. Training stops at the best epoch on the newest fifth of the fit part. The
network is small on purpose: tabular plant data seldom feeds a large one.

Needs PyTorch (extra ``deep``) for training only; the graph is made of the trained
numbers and runs without it.

Sources: M. A. Kramer, AIChE J. 37 (1991) 233 (autoassociative networks); P. Vincent et
al., J. Machine Learning Research 11 (2010) 3371 (denoising).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.recipe import Fitted, Options
from tundish.learn.recipes.detector import Normal, add_by_channel, by_channel, finish
from tundish.learn.recipes.mahalanobis import block_size
from tundish.learn.recipes.passes import Steps, alone, best_pass, numbers, passes
from tundish.learn.recipes.rows import (
    RowColumns,
    add_blocks,
    add_centred,
    block_rows,
    fit_columns,
    vectors_of,
)

_BATCH = 64
_RATE = 2e-3
_LEAST_SPREAD = 1e-3
_HELD_OUT = 5


class ReconstructOptions(Record):
    """Options of the recipe ``reconstruct``.

    Attributes:
        lags: Earlier rows beside each row; None: as many as the data support.
        middle: Width of the narrow middle; None: a quarter of the columns of a block.
        epochs: Most passes over the fit part.
        noise: Standard deviations of noise on what is shown.
    """

    lags: int | None = Field(default=None, ge=0, le=1000)
    middle: int | None = Field(default=None, ge=1, le=512)
    epochs: int = Field(default=60, ge=1, le=2000)
    noise: float = Field(default=0.1, ge=0, le=2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """Weights [in, out] and offsets [out] of one layer."""

    weight: Floats
    offset: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkModel:
    """See the module and ``detector.Model``.

    Attributes:
        columns: How rows are read.
        rows: Rows of each block, [B, size].
        layers: The network; all but the last bend by tanh.
        spread: Root mean square error of each column of a block where unseen.
    """

    columns: RowColumns
    rows: np.ndarray
    layers: tuple[Layer, ...]
    spread: Floats

    def raw_score(self, window: Windows) -> Floats:
        """Return the mean squared error over its spread, [N]."""
        return np.asarray(self._squares(window).sum(axis=1))

    def parts(self, window: Windows) -> Floats:
        """Return the sums of each channel's errors, [N, C]."""
        owner = np.tile(self.columns.owner, self.rows.shape[1])
        return by_channel(self._squares(window), owner, len(self.columns.names))

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        """Add score and parts to a graph."""
        columns, size = self.columns, self.rows.shape[1]
        centred = add_centred(writer, raw, columns)
        q = add_blocks(writer, centred, self.rows, (columns.rows, columns.width))
        std = np.tile(columns.std, size)
        scale = writer.constant(1.0 / (std * self.spread), "over_usual_error")
        told = writer.add("Mul", q, scale, hint="told")
        off = writer.add("Sub", told, self._add_given(writer, q, std), hint="off")
        square = writer.add("Mul", off, off, hint="square")
        share = writer.add("ReduceMean", square, axes=[1], keepdims=0, hint="share")
        owner = np.tile(columns.owner, size)
        parts = add_by_channel(writer, share, owner, len(columns.names))
        return writer.sum_last(share, "error"), parts

    def _add_given(self, writer: GraphWriter, q: str, std: Floats) -> str:
        """Add what the network gives back of blocks, over the usual error, [N, B, F].

        In float32, as it was trained: tanh keeps every value between the layers within
        one, so that nothing large cancels; what is left over is found in double.
        """
        count, width = len(self.rows), len(std)
        long = writer.constant(np.array([-1, width]), "rows_shape")  # for one product
        given = writer.add("Cast", writer.add("Reshape", q, long), to=writer.FLOAT)
        for layer in self.layers:
            weight, offset = layer.weight, layer.offset
            if layer is self.layers[0]:
                weight = weight / std[:, None]
            if layer is self.layers[-1]:
                weight, offset = weight / self.spread, offset / self.spread
            by = writer.constant(weight, "weight", single=True)
            given = writer.add("MatMul", given, by)
            given = writer.add(
                "Add", given, writer.constant(offset, "offset", single=True)
            )
            if layer is not self.layers[-1]:
                given = writer.add("Tanh", given)
        exact = writer.add("Cast", given, to=writer.DOUBLE, hint="given_back")
        shape = writer.constant(np.array([-1, count, width]), "given_shape")
        return writer.add("Reshape", exact, shape)

    def _squares(self, window: Windows) -> Floats:
        z = self.columns.of(window)
        q = z[:, self.rows].reshape(len(z), len(self.rows), -1)
        off = (q - given_back(self.layers, q)) / self.spread
        return np.asarray(np.mean(off**2, axis=1))


class ReconstructRecipe:
    """A small autoencoder; see the module."""

    name: Final = "reconstruct"
    task: Final[Task] = "anomaly"
    simplicity: Final = 3
    needs: Final = "torch"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,
    ) -> Fitted:
        """Train the network and calibrate the limit; see ``Recipe.fit``.

        Raises:
            ModuleNotFoundError: if PyTorch is not installed; the CLI names the extra.
        """
        chosen = recipes.read_options(options, ReconstructOptions, self.name)
        normal = Normal.of(material)
        columns = fit_columns(normal.fit.x, scenario)
        rows = scenario.window.rows
        size = block_size(normal.fit, rows, columns.width, chosen.lags)
        vectors = vectors_of(normal.fit, columns, size)
        middle = chosen.middle or max(1, vectors.shape[1] // 4)
        held = max(1, len(vectors) // _HELD_OUT)
        seen, unseen = vectors[:-held], vectors[-held:]
        layers, epoch = _train(seen, unseen, middle, chosen, int(rng.integers(2**31)))
        error = np.sqrt(np.mean((unseen - given_back(layers, unseen)) ** 2, axis=0))
        model = NetworkModel(
            columns=columns,
            rows=block_rows(rows, size, size),
            layers=layers,
            spread=np.maximum(error, _LEAST_SPREAD),
        )
        return finish(
            self.name,
            model,
            normal,
            scenario,
            chosen={"lags": size - 1, "middle": middle, "epochs": epoch},
            notes=(
                f"{vectors.shape[1]} columns through {middle}; best after {epoch} of "
                f"{chosen.epochs} passes over {len(seen)} vectors",
            ),
            libraries=("numpy", "onnx", "torch"),
        )


def given_back(layers: tuple[Layer, ...], q: Floats) -> Floats:
    """Return what the network makes of blocks, [..., F]."""
    given = q
    for layer in layers:
        given = given @ layer.weight + layer.offset
        if layer is not layers[-1]:
            given = np.tanh(given)
    return given


def _train(
    seen: Floats, unseen: Floats, middle: int, options: ReconstructOptions, seed: int
) -> tuple[tuple[Layer, ...], int]:
    """Return the layers of the best pass on unseen vectors, and its number."""
    width = seen.shape[1]
    sizes = (width, max(2 * middle, 2), middle, max(2 * middle, 2), width)
    with alone() as torch:
        draw = torch.Generator().manual_seed(seed)
        weights = [
            (torch.randn(a, b, generator=draw) / a**0.5).requires_grad_()
            for a, b in pairwise(sizes)
        ]
        offsets = [torch.zeros(size, requires_grad=True) for size in sizes[1:]]
        shown = torch.from_numpy(seen.astype(np.float32))
        held = torch.from_numpy(unseen.astype(np.float32))

        def run(value: Any) -> Any:  # noqa: ANN401 -- tensors of an optional library
            for weight, offset in zip(weights, offsets, strict=True):
                value = value @ weight + offset
                value = value if weight is weights[-1] else torch.tanh(value)
            return value

        def loss(places: Any) -> Any:  # noqa: ANN401
            clean = shown[places]
            noise = torch.randn(clean.shape, generator=draw) * options.noise
            return torch.mean((run(clean + noise) - clean) ** 2)

        def held_loss() -> float:
            with torch.no_grad():
                return float(torch.mean((run(held) - held) ** 2))

        steps = Steps(rate=_RATE, batch=_BATCH, most=options.epochs)
        done = passes(torch, [*weights, *offsets], loss, len(shown), draw, steps)
        return best_pass(
            done, held_loss, lambda: _layers(weights, offsets), patience=options.epochs
        )


def _layers(weights: list[Any], offsets: list[Any]) -> tuple[Layer, ...]:
    return tuple(
        Layer(weight=numbers(weight), offset=numbers(offset))
        for weight, offset in zip(weights, offsets, strict=True)
    )
