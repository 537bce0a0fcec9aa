"""The text that MTConnect adapters send (SHDR): ``time|key|value|key|value ...``.

Read as a long table of (time, tag, value). A condition has a level and four more
fields after its key; assets between ``--multiline--`` marks are left out. After the
MTConnect agent's adapter guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from tundish.data import encodings
from tundish.data.errors import TableUnreadableError
from tundish.data.readers.size import limit_bytes
from tundish.data.readers.values import valued
from tundish.data.table import Assumption, Table

_LINE = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?(@[\d.]+)?\|([A-Za-z_@][\w@:.*\-]*)\|"
)
_KEY = re.compile(rb"[A-Za-z_@][\w@:.*\-]*")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_LEVELS = {"NORMAL", "WARNING", "FAULT"}
_CONDITION_FIELDS = 5
_OPENS = re.compile(r"\|(--multiline--\w+)\s*$")
_BLOCK = re.compile(rb"\|(--multiline--\w+)\n.*?(\n\1(?=\n)|\Z)", re.DOTALL)
_CLAIM_SHARE = 0.8


class ShdrReader:
    """Recordings of MTConnect adapters."""

    name = "an MTConnect recording"
    alone_above = None

    def claims(self, name: str, head: bytes) -> bool:  # noqa: ARG002  (the text decides)
        """Claim text whose lines have a time, a key and a value between bars."""
        head = _BLOCK.sub(b"|", head.replace(b"\r", b""))
        lines = [line for line in head.split(b"\n")[:-1] if line and line[:1] != b"*"]
        fits = [line for line in lines if _LINE.match(line)]
        keys = {key for line in fits for key in line.split(b"|")[1:4:2]}
        keys = {key for key in keys if _KEY.fullmatch(key)}
        return (
            len(fits) >= 3 and len(keys) > 1 and len(fits) > _CLAIM_SHARE * len(lines)
        )

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read one row for each value."""
        limit_bytes(name, path.stat().st_size)
        text, _ = encodings.to_utf8(path.read_bytes(), name)
        lines = text.decode().split("\n")
        rows, dropped = _rows(lines)
        if not rows:
            msg = f"{name} holds no value of an MTConnect adapter."
            raise TableUnreadableError(msg)
        columns = ("timestamp", "tag", "value")
        frame = pl.DataFrame(
            rows, schema=dict.fromkeys(columns, pl.String), orient="row"
        )
        read = valued(name, frame.select("value"), comma=False)
        said = Assumption(
            what="a recording of an MTConnect adapter, one row for each value of a tag",
            why="its lines have a time and pairs of key and value between bars",
            otherwise="export the recording as CSV",
        )
        return [
            Table(
                name=name,
                frame=frame.with_columns(read.frame["value"]),
                states=read.states,
                missing_words=read.missing_words,
                dropped=tuple(dropped),
                lines=len(rows) + len(dropped),
                assumptions=(said,),
                places=read.places,
            )
        ]


def _rows(lines: list[str]) -> tuple[list[tuple[str, str, str]], list[int]]:
    rows: list[tuple[str, str, str]] = []
    dropped: list[int] = []
    until = ""
    for number, line in enumerate(lines, start=1):
        if until:
            until = "" if line.strip() == until else until
            continue
        if not line.strip() or line.startswith("*"):
            continue
        opens = _OPENS.search(line)
        until = opens[1] if opens else ""
        time, _, rest = line.rstrip().partition("|")
        if _TIME.match(time):
            stamp = time.partition("@")[0]
            rows += [(stamp, key, value) for key, value in _pairs(rest)]
        else:
            dropped.append(number)
    return rows, dropped


def _pairs(rest: str) -> Iterator[tuple[str, str]]:
    fields = rest.split("|")
    if fields[0].startswith("@"):  # an asset or a command to the agent
        return
    level = fields[1].upper() if len(fields) == 1 + _CONDITION_FIELDS else ""
    if level in _LEVELS or (level == "UNAVAILABLE" and not any(fields[2:])):
        yield fields[0], " ".join(filter(None, [fields[1], *fields[2:]]))
        return
    if len(fields) == 3:  # a message: key, code, text
        yield fields[0], fields[2]
        return
    for key, value in zip(fields[::2], fields[1::2], strict=False):
        if key:
            yield key.strip(), value.strip()
