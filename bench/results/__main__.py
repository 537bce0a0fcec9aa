"""Measure the recipes on the development sets and write docs/explain/results.md.

    make results [ONLY="anomaly forecast"]
    python -m bench.results [FAMILY[:SET] ...] [--page-only]

A family is a module beside this one; ``anomaly:skab`` asks it for one of its sets. Rows
are kept in rows.jsonl; what is not measured again stays. The sets are read from
``TUNDISH_DATA``.
"""

from __future__ import annotations

import argparse
import sys

from bench.results import collect
from bench.results.page import PAGE, page


def main() -> int:
    """Run what was asked for; write rows and page; say what failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.results")
    parser.add_argument("only", nargs="*", help="families, or FAMILY:SET")
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    wanted = [] if asked.page_only else (asked.only or collect.protocols())
    failed = False
    for one in wanted:
        family, _, part = one.partition(":")
        try:
            new = collect.run(family, (part,) if part else ())
        except collect.RunFailedError as error:
            failed = True
            print(error, file=sys.stderr)
            continue
        collect.write(collect.merged(collect.read(), new, whole=not part))
        PAGE.write_text(page(collect.read()), encoding="utf-8")
        print(f"{one}: {len(new)} rows in {new[0].seconds} s", flush=True)
    PAGE.write_text(page(collect.read()), encoding="utf-8")
    print(f"wrote {PAGE}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
