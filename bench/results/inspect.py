"""The task inspect on DeepPCB: against the template of each picture, and without it.

``python -m bench.results.inspect`` prints a JSON line for each figure. Two protocols:

- *fields against their golden board*: the shipped scenario and site. Each picture is cut
  into 4 x 4 fields; a field without a box is good, one that holds a box's centre is bad,
  one that a box only touches is left out. No board type that is judged was learnt from.
- *whole pictures without a reference*: PatchCore learns templates of seven board types and
  is judged on templates (good) and tested pictures (bad) of the other four.

A third protocol, templates against themselves as good parts, would show no difference at
all and reach 1.0 by construction; it is not run.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench.results.row import Row
from tundish.catalog import library
from tundish.catalog.scenario import Candidate, Scenario
from tundish.catalog.site import SiteProfile
from tundish.flows.material import material_from
from tundish.kernel import digest, settings
from tundish.learn.judge import judge
from tundish.learn.material import Material
from tundish.learn.train import train
from tundish.model.session import Session, make_golden

SET = "deeppcb-subset"
REFERENCE = {"image_auroc": 0.98, "pixel_auroc": 0.95}
_SHOWN = (
    "image_auroc",
    "pixel_auroc",
    "escapes_per_1000",
    "false_rejects_per_1000",
    "recall_at_5_percent_false_alarms",
)
FIELDS = "4 x 4 fields of each picture with the golden board's; learnt on 7 board types, judged on the other 4 by name"
WHOLE = "whole pictures, 320 x 320, no reference; templates of 7 board types learnt, templates and tested pictures of the other 4 judged"
_PARTS = ["00041", "12000", "12100", "12300", "13000"], ["20085", "44000"]


def rows(data: Path) -> list[Row]:
    """Return the measured rows.

    Args:
        data: Folder of the development sets.
    """
    scenario, site = (
        library.scenario("C39.24.pcb-bare-board"),
        library.site("deeppcb"),
    )
    found = []
    for protocol, contract, profile in (
        (FIELDS, scenario, site),
        (WHOLE, _whole(scenario), _templates(site)),
    ):
        material = material_from(profile, contract, data / SET)
        found += _measured(material, contract, protocol)
    return found


def _measured(material: Material, scenario: Scenario, protocol: str) -> list[Row]:
    started = time.perf_counter()
    fitted = train(material, scenario, data=digest.of_bytes(b"bench")).fitted
    train_s = time.perf_counter() - started
    session = Session(fitted.graph, make_golden(fitted.graph, fitted.golden_window))
    few = material.x[:16]
    started = time.perf_counter()
    session.run(few)
    each_ms = 1000 * (time.perf_counter() - started) / len(few)
    verdict = judge(material, scenario, session.run, fitted.claim)
    name = f"{fitted.recipe} (graph {len(fitted.graph) / 1e6:.1f} MB, {each_ms:.0f} ms a picture on one thread)"
    found = []
    for figure in verdict.figures:
        if figure.metric not in _SHOWN or figure.value is None:
            continue
        aim = REFERENCE.get(figure.metric)
        found.append(
            Row(
                set=SET,
                protocol=protocol,
                recipe=name,
                metric=figure.metric,
                value=figure.value,
                low=figure.low,
                high=figure.high,
                reference=aim,
                met=None if aim is None else figure.value >= aim,
                train_s=train_s,
                ms_per_1000=1000 * each_ms,
            )
        )
    return found


def _whole(scenario: Scenario) -> Scenario:
    """Return the scenario with whole pictures, no reference, and PatchCore."""
    picture = {
        "height": 320, "width": 320, "colours": 1, "map_height": 80, "map_width": 80,
    }  # fmt: skip
    plain = scenario.to_json() | {
        "picture": picture,
        "window": {"rows": 320 * 320, "stride": 1},
        "signals": [scenario.signals[0].to_json()],
        "recipe": "patches",
        "candidates": {
            "patches": Candidate(
                recipe="patchcore", why="bench", options={"blocks": (2, 4)}
            ).to_json()
        },
    }
    return Scenario.model_validate(plain, strict=False)


def _templates(site: SiteProfile) -> SiteProfile:
    """Return the site with templates as good pictures, whole, without references."""
    fit, calibrate = _PARTS
    pictures = {
        "kinds": [
            {"files": "group*_temp.jpg", "label": "good"},
            {"files": "group*_test.jpg", "label": "marked"},
        ],
        "group": "^group([0-9]+)/",
        "marks": "boxes",
        "uses": [
            {"part": "fit", "groups": fit, "files": "*_temp.jpg"},
            {"part": "calibrate", "groups": calibrate, "files": "*_temp.jpg"},
            {"part": "judge", "groups": ["50600", "77000", "90100", "92000"]},
        ],
    }
    plain = site.to_json() | {"pictures": pictures}
    return SiteProfile.model_validate(plain, strict=False)


if __name__ == "__main__":
    folder = settings.data_dir()
    for row in rows(folder) if folder else []:
        print(row.line(), flush=True)
