"""The page of the catalogue's coverage: sectors by reference scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import plotly.graph_objects as go

from tundish.catalog import sectors
from tundish.catalog.evidence import LEVELS
from tundish.flows.coverage import CoverageReport
from tundish.flows.outputs import write_out
from tundish.flows.report.page import Block, Cell, Page, Part, Tile, Tone, render

_COLOURS = ("#eef1f5", "#cbd5e1", "#f2c14e", "#5aa469", "#1b5e20")
_TONES: dict[str, Tone] = {"simulated": "warn", "shown": "good", "proven": "good"}


def write_coverage_page(report: CoverageReport, path: Path) -> None:
    """Write the map as one HTML page.

    Raises:
        MachineError: if it cannot be written.
    """
    page = coverage_page(report, made_by=f"tundish {metadata.version('tundish')}")
    write_out(path, page.encode())


def coverage_page(report: CoverageReport, *, made_by: str) -> str:
    """Return the page as one HTML document.

    Args:
        report: What is covered.
        made_by: Name and version of the tool, for the footer.
    """
    divisions = sectors.divisions()
    levels = report.levels
    shown = levels["shown"] + levels["proven"]
    tiles = (
        Tile(value=f"{shown} of 500", label="scenarios shown or proven", tone="good"),
        Tile(
            value=f"{len(report.sectors_shown)} of {len(divisions)}",
            label="divisions with a scenario that is shown",
        ),
        Tile(value=f"{len(report.links_shown)} of 8", label="links with one"),
        Tile(value=str(levels["simulated"]), label="only simulated: no coverage"),
        Tile(value=str(levels["described"]), label="only described"),
    )
    parts = (
        Part(
            title="Sectors and reference scenarios",
            lead="Each field is a division of GB/T 4754 and one of the 40 reference scenarios; its colour is the level "
            "of the best scenario there, computed from runs. Simulated proves the plumbing only.",
            blocks=(Block(figure=_map(report)),),
        ),
        Part(
            title="What lacks for the next level",
            lead="Every scenario of the catalogue.",
            blocks=(Block(columns=_COLUMNS, rows=_rows(report)),),
        ),
    )
    page = Page(
        title="Coverage of the catalogue",
        subtitle="31 divisions, 40 reference scenarios, 8 links",
        footer=f"Computed from evidence by {made_by}.",
        tiles=tiles,
        parts=parts,
    )
    return render(page)


_COLUMNS = ("scenario", "sector", "reference scenario", "level", "rests on", "missing")


def _rows(report: CoverageReport) -> list[list[Cell]]:
    links = sectors.links()
    rows = []
    for one in report.standings:
        sector, number = one.scenario.split(".")[:2]
        rests = ", ".join(f"{e.data} ({e.origin})" for e in one.evidence)
        rows.append(
            [
                Cell(text=one.scenario, code=True),
                Cell(text=sectors.sector_name(sector)[0]),
                Cell(text=links.scenarios[int(number)].name.en),
                Cell(text=one.level, tone=_TONES.get(one.level, "")),
                Cell(text=rests),
                Cell(text=one.missing),
            ]
        )
    return rows


def _map(report: CoverageReport) -> go.Figure:
    codes = list(sectors.sectors())
    links = sectors.links()
    numbers = list(links.scenarios)
    at = {(cell.sector, cell.reference): cell for cell in report.cells}
    z: list[list[int]] = []
    told: list[list[str]] = []
    for code in codes:
        row = [at.get((code, number)) for number in numbers]
        z.append([LEVELS.index(cell.level) + 1 if cell else 0 for cell in row])
        told.append(
            [
                f"{', '.join(cell.scenarios)}<br>{cell.level}; missing: {cell.missing}"
                if cell
                else "no scenario yet"
                for cell in row
            ]
        )
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=[f"{number}" for number in numbers],
            y=[f"{code} {sectors.sector_name(code)[0]}" for code in codes],
            customdata=told,
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
            colorscale=_steps(),
            zmin=0,
            zmax=len(_COLOURS),
            xgap=2,
            ygap=2,
            colorbar={
                "tickvals": [i + 0.5 for i in range(len(_COLOURS))],
                "ticktext": ["none", *LEVELS],
            },
        )
    )
    figure.update_layout(
        height=26 * len(codes) + 120, margin={"l": 10, "r": 10, "t": 40, "b": 40}
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(side="top", title="reference scenario", type="category")
    return figure


def _steps() -> Sequence[tuple[float, str]]:
    steps = []
    for place, colour in enumerate(_COLOURS):
        steps += [
            (place / len(_COLOURS), colour),
            ((place + 1) / len(_COLOURS), colour),
        ]
    return steps
