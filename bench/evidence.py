"""Run every scenario of the catalogue whose evidence is stale or missing, and keep what came.

``python -m bench.evidence [--mirror FOLDER] [--only KEY ...] [--all] [--on sets]``: on the generated
stream, and on each set of the catalogue that names the scenario (whose licence is accepted). What misses a limit is
kept too: an honest miss is no evidence, and says what lacks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tundish.catalog import library
from tundish.catalog.evidence import contract_of
from tundish.catalog.scenario import Scenario
from tundish.flows import workspace as workspaces
from tundish.flows.fetch import fetch
from tundish.flows.scenario_run import (
    GENERATED,
    On,
    evidence_name,
    keep,
    run_scenario,
    sites_of,
)
from tundish.kernel.errors import TundishError

KEPT = Path(__file__).parents[1] / "src/tundish/catalog/declared/evidence"


def main() -> int:
    """Run what is not fresh; the exit code is 1 if something could not be run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--on", choices=["generated", "sets"])
    asked = parser.parse_args()
    names = asked.only or library.names(Scenario)
    _drop_strays()
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        workspace = workspaces.create(Path(place) / "ws", "ws")
        for name in names:
            scenario = library.scenario(name)
            for on in _wanted(scenario, asked.mirror, every=asked.all):
                if asked.on and (on.data == GENERATED) != (asked.on == GENERATED):
                    continue
                begun = time.monotonic()
                try:
                    if on.data != GENERATED:
                        fetch(on.data, mirror=on.mirror, accept_licence=True)
                    report = run_scenario(workspace, name, on)
                except TundishError as error:
                    failed += 1
                    _say(f"{name} on {on.data}: {error.code}: {error.message}")
                    continue
                keep(report.evidence, KEPT)
                verdict = "accepted" if report.evidence.accepted else "MISSED"
                took = time.monotonic() - begun
                _say(f"{name} on {on.data}: {verdict}, {took:.0f} s")
    return 1 if failed else 0


def _wanted(scenario: Scenario, mirror: Path | None, *, every: bool) -> Iterator[On]:
    """Give what a scenario is to be run on: where no fresh evidence is kept."""
    mine = [one for one in library.evidence() if one.scenario == scenario.key]
    generated = next((one for one in mine if one.data == GENERATED), None)
    fresh = generated is not None and generated.contract == contract_of(
        scenario, "simulated"
    )
    if scenario.simulation is not None and (every or not fresh):
        yield On()
    for entry, site in sites_of(scenario):
        fresh = any(
            one.contract == contract_of(scenario, "shown")
            and (one.data, one.pin, one.site) == (entry.key, entry.pin, site)
            for one in mine
        )
        if every or not fresh:
            near = mirror if mirror and (mirror / entry.key).is_dir() else None
            yield On(data=entry.key, site=site, mirror=near)


def _drop_strays() -> None:
    """Remove evidence of scenarios that are gone."""
    names = {library.scenario(name).key for name in library.names(Scenario)}
    for one in library.evidence():
        if one.scenario not in names:
            (KEPT / evidence_name(one)).unlink()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
