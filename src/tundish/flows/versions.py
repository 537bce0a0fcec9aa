"""Stage a new package version beside the one that serves, and the way back.

The newest act about a line's versions in the ledger says which package serves; whoever
changes it holds the lock beside the buffer. Copies of the packages lie there too, so that
the medium they came on may go.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import JsonValue, ValidationError

from tundish.flows import policy
from tundish.flows.contract import contract_of
from tundish.flows.errors import (
    GrantMissingError,
    NothingStagedError,
    NothingToRollBackError,
    VersionNotStagedError,
    VersionUnfitError,
)
from tundish.flows.open_package import check_grant, issuers
from tundish.flows.verify import read
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.clock import SystemClock
from tundish.kernel.digest import Digest, hex_part, short
from tundish.kernel.errors import DocumentMalformedError, RefusedError
from tundish.kernel.records import Record
from tundish.ledger.record import Entry
from tundish.line import versions as told
from tundish.line.linefile import LineFile, read_line_file
from tundish.line.status import read_status, status_path
from tundish.line.versions import NONE, Slots, misfit, write_slots
from tundish.model import package as packages
from tundish.model.package import Package
from tundish.seal import grant as grants
from tundish.seal.errors import GrantOtherPackageError
from tundish.seal.freshness import FileFreshness, after_grant

STAGED, SWITCHED, ROLLED_BACK = "line-staged", "line-switched", "line-rolled-back"
ASKED = "line-rollback-asked"
ACTS = (STAGED, SWITCHED, ROLLED_BACK, ASKED)
WAIT_S, LOOK_S = 20.0, 0.2


class VersionsReport(Record):
    """Which package stands where after an act; digests, empty: none.

    Attributes:
        pending: What is still to come; empty if all is done.
    """

    line: str
    serving: str
    staged: str
    previous: str
    pending: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the ledger says of a line's versions.

    Attributes:
        slots: Which package stands where.
        asked: Whether a roll-back was asked for and not done yet.
    """

    slots: Slots
    asked: bool = False


def standing(workspace: Workspace, name: str) -> Standing | None:
    """Return what the ledger says of a line's versions; None if none was ever staged.

    Raises:
        DocumentMalformedError: if the newest act says nothing that can be read.
    """
    with workspace.ledger() as ledger:
        entry: Entry | None = ledger.newest(ACTS, {"line": name})
    if entry is None:
        return None
    try:
        slots = Slots.model_validate(entry.detail.get("slots"))
    except ValidationError as error:
        msg = f"The newest act {entry.act} of the line {name} names no packages."
        raise DocumentMalformedError(msg) from error
    return Standing(slots=slots, asked=entry.act == ASKED)


@contextmanager
def held(buffer: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock on a line's versions; gives False if another has it and we do not wait."""
    path = told.versions_path(buffer).with_suffix(f"{told.SUFFIX}.lock")
    with paths.lock_stream(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def keep(
    workspace: Workspace,
    buffer: Path,
    act: str,
    slots: Slots,
    said: str,
    detail: dict[str, JsonValue] | None = None,
) -> None:
    """Write an act into the ledger, then tell it beside the buffer."""
    named = (slots.serving, slots.staged, slots.previous)
    workspace.record(
        act,
        inputs=[Digest(one) for one in dict.fromkeys(named) if one],
        detail={
            **(detail or {}),
            "line": slots.line,
            "slots": cast("dict[str, JsonValue]", slots.to_json()),
            "said": said[:500],
        },
    )
    write_slots(told.versions_path(buffer), slots)


def stage(
    workspace: Workspace, path: Path, package: Path, grant: Path | None = None
) -> VersionsReport:
    """Stage a package: it runs in shadow beside the one that serves.

    A running line begins within seconds, another at its next start. What was staged
    before is so no more.

    Args:
        workspace: The box's.
        path: The line file.
        package: The new version, as tar or folder.
        grant: Its grant, if it is encrypted.

    Raises:
        RefusedError: if the package or its grant does not count here.
        GrantMissingError: if it is encrypted and no grant was named.
        VersionUnfitError: if its contract is not that of the running line.
    """
    line = read_line_file(path)
    buffer = buffer_of(path, line)
    with held(buffer):
        slots, serving = _serving(workspace, path, line)
        looked_at = packages.recognise(package, trusted=policy.signers(workspace))
        _check_fits(serving, looked_at)  # before it makes the others older
        new = read(workspace, package)
        _keep_grant(workspace, buffer, new, grant)
        packages.write_tar(new, told.package_path(buffer, new.digest))
        slots = slots.model_copy(update={"staged": new.digest})
        keep(workspace, buffer, STAGED, slots, f"{_named(new)} is staged")
        _forget_others(buffer, slots)
    return _report(slots)


def unstage(workspace: Workspace, path: Path) -> VersionsReport:
    """Take the staged package away again.

    Raises:
        NothingStagedError: if none is staged.
    """
    line = read_line_file(path)
    buffer = buffer_of(path, line)
    with held(buffer):
        found = standing(workspace, line.name)
        if found is None or not found.slots.staged:
            msg = f"No package is staged for the line {line.name}."
            raise NothingStagedError(msg)
        slots = found.slots.model_copy(update={"staged": NONE})
        keep(workspace, buffer, STAGED, slots, "nothing is staged any more")
    return _report(slots)


def roll_back(
    workspace: Workspace, path: Path, *, wait_s: float = WAIT_S
) -> VersionsReport:
    """Let the package serve again that served before the last change.

    A running line does it at its next window. What is staged is so no more.

    Args:
        workspace: The box's.
        path: The line file.
        wait_s: How long to wait for a running line.

    Raises:
        NothingToRollBackError: if none served before.
        RefusedError: if the package of before does not count here any more; the line
            goes on as it is.
    """
    line = read_line_file(path)
    buffer = buffer_of(path, line)
    with held(buffer):
        found = standing(workspace, line.name)
        if found is None or not found.slots.previous:
            msg = f"No package served before on the line {line.name}."
            raise NothingToRollBackError(msg)
        check_previous(workspace, path, line, found.slots)
        if not _runs(path, line):
            return _report(rolled_back(workspace, buffer, found.slots))
        keep(workspace, buffer, ASKED, found.slots, "a roll-back is asked for")
    return _await(workspace, path, line, found.slots, wait_s)


def rolled_back(workspace: Workspace, buffer: Path, slots: Slots) -> Slots:
    """Write that the package of before serves again; return what stands where then."""
    after = slots.model_copy(
        update={"serving": slots.previous, "previous": NONE, "staged": NONE}
    )
    said = f"{short(after.serving)} serves again, {short(slots.serving)} no more"
    keep(workspace, buffer, ROLLED_BACK, after, said, {"from": slots.serving})
    return after


def check_previous(
    workspace: Workspace, path: Path, line: LineFile, slots: Slots
) -> None:
    """Refuse a roll-back to a package that does not count here; uses no grant up.

    Raises:
        RefusedError: as ``read`` and ``check_grant``.
        GrantMissingError: if its grant is gone.
    """
    file, grant = files_of(path, line, slots, slots.previous)
    package = read(workspace, file, slots.named())
    check_slot(package.digest, slots.previous)
    if package.encrypted:
        _check_grant(workspace, package, grant)


def buffer_of(path: Path, line: LineFile) -> Path:
    """Return where a line's buffer lies."""
    return path.parent / line.buffer.path


def files_of(
    path: Path, line: LineFile, slots: Slots, package: str
) -> tuple[Path, Path | None]:
    """Return a package's copy and its grant: the line file's for the first package."""
    buffer = buffer_of(path, line)
    own = told.grant_path(buffer, package)
    if own.is_file():
        return told.package_path(buffer, package), own
    named = path.parent / line.grant if line.grant else None
    return told.package_path(buffer, package), named if package == slots.base else None


def read_serving(workspace: Workspace, path: Path, line: LineFile) -> Package:
    """Return the verified package that serves on a line: the line file's, or a later one.

    Raises:
        RefusedError: as ``read`` and ``check_slot``.
    """
    found = standing(workspace, line.name)
    if found is None:
        return read(workspace, line.package_in(path.parent))
    file, _ = files_of(path, line, found.slots, found.slots.serving)
    package = read(workspace, file, found.slots.named())
    check_slot(package.digest, found.slots.serving)
    return package


def check_slot(found: Digest, wanted: str) -> None:
    """Refuse a package that lies where the copy of another one should.

    Raises:
        VersionNotStagedError.
    """
    if found != wanted:
        msg = (
            f"The package {short(found)} lies in the place of {short(Digest(wanted))}, "
            "which the ledger of the line names."
        )
        raise VersionNotStagedError(msg)


def serving_grant(workspace: Workspace, path: Path, line: LineFile) -> Path | None:
    """Return the file of the grant of the package that serves; None if none is named."""
    found = standing(workspace, line.name)
    if found is None:
        return path.parent / line.grant if line.grant else None
    return files_of(path, line, found.slots, found.slots.serving)[1]


def check_named(workspace: Workspace, path: Path, line: LineFile, slots: Slots) -> None:
    """Refuse a line file that names a package which was never staged.

    Raises:
        VersionNotStagedError: if so; a file that is gone, or none, says nothing.
    """
    named = line.package_in(path.parent)
    if not named.exists():
        return
    try:
        found = packages.recognise(named, trusted=policy.signers(workspace))
    except RefusedError:
        return
    if found.digest not in slots.named():
        msg = (
            f"The line {line.name} names the package {short(found.digest)}, and its "
            f"ledger says that {short(slots.serving)} serves."
        )
        raise VersionNotStagedError(msg)


def _serving(workspace: Workspace, path: Path, line: LineFile) -> tuple[Slots, Package]:
    """Return the slots and the package that serves; they begin with the first staging.

    The ledger names the serving package before a newer one is seen: from then on it
    opens only because it is named there.
    """
    buffer = buffer_of(path, line)
    found = standing(workspace, line.name)
    serving = read_serving(workspace, path, line)
    if found is not None:
        return found.slots, serving
    slots = Slots(line=line.name, base=serving.digest, serving=serving.digest)
    folder = told.package_path(buffer, serving.digest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    packages.write_tar(serving, folder)
    keep(workspace, buffer, STAGED, slots, f"{_named(serving)} serves")
    return slots, serving


def _check_fits(serving: Package, new: Package) -> None:
    if new.digest == serving.digest:
        msg = f"The package {_named(new)} serves on this line already."
        raise VersionUnfitError(msg, advice="Name the new version.")
    wrong = misfit(contract_of(serving), contract_of(new))
    if wrong:
        msg = f"The package {_named(new)} has other {wrong} in its contract than the running line."
        raise VersionUnfitError(msg)


def _keep_grant(
    workspace: Workspace, buffer: Path, package: Package, grant: Path | None
) -> None:
    if not package.encrypted:
        return
    _check_grant(workspace, package, grant)
    if grant is not None:
        place = told.grant_path(buffer, package.digest)
        paths.write_whole(place, paths.read_file(grant), mode=0o600)


def _check_grant(workspace: Workspace, package: Package, grant: Path | None) -> None:
    """Refuse a grant that would not open a package here; it is not used up by this."""
    if grant is None:
        msg = f"The package {package.statement.product} is encrypted, and no grant was named."
        raise GrantMissingError(msg)
    with workspace.refusals_kept("grant-opened", [package.digest]):
        body = grants.read(paths.read_file(grant), issuers(workspace, package))
        if body.package != package.digest:
            msg = (
                f"The grant {body.grant} is for another package than {_named(package)}."
            )
            raise GrantOtherPackageError(msg)
        grants.check_dates(body, workspace.clock.now())
        check_grant(workspace, package, body)
        after_grant(
            FileFreshness(workspace.inner / "freshness.json").seen(),
            body.grant,
            series=f"{body.package}/{body.device}",
            version=body.terms.version,
            uses=body.terms.uses,
        )


def _forget_others(buffer: Path, slots: Slots) -> None:
    names = {hex_part(one) for one in slots.named()}
    for path in told.package_path(buffer, slots.serving).parent.iterdir():
        if path.suffix in {".tar", ".grant"} and path.stem not in names:
            path.unlink(missing_ok=True)


def _runs(path: Path, line: LineFile) -> bool:
    said = read_status(status_path(buffer_of(path, line)))
    return said is not None and not said.alive(SystemClock().now())


def _await(
    workspace: Workspace, path: Path, line: LineFile, before: Slots, wait_s: float
) -> VersionsReport:
    """Wait until a running line has done what was asked, or refused it, or has ended."""
    until_s = time.monotonic() + wait_s
    while time.monotonic() < until_s:
        found = standing(workspace, line.name)
        if found is not None and not found.asked:
            done = found.slots.serving != before.serving
            return _report(found.slots, "" if done else "the line refused it")
        if not _runs(path, line):
            with held(buffer_of(path, line)):
                found = standing(workspace, line.name)
                if found is not None and found.asked:
                    buffer = buffer_of(path, line)
                    return _report(rolled_back(workspace, buffer, found.slots))
        time.sleep(LOOK_S)
    return _report(before, "the line has not answered; it does so at its next look")


def _report(slots: Slots, pending: str = "") -> VersionsReport:
    return VersionsReport(
        line=slots.line,
        serving=slots.serving,
        staged=slots.staged,
        previous=slots.previous,
        pending=pending,
    )


def _named(package: Package) -> str:
    said = package.statement
    return f"{said.product} version {said.version} ({short(package.digest)})"
