"""Make a typed recording of tags: time, tag and value, with units from its description."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import ParseError

import polars as pl
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from tundish.catalog.setforms import Column, StreamForm
from tundish.data.errors import SetUnfitError
from tundish.data.readers import read_table
from tundish.data.sets.found import find_files
from tundish.data.sets.loaded import LoadedTable
from tundish.data.table import Assumption
from tundish.data.times import parse_times
from tundish.kernel import paths

_COLUMNS = (
    Column(name="timestamp", role="time"),
    Column(name="tag", role="label"),
    Column(name="value", role="text"),
    Column(name="number", role="signal"),
)
_UNITS = {  # of the MTConnect standard -> as plants write them
    "CELSIUS": "degC",
    "DEGREE": "deg",
    "HERTZ": "Hz",
    "MILLIMETER": "mm",
    "MILLIMETER_3D": "mm",
    "MILLIMETER/SECOND": "mm/s",
    "NEWTON_METER": "N*m",
    "PERCENT": "%",
    "REVOLUTION/MINUTE": "rpm",
    "SECOND": "s",
    "VOLT": "V",
    "WATT": "W",
}


def load_stream(name: str, form: StreamForm, root: Path) -> LoadedTable:
    """Read a recording: one row for each value of a tag, in a text and if it is one a number.

    Raises:
        SetUnfitError: if it is no such recording, or has more or fewer values.
        TableUnreadableError: from the reader.
    """
    pieces: list[pl.DataFrame] = []
    said: list[Assumption] = []
    files = find_files(form, root, name)
    for place, path in files:
        table = read_table(path)
        if table.frame.columns != ["timestamp", "tag", "value"] or table.dropped:
            msg = f"{place} is no recording of an MTConnect adapter: it has {table.frame.width} columns and {len(table.dropped)} lines that do not fit."
            raise SetUnfitError(msg)
        pieces.append(_typed(table.frame, place))
        said += table.assumptions
    frame = pl.concat(pieces)
    if frame.height != form.rows:
        msg = f"{name} has {frame.height:,} values, and the entry says {form.rows:,}."
        raise SetUnfitError(msg)
    return LoadedTable(
        name=name,
        frame=frame,
        columns=_COLUMNS,
        kind="stream",
        files=tuple(place for place, _ in files),
        described=_described(root, form, set(frame["tag"])),
        assumptions=tuple(said),
    )


def _typed(frame: pl.DataFrame, place: str) -> pl.DataFrame:
    times = parse_times(frame["timestamp"], "UTC")
    if times is None:
        msg = f"The column 'timestamp' of {place} holds no times."
        raise SetUnfitError(msg)
    value = frame["value"].cast(pl.String)
    return pl.DataFrame(
        [
            pl.Series("timestamp", times.us).cast(pl.Datetime("us", "UTC")),
            frame["tag"],
            value,
            value.cast(pl.Float64, strict=False).alias("number"),
        ]
    )


def _described(root: Path, form: StreamForm, tags: set[str]) -> dict[str, str]:
    """Return tag -> unit from the description of an MTConnect device."""
    if form.described is None:
        return {}
    path = paths.join(root, form.described)
    try:
        tree = ElementTree.fromstring(
            paths.read_file(path), forbid_dtd=True, forbid_external=True
        )
    except (ParseError, DefusedXmlException, ValueError) as error:
        msg = f"{form.described} is no description of a device ({str(error)[:80]})."
        raise SetUnfitError(msg) from error
    found: dict[str, str] = {}
    for item in tree.iter():
        if item.tag.rpartition("}")[2] == "DataItem" and item.get("units"):
            for key in (item.get("name"), item.get("id")):
                if key in tags and key is not None:
                    stated = item.get("units", "")
                    found[key] = _UNITS.get(stated, stated)
    if not found:
        msg = f"{form.described} names no unit of a tag in the recording."
        raise SetUnfitError(msg)
    return found
