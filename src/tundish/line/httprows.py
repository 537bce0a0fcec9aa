"""Rows of numbers as they come over HTTP, JSON or CSV; only a number becomes a number.

The places of value, time and quality in a row are said as for MQTT (``jsonpayload``);
in CSV they are names of columns. Bodies are untrusted: their rows are counted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field as Bounds

from tundish.line.contract import Contract, SignalForm
from tundish.line.errors import LineFileInvalidError
from tundish.line.jsonpayload import (
    MISSING,
    Delivery,
    Field,
    JsonTopic,
    Path,
    find,
    parse,
    path_of,
)
from tundish.line.linefile import NodeSpec, SourceSpec
from tundish.line.places import Stamps, field_at, node_places, owner_of
from tundish.line.samples import OLDEST_US, Sample

MOST_ROWS: Final = 10_000
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


class RowOptions(Stamps):
    """Options of every source of rows.

    Attributes:
        form: Of a body.
        rows: JSON: where the list of rows stands, ``/`` if the body is that list;
            without it the body is one row.
        most_rows: Rows in one body.
    """

    form: Literal["json", "csv"] = "json"
    rows: str | None = None
    most_rows: Annotated[int, Bounds(ge=1, le=MOST_ROWS)] = 1000


class RowReader:
    """Reads bodies of one source.

    Args:
        spec: The line file's part; a node is the place of its value in a row.
        scenario: The contract.
        options: See ``RowOptions``.
        owner: Names the source in messages.

    Raises:
        LineFileInvalidError, DocumentInvalidError: if a place is none.
    """

    def __init__(
        self, spec: SourceSpec, scenario: Contract, options: RowOptions, owner: str
    ) -> None:
        self.signals = tuple(spec.nodes)
        self._options = options
        self._csv = options.form == "csv"
        if self._csv and options.rows is not None:
            msg = f"{owner} says options.rows, and every line of a CSV is a row."
            raise LineFileInvalidError(msg)
        self._rows = None if options.rows is None else path_of(options.rows, owner)
        self.fields = tuple(
            self._field(scenario.signal(name), spec.node(name)) for name in spec.nodes
        )
        self._topic = JsonTopic(self.fields)

    @property
    def timed(self) -> bool:
        """Whether every row is to say its time."""
        return all(one.time is not None for one in self.fields)

    def read(self, body: bytes, received_us: int) -> tuple[Sample, ...]:
        """Return the samples of a body, in order of their time.

        Args:
            body: Untrusted.
            received_us: When it came, microseconds since 1970.

        Raises:
            ValueError: with what is wrong, in words, if no row can be read.
        """
        return self._samples(body, Delivery(received_us=received_us))

    def read_timed(self, body: bytes) -> tuple[Sample, ...]:
        """Return the samples of a body that may come twice; each has its own time.

        Raises:
            ValueError: with what is wrong, in words; also if a row has no time.
        """
        found = self._samples(body, Delivery(received_us=0))
        for sample in found:
            if sample.at_us is None or sample.at_us < OLDEST_US:
                place = next(f.time for f in self.fields if f.signal == sample.signal)
                where = "/".join(place or ())
                msg = f"a row has no readable time of {sample.signal} in {where!r}"
                raise ValueError(msg)
        return found

    def missing(self, body: bytes) -> list[str]:
        """Return the signals whose place is in no row of a body that has rows.

        Raises:
            ValueError: as ``read``.
        """
        rows = list(self._documents(body))
        return [
            one.signal
            for one in self.fields
            if rows and all(find(row, one.value) is MISSING for row in rows)
        ]

    def unreadable(self, why: str) -> tuple[Sample, ...]:
        """Return what a body that cannot be used says of every signal."""
        return tuple(
            Sample(signal=name, at_us=None, quality="bad", values=None, reason=why)
            for name in self.signals
        )

    def _samples(self, body: bytes, delivery: Delivery) -> tuple[Sample, ...]:
        found: list[Sample] = []
        for row in self._documents(body):
            found.extend(self._topic.read_document(row, delivery))
        return tuple(sorted(found, key=_moment)) if self._many else tuple(found)

    @property
    def _many(self) -> bool:
        return self._csv or self._rows is not None

    def _documents(self, body: bytes) -> Iterator[object]:
        most = self._options.most_rows
        rows = self._cells(body) if self._csv else self._objects(body)
        for number, row in enumerate(rows, start=1):
            if number > most:
                msg = f"it has more than {most:,} rows"
                raise ValueError(msg)
            yield row

    def _objects(self, body: bytes) -> Sequence[object]:
        document = parse(body)
        if self._rows is None:
            return (document,)
        found = find(document, self._rows)
        if type(found) is not list:
            msg = f"no list of rows stands in {self._options.rows!r}"
            raise ValueError(msg)
        return found

    def _cells(self, body: bytes) -> Iterator[object]:
        try:
            table = csv.reader(
                io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True
            )
            header = next(table, [])
            if not header or len(set(header)) != len(header):
                msg = "it has no header of different names"
                raise ValueError(msg)
            for row in table:
                if row and len(row) != len(header):
                    msg = f"line {table.line_num} has {len(row)} cells, expected {len(header)}"
                    raise ValueError(msg)
                if row:
                    yield dict(zip(header, map(_cell, row), strict=True))
        except UnicodeDecodeError as error:
            msg = "it is no UTF-8 text"
            raise ValueError(msg) from error
        except csv.Error as error:
            msg = "it is no CSV"
            raise ValueError(msg) from error

    def _field(self, form: SignalForm, node: NodeSpec) -> Field:
        owner = owner_of(form)
        if self._csv and form.channels > 1:
            msg = f"{owner} has {form.channels} channels, and a cell of a CSV has one."
            raise LineFileInvalidError(msg)
        stamps = node_places(Stamps, self._options, node, owner)
        return field_at(node.node, stamps, form, node, self._place)

    def _place(self, text: str, owner: str) -> Path:
        return (text,) if self._csv else path_of(text, owner)


def _cell(text: str) -> int | float | str | None:
    text = text.strip(" \t")
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        found = float(text)
        return found if abs(found) < float("inf") else text
    return text or None


def _moment(sample: Sample) -> int:
    return -1 if sample.at_us is None else sample.at_us
