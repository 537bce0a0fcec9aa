"""A grade in the terminal: what decided, what to mend first, what is below its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tundish.cli import show

if TYPE_CHECKING:
    from tundish.data.grade.report import Finding, GradeReport, Indicator

FIRST = 5
MOST_ASSUMED = 8


def show_grade(report: GradeReport) -> None:
    """Print a grade; all of it is in the JSON and on the page."""
    tone = show.GOOD if report.letter in "AB" else show.POOR
    rows = sum(report.tables.values())
    tables = f" in {len(report.tables)} tables" if len(report.tables) > 1 else ""
    show.line(
        f"Grade {report.letter}   {report.name}: {rows:,} rows{tables}, task {report.task}",
        tone,
    )
    show.line(report.why)
    _show_gates(report)
    _show_findings(report)
    _show_indicators(report)
    for assumption in report.assumptions[:MOST_ASSUMED]:
        show.line(
            f"Assumed: {assumption.what} ({assumption.why}). Otherwise: {assumption.otherwise}",
            "dim",
        )
    more = len(report.assumptions) - MOST_ASSUMED
    if more > 0:
        show.line(f"and {more} more assumptions (--html FILE, --json)", "dim")
    show.line(f"The rule: {report.rule}", "dim")


def _show_gates(report: GradeReport) -> None:
    for state, style in (("failed", show.POOR), ("open", show.WARN)):
        for gate in report.gates:
            if gate.state == state:
                show.line(f"  gate {gate.name} {state.upper()}: {gate.detail}", style)
    passed = [gate.name for gate in report.gates if gate.state == "passed"]
    if passed:
        show.line(f"  gates passed: {', '.join(passed)}", "green")


def _show_findings(report: GradeReport) -> None:
    if not report.findings:
        show.line("Nothing was found that has to be mended.")
        return
    show.line("What to mend first", "bold underline")
    for number, finding in enumerate(report.findings[:FIRST], start=1):
        table = f"{finding.table}: " if len(report.tables) > 1 else ""
        where = " ".join(part for part in (finding.tag, _span(finding)) if part)
        show.line(f"{number}. {table}{where}: {finding.what}", "bold")
        show.line(f"   Cost: {finding.cost} Mend: {finding.mend}")
    more = len(report.findings) - FIRST
    if more > 0:
        show.line(f"   and {more} more findings (--html FILE, --json)", "dim")


def _span(finding: Finding) -> str:
    return "" if finding.span == "whole table" else finding.span


def _show_indicators(report: GradeReport) -> None:
    below = [item for item in report.indicators if not item.passed]
    if below:
        show.table(
            "Indicators below their limit",
            ["id", "indicator", "value", "limit", "why this limit; what raises it"],
            [_row(item) for item in below],
        )
    kept = [item for item in report.indicators if item.passed]
    if kept:
        said = ", ".join(f"{i.id} {i.name_en} {i.shown}" for i in kept)
        show.line(f"Indicators that keep their limit: {said}.")
    for item in report.indicators:
        if item.unit == "score":
            show.line(f"{item.id} {item.name_en}: {item.detail}.")
    absent = ", ".join(item.id for item in report.not_measured)
    if absent:
        show.line(f"Not measured here: {absent} (--html FILE says why).", "dim")


def _row(item: Indicator) -> tuple[str, ...]:
    name = f"{item.name_en} {item.name_zh}"
    return item.id, name, item.shown, item.limit, f"{item.why}. {item.raise_by}."
