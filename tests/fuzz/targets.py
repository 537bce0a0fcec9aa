"""Every target, those that decide about trust first, and which parser it belongs to.

A *parser* is the code that reads one format; its *targets* are the doors through which
foreign bytes reach it. The aim of twenty minutes is a parser's.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import cast

from tests.fuzz.target import Target

_PLACES = (
    "sealed",
    "plant",
    "models",
    "tables",
    "sets",
    "modbus",
    "asked",
    "brokers",
    "opcua",
    "web",
)

PARSERS: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("parsers.json").read_text("utf-8")
)
"""The targets of each parser; a test holds that each target has one."""


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
