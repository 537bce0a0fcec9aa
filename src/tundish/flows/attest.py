"""A plant's own evidence: sign what a scenario does on its line; verify what others sign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib import metadata
from pathlib import Path

from tundish.catalog.evidence import Evidence
from tundish.catalog.scenario import Scenario, is_key
from tundish.flows.alarms import list_alarms
from tundish.flows.contract import contract_of
from tundish.flows.errors import EvidenceThinError
from tundish.flows.ledger import generated_in, list_ledger
from tundish.flows.outputs import write_out
from tundish.flows.verify import read
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.clock import to_text
from tundish.kernel.digest import Digest
from tundish.kernel.errors import RefusedError
from tundish.kernel.texts import visible
from tundish.ledger.record import Entry
from tundish.line.buffer import LineBuffer
from tundish.line.estimates import Estimate
from tundish.line.linefile import read_line_file
from tundish.line.plugins import open_buffer
from tundish.line.samples import from_us
from tundish.seal import plantevidence
from tundish.seal.errors import EvidenceInvalidError, TermsInvalidError
from tundish.seal.plantevidence import EvidenceBody, PlantEvidence, Seen

LEAST_HOURS = 24.0
"""A line has answered for a whole day: every shift saw it."""
ENDING = ".evidence"
MOST_NAME = 200
_PAGE = 10_000


def attest(
    workspace: Workspace, path: Path, plant: str, out: Path, *, days: float = 365.0
) -> EvidenceBody:
    """Sign what the package of a line does on this plant's own line.

    Args:
        workspace: Sealed the package; its ledger says from which data.
        path: The line file; the line must not run at the moment.
        plant: The name under which the plant wants to be known.
        out: Where the evidence is written.
        days: Days until it is refused.

    Raises:
        TermsInvalidError: if the name is none.
        EvidenceThinError: if the package was not sealed here, was learnt from generated
            or public data, or answered for less than a day.
        BufferLockedError: if the line runs.
    """
    if not plant.strip() or len(plant) > MOST_NAME or visible(plant) != plant:
        msg = f"The plant's name has {len(plant)} letters; 1 to {MOST_NAME} that can be seen are expected."
        raise TermsInvalidError(msg)
    line = read_line_file(path)
    if line.package is None:
        msg = "The line file names no package, so that no scenario answers on it."
        raise EvidenceThinError(msg)
    package = read(workspace, path.parent / line.package)
    scenario = contract_of(package)
    entries = [(n, e) for n, e in list_ledger(workspace) if e.outcome == "done"]
    data, judged = _origin(entries, package.digest)
    with open_buffer(line, scenario, path.parent) as buffer:
        mine = [e for e in _estimates(buffer) if e.model == package.digest]
    seen = _seen(scenario, plant, (package.digest, data, judged), mine)
    said = [alarm.said for alarm in list_alarms(workspace, path)]
    seen = seen.model_copy(
        update={word: said.count(word) for word in ("right", "wrong", "unclear")}
    )
    now = workspace.clock.now()
    signed = plantevidence.sign(
        seen, now=now, not_after=now + timedelta(days=days), key=workspace.key
    )
    made = plantevidence.read(signed, workspace.trusted(), now=now)
    write_out(out, signed)
    workspace.record(
        "evidence-signed",
        inputs=[package.digest],
        outputs=[made.digest],
        names={made.digest: out.name},
        detail={"scenario": seen.scenario, "answers": seen.answers},
    )
    return made.body


def _origin(
    entries: Sequence[tuple[int, Entry]], package: Digest
) -> tuple[Digest, int]:
    """Return the data that a package descends from, and how many samples judged it."""
    sealed = next(
        (e for _, e in entries if e.act == "package-sealed" and package in e.outputs),
        None,
    )
    if sealed is None:
        msg = "The package of the line was not sealed in this workspace, whose ledger therefore does not say what it was learnt from."
        raise EvidenceThinError(msg)
    trained = [e for _, e in entries if e.act == "trained"]
    data = next(
        (e.inputs[0] for e in trained if set(e.outputs) & set(sealed.inputs)), None
    )
    public = {d for _, e in entries if e.act == "data-fetched" for d in e.outputs}
    made = generated_in(entries)
    if data is None or package in made or data in public:
        what = "unknown" if data is None else "generated or public"
        msg = f"The package of the line was learnt from {what} data; a plant's evidence speaks of its own."
        raise EvidenceThinError(msg)
    judged = next(
        (
            e
            for _, e in entries
            if e.act == "judged" and set(e.outputs) & set(sealed.inputs)
        ),
        None,
    )
    found = judged.detail.get("samples") if judged else None
    return data, found if isinstance(found, int) else 0


def _estimates(buffer: LineBuffer) -> Iterator[Estimate]:
    after_us = -1
    while page := buffer.estimates_after(after_us, limit=_PAGE):
        yield from page
        after_us = page[-1].at_us


def _seen(
    scenario: Scenario,
    plant: str,
    digests: tuple[Digest, Digest, int],
    mine: Sequence[Estimate],
) -> Seen:
    hours = (mine[-1].at_us - mine[0].at_us) / 3.6e9 if mine else 0.0
    if hours < LEAST_HOURS:
        msg = f"The package of the line has answered for {hours:.1f} hours; evidence speaks of {LEAST_HOURS:g} at least."
        raise EvidenceThinError(msg)
    package, data, judged = digests
    return Seen(
        plant=plant,
        scenario=scenario.key,
        contract=scenario.judged_digest,
        package=package,
        data=data,
        judged=judged,
        first=to_text(from_us(mine[0].at_us)),
        last=to_text(from_us(mine[-1].at_us)),
        answers=len(mine),
        withheld=sum(1 for one in mine if one.value is None),
        right=0,
        wrong=0,
        unclear=0,
    )


def read_evidence(workspace: Workspace, path: Path) -> PlantEvidence:
    """Return a plant's evidence after its signature was checked.

    Raises:
        EvidenceInvalidError, SignerUntrustedError: if it does not stand.
    """
    return plantevidence.read(
        paths.read_file(path), workspace.trusted(), now=workspace.clock.now()
    )


def as_evidence(found: PlantEvidence) -> Evidence:
    """Return a plant's evidence in the form that levels are computed from.

    Raises:
        EvidenceInvalidError: if it names no scenario.
    """
    seen = found.body.seen
    if not is_key(seen.scenario):
        msg = f"The evidence of {seen.plant} speaks of the scenario {seen.scenario[:60]!r}; a key such as C34.27.pump-loop was expected."
        raise EvidenceInvalidError(msg)
    return Evidence(
        scenario=seen.scenario,
        contract=seen.contract,
        level="proven",
        data=seen.plant,
        pin=found.digest,
        origin="plant",
        site=f"{seen.first} to {seen.last}, {seen.answers} answers",
        site_digest=seen.data,
        candidate="sealed",
        graph=seen.package,
        seed=0,
        accepted=True,
        judged=seen.judged,
        limits=(),
        made_by=metadata.version("tundish"),
    )


def signed_evidence(workspace: Workspace, folders: Sequence[Path]) -> list[Evidence]:
    """Return the plants' evidence that lies in folders (``*.evidence``), all verified.

    Raises:
        EvidenceInvalidError, SignerUntrustedError: if one does not stand.
        PathMissingError: if there is no such folder.
    """
    places = [paths.existing_folder(folder) for folder in folders]
    found = [path for folder in places for path in sorted(folder.glob(f"*{ENDING}"))]
    return [_standing(workspace, path) for path in found]


def _standing(workspace: Workspace, path: Path) -> Evidence:
    try:
        return as_evidence(read_evidence(workspace, path))
    except RefusedError as error:  # which of the many it is
        msg = f"{path}: {error.message}"
        raise type(error)(msg, advice=error.advice) from error
