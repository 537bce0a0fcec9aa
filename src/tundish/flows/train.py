"""Train one candidate of a scenario on a plant's data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tundish.catalog import library
from tundish.catalog.errors import UnknownNameError
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.flows import runs
from tundish.flows.fetch import Located, Progress, locate
from tundish.flows.material import material_from
from tundish.flows.workspace import Workspace
from tundish.kernel import clock, ids
from tundish.kernel import digest as digests
from tundish.kernel.records import Record
from tundish.learn import parity as parities
from tundish.learn import train as training
from tundish.learn.backends import against_reference, few
from tundish.learn.material import Material
from tundish.learn.recipe import Fitted
from tundish.learn.train import Trained
from tundish.model.session import Session, make_golden

LARGE = 2**14
PICTURES = 24
NOT_RUN = (
    "the reference evaluator cannot run this graph, so no second runtime was asked"
)


class Order(Record):
    """What to train.

    Attributes:
        data: A key of the catalogue, a folder or a file.
        scenario, site: Names of the catalogue, or YAML files.
        candidate: One of the scenario's candidates; None: its recipe.
        seed: Seed of all randomness.
    """

    data: str
    scenario: str
    site: str
    candidate: str | None = None
    seed: int = 0


class TrainReport(Record):
    """A run that was made."""

    run: str
    candidate: str
    graph: str
    digest: str
    data: str
    windows: dict[str, int]
    notes: tuple[str, ...]
    parity: str


def train(
    workspace: Workspace,
    order: Order,
    *,
    mirror: Path | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train, compare estimator and graph, and write the run folder.

    Raises:
        UnknownNameError, DocumentInvalidError: for scenario and site.
        ContractBrokenError and what the readers refuse: for the data.
        OptionsInvalidError and what the recipe refuses.
    """
    tell = progress or (lambda _text: None)
    scenario, site = ordered(order)
    located = locate(order.data, mirror=mirror, progress=progress)
    tell("reading and binding the data")
    material = material_from(site, scenario, located.root)
    tell("fitting")
    made = training.train(
        material,
        scenario,
        data=located.digest,
        candidate=order.candidate,
        seed=order.seed,
    )
    tell("comparing estimator and graph")
    return keep(workspace, order, located, material, made)


def ordered(order: Order) -> tuple[Scenario, SiteProfile]:
    """Return the scenario and the site profile of an order.

    Raises:
        UnknownNameError: also if the site profile binds another scenario.
    """
    scenario, site = library.scenario(order.scenario), library.site(order.site)
    if site.scenario != scenario.key:
        msg = f"The site profile {order.site} binds {site.scenario}, and {scenario.key} was asked for."
        raise UnknownNameError(msg, advice="Name the site profile of this scenario.")
    return scenario, site


def keep(
    workspace: Workspace,
    order: Order,
    located: Located,
    material: Material,
    made: Trained,
) -> TrainReport:
    """Compare estimator, graph and backends, and write the run folder.

    Raises:
        ParityBrokenError: if an output of the graph is missing or misshapen. Differences
            are written down, and sealing refuses what lies beyond the tolerance.
    """
    fitted, scenario = made.fitted, library.scenario(order.scenario)
    golden = make_golden(fitted.graph, fitted.golden_window)
    session = Session(fitted.graph, golden)
    parity = _compare(fitted, session, material, scenario)
    backends = against_reference(fitted.graph, session.run, material.x, scenario)
    now = workspace.clock.now()
    name = ids.new_id("run", now)
    place = runs.Place(
        data=order.data,
        root=str(located.root.resolve()),
        name=located.name,
        licence=located.licence or "unknown",
        citation=located.entry.citation if located.entry else "",
        trained_at=clock.to_text(now),
    )
    runs.write(
        workspace.runs / name,
        {
            runs.GRAPH: fitted.graph,
            runs.GOLDEN: golden,
            runs.PARITY: parity,
            **({runs.BACKENDS: backends} if backends else {}),
            runs.ENVELOPE: fitted.envelope,
            runs.PLACE: place,
            runs.SCENARIO: library.source(order.scenario, Scenario),
            runs.SITE: library.source(order.site, SiteProfile),
            runs.RECORD: made.record,
        },
    )
    run = digests.of_json(made.record.to_json())
    _record(workspace, located, name, (made.record.graph, run))
    parts, counts = np.unique(material.part, return_counts=True)
    return TrainReport(
        run=name,
        candidate=made.record.candidate,
        graph=made.record.graph,
        digest=run,
        data=located.digest,
        windows={
            str(part): int(count) for part, count in zip(parts, counts, strict=True)
        },
        notes=(*fitted.notes, fitted.promise.note),
        parity=f"{_said(parity)}; {_said(backends) if backends else NOT_RUN}",
    )


def _compare(
    fitted: Fitted, session: Session, material: Material, scenario: Scenario
) -> parities.ParityReport:
    x = material.x
    if x[0].size > LARGE:  # a picture is a million numbers: some of them will do
        x = few(x, most=PICTURES, values=x[0].size * PICTURES)
    return parities.compare(fitted.reference(x), session.run(x), scenario)


def _said(parity: parities.ParityReport) -> str:
    worst = max((row.max_rel or 0.0) for row in parity.outputs)
    word = "passed" if parity.passed else "FAILED"
    return f"{word}: {parity.reference} and {parity.candidate} differ by {worst:.1e} of scale at most over {parity.windows} windows ({parity.tolerance:g} allowed)"


def _record(
    workspace: Workspace, located: Located, name: str, made: tuple[str, digests.Digest]
) -> None:
    graph, run = made
    workspace.record(
        "trained",
        inputs=[located.digest],
        outputs=[run, digests.Digest(graph)],
        names={located.digest: located.name, run: name, graph: f"{name} graph"},
        detail={"run": name},
    )
