"""Run every check on some tables and put the grade together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tundish.data.card.beside import Known
from tundish.data.card.card import Use
from tundish.data.card.licences import Judged
from tundish.data.grade import (
    clipping,
    clocks,
    copies,
    documented,
    exposed,
    filled,
    joined,
    labels,
    learned,
    limits,
    mechanism,
    standing,
    stops,
    storage,
    terms,
    timing,
    trueness,
    verdict,
)
from tundish.data.grade.character import characters
from tundish.data.grade.report import Gate, GradeReport, percent
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Mend, Tally
from tundish.data.join import Joined
from tundish.data.table import Assumption

UNREADABLE_AT_MOST = 0.01
TEXTS_AT_MOST = 0.1
CONTRACT_AT_LEAST = 0.8
LEAKS_SAID = 5


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What is known about a set beside its values.

    Attributes:
        name: Name of the set or file.
        task: ``regress``, ``diagnose``, ``anomaly`` or ``unsaid``.
        now_us: The present, microseconds since 1970 UTC.
        licence: As stated, or ``None``.
        licence_kind: Class ``A`` ... ``U`` of the catalogue, or ``None``.
        known: What a card says of the set, or ``None`` if there is no card.
        use: What is meant to be done with the set, or ``None`` if nobody said.
        contract: Key of the scenario, or ``None``.
        split: True if the parts were declared by a site, false if there are none.
        joined: What a join of results found, or ``None``.
        deep: False leaves out the indicators that fit models.
    """

    name: str
    task: str
    now_us: int
    licence: str | None = None
    licence_kind: str | None = None
    known: Known | None = None
    use: Use | None = None
    contract: str | None = None
    split: bool = False
    deep: bool = True
    joined: Joined | None = None
    assumptions: tuple[Assumption, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Graded:
    """A report with the tables it was made from, for pictures and for mending.

    ``mends`` name the rows and cells of findings that a machine can mend.
    """

    report: GradeReport
    sheets: tuple[Sheet, ...] = ()
    mends: tuple[Mend, ...] = ()


def grade_sheets(sheets: Sequence[Sheet], brief: Brief) -> GradeReport:
    """Grade tables of values; no file, clock or network is touched.

    Args:
        sheets: The tables; at least one, each with at least one row.
        brief: What is known beside the values.
    """
    return graded_sheets(sheets, brief).report


def graded_sheets(sheets: Sequence[Sheet], brief: Brief) -> Graded:
    """Grade tables and keep beside the report what it was made from."""
    tallies: list[Tally] = []
    for sheet in sheets:
        tallies += _one(sheet, brief)
    return assembled(sheets, brief, tallies)


def assembled(
    sheets: Sequence[Sheet], brief: Brief, tallies: Sequence[Tally]
) -> Graded:
    """Add what concerns all tables and their papers, and put the grade together.

    Args:
        sheets: The tables.
        brief: What is known beside the values.
        tallies: What the checks of each table counted.
    """
    tallies = timing.merged(list(tallies))
    leak = copies.leakage(list(sheets))
    tallies += [leak, labels.outside_fit(list(sheets))]
    tallies.append(clocks.agree(sheets))
    tallies += joined.joined(sheets[0], brief.joined)
    tallies += learned.learned(sheets, brief.task, deep=brief.deep)
    licences = terms.licences(
        brief.licence,
        brief.licence_kind,
        brief.known,
        use=brief.use,
        now_us=brief.now_us,
    )
    tallies.append(terms.licences_known(licences))
    tallies += _documents(sheets, brief)
    report = verdict.report(
        brief.name,
        brief.task,
        {sheet.name: sheet.rows for sheet in sheets},
        tallies,
        _gates(sheets, brief, tallies, (leak, licences)),
        brief.assumptions,
    )
    mends = tuple(mend for tally in tallies for mend in tally.mends)
    return Graded(report=report, sheets=tuple(sheets), mends=mends)


def _one(sheet: Sheet, brief: Brief) -> list[Tally]:
    tags = characters(sheet)
    kept = storage.storages(sheet, tags)
    live, running = stops.cut_characters(sheet, tags)
    return [
        filled.readable(sheet),
        filled.complete(live, running),
        limits.in_range(sheet, tags),
        limits.outliers(live, running),
        copies.duplicates(sheet, tags),
        *timing.regular(live),
        timing.plausible(sheet, brief.now_us),
        storage.informed(sheet, tags, kept),
        standing.standing(sheet, stops.for_standing(sheet, tags, running), kept),
        stops.suggested(sheet, tags),
        clipping.clipped(live, running),
        trueness.true_signals(live, running),
        terms.units_known(sheet),
        exposed.exposed(sheet),
        labels.labelled(sheet),
        labels.label_range(sheet),
        labels.label_clipping(sheet),
        joined.campaigns(sheet),
        mechanism.kept(sheet),
    ]


def _documents(sheets: Sequence[Sheet], brief: Brief) -> list[Tally]:
    return [
        documented.provenance(brief.known, sheets),
        *documented.generated(brief.known, sheets),
        documented.complete(brief.known, sheets),
        documented.security_grade(brief.known),
    ]


def _gates(
    sheets: Sequence[Sheet],
    brief: Brief,
    tallies: list[Tally],
    decided: tuple[Tally, Judged],
) -> list[Gate]:
    leak, judged = decided
    told = next(tally for tally in tallies if tally.id == "Q28")
    return [
        _leakage_gate(brief, leak),
        verdict.gate("licence", held=judged.held, detail=judged.detail),
        exposed.secrets_gate(sheets),
        _unreadable_gate(sheets, tallies),
        _label_gate(sheets, brief),
        _contract_gate(sheets, brief),
        documented.card_gate(brief.known, told),
    ]


def _leakage_gate(brief: Brief, leak: Tally) -> Gate:
    given = [f for f in leak.findings if f.tag and f.kind == "leak"]
    near = [f for f in leak.findings if f.kind == "near-target"]
    if leak.bad and given:
        detail = " ".join(finding.what for finding in given[:LEAKS_SAID])
        return verdict.gate("leakage", held=False, detail=detail)
    if near:
        said = " ".join(finding.what for finding in near[:LEAKS_SAID])
        detail = f"{said} Is it known before the target is?"
        return verdict.gate("leakage", held=None, detail=detail)
    if not brief.split:
        detail = "no split was declared; one in time order will be made for training"
        return verdict.gate("leakage", held=None, detail=detail)
    if leak.bad:
        detail = f"{leak.bad:,} of {leak.of:,} judged rows were fitted as well"
    else:
        detail = (
            f"none of {leak.of:,} judged rows was fitted; parts are stretches of time"
        )
    return verdict.gate("leakage", held=leak.bad == 0, detail=detail)


def _unreadable_gate(sheets: Sequence[Sheet], tallies: list[Tally]) -> Gate:
    dropped = sum(len(sheet.dropped) for sheet in sheets)
    lines = sum(max(sheet.lines, sheet.rows) for sheet in sheets)
    cells = [t for t in tallies if t.id == "Q01"]
    texts = sum(t.bad for t in cells) / max(1, sum(t.of for t in cells))
    numbers = any(s.series or s.spectra or s.labels for s in sheets)
    if not numbers:
        detail = (
            "no column of numbers was found, so nothing could be looked at: is this the "
            "right separator, and a table?"
        )
        return verdict.gate("readable", held=False, detail=detail)
    held = dropped <= UNREADABLE_AT_MOST * lines and texts <= TEXTS_AT_MOST
    detail = (
        f"{dropped:,} of {lines:,} records ({percent(dropped / max(1, lines))}) and "
        f"{percent(texts)} of the cells cannot be read"
    )
    return verdict.gate("readable", held=held, detail=detail)


def _label_gate(sheets: Sequence[Sheet], brief: Brief) -> Gate:
    found = [sheet.labels for sheet in sheets if sheet.labels is not None]
    if brief.task not in {"regress", "diagnose"}:
        detail = (
            "the task needs none" if brief.task == "anomaly" else "no task was named"
        )
        return verdict.gate("labels", held=True, detail=detail)
    joined = sum(int(one.joined.sum()) for one in found)
    detail = f"{joined:,} labels are joined to signals"
    return verdict.gate("labels", held=joined > 0, detail=detail)


def _contract_gate(sheets: Sequence[Sheet], brief: Brief) -> Gate:
    if brief.contract is None:
        detail = "no scenario was named, so no contract was held against the data"
        return verdict.gate("contract", held=None, detail=detail)
    rows = sum(sheet.rows for sheet in sheets)
    broken = sum(int(s.broken.sum()) for s in sheets if s.broken is not None)
    share = 1 - broken / max(1, rows)
    detail = f"{percent(share)} of {rows:,} rows keep the contract {brief.contract}"
    return verdict.gate("contract", held=share >= CONTRACT_AT_LEAST, detail=detail)
