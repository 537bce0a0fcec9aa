"""Sections of docs/reference/line-speed.md, each written by its own benchmark."""

from __future__ import annotations

import os
from pathlib import Path


TITLES = {
    "bench-line": "# Speed of the line",
    "bench-edge": "# A line on a small box",
}


def write(
    page: Path, name: str, title: str, text: str, *, page_of: str = "bench-line"
) -> None:
    """Put a section into the page; the others stay.

    Args:
        page: The file; made if it is not there.
        name: Of the marks around the section.
        title: Its heading.
        text: What was measured.
        page_of: The target of make that writes it.
    """
    mark = f"<!-- {name} -->"
    before = page.read_text("utf-8") if page.exists() else f"{TITLES[page_of]}\n"
    if mark in before:
        head, _, rest = before.partition(mark)
        before = head.rstrip() + "\n" + rest.partition(mark)[2]
    load = f"with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    section = (
        f"{mark}\n## {title}\n\nWritten by `make {page_of}`, {load}.\n{text}\n{mark}\n"
    )
    page.write_text(f"{before.rstrip()}\n\n{section}", "utf-8")
