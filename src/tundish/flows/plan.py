"""Measure a workspace against the targets of 2027: numbers, each with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tundish.catalog import sectors
from tundish.catalog.evidence import Evidence
from tundish.catalog.sectors import Names
from tundish.flows.coverage import coverage
from tundish.flows.ledger import generated_in, list_ledger
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import from_text
from tundish.kernel.digest import Digest, short
from tundish.kernel.records import Record
from tundish.ledger.record import Entry

_GOOD = ("A", "B")


class Target(Record):
    """One target and what is there.

    Attributes:
        found: How many are there.
        wanted: How many there shall be; None where the programme names no number.
        evidence: What each one counted is: a key, or a name with a digest and the place
            in the ledger.
        note: How it is counted.
    """

    key: str
    name: Names
    found: int
    wanted: int | None
    evidence: tuple[str, ...]
    note: str


class PlanReport(Record):
    """All targets."""

    targets: tuple[Target, ...]


def measure(
    workspace: Workspace | None,
    further: Sequence[Evidence] = (),
    providers: Sequence[str] = (),
) -> PlanReport:
    """Count what the ledger and the evidence show; nothing is taken on its word.

    Args:
        workspace: Whose ledger is read; without one, only the catalogue counts.
        further: Evidence beside what ships; see ``coverage``.
        providers: Those whose cards rest on evidence; see ``provider_match``.
    """
    entries = [] if workspace is None else list_ledger(workspace)
    done = [(n, e) for n, e in entries if e.outcome == "done"]
    generated = generated_in(done)
    covered = coverage(further)
    shown = [
        one.scenario
        for one in covered.standings
        if one.level in {"shown", "proven"} and one.scenario not in covered.on_word
    ]
    proven = [one for one in covered.standings if one.level == "proven"]
    sealed = _sealed_sectors(done, generated)
    accepted = {key.split(".")[0] for key in shown} | set(sealed)
    counted = [code for code in sectors.divisions() if code in accepted]
    now = workspace.clock.now() if workspace else None
    return PlanReport(
        targets=(
            _target(
                "data-sets", "high-quality industrial data sets", "高质量工业数据集", 100,
                _certified(done, generated, now),
                "graded A or B and certified here; the certificate has not run out, the set is not generated",
            ),
            _target(
                "scenarios", "typical application scenarios", "典型应用场景", 500, shown,
                "accepted on a public set that others made, or proven by a plant; what only the maker of a pack says is not counted",
            ),
            _target(
                "general-models", "general large models at work in manufacturing", "通用大模型深度应用", 3,
                [],
                "none can be counted yet: no act of the ledger says that a general model answered",
            ),
            _target(
                "sectors", "sectors with an accepted model", "行业模型覆盖", 31,
                [f"{code} {sealed.get(code, '')}".strip() for code in counted],
                "a scenario of the sector is shown or proven, or a package of it was sealed here",
            ),
            _target(
                "providers", "service providers who know AI and the trade", "“懂智能、熟行业”的服务商", None,
                providers,
                "cards with a skill that rests on evidence, signed by a key trusted here; the programme names no number",
            ),
            _target(
                "plants", "plants with evidence", "工厂实证", 1,
                sorted({e.data for one in proven for e in one.evidence if e.level == "proven"}),
                "signed evidence of a plant's own line",
            ),
        )
    )  # fmt: skip


def _target(
    key: str, en: str, zh: str, wanted: int | None, evidence: Sequence[str], note: str
) -> Target:
    return Target(
        key=key,
        name=Names(en=en, zh=zh),
        found=len(evidence),
        wanted=wanted,
        evidence=tuple(evidence),
        note=note,
    )


def _certified(
    done: Sequence[tuple[int, Entry]], generated: set[Digest], now: datetime | None
) -> list[str]:
    """Return each set whose newest certificate says A or B and has not run out."""
    newest: dict[Digest, tuple[int, Entry]] = {}
    for number, entry in done:
        if entry.act == "certificate-made" and entry.inputs:
            newest[entry.inputs[0]] = (number, entry)
    return [
        f"{entry.names.get(data, short(data))} (entry {number})"
        for data, (number, entry) in newest.items()
        if data not in generated
        and entry.detail.get("letter") in _GOOD
        and _lasts(entry, now)
    ]


def _lasts(entry: Entry, now: datetime | None) -> bool:
    until = entry.detail.get("not_after")
    return isinstance(until, str) and now is not None and from_text(until) > now


def _sealed_sectors(
    done: Sequence[tuple[int, Entry]], generated: set[Digest]
) -> dict[str, str]:
    """Return sector -> the newest package of it that was sealed here."""
    found: dict[str, str] = {}
    for number, entry in done:
        if entry.act != "package-sealed" or generated & set(entry.outputs):
            continue
        for digest in entry.outputs:
            name = entry.names.get(digest, "")
            if sectors.is_sector(name[:3]):
                found[name[:3]] = f"{name} (entry {number})"
    return found
