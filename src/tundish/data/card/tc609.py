"""Write a card as the JSON lines of TC609-5-2025-02, one line per file.

Field names as in open implementations of that technical document. An item is a file;
``null`` stands for what is not known. The package around it has the folders ``data``,
``annotations``, ``metadata``, ``docs`` and ``evidence``.
"""

from __future__ import annotations

from tundish.data.card.card import Card
from tundish.data.card.facts import SetFacts, TableFacts, media_of
from tundish.kernel.canonical import Json
from tundish.kernel.digest import hex_part

FOLDERS = ("data", "annotations", "metadata", "docs", "evidence")
_GENERATED = ("simulated", "synthetic")


def records(facts: SetFacts, card: Card | None) -> list[dict[str, Json]]:
    """Return one record per file of a set.

    Args:
        facts: What the data says.
        card: What a person says of it, if somebody does.
    """
    by_file: dict[str, list[TableFacts]] = {}
    for table in facts.tables:
        by_file.setdefault(table.file, []).append(table)
    made: list[dict[str, Json]] = []
    for file in facts.files:
        tables = by_file.get(file.name, [])
        content: dict[str, Json] = {
            "media_type": [media_of(file.name)],
            "path": f"data/{file.name}",
            "sha256": hex_part(file.sha256),
            "size": file.size,
        }
        if tables:
            content["records"] = sum(table.rows for table in tables)
        others: list[Json] = [f.sha256 for f in facts.files if f is not file]
        made.append(
            {
                "id": file.sha256,
                "rid": others if len(others) <= _MOST_RELATED else [],
                "data_content": [content],
                "annotation": _annotation(tables, card),
                "original_time": _original(tables, card),
                "last_modified_time": card.modified if card else None,
                "version": card.data_version if card else None,
                "license": card.licence.name if card and card.licence else None,
                "source": _source_kind(card),
                "source_details": _source(card),
                "generated_data_indicator": _generated(card),
                "data_version_digest": facts.digest,
            }
        )
    return made


_MOST_RELATED = 32


def _annotation(tables: list[TableFacts], card: Card | None) -> Json:
    targets: list[Json] = [table.target for table in tables if table.target]
    if not targets:
        return None
    notes = card.annotation if card else None
    return {
        "label": targets,
        "annotation_method": "; ".join(notes.protocol) if notes else None,
        "annotator": "; ".join(notes.annotators) if notes else None,
    }


def _original(tables: list[TableFacts], card: Card | None) -> str | None:
    times = [t.time.first for t in tables if t.time and not t.time.elapsed]
    if times:
        return min(times)
    return card.period.first if card and card.period else None


def _source_kind(card: Card | None) -> str | None:
    return card.origin if card else None


def _source(card: Card | None) -> str | None:
    if card is None:
        return None
    said = [s.url or s.name for s in card.sources] or [card.url or card.citation or ""]
    return "; ".join(text for text in said if text) or None


def _generated(card: Card | None) -> int | None:
    if card is None or (card.origin is None and card.generated_share is None):
        return None
    return int(card.origin in _GENERATED or (card.generated_share or 0) > 0)
