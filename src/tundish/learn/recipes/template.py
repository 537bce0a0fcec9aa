"""The recipe ``template``: each picture against the picture that it should look like.

The reference (the golden board at the same place) is shifted to where it fits the
picture best; what is lighter than the lightest or darker than the darkest reference
pixel within a small distance, or the other way round, is a difference that no shift of
an edge explains. Its mean over a small square is the residual; the largest residual over
its limit is the score. Distance, square and the noise of the camera are learnt: noise
from good parts of fit, distance and square from the select part if it holds good and bad
parts (else the first ones given), the limit from good parts of calibrate.

It is the oldest way to inspect a circuit board and still a good one where a reference
exists: nothing about defects is learnt, so a kind never seen is found like any other.

Sources: R. T. Chin, C. A. Harlow, IEEE PAMI 4 (1982) 557 (reference comparison with
tolerance bands by dilation); M. Moganti et al., Computer Vision and Image Understanding
63 (1996) 287 (survey).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from tundish.catalog.scenario import Scenario
from tundish.catalog.tasks import Task
from tundish.kernel.records import Record
from tundish.learn import recipe as recipes
from tundish.learn.errors import MaterialUnfitError
from tundish.learn.material import Floats, Material, Windows
from tundish.learn.ranking import auroc
from tundish.learn.recipe import Fitted, Options, Outputs, Promise, Tried
from tundish.learn.recipes.picture_parts import (
    Overall,
    golden_picture,
    good_of,
    overall_of,
    picture_of,
    planes,
    worst_lot,
)
from tundish.learn.recipes.template_graph import Comparison, write_graph

LEAST = 10
_MAD = 1.4826
_NOISES = 3.0
_NOISE_PICTURES = 64

Pixels = Annotated[int, Field(ge=0, le=32)]
Odd = Annotated[int, Field(ge=1, le=65)]


class TemplateOptions(Record):
    """Options of the recipe ``template``.

    Attributes:
        shift_pixels: Farthest that picture and reference may be apart.
        tolerance_pixels: Distances to choose from within which edges may differ.
        blur_pixels: Sides (odd) of the square to choose from over which differences
            are averaged: about the smallest defect that matters.
        map_blur_cells: Side (odd) over which the map is smoothed, in its cells.
    """

    shift_pixels: Pixels = 6
    tolerance_pixels: tuple[Pixels, ...] = (2, 1, 3)
    blur_pixels: tuple[Odd, ...] = (9, 5)
    map_blur_cells: Odd = 5


@dataclass(frozen=True, kw_only=True)
class _Inspector:
    """The trained estimator, by scipy's filters."""

    how: Comparison
    overall: Overall

    def __call__(self, window: Windows) -> Outputs:
        """Return the outputs for windows, float64."""
        cells = residuals(window, self.how) / self.how.limit
        side = self.how.map_blur
        smooth = uniform_filter(cells, (1, side, side), mode="constant")
        return {
            "score": cells.max(axis=(1, 2))[:, None],
            "map": smooth.reshape(len(window), -1),
            "applicability": self.overall.of(window),
        }


class TemplateRecipe:
    """Comparison with a reference; see the module."""

    name: Final = "template"
    task: Final[Task] = "inspect"

    def fit(
        self,
        material: Material,
        scenario: Scenario,
        options: Options,
        rng: np.random.Generator,  # noqa: ARG002  (every recipe is given one; nothing here is random)
    ) -> Fitted:
        """Learn the noise, choose the distances, calibrate; see ``Recipe.fit``."""
        chosen = recipes.read_options(options, TemplateOptions, self.name)
        picture = picture_of(scenario)
        if not picture.reference:
            msg = f"The recipe 'template' needs a reference beside each picture; {scenario.key} has none."
            raise MaterialUnfitError(msg)
        good = good_of(material.take(material.part != "judge"), scenario)
        fit = good.needed("fit", 1)
        calibrate = good.needed("calibrate", LEAST)
        how, tried = _searched(material, fit, scenario, chosen)
        scores = residuals(calibrate.x, how).max(axis=(1, 2))
        limit, promise = worst_lot(scores, calibrate.source, scenario)
        how = replace(how, limit=max(limit, 1.0))
        inspector = _Inspector(how=how, overall=overall_of(good))
        return _fitted(inspector, fit, promise, tried)


def _searched(
    material: Material, fit: Material, scenario: Scenario, options: TemplateOptions
) -> tuple[Comparison, tuple[Tried, ...]]:
    """Return the comparison that tells good from bad best on the select part."""
    first = Comparison(
        picture=picture_of(scenario),
        shift=options.shift_pixels,
        tolerance=options.tolerance_pixels[0],
        blur=options.blur_pixels[0],
        map_blur=options.map_blur_cells,
    )
    first = replace(first, noise=_noise(fit.x, first))
    select = material.of("select")
    good = good_of(select, scenario)
    if not 0 < len(good) < len(select):
        return first, ()
    bad = ~np.isin(select.group, good.group)
    pairs = [_aligned(each, first) for each in select.x]
    found = []
    for tolerance in options.tolerance_pixels:
        for blur in options.blur_pixels:
            how = replace(first, tolerance=tolerance, blur=blur)
            scores = np.array([_cells(*pair, how).max() for pair in pairs])
            found.append((1.0 - auroc(scores, bad), how))
    best = min(range(len(found)), key=lambda i: found[i][0])
    tried = tuple(
        Tried(
            setting={"tolerance_pixels": how.tolerance, "blur_pixels": how.blur},
            scores={"one_minus_auroc": off},
            kept=place == best,
        )
        for place, (off, how) in enumerate(found)
    )
    return found[best][1], tried


def residuals(x: Windows, how: Comparison) -> Floats:
    """Return the largest residual of each cell, [N, map height, map width]."""
    return np.stack([_cells(*_aligned(each, how), how) for each in x])


def _aligned(window: NDArray[np.float32], how: Comparison) -> tuple[Floats, Floats]:
    """Return a picture and its reference where it fits best, [colours, H, W] each."""
    picture = how.picture
    both = planes(window[None].astype(np.float64), picture)[0]
    own, reference = both[: picture.colours], both[picture.colours :]
    pad = ((0, 0), (how.shift, how.shift), (how.shift, how.shift))
    padded = np.pad(reference, pad, mode="edge")
    step = how.stride
    grey, around = own.mean(axis=0)[::step, ::step], padded.mean(axis=0)
    height, width = picture.height, picture.width
    costs = [
        np.abs(grey - around[a : a + height, b : b + width][::step, ::step]).sum()
        for a, b in how.shifts
    ]
    a, b = how.shifts[int(np.argmin(costs))]
    return own, padded[:, a : a + height, b : b + width]


def _cells(own: Floats, reference: Floats, how: Comparison) -> Floats:
    off = np.zeros_like(own)
    side = (1, 2 * how.tolerance + 1, 2 * how.tolerance + 1)
    for one, other in ((own, reference), (reference, own)):
        lightest = maximum_filter(other, side, mode="constant", cval=-np.inf)
        darkest = minimum_filter(other, side, mode="constant", cval=np.inf)
        off += np.maximum(one - lightest, 0.0) + np.maximum(darkest - one, 0.0)
    worst = np.maximum(off.max(axis=0) - how.noise, 0.0)
    mean = uniform_filter(worst, how.blur, mode="constant")
    picture = how.picture
    down = picture.height // picture.map_height
    across = picture.width // picture.map_width
    split = mean.reshape(picture.map_height, down, picture.map_width, across)
    return np.asarray(split.max(axis=(1, 3)))


def _noise(x: Windows, how: Comparison) -> float:
    """Return three robust standard deviations of picture minus reference, in grey levels."""
    step = max(1, len(x) // _NOISE_PICTURES)
    middle = [
        np.median(np.abs(np.subtract(*_aligned(each, how)))) for each in x[::step]
    ]
    return float(_NOISES * _MAD * np.median(middle))


def _fitted(
    inspector: _Inspector, fit: Material, promise: Promise, tried: tuple[Tried, ...]
) -> Fitted:
    how = inspector.how
    envelope = recipes.envelope_of(fit, with_target=False)
    golden = golden_picture(envelope, fit.x.shape[1])
    setting = {
        "shift_pixels": how.shift,
        "tolerance_pixels": how.tolerance,
        "blur_pixels": how.blur,
    }
    return Fitted(
        recipe=TemplateRecipe.name,
        task="inspect",
        graph=write_graph(how, inspector.overall),
        golden_window=golden,
        golden_outputs=recipes.as_float32(inspector(golden)),
        envelope=envelope,
        promise=promise,
        search=tried,
        chosen=({**setting},),
        thresholds={"residual_limit": how.limit, "noise": how.noise},
        versions=recipes.versions("numpy", "onnx", "scipy"),
        notes=(
            f"compared with the reference within {how.shift} pixels of shift and "
            f"{how.tolerance} of edge, averaged over {how.blur} x {how.blur} pixels",
            "the score decides; the map is smoothed and says where to look",
        ),
        reference=inspector,
    )
