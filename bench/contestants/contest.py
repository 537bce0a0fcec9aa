"""What every contestant does: time the work after the imports, and say it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

STARTED = time.perf_counter()


def contest(work: Callable[[str], object], package: str) -> None:
    """Run ``work`` on the table named first, and write the times to the file named second.

    Args:
        work: Reads and judges a table.
        package: Whose version is told; empty if none.
    """
    table, out = sys.argv[1:3]
    begun, cpu = time.perf_counter(), time.process_time()
    found = work(table)
    said = {
        "import_s": begun - STARTED,
        "total_s": time.perf_counter() - begun,
        "cpu_s": time.process_time() - cpu,
        "version": version(package) if package else "",
    }
    Path(out).write_text(json.dumps(said))
    print(str(found)[:2000])
