"""The versions of a running line: shadow, change, roll-back.

Everything here happens between two windows, in one turn of the line's loop: what is to
serve is verified and opened first, then the act is written into the ledger, then it
answers. Whatever cannot be done is told and leaves the line as it is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from tundish.flows import shadow, versions
from tundish.flows.changes import ChangeBook, Found
from tundish.flows.control import why_not_approved
from tundish.flows.open_package import OpenModel, open_package
from tundish.flows.permit import GrantPermit
from tundish.flows.versions import Standing
from tundish.flows.withdrawn import withdrawn_in
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.digest import Digest, short
from tundish.kernel.errors import MachineError, RefusedError, TundishError, UsageError
from tundish.line.budget import Ranges
from tundish.line.errors import ModeRefusedError
from tundish.line.estimates import Estimate
from tundish.line.guard import Mode, check_mode
from tundish.line.linefile import LineFile
from tundish.line.shadow import Shadow
from tundish.line.status import read_status, status_path
from tundish.line.versions import (
    Compared,
    Kind,
    Slots,
    Successor,
    VersionsNow,
    versions_path,
)
from tundish.line.windows import Window

EVERY_S = 1.0


def opened(
    workspace: Workspace, path: Path, line: LineFile, found: Standing | None
) -> tuple[OpenModel, Path | None]:
    """Open the package that serves on a line, and say where its grant lies.

    Raises:
        VersionNotStagedError: if the line file names one that was never staged.
        RefusedError: as ``open_package``.
    """
    if found is None:
        grant = path.parent / line.grant if line.grant else None
        return open_package(workspace, line.package_in(path.parent), grant), grant
    versions.check_named(workspace, path, line, found.slots)
    slots = found.slots
    back = _back_at_start(workspace, path, line, slots) if found.asked else None
    if back is not None:
        return back
    file, grant = versions.files_of(path, line, slots, slots.serving)
    return _open_slot(workspace, file, grant, slots, slots.serving), grant


def _open_slot(
    workspace: Workspace, file: Path, grant: Path | None, slots: Slots, wanted: str
) -> OpenModel:
    """Open the copy of a package that the ledger names, and no other.

    Raises:
        VersionNotStagedError: if it holds another package.
        RefusedError: as ``open_package``.
    """
    model = open_package(workspace, file, grant, slots.named())
    versions.check_slot(model.package.digest, wanted)
    return model


def _back_at_start(
    workspace: Workspace, path: Path, line: LineFile, slots: Slots
) -> tuple[OpenModel, Path | None] | None:
    """Do a roll-back that a line was asked for and had no time to do, if it can be done."""
    buffer = versions.buffer_of(path, line)
    file, grant = versions.files_of(path, line, slots, slots.previous)
    try:
        model = _open_slot(workspace, file, grant, slots, slots.previous)
    except (RefusedError, UsageError, MachineError) as error:
        said = f"the roll-back was refused: {error.one_line()}"
        versions.keep(workspace, buffer, versions.STAGED, slots, said)
        return None
    versions.rolled_back(workspace, buffer, slots)
    return model, grant


def ranges_of(model: OpenModel) -> Ranges:
    """Return the range of the training data, else the contract's; per channel."""
    scenario = model.scenario
    widths = [signal.channels for signal in scenario.signals]
    low = np.repeat([signal.range[0] for signal in scenario.signals], widths)
    high = np.repeat([signal.range[1] for signal in scenario.signals], widths)
    known = model.package.envelope or {}
    ends = [known.get("min"), known.get("max")]
    if all(isinstance(end, list) and len(end) == len(low) for end in ends):
        low, high = (np.asarray(end, np.float64) for end in ends)
    return low, high


def mode_for(
    workspace: Workspace, path: Path, line: LineFile, model: OpenModel
) -> tuple[Mode, str]:
    """Return the mode in which a package may answer, and why it is not the line file's."""
    why = ""
    for mode in (line.mode, *_LESS[line.mode]):
        try:
            check_mode(model.scenario, mode)
        except ModeRefusedError as error:
            why = why or error.message
            continue
        if mode == "control" and line.control is not None:
            refused = why_not_approved(workspace, path, line.control, model.package)
            why = why or refused
            if refused:
                continue
        return mode, why
    return "shadow", why


_LESS: dict[Mode, tuple[Mode, ...]] = {
    "control": ("advise", "shadow"),
    "advise": ("shadow",),
    "shadow": (),
}


@dataclass(kw_only=True)
class _Ready:
    """A package that was opened for a switch, until its act is written."""

    change: str
    model: OpenModel
    permit: GrantPermit
    mode: tuple[Mode, str]


class LineVersions:
    """Looks after the versions of one running line; a ``line.versions.Versions``.

    Args:
        workspace: The box's.
        path: The line file.
        line: What it says.
        model: What serves.
        why_mode: Why its mode is not the line file's; told once.
    """

    def __init__(
        self,
        workspace: Workspace,
        path: Path,
        line: LineFile,
        model: OpenModel,
        why_mode: str = "",
    ) -> None:
        self._workspace = workspace
        self._path, self._line = path, line
        self._buffer = versions.buffer_of(path, line)
        self._model = model
        self._slots: Slots | None = None
        self._asked = False
        self._shadow: Shadow | None = None
        self._shadowed = ""
        self._why_no_shadow = ""
        self._changes = ChangeBook(workspace, path, line)
        self._ready: _Ready | None = None
        self._notes = [f"the mode is {line.mode}: {why_mode}"] if why_mode else []
        self._missing: tuple[str, ...] = ()
        self._stamp: tuple[int, int, int] | None = None
        self._looked_s = float("-inf")
        self._said = self._trouble = ""

    def look(self) -> Successor | None:
        """Return what is to take over now; see the module."""
        if self._shadow is not None:
            self._shadow.look()
        now_s = time.monotonic()
        if now_s - self._looked_s < EVERY_S:
            return None
        self._looked_s = now_s
        if self._slots is None and paths.stamp(versions_path(self._buffer)) is None:
            return None  # nothing was ever staged
        try:
            with versions.held(self._buffer, wait=False) as mine:
                # else somebody stages just now
                return self._looked() if mine else None
        except OSError as error:
            self._troubled(f"the versions cannot be looked at: {error.strerror}")
            return None

    def _troubled(self, said: str) -> None:
        """Tell of a trouble once, however long it lasts."""
        if said != self._trouble:
            self._notes.append(said)
        self._trouble = said

    def notes(self) -> list[str]:
        """Return what is new to tell."""
        found, self._notes = self._notes, []
        return found

    def offer(
        self, windows: Sequence[Window], given: Sequence[Estimate], took_s: float
    ) -> None:
        """Show the staged package what was answered."""
        if self._shadow is not None:
            self._shadow.offer(windows, given, took_s)

    def now(self) -> VersionsNow | None:
        """Return what there is to say."""
        if self._slots is None:
            return None
        compared, said = Compared(), self._why_no_shadow
        if self._shadow is not None:
            compared = self._shadow.comparison.figures()
            said = self._shadow.said()
        return VersionsNow(
            slots=self._slots, shadow=said, compared=compared, missing=self._missing
        )

    def close(self) -> None:
        """End the staged package's process."""
        if self._shadow is not None:
            self._shadow.close()
            self._shadow = None

    def _looked(self) -> Successor | None:
        try:
            self._read_ledger()
        except TundishError as error:  # such as a ledger that is held: ask again
            self._troubled(f"the ledger cannot be asked: {error.message}")
            return None
        self._trouble = ""
        slots = self._slots
        if slots is None:
            return None
        if self._asked:
            return self._roll_back(slots)
        if slots.serving != self._model.package.digest:
            return self._follow_ledger(slots)
        self._tend_shadow(slots)
        return self._change(slots) if slots.staged else None

    def _read_ledger(self) -> None:
        """Ask the ledger when the file beside the buffer has changed."""
        stamp = paths.stamp(versions_path(self._buffer))
        if stamp == self._stamp and not self._asked:
            return
        found = versions.standing(self._workspace, self._line.name)
        self._stamp = stamp
        self._slots = found.slots if found else None
        self._asked = found.asked if found else False

    def _tend_shadow(self, slots: Slots) -> None:
        if self._shadow is not None and not self._said and self._shadow.ended:
            self._said = self._shadow.said()
            self._notes.append(f"the staged package {self._said}")
        if self._shadowed == slots.staged:
            return
        self.close()
        self._shadowed, self._said, self._missing = slots.staged, "", ()
        if not slots.staged:
            return
        file, grant = versions.files_of(self._path, self._line, slots, slots.staged)
        command = shadow.command(self._workspace, file, grant, slots.staged)
        try:
            self._shadow = Shadow(command, self._model.scenario, self._before(slots))
            self._why_no_shadow = ""
        except OSError as error:
            self._why_no_shadow = f"its process cannot be started: {error.strerror}"
            self._notes.append(self._why_no_shadow)
            return
        self._notes.append(f"{short(Digest(slots.staged))} runs in shadow")

    def _before(self, slots: Slots) -> Compared | None:
        """Return the figures of the same two packages from before a restart."""
        with contextlib.suppress(TundishError):
            said = read_status(status_path(self._buffer))
            if said is not None and said.versions is not None:
                was = said.versions.slots
                if (was.serving, was.staged) == (slots.serving, slots.staged):
                    return said.versions.compared
        return None

    def _change(self, slots: Slots) -> Successor | None:
        """Switch if a record says so now; else keep what is missing for it."""
        due, self._missing = self._changes.due(slots)
        self._notes += self._changes.notes()
        if due is None:
            return None
        ready = self._ready
        if ready is None or ready.change != due.change.digest:
            ready = self._opened(slots, slots.staged, due.change.digest)
        if ready is None:
            self._changes.give_up(due)
            return None
        after = slots.model_copy(
            update={"serving": slots.staged, "staged": "", "previous": slots.serving}
        )
        said = f"{short(Digest(after.serving))} serves, {short(Digest(after.previous))} no more"
        detail = _change_detail(due, slots)
        if not self._kept(versions.SWITCHED, after, said, detail):
            self._ready = ready
            return None
        return self._successor(ready, "switched", after, said)

    def _roll_back(self, slots: Slots) -> Successor | None:
        ready = self._opened(slots, slots.previous, "") if slots.previous else None
        if ready is None:
            said = "the roll-back was refused; the line goes on"
            if self._kept(versions.STAGED, slots, said, {}):
                self._asked = False
            return None
        after = slots.model_copy(
            update={"serving": slots.previous, "previous": "", "staged": ""}
        )
        said = f"{short(Digest(after.serving))} serves again, {short(Digest(slots.serving))} no more"
        if not self._kept(versions.ROLLED_BACK, after, said, {"from": slots.serving}):
            return None
        self._asked = False
        return self._successor(ready, "rolled-back", after, said)

    def _follow_ledger(self, slots: Slots) -> Successor:
        """Open what the ledger says, which was written while this line started.

        Raises:
            TundishError: if it does not open: then nothing may answer here.
        """
        file, grant = versions.files_of(self._path, self._line, slots, slots.serving)
        model = _open_slot(self._workspace, file, grant, slots, slots.serving)
        said = f"{short(Digest(slots.serving))} serves, as the ledger says"
        ready = self._made_ready(model, grant, "")
        return self._successor(ready, "rolled-back", slots, said)

    def _opened(self, slots: Slots, package: str, change: str) -> _Ready | None:
        """Open a package for a switch; tell why if it does not open."""
        file, grant = versions.files_of(self._path, self._line, slots, package)
        try:
            model = _open_slot(self._workspace, file, grant, slots, package)
            return self._made_ready(model, grant, change)
        except (RefusedError, UsageError, MachineError) as error:
            self._notes.append(
                f"{short(Digest(package))} does not open, and "
                f"{short(Digest(slots.serving))} goes on: {error.one_line()}"
            )
            return None

    def _made_ready(self, model: OpenModel, grant: Path | None, change: str) -> _Ready:
        """Do all that can fail before the act is written."""
        permit = GrantPermit(
            self._workspace,
            model,
            grant,
            safe_points=self._line.safe_points,
            revoked=withdrawn_in(self._workspace),
        )
        mode = mode_for(self._workspace, self._path, self._line, model)
        return _Ready(change=change, model=model, permit=permit, mode=mode)

    def _kept(
        self, act: str, after: Slots, said: str, detail: dict[str, JsonValue]
    ) -> bool:
        """Write an act; whatever fails, the ledger is asked what stands in it.

        Raises:
            TundishError: if it cannot be asked: nobody knows then what serves.
        """
        try:
            versions.keep(self._workspace, self._buffer, act, after, said, detail)
        except (TundishError, OSError) as error:
            found = versions.standing(self._workspace, self._line.name)
            if found is None or found.asked or found.slots != after:
                self._notes.append(f"the act cannot be written: {error}")
                return False
        self._slots, self._stamp = after, paths.stamp(versions_path(self._buffer))
        return True

    def _successor(
        self, ready: _Ready, kind: Kind, after: Slots, said: str
    ) -> Successor:
        model = self._model = ready.model
        self.close()
        self._ready, self._shadowed, self._missing = None, "", ()
        mode, why = ready.mode
        return Successor(
            kind=kind,
            model=model.package.digest,
            scorer=model.session,
            scenario=model.scenario,
            permit=ready.permit,
            ranges=ranges_of(model),
            meter=model.meter,
            mode=mode,
            why_mode=why,
            text=said,
            detail={"serving": after.serving, "previous": after.previous},
        )


def _change_detail(due: Found, slots: Slots) -> dict[str, JsonValue]:
    return {
        "change": due.change.digest,
        "signer": due.change.body.issuer,
        "from": slots.serving,
    }
