"""What is kept for a target, and which doors an input goes through."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.target import Target, fault

import tundish

HERE = Path(__file__).parent
_HOME = Path(tundish.__file__).parent


def kept(target: Target) -> dict[str, bytes]:
    """Return the kept inputs of a target: its seeds, its corpus, what was mended."""
    found = {f"seed {i}": data for i, data in enumerate(target.seeds())}
    for kind in ("corpus", "regressions"):
        for path in sorted((HERE / kind / target.name).glob("*")):
            found[f"{kind}/{path.name}"] = path.read_bytes()
    return found


class Doors:
    """Remembers which functions of ``tundish`` were called, as ``module:qualname``."""

    def __init__(self) -> None:
        self._codes: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            self._codes.add(frame.f_code)

    def opened(self) -> set[str]:
        """Return the doors."""
        return {door for code in self._codes if (door := _door(code))}


def _door(code: CodeType) -> str:
    path = Path(code.co_filename)
    if not path.is_relative_to(_HOME):
        return ""
    place = path.relative_to(_HOME).with_suffix("").as_posix().replace("/", ".")
    return f"tundish.{place}:{code.co_qualname}"


def replayed(
    target: Target, inputs: dict[str, bytes]
) -> tuple[dict[str, str], set[str]]:
    """Parse every input; return what went wrong by its name, and the doors opened."""
    for data in list(inputs.values())[:1]:
        fault(target, data)  # what is loaded or compiled once is nobody's slowness
    watch, wrong = Doors(), {}
    sys.setprofile(watch)
    try:
        for label, data in inputs.items():
            what = fault(target, data)
            if what:
                wrong[label] = what
    finally:
        sys.setprofile(None)
    return wrong, watch.opened()
