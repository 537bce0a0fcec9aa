"""Seal an accepted run: card, verdict, bill of materials, signature, encryption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tundish.catalog.sectors import sector_name
from tundish.flows import chain, fingerprint_proof, runs
from tundish.flows.errors import NotAcceptedError, ReuseRefusedError
from tundish.flows.ledger import generated_in, list_ledger
from tundish.flows.reuse import Reused
from tundish.flows.reuse import allowed as reuse_of
from tundish.flows.runs import Run
from tundish.flows.sealed import require_same_answers
from tundish.flows.witness import signed_by
from tundish.flows.workspace import Workspace
from tundish.kernel import clock
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.learn import parity as parities
from tundish.learn.verdict import Verdict
from tundish.model import making, marked
from tundish.model import package as packages
from tundish.model.bom import Library, bill_of_materials
from tundish.model.card import (
    GENERATED,
    DataUse,
    Metric,
    ModelCard,
    TrainingFacts,
)
from tundish.model.package import Package
from tundish.seal import envelope
from tundish.seal.chain import Certified
from tundish.seal.envelope import Identity
from tundish.seal.statement import make_statement

RUNTIME = ("cryptography", "numpy", "onnxruntime", "pydantic", "pyrage")


class SealOrder(Record):
    """How to seal.

    Attributes:
        valid_s: Seconds from now until the package is refused.
        encrypt: Encrypt the graph; it then opens with a grant only.
        licence: The model's own licence.
        contact: Whom users can ask.
        marked: Files to be encrypted beside the graph, such as ``golden.json``.
        fingerprint: Make a fingerprint first, if the model has none.
    """

    valid_s: Annotated[float, Field(gt=0)]
    encrypt: bool = True
    licence: str = "proprietary"
    contact: str = ""
    marked: tuple[str, ...] = ()
    fingerprint: bool = False


class SealReport(Record):
    """A package that was sealed.

    Attributes:
        reused: Digest of the version whose ciphertext it carries, if so asked.
    """

    product: str
    version: int
    file: str
    digest: str
    not_after: str
    encrypted: bool
    size: int
    reused: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a package is made of, whatever it comes from.

    Attributes:
        product: Name under which versions are counted.
        parts: Gives the parts for a version and a moment.
        parents: Digests for the signed statement.
        inputs: Digests that went in, for the ledger.
        fingerprint: Commitment of the model's fingerprint, if it has one.
        check: Refuses a package, opened in memory, before it is written.
    """

    product: str
    parts: Callable[[int, datetime], making.PackageParts]
    parents: tuple[Digest, ...]
    inputs: tuple[Digest, ...]
    fingerprint: Digest | None = None
    check: Callable[[Package, Identity | None], object] | None = None


def seal(
    workspace: Workspace, run: str, order: SealOrder, reuse: Path | None = None
) -> SealReport:
    """Seal a run that the judge accepted.

    The version is one more than the last one sealed here for this scenario.

    Args:
        workspace: The owner's.
        run: The run.
        order: How to seal.
        reuse: The last version, if its ciphertext shall be carried on: see ``finish``.

    Raises:
        NotAcceptedError: if there is no verdict, or it says refused.
        ParityBrokenError: if estimator and graph differ too much.
        ReuseRefusedError: if the ciphertext may not be used again.
        RefusedError: what ``chain.held`` refuses.
    """
    found = runs.find(workspace, run)
    with workspace.refusals_kept("package-sealed", [found.digest]):
        verdict = _accepted(found)
        parities.require(found.parity)

    def parts(version: int, now: datetime) -> making.PackageParts:
        card = _card(found, verdict, order, version)
        if found.digest in generated_in(list_ledger(workspace)):
            card = _marked(card)
        return _parts(found, verdict, card, now)

    material = Material(
        product=found.scenario.key,
        parts=parts,
        parents=(Digest(found.record.graph), found.digest, Digest(found.record.data)),
        inputs=(found.digest, digests.of_json(verdict.to_json())),
        fingerprint=_fingerprint(workspace, found, make=order.fingerprint),
        check=lambda package, identity: require_same_answers(package, identity, found),
    )
    return finish(workspace, material, order, reuse)


def finish(
    workspace: Workspace, material: Material, order: SealOrder, reuse: Path | None
) -> SealReport:
    """Sign, encrypt, write and record a package.

    With ``reuse`` the new version carries the ciphertext of the last one, so that a
    delta between them is small. What must hold for that stands in ``flows.reuse``.

    Raises:
        ReuseRefusedError: if it may not.
    """
    now, product = workspace.clock.now(), material.product
    version, under = _next_version(workspace, product), chain.held(workspace)
    fingerprint = material.fingerprint
    with workspace.refusals_kept("package-sealed", material.inputs):
        old = reuse_of(workspace, reuse, product, version) if reuse else None
        package, identity = _sealed(
            workspace, material, order, (version, now), old, under
        )
        if material.check is not None:
            material.check(package, identity)
    # a list counts by its issuer's key alone, which whoever trusts the CA may not know
    carried = None if under else workspace.own_revocations()
    if carried is not None:
        package = making.carry(package, carried)
    if identity is not None:
        workspace.keep_identity(package.digest, identity)
    path = workspace.packages / f"{product}-v{version}.tar"
    packages.write_tar(package, path)
    workspace.record(
        "package-sealed",
        inputs=[
            *material.inputs,
            *([old.package.digest] if old else []),
            *([fingerprint] if fingerprint else []),
        ],
        outputs=[package.digest],
        names={package.digest: path.name},
        detail={
            "product": product,
            "version": version,
            "encrypted": order.encrypt,
            "graph": package.card.graph,
            **({"fingerprint": fingerprint} if fingerprint else {}),
            **signed_by(package, *([old.package] if old else [])),
        },
    )
    return SealReport(
        product=product,
        version=version,
        file=str(path),
        digest=package.digest,
        not_after=package.statement.not_after,
        encrypted=package.encrypted,
        size=path.stat().st_size,
        reused=old.package.digest if old else None,
        fingerprint=fingerprint,
    )


def _sealed(
    workspace: Workspace,
    material: Material,
    order: SealOrder,
    counted: tuple[int, datetime],
    old: Reused | None,
    under: Certified | None,
) -> tuple[Package, Identity | None]:
    version, now = counted
    if old is not None and not order.encrypt:
        msg = "A package in clear has no ciphertext that could be used again."
        raise ReuseRefusedError(msg)
    statement = make_statement(
        product=material.product,
        version=version,
        not_after=clock.to_text(now + timedelta(seconds=order.valid_s)),
        created_at=clock.to_text(now),
        parents=material.parents,
    )
    identity = None
    if order.encrypt:
        identity = old.identity if old else envelope.new_identity()
    package = making.build(
        material.parts(version, now),
        statement=statement,
        key=workspace.key,
        encrypt_to=[identity.recipient] if identity else None,
        encrypt=order.marked,
        kept=old.kept if old else marked.nothing_kept,
        chain=under,
    )
    return package, identity


def _fingerprint(workspace: Workspace, found: Run, *, make: bool) -> Digest | None:
    """Return the commitment that the ledger holds for the model; make one if asked."""
    known = fingerprint_proof.committed(list_ledger(workspace), found.record.graph)
    if known is not None or not make:
        return known
    from tundish.flows.fingerprint import make as make_one  # noqa: PLC0415  (heavy)

    return Digest(make_one(workspace, found.name).commitment)


def _accepted(found: Run) -> Verdict:
    if found.verdict is None:
        msg = f"The run {found.name} was not judged yet."
        raise NotAcceptedError(msg, advice=f"Give 'tundish judge {found.name}' first.")
    if not found.verdict.accepted:
        missed = [limit.metric for limit in found.verdict.limits if not limit.holds]
        msg = f"The judge refused the run {found.name}: it misses {', '.join(missed)}."
        raise NotAcceptedError(msg)
    return found.verdict


def _next_version(workspace: Workspace, product: str) -> int:
    with workspace.ledger() as ledger:
        known = [
            entry.detail.get("version")
            for _, entry in ledger.entries()
            if entry.act == "package-sealed" and entry.detail.get("product") == product
        ]
    return 1 + max((item for item in known if isinstance(item, int)), default=0)


def _parts(
    found: Run, verdict: Verdict, card: ModelCard, now: datetime
) -> making.PackageParts:
    return making.PackageParts(
        graph=found.graph,
        card=card,
        scenario_yaml=found.scenario_yaml,
        verdict=verdict.to_json(),
        parity=found.parity.to_json(),
        bom=bill_of_materials(
            card,
            libraries=[
                _library(name) for name in sorted({*found.record.versions, *RUNTIME})
            ],
            tundish_version=metadata.version("tundish"),
            created_at=clock.to_text(now),
        ),
        golden=found.golden,
        envelope=found.envelope.to_json(),
    )


def _card(found: Run, verdict: Verdict, order: SealOrder, version: int) -> ModelCard:
    scenario, record = found.scenario, found.record
    target = scenario.target
    watched = ", ".join(signal.name for signal in scenario.signals)
    return ModelCard(
        product=scenario.key,
        version=version,
        title=f"{scenario.name.en} ({scenario.name.zh})",
        task=scenario.task,
        scenario=scenario.key,
        purpose=f"{scenario.decision.what}; decided by {scenario.decision.who}",
        not_for=(
            f"anything but {sector_name(scenario.sector)[0]} under this scenario",
            "inputs outside the contract's ranges: the line abstains there",
        ),
        target=target.name if target else f"anomalies of {watched}",
        target_unit=target.unit if target else "",
        graph=Digest(record.graph),
        data=(
            DataUse(
                name=found.place.name,
                digest=Digest(record.data),
                role="fit, select, calibrate, judge",
                licence=found.place.licence,
                source=found.place.citation,
            ),
        ),
        training=TrainingFacts(
            recipe=record.recipe,
            options={"candidate": record.candidate},
            seed=record.seed,
            trained_at=found.place.trained_at,
            run=found.digest,
            software=record.versions,
        ),
        metrics=tuple(
            Metric(
                name=figure.metric,
                value=figure.value,
                unit=figure.unit,
                lower=figure.low,
                upper=figure.high,
            )
            for figure in verdict.figures
            if figure.value is not None
        ),
        limits=(*record.notes, *verdict.notes),
        licence=order.licence,
        contact=order.contact,
    )


def _marked(card: ModelCard) -> ModelCard:
    """Return the card of a model that no plant has taught anything."""
    options = {**card.training.options, GENERATED: True}
    return card.model_copy(
        update={
            "not_for": (
                "any plant: it was learnt and judged on generated data, for dry runs",
                *card.not_for,
            ),
            "training": card.training.model_copy(update={"options": options}),
        }
    )


def _library(name: str) -> Library:
    try:
        known = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return Library(name=name, version="unknown", licence="unknown")
    fields = ("License-Expression", "License")
    licence = next((known[key] for key in fields if key in known), "see the package")
    return Library(
        name=name, version=known["Version"], licence=licence.splitlines()[0][:80]
    )
