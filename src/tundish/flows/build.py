"""Build a package from a folder: what another tool made and an owner answers for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.flows.errors import NotAcceptedError
from tundish.flows.seal import Material, SealOrder, SealReport, finish
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, clock
from tundish.kernel import digest as digests
from tundish.kernel.canonical import Json
from tundish.learn import parity as parities
from tundish.learn.parity import ParityReport
from tundish.learn.recipe import optional_outputs, outputs_of
from tundish.learn.verdict import Verdict, hold_limits
from tundish.model import folder as folders
from tundish.model import making
from tundish.model import package as packages
from tundish.model.bom import bill_of_materials
from tundish.model.card import ModelCard
from tundish.model.errors import (
    PackageFileExtraError,
    PackageFileMissingError,
    PackageMalformedError,
)
from tundish.model.golden import Golden
from tundish.model.session import Session
from tundish.seal.statement import first_fault

NEEDED = (
    packages.GRAPH,
    packages.CARD,
    packages.SCENARIO,
    packages.VERDICT,
    packages.PARITY,
    packages.GOLDEN,
)
OPTIONAL = (packages.ENVELOPE, packages.BOM)
TEXTS = (".md", ".txt")

_Model = TypeVar("_Model", bound=BaseModel)


def build_package(
    workspace: Workspace, folder: Path, order: SealOrder, reuse: Path | None = None
) -> SealReport:
    """Seal the files of a folder, as ``seal`` seals a run.

    The folder holds ``graph.onnx``, ``card.json``, ``scenario.yaml``, ``verdict.json``,
    ``parity.json`` and ``golden.json``; it may hold ``envelope.json``,
    ``bom.cdx.json`` and texts (``.md``, ``.txt``). The product is the card's, the
    version is counted here. The verdict must speak of this graph, its figures must keep
    the limits of the scenario, the parity report must keep its tolerance, and the graph
    must give its golden answer. That they were measured honestly is the word of whoever
    signs.

    Args:
        workspace: The owner's.
        folder: Plain files only. Untrusted.
        order: How to seal; licence and contact are the card's, if it says any.
        reuse: See ``seal.finish``.

    Raises:
        PackageFileMissingError, PackageFileExtraError, PackageMalformedError: if the
            folder does not hold what a package needs, or something else.
        NotAcceptedError, ParityBrokenError, GoldenMismatchError: if the graph is not
            good enough, or not the one that was judged.
    """
    files = folders.read(folder)
    made = digests.of_json({name: digests.of_bytes(files[name]) for name in files})
    with workspace.refusals_kept("package-sealed", [made]):
        _check_names(files)
        card = _record(files, packages.CARD, ModelCard)
        golden = _record(files, packages.GOLDEN, Golden)
        _check_judged(files)
        Session(files[packages.GRAPH], golden)
    material = Material(
        product=card.product,
        parts=_parts_of(files, card, golden),
        parents=(digests.of_bytes(files[packages.GRAPH]), made),
        inputs=(made,),
    )
    return finish(workspace, material, order, reuse)


def _check_names(files: Mapping[str, bytes]) -> None:
    missing = [name for name in NEEDED if name not in files]
    if missing:
        msg = f"The folder lacks {missing[0]!r}, which every package has."
        raise PackageFileMissingError(msg, advice="Put it into the folder.")
    extra = [
        name
        for name in files
        if name not in (*NEEDED, *OPTIONAL) and not name.endswith(TEXTS)
    ]
    if extra:
        msg = f"The folder holds {extra[0][:80]!r}; such files are not packed."
        raise PackageFileExtraError(msg, advice="Take it out of the folder.")


def _check_judged(files: Mapping[str, bytes]) -> None:
    graph = digests.of_bytes(files[packages.GRAPH])
    scenario = parse_document(
        files[packages.SCENARIO], Scenario, "the folder's scenario"
    )
    verdict = _record(files, packages.VERDICT, Verdict)
    if (verdict.graph, verdict.scenario) != (graph, scenario.key):
        msg = "The folder's verdict speaks of another graph or another scenario."
        raise PackageMalformedError(msg, advice="Judge this graph.")
    limits = hold_limits(scenario, verdict.figures)
    if limits != verdict.limits:
        msg = "The folder's verdict does not hold its own figures against its scenario."
        raise PackageMalformedError(msg, advice="Judge this graph.")
    if not (verdict.accepted and limits and all(limit.holds for limit in limits)):
        msg = "The folder's verdict is that the graph is refused."
        raise NotAcceptedError(msg)
    _check_parity(scenario, _record(files, packages.PARITY, ParityReport))


def _check_parity(scenario: Scenario, report: ParityReport) -> None:
    wanted = list(outputs_of(scenario))
    for item in report.each():
        said = [row.output for row in item.outputs]
        rest = said[len(wanted) :]
        whole = said[: len(wanted)] == wanted
        whole = whole and set(rest) <= set(optional_outputs(scenario))
        if not whole or item.tolerance > scenario.parity_tolerance:
            msg = f"The folder's parity report is not one on {', '.join(wanted)}."
            raise PackageMalformedError(
                msg, advice="Compare estimator and graph again."
            )
        far = any(
            row.max_rel is None or row.max_rel > item.tolerance for row in item.outputs
        )
        parities.require(item.model_copy(update={"passed": not far, "besides": ()}))


def _parts_of(
    files: Mapping[str, bytes], card: ModelCard, golden: Golden
) -> Callable[[int, datetime], making.PackageParts]:
    def parts(version: int, now: datetime) -> making.PackageParts:
        counted = card.model_copy(update={"version": version})
        return making.PackageParts(
            graph=files[packages.GRAPH],
            card=counted,
            scenario_yaml=files[packages.SCENARIO].decode(),
            verdict=_object(files, packages.VERDICT),
            parity=_object(files, packages.PARITY),
            bom=_object(files, packages.BOM)
            if packages.BOM in files
            else bill_of_materials(
                counted,
                libraries=[],
                tundish_version=metadata.version("tundish"),
                created_at=clock.to_text(now),
            ),
            golden=golden,
            envelope=_object(files, packages.ENVELOPE)
            if packages.ENVELOPE in files
            else None,
            texts={name: data for name, data in files.items() if name.endswith(TEXTS)},
        )

    return parts


def _object(files: Mapping[str, bytes], name: str) -> dict[str, Json]:
    value = canonical.loads(files[name])
    if not isinstance(value, dict):
        msg = f"The file {name} of the folder is no JSON object."
        raise PackageMalformedError(msg, advice="Mend the file.")
    return value


def _record(files: Mapping[str, bytes], name: str, model: type[_Model]) -> _Model:
    try:
        return model.model_validate_json(canonical.dumps(_object(files, name)))
    except ValidationError as error:
        msg = first_fault(f"file {name}", error)
        raise PackageMalformedError(msg, advice="Mend the file.") from error
