"""Issue a grant: one device may open one package until a date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tundish.flows import policy, runs
from tundish.flows.outputs import write_out
from tundish.flows.witness import signed_by
from tundish.flows.workspace import Workspace
from tundish.kernel import clock, paths
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest, short
from tundish.kernel.records import Record
from tundish.model import package as packages
from tundish.model.package import Package
from tundish.seal import grant as grants
from tundish.seal import request as requests
from tundish.seal import spare
from tundish.seal.errors import RequestOtherPackageError
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DevicePublic
from tundish.seal.request import Request
from tundish.seal.secret import SecretText

DAY_S = 86_400.0
DEFAULT_DAYS = 30


class GrantOrder(Record):
    """What the owner allows.

    Attributes:
        device: The line that ``tundish device show`` prints on the device.
        purpose: What for, in the owner's words.
        valid_s: Seconds from now until it is refused.
        uses: How often it opens the package; None: not limited.
        version: Counter of grants for this package and device; a renewal has a
            higher one. None: one more than the last that was issued here.
        grace_s: Seconds after the end by which a line that runs already must have
            stopped; it stops at its next safe point before that.
        spare_s: For a spare device: it opens with a code only, and for so many
            seconds from then on.
        answers_per_day: Answers that the model gives the device in a day.
    """

    device: str
    purpose: str
    valid_s: Annotated[float, Field(gt=0)]
    uses: int | None = None
    version: int | None = None
    grace_s: int = 0
    spare_s: int | None = None
    answers_per_day: int | None = None


class Answer(Record):
    """How the owner answers a request; what is None is taken from the request.

    Attributes:
        purpose, valid_s, uses: In place of what was asked for.
        grace_s, answers_per_day: See ``GrantOrder``.
    """

    purpose: str | None = None
    valid_s: Annotated[float, Field(gt=0)] | None = None
    uses: int | None = None
    grace_s: int = 0
    answers_per_day: int | None = None


class GrantReport(Record):
    """A grant that was issued.

    Attributes:
        gives_away: What a day's answers give away, if it was measured ('tundish judge').
        package_ends: When the package ends, if that is before the grant does.
    """

    file: str
    digest: str
    package: str
    device: str
    not_after: str
    uses: int | None
    version: int
    purpose: str
    answers_per_day: int | None = None
    gives_away: str = ""
    package_ends: str = ""


@dataclass(frozen=True, kw_only=True)
class SpareGrant:
    """A grant for a spare, and the code for its envelope: shown once, kept nowhere."""

    report: GrantReport
    code: SecretText


class RequestReport(Record):
    """What a request says.

    Attributes:
        known: Requests that this workspace answered for the same device, if they
            were signed by the same key; 0 for a box that is new here.
    """

    request: str
    device: str
    product: str
    package: str | None
    purpose: str
    days: int | None
    uses: int | None
    made_at: str
    signer: str
    known: int


def grant(
    workspace: Workspace, package: Path, order: GrantOrder, to: Path | None = None
) -> GrantReport:
    """Issue a grant for a package that was sealed in this workspace.

    Args:
        workspace: The owner's.
        package: The package, as tar or folder; it is verified first.
        order: What is allowed.
        to: Where to write the grant; default: beside the workspace's packages.

    Raises:
        DeviceTextError: if the device's line is not whole.
        IdentityMissingError: if the package was sealed elsewhere or in clear.
    """
    return _issue(workspace, _verified(workspace, package), order, to)


def grant_spare(
    workspace: Workspace, package: Path, order: GrantOrder, to: Path | None = None
) -> SpareGrant:
    """Issue a grant for a spare device, which opens with a code only.

    Args:
        workspace: The owner's.
        package: The package; it is verified first.
        order: What is allowed; with ``spare_s``.
        to: Where to write the grant.
    """
    code = spare.new_code()
    found = _verified(workspace, package)
    return SpareGrant(report=_issue(workspace, found, order, to, code=code), code=code)


def answer(
    workspace: Workspace,
    package: Path,
    request: Path,
    said: Answer,
    to: Path | None = None,
) -> GrantReport:
    """Answer a request with a grant for the device that asks.

    Args:
        workspace: The owner's.
        package: The package that is asked for; it is verified first.
        request: The request's file. Untrusted.
        said: What the owner decides otherwise than was asked.
        to: Where to write the grant.

    Raises:
        RequestDamagedError: if the request is not whole.
        RequestOtherPackageError: if it asks for another package.
    """
    asked = requests.read(paths.read_file(request))
    found = _verified(workspace, package)
    _same_package(asked, found)
    days = asked.wish.days or DEFAULT_DAYS
    order = GrantOrder(
        device=asked.device.to_text(),
        purpose=said.purpose or asked.wish.purpose,
        valid_s=said.valid_s or days * DAY_S,
        uses=said.uses if said.uses is not None else asked.wish.uses,
        grace_s=said.grace_s,
        answers_per_day=said.answers_per_day,
    )
    return _issue(workspace, found, order, to, asked)


def read_request(workspace: Workspace, request: Path) -> RequestReport:
    """Return what a request says, and whether its box is known here.

    Raises:
        RequestDamagedError: if it is not whole.
    """
    asked = requests.read(paths.read_file(request))
    device, signer = asked.device.device_id, asked.signer.key_id
    known = [
        detail
        for detail in _issued(workspace)
        if detail.get("device") == device and detail.get("asked_by") == signer
    ]
    return RequestReport(
        request=asked.name,
        device=asked.device.to_text(),
        product=asked.wish.product,
        package=asked.wish.package,
        purpose=asked.wish.purpose,
        days=asked.wish.days,
        uses=asked.wish.uses,
        made_at=asked.made_at,
        signer=signer,
        known=len(known),
    )


def _verified(workspace: Workspace, package: Path) -> Package:
    """Return a package that counts here; who else must sign it is asked where it opens."""
    with workspace.refusals_kept("grant-issued"):
        return packages.read(
            package,
            trusted=policy.signers(workspace),
            now=workspace.clock.now(),
            seen=MemoryFreshness(),
            admit=policy.counting(workspace),
        )


def _same_package(asked: Request, found: Package) -> None:
    wish = asked.wish
    if wish.package is not None and wish.package != found.digest:
        msg = (
            f"The request {asked.name} asks for the package {short(wish.package)}; the "
            f"one that was named is {short(found.digest)}."
        )
        raise RequestOtherPackageError(msg)
    if wish.product != found.statement.product:
        msg = (
            f"The request {asked.name} asks for {wish.product}; the package that was "
            f"named is {found.statement.product}."
        )
        raise RequestOtherPackageError(msg)


def _issue(
    workspace: Workspace,
    found: Package,
    order: GrantOrder,
    to: Path | None,
    asked: Request | None = None,
    code: SecretText | None = None,
) -> GrantReport:
    now = workspace.clock.now()
    device = DevicePublic.from_text(order.device)
    own = workspace.key.public.key_id
    with workspace.refusals_kept("grant-issued", [found.digest]):
        workspace.standing().check_device(device.device_id, own)
    version = order.version or _next_version(workspace, found.digest, device)
    terms = grants.make_terms(
        purpose=order.purpose,
        not_before=now,
        not_after=now + timedelta(seconds=order.valid_s),
        uses=order.uses,
        version=version,
        grace_s=order.grace_s,
        spare_s=order.spare_s,
        answers_per_day=order.answers_per_day,
    )
    data = grants.to_text(
        grants.issue(
            package=found.digest,
            identity=workspace.identity(found.digest),
            device=device,
            terms=terms,
            key=workspace.key,
            now=now,
            code=code,
        )
    )
    made = digests.of_bytes(data)
    name = f"{found.statement.product}-{short(device.device_id)}-{short(made)}.grant"
    path = to or workspace.packages / name
    write_out(path, data)
    workspace.record(
        "grant-issued",
        inputs=[found.digest],
        outputs=[made],
        names={made: path.name},
        detail={
            "device": device.device_id,
            "not_after": terms.not_after,
            "uses": order.uses,
            "version": version,
            "grace_s": order.grace_s,
            "spare_s": order.spare_s,
            "answers_per_day": order.answers_per_day,
            "request": asked.name if asked else None,
            "asked_by": asked.signer.key_id if asked else None,
            "package": found.digest,
            "grant": grants.read(data, [workspace.key.public]).grant,
            **signed_by(found),
        },
    )
    ends = found.statement.not_after
    earlier = clock.from_text(ends) < clock.from_text(terms.not_after)
    return GrantReport(
        package_ends=ends if earlier else "",
        file=str(path),
        digest=made,
        package=found.digest,
        device=device.device_id,
        not_after=terms.not_after,
        uses=order.uses,
        version=version,
        purpose=order.purpose,
        answers_per_day=order.answers_per_day,
        gives_away=_gives_away(workspace, found, order.answers_per_day),
    )


def _gives_away(workspace: Workspace, found: Package, answers: int | None) -> str:
    report = runs.copying_of(workspace, found.card.graph)
    return report.said(answers or report.answers_per_day) if report else ""


def _next_version(workspace: Workspace, package: Digest, device: DevicePublic) -> int:
    issued = [
        detail.get("version", 1)
        for detail in _issued(workspace)
        if (detail.get("package", package), detail.get("device"))
        == (package, device.device_id)
    ]
    return 1 + max((item for item in issued if isinstance(item, int)), default=0)


def _issued(workspace: Workspace) -> list[dict[str, object]]:
    with workspace.ledger() as ledger:
        return [
            dict(entry.detail)
            for _, entry in ledger.entries()
            if entry.act == "grant-issued"
        ]
