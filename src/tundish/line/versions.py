"""The versions of a line's package: one serves, one may be staged, one is the way back.

Which package serves is what the newest act in the ledger says. The file beside the buffer
tells people the same, and its change rings the bell for a running line; nothing in it
decides anything. A staged package answers the same windows in a process of its own, and
only figures are kept of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field, ValidationError

from tundish.catalog.scenario import Scenario
from tundish.kernel import canonical, paths
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest, hex_part
from tundish.kernel.records import Record
from tundish.line.errors import VersionsUnreadableError
from tundish.line.estimates import Estimate, Scorer
from tundish.line.guard import Mode
from tundish.line.windows import Window
from tundish.seal.fields import CheckedDigest

if TYPE_CHECKING:
    from tundish.line.budget import Meter, Ranges
    from tundish.line.term import Permit

SUFFIX = ".versions"
PACKAGES = ".packages"
MOST_BYTES = 64 * 1024
NONE = ""

Slot = CheckedDigest | Literal[""]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Kind = Literal["switched", "rolled-back"]


class Slots(Record):
    """Which package stands where; empty: none.

    Attributes:
        line: Name of the line.
        base: What the line file named when the first version was staged.
        serving: What answers.
        staged: What runs in shadow.
        previous: What a roll-back brings back.
    """

    format: Literal["tundish.line-versions"] = "tundish.line-versions"
    version: Literal[1] = 1
    line: Annotated[str, Field(min_length=1, max_length=200)]
    base: CheckedDigest
    serving: CheckedDigest
    staged: Slot = ""
    previous: Slot = ""

    def named(self) -> frozenset[Digest]:
        """Return the packages that this line may open though newer ones were seen."""
        found = (self.base, self.serving, self.staged, self.previous)
        return frozenset(Digest(one) for one in found if one)


class Compared(Record):
    """What the serving and the staged package did with the same windows.

    Attributes:
        windows: That both were asked about.
        agreed, disagreed: Of these, where both gave an answer; see ``agree``.
        abstained_old, abstained_new: Windows without an answer of each.
        alarms_old, alarms_new: Windows with an alarm of each.
        mean_difference, max_difference: Of the numbers, where both gave one.
        ms_old, ms_new: Mean time that the graph took for one answer.
        dropped: Windows that the staged one was not asked about, or never answered.
    """

    windows: Count = 0
    agreed: Count = 0
    disagreed: Count = 0
    abstained_old: Count = 0
    abstained_new: Count = 0
    alarms_old: Count = 0
    alarms_new: Count = 0
    mean_difference: Number = 0.0
    max_difference: Number = 0.0
    ms_old: Number = 0.0
    ms_new: Number = 0.0
    dropped: Count = 0


class VersionsNow(Record):
    """What a running line says of its versions.

    Attributes:
        slots: Which package stands where.
        shadow: What the staged package does.
        compared: With the serving one.
        missing: What the change still waits for.
    """

    slots: Slots
    shadow: str = ""
    compared: Compared = Compared()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Successor:
    """What answers from the next window on; its act is in the ledger already.

    Attributes:
        kind: How it came to serve.
        model: Digest of its package.
        scorer, scenario, permit: Of the opened package.
        ranges, meter: For the budget.
        mode: The line file's, or ``advise`` if that is not allowed for this package.
        why_mode: Why it is not the line file's; empty otherwise.
        text, detail: What is told.
    """

    kind: Kind
    model: Digest
    scorer: Scorer
    scenario: Scenario
    permit: Permit
    ranges: Ranges
    meter: Meter
    mode: Mode
    why_mode: str
    text: str
    detail: dict[str, Json]


class Versions(Protocol):
    """What looks after the versions while a line runs."""

    def look(self) -> Successor | None:
        """Return what is to take over now, if anything; asked about once a second.

        Raises:
            TundishError: only if nobody can tell any longer which package serves.
        """
        ...

    def notes(self) -> list[str]:
        """Return what is new to tell since the last time."""
        ...

    def offer(
        self, windows: Sequence[Window], given: Sequence[Estimate], took_s: float
    ) -> None:
        """Show the staged package what the serving one has answered; never waits."""
        ...

    def now(self) -> VersionsNow | None:
        """Return what there is to say; None if no version was ever staged."""
        ...

    def close(self) -> None:
        """End the staged package's process."""
        ...


def versions_path(buffer: Path) -> Path:
    """Return where the versions of a line with this buffer are told."""
    return buffer.with_name(buffer.name + SUFFIX)


def package_path(buffer: Path, package: str) -> Path:
    """Return where the copy of a package lies; its grant lies beside it."""
    folder = buffer.with_name(buffer.name + PACKAGES)
    return folder / f"{hex_part(Digest(package))}.tar"


def grant_path(buffer: Path, package: str) -> Path:
    """Return where the grant of a staged package lies; a renewal is put in its place."""
    return package_path(buffer, package).with_suffix(".grant")


def write_slots(path: Path, slots: Slots) -> None:
    """Tell people and the running line which package stands where."""
    paths.write_whole(path, canonical.pretty(slots.to_json()).encode())


def read_slots(path: Path) -> Slots | None:
    """Return what the file tells; None if there is none.

    Raises:
        VersionsUnreadableError: if it is none.
    """
    if not path.exists():
        return None
    try:
        return Slots.model_validate_json(paths.read_file(path, most=MOST_BYTES))
    except ValidationError as error:
        msg = f"The file {path} does not tell the versions of a line."
        raise VersionsUnreadableError(msg) from error


_FREE = frozenset(
    {
        "name", "problem", "decision", "recipe", "candidates", "acceptance", "baseline",
        "parity_tolerance", "balances", "modes", "costs", "mechanism", "failure_modes",
        "risk", "controls", "simulation",
    }
)  # fmt: skip
_FREE_OF_SIGNALS = frozenset({"description", "range", "min_spread", "max_rate_per_s"})


def misfit(old: Scenario, new: Scenario) -> str:
    """Return what of a new contract does not fit the running line; empty if all does.

    Signals, units, rates, window, task and target must be the same: then what is lined
    up for the old package is what the new one asks for. Limits, acceptance and texts
    may differ.
    """
    was, will = old.to_json(), new.to_json()
    for name in sorted(set(was) | set(will)):
        if name not in _FREE and _form(name, was.get(name)) != _form(
            name, will.get(name)
        ):
            return name
    return ""


def _form(name: str, value: Json) -> Json:
    if name == "signals" and isinstance(value, list):
        return [
            {k: v for k, v in one.items() if k not in _FREE_OF_SIGNALS}
            for one in value
            if isinstance(one, dict)
        ]
    if name == "target" and isinstance(value, dict):
        return {key: value.get(key) for key in ("name", "unit")}
    return value
