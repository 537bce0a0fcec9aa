"""What stands beside data of any kind: terms, card, origin, security grade."""

from __future__ import annotations

from dataclasses import dataclass

from tundish.data.grade import documented, terms, verdict
from tundish.data.grade.checks import Brief
from tundish.data.grade.report import Gate
from tundish.data.grade.tally import Tally


@dataclass(frozen=True, kw_only=True)
class Papers:
    """Indicators and gates that are decided by what is written about a set.

    Attributes:
        tallies: Q24, Q27, Q28 and Q30.
        licence: The gate of the terms.
        card: The gate of the card.
    """

    tallies: tuple[Tally, ...]
    licence: Gate
    card: Gate


def read_papers(brief: Brief) -> Papers:
    """Judge what is known beside the data; see ``terms`` and ``documented``."""
    judged = terms.licences(
        brief.licence,
        brief.licence_kind,
        brief.known,
        use=brief.use,
        now_us=brief.now_us,
    )
    complete = documented.complete(brief.known, ())
    return Papers(
        tallies=(
            documented.provenance(brief.known, ()),
            terms.licences_known(judged),
            complete,
            documented.security_grade(brief.known),
        ),
        licence=verdict.gate("licence", held=judged.held, detail=judged.detail),
        card=documented.card_gate(brief.known, complete),
    )
