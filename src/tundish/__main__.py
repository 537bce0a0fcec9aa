"""The script ``tundish``: loads the command line so that Ctrl-C is met from the start."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line; also while it is still loading, Ctrl-C is one sentence."""
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
