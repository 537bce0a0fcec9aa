"""``tundish scenario`` and ``tundish site``: the contracts."""

from __future__ import annotations

import typer

from tundish.cli import scenarios as doing
from tundish.cli import show
from tundish.cli.options import AsJson, NameOrFile

scenarios = typer.Typer(
    help="Scenarios: what is needed, and what is good enough.", no_args_is_help=True
)
sites = typer.Typer(
    help="Site profiles: one scenario bound to one plant.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    doing.register(scenarios)
    app.add_typer(scenarios, name="scenario")
    app.add_typer(sites, name="site")


@scenarios.command("list")
def list_scenarios(json: AsJson = False) -> None:
    """List the scenarios of the catalogue."""
    from tundish.catalog import library
    from tundish.catalog.scenario import Scenario
    from tundish.catalog.sectors import sector_name

    found = [library.scenario(name) for name in library.names(Scenario)]
    if json:
        show.as_json([scenario.to_json() for scenario in found])
        return
    rows = [
        (s.key, s.task, s.name.en, s.name.zh, sector_name(s.sector)[0]) for s in found
    ]
    show.table("Scenarios", ["key", "task", "name", "名称", "sector"], rows)


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


@scenarios.command("check")
def check_scenario(name: NameOrFile) -> None:
    """Check a scenario file; a bad one is refused with the path of the key."""
    from tundish.catalog import library

    scenario = library.scenario(name)
    show.line(f"{scenario.key} is a valid scenario.", show.GOOD)


@sites.command("check")
def check_site(name: NameOrFile) -> None:
    """Check a site profile; a bad one is refused with the path of the key."""
    from tundish.catalog import library

    profile = library.site(name)
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
