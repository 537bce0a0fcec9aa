"""What ``tundish key`` and ``tundish trust`` do with a plant's own CA."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tundish.cli import show
from tundish.kernel.paths import read_file

if TYPE_CHECKING:
    from tundish.flows.workspace import Workspace


def certify(
    workspace: Workspace,
    csr: Path | None,
    chain: Path | None,
    *,
    subject: str | None,
    json: bool,
) -> None:
    """Write a request to a CA, or attach the chain that it sent back."""
    from tundish.flows import chain as flow

    if chain is None:
        assert csr is not None  # noqa: S101  (the caller looked)
        asked = flow.write_request(workspace, csr, subject)
        if json:
            show.as_json(asked)
            return
        show.line(f"Request for {asked.subject} written to {asked.file}", show.GOOD)
        show.line("  the plant's CA signs it for digitalSignature and codeSigning;")
        show.line("  then: tundish trust --ca CA, tundish key --chain CHAIN")
        return
    report = flow.attach(workspace, chain)
    if json:
        show.as_json(report)
        return
    show.line(f"This workspace signs as {report.subjects[0]}", show.GOOD)
    for above in (*report.subjects[1:], report.authority):
        show.line(f"  under {above}")
    show.line(f"  key {report.key}")
    show.line(f"  counts from {report.not_before} until {report.not_after}")


def trust_authority(
    workspace: Workspace,
    ca: Path,
    subjects: Sequence[str],
    ends: tuple[datetime | None, datetime | None],
    *,
    json: bool,
) -> None:
    """Trust a CA, for some subjects and for a time if so asked."""
    from tundish.flows import chain as flow

    report = flow.trust_authority(
        workspace, ca, subjects=subjects, not_before=ends[0], not_after=ends[1]
    )
    if json:
        show.as_json(report)
        return
    show.line(f"Trusted here from now on: what is signed under {report.subject}.")
    for group in report.groups:
        show.line(f"  for signers with {group}")
    if not report.groups:
        show.line("  for every signer under it")
    show.line(f"  key {report.key}")
    show.line(f"  counts from {report.not_before} until {report.not_after}")


def take_crl(workspace: Workspace, file: Path, *, json: bool) -> None:
    """Take the revocation list of a CA."""
    from tundish.flows import chain as flow

    report = flow.take_crl(workspace, read_file(file))
    if json:
        show.as_json(report)
        return
    show.line(f"List {report.number} of the CA {report.issuer[:19]}... counts here")
    show.line(f"  issued at {report.issued_at}, {report.entries} entries")
