"""Signed change records: signed by a person, looked for and judged by the line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from tundish.flows import policy, versions
from tundish.flows.errors import ChangeUsedError, NothingStagedError
from tundish.flows.outputs import write_out
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.clock import from_text, to_text
from tundish.kernel.digest import Digest, hex_part, short
from tundish.kernel.errors import MachineError, RefusedError, UsageError
from tundish.kernel.records import Record
from tundish.line import versions as told
from tundish.line.linefile import LineFile, read_line_file
from tundish.line.status import read_status, status_path
from tundish.line.term import stop_moment
from tundish.line.versions import Compared, Slots, read_slots
from tundish.model import package as packages
from tundish.seal import change as changes
from tundish.seal.change import Change, SeenComparison, Wanted
from tundish.seal.errors import ChangeInvalidError

MOST_BYTES = 64 * 1024
MOST_FILES = 50
LATE = timedelta(minutes=5)
FAR = timedelta(days=2)

Stamp = tuple[int, int]


class ChangeReport(Record):
    """A change record.

    Attributes:
        seen: The comparison that stands in it.
    """

    file: str
    line: str
    old: str
    new: str
    not_before: str
    not_after: str
    issuer: str
    seen: dict[str, int]


def sign_change(
    workspace: Workspace,
    path: Path,
    *,
    begin: datetime,
    end: datetime,
    note: str = "",
    to: Path | None = None,
) -> ChangeReport:
    """Sign that the staged package may take over on a line, within a window.

    Args:
        workspace: Of the person who signs; it must trust the packages' signer.
        path: The line file, with what lies beside its buffer.
        begin: First moment of the window.
        end: The moment from which on the switch is refused.
        note: Why.
        to: Where to write it; default: beside the line file, where the line looks.

    Raises:
        NothingStagedError: if nothing is staged.
        RefusedError: if a copy is not the package it is said to be.
    """
    line = read_line_file(path)
    buffer = versions.buffer_of(path, line)
    slots = read_slots(told.versions_path(buffer))
    if slots is None or not slots.staged:
        msg = f"No package is staged for the line {line.name}."
        raise NothingStagedError(msg)
    for digest in (slots.serving, slots.staged):
        _check_copy(workspace, buffer, digest)
    wanted = _wanted(slots)
    text = changes.sign(
        wanted,
        _seen(buffer, slots),
        now=workspace.clock.now(),
        window=(begin, end),
        note=note,
        key=workspace.key,
    )
    found = changes.read(text, [workspace.key.public])
    out = to or _place(path, line, found)
    write_out(out, text)
    workspace.record(
        "line-change-signed",
        inputs=[wanted.old, wanted.new],
        detail={"line": line.name, "change": found.digest, "note": note},
    )
    return _report(out, found)


def apply_change(workspace: Workspace, path: Path, file: Path) -> ChangeReport:
    """Check a record that was brought to the box, and put it where the line looks.

    Raises:
        NothingStagedError: if nothing is staged.
        ChangeInvalidError: if it is for another line or other packages.
        ChangeUsedError: if it was used before.
        SignerUntrustedError, KeyRevokedError: if its signer does not count here.
    """
    line = read_line_file(path)
    standing = versions.standing(workspace, line.name)
    if standing is None or not standing.slots.staged:
        msg = f"No package is staged for the line {line.name}."
        raise NothingStagedError(msg)
    text = paths.read_file(file, most=MOST_BYTES)
    with workspace.refusals_kept("line-change-taken"):
        found = checked(workspace, text)
        _check_fits(workspace, found, standing.slots)
    out = _place(path, line, found)
    write_out(out, text)
    detail = {"line": line.name, "change": str(found.digest)}
    workspace.record("line-change-taken", detail=detail)
    return _report(out, found)


def checked(workspace: Workspace, text: bytes) -> Change:
    """Return what a record says, if its signer counts here.

    Raises:
        ChangeInvalidError, SignerUntrustedError, KeyRevokedError, KeyExpiredError.
    """
    found = changes.read(text, workspace.keyring.known())
    workspace.standing().check_key(Digest(found.body.issuer), found.digest)
    return found


@dataclass(kw_only=True)
class Found:
    """A record beside a line file that is for the switch at hand.

    Attributes:
        change: The record.
        due: The safe point at which it takes effect; None: there is none.
    """

    change: Change
    due: datetime | None


class ChangeBook:
    """Looks for the records beside a line file and says which one is due.

    Args:
        workspace: The box's.
        path: The line file.
        line: What it says.
    """

    def __init__(self, workspace: Workspace, path: Path, line: LineFile) -> None:
        self._workspace = workspace
        self._path, self._line = path, line
        self._read: dict[tuple[str, Stamp], Found | str] = {}
        self._for: Slots | None = None
        self._given_up: set[str] = set()
        self._notes: list[str] = []

    def notes(self) -> list[str]:
        """Return what is new to tell."""
        found, self._notes = self._notes, []
        return found

    def give_up(self, found: Found) -> None:
        """Do not try this record again until the line starts anew."""
        self._given_up.add(found.change.digest)

    def due(self, slots: Slots) -> tuple[Found | None, tuple[str, ...]]:
        """Return the record that is due now, if any, and what is missing else.

        Args:
            slots: Which package stands where.
        """
        if slots != self._for:
            self._read, self._for = {}, slots
        files = self._files()
        if not files:
            pattern = f"{self._line.name}-*.change"
            return None, (f"no change record ({pattern} beside the line file)",)
        self._read = {key: self._known(key, slots) for key in files}
        missing: list[str] = []
        for (name, _), found in self._read.items():
            said = found if isinstance(found, str) else self._waits(found, slots)
            if not said and isinstance(found, Found):
                return found, ()
            missing.append(f"{name}: {said}")
        return None, tuple(missing)

    def _files(self) -> list[tuple[str, Stamp]]:
        found = []
        pattern = f"{self._line.name}-*.change"
        for path in sorted(islice(self._path.parent.glob(pattern), MOST_FILES)):
            try:
                stat = path.stat()
            except OSError:  # gone meanwhile
                continue
            found.append((path.name, (stat.st_mtime_ns, stat.st_size)))
        return found

    def _known(self, key: tuple[str, Stamp], slots: Slots) -> Found | str:
        known = self._read.get(key)
        return self._judged(key[0], slots) if known is None else known

    def _judged(self, name: str, slots: Slots) -> Found | str:
        """Return a record, or why it does not count; told and kept in the ledger once."""
        try:
            text = paths.read_file(self._path.parent / name, most=MOST_BYTES)
            with self._workspace.refusals_kept("line-change-taken"):
                change = checked(self._workspace, text)
                _check_fits(self._workspace, change, slots)
        except (RefusedError, UsageError, MachineError) as error:
            said = error.one_line()
            self._notes.append(f"{name} does not count: {said}")
            return said
        return Found(change=change, due=self._next_point(change))

    def _waits(self, found: Found, slots: Slots) -> str:
        """Return what a record still waits for; empty if it is due."""
        if found.change.digest in self._given_up:
            return "the staged package did not open"
        now = self._workspace.clock.now()
        if found.due is not None and now - found.due > LATE:
            found.due = self._next_point(found.change)
        if found.due is None:
            return f"no safe point lies before {found.change.body.not_after}"
        if now < found.due:
            return f"it waits for {to_text(found.due)}"
        try:
            self._workspace.freshness().see_time(now)
            self._again(found)
            found.change.check(_wanted(slots), now)
        except (RefusedError, UsageError, MachineError) as error:
            return error.one_line()
        return ""

    def _again(self, found: Found) -> None:
        """Ask once more, at the moment itself, whether its signer counts and it is new."""
        trust = self._workspace.standing()
        trust.check_key(Digest(found.change.body.issuer), found.change.digest)
        _check_unused(self._workspace, found.change, self._line.name)

    def _next_point(self, change: Change) -> datetime | None:
        """Return the first safe point from now on within the window."""
        body, now = change.body, self._workspace.clock.now()
        first = max(now, from_text(body.not_before))
        point = stop_moment(first, FAR.total_seconds(), self._line.safe_points)
        return point if point < from_text(body.not_after) else None


def _wanted(slots: Slots) -> Wanted:
    return Wanted(line=slots.line, old=Digest(slots.serving), new=Digest(slots.staged))


def _check_fits(workspace: Workspace, change: Change, slots: Slots) -> None:
    change.check_for(_wanted(slots))
    _check_unused(workspace, change, slots.line)


def _check_unused(workspace: Workspace, change: Change, line: str) -> None:
    with workspace.ledger() as ledger:
        used = ledger.newest(
            [versions.SWITCHED], {"line": line, "change": change.digest}
        )
    if used is not None:
        msg = f"The change record {short(change.digest)} was used at {used.at}."
        raise ChangeUsedError(msg)


def _check_copy(workspace: Workspace, buffer: Path, digest: str) -> None:
    file = told.package_path(buffer, digest)
    found = packages.recognise(file, trusted=policy.signers(workspace))
    if found.digest != digest:
        msg = f"{file} holds the package {short(found.digest)}."
        raise ChangeInvalidError(msg)


def _seen(buffer: Path, slots: Slots) -> SeenComparison:
    """Return the comparison that the line tells of these two packages."""
    said = read_status(status_path(buffer))
    figures = Compared()
    if said is not None and said.versions is not None:
        was = said.versions.slots
        if (was.serving, was.staged) == (slots.serving, slots.staged):
            figures = said.versions.compared
    names: Sequence[str] = tuple(SeenComparison.model_fields)
    return SeenComparison.model_validate({n: getattr(figures, n) for n in names})


def _place(path: Path, line: LineFile, found: Change) -> Path:
    return path.with_name(f"{line.name}-{hex_part(found.digest)[:12]}.change")


def _report(out: Path, found: Change) -> ChangeReport:
    body = found.body
    return ChangeReport(
        file=str(out),
        line=body.line,
        old=body.old,
        new=body.new,
        not_before=body.not_before,
        not_after=body.not_after,
        issuer=body.issuer,
        seen=body.seen.model_dump(),
    )
