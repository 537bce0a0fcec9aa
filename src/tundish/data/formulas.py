"""Texts that a spreadsheet would run as formulas.

Tundish keeps cells as they were written: a data set is not changed to suit a program
that opens it. But who opens a mended table in a spreadsheet must know that some cells
are commands there (``=cmd|...``, ``@SUM(...)``): they are counted and named.
"""

from __future__ import annotations

import polars as pl

from tundish.data.mend import Unmended
from tundish.data.table import Table

_STARTS = r"^[=+\-@\t\r].|^[ \t]*=."
_SHOWN = 5


def formulas(table: Table) -> tuple[Unmended, ...]:
    """Return what is to be said of cells that begin as formulas do; nothing if none do.

    Numbers are none: they are not texts in a table. A lone sign is none.
    """
    texts = table.frame.select(pl.selectors.string())
    commands = pl.all().str.contains(_STARTS).sum()
    counts = texts.select(commands).row(0) if texts.width else ()
    named = {n: int(c) for n, c in zip(texts.columns, counts, strict=True) if c}
    headed = [n for n in table.frame.columns if n[:1] in set("=+-@\t\r") and n[1:]]
    if not named and not headed:
        return ()
    said = Unmended(
        kind="formula",
        count=sum(named.values()) + len(headed),
        tags=tuple([*named, *headed][:_SHOWN]),
        what="texts begin with = + - or @: a spreadsheet runs them as formulas",
        why="cells stay as they were written; import the file as text",
    )
    return (said,)
