"""XES event logs (IEEE 1849): one row for each event of each case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import polars as pl

from tundish.data.errors import TableTooLargeError, TableUnreadableError
from tundish.data.readers.values import valued
from tundish.data.table import Assumption, Table

MAX_EVENTS = 20_000_000
MAX_ATTRIBUTES = 500

_TYPES = {"string", "date", "int", "float", "boolean", "id"}
_NAMES = {
    "concept:name": "activity",
    "time:timestamp": "timestamp",
    "lifecycle:transition": "transition",
    "org:resource": "resource",
}


class XesReader:
    """XES: the interchange format of process mining."""

    name = "an XES event log"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:
        """Claim XML that is named .xes or has a log at its root."""
        text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not text.startswith(b"<"):
            return False
        return name.lower().endswith(".xes") or b"<log" in head

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read the events, with the attributes of their case before ``case:``."""
        from defusedxml.common import DefusedXmlException  # noqa: PLC0415  (child only)

        log = _Log(name)
        try:
            log.parse(path)
        except DefusedXmlException as error:
            msg = f"{name} declares entities or a document type; these are not read."
            raise TableUnreadableError(msg) from error
        except (ParseError, ValueError, LookupError) as error:
            msg = f"{name} is no whole XML file ({str(error)[:120]})."
            raise TableUnreadableError(msg) from error
        return [log.table()]


class _Log:
    """Columns as they grow; a missing attribute leaves a null."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.columns: dict[str, list[str | None]] = {"case": []}
        self.events = 0
        self.cases = 0

    def parse(self, path: Path) -> None:
        from defusedxml.ElementTree import iterparse  # noqa: PLC0415  (see above)

        depth = 0
        root: Element | None = None
        for event, element in iterparse(
            path, events=("start", "end"), forbid_dtd=True, forbid_external=True
        ):
            if event == "start":
                root = element if root is None else root
                depth += 1
                if depth > 64:
                    msg = "it is nested deeper than 64 levels"
                    raise ValueError(msg)
                continue
            depth -= 1
            if depth == 1 and root is not None:
                if _tag(element) == "trace":
                    self.trace(element)
                root.clear()

    def trace(self, trace: Element) -> None:
        """Add the events of one case."""
        self.cases += 1
        about = _attributes(trace)
        case = about.pop("concept:name", None) or f"case {self.cases}"
        of_case = {f"case:{key}": value for key, value in about.items()}
        for event in trace:
            if _tag(event) == "event":
                said = {_NAMES.get(k, k): v for k, v in _attributes(event).items()}
                self.add({**of_case, **said, "case": case})

    def add(self, row: dict[str, str]) -> None:
        """Add one event."""
        if self.events >= MAX_EVENTS or len(self.columns) > MAX_ATTRIBUTES:
            msg = (
                f"{self.name} has more than {MAX_EVENTS} events or {MAX_ATTRIBUTES} "
                "attributes."
            )
            raise TableTooLargeError(msg)
        for key, value in row.items():
            column = self.columns.setdefault(key, [])
            column += [None] * (self.events - len(column))
            column.append(value)
        self.events += 1

    def table(self) -> Table:
        """Return the table of all events."""
        if not self.events:
            msg = f"{self.name} is XML and holds no event of an event log."
            raise TableUnreadableError(msg)
        order = ["case", "activity", "timestamp"]
        names = [n for n in order if n in self.columns]
        names += [n for n in self.columns if n not in order]
        frame = pl.DataFrame(
            {n: pl.Series(self._filled(n), dtype=pl.String) for n in names}
        )
        read = valued(self.name, frame.drop("case"), comma=False)
        said = Assumption(
            what=f"an event log: {self.events:,} events of {self.cases:,} cases",
            why="the file is XES",
            otherwise="export the log as CSV with the columns that you want graded",
        )
        return Table(
            name=self.name,
            frame=pl.DataFrame([frame["case"], *read.frame.get_columns()]),
            states=read.states,
            missing_words=read.missing_words,
            lines=self.events,
            assumptions=(said,),
            places=read.places,
        )

    def _filled(self, name: str) -> list[str | None]:
        column = self.columns[name]
        return column + [None] * (self.events - len(column))


def _attributes(element: Element) -> dict[str, str]:
    return {
        child.get("key", ""): child.get("value", "")
        for child in element
        if _tag(child) in _TYPES and child.get("key")
    }


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]
