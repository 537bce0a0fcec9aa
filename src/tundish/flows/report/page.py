"""The page: tiles on top, then parts made of texts, tables, pictures and a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Literal

import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined

from tundish.flows.report.pictures import to_html

Tone = Literal["", "good", "bad", "warn"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table."""

    text: str
    tone: Tone = ""
    code: bool = False


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure that is seen first."""

    value: str
    label: str
    tone: Tone = ""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A text, a table, a picture or a tree, under an optional title.

    Attributes:
        tree: Lines of (depth, text, code) for lineage.
    """

    title: str = ""
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    figure: go.Figure | None = None
    tree: Sequence[tuple[int, str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Part:
    """One chapter of the page."""

    title: str
    lead: str
    blocks: Sequence[Block] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that a report shows."""

    title: str
    subtitle: str
    footer: str
    tiles: Sequence[Tile] = ()
    parts: Sequence[Part] = field(default=())


def cells(*texts: str) -> list[Cell]:
    """Return plain cells."""
    return [Cell(text=text) for text in texts]


def render(page: Page) -> str:
    """Return the page as one HTML document that loads nothing from anywhere."""
    template = _environment().from_string(
        resources.files("tundish.flows.report")
        .joinpath("page.html.j2")
        .read_text(encoding="utf-8")
    )
    return template.render(page=_drawn(page))


def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _drawn(page: Page) -> dict[str, object]:
    """Return the page with each figure turned into HTML, the script in the first."""
    first = True
    parts = []
    for part in page.parts:
        blocks = []
        for block in part.blocks:
            picture = ""
            if block.figure is not None:
                picture = to_html(block.figure, with_script=first)
                first = False
            blocks.append({
                "title": block.title, "text": block.text, "columns": block.columns,
                "rows": block.rows, "tree": block.tree, "picture": picture,
            })  # fmt: skip
        parts.append({"title": part.title, "lead": part.lead, "blocks": blocks})
    return {
        "title": page.title, "subtitle": page.subtitle, "footer": page.footer,
        "tiles": page.tiles, "parts": parts,
    }  # fmt: skip
