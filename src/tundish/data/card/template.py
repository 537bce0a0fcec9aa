"""Write a card for a person to fill in: prefilled from the data, every key explained.

What is not known stands as a comment, so that the file is a valid card at once and
every line that is filled in makes it a better one.
"""

from __future__ import annotations

import re

from tundish.data.card.card import Card
from tundish.data.card.facts import ColumnFacts, SetFacts, TableFacts
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.digest import hex_part
from tundish.kernel.records import Record

MOST_FIELDS = 500
MOST_FILES = 1000
_PLAIN = re.compile(r"^[A-Za-z][A-Za-z0-9_./ -]{0,80}[A-Za-z0-9]$")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off"))


def template(facts: SetFacts, card: Card | None = None) -> str:
    """Return a YAML card.

    Args:
        facts: What the data says.
        card: What is known already, if anything.
    """
    known = card or Card(name=facts.name)
    lines = [
        "# The card of a data set. Fill in what you know and take the # away; leave the rest.",
        "# Keep it as card.yaml beside the data: tundish grade takes units and terms from it.",
        "format: tundish.card",
        "version: 1",
        f"name: {_text(known.name)}",
    ]
    for key, why, example in _KEYS:
        value = getattr(known, key)
        lines += ["", f"# {why}"]
        lines.append(f"{key}: {_value(value)}" if value else f"# {key}: {example}")
    lines += ["", *_roles(facts, known), "", *_fields(facts, known), "", *_files(facts)]
    return "\n".join(lines) + "\n"


_KEYS: tuple[tuple[str, str, str], ...] = (
    ("title", "Its name for people, in English and Chinese.", "{en: Feed water of line 2, zh: 二号线给水}"),
    ("description", "What the set is, in a few sentences: the plant, the process, the rows.", "One row a minute of ..."),
    ("data_version", "Version of the data, as 1.0.0. Count up when rows change.", "1.0.0"),
    ("published", "Day it was given out, as 2026-03-31.", '"2026-03-31"'),
    ("modified", "Day of the last change.", '"2026-03-31"'),
    ("creator", "Who made it: a works, a department. No person's name is needed.", "Works 2, process data office"),
    ("contact", "Where questions go.", "process data office"),
    ("url", "Address of its page, if it has one.", "https://..."),
    ("access", "How one gets it.", "on request, from the process data office"),
    ("citation", "How to cite it.", "..."),
    ("licence", "The terms. Own data: 'own data of ...'. Others: the SPDX id, such as CC-BY-4.0.", "{name: own data of works 2}"),
    ("terms", "What the owner allows beside that: product, research, internal; and until when.", '{uses: [internal, product], until: "2028-12-31"}'),
    ("origin", "real (measured), simulated (by a model), synthetic (invented) or altered (measured, then changed).", "real"),
    ("generated_share", "Share of rows that were computed and not measured, 0 to 1.", "0"),
    ("security_grade", "Grade under the data-security law: general, important or core.", "general"),
    ("handling", "How data of that grade is kept and passed on.", "encrypted, inside the works only"),
    ("sources", "What it was made from: historian, laboratory, other sets; with their own licence if they have one.", "[{name: historian of line 2, made_by: export of 1-minute means}]"),
    ("collection", "How the values came about: instruments, sampling, storage.", "read from the control system by OPC UA, compressed by the historian (0.5 %)"),
    ("collection_type", "After Croissant RAI, such as Direct measurement, Experiments, Passive Data Collection.", "[Direct measurement]"),
    ("missing_data", "Why values are missing where they are.", "empty while the line stands"),
    ("raw_data", "What the raw data was.", "one value a second, not kept"),
    ("period", "First and last day of collection.", '{first: "2025-01-01", last: "2025-12-31"}'),
    ("preprocessing", "Steps before this form; write none if there were none.", "[none]"),
    ("imputation", "How empty cells were filled, if they were.", "none"),
    ("manipulation", "What else was changed.", "none"),
    ("annotation", "How the labels came about: protocol, who, how many per item.", "{protocol: [laboratory method X], per_item: one}"),
    ("personal", "Personal information in it; write none if there is none.", "[none]"),
    ("biases", "What it has too much or too little of.", "[no winter operation]"),
    ("limitations", "Known faults and limits.", "[the level sensor was replaced in March]"),
    ("social_impact", "Whom a model made from it could harm.", "none known"),
    ("uses", "What it is for.", "[estimation of glucose between laboratory samples]"),
    ("evaluation", "How a model made from it is to be judged.", "mean error on the last month, against the laboratory"),
    ("cases", "Where it was used already.", "[pilot on line 2]"),
    ("maintenance", "Who keeps it up, how often, until when.", "process data office, every quarter"),
    ("scenarios", "Scenarios of the catalogue that it serves.", "[D46.27.pipeline-flow]"),
    ("sector", "Division of GB/T 4754, C13 to C43.", "C26"),
    ("task", "regress, anomaly, or what it is for.", "regress"),
    ("time_zone", "Zone of times without an offset.", "Europe/Berlin"),
)  # fmt: skip


def _roles(facts: SetFacts, known: Card) -> list[str]:
    found = [t for t in facts.tables if t.time or t.unit or t.target]
    if not found or known.fields:
        return []
    said = []
    for table in found[:3]:
        time = table.time.column if table.time else "none"
        said.append(
            f"# Found in {table.file}: time {time}; unit {table.unit or 'none'}; target {table.target or 'none'}."
        )
    return said


def _fields(facts: SetFacts, known: Card) -> list[str]:
    lines = [
        "# The columns. unit: of measurement. role: time, unit (machine or batch) or target.",
        "# range: [least, most] that can be true. recipe: true keeps a column in the works.",
        "fields:",
    ]
    notes = {(note.file, note.name): note for note in known.fields}
    seen: set[str] = set()
    count = 0
    for table in facts.tables:
        for column in table.columns:
            if column.channel or column.name in seen or count >= MOST_FIELDS:
                continue
            seen.add(column.name)
            count += 1
            note = notes.get((table.file, column.name)) or notes.get(
                (None, column.name)
            )
            role = _role(table, column) if note is None else note.role
            unit = (note.unit if note else None) or column.unit
            described = note.description if note else None
            parts = [f"name: {_text(column.name)}"]
            if column.least is not None or unit:
                parts.append(f"unit: {_text(unit)}" if unit else "unit: ")
            parts += [f"role: {role}"] if role else []
            parts.append(
                f"description: {_text(described)}" if described else "description:"
            )
            span = _span(column)
            lines.append(f"  - {{{', '.join(parts)} }}{'  # ' + span if span else ''}")
    if count == 0:
        return ["# fields: [{name: flow, unit: m3/h, description: feed water}]"]
    return lines


def _role(table: TableFacts, column: ColumnFacts) -> str:
    if table.time is not None and column.name == table.time.column:
        return "time"
    return "target" if column.name == table.target else ""


def _span(column: ColumnFacts) -> str:
    if column.least is not None and column.most is not None:
        return f"{column.least:g} to {column.most:g}"
    return ", ".join(column.values[:4]).replace("\n", " ")[:60]


def _files(facts: SetFacts) -> list[str]:
    lines = [
        "# The files and their SHA-256: the card is about these bytes and no others.",
        "files:",
    ]
    lines += [
        f"  - {{path: {_text(file.name)}, sha256: {hex_part(file.sha256)}, bytes: {file.size}}}"
        for file in facts.files[:MOST_FILES]
    ]
    return lines


def _text(text: str) -> str:
    """Write a text as YAML: bare where that is safe, else as a JSON string."""
    if _PLAIN.match(text) and text.lower() not in _WORDS and " #" not in text:
        return text
    return canonical.dumps(text).decode()


def _value(value: object) -> str:
    """Write a known value as JSON, which is YAML too."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Record):
        every = value.to_json().items()
        known: Json = {k: v for k, v in every if v not in (None, [], {})}
        return canonical.dumps(known).decode()
    return f"{value:g}" if isinstance(value, float) else str(value)
