"""Write a card for people: one Markdown page with English and Chinese headings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tundish.data.card.card import Card, FieldNote
from tundish.data.card.completeness import missing
from tundish.data.card.facts import (
    ColumnFacts,
    SetFacts,
    TableFacts,
    TimeFacts,
    together,
)
from tundish.data.card.licences import MEANING, kind_of
from tundish.kernel.digest import short

COLUMNS_SHOWN = 60
TABLES_SHOWN = 12
FILES_SHOWN = 20
_ORIGINS = {
    "real": "measured on a real plant",
    "simulated": "simulated by a model; not measured",
    "synthetic": "invented; not measured",
    "altered": "measured, then changed",
}
_WHOLE_MINUTE = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):00(?:[+-]\d\d:\d\d|Z)?")


@dataclass(frozen=True, kw_only=True)
class GradeSummary:
    """What a card repeats of a grade.

    Attributes:
        letter: A to D.
        why: What decided it.
        gates: (Name, state, detail).
        findings: (Where, what, mend) of the first few.
        more: Findings that are not listed.
    """

    letter: str
    why: str
    gates: tuple[tuple[str, str, str], ...]
    findings: tuple[tuple[str, str, str], ...]
    more: int = 0


def markdown(
    facts: SetFacts, card: Card | None, grade: GradeSummary | None = None
) -> str:
    """Return a set's card as Markdown.

    Args:
        facts: What the data says.
        card: What a person says of it, if somebody does.
        grade: A grade of the same data, if there is one.
    """
    blocks = [
        _head(facts, card),
        _glance(facts, card),
        _graded(grade),
        *_tables(facts, card),
        _faults(card),
        _origin(card),
        _terms(card),
        _use(card),
        _persons(facts, card),
        _absent(facts, card),
        _files(facts),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(facts: SetFacts, card: Card | None) -> str:
    title = facts.name
    if card is not None and card.title is not None:
        title = f"{card.title.en}  {card.title.zh}"
    elif card is not None:
        title = card.name
    described = card.description if card and card.description else ""
    return f"# {_line(title)}\n\n{described}".strip()


def _glance(facts: SetFacts, card: Card | None) -> str:
    rows = [("Rows 行数", f"{facts.rows:,} in {_many(len(facts.tables), 'table')}")]
    columns = {c.name for table in facts.tables for c in table.columns}
    rows.append(("Columns 列数", f"{len(columns):,}"))
    cells = sum(t.rows * len(t.columns) for t in facts.tables)
    empty = sum(c.missing for t in facts.tables for c in t.columns)
    if cells:
        rows.append(
            ("Empty cells 空值", f"{empty:,} of {cells:,} ({_share(empty / cells)})")
        )
    span = _span(facts)
    if span:
        rows.append(("Time span 时间范围", span))
    if card is not None:
        rows += [
            ("Origin 来源性质", _ORIGINS.get(card.origin or "", "")),
            ("Licence 许可", card.licence.name if card.licence else ""),
            ("Version 版本", card.data_version or ""),
            ("Data-security grade 数据安全分级", card.security_grade or ""),
            ("Sector 行业", card.sector or ""),
            ("Task 任务", card.task or ""),
        ]
    size = sum(file.size for file in facts.files)
    rows.append(("Files 文件", f"{len(facts.files):,}, {size:,} bytes"))
    rows.append(("Digest 摘要", f"`{facts.digest}`"))
    body = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows if value)
    return f"## At a glance 概览\n\n| | |\n|---|---|\n{body}"


def _span(facts: SetFacts) -> str:
    times = [t.time for t in facts.tables if t.time and not t.time.elapsed]
    if not times:
        return ""
    first, last = min(t.first for t in times), max(t.last for t in times)
    zones = ", ".join(sorted({t.zone or "no time zone stated" for t in times}))
    return f"{_moment(first)} to {_moment(last)} ({zones})"


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")


def _shorter(text: str) -> str:
    """Write the moments in a text without ``T``, seconds and offset."""
    return _WHOLE_MINUTE.sub(r"\1 \2", text)


def _graded(grade: GradeSummary | None) -> str:
    if grade is None:
        return ""
    lines = [f"## Grade 评级: {grade.letter}", "", grade.why, ""]
    lines += [
        f"- gate {name}: **{state}**. {_line(detail)}"
        for name, state, detail in grade.gates
    ]
    if grade.findings:
        lines += ["", "What to mend first 首先要改进的:", ""]
        lines += [
            f"{i}. {_shorter(_line(f'{where}: {what}' if where else what))} *{_line(mend)}*"
            for i, (where, what, mend) in enumerate(grade.findings, start=1)
        ]
    if grade.more:
        lines += ["", f"and {grade.more:,} more findings; `tundish grade` lists them."]
    return "\n".join(lines)


def _tables(facts: SetFacts, card: Card | None) -> Iterator[str]:
    """Describe each shape of table once; files of the same shape share a section."""
    shapes: dict[tuple[str, ...], list[TableFacts]] = {}
    for table in facts.tables:
        shapes.setdefault(tuple(c.name for c in table.columns), []).append(table)
    listed = list(shapes.values())
    for tables in listed[:TABLES_SHOWN]:
        yield _table(tables, card)
    if len(listed) > TABLES_SHOWN:
        rest = [t.name for tables in listed[TABLES_SHOWN:] for t in tables]
        names = ", ".join(f"`{name}`" for name in rest[:FILES_SHOWN])
        more = (
            f" and {len(rest) - FILES_SHOWN:,} more" if len(rest) > FILES_SHOWN else ""
        )
        yield f"## Further tables 其他表\n\n{names}{more}. The Croissant card describes them."
    if facts.unread:
        said = "\n".join(f"- `{name}`: {_line(why)}" for name, why in facts.unread[:10])
        yield f"## Not read as tables 未能读取\n\n{said}"


def _table(tables: Sequence[TableFacts], card: Card | None) -> str:
    table = together(tables)
    heading = f"## Table 数据表: {_line(table.name)}"
    if len(tables) > 1:
        heading += f" and {_many(len(tables) - 1, 'more file')} of the same form"
    said = [f"{table.rows:,} rows"]
    if table.unit:
        said.append(f"{table.units:,} units told apart by `{table.unit}`")
    if table.target:
        said.append(f"to be estimated: `{table.target}`")
    lines = [heading, "", "; ".join(said) + "."]
    if table.time is not None:
        lines.append(_time(table.time))
    if not table.media and table.form:
        lines.append(f"To be read as {table.form}.")
    notes = {n.name: n for n in card.notes(table.file)} if card else {}
    channels = [c for c in table.columns if c.channel]
    shown = [c for c in table.columns if not c.channel]
    lines += ["", *_COLUMN_HEAD]
    lines += [_row(c, table, notes.get(c.name)) for c in shown[:COLUMNS_SHOWN]]
    if channels:
        low = min(c.least for c in channels if c.least is not None)
        high = max(c.most for c in channels if c.most is not None)
        name = f"`{channels[0].name}` to `{channels[-1].name}` ({len(channels):,} channels)"
        unit = channels[0].unit
        lines.append(
            f"| {name} | {unit} | {_number(low)} to {_number(high)} | {sum(c.missing for c in channels):,} | one spectrum |"
        )
    if len(shown) > COLUMNS_SHOWN:
        lines.append(f"| ... and {len(shown) - COLUMNS_SHOWN:,} more | | | | |")
    return "\n".join(lines)


_COLUMN_HEAD = (
    "| column 列 | unit 单位 | range or values 范围 | empty 空值 | what it is 说明 |",
    "|---|---|---|---|---|",
)


def _row(column: ColumnFacts, table: TableFacts, note: FieldNote | None) -> str:
    said = [note.description or "" if note else ""]
    timed = table.time is not None and column.name == table.time.column
    if timed:
        said.append("time of the row")
    if column.name == table.unit:
        said.append("machine or batch")
    if column.name == table.target:
        said.append("to be estimated")
    if column.states:
        said.append(f"texts among the numbers: {', '.join(column.states[:4])}")
    if column.exposed:
        said.append(f"**holds {column.exposed}**")
    if column.least is not None and column.least == column.most:
        said.append("never changes")
    what = "; ".join(text for text in said if text)
    return (
        f"| `{_cell(column.name)}` | {_cell(column.unit)} | {_cell(_values(column, timed=timed))} "
        f"| {column.missing:,} | {_cell(what)} |"
    )


def _values(column: ColumnFacts, *, timed: bool = False) -> str:
    if column.least is not None and column.most is not None:
        whole = column.kind == "whole"
        low, high = (
            _number(column.least, whole=whole),
            _number(column.most, whole=whole),
        )
        return low if low == high else f"{low} to {high}"
    if column.values:
        listed = ", ".join(column.values[:6])
        more = f" and {len(column.values) - 6} more" if len(column.values) > 6 else ""
        return f"{listed}{more}"
    if column.kind == "moment" or timed:
        return f"{column.distinct:,} times"
    return f"{column.distinct:,} different texts" if column.distinct else ""


def _number(value: float, *, whole: bool = False) -> str:
    return f"{value:,.0f}" if whole and abs(value) < 1e12 else f"{value:.4g}"


def _time(time: TimeFacts) -> str:
    step = f", usually {_seconds(time.step_s)} apart" if time.step_s else ", irregular"
    gaps = ""
    if time.gaps:
        gaps = f"; {_many(time.gaps, 'gap')}, the longest {_seconds(time.longest_s)}"
    kind = "Elapsed time" if time.elapsed else "Time"
    ends = (time.first, time.last)
    first, last = (
        _seconds(float(t[:-2])) if time.elapsed else _moment(t) for t in ends
    )
    return f"{kind} from {first} to {last}{step}{gaps}."


def _seconds(value: float) -> str:
    for size, name in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if value >= 2 * size or value == size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} s"


def _faults(card: Card | None) -> str:
    said = [*(card.limitations if card else ()), *(card.biases if card else ())]
    if not said:
        return ""
    return "## Known faults and limits 已知缺陷与局限\n\n" + _bullets(said)


def _origin(card: Card | None) -> str:
    if card is None:
        return ""
    lines: list[str] = []
    if card.origin:
        lines.append(f"{_ORIGINS[card.origin].capitalize()}.")
    if card.generated_share:
        lines.append(f"{_share(card.generated_share)} of the rows were computed.")
    lines += [t for t in (card.collection, card.raw_data, card.missing_data) if t]
    if card.period:
        lines.append(f"Collected {card.period.first} to {card.period.last}.")
    lines += [f"Preparation: {step}" for step in card.preprocessing]
    if card.annotation:
        lines += [f"Labels: {text}" for text in card.annotation.protocol]
    for source in card.sources:
        tail = f"; {source.made_by}" if source.made_by else ""
        digest = f" (`{short(source.digest)}`)" if source.digest else ""
        lines.append(f"Made from {source.name}{digest}{tail}.")
    if card.creator:
        lines.append(f"Made by {card.creator}.")
    return f"## Origin 来源\n\n{_bullets(lines)}" if lines else ""


def _terms(card: Card | None) -> str:
    if card is None or card.licence is None:
        return ""
    kind = kind_of(card.licence)
    meaning = f": {MEANING[kind]}" if kind else ""
    lines = [f"{card.licence.name}{meaning}."]
    if card.terms is not None:
        if card.terms.uses:
            lines.append(f"Allowed uses: {', '.join(card.terms.uses)}.")
        if card.terms.until:
            lines.append(f"Until {card.terms.until}.")
        lines += [card.terms.note] if card.terms.note else []
    if card.access:
        lines.append(f"Access: {card.access}")
    if card.citation:
        lines.append(f"Cite as: {card.citation}")
    return f"## Terms 使用条款\n\n{_bullets(lines)}"


def _use(card: Card | None) -> str:
    if card is None:
        return ""
    lines = [*card.uses, *(f"scenario `{key}`" for key in card.scenarios)]
    lines += [f"To be judged by: {card.evaluation}"] if card.evaluation else []
    lines += [f"Used in: {case}" for case in card.cases]
    lines += [f"Kept up: {card.maintenance}"] if card.maintenance else []
    lines += [f"Questions to: {card.contact}"] if card.contact else []
    return f"## Use 用途\n\n{_bullets(lines)}" if lines else ""


def _persons(facts: SetFacts, card: Card | None) -> str:
    said = list(card.personal) if card else []
    for table in facts.tables:
        said += [
            f"`{one.column}` in `{table.name}` holds {one.what}."
            for one in table.exposures
        ]
    if not said:
        return ""
    return "## Persons and secrets 个人信息与秘密\n\n" + _bullets(said)


def _absent(facts: SetFacts, card: Card | None) -> str:
    if card is None:
        return (
            "## What nobody said 缺少的说明\n\nThere is no card for this set: everything "
            "above was read from the data. `tundish data card PATH --template` writes a "
            "card to fill in."
        )
    labels = any(table.target for table in facts.tables)
    left, asked = missing(card, labels=labels)
    if not left:
        return ""
    return (
        "## What nobody said 缺少的说明\n\n"
        f"{asked - len(left)} of {asked} things that a card should tell are known. "
        f"Missing: {', '.join(left)}."
    )


def _files(facts: SetFacts) -> str:
    lines = [
        f"| `{_cell(file.name)}` | {file.size:,} | `{file.sha256}` |"
        for file in facts.files[:FILES_SHOWN]
    ]
    if len(facts.files) > FILES_SHOWN:
        lines.append(f"| ... and {len(facts.files) - FILES_SHOWN:,} more | | |")
    head = "| file 文件 | bytes 字节 | SHA-256 |\n|---|---|---|"
    return f"## Files 文件\n\n{head}\n" + "\n".join(lines)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_line(line)}" for line in lines)


def _line(text: str) -> str:
    """Return a text on one line that starts no Markdown of its own."""
    """Return a foreign text on one line: no HTML, no link or picture behind words."""
    flat = " ".join(text.split()).replace("<", "&lt;")
    return flat.replace("](", "]\\(").replace("]:", "]\\:")


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"
