"""What a complete card says: the checklist after TC609-5-2025-04, items 0101 to 0104."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tundish.data.card.card import Card

_SAYS_SOMETHING = 20
_STRUCTURE = 0.8


@dataclass(frozen=True, kw_only=True)
class Aspect:
    """One thing a card must say.

    Attributes:
        item: Item of the checklist.
        key: Key of the card, for whoever fills it in.
        said: Tells whether the card says it.
        labels: True if it is asked only of sets with labels.
    """

    item: str
    key: str
    said: Callable[[Card], bool]
    labels: bool = False


def _has(key: str) -> Callable[[Card], bool]:
    return lambda card: bool(getattr(card, key))


def _described(card: Card) -> bool:
    return len(card.description or "") >= _SAYS_SOMETHING


def _structured(card: Card) -> bool:
    told = sum(1 for note in card.fields if note.description or note.unit or note.role)
    return bool(card.fields) and told >= _STRUCTURE * len(card.fields)


CHECKLIST: tuple[Aspect, ...] = (
    Aspect(item="0101", key="description", said=_described),
    Aspect(item="0101", key="fields (units, meaning)", said=_structured),
    Aspect(item="0101", key="access", said=lambda c: bool(c.access or c.url)),
    Aspect(item="0101", key="contact", said=lambda c: bool(c.contact or c.maintenance)),
    Aspect(item="0102", key="limitations", said=_has("limitations")),
    Aspect(
        item="0102",
        key="annotation",
        said=lambda c: c.annotation is not None and bool(c.annotation.protocol),
        labels=True,
    ),
    Aspect(item="0103", key="sources", said=lambda c: bool(c.sources or c.creator)),
    Aspect(item="0103", key="origin", said=_has("origin")),
    Aspect(item="0103", key="collection", said=_has("collection")),
    Aspect(
        item="0103",
        key="preprocessing",
        said=lambda c: bool(c.preprocessing or c.imputation or c.manipulation),
    ),
    Aspect(item="0103", key="data_version", said=_has("data_version")),
    Aspect(item="0104", key="licence", said=lambda c: c.licence is not None),
    Aspect(item="0104", key="uses", said=lambda c: bool(c.uses or c.scenarios)),
    Aspect(item="0104", key="evaluation", said=_has("evaluation")),
    Aspect(item="0104", key="cases", said=lambda c: bool(c.cases or c.citation)),
)
FROM_DATA = ("scale", "format", "modality", "distribution", "examples")
"""What the data itself says; a card need not repeat it."""


def missing(card: Card, *, labels: bool) -> tuple[list[str], int]:
    """Return the keys that a card leaves out, and how many aspects were asked.

    Args:
        card: The card.
        labels: True if the set has labels: then their making is asked as well.
    """
    asked = [aspect for aspect in CHECKLIST if labels or not aspect.labels]
    left = [aspect.key for aspect in asked if not aspect.said(card)]
    return left, len(asked) + len(FROM_DATA)
