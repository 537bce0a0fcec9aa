"""Certify a data set: grade it, and sign the grade over the digest of the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

from tundish.data.grade.catalogue import SPECS
from tundish.data.grade.kinds import KINDS
from tundish.data.grade.report import GradeReport
from tundish.data.grade.verdict import RULE
from tundish.data.version import DataVersion, version_of_files
from tundish.flows.certificate import CertificateReport, describe
from tundish.flows.errors import DataMovedError
from tundish.flows.fetch import Located, Progress, locate
from tundish.flows.grade import GradeOptions, PageWish, grade
from tundish.flows.outputs import write_out
from tundish.flows.own_sets import path_of
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, clock
from tundish.kernel import digest as digests
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.seal import certificate as certificates
from tundish.seal.certificate import CertificateBody
from tundish.seal.errors import TermsInvalidError
from tundish.seal.statement import first_fault

MAX_WHOLE = 2 * 1024 * 1024
MAX_VALID_S = 36_525 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class CertifyOrder:
    """How to certify.

    Attributes:
        valid_s: Seconds from now until the certificate is refused; at most a century.
        to: Where to write it; default: the workspace's packages.
        page: A page of the grade to write as well.
    """

    valid_s: float = 365 * 86_400.0
    to: Path | None = None
    page: PageWish | None = None


class Certified(Record):
    """A certificate that was made.

    Attributes:
        file: Where it lies.
        certificate: What it says.
        report: The grade that was signed.
    """

    file: str
    certificate: CertificateReport
    report: GradeReport


def certify(
    workspace: Workspace,
    data: str,
    options: GradeOptions | None = None,
    order: CertifyOrder | None = None,
    *,
    mirror: Path | None = None,
    progress: Progress | None = None,
) -> Certified:
    """Grade a data set and sign the grade with the workspace's key.

    Any letter can be certified: a certificate says what the grade is, not that it is
    good. Its number is one more than the last one made here for the same data.

    Args:
        workspace: Who certifies; its ledger keeps the grade and the certificate.
        data: A path, or a key of the catalogue.
        options: How to grade.
        order: How long the certificate holds and where to write it.
        mirror: Where to take a catalogue set from without a network.
        progress: Told what is being done.

    Raises:
        TermsInvalidError: if the certificate would end before it begins, or never.
        DataMovedError: if the data changed while it was graded.
        What ``grade`` raises.
    """
    chosen, asked = options or GradeOptions(), order or CertifyOrder()
    if not 0 < asked.valid_s <= MAX_VALID_S:
        msg = f"A certificate cannot hold for {asked.valid_s / 86_400:g} days; more than 0 and at most 36,525 can be."
        raise TermsInvalidError(msg)
    data = path_of(workspace, data)
    located = locate(data, mirror=mirror, progress=progress)
    before = located.digest
    report = grade(
        data,
        chosen,
        mirror=mirror,
        page=asked.page,
        workspace=workspace,
        progress=progress,
    )
    version = _after(located, data, mirror, progress)
    if version.digest != before:
        msg = f"{located.name} changed while it was graded."
        raise DataMovedError(msg)
    body = _body(workspace, located.name, version, (report, chosen, asked))
    sealed = certificates.sign(body, workspace.key)
    found = certificates.read(sealed, workspace.trusted())
    path = asked.to or _default_path(workspace, body)
    write_out(path, sealed)
    workspace.record(
        "certificate-made",
        inputs=[body.data.digest, body.grade.report],
        outputs=[found.digest],
        names={body.data.digest: located.name, found.digest: path.name},
        detail={
            "data": body.data.digest,
            "letter": report.letter,
            "not_after": body.not_after,
            "number": body.version,
        },
    )
    said = describe(body, "verified", found.digest)
    return Certified(file=str(path), certificate=said, report=report)


def rule_digest() -> Digest:
    """Return the digest of the rule of grading: words, thresholds, weights of kinds."""
    limits: list[Json] = [[spec.id, spec.threshold, spec.floor] for spec in SPECS]
    kinds: dict[str, Json] = {name: list(kind) for name, kind in KINDS.items()}
    return digests.of_json({"rule": RULE, "limits": limits, "kinds": kinds})


def _after(
    located: Located, data: str, mirror: Path | None, progress: Progress | None
) -> DataVersion:
    again = locate(data, mirror=mirror, progress=progress)
    below = again.root if again.place.is_dir() else again.place.parent
    names = [file.name for file in located.version.files]
    files = {name: below / name for name in names}
    return version_of_files(files, sha256=True, progress=progress)


def _body(
    workspace: Workspace,
    name: str,
    version: DataVersion,
    graded: tuple[GradeReport, GradeOptions, CertifyOrder],
) -> CertificateBody:
    report, _, order = graded
    now = workspace.clock.now()
    try:
        return CertificateBody.model_validate_json(
            canonical.dumps(
                {
                    "format": "tundish.certificate",
                    "form": 1,
                    "version": _next_number(workspace, version.digest),
                    "issuer": workspace.key.public.key_id,
                    "tool": f"tundish {metadata.version('tundish')}",
                    "issued_at": clock.to_text(now),
                    "not_after": clock.to_text(now + timedelta(seconds=order.valid_s)),
                    "data": _data(name, version),
                    "grade": _grade(report, graded[1]),
                }
            )
        )
    except ValidationError as error:
        raise TermsInvalidError(first_fault("certificate", error)) from error


def _data(name: str, version: DataVersion) -> Json:
    listed = version.files if len(version.files) <= certificates.MAX_LISTED else ()
    return {
        "name": name,
        "digest": version.digest,
        "size": version.size,
        "count": len(version.files),
        "files": [file.to_json() for file in listed],
    }


def _grade(report: GradeReport, options: GradeOptions) -> Json:
    whole = report.to_json()
    kinds = [finding.kind for finding in report.findings]
    text = canonical.dumps(whole)
    return {
        "letter": report.letter,
        "task": report.task,
        "scenario": options.scenario,
        "why": report.why,
        "rule": rule_digest(),
        "gates": {gate.name: gate.state for gate in report.gates},
        "indicators": {item.id: item.value for item in report.indicators},
        "findings": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "options": options.to_json(),
        "report": digests.of_bytes(text),
        "whole": whole if len(text) <= MAX_WHOLE else None,
    }


def _next_number(workspace: Workspace, data: str) -> int:
    with workspace.ledger() as ledger:
        known = [
            entry.detail.get("number")
            for _, entry in ledger.entries()
            if entry.act == "certificate-made" and entry.detail.get("data") == data
        ]
    return 1 + max((item for item in known if isinstance(item, int)), default=0)


def _default_path(workspace: Workspace, body: CertificateBody) -> Path:
    stem = "".join(c if c.isalnum() or c in "._-" else "-" for c in body.data.name)
    name = f"{stem[:80]}-{digests.short(body.data.digest)}-{body.version}.cert.json"
    return workspace.packages / name
