"""From a plant's files to the windows that learning works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data import spectra
from tundish.data.binding import BoundData, bind
from tundish.data.pictures import read_pictures
from tundish.data.samples import Samples, make_samples
from tundish.data.shifts import shift_names
from tundish.learn.material import Material, period_s

MICROSECONDS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Bound data, its samples, and the same as learning takes them."""

    bound: BoundData
    samples: Samples
    material: Material


def material_from(site: SiteProfile, scenario: Scenario, root: Path) -> Material:
    """Return the windows of a site, whether it has tables or pictures.

    Raises:
        ContractBrokenError, PicturesUnfitError, SamplesEmptyError and what the readers
        refuse.
    """
    if site.pictures is None:
        return prepare(site, scenario, root).material
    found = read_pictures(site.pictures, scenario, root)
    return Material(
        x=found.x,
        y=found.y,
        part=found.part,
        source=found.group,
        event=np.full(len(found.x), -1, dtype=np.int64),
        group=np.arange(len(found.x), dtype=np.int64),
        mask=found.mask,
    )


def prepare(site: SiteProfile, scenario: Scenario, root: Path) -> Prepared:
    """Bind the tables of a site and cut them into windows with their parts.

    Raises:
        ContractBrokenError, SamplesEmptyError and what the readers refuse.
    """
    bound = bind(site, scenario, root)
    samples = make_samples(bound, scenario, site)
    used = samples.where(samples.part != "")
    timed = not np.isnat(used.at).any()
    material = Material(
        x=used.x,
        y=used.y,
        part=used.part,
        source=used.source,
        event=_events(used, bound, scenario),
        group=used.group,
        at=used.at if timed or (~np.isnat(used.at)).any() else None,
        axis=_axis(bound, scenario),
        shift=shift_names(used.at, site),
    )
    return Prepared(bound=bound, samples=used, material=material)


def _events(
    samples: Samples, bound: BoundData, scenario: Scenario
) -> NDArray[np.int64]:
    """Return the marked event that any row of each window lies in, [N]; -1: none."""
    last = samples.at.astype("datetime64[us]").astype(np.int64)
    span = int((scenario.window.rows - 1) * period_s(scenario) * MICROSECONDS)
    found = np.full(len(samples), -1, dtype=np.int64)
    for number, event in enumerate(bound.events):
        touches = (last >= event.start_us) & (last - span <= event.end_us)
        found[touches & (found < 0) & ~np.isnat(samples.at)] = number
    return found


def _axis(bound: BoundData, scenario: Scenario) -> NDArray[np.float64]:
    """Return the axis value of each channel, [C]; NaN where there is no axis."""
    columns = next(iter(bound.tables.values())).columns
    values = np.full(scenario.channels, np.nan)
    at = 0
    for signal in scenario.signals:
        if signal.axis is not None:
            names = columns[at : at + signal.channels]
            values[at : at + signal.channels] = spectra.axis_values(names, signal.axis)
        at += signal.channels
    return values
