"""``tundish provider``: cards of service providers, and the evidence beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import AsJson, Days, In, nearby, open_workspace

if TYPE_CHECKING:
    from tundish.flows.provider import ProviderReport
    from tundish.flows.provider_match import MatchReport

group = typer.Typer(
    help="Cards of service providers: claims, and evidence that holds.",
    no_args_is_help=True,
)

Card = Annotated[Path, typer.Argument(help="The card (*.provider.yaml).")]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="A public key that is trusted; may be repeated."),
]
_PROOFS = {
    "signed": "The card is signed by the key {signer}, which is trusted here.",
    "unknown-signer": "No key that is trusted here signed the card: all is claimed.",
    "unsigned": "Nobody signed the card: all is claimed.",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="provider")


@group.command()
def template() -> None:
    """Print a card to be filled in."""
    from tundish.catalog.provider import TEMPLATE

    show.raw(TEMPLATE)


@group.command()
def sign(
    card: Card, days: Days = 365.0, workspace: In = Path(), json: AsJson = False
) -> None:
    """Sign your card with the key that signs your packages; it lies beside the card."""
    from tundish.flows.provider import sign_card

    to = sign_card(open_workspace(workspace), card, days=days)
    if json:
        show.as_json({"card": str(card), "signature": str(to)})
        return
    show.line(f"Signed: {to}; send both, with the evidence.", show.GOOD)


@group.command()
def check(card: Card, key: Keys = None, json: AsJson = False) -> None:
    """Check a card, and say which skills rest on evidence that lies beside it.

    Ends with 1 if a piece of evidence does not hold.
    """
    from tundish.flows.provider import check_provider

    with show.working(f"Checking {card.name}"):
        report = check_provider(card, workspace=nearby(), keys=key or ())
    if json:
        show.as_json(report)
    else:
        _show(report)
    if report.refused:
        raise typer.Exit(NOT_GOOD_ENOUGH)


@group.command()
def match(
    scenario: Annotated[
        str, typer.Argument(help="A scenario, or sector and number such as C34.27.")
    ],
    cards: Annotated[
        Path, typer.Option(help="The folder of the cards, or of folders with them.")
    ] = Path("providers"),
    key: Keys = None,
    json: AsJson = False,
) -> None:
    """Rank cards for a scenario by evidence, and say why; claims come after it."""
    from tundish.flows.provider import reader_of
    from tundish.flows.provider_match import match as rank

    with show.working(f"Reading {cards}"):
        report = rank(scenario, cards, reader_of(nearby(), key or ()))
    if json:
        show.as_json(report)
        return
    _show_matches(scenario, report)


def _show(report: ProviderReport) -> None:
    from tundish.kernel.digest import short

    show.line(f"{report.name['en']} ({report.name['zh']}), {report.country}", "bold")
    show.line(f"Contact: {report.contact}")
    signer = short(report.signer) if report.signer else ""
    good = show.GOOD if report.signer else show.WARN
    show.line(_PROOFS[report.proof].format(signer=signer), good)
    rows = [
        (
            skill.scenario or f"{skill.sector}.{skill.reference_scenario}",
            skill.claimed,
            skill.shown or "nothing",
            ", ".join(skill.evidence),
            skill.why,
        )
        for skill in report.skills
    ]
    show.table("Skills", ["for", "claimed", "shown", "by", "note"], rows)
    pieces = [
        (one.key, one.outcome, one.shown.what if one.shown else one.why, one.code)
        for one in report.pieces
    ]
    if pieces:
        show.table("Evidence", ["key", "outcome", "what", "code"], pieces)
    show.line(
        f"{len(report.rests)} of {len(report.skills)} skills rest on evidence; the others are claims."
    )


def _show_matches(name: str, report: MatchReport) -> None:
    rows = [
        (
            str(one.place),
            one.name["en"],
            "evidence" if reason.rests else "a claim",
            reason.near,
            reason.level,
            f"{reason.what}{f' (limits: {reason.limits})' if reason.limits else ''}",
        )
        for one in report.matches
        for reason in one.reasons[:3]
    ]
    show.table(f"For {name}", ["", "who", "rests on", "near", "level", "why"], rows)
    for file, why in report.refused.items():
        show.line(f"{file} was not taken: {why}", show.WARN)
    show.line(f"{len(report.matches)} of {report.cards} cards have to do with it.")
