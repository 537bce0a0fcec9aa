"""Line the tags of a long table up in rows, by the law by which the line does it.

The tag with the shortest period leads: each of its values makes one row. Every other tag
gives its newest value at or before that time, if it is younger than 1.5 of its own
periods; nothing is interpolated and nothing from the future is used. So a model is
trained on a recording as it will see the plant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import polars as pl

from tundish.catalog.scenario import Scenario
from tundish.catalog.site import Tag
from tundish.data.historian import unfold
from tundish.data.roles import Named
from tundish.data.table import Table

MAX_PERIODS = 1.5


def lined_up(
    table: Table, tags: Mapping[str, Tag], scenario: Scenario, named: Named
) -> Table:
    """Return a long table as one wide one; another table comes back as it is.

    Args:
        table: As it was read.
        tags: Which tag each signal is, of the site profile.
        scenario: The contract: its periods say which tag leads.
        named: Name of the time column and the zone, if the site profile says them.
    """
    columns = {
        tag.column: name
        for name, tag in tags.items()
        if tag.column is not None and tag.file is None
    }
    if not columns or set(columns) & set(table.frame.columns):
        return table
    frames = [part.table.frame for part in unfold(table, named)]
    held = {name: frame for frame in frames for name in frame.columns[1:]}
    periods_s = {signal.name: signal.period_s for signal in scenario.signals}
    found = [
        column
        for column, signal in columns.items()
        if column in held and signal in periods_s
    ]
    if not found:
        return table
    lead = min(found, key=lambda column: periods_s[columns[column]])
    frame = held[lead].sort(held[lead].columns[0])
    time = frame.columns[0]
    for column in found:
        if column in frame.columns:
            continue
        reach_s = MAX_PERIODS * periods_s[columns[column]]
        other = held[column].select(time, column).sort(time)
        frame = frame.join_asof(
            other,
            on=time,
            strategy="backward",
            tolerance=timedelta(seconds=reach_s),
        )
    for column, other in held.items():
        if column not in frame.columns:  # such as a target: at the very moment, or not
            once = other.select(time, column).unique(time, keep="first")
            frame = frame.join(once, on=time, how="left", maintain_order="left")
    return replace(table, frame=pl.DataFrame(frame), places={}, states={}, flags={})
