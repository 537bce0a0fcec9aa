"""What the demo tells while it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tundish.kernel.records import Record

Tone = Literal["", "good", "bad", "warn", "dim"]


class Said(Record):
    """One line for people."""

    text: str
    tone: Tone = ""


class Stage(Record):
    """One stage that was gone through."""

    number: int
    title: str
    lines: tuple[Said, ...]
    seconds: float


class Refusal(Record):
    """One refusal: what was tried, and what it met."""

    tried: str
    code: str
    message: str
    advice: str


class DemoReport(Record):
    """How the demo ended.

    Attributes:
        accepted: Whether the soft sensor was accepted by the judge.
        refusals: What was refused, in order.
        ledger_entries: Entries of the plant's and the edge box's ledgers, verified.
        report: Path of the HTML page.
        folder: The scratch folder.
    """

    stages: tuple[Stage, ...]
    accepted: bool
    refusals: tuple[Refusal, ...]
    ledger_entries: int
    report: str
    folder: str
    seconds: float


class LineDemoReport(Record):
    """How the demo of the line ended; its answers and states stand in the last stage."""

    stages: tuple[Stage, ...]
    folder: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Whom the demo talks to.

    Attributes:
        begun: Called with number and title when a stage begins.
        doing: Called with what is being done at the moment.
        ended: Called with a stage that has ended.
    """

    begun: Callable[[int, str], None] = lambda _number, _title: None
    doing: Callable[[str], None] = lambda _text: None
    ended: Callable[[Stage], None] = lambda _stage: None
