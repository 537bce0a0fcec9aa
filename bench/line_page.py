"""Sections of docs/reference/line-speed.md, each written by its own benchmark."""

from __future__ import annotations

import os
from pathlib import Path


def write(page: Path, name: str, title: str, text: str) -> None:
    """Put a section into the page; the others stay.

    Args:
        page: The file; made if it is not there.
        name: Of the marks around the section.
        title: Its heading.
        text: What was measured.
    """
    mark = f"<!-- {name} -->"
    before = page.read_text("utf-8") if page.exists() else "# Speed of the line\n"
    if mark in before:
        head, _, rest = before.partition(mark)
        before = head.rstrip() + "\n" + rest.partition(mark)[2]
    load = f"with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    section = (
        f"{mark}\n## {title}\n\nWritten by `make bench-line`, {load}.\n{text}\n{mark}\n"
    )
    page.write_text(f"{before.rstrip()}\n\n{section}", "utf-8")
