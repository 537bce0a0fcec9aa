"""Every target, those that decide about trust first."""

from __future__ import annotations

import importlib
from typing import cast

from tests.fuzz.target import Target

_PLACES = ("sealed", "plant", "models", "tables")


def targets() -> dict[str, Target]:
    """Return every target by its name."""
    return {one.name: one for place in _PLACES for one in _of(place)}


def target_of(name: str) -> Target:
    """Return one target; no module that comes after its own is loaded."""
    for place in _PLACES:
        for one in _of(place):
            if one.name == name:
                return one
    msg = f"there is no target {name}"
    raise KeyError(msg)


def _of(place: str) -> tuple[Target, ...]:
    module = importlib.import_module(f"tests.fuzz.{place}")
    return cast("tuple[Target, ...]", module.TARGETS)
