"""One measured figure of one recipe on one set."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tundish.kernel import canonical


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table of results.

    Attributes:
        set: Name of the data set.
        protocol: What was trained on what and judged on what, in one sentence.
        recipe: Name of the recipe and, where they differ from its defaults, options.
        metric: What was measured, with its unit.
        value: The figure.
        low, high: Its spread, 90 %, where one could be had.
        reference: The figure to beat, if there is one.
        met: Whether it is beaten; None without a reference.
        train_s: Seconds to train.
        ms_per_1000: Milliseconds for 1,000 windows through the graph.
    """

    set: str
    protocol: str
    recipe: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    met: bool | None = None
    train_s: float | None = None
    ms_per_1000: float | None = None

    def line(self) -> str:
        """Return the row as one line of JSON."""
        return canonical.dumps(asdict(self)).decode()
