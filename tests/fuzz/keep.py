"""Keep of a grown corpus what reaches something new, the smallest first.

``python -m tests.fuzz.keep TARGET FOLDER``: from ``FOLDER/corpus`` into
``tests/fuzz/corpus/TARGET``, at most ``MOST_BYTES``. What counts is a step from one line
of ``tundish`` to another, and how the parsing ends.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.target import Target, fault
from tests.fuzz.targets import target_of

import tundish
from tundish.kernel.errors import TundishError

HERE = Path(__file__).parent
MOST_BYTES, MOST_FILES, LONGEST = 24_000, 60, 8_000
_HOME = str(Path(tundish.__file__).parent)

Step = tuple[str, int, int]


class Tracer:
    """Remembers each step from line to line in the code of ``tundish``."""

    def __init__(self) -> None:
        self.steps: set[Step] = set()
        self._ours: dict[CodeType, bool] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code not in self._ours:
            self._ours[code] = code.co_filename.startswith(_HOME)
        if not self._ours[code]:
            return None
        last = code.co_firstlineno
        steps, name = self.steps, code.co_filename

        def local(inner: FrameType, kind: str, _: Any) -> Any:
            nonlocal last
            if kind == "line":
                steps.add((name, last, inner.f_lineno))
                last = inner.f_lineno
            return local

        return local


def reached(target: Target, data: bytes) -> set[Step]:
    """Return the steps that an input takes, its end among them."""
    tracer = Tracer()
    sys.settrace(tracer)
    try:
        target.parse(data)
    except TundishError as error:
        end = error.code
    except BaseException as error:
        end = type(error).__name__
    else:
        end = "value"
    finally:
        sys.settrace(None)
    return tracer.steps | {(f"end {end}", 0, 0)}


def main(name: str, folder: Path) -> None:
    """Write the kept corpus of a target anew."""
    target = target_of(name)
    for data in target.seeds():
        target_ends(target, data)
    grown = [path for path in (folder / "corpus").iterdir() if path.is_file()]
    grown = [path for path in grown if path.stat().st_size <= LONGEST]
    seeds = {hashlib.sha256(data).hexdigest()[:16] for data in target.seeds()}
    ordered = sorted(
        grown, key=lambda p: (p.name not in seeds, p.stat().st_size, p.name)
    )
    seen: set[Step] = set()
    kept: dict[str, bytes] = {}
    for path in ordered:
        data = path.read_bytes()
        size = sum(map(len, kept.values())) + len(data)
        if size > MOST_BYTES or len(kept) >= MOST_FILES:
            continue
        if fault(target, data):
            continue  # it is among what was found, and will be mended
        new = reached(target, data) - seen
        if new:
            seen |= new
            kept[hashlib.sha256(data).hexdigest()[:16]] = data
    place = HERE / "corpus" / name
    place.mkdir(parents=True, exist_ok=True)
    for path in place.iterdir():
        path.unlink()
    for digest, data in kept.items():
        (place / digest).write_bytes(data)
    print(f"{name}: kept {len(kept)} of {len(ordered)} inputs, {len(seen)} steps")


def target_ends(target: Target, data: bytes) -> None:
    """Parse once, however it ends: what is loaded once is nobody's step."""
    fault(target, data)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
