"""Fuzz one target in this process, guided by what is reached in ``tundish``.

``python -m tests.fuzz.worker TARGET FOLDER SECONDS``: the corpus lies in
``FOLDER/corpus``, and each kind of fault leaves its input and its words in
``FOLDER/found``. A native crash, a hang of a minute and a memory of more than four
gigabytes end the process; libFuzzer then leaves the input there too.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import atheris

HANG_S, MEMORY_MB = 60, 4096

with atheris.instrument_imports(include=["tundish"]):
    import numpy as np
    from tests.fuzz.target import Target, changed, fault, words_of
    from tests.fuzz.targets import target_of

    from tundish.kernel.errors import TundishError

    TARGET = target_of(sys.argv[1])  # here, so that what it imports is watched


def kind_of(what: str) -> str:
    """Return what makes two faults the same: the last place and the kind of error."""
    lines = [line for line in what.splitlines() if line.strip()]
    places = [line.strip() for line in lines if line.lstrip().startswith("File ")]
    where = places[-1] if places else ""
    return f"{where} {lines[-1][:40]}"


class Catcher:
    """Takes inputs from the fuzzer and keeps those that end in a fault, one of a kind."""

    def __init__(self, target: Target, found: Path) -> None:
        self.target = target
        self.found = found
        self.kinds: set[str] = set()

    def __call__(self, data: bytes) -> None:
        what = fault(self.target, data)
        if not what or kind_of(what) in self.kinds:
            return
        self.kinds.add(kind_of(what))
        name = hashlib.sha256(data).hexdigest()[:12]
        (self.found / name).write_bytes(data)
        (self.found / f"{name}.txt").write_text(
            what, "utf-8", errors="backslashreplace"
        )
        print(f"FAULT {self.target.name} {name}: {what}", file=sys.stderr, flush=True)

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        """Change JSON as JSON half of the time; else as libFuzzer does."""
        rng = np.random.default_rng(seed)
        if self.target.json and rng.integers(2):
            try:
                return changed(data, rng)[:most]
            except (ValueError, RecursionError, TundishError):
                pass
        return bytes(atheris.Mutate(data, most))


def main(folder: Path, seconds: int) -> None:
    """Fuzz until the time is over."""
    target = TARGET
    corpus, found = folder / "corpus", folder / "found"
    for place in (corpus, found):
        place.mkdir(parents=True, exist_ok=True)
    for data in target.seeds():
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    words = folder / "words"
    lines = [f'"{_escaped(word)}"' for word in sorted(words_of(target))]
    words.write_text("\n".join(lines) + "\n", "ascii")
    catcher = Catcher(target, found)
    for data in target.seeds():
        fault(target, data)  # what is loaded or compiled once is nobody's slowness
    (folder / "loaded").write_text(str(time.process_time()))
    options = [
        f"-max_total_time={seconds}", f"-timeout={HANG_S}", f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={target.most}", f"-dict={words}", f"-artifact_prefix={found}/",
        "-print_final_stats=1", "-report_slow_units=10",
    ]  # fmt: skip
    custom = {"custom_mutator": catcher.mutate} if target.json else {}
    atheris.Setup([sys.argv[0], str(corpus), *options], catcher, **custom)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(Path(sys.argv[2]), int(sys.argv[3]))
