"""The script ``tundish``: loads the command line so that Ctrl-C is met from the start."""

from __future__ import annotations

import os
import sys


def hold_standard_streams() -> None:
    """Give each standard stream that the caller closed a place that takes all.

    Otherwise the next file that is opened, such as the ledger, would get the number of
    standard output, and what a library prints would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


def run() -> None:
    """Run the command line; also while it is still loading, Ctrl-C is one sentence."""
    hold_standard_streams()
    try:
        from tundish.cli.main import run as run_commands  # noqa: PLC0415

        run_commands()
    except KeyboardInterrupt:
        sys.stderr.write(
            "[interrupted] Stopped by Ctrl-C; what was finished is kept.\n"
        )
        sys.exit(130)


if __name__ == "__main__":
    run()
