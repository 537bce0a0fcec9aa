"""The records of a text table: separator, lines that fit, header, units row.

Field counts are found with numpy over the bytes (quoted stretches masked by the parity
of quotes), so that ragged lines are seen before any parser guesses about them.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tundish.data.errors import TableUnreadableError

SEPARATORS = ("\t", ";", "|", ",")
NAMES = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", " ": "spaces"}
RAGGED_AT_MOST = 0.05
_LOOK = 400
_LAST_LINES = 4
SEPARATOR_LINE = re.compile(rb"(?i)\"?sep=[^\w\"]\"?;*")  # spreadsheets write it first
_FEWEST_RECORDS = 2
_HEAD_BYTES = 1024 * 1024
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Records:
    """A text table cut into records, all with the same number of fields.

    Attributes:
        body: The records as UTF-8, a line feed after each, without preamble and bad lines.
        separator: One letter; a run of spaces was turned into tabs.
        spaced: True if fields were separated by white space.
        quoted: True if double quotes enclose fields.
        fields: Fields in each record.
        count: Records in ``body``.
        first_line: Line number (from 1) of the first record.
        preamble: Lines before the first record.
        dropped: Line numbers of records with another number of fields.
        origin: The file's name, for messages.
    """

    body: bytes
    separator: str
    spaced: bool
    quoted: bool
    fields: int
    count: int
    first_line: int
    preamble: tuple[str, ...]
    dropped: tuple[int, ...]
    origin: str = "The text"

    def first(self, count: int) -> list[list[str]]:
        """Return the cells of the first records, white space stripped.

        Each has ``fields`` cells, even where quotes stand in odd places.

        Raises:
            TableUnreadableError: if a cell has more than 131,072 letters.
        """
        try:
            return self._first(count)
        except csv.Error as error:
            msg = f"{self.origin} is no table: it has a cell of enormous length ({error})."
            raise TableUnreadableError(msg) from error

    def _first(self, count: int) -> list[list[str]]:
        text = self._head().decode()
        reader = csv.reader(
            text.split("\n"),
            delimiter=self.separator,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
        )
        rows = []
        for row in filter(None, reader):
            cells = [cell.strip() for cell in row[: self.fields]]
            rows.append(cells + [""] * (self.fields - len(cells)))
            if len(rows) == count:
                break
        return rows

    def lines(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where in ``body`` each record begins and where its line feed stands."""
        return _lines(self.body, quoted=self.quoted)

    def _head(self) -> bytes:
        """Return whole records from the start, about a megabyte of them."""
        if len(self.body) <= _HEAD_BYTES:
            return self.body
        end = self.body.rfind(b"\n", 0, _HEAD_BYTES) + 1
        return self.body[: end or None]


def is_number(cell: str) -> bool:
    """Tell whether a cell is a number with a decimal point or comma."""
    return _NUMBER.fullmatch(cell) is not None


def cut(text: bytes, origin: str, separator: str | None = None) -> Records:
    """Cut UTF-8 text into records.

    Args:
        text: From ``encodings.to_utf8``. Untrusted.
        origin: The file's name, for messages.
        separator: If known; else it is found.

    Raises:
        TableUnreadableError: if more than 5 % of the lines do not fit.
    """
    text = _plain_lines(text)
    quoted = _quotes_pair(text)
    starts, ends = _lines(text, quoted=quoted)
    sample = _spread_sample(text, starts, ends)
    spaced = False
    if separator is None:
        separator, spaced = _find_separator(sample, quoted=quoted)
        if not spaced and not any(separator.encode() in line for line in sample):
            _refuse_uneven(sample, origin)
    if spaced:
        text = _tabbed(text)
        starts, ends = _lines(text, quoted=quoted)
    counts = _fields(text, (starts, ends), separator, quoted=quoted)
    return _fitting(text, (starts, ends, counts), (separator, spaced, quoted), origin)


def _plain_lines(text: bytes) -> bytes:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = text.strip(b"\n")
    if text.startswith(b"[") and text.endswith(b"]") and b"]\n[" in text:
        text = re.sub(rb"(?m)^[ \t]*\[|\][ \t]*,?[ \t]*$", b"", text)
    return text + b"\n"


def _quotes_pair(text: bytes) -> bool:
    """Tell whether double quotes enclose fields: they come in pairs, at field edges."""
    quotes = text.count(b'"')
    if not quotes or quotes % 2:
        return False
    edges = len(re.findall(rb'(?:(?<=[\n\t;|, "])|^)"|"(?=[\n\t;|, "]|$)', text))
    return edges >= 0.9 * quotes


def _inside(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.bitwise_xor.accumulate((data == ord('"')).view(np.uint8)).view(np.bool_)


def _lines(text: bytes, *, quoted: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    data = np.frombuffer(text, dtype=np.uint8)
    breaks = data == ord("\n")
    if quoted:
        breaks &= ~_inside(data)
    ends = np.flatnonzero(breaks)
    starts = np.concatenate(([0], ends[:-1] + 1))
    return starts, ends


def _spread_sample(
    text: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> list[bytes]:
    """Return up to 400 lines, more from the later part: a preamble comes first."""
    filled = [i for i in _picks(len(starts)) if ends[i] > starts[i]]
    return [text[starts[i] : ends[i]] for i in filled]


def _picks(lines: int) -> list[int]:
    spread = np.linspace(0, lines - 1, min(lines, _LOOK)).astype(int)
    return [int(i) for i in np.unique(spread)]


def _find_separator(sample: list[bytes], *, quoted: bool) -> tuple[str, bool]:
    tail = sample[len(sample) // 2 :] or sample
    best, best_share = "", 0.0
    for separator in SEPARATORS:
        counts = [_count(line, separator, quoted=quoted) for line in tail]
        share = _agreement(counts)
        if share >= 0.9:
            return separator, False
        if share > best_share:
            best, best_share = separator, share
    if _agreement_spaced(tail) >= max(0.7, best_share):
        return "\t", True
    if best_share >= 0.5:
        return best, False
    return ("\t", True) if _ends_spaced(sample) else (",", False)


def _ends_spaced(lines: list[bytes]) -> bool:
    """Tell whether the last lines are numbers apart by spaces: a long text is above."""
    cells = [line.split() for line in lines if line.strip()]
    wanted = len(cells[-1]) if cells else 0
    fits = 0
    for row in reversed(cells):
        if len(row) != wanted or not _mostly_numbers(row):
            break
        fits += 1
    return wanted > 1 and fits >= _LAST_LINES


def _mostly_numbers(row: list[bytes]) -> bool:
    numbers = sum(is_number(cell.decode(errors="replace")) for cell in row)
    return numbers >= 0.6 * len(row)


def _refuse_uneven(sample: list[bytes], origin: str, *, at_least: int = 1) -> None:
    """Refuse lines of numbers of which each has a count of its own."""
    cells = [line.split() for line in sample if line.strip()]
    rows = [row for row in cells if len(row) > 1 and _mostly_numbers(row)]
    if len(rows) <= 0.5 * len(cells) or len(rows) < at_least:
        return
    counts = sorted({len(row) for row in rows})
    msg = (
        f"{origin} is ragged: its lines hold {counts[0]} to {counts[-1]} numbers; the "
        "same number was expected in each."
    )
    raise TableUnreadableError(msg)


def _agreement(counts: list[int]) -> float:
    """Return the share of lines that have the commonest number (not zero) of marks."""
    values, times = np.unique(counts, return_counts=True)
    times = np.where(values == 0, 0, times)
    return float(times.max() / len(counts)) if len(times) else 0.0


def _agreement_spaced(lines: list[bytes]) -> float:
    cells = [line.split() for line in lines]
    numbers = sum(is_number(c.decode(errors="replace")) for row in cells for c in row)
    if numbers < 0.6 * sum(map(len, cells)):
        return 0.0
    return _agreement([len(row) - 1 for row in cells])


def _count(line: bytes, separator: str, *, quoted: bool) -> int:
    if quoted:
        line = re.sub(rb'"[^"]*"', b"", line)
    return line.count(separator.encode())


def _tabbed(text: bytes) -> bytes:
    """Put one tab for each run of white space, and none at the ends of lines."""
    data = np.frombuffer(text, dtype=np.uint8)
    blank, breaks = _blanks(data)
    again = blank[1:] & (blank[:-1] | breaks[:-1])
    kept = data[np.concatenate((~blank[:1], ~again))]
    blank, breaks = _blanks(kept)
    last = blank & np.concatenate((breaks[1:], [True]))
    return np.where(blank, np.uint8(ord("\t")), kept)[~last].tobytes()


def _blanks(data: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return (data == ord(" ")) | (data == ord("\t")), data == ord("\n")


def _fields(
    text: bytes,
    lines: tuple[NDArray[np.int64], NDArray[np.int64]],
    separator: str,
    *,
    quoted: bool,
) -> NDArray[np.int64]:
    data = np.frombuffer(text, dtype=np.uint8)
    marks = data == ord(separator)
    if quoted:
        marks &= ~_inside(data)
    at = np.flatnonzero(marks)
    starts, ends = lines
    return np.searchsorted(at, ends) - np.searchsorted(at, starts) + 1


def _fitting(
    text: bytes,
    lines: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    form: tuple[str, bool, bool],
    origin: str,
) -> Records:
    starts, ends, counts = lines
    separator, spaced, quoted = form
    filled = ends > starts
    if len(counts) > 1 and spaced is False:
        filled &= ~_only_separators(text, starts, ends, counts, separator)
    live = np.flatnonzero(filled)
    if not len(live):
        msg = f"{origin} is empty; a table was expected."
        raise TableUnreadableError(msg)
    late = counts[live[len(live) // 2 :]]
    expected = int(np.bincount(late).argmax())
    fits = counts[live] == expected
    if SEPARATOR_LINE.fullmatch(text[starts[live[0]] : ends[live[0]]]):
        fits[0] = False  # in a table of two columns it has as many fields as a record
    first = _first_record(fits, spaced=spaced)
    if expected == 1:
        first = _first_number(text, starts[live], ends[live])
    if spaced and first:
        above = [text[starts[i] : ends[i]] for i in live[:first]]
        _refuse_uneven(above, origin, at_least=_LAST_LINES)
    bad = live[first:][~fits[first:]]
    good = live[first:][fits[first:]]
    _refuse_ragged(origin, bad, len(live) - first, counts, expected)
    short = _short_header(text, lines, live[:first], form, expected)
    header = _header_above(text, lines, live[:first], form, expected)
    kept = np.concatenate((header, good))
    if not len(kept):
        msg = f"{origin} is ragged: no two of its {len(live)} lines fit together."
        raise TableUnreadableError(msg)
    if short:
        first = 0
    return Records(
        body=short + _joined(text, starts, ends, kept),
        separator=separator,
        spaced=spaced,
        quoted=quoted,
        fields=expected,
        count=len(kept) + bool(short),
        first_line=int(kept[0]) + 1,
        preamble=tuple(
            text[starts[i] : ends[i]].decode(errors="replace")[:200]
            for i in live[:first][:100]
        ),
        dropped=tuple(int(i) + 1 for i in bad),
        origin=origin,
    )


def _only_separators(
    text: bytes,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    counts: NDArray[np.int64],
    separator: str,
) -> NDArray[np.bool_]:
    """Mark lines such as ``;;;;`` that spreadsheets leave at the end."""
    empty = (ends - starts) == counts - 1
    for i in np.flatnonzero(empty & (counts > 1)):
        empty[i] = not text[starts[i] : ends[i]].strip(separator.encode())
    return np.asarray(empty & (counts > 1))


def _first_record(fits: NDArray[np.bool_], *, spaced: bool) -> int:
    """Return where the records begin: after a preamble of lines that do not fit."""
    if fits.all():
        return 0
    last_bad = int(np.flatnonzero(~fits)[-1])
    below = len(fits) - last_bad - 1
    if spaced and last_bad < max(60, len(fits) // 2) and below >= _FEWEST_RECORDS:
        return last_bad + 1
    bad_after = np.cumsum(~fits[::-1])[::-1]
    share = bad_after / np.arange(len(fits), 0, -1)
    clean = np.flatnonzero((share <= RAGGED_AT_MOST) & fits)
    near = min(100, len(fits) // 2)
    if len(clean) and clean[0] <= near:
        return int(clean[0])
    return int(np.flatnonzero(fits)[0])


def _first_number(
    text: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> int:
    """Return where the numbers of one column begin, below three or more text lines."""
    late = len(starts) // 2
    texts = [
        i
        for i in range(min(len(starts), _LOOK))
        if not is_number(text[starts[i] : ends[i]].decode(errors="replace").strip())
    ]
    above = [i for i in texts if i < max(60, late)]
    if len(above) < 3 or len(texts) > len(above) or above[-1] + 1 >= len(starts):
        return 0
    below = min(len(starts), _LOOK) - above[-1] - 1
    return above[-1] + 1 if below > 0.2 * len(starts) else 0


def _refuse_ragged(
    origin: str,
    bad: NDArray[np.int64],
    lines: int,
    counts: NDArray[np.int64],
    expected: int,
) -> None:
    if len(bad) > RAGGED_AT_MOST * lines and len(bad) > 1:
        line = int(bad[0])
        msg = (
            f"{origin} is ragged: line {line + 1} has {counts[line]} fields where "
            f"{expected} were expected, and {len(bad)} of {lines} lines do not fit."
        )
        raise TableUnreadableError(msg)


def _header_above(
    text: bytes,
    lines: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    above: NDArray[np.int64],
    form: tuple[str, bool, bool],
    expected: int,
) -> NDArray[np.int64]:
    """Find a header among the last preamble lines of a spaced table (a rule between)."""
    starts, ends, counts = lines
    if not form[1] and expected > 1:
        return above[:0]
    for i in above[::-1][:3]:
        cells = text[starts[i] : ends[i]].decode(errors="replace").split("\t")
        if not cells[0].strip("-_=* "):
            continue
        if counts[i] == expected and not any(is_number(cell) for cell in cells):
            return np.asarray([i])
    return above[:0]


def _short_header(
    text: bytes,
    lines: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    above: NDArray[np.int64],
    form: tuple[str, bool, bool],
    expected: int,
) -> bytes:
    """Return a header that names fewer columns than the records have, filled up.

    Only if it is the one line above the records, holds no number and names at least
    half of the columns; columns without a name follow at the end.
    """
    starts, ends, counts = lines
    separator, spaced, _ = form
    if spaced or len(above) != 1 or not expected / 2 <= counts[above[0]] < expected:
        return b""
    line = text[starts[above[0]] : ends[above[0]]]
    cells = line.decode(errors="replace").split(separator)
    if any(is_number(cell.strip()) or not cell.strip() for cell in cells):
        return b""
    return line + separator.encode() * (expected - len(cells)) + b"\n"


def _joined(
    text: bytes,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kept: NDArray[np.int64],
) -> bytes:
    if len(kept) and kept[-1] - kept[0] + 1 == len(kept):
        return text[starts[kept[0]] : ends[kept[-1]] + 1]
    cuts = np.flatnonzero(np.diff(kept) > 1) + 1
    runs = np.split(kept, cuts)
    return b"".join(
        text[starts[run[0]] : ends[run[-1]] + 1] for run in runs if len(run)
    )
