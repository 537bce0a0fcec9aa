"""Write a generated set: Parquet or PNG, a site profile, a card; marked in every file."""

from __future__ import annotations

import csv
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from tundish.catalog.scenario import Scenario
from tundish.data.card.card import Card
from tundish.data.errors import NotSimulatedError
from tundish.data.simulated import pictures as made_pictures
from tundish.data.simulated import tables
from tundish.data.simulated.pictures import MadePicture
from tundish.kernel.canonical import Json

SITE, CARD, MANIFEST = "site.yaml", "card.yaml", "manifest.csv"
MARK = "tundish.generated"
_USES: tuple[dict[str, Json], ...] = (
    {"part": "fit", "share": 0.5},
    {"part": "select", "share": 0.1},
    {"part": "calibrate", "share": 0.15},
    {"part": "judge"},
)


def write(scenario: Scenario, out: Path, seed: int) -> dict[str, int]:
    """Write a generated set into an empty folder; the same seed gives the same bytes.

    Returns:
        File of each table, or ``pictures`` -> its rows.

    Raises:
        NotSimulatedError: if the scenario has no part ``simulation``.
    """
    simulation = scenario.simulation
    if simulation is None:
        msg = f"The scenario {scenario.key} has no part 'simulation', so that no stream of it can be generated."
        raise NotSimulatedError(msg)
    rng = np.random.default_rng(seed)
    note = f"generated from {scenario.key}, seed {seed}: no plant"
    if scenario.task == "inspect":
        counts, site = _pictures(scenario, out, rng, note)
    else:
        made = tables.make(scenario, simulation, rng)
        site = tables.profile(scenario, made, site=note)
        counts = {}
        for table in made.tables:
            file = f"{table.name}.parquet"
            packed = BytesIO()  # polars says of a full disk only that it cannot compute
            table.frame.write_parquet(packed, metadata={MARK: note})
            (out / file).write_bytes(packed.getvalue())
            counts[file] = table.frame.height
    _as_yaml(out / SITE, site)
    _as_yaml(out / CARD, _card(scenario, note).to_json())
    return counts


def _pictures(
    scenario: Scenario, out: Path, rng: np.random.Generator, note: str
) -> tuple[dict[str, int], dict[str, Json]]:
    reference = scenario.picture is not None and scenario.picture.reference
    lines = []
    for place, made in enumerate(made_pictures.make(scenario, rng)):
        lines.append(_picture(out, place, made, note))
    with (out / MANIFEST).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "group", "failure", "marks"])
        writer.writerows(lines)
    site: dict[str, Json] = {
        "format": "tundish.site",
        "version": 1,
        "scenario": scenario.key,
        "site": note,
        "pictures": {
            "manifest": MANIFEST,
            "marks": "masks",
            **({"reference": True} if reference else {}),
            "uses": list(_USES),
        },
    }
    return {"pictures": len(lines)}, site


def _picture(out: Path, place: int, made: MadePicture, note: str) -> list[str]:
    folder = out / made.lot
    folder.mkdir(exist_ok=True)
    stem = f"{made.mode or made.label}_{place:05d}"
    shown = f"{stem}_test" if made.template is not None else stem
    name = f"{made.lot}/{shown}.png"
    _png(out / name, made.pixels, note)
    if made.template is not None:
        _png(folder / f"{stem}_temp.png", made.template, note)
    marks = ""
    if made.mask.any():
        marks = f"{made.lot}/{stem}_mask.png"
        _png(out / marks, (made.mask * np.uint8(255)), note)
    return [name, made.label, made.lot, made.mode, marks]


def _png(path: Path, pixels: NDArray[np.uint8], note: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(MARK, note)
    Image.fromarray(pixels).save(path, pnginfo=info)


def _card(scenario: Scenario, note: str) -> Card:
    return Card(
        name=f"generated-{scenario.key.lower().replace('.', '-')}",
        title=scenario.name,
        description=f"{note}. For dry runs of grade, training and line; it is no evidence of anything about a plant.",
        origin="synthetic",
        generated_share=1.0,
        collection="computed from the part 'simulation' and the failure modes of the scenario",
        personal=("none",),
        limitations=("It holds what the scenario's writer expects, and nothing else.",),
        scenarios=(scenario.key,),
        sector=scenario.sector,
        task=scenario.task,
        time_zone="UTC",
    )


def _as_yaml(path: Path, value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=120)
    path.write_text(text, encoding="utf-8", newline="\n")


def has_mark(path: Path) -> bool:
    """Tell whether a Parquet file carries the mark of a generated one."""
    try:
        return MARK in pl.read_parquet_metadata(path)
    except (OSError, pl.exceptions.PolarsError):
        return False  # it is no Parquet, whatever its name says
