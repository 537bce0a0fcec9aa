"""Foreign text as people may be shown it: nothing in it steers a terminal; 10 after 9."""

from __future__ import annotations

import re


def visible(text: str, *, keep: str = "") -> str:
    r"""Return a text with letters that cannot be printed written out, as in ``\x1b``.

    Args:
        text: Any text.
        keep: Letters that stay as they are, such as the end of a line.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else repr(one)[1:-1] for one in text
    )


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a sort key in which ``run10`` comes after ``run9``."""
    return [
        (int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part)
        for part in re.split(r"(\d+)", name)
    ]
