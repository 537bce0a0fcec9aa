"""``tundish catalog coverage`` and ``tundish plan``: what is covered, by evidence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, nearby, open_workspace

if TYPE_CHECKING:
    from tundish.catalog.evidence import Evidence
    from tundish.flows.coverage import CoverageReport
    from tundish.flows.plan import Target

group = typer.Typer(
    help="The catalogue: what it covers, and with what evidence.", no_args_is_help=True
)

_MARKS = {"described": "d", "simulated": "s", "shown": "S", "proven": "P"}
_LISTED = 12
_NAME = 21  # letters of a sector's name; fewer in a narrow terminal

Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--evidence",
        help="A folder of plants' signed evidence, checked by the keys trusted here.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="catalog")
    app.command()(plan)


@group.command()
def coverage(
    evidence: Folders = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Say of each scenario what it lacks.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the map as one page for a browser.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show which sectors and scenarios are covered, at which level, and what lacks.

    A level is computed from evidence: described (valid), simulated (meets its limits on
    its own generated stream: the plumbing only), shown (accepted on a public set that
    others made), proven (a plant's own signed evidence).
    """
    from tundish.flows.coverage import coverage as cover

    report = cover(_further(evidence))
    if html is not None:
        from tundish.flows.report.coverage_page import write_coverage_page

        write_coverage_page(report, html)
    if json:
        show.as_json(report)
        return
    for text in _map(report):
        show.line(text)
    levels = report.levels
    show.line(
        f"{levels['shown'] + levels['proven']} scenarios are shown or proven ({len(report.on_real)} on measured data, "
        f"{len(report.on_simulated)} on benchmarks that others simulated), in {len(report.sectors_shown)} of 31 divisions "
        f"and {len(report.links_shown)} of 8 links; {levels['simulated']} only simulated, {levels['described']} only described."
    )
    if report.on_word:
        show.line(
            f"{len(report.on_word)} of these rest on the word of a pack's maker, and no plan counts them: "
            "tundish scenario run shows them here."
        )
    if missing:
        rows = [(one.scenario, one.level, one.missing) for one in report.standings]
        show.table(
            "What lacks for the next level", ["scenario", "level", "missing"], rows
        )
    if html is not None:
        show.line(f"Page: {html}", show.GOOD)


def _further(folders: list[Path] | None) -> list[Evidence]:
    """Return what this workspace ran, and what plants signed that it trusts."""
    from tundish.flows.attest import signed_evidence
    from tundish.flows.coverage import own_evidence

    if not folders:
        workspace = nearby()
        return own_evidence(workspace) if workspace else []
    workspace = open_workspace(Path())
    return [*own_evidence(workspace), *signed_evidence(workspace, folders)]


def _map(report: CoverageReport) -> Iterator[str]:
    """Give the lines of the map: one for each sector, one character for a scenario."""
    from tundish.catalog import sectors

    links = sectors.links()
    at = {(cell.sector, cell.reference): cell.level for cell in report.cells}
    order = list(links.scenarios)
    breaks = {
        n
        for n in order
        if links.scenarios[n].link != links.scenarios[max(1, n - 1)].link
    }
    yield "Sector by reference scenario: d described, s simulated, S shown, P proven"
    tens = "".join(
        (" " if n in breaks else "") + (str(n // 10) if n % 10 == 0 else " ")
        for n in order
    )
    ones = "".join((" " if n in breaks else "") + str(n % 10) for n in order)
    wide = max(0, min(_NAME, show.out.width - len(ones) - 5))
    yield f"{'':<{wide + 5}}{tens}"
    yield f"{'':<{wide + 5}}{ones}"
    for code in sectors.sectors():
        marks = "".join(
            (" " if n in breaks else "") + _MARKS.get(at.get((code, n), ""), ".")
            for n in order
        )
        name = sectors.sector_name(code)[0][:wide]
        yield f"{code} {name:<{wide}} {marks}"


def plan(
    evidence: Folders = None,
    cards: Annotated[
        Path | None, typer.Option(help="A folder of providers' cards to be counted.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Measure this workspace against the targets of 2027; each number names its evidence."""
    from tundish.flows.plan import measure

    report = measure(nearby(), _further(evidence), _providers(cards))
    if json:
        show.as_json(report)
        return
    rows = [
        (one.name.en, _count(one), _some(one.evidence), one.note)
        for one in report.targets
    ]
    show.table(
        "Targets of 2027", ["what", "found", "evidence", "how it is counted"], rows
    )


def _providers(cards: Path | None) -> list[str]:
    from tundish.flows.provider import reader_of
    from tundish.flows.provider_match import read_cards, with_evidence

    if cards is None:
        return []
    found, _ = read_cards(cards, reader_of(nearby()))
    return with_evidence(found)


def _count(target: Target) -> str:
    wanted = "" if target.wanted is None else f" of {target.wanted}"
    return f"{target.found}{wanted}"


def _some(evidence: tuple[str, ...]) -> str:
    more = len(evidence) - _LISTED
    listed = ", ".join(evidence[:_LISTED])
    return f"{listed} and {more} more" if more > 0 else listed
