"""Train one candidate of a scenario on a plant's data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tundish.catalog import library
from tundish.catalog.errors import UnknownNameError
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data.card.beside import of_folder
from tundish.data.simulated.writing import has_mark
from tundish.flows import runs
from tundish.flows.fetch import Located, Progress, locate
from tundish.flows.material import material_from
from tundish.flows.workspace import Workspace
from tundish.kernel import clock, ids
from tundish.kernel import digest as digests
from tundish.kernel.records import Record
from tundish.learn import parity as parities
from tundish.learn import train as training
from tundish.learn.backends import RUNTIME, against_others, few
from tundish.learn.material import Material
from tundish.learn.parity import ParityReport
from tundish.learn.precision import against_wide
from tundish.learn.record import Precision
from tundish.learn.train import Trained
from tundish.model.session import Session, make_golden

LARGE = 2**14
PICTURES = 24
NOT_RUN = "no second runtime could run this graph"


class Order(Record):
    """What to train.

    Attributes:
        data: A key of the catalogue, a folder or a file.
        scenario, site: Names of the catalogue, or YAML files.
        candidate: One of the scenario's candidates; None: its recipe.
        seed: Seed of all randomness.
        precision: What the graph shall compute in.
    """

    data: str
    scenario: str
    site: str
    candidate: str | None = None
    seed: int = 0
    precision: Precision = "double"


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
        PrecisionUnfitError: if the graph answers otherwise in the precision asked for.
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
    made = training.in_precision(made, order.precision)
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
    """Compare estimator, graph, runtimes and precisions, and write the run folder.

    Raises:
        ParityBrokenError: if an output of the graph is missing or misshapen. Differences
            are written down, and sealing refuses what lies beyond the tolerance.
        PrecisionUnfitError: if the graph differs too much from the one in double.
    """
    fitted, scenario = made.fitted, library.scenario(order.scenario)
    golden = make_golden(fitted.graph, fitted.golden_window)
    session = Session(fitted.graph, golden)
    with workspace.refusals_kept("trained", [located.digest]):
        parity = _compare(made, session, material, scenario)
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
        parity=_said(parity),
    )


def _compare(
    made: Trained, session: Session, material: Material, scenario: Scenario
) -> ParityReport:
    """Compare the graph with the estimator, and besides with what else there is."""
    fitted, x = made.fitted, material.x
    if x[0].size > LARGE:  # a picture is a million numbers: some of them will do
        x = few(x, most=PICTURES, values=x[0].size * PICTURES)
    besides = against_others(fitted.graph, session.run, material.x, scenario)
    if made.wide is not None:
        wide = Session(made.wide, make_golden(made.wide, fitted.golden_window))
        precision = made.record.precision
        besides += (against_wide(wide.run, session.run, x, scenario, precision),)
    answers = parities.batched(session.run, x)
    report = parities.compare(fitted.reference(x), answers, scenario)
    return report.model_copy(update={"besides": besides})


def _said(parity: ParityReport) -> str:
    said = []
    for report in parity.each():
        worst = max((row.max_rel or 0.0) for row in report.outputs)
        word = "passed" if report.passed else "FAILED"
        said.append(
            f"{word}: {report.reference} and {report.candidate} differ by {worst:.1e} of scale at most over {report.windows} windows ({report.tolerance:g} allowed)"
        )
    if not any(RUNTIME in report.reference for report in parity.besides):
        said.append(NOT_RUN)
    return "; ".join(said)


def _record(
    workspace: Workspace, located: Located, name: str, made: tuple[str, digests.Digest]
) -> None:
    graph, run = made
    workspace.record(
        "trained",
        inputs=[located.digest],
        outputs=[run, digests.Digest(graph)],
        names={located.digest: located.name, run: name, graph: f"{name} graph"},
        detail={"run": name, **({"generated": True} if generated(located) else {})},
    )


def generated(located: Located) -> bool:
    """Tell whether a set is marked as generated, by its card or in its files."""
    known = located.card or of_folder(located.root)
    said = known is not None and bool(known.card.generated_share)
    place = located.place
    files = [place] if place.is_file() else place.rglob("*.parquet")
    return said or any(has_mark(path) for path in files)
