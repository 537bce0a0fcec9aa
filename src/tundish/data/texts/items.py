"""Read files of texts or questions into items, by the names and forms of their fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import polars as pl

from tundish.data.errors import TableTooLargeError, TableUnreadableError
from tundish.data.table import Assumption, Table
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import DocumentMalformedError

MAX_BYTES = 1024**3
MAX_LINE = 16 * 1024**2
MAX_ITEMS = 5_000_000
SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".txt", ".md"})
_LOOK = 500
_FEW = 0.1
_LABELS_MOST = 60
_WORDS = 4
_MOSTLY = 0.8
_SOME = 0.2
_HALF = 0.5
_QUESTION = (
    "question", "query", "prompt", "instruction", "text", "utterance", "sentence",
    "input", "content", "body", "document", "message", "description", "remark",
    "comment", "note", "tokens", "token", "term", "word",
)  # fmt: skip
_OPTIONS = ("options", "choices", "candidates", "answers", "endings", "mc_targets")
_RIGHT = (
    "correct", "answer", "correct_answer", "answer_idx", "answer_index", "answer_key",
    "answerkey", "gold", "solution", "label", "target",
)  # fmt: skip
_RESPONSE = (
    "response", "output", "completion", "answer", "reply", "solution", "reference",
    "expected", "characteristic_form", "summary",
)  # fmt: skip
_LABEL = ("label", "class", "category", "intent", "ne", "tag", "type", "subject")
_TERMS = {"token", "tokens", "term", "word"}
_LETTER = re.compile(r"^\(?([A-Za-z])[).:]?$")
_LETTERED = re.compile(
    r"^(?:option|choice|opt|answer)?[_ ]?([a-h]|[1-8])$", re.IGNORECASE
)

Record = Mapping[str, Json]
Fits = Callable[[str], bool]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One text, or one question with its answer.

    Attributes:
        file: Name of the file.
        place: Line or record, counted from 1.
        text: The text or question; empty if there is none.
        options: What may be chosen; empty if it is no such question.
        right: Places of the right options, from 0; ``None`` if nothing says which.
        stray: The stated answer, if it is none of the options.
        answer: The answer or response in words; ``None`` if the set has none.
        label: Its class; ``None`` if the set has none.
        number: Its own number, if its record has one.
    """

    file: str
    place: int
    text: str
    options: tuple[str, ...] = ()
    right: tuple[int, ...] | None = None
    stray: str = ""
    answer: str | None = None
    label: str | None = None
    number: str = ""

    @property
    def where(self) -> str:
        """File and record, for people."""
        return f"{self.file} record {self.place}"


@dataclass(frozen=True, kw_only=True)
class Fields:
    """Which field of the records is what; empty names mean that there is none."""

    text: str = ""
    parts: tuple[str, ...] = ()
    options: str = ""
    lettered: tuple[str, ...] = ()
    right: str = ""
    answer: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A file of texts.

    Attributes:
        name: The file's name.
        items: Its items.
        lines: Records found, those that cannot be read included.
        broken: Records that cannot be read.
        fields: What was taken for what.
        assumptions: The same in words.
    """

    name: str
    items: tuple[Item, ...]
    lines: int
    broken: tuple[int, ...] = ()
    fields: Fields = field(default_factory=Fields)
    assumptions: tuple[Assumption, ...] = ()


def read_texts(path: Path, name: str | None = None) -> TextFile:
    """Read a JSON, JSON-lines or plain text file as texts.

    Args:
        path: The file. Untrusted: any bytes.
        name: What to call it; its own name if absent.

    Raises:
        TableTooLargeError: if it is above the limits of this module.
        TableUnreadableError: if no record of it has a text.
    """
    shown = name or path.name
    if path.stat().st_size > MAX_BYTES:
        msg = f"{shown} is larger than {MAX_BYTES // 1024**2} MiB."
        raise TableTooLargeError(msg)
    records, broken, lines = _records(path.read_bytes(), path.suffix.lower())
    if not records:
        msg = f"{shown} has no record with a text in it."
        raise TableUnreadableError(msg)
    return of_records(records, shown, broken=broken, lines=lines)


def of_table(table: Table) -> TextFile:
    """Take the rows of a table as texts; raises as ``read_texts``."""
    frame = table.frame
    texts = [s.name for s in frame.get_columns() if s.dtype == pl.String]
    rows = frame.select(pl.all().cast(pl.String)).iter_rows(named=True)
    records: list[tuple[int, Record]] = [
        (
            i,
            {k: v for k, v in row.items() if v is not None}
            | {t: row[t] or "" for t in texts},
        )
        for i, row in enumerate(rows, start=1)
    ]
    return of_records(
        records, table.name, broken=table.dropped, lines=max(table.lines, frame.height)
    )


def of_records(
    records: Sequence[tuple[int, Record]],
    name: str,
    *,
    broken: Sequence[int] = (),
    lines: int = 0,
) -> TextFile:
    """Make items of records; raises ``TableUnreadableError`` if none has a text."""
    step = max(1, len(records) // _LOOK)
    fields = find_fields([record for _, record in records[::step]])
    if not fields.text and not fields.parts:
        msg = f"no field of the records of {name} holds a text."
        raise TableUnreadableError(msg)
    items = tuple(_item(name, place, record, fields) for place, record in records)
    return TextFile(
        name=name,
        items=items,
        lines=max(lines, len(records)),
        broken=tuple(broken),
        fields=fields,
        assumptions=(_said(name, fields),),
    )


def find_fields(records: Sequence[Record]) -> Fields:
    """Say which field of some records is the text, the options, the answer, the class."""
    every = list(dict.fromkeys(key for record in records for key in record))
    low = {key: key.lower().strip() for key in every}
    options = _first(every, low, _OPTIONS, lambda key: _is_options(records, key))
    lettered = () if options else _letters(every, low, records)
    text = _first(every, low, _QUESTION, lambda key: _is_text(records, key))
    if not text:
        wordy = [(key, _wordiness(records, key)) for key in every]
        best = max(wordy, key=lambda pair: pair[1], default=("", 0.0))
        text = best[0] if best[1] >= _WORDS else ""
    parts = _parts(every, records, text, {options})
    asked = bool(options or lettered)
    taken = {text, options, *parts}
    right = answer = ""
    if asked:
        right = _first(every, low, _RIGHT, lambda key: key not in taken | {options})
    else:
        answer = _first(
            every, low, _RESPONSE,
            lambda key: key not in taken and _wordiness(records, key) >= 1,
        )  # fmt: skip
    taken |= {right, answer}
    label = _first(
        every, low, _LABEL, lambda key: key not in taken and _few(records, key)
    )
    return Fields(
        text="" if parts else text,
        parts=parts,
        options=options,
        lettered=lettered,
        right=right,
        answer=answer,
        label=label,
    )


def is_wordy(records: Sequence[Record]) -> bool:
    """Tell whether records are texts and not rows of numbers or codes."""
    fields = find_fields(records)
    if fields.options or fields.lettered or fields.text.lower() in _TERMS:
        return bool(fields.text or fields.parts)
    if not fields.text or not records:
        return False
    numbers = {
        key
        for record in records
        for key, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if len(numbers) > 3:
        return False
    filled = [_text(record.get(fields.text)) for record in records]
    return (
        _wordiness(records, fields.text) >= _WORDS
        and len(set(filled)) >= len(filled) / 2
    )


def head(path: Path) -> list[Record]:
    """Return the first records of a JSON or JSON-lines file; none if it is none."""
    if path.suffix.lower() not in {".jsonl", ".ndjson", ".json"}:
        return []
    if path.suffix.lower() == ".json" and path.stat().st_size > MAX_BYTES // 8:
        return []
    records, _, _ = _records(_start(path), path.suffix.lower(), most=_LOOK)
    return [record for _, record in records]


def _start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return (
            stream.read() if path.suffix.lower() == ".json" else stream.read(MAX_LINE)
        )


def _records(
    data: bytes, suffix: str, most: int = MAX_ITEMS
) -> tuple[list[tuple[int, Record]], list[int], int]:
    """Return (place, record) of each record, places that cannot be read, their number."""
    if suffix in {".txt", ".md"}:
        lines = data.decode("utf-8", "replace").splitlines()
        found: list[tuple[int, Record]] = [
            (i, {"text": line})
            for i, line in enumerate(lines[:most], 1)
            if line.strip()
        ]
        return found, [], len(found)
    if suffix == ".json":
        try:
            whole = canonical.loads(data, max_bytes=MAX_BYTES)
        except DocumentMalformedError:
            return _by_line(data, most)
        return _of_whole(whole, most)
    return _by_line(data, most)


def _of_whole(
    whole: Json, most: int
) -> tuple[list[tuple[int, Record]], list[int], int]:
    if isinstance(whole, dict):
        if "@context" in whole:  # a card, not data
            return [], [], 0
        lists = [v for v in whole.values() if isinstance(v, list)]
        whole = max(lists, key=len, default=[])
    values = whole if isinstance(whole, list) else []
    records = [(i, v) for i, v in enumerate(values[:most], 1) if isinstance(v, dict)]
    broken = [i for i, v in enumerate(values[:most], 1) if not isinstance(v, dict)]
    return list(records), broken, len(values)


def _by_line(data: bytes, most: int) -> tuple[list[tuple[int, Record]], list[int], int]:
    records: list[tuple[int, Record]] = []
    broken: list[int] = []
    count = 0
    for i, line in enumerate(_lines(data), 1):
        if not line.strip():
            continue
        if count >= most:
            break
        count += 1
        try:
            value = canonical.loads(line, max_bytes=MAX_LINE)
        except DocumentMalformedError:
            broken.append(i)
            continue
        if isinstance(value, dict):
            records.append((i, value))
        else:
            broken.append(i)
    return records, broken, count


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        yield data[start:end].removeprefix(b"\xef\xbb\xbf")
        start = end + 1


def _first(
    every: Sequence[str],
    low: Mapping[str, str],
    wanted: Iterable[str],
    fits: Fits,
) -> str:
    for name in wanted:
        for key in every:
            if low[key] == name and fits(key):
                return key
    return ""


def _is_options(records: Sequence[Record], key: str) -> bool:
    found = [_options(record.get(key)) for record in records]
    return sum(len(one) > 1 for one in found) >= _MOSTLY * len(records)


def _options(value: Json) -> tuple[str, ...]:
    if isinstance(value, dict):
        inner = value.get("text")
        if isinstance(inner, list):
            return _options(inner)
        if value and all(v in (0, 1, True, False) for v in value.values()):
            return tuple(sorted(value))  # an object has no order
        return tuple(_text(v) for v in value.values())
    if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value):
        return tuple(_text(v) for v in value)
    return ()


def _letters(
    every: Sequence[str], low: Mapping[str, str], records: Sequence[Record]
) -> tuple[str, ...]:
    """Return columns A, B, C, D (or option_1, option_2 ...) that hold texts."""
    found = [key for key in every if _LETTERED.match(low[key])]
    found = [key for key in found if any(isinstance(r.get(key), str) for r in records)]
    ends = [low[key][-1] for key in found]
    runs = ("abcdefgh"[: len(found)], "12345678"[: len(found)])
    return tuple(found) if len(found) > 2 and "".join(ends) in runs else ()


def _is_text(records: Sequence[Record], key: str) -> bool:
    texts = [r[key] for r in records if isinstance(r.get(key), str)]
    return len(texts) >= _MOSTLY * len(records)


def _wordiness(records: Sequence[Record], key: str) -> float:
    """Return the usual number of words of a field; 0 if it is no text."""
    if not _is_text(records, key):
        return 0.0
    return float(median(len(_text(r.get(key)).split()) for r in records))


def _few(records: Sequence[Record], key: str) -> bool:
    filled = [text for r in records if (text := _text(r.get(key)).strip())]
    values = set(filled)
    if len(filled) < _HALF * len(records):
        return False
    return 2 <= len(values) <= min(_LABELS_MOST, max(2, len(records) // 3))


def _parts(
    every: Sequence[str], records: Sequence[Record], text: str, taken: set[str]
) -> tuple[str, ...]:
    """Return all texts of a record, if the one named says the same in most records."""
    if not text or len(records) < 20:
        return ()
    if len({_text(r.get(text)) for r in records}) >= _FEW * len(records):
        return ()
    found = [
        key
        for key in every
        if key not in taken
        and sum(bool(_text(r.get(key))) for r in records) >= _SOME * len(records)
        and all(isinstance(r.get(key, ""), str | list) for r in records)
        and len({_text(r.get(key)) for r in records}) > 1
    ]
    return tuple(found) if len(found) > 1 else ()


def _item(name: str, place: int, record: Record, fields: Fields) -> Item:
    keys = fields.parts or (fields.text,)
    text = " | ".join(filter(None, (_text(record.get(key)) for key in keys)))
    options = _options(record.get(fields.options)) if fields.options else ()
    if fields.lettered:
        options = tuple(_text(record.get(key)) for key in fields.lettered)
        options = tuple(option for option in options if option)
    right, stray = _right(record, fields, options)
    label = _text(record.get(fields.label)) if fields.label else None
    return Item(
        file=name,
        place=place,
        text=text,
        options=options,
        right=right,
        stray=stray,
        answer=_text(record.get(fields.answer)) if fields.answer else None,
        label=label,
        number=_text(record.get("id")),
    )


def _right(
    record: Record, fields: Fields, options: Sequence[str]
) -> tuple[tuple[int, ...] | None, str]:
    """Return places of the right options, or the answer that is none of them."""
    held = record.get(fields.options) if fields.options else None
    if isinstance(held, dict) and all(v in (0, 1, True, False) for v in held.values()):
        return tuple(i for i, key in enumerate(sorted(held)) if held[key]), ""
    if not fields.right or not options:
        return None, ""
    value = record.get(fields.right)
    if (
        isinstance(value, list)
        and len(value) == len(options)
        and all(isinstance(v, bool) or v in (0, 1) for v in value)
    ):
        return tuple(i for i, v in enumerate(value) if v), ""
    values = value if isinstance(value, list) else [value]
    places = [_place(one, options) for one in values]
    if not values or any(place is None for place in places):
        return (), _text(value)
    return tuple(place for place in places if place is not None), ""


def _place(value: Json, options: Sequence[str]) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return int(value) if 0 <= value < len(options) else None
    text = _text(value).strip()
    for i, option in enumerate(options):
        if option.strip().casefold() == text.casefold():
            return i
    letter = _LETTER.match(text)
    if letter:
        place = ord(letter.group(1).lower()) - ord("a")
        return place if place < len(options) else None
    if text.isdecimal():
        return int(text) if int(text) < len(options) else None
    return None


def _text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return " ".join(_text(one) for one in value)
    return str(value) if not isinstance(value, dict) else ""


def _said(name: str, fields: Fields) -> Assumption:
    told = [f"{' + '.join(fields.parts) or fields.text} is the text"]
    if fields.options or fields.lettered:
        told.append(f"{fields.options or ', '.join(fields.lettered)} are the options")
    told += [
        f"{key} is the {what}"
        for key, what in (
            (fields.right, "right one"),
            (fields.answer, "answer"),
            (fields.label, "class"),
        )
        if key
    ]
    return Assumption(
        what=f"in {name} {', '.join(told)}",
        why="their names and what stands in them say so",
        otherwise="name the fields question, options, correct, answer and label",
    )
