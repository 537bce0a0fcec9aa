"""Pictures of a generated plant: surfaces with grain, stripes and parts, and blemishes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tundish.catalog.scenario import Scenario
from tundish.catalog.simulation import Blemish, Scene
from tundish.catalog.tasks import Picture

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

LOTS = 12
GOOD, BAD = "good", "bad"
_BAD_SHARE = 4  # one picture of a failure mode for so many good ones


@dataclass(frozen=True, kw_only=True)
class MadePicture:
    """One generated picture.

    Attributes:
        lot, label, mode: Its lot, its label for the judge, its failure mode or empty.
        pixels: [height, width] or [height, width, 3].
        mask: Where it is faulty, [height, width].
        template: How it should look; None if the scenario has no reference.
    """

    lot: str
    label: str
    mode: str
    pixels: Bytes
    mask: NDArray[np.bool_]
    template: Bytes | None


def make(scenario: Scenario, rng: np.random.Generator) -> Iterator[MadePicture]:
    """Give the pictures of all lots: good ones, and some of each failure mode."""
    form, simulation = scenario.picture, scenario.simulation
    scene = simulation.scene if simulation else None
    if form is None or scene is None:  # the scenario was checked
        raise AssertionError
    classes = {item.name for item in scenario.classes}
    modes = [(mode.name, mode.looks) for mode in scenario.failures if mode.looks]
    planned: list[tuple[str, tuple[Blemish, ...]]] = [("", ())] * scene.pictures
    for mode in modes:
        planned += [mode] * max(LOTS, scene.pictures // _BAD_SHARE)
    good = next((c.name for c in scenario.classes if c.good), GOOD)
    for place, (name, looks) in enumerate(planned):
        label = good if not name else (name if name in classes else BAD)
        yield _made(form, scene, f"lot{place % LOTS:02d}", (label, name), looks, rng)


def _made(
    form: Picture,
    scene: Scene,
    lot: str,
    names: tuple[str, str],
    looks: tuple[Blemish, ...],
    rng: np.random.Generator,
) -> MadePicture:
    ideal = _ideal(form, scene)
    mask = np.zeros(ideal.shape, dtype=np.bool_)
    surface = ideal + _grain(form, scene, rng)
    for blemish in looks:
        shape = _shape(blemish, ideal.shape, rng)
        mask |= shape > 0.3
        contrast = blemish.contrast * rng.uniform(0.8, 1.2)
        under = scene.grey if blemish.blemish == "missing-part" else surface
        surface = np.where(shape > 0, under + contrast * shape, surface)
    surface = surface + scene.lighting * rng.standard_normal()
    template = _bytes(ideal, form) if form.reference else None
    return MadePicture(
        lot=lot, label=names[0], mode=names[1], pixels=_bytes(surface, form),
        mask=mask, template=template,
    )  # fmt: skip


def _ideal(form: Picture, scene: Scene) -> Floats:
    """Return the surface without chance, [height, width]."""
    ideal = np.full((form.height, form.width), scene.grey)
    if scene.stripes_px:
        turn = np.arange(form.width) / scene.stripes_px
        ideal = ideal + scene.stripes * np.sin(2 * np.pi * turn)[None, :]
    if scene.parts:
        rows, columns = (
            (np.arange(n) * scene.parts * 2 // n) % 2 == 1
            for n in (form.height, form.width)
        )
        ideal = ideal + scene.part_contrast * (rows[:, None] & columns[None, :])
    return ideal


def _grain(form: Picture, scene: Scene, rng: np.random.Generator) -> Floats:
    chance = rng.standard_normal((form.height, form.width))
    if scene.grain_px:
        chance = gaussian_filter(chance, scene.grain_px)
    return np.asarray(scene.texture * chance / max(float(chance.std()), 1e-9))


def _shape(blemish: Blemish, size: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return how strongly each pixel is marked, 0 to 1, at a place of chance."""
    down, across = np.indices(size, dtype=np.float64)
    room = blemish.size_px / 2
    y, x = (rng.uniform(min(room, n / 2), max(n - room, n / 2)) for n in size)
    if blemish.blemish == "scratch":
        turn = rng.uniform(0, np.pi)
        along = (across - x) * np.cos(turn) + (down - y) * np.sin(turn)
        beside = (down - y) * np.cos(turn) - (across - x) * np.sin(turn)
        return np.asarray((np.abs(along) <= room) & (np.abs(beside) <= 1), np.float64)
    away = np.hypot(down - y, across - x) / max(room, 0.5)
    if blemish.blemish == "spot":
        return np.asarray(away <= 1, np.float64)
    if blemish.blemish == "stain":
        return np.asarray(np.exp(-2 * away**2) * (away <= 2))
    square = np.maximum(np.abs(down - y), np.abs(across - x))
    return np.asarray(square <= room, np.float64)


def _bytes(surface: Floats, form: Picture) -> Bytes:
    grey = np.clip(np.round(surface), 0, 255).astype(np.uint8)
    return grey if form.colours == 1 else np.repeat(grey[..., None], 3, axis=2)
