"""Blocks of a page on a judged graph: its limits, and how far copies agree."""

from __future__ import annotations

from tundish.flows.report.page import Block, Cell, Tone, cells
from tundish.learn.copying_report import CopyingReport
from tundish.learn.parity import ParityReport, said
from tundish.learn.verdict import Verdict


def limits_block(name: str, verdict: Verdict) -> Block:
    """Return the limits of a verdict, each with its number and reason."""
    rows = []
    for limit in verdict.limits:
        side = (
            f"at least {limit.at_least:g}"
            if limit.at_least is not None
            else f"at most {limit.at_most:g}"
        )
        spread = (
            ""
            if limit.low is None or limit.high is None
            else f" ({limit.low:.3g} to {limit.high:.3g})"
        )
        tone: Tone = "good" if limit.holds else "bad"
        rows.append(
            [
                Cell(text=limit.metric),
                Cell(text=f"{_number(limit.value)}{spread}"),
                Cell(text=side),
                Cell(text="holds" if limit.holds else "missed", tone=tone),
                Cell(text=limit.why),
            ]
        )
    word = "accepted" if verdict.accepted else "refused"
    return Block(
        title=f"Candidate {name}: {word}",
        text=" · ".join(verdict.notes),
        columns=("metric", "measured (90 % interval)", "limit", "", "why this limit"),
        rows=rows,
    )


def parity_block(parity: ParityReport) -> Block:
    """Return what the graph was compared with, and how far it differs at most."""
    rows = []
    for report in parity.each():
        worst = report.worst()
        tone: Tone = "good" if report.passed else "bad"
        rows.append(
            [
                *cells(report.reference, report.candidate, f"{report.windows:,}"),
                Cell(text=worst.output, code=True),
                Cell(text=said(worst), tone=tone),
                Cell(text=f"{report.tolerance:g}"),
            ]
        )
    return Block(
        columns=("reference", "compared", "windows", "output", "differs by", "allowed"),
        rows=rows,
    )


def copying_block(report: CopyingReport) -> Block:
    """Return how far copies agree, by the answers that they learned from."""
    rows = [
        cells(
            f"{trial.answers:,}",
            trial.questions,
            f"{report.step:g} {report.unit}".strip() if trial.rounded else "no",
            f"{trial.agrees:.0%}",
            trial.by,
        )
        for trial in report.trials
    ]
    return Block(
        title="How far a copy agrees that learned from answers",
        text=(
            f"Measured on this graph over {report.judged} windows that no question was made "
            f"of. To agree is: {report.measure}. A day's "
            f"{report.said(report.answers_per_day)} Rounding is no protection where the "
            "figures with and without it are near."
        ),
        columns=(
            "answers",
            "questions",
            "rounded to",
            "agrees",
            "best of three copies",
        ),
        rows=rows,
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
