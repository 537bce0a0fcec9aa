"""Measure how often ``diagnose`` names what is there, and what is not; write the page.

make bench-gaps [ARGS="--sets concrete --splits 4"]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from bench.gaps.measure import Outcome, outcome
from bench.gaps.page import KEPT, PAGE, page, read
from bench.gaps.planting import SIZES, clean, no_gap
from bench.gaps.sets import TABLES, Table
from threadpoolctl import threadpool_limits


def main() -> int:
    """Measure; write rows and page."""
    parser = argparse.ArgumentParser(prog="python -m bench.gaps")
    parser.add_argument("--sets", nargs="*", default=list(TABLES))
    parser.add_argument("--plants", nargs="*", default=["clean", "no gap", *SIZES])
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--planted", type=int, default=1, help="splits with a plant")
    parser.add_argument("--out", type=Path, default=KEPT)
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    if not asked.page_only:
        measure(asked)
    if asked.out == KEPT:
        PAGE.write_text(page(read()), encoding="utf-8")
    return 0


def measure(asked: argparse.Namespace) -> None:
    """Measure the sets that were asked for; their old rows go, those of others stay."""
    for name in asked.sets:
        table = TABLES[name]()
        old = read(asked.out) if asked.out.exists() else []
        kept = [row.line() + "\n" for row in old if row.set != table.name]
        with threadpool_limits(limits=1):
            new = [one.line() + "\n" for one in outcomes(table, asked)]
        asked.out.write_text("".join([*kept, *new]), encoding="utf-8")


def outcomes(table: Table, asked: argparse.Namespace) -> Iterator[Outcome]:
    """Yield the diagnoses of one set."""
    for split in range(asked.splits):
        if "clean" in asked.plants:
            yield outcome(table, clean(table, split), "clean", 0.0, split)
        if "no gap" in asked.plants and table.task != "anomaly":
            yield outcome(table, no_gap(table, split), "no gap", 0.0, split)
    for plant, (make, sizes) in SIZES.items():
        if plant not in asked.plants or (
            "flipped" in plant and table.task == "anomaly"
        ):
            continue
        for size in sizes:
            for split in range(asked.planted):
                yield outcome(table, make(table, split, size), plant, size, split)


if __name__ == "__main__":
    sys.exit(main())
