"""From counts to gates, a letter and an order of findings: the written rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tundish.data.grade.catalogue import SPECS, IndicatorSpec
from tundish.data.grade.kinds import KINDS
from tundish.data.grade.report import (
    Finding,
    Gate,
    GradeReport,
    Indicator,
    Letter,
    NotMeasured,
)
from tundish.data.grade.tally import Tally
from tundish.data.table import Assumption

RULE = (
    "D if a hard gate failed. Otherwise the worst indicator decides: A if every indicator "
    "keeps its threshold, no gate is open and no certain fault was found (an impossible "
    "value, a stuck or dead sensor, a copied row, a wrong clock); B if every indicator keeps at least its "
    "floor; C if one is below its floor. What stands on paper (units, origin, licence, "
    "card, security grade) has no floor: it costs letter A at most. The model gain counts by the lower end of its "
    "interval; class balance, diversity of units, redundancy, shift and the learning curve "
    "advise and never bring the letter below B. Nothing is averaged."
)
SHOWN = 5
ON_PAPER = frozenset(("Q12", "Q24", "Q27", "Q28", "Q30"))
"""What is said about the data and not by it: named last among what decided."""


def indicators(
    tallies: Iterable[Tally], specs: Sequence[IndicatorSpec] = SPECS
) -> tuple[list[Indicator], list[NotMeasured]]:
    """Add up the tallies and hold each indicator against its threshold.

    Signals and labels are added up apart and the lower share counts: thirty labels must
    not drown in a million cells.
    """
    every = list(tallies)
    measured: list[Indicator] = []
    absent: list[NotMeasured] = []
    for spec in specs:
        mine = [tally for tally in every if tally.id == spec.id]
        scopes = [[t for t in mine if t.scope == s] for s in ("signals", "labels")]
        counted = [scope for scope in scopes if sum(t.of for t in scope) > 0]
        if not counted:
            why = "; ".join(dict.fromkeys(t.detail for t in mine if t.detail))
            absent.append(
                NotMeasured(
                    id=spec.id,
                    name_en=spec.name_en,
                    name_zh=spec.name_zh,
                    why=why or "nothing to look at",
                )
            )
            continue
        worst = min(counted, key=_share)
        measured.append(_indicator(spec, worst))
    return measured, absent


def _share(tallies: Sequence[Tally]) -> float:
    stated = [t.value for t in tallies if t.value is not None]
    if stated:
        return min(stated)
    bad, of = sum(t.bad for t in tallies), sum(t.of for t in tallies)
    return max(0.0, 1.0 - bad / of)


def _indicator(spec: IndicatorSpec, tallies: Sequence[Tally]) -> Indicator:
    value = _share(tallies)
    interval = next((t.interval for t in tallies if t.interval), None)
    unit = "labels" if tallies[0].scope == "labels" else spec.unit
    return Indicator(
        id=spec.id,
        name_en=spec.name_en,
        name_zh=spec.name_zh,
        value=value,
        unit=unit,
        threshold=spec.threshold,
        floor=spec.floor,
        passed=value >= spec.threshold,
        letter=_letter(spec, value, interval),
        why=spec.why,
        codes=spec.codes,
        bad=sum(t.bad for t in tallies),
        of=sum(t.of for t in tallies),
        detail="; ".join(dict.fromkeys(t.detail for t in tallies if t.detail)),
        interval=interval,
        raise_by=spec.raise_by,
    )


def _letter(
    spec: IndicatorSpec, value: float, interval: tuple[float, float] | None
) -> Letter:
    unsure = spec.sure and interval is not None and interval[0] <= spec.floor
    if value < spec.floor or unsure:
        return spec.least
    return "A" if value >= spec.threshold else "B"


def gate(name: str, *, held: bool | None, detail: str) -> Gate:
    """Return a gate; ``held`` is ``None`` if it cannot be decided from what is known."""
    if held is None:
        return Gate(name=name, state="open", passed=True, detail=detail)
    return Gate(
        name=name, state="passed" if held else "failed", passed=held, detail=detail
    )


def letter_of(
    gates: Sequence[Gate],
    measured: Sequence[Indicator],
    findings: Sequence[Finding],
) -> tuple[Letter, str]:
    """Return the letter and what decided it, by ``RULE``."""
    failed = [g.name for g in gates if g.state == "failed"]
    if failed:
        return "D", f"the gate {failed[0]} failed"
    for letter, limit in _STEPS:
        short = [i for i in measured if i.letter == letter]
        short.sort(key=lambda i: i.id in ON_PAPER)
        below = [f"{i.name_en} ({_said(i)})" for i in short]
        if any(i.id not in ON_PAPER for i in short):
            return letter, f"below the {limit}: {', '.join(below[:3])}"
    certain = [f.kind for f in findings if KINDS[f.kind].certain]
    if certain:
        kinds = ", ".join(dict.fromkeys(certain))
        return "B", f"the values keep every threshold, but there are faults ({kinds})"
    lacking = [i.name_en for i in measured if i.letter != "A"]
    lacking += [f"gate {g.name}" for g in gates if g.state == "open"]
    if lacking:
        return "B", (
            "the values keep every threshold; for an A it lacks what nobody stated: "
            f"{', '.join(lacking[:5])}"
        )
    return "A", "every indicator keeps its threshold and every gate passed"


_STEPS: tuple[tuple[Letter, str], ...] = (("C", "floor"), ("B", "threshold"))


def _said(indicator: Indicator) -> str:
    labels = " of the labels" if indicator.unit == "labels" else ""
    return f"{indicator.shown}{labels}"


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by worth; the first five are the best of five different kinds."""
    ranked = sorted(findings, key=lambda f: (-f.worth, f.kind, f.tag, f.unit, f.first))
    top: list[Finding] = []
    for finding in ranked:
        if len(top) < SHOWN and finding.kind not in {f.kind for f in top}:
            top.append(finding)
    chosen = {id(finding) for finding in top}
    return (*top, *(f for f in ranked if id(f) not in chosen))


def report(  # noqa: PLR0913  (what a grade is made of)
    name: str,
    task: str,
    tables: dict[str, int],
    tallies: Sequence[Tally],
    gates: Sequence[Gate],
    assumptions: Sequence[Assumption],
    specs: Sequence[IndicatorSpec] = SPECS,
) -> GradeReport:
    """Put a grade together; ``specs`` are those of the kind of data."""
    measured, absent = indicators(tallies, specs)
    findings = in_order(f for tally in tallies for f in tally.findings)
    letter, why = letter_of(gates, measured, findings)
    return GradeReport(
        name=name,
        task=task,
        letter=letter,
        rule=RULE,
        why=f"{letter}: {why}.",
        tables=tables,
        gates=tuple(gates),
        indicators=tuple(measured),
        not_measured=tuple(absent),
        findings=findings,
        assumptions=tuple(assumptions),
    )
