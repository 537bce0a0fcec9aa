"""Who allows a line to ask a plant for something: approvals by risk and ambiguity."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from tundish.catalog.documents import read_document
from tundish.flows.contract import contract_of
from tundish.flows.errors import ApprovalMissingError
from tundish.flows.outputs import write_out
from tundish.flows.verify import read
from tundish.flows.versions import read_serving
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, digest, paths
from tundish.kernel.canonical import Json
from tundish.kernel.clock import to_text
from tundish.kernel.digest import Digest
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record
from tundish.line.errors import ControlInvalidError, ModeRefusedError
from tundish.line.governor import Governor
from tundish.line.guard import oversight
from tundish.line.linefile import ControlSpec, LineFile, read_line_file
from tundish.line.plugins import open_requests
from tundish.line.requester import BreakerFile, Control
from tundish.model.card import GENERATED
from tundish.model.package import Package
from tundish.seal import approval
from tundish.seal.approval import Approval, Asked

MOST_BYTES = 64 * 1024


class ApprovalReport(Record):
    """An approval that was given, and how many its scenario asks for."""

    file: str
    line: str
    package: str
    bounds: str
    issuer: str
    not_after: str
    needed: int


def approve(
    workspace: Workspace,
    path: Path,
    *,
    days: float,
    note: str,
    to: Path | None,
    package: Path | None = None,
) -> ApprovalReport:
    """Sign with this workspace's key that a line may ask as its file says.

    Args:
        workspace: Of the person who approves; it must trust the package's signer.
        path: The line file.
        days: Until when it holds.
        note: In the words of who approves.
        to: Where to write it; default: beside the line file.
        package: A staged version; default: the package that serves.

    Raises:
        DocumentInvalidError, ControlInvalidError: if the line file is wrong.
        ModeRefusedError: if nobody may allow this (see ``oversight``).
        RefusedError: if the package is not what it says.
    """
    line = read_line_file(path)
    if package is None:
        found = read_serving(workspace, path, line)
    else:
        found = read(workspace, package)
    control, scenario = _control(line), contract_of(found)
    needed = _needed(found, control)
    Governor(control, scenario)
    now = workspace.clock.now()
    asked = _asked(path, found)
    until = now + timedelta(days=days)
    text = approval.sign(asked, now=now, not_after=until, note=note, key=workspace.key)
    issuer = workspace.key.public.key_id
    out = to or path.with_name(f"{line.name}-{issuer[7:15]}.approval")
    write_out(out, text)
    workspace.record(
        "line-approved",
        inputs=[asked.package, asked.bounds],
        detail={"line": line.name, "not_after": to_text(until), "note": note},
    )
    return ApprovalReport(
        file=str(out),
        line=line.name,
        package=asked.package,
        bounds=asked.bounds,
        issuer=issuer,
        not_after=to_text(until),
        needed=needed,
    )


def control_of(
    workspace: Workspace, path: Path, line: LineFile, package: Package
) -> Control | None:
    """Return what a line needs to ask its plant; in other modes nothing is written.

    Raises:
        ModeRefusedError, ControlInvalidError: as ``approve``.
        ApprovalMissingError: if too few persons have approved it.
    """
    if line.control is None:
        return None
    scenario = contract_of(package)
    writes = line.mode == "control"
    if writes:
        _require_approved(workspace, path, line.control, package)
    breaker = BreakerFile(path.parent / line.buffer.path)
    return Control(
        spec=line.control,
        governor=Governor(line.control, scenario, breaker.reason() if writes else ""),
        sink=open_requests(line.control.sink, scenario) if writes else None,
        breaker=breaker,
    )


def why_not_approved(
    workspace: Workspace, path: Path, control: ControlSpec, package: Package
) -> str:
    """Return why a line may not ask with a package; empty if it may."""
    try:
        _require_approved(workspace, path, control, package)
    except TundishError as error:
        return error.message
    return ""


def reset(workspace: Workspace, path: Path) -> bool:
    """Close the breaker of a line; the act is in the ledger. Tell if it was open."""
    line = read_line_file(path)
    breaker = BreakerFile(path.parent / line.buffer.path)
    reason = breaker.reason()
    was_open = breaker.reset()
    if was_open:
        detail = {"line": line.name, "said": reason[:500]}
        workspace.record("line-breaker-reset", detail=detail)
    return was_open


def _require_approved(
    workspace: Workspace, path: Path, control: ControlSpec, package: Package
) -> None:
    needed = _needed(package, control)
    asked = _asked(path, package)
    with workspace.refusals_kept("line-started", [package.digest]):
        persons = set(_persons(workspace, path, control, asked))
        if len(persons) < needed:
            msg = (
                f"The line {asked.line} asks for control, and {len(persons)} of {needed} "
                "persons have approved this package with these bounds."
            )
            raise ApprovalMissingError(msg)


def _needed(package: Package, control: ControlSpec) -> int:
    """Return how many persons must approve that a package asks the plant.

    Raises:
        ModeRefusedError: if nobody may.
    """
    if package.card.training.options.get(GENERATED):
        msg = "The package was learnt from generated data; it may watch a plant, and ask it for nothing."
        raise ModeRefusedError(msg)
    return oversight(contract_of(package), len(control.interlocks)).approvals


def _persons(
    workspace: Workspace, path: Path, control: ControlSpec, asked: Asked
) -> Iterator[Digest]:
    trust, now = workspace.standing(), workspace.clock.now()
    for name in control.approvals:
        text = paths.read_file(path.parent / name, most=MOST_BYTES)
        found = approval.read(text, workspace.keyring.known())
        trust.check_key(Digest(found.body.issuer), found.digest)
        person = trust.origin(Digest(found.body.issuer))
        wrong = _misfit(found, asked)
        if person == trust.origin(workspace.key_id):
            wrong = "is signed with the key of this box, which is no person's"
        if not wrong and now > found.not_after:
            wrong = f"ended on {found.body.not_after}"
        if wrong:
            msg = f"The approval {name} {wrong}."
            raise ApprovalMissingError(msg)
        yield person


def _misfit(found: Approval, asked: Asked) -> str:
    body = found.body
    if body.line != asked.line:
        return f"is for the line {body.line}"
    if body.package != asked.package:
        return "is for another package"
    if body.bounds != asked.bounds:
        return (
            "is for other sources, limits, interlocks or nodes than the line file says"
        )
    return ""


def _asked(path: Path, package: Package) -> Asked:
    """Return what an approval must be for: nothing in it may change afterwards."""
    line = read_document(path, LineFile)  # names of files as they are written
    bounds: dict[str, Json] = {
        "control": {
            name: value
            for name, value in _control(line).beyond_defaults().items()
            if name != "approvals"
        },
        "sources": [source.beyond_defaults() for source in line.sources],
    }
    return Asked(
        line=line.name,
        package=package.digest,
        bounds=digest.of_bytes(canonical.dumps(bounds)),
    )


def _control(line: LineFile) -> ControlSpec:
    if line.control is None:
        msg = f"The line {line.name} has no part named control."
        raise ControlInvalidError(msg)
    return line.control
