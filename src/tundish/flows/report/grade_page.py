"""The page of a grade: one self-contained HTML file that prints on paper.

Pictures are SVG drawn from ``data.grade.pictures``; the page runs no script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata, resources

from jinja2 import Environment, StrictUndefined

from tundish.data.grade import chinese
from tundish.data.grade.catalogue import BY_ID
from tundish.data.grade.kinds import KINDS
from tundish.data.grade.pictures import BINS, HeatMap, Picture, Pictures
from tundish.data.grade.report import (
    Finding,
    Gate,
    GradeReport,
    Indicator,
    NotMeasured,
    percent,
)
from tundish.flows.report.grade_words import WORDS, Language, family
from tundish.kernel import clock
from tundish.kernel import digest as digests

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d(?:\.\d+)?)([+-]\d\d:\d\d)")
FIRST = 12
MOST_LISTED = 200
WIDE, HIGH = 520.0, 84.0
CELL = 8.0
LINE = 16.0


def grade_page(
    report: GradeReport, pictures: Pictures, *, now: datetime, language: Language = "en"
) -> str:
    """Return a grade as one HTML page.

    Args:
        report: The grade.
        pictures: From ``data.grade.pictures.draw``.
        now: The present, for the footer.
        language: ``en`` or ``zh``.
    """
    words = WORDS[language]
    by_finding = {picture.finding: picture for picture in pictures.findings}
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(
        resources.files("tundish.flows.report")
        .joinpath("grade.html.j2")
        .read_text(encoding="utf-8")
    )
    listed = report.findings[:MOST_LISTED]
    return template.render(
        words=words,
        language=language,
        report=report,
        why=_why(report, language),
        rule=chinese.RULE if language == "zh" else report.rule,
        rows=sum(report.tables.values()),
        failed=sum(gate.state == "failed" for gate in report.gates),
        gates=[_gate(gate, language) for gate in report.gates],
        first=[
            _finding(f, by_finding.get(i), language)
            for i, f in enumerate(listed[:FIRST])
        ],
        others=[_finding(f, None, language) for f in listed[FIRST:]],
        unlisted=len(report.findings) - len(listed),
        heat=[_heat(one, words) for one in pictures.heat],
        indicators=[_indicator(item, language) for item in report.indicators],
        absent=[_absent(item, language) for item in report.not_measured],
        footer=words["footer"].format(
            version=metadata.version("tundish"),
            now=clock.to_text(now)[:16].replace("T", " ") + " UTC",
            digest=digests.of_json(report.to_json()),
        ),
    )


def _why(report: GradeReport, language: Language) -> str:
    if language == "en":
        return report.why
    failed = [g.name for g in report.gates if g.state == "failed"]
    if failed:
        return f"门槛未通过：{'、'.join(chinese.GATES.get(g, g) for g in failed)}。"
    below = [i.name_zh for i in report.indicators if i.letter == report.letter]
    if report.letter in "BC" and below:
        limit = "下限" if report.letter == "C" else "阈值"
        return f"低于{limit}的指标：{'、'.join(below)}。"
    still = [g.name for g in report.gates if g.state == "open"]
    if report.letter == "B" and still:
        return f"门槛待定：{'、'.join(chinese.GATES.get(g, g) for g in still)}。"
    certain = [f.kind for f in report.findings if KINDS[f.kind].certain]
    if report.letter == "B" and certain:
        names = "、".join(dict.fromkeys(chinese.name(kind) for kind in certain))
        return f"所有指标达到阈值，但存在确定的缺陷：{names}。"
    return "所有指标达到阈值。" if report.letter == "A" else report.why


def _gate(gate: Gate, language: Language) -> dict[str, str]:
    zh = language == "zh"
    return {
        "name": chinese.GATES.get(gate.name, gate.name) if zh else gate.name,
        "state": chinese.STATES[gate.state] if zh else gate.state,
        "tone": gate.state,
        "detail": gate.detail,
    }


def _finding(
    finding: Finding, picture: Picture | None, language: Language
) -> dict[str, object]:
    zh = language == "zh"
    what = chinese.what(finding) if zh else finding.what
    return {
        "name": chinese.name(finding.kind) if zh else finding.kind.replace("-", " "),
        "family": family(finding.kind),
        "tag": finding.tag,
        "table": finding.table,
        "span": for_people(finding.span),
        "what": what,
        "detail": finding.what if zh and what != finding.what else "",
        "mend": chinese.mend(finding) if zh else finding.mend,
        "cost": finding.cost,
        "indicator": finding.indicator,
        "picture": _drawing(picture) if picture else None,
    }


def _indicator(item: Indicator, language: Language) -> dict[str, str]:
    zh = language == "zh"
    why, raise_by = item.why, item.raise_by
    if zh and BY_ID[item.id].name_zh == item.name_zh:  # pictures and texts have others
        why, raise_by = chinese.REASONS[item.id]
    limits = f"{percent(item.threshold)} / {percent(item.floor)}"
    if item.unit == "score":
        limits = f"{item.threshold:g} / {item.floor:g}"
    return {
        "id": item.id,
        "name": item.name_zh if zh else item.name_en,
        "second": item.name_en if zh else item.name_zh,
        "value": item.shown,
        "limit": limits,
        "tone": item.letter,
        "share": f"{100 * max(0.0, min(1.0, item.value)):.1f}",
        "why": why,
        "detail": item.detail,
        "codes": ", ".join(item.codes),
        "raise_by": "" if item.passed else raise_by,
    }


def _absent(item: NotMeasured, language: Language) -> str:
    name = item.name_zh if language == "zh" else item.name_en
    return f"{item.id} {name}: {item.why}"


def _drawing(picture: Picture) -> dict[str, object]:
    """Return the pieces of an SVG: the band between lowest and highest, and the marks."""
    known = [x for x in (*picture.low, *picture.high) if x is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    reach = (high - low) or 1.0
    step = WIDE / max(1, len(picture.low))
    unit = f" {picture.unit}" if picture.unit else ""
    return {
        "shapes": [
            _shape(run, (low, reach), step) for run in _runs(picture.low, picture.high)
        ],
        "marks": [
            (f"{a * WIDE:.1f}", f"{max(2.0, (b - a) * WIDE):.1f}")
            for a, b in picture.marked
        ],
        "top": f"{high:.4g}{unit}",
        "bottom": f"{low:.4g}{unit}",
        "first": for_people(picture.first),
        "last": for_people(picture.last),
    }


def for_people(text: str) -> str:
    """Shorten times of day: no ``T``, no zero seconds, the offset only where two differ."""
    offsets = {found[3] for found in _MOMENT.findall(text)}
    keep = len(offsets) > 1

    def shorter(found: re.Match[str]) -> str:
        seconds = "" if found[3] == ":00" else found[3]
        return f"{found[1]} {found[2]}{seconds}{found[4] if keep else ''}"

    return _MOMENT.sub(shorter, text)


def _runs(
    low: Sequence[float | None], high: Sequence[float | None]
) -> list[list[tuple[int, float, float]]]:
    runs: list[list[tuple[int, float, float]]] = [[]]
    for place, (bottom, top) in enumerate(zip(low, high, strict=True)):
        if bottom is None or top is None:
            runs.append([])
        else:
            runs[-1].append((place, bottom, top))
    return [run for run in runs if run]


def _shape(
    run: list[tuple[int, float, float]], scale: tuple[float, float], step: float
) -> str:
    """Return a closed outline; a run of equal values stays visible as a thin line."""
    bottom, reach = scale

    def y(value: float) -> float:
        return HIGH - 4 - (value - bottom) / reach * (HIGH - 8)

    if len(run) == 1:
        run = [run[0], (run[0][0] + 1, run[0][1], run[0][2])]
    tops = [f"{(i + 0.5) * step:.1f},{y(top) - 0.6:.1f}" for i, _, top in run]
    floors = [f"{(i + 0.5) * step:.1f},{y(low) + 0.6:.1f}" for i, low, _ in run]
    return " ".join([*tops, *reversed(floors)])


def _heat(heat: HeatMap, words: dict[str, str]) -> dict[str, object]:
    lines = []
    seen: set[str] = set()
    for tag in heat.tags:
        cells = []
        start = 0
        kinds = [family(kind) if kind else "" for kind in heat.trouble[tag]]
        for place in range(1, BINS + 1):
            if place == BINS or kinds[place] != kinds[start]:
                if kinds[start]:
                    seen.add(kinds[start])
                    cells.append(
                        (
                            f"{start * CELL:.0f}",
                            f"{(place - start) * CELL:.0f}",
                            kinds[start],
                        )
                    )
                start = place
        lines.append({"tag": tag or words["all_rows"], "cells": cells})
    return {
        "table": heat.table,
        "lines": lines,
        "edges": [for_people(edge) for edge in heat.edges],
        "width": BINS * CELL,
        "height": len(lines) * LINE,
        "line": LINE,
        "legend": [(name, words[name]) for name in _FAMILY_ORDER if name in seen],
    }


_FAMILY_ORDER = ("missing", "frozen", "wild", "scale", "clock", "other")
