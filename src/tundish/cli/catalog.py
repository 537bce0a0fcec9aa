"""``tundish scenario`` and ``tundish site``: the contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import packs, show
from tundish.cli import scenarios as doing
from tundish.cli.options import AsJson, NameOrFile

if TYPE_CHECKING:
    from tundish.catalog.scenario import Scenario

scenarios = typer.Typer(
    help="Scenarios: what is needed, and what is good enough.", no_args_is_help=True
)
sites = typer.Typer(
    help="Site profiles: one scenario bound to one plant.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    doing.register(scenarios)
    packs.register(scenarios)
    app.add_typer(scenarios, name="scenario")
    app.add_typer(sites, name="site")


@scenarios.command("list")
def list_scenarios(  # noqa: PLR0913  (a command's filters)
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Words that its texts must hold, in English or Chinese."),
    ] = None,
    sector: Annotated[str | None, typer.Option(help="A division, such as C34.")] = None,
    link: Annotated[
        str | None,
        typer.Option(help="A link (supply-chain ...), or a reference scenario (1-40)."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Such as anomaly or regress.")
    ] = None,
    signal: Annotated[
        list[str] | None,
        typer.Option(
            "--signal",
            help="Something you measure, such as vibration; may be repeated.",
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(help="described, simulated, shown or proven, or better."),
    ] = None,
    json: AsJson = False,
) -> None:
    """List the scenarios of the catalogue; several filters must all fit.

    'I have vibration and current': --signal vibration --signal current
    """
    from tundish.flows.scenarios import Search, search

    wanted = Search(
        words=tuple(words or ()),
        sector=sector,
        link=link,
        task=task,
        signals=tuple(signal or ()),
        level=level,
    )
    found = search(wanted)
    if json:
        show.as_json([one.to_json() for one in found])
        return
    rows = [
        (one.key, one.task, one.level, f"{one.name.en} ({one.name.zh})")
        for one in found
    ]
    show.table(f"Scenarios ({len(rows)})", ["key", "task", "level", "name"], rows)


@scenarios.command("show")
def show_scenario(name: NameOrFile, json: AsJson = False) -> None:
    """Print a scenario: its signals, its limits and the reason for each."""
    from tundish.catalog import library

    scenario = library.scenario(name)
    if json:
        show.as_json(scenario)
        return
    show.line(f"{scenario.key}: {scenario.name.en} ({scenario.name.zh})", style="bold")
    show.line(scenario.problem)
    show.line(_standing_line(scenario))
    show.line(f"Decided: {scenario.decision.what}; by {scenario.decision.who}.")
    rows = [
        (
            s.name,
            s.unit,
            f"{s.range[0]:g} to {s.range[1]:g}",
            f"{s.period_s:g} s",
            s.description,
        )
        for s in scenario.signals
    ]
    show.table("Signals", ["name", "unit", "range", "every", "what"], rows)
    limits = [
        (
            limit.metric,
            f">= {limit.at_least:g}"
            if limit.at_least is not None
            else f"<= {limit.at_most:g}",
            limit.why,
        )
        for limit in scenario.acceptance.limits
    ]
    show.table("Good enough", ["metric", "limit", "why"], limits)


def _standing_line(scenario: Scenario) -> str:
    """Say its place in the catalogue and its level, with what the level rests on."""
    from tundish.catalog import sectors
    from tundish.flows.scenarios import standing_of

    links = sectors.links()
    reference = links.scenarios[scenario.reference_scenario]
    place = f"{sectors.sector_name(scenario.sector)[0]}; {links.links[reference.link].name.en}: {reference.name.en}"
    one = standing_of(scenario)
    rests = "; ".join(f"on {e.data} ({e.origin})" for e in one.evidence)
    return f"{place}. Level: {one.level}{', ' + rests if rests else ''}. For the next level: {one.missing}."


@scenarios.command("check")
def check_scenario(name: NameOrFile, json: AsJson = False) -> None:
    """Check a scenario file; a bad one is refused with the path of the key."""
    from tundish.flows.scenarios import checked

    scenario = checked(name)
    if json:
        show.as_json({"scenario": scenario.key, "digest": scenario.digest})
        return
    show.line(f"{scenario.key} is a valid scenario.", show.GOOD)


@sites.command("check")
def check_site(name: NameOrFile, json: AsJson = False) -> None:
    """Check a site profile; a bad one is refused with the path of the key."""
    from tundish.catalog import library

    profile = library.site(name)
    if json:
        show.as_json({"scenario": profile.scenario, "site": profile.site})
        return
    show.line(f"{name} binds {profile.scenario} to {profile.site}.", show.GOOD)


@sites.command("list")
def list_sites(json: AsJson = False) -> None:
    """List the site profiles of the catalogue."""
    from tundish.catalog import library
    from tundish.catalog.site import SiteProfile

    found = [(name, library.site(name)) for name in library.names(SiteProfile)]
    if json:
        show.as_json({name: profile.to_json() for name, profile in found})
        return
    rows = [(name, profile.scenario, profile.site) for name, profile in found]
    show.table("Site profiles", ["name", "scenario", "site"], rows)
