"""Try one input again: ``python -m tests.fuzz.again TARGET FILE``.

Exit code 0: it ends well. 1: it is a fault, and the words say which. 3: alone it ends the
process that parses it, and the readers' public door, which parses in a child, makes one
clear error of that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fuzz.target import fault, room
from tests.fuzz.targets import target_of

from tundish.data.readers import read_tables
from tundish.kernel.errors import TundishError

_SECONDS = 120
_NAMES = {
    "wave": "t.wav",
    "rdata": "t.rds",
    "mat": "t.mat",
    "hdf5": "t.h5",
    "npz": "t.npz",
}
CONTAINED = 3


def main(name: str, path: Path, *, inside: bool) -> int:
    """Return the exit code."""
    if inside:
        what = fault(target_of(name), path.read_bytes())
        print(what)
        return 1 if what else 0
    command = [sys.executable, "-m", "tests.fuzz.again", name, str(path), "inside"]
    try:
        code = subprocess.run(command, check=False, timeout=_SECONDS).returncode
    except subprocess.TimeoutExpired:
        code = -1
    if code == 0 or not target_of(name).alone:
        return 0 if code == 0 else 1
    copy = room() / _NAMES.get(name, f"t.{name}")
    copy.write_bytes(path.read_bytes())
    try:
        read_tables(copy)
    except TundishError as error:
        print(f"held by its child: {error.message}")
        return CONTAINED
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), inside=len(sys.argv) > 3))
