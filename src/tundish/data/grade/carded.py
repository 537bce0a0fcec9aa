"""What a card tells of a table's columns: roles, units, recipe; and saying so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tundish.data.card.beside import Known
from tundish.data.card.card import FieldNote
from tundish.data.roles import Named
from tundish.data.table import Assumption

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a card tells of one table.

    Attributes:
        named: The roles that the user named, filled up from the card.
        units: Column -> unit.
        recipe: Columns that the card marks as recipe.
        said: What was taken, for the report.
    """

    named: Named
    units: dict[str, str] = field(default_factory=dict)
    recipe: tuple[str, ...] = ()
    said: tuple[Assumption, ...] = ()


def told_by(
    known: Known | None,
    file: str,
    columns: Collection[str],
    named: Named,
    units: Mapping[str, str] | None = None,
) -> Told:
    """Fill up what the user named with what a card tells; the user goes first.

    Args:
        known: The card, if there is one.
        file: Name of the file that the columns stand in.
        columns: The columns there are: a card may be about more.
        named: What the user named.
        units: Units that the file itself names: they go before the card's.
    """
    if known is None:
        return Told(named=named)
    notes = [note for note in known.card.notes(file) if note.name in columns]
    told = {n.name: n.unit for n in notes if n.unit and n.name not in (units or {})}
    roles = {n.role: n.name for n in notes if n.role}
    taken: dict[str, str] = {}
    for role in ("time", "unit", "target"):
        if role in roles and getattr(named, role) in {None, roles[role]}:
            taken[role] = roles[role]
    zone = known.card.time_zone
    if zone and named.time_zone in {None, zone}:
        taken["time zone"] = zone
    filled = replace(
        named,
        time=taken.get("time", named.time),
        unit=taken.get("unit", named.unit),
        target=taken.get("target", named.target),
        time_zone=taken.get("time zone", named.time_zone),
    )
    if "target" in taken and named.task is None:
        filled = replace(filled, task="regress")
    recipe = tuple(note.name for note in notes if note.recipe)
    said = _said(known, told, taken, notes)
    return Told(named=filled, units=told, recipe=recipe, said=said)


def _said(
    known: Known,
    units: dict[str, str],
    taken: dict[str, str],
    notes: Sequence[FieldNote],
) -> tuple[Assumption, ...]:
    parts = [f"{role} {name}" for role, name in taken.items()]
    if units:
        shown = ", ".join(
            f"{name} in {unit}" for name, unit in list(units.items())[:_SHOWN]
        )
        more = f" and {len(units) - _SHOWN} more" if len(units) > _SHOWN else ""
        parts.append(f"units ({shown}{more})")
    if known.card.licence is not None:
        parts.append(f"licence {known.card.licence.name[:60]}")
    if not parts and not notes:
        return ()
    why = "a card is there for the set"
    if known.fits is False:
        why += "; it names another digest, so it may be about an older version"
    return (
        Assumption(
            what=f"from {known.where}: {'; '.join(parts) or 'descriptions of columns'}",
            why=why,
            otherwise="name it yourself (--time, --unit, --target, --licence), or mend the card",
        ),
    )
