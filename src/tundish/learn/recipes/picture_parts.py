"""What recipes for pictures share: planes in a graph, and how unusual a picture is overall.

A window [N, pixels, channels] becomes planes [N, channels, height, width].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Picture
from tundish.learn import calibration
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.graph import INPUT, GraphWriter
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.recipe import Envelope, Promise, golden_window

GREY_LEVELS = 8.0
MARGIN = 0.5
_FEW_LOTS = 10
_VARIANCE_FLOOR = 1e-6


def picture_of(scenario: Scenario) -> Picture:
    """Return the form of the scenario's pictures.

    Raises:
        MaterialUnfitError: if it has none.
    """
    if scenario.picture is None:
        msg = f"The scenario {scenario.key} has no pictures."
        raise MaterialUnfitError(msg)
    return scenario.picture


def planes(x: NDArray[np.floating], picture: Picture) -> NDArray[np.floating]:
    """Return windows [N, H * W, C] as planes [N, C, H, W]."""
    whole = x.reshape(len(x), picture.height, picture.width, picture.channels)
    return whole.transpose(0, 3, 1, 2)


def add_planes(writer: GraphWriter, picture: Picture) -> str:
    """Add the same to a graph, in float32."""
    form = [-1, picture.height, picture.width, picture.channels]
    shape = writer.constant(np.array(form), "picture_shape")
    whole = writer.add("Reshape", INPUT, shape, hint="picture")
    return writer.add("Transpose", whole, perm=[0, 3, 1, 2], hint="planes")


def good_of(material: Material, scenario: Scenario) -> Material:
    """Return the good parts of a material."""
    if not scenario.classes:
        return material.take(material.y == 0)
    good = np.array([item.good for item in scenario.classes])
    return material.take(good[material.y.astype(np.int64)])


def golden_picture(envelope: Envelope, rows: int) -> Windows:
    """Return one picture of training statistics: stripes of mean and one spread either side.

    A plain grey would leave most of the graph idle, and the golden check blind to it.
    """
    levels = golden_window(envelope, 1)[:, 0]
    stripes = levels[(np.arange(rows) // 5 + np.arange(rows) // 97) % len(levels)]
    return np.asarray(np.clip(stripes, 0, 255)[None], dtype=np.float32)


def worst_lot(
    scores: Floats, lots: NDArray[np.str_], scenario: Scenario
) -> tuple[float, Promise]:
    """Return the limit that the good parts of no lot exceed at more than the scenario's rate.

    Pictures of one lot resemble each other, and the next lot is another one: it is a lot
    that must be like those seen, not a picture. So each lot of the calibrate part has
    its own conformal limit, and the largest counts. With few lots that is a guess about
    the next; the promise counts the pictures of the smallest lot and says so.

    Args:
        scores: Of good parts of the calibrate part, [n].
        lots: The lot of each, [n].
        scenario: Its alarm rate is asked for.
    """
    limits = [
        calibration.alarm(scores[lots == lot], scenario) for lot in np.unique(lots)
    ]
    largest = max(limit.limit for limit, _ in limits)
    _, promise = max(limits, key=lambda item: item[1].promised)
    note = (
        f"at most {promise.promised:.2%} of good parts are called bad: the largest limit "
        f"of {len(limits)} lots of the calibrate part ({len(scores)} good parts)"
    )
    if len(limits) < _FEW_LOTS:
        note += (
            f"; {len(limits)} lots say little of the next one, which the judge checks"
        )
    return largest, promise.model_copy(update={"note": note, "per_week": None})


@dataclass(frozen=True, kw_only=True)
class Overall:
    """Brightness and contrast of each channel: are pictures taken as in training?

    A lamp that fails, a lens out of focus or an empty holder change the whole picture;
    a defect is small. A picture whose mean or spread lies outside the range of the good
    parts seen, widened, is not judged.

    Attributes:
        middle, half: Of the mean, then of the standard deviation, of each channel, in
            grey levels, [2 C].
    """

    middle: Floats
    half: Floats

    def of(self, x: Windows) -> Floats:
        """Return how far pictures lie from those of training, 1 at the edge, [N, 1]."""
        off = np.abs(_overall(x) - self.middle) / self.half
        return np.asarray(off.max(axis=1))[:, None]

    def add(self, writer: GraphWriter) -> str:
        """Add the same to a graph."""
        raw = writer.window()
        mean = writer.add("ReduceMean", raw, axes=[1], keepdims=1, hint="brightness")
        off = writer.add("Sub", raw, mean, hint="from_brightness")
        square = writer.add("Mul", off, off, hint="off_square")
        variance = writer.add("ReduceMean", square, axes=[1], keepdims=0)
        floor = writer.constant(np.array(_VARIANCE_FLOOR), "variance_floor")
        spread = writer.add("Sqrt", writer.add("Add", variance, floor), hint="contrast")
        axes = writer.constant(np.array([1]), "pixel_axis")
        flat = writer.add("Squeeze", mean, axes, hint="brightness_flat")
        both = writer.add("Concat", flat, spread, axis=1, hint="overall")
        middle = writer.constant(self.middle, "overall_middle")
        half = writer.constant(self.half, "overall_half")
        away = writer.add("Abs", writer.add("Sub", both, middle, hint="overall_off"))
        share = writer.add("Div", away, half, hint="overall_share")
        return writer.add("ReduceMax", share, axes=[1], keepdims=1, hint="unusual")


def overall_of(seen: Material) -> Overall:
    """Return the range of brightness and contrast that good parts had."""
    each = _overall(seen.x)
    low, high = each.min(axis=0), each.max(axis=0)
    half = (high - low) * (0.5 + MARGIN) + GREY_LEVELS
    return Overall(middle=(low + high) / 2.0, half=half)


def _overall(x: Windows) -> Floats:
    found = np.empty((len(x), 2 * x.shape[2]))
    for i, each in enumerate(x):
        values = each.astype(np.float64)
        found[i] = [
            *values.mean(axis=0),
            *np.sqrt(values.var(axis=0) + _VARIANCE_FLOOR),
        ]
    return found
