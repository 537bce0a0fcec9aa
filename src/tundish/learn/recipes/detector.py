"""What all detectors of this folder do alike: shares of channels, limit, ``Fitted``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Option, Scenario
from tundish.learn import calibration
from tundish.learn import recipe as recipes
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.recipe import Fitted, Outputs
from tundish.learn.recipes.rows import RowColumns

BATCH = 2048
TINY = 1e-12
_HIGH = 0.99
_OPTIMISM = 3.0  # a model scores its own windows lower: at 3 vectors a column by 2.25


class Model(Protocol):
    """A trained detector: computes scores without the graph's matrices."""

    @property
    def columns(self) -> RowColumns:
        """How rows are read."""
        ...

    def raw_score(self, window: Windows) -> Floats:
        """Return the score of windows before the limit, [N]; never negative."""
        ...

    def parts(self, window: Windows) -> Floats:
        """Return what each channel adds, never negative, [N, C]."""
        ...

    def add(self, writer: GraphWriter, raw: str) -> tuple[str, str]:
        """Add score [N, 1] and parts [N, C] to a graph, both in double."""
        ...


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A model with its limit: the trained estimator."""

    model: Model
    limit: float

    def __call__(self, window: NDArray[np.float32]) -> Outputs:
        """Return the outputs for windows, float64."""
        batches = [
            self._answer(window[first : first + BATCH])
            for first in range(0, len(window), BATCH)
        ]
        return {
            name: np.concatenate([batch[name] for batch in batches])
            for name in batches[0]
        }

    def _answer(self, window: NDArray[np.float32]) -> dict[str, Floats]:
        parts = self.model.parts(window) / self.limit + TINY
        return {
            "score": self.model.raw_score(window)[:, None] / self.limit,
            "contribution": parts / parts.sum(axis=1, keepdims=True),
            "applicability": self.model.columns.reach.of(window),
        }

    def graph(self) -> bytes:
        """Return the ONNX graph of the same."""
        columns = self.model.columns
        channels = len(columns.names)
        writer = GraphWriter(columns.rows, channels)
        raw = writer.window()
        score, parts = self.model.add(writer, raw)
        limit = writer.constant(np.array([self.limit]), "limit")
        floor = writer.constant(np.array([TINY]), "floor")
        over = writer.add("Div", parts, limit, hint="over_limit")
        above = writer.add("Add", over, floor, hint="by_channel")
        total = writer.sum_last(above, "share_total")
        outputs = {
            "score": writer.add("Div", score, limit, hint="score_of_limit"),
            "contribution": writer.add("Div", above, total, hint="shares"),
            "applicability": columns.reach.add(writer),
        }
        widths = {"score": 1, "contribution": channels, "applicability": 1}
        return writer.write(outputs, widths)


@dataclass(frozen=True, kw_only=True)
class Normal:
    """The normal windows of the parts that training may see."""

    fit: Material
    calibrate: Material
    notes: tuple[str, ...]

    @classmethod
    def of(cls, material: Material, least: int = 10) -> Self:
        """Leave out marked events, which are no example of normal.

        Raises:
            PartMissingError: if the part fit or calibrate has too few windows.
        """
        normal = material.take(material.event < 0)
        notes = []
        for part in ("fit", "calibrate"):
            inside = (material.part == part) & (material.event >= 0)
            if inside.any():
                notes.append(
                    f"{np.count_nonzero(inside)} windows of the part {part} lie in "
                    "marked events and were left out"
                )
        return cls(
            fit=normal.needed("fit", least),
            calibrate=normal.needed("calibrate", 2),
            notes=tuple(notes),
        )


def batched(score: Callable[[Windows], Floats], x: Windows) -> Floats:
    """Return the scores of many windows, [N], a batch at a time."""
    return np.concatenate(
        [score(x[first : first + BATCH]) for first in range(0, len(x), BATCH)]
    )


def finish(  # noqa: PLR0913  (what a recipe hands over)
    recipe: str,
    model: Model,
    normal: Normal,
    scenario: Scenario,
    *,
    chosen: dict[str, Option],
    notes: tuple[str, ...],
    libraries: tuple[str, ...] = ("numpy", "onnx"),
) -> Fitted:
    """Calibrate the limit on the calibrate part and return what the recipe made."""
    scores = batched(model.raw_score, normal.calibrate.x)
    limit, promise = calibration.alarm(scores, scenario, cautious=True)
    detector = Detector(model=model, limit=max(limit.limit, TINY))
    notes = (*notes, *_unlike(model, normal, scores))
    envelope = recipes.envelope_of(normal.fit, with_target=False)
    golden = recipes.golden_window(envelope, normal.fit.x.shape[1])
    return Fitted(
        recipe=recipe,
        task="anomaly",
        graph=detector.graph(),
        golden_window=golden,
        golden_outputs=recipes.as_float32(detector(golden)),
        envelope=envelope,
        promise=promise,
        search=(),
        chosen=(chosen,),
        thresholds={"limit": detector.limit},
        versions=recipes.versions(*libraries),
        notes=(*notes, *normal.notes, *model.columns.notes()),
        reference=detector,
    )


def _unlike(model: Model, normal: Normal, scores: Floats) -> list[str]:
    """Say so if the calibrate part is in another state than the fit part."""
    usual = float(np.quantile(batched(model.raw_score, normal.fit.x), _HIGH))
    median = float(np.median(scores))
    if median <= _OPTIMISM * usual:
        return []
    return [
        f"the calibrate part is unlike the fit part: half of its windows score {median / max(usual, TINY):.3g} "
        f"times what {_HIGH:.0%} of the fit part stay under or more, and the limit lies higher still; faults smaller "
        "than this difference are not seen. Let both parts hold all states of the plant"
    ]


def by_channel(parts: Floats, owner: Indices, channels: int) -> Floats:
    """Return the sums of the columns of each channel, [N, C]."""
    found = np.zeros((len(parts), channels))
    np.add.at(found.T, owner, parts.T)
    return found


def add_by_channel(
    writer: GraphWriter, parts: str, owner: Indices, channels: int
) -> str:
    """Add the same to a graph."""
    belongs = np.zeros((len(owner), channels))
    belongs[np.arange(len(owner)), owner] = 1.0
    return writer.add("MatMul", parts, writer.constant(belongs, "belongs"))


def root_of(matrix: Floats) -> Floats:
    """Return the symmetric root of a matrix that is never negative, [F, F]."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
