"""Quality columns of a historian: which values the source itself does not vouch for.

Codes of OPC DA (192 and above good, 64 to 127 uncertain, below 64 bad), of OPC UA (the
two highest of 32 bits: 0 good, 1 uncertain, 2 and 3 bad), flags of 0 and 1, and words in
English, German and Chinese are understood. A value that is not good becomes an empty
cell; the word is kept and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.cells import places_of
from tundish.data.table import Assumption, Table

Places = dict[str, NDArray[np.int64]]

_WORDS = (
    r"quality|qual|q|opc[ _]?quality|quality[ _]?code|data[ _]?quality|qds|qualität|"
    r"qualitaet|güte|guete|quality[ _]?status|is[ _]?good|质量|质量码|质量戳|数据质量|品质"
)
_STATES = r"status|state|status[ _]?code|io[ _]?status|zustand|validity|状态|状态码"
QUALITY_NAME = re.compile(rf"^({_WORDS})(_\d+)?$", re.IGNORECASE)
STATUS_NAME = re.compile(rf"^({_STATES})(_\d+)?$", re.IGNORECASE)
_PAIRED = re.compile(
    rf"^(?P<stem>.+?)[ ._\-:/|]+(?P<word>{_WORDS}|{_STATES})$", re.IGNORECASE
)
_VALUE_END = re.compile(
    r"^[ ._\-:/|]+(pv|av|cv|val|value|wert|messwert|值|数值)$", re.IGNORECASE
)
_GOOD = re.compile(
    r"^(good|ok|okay|gut|valid|gültig|gueltig|normal|true|g|好|良好|良|正常|有效|合格|可信)\b",
    re.IGNORECASE,
)
_BAD = re.compile(
    r"^(bad|schlecht|invalid|ungültig|ungueltig|not[ _]?good|fail|error|fault|false|"
    r"no[ _]?(data|good)|time[ -]?out|i/?o|comm|offline|disconnected|not[ _]?connected|"
    r"out[ _]?of[ _]?service|sensor|device|b\b|坏|差|无效|错误|故障|异常|失败|断线|离线|超时|通讯)",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"^(uncertain|unsicher|question|suspect|stale|subst|doubt|u\b|不确定|可疑|存疑|疑似|替代)",
    re.IGNORECASE,
)
_KNOWN_AT_LEAST = 0.95
MOSTLY = 0.5
_UA_BITS = 2.0**30
_DA_GOOD = 192
_DA_MOST = 255


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a quality column says.

    Attributes:
        bad: Rows whose value is not good, shape [n].
        words: Word or code of each row, shape [n].
        form: How the column was understood, for people.
    """

    bad: NDArray[np.bool_]
    words: pl.Series
    form: str


def read_quality(series: pl.Series, *, named: bool) -> Quality | None:
    """Understand a column as quality, or return nothing.

    Args:
        series: Words or codes. Untrusted.
        named: The column's name says quality (and not only status, which may be the
            state of a machine): then flags of 0 and 1 are understood too.
    """
    if series.dtype == pl.Float64:
        return _from_codes(series, named=named)
    if series.dtype != pl.String:
        return None
    numbers = series.str.strip_chars().cast(pl.Float64, strict=False)
    if numbers.count() == series.count() and series.count():
        return _from_codes(numbers, named=named)
    return _from_words(series)


def judged(table: Table) -> Table:
    """Return a wide table without its quality columns, values that are not good empty.

    A column is taken for the quality of another if its name is the other's with a word
    for quality or status at the end (``TIC101.PV`` and ``TIC101.Quality``, ``FT1`` and
    ``FT1 status``), or if it is called just so and stands right of a column of numbers,
    and its cells are known words or codes.
    """
    pairs = _pairs(table.frame)
    found: dict[str, tuple[str, Quality]] = {}
    for column, (owner, named) in pairs.items():
        quality = read_quality(table.frame[column], named=named)
        if quality is not None:
            found[column] = (owner, quality)
    if not found:
        return table
    flags = dict(table.flags)
    emptied: dict[str, pl.Series] = {}
    for owner, quality in found.values():
        values = emptied.get(owner, table.frame[owner])
        flags[owner] = flags_of(quality, values)
        emptied[owner] = values.set(pl.Series(quality.bad), None)
    first, (owner, quality) = next(iter(found.items()))
    count = sum(len(r) for owner, _ in found.values() for r in flags[owner].values())
    said = Assumption(
        what=f"{len(found)} columns such as {first} are the quality of the values beside "
        f"them ({quality.form}); {count:,} values that are not good were made empty",
        why=f"the names {first} and {owner} belong together, and the cells are such marks",
        otherwise="leave these columns out of the file to take every value as good",
    )
    frame = table.frame.drop(list(found)).with_columns(
        [values.alias(name) for name, values in emptied.items()]
    )
    return replace(
        table, frame=frame, flags=flags, assumptions=(*table.assumptions, said)
    )


def flags_of(quality: Quality, values: pl.Series) -> Places:
    """Return word -> rows of the values that were there and are not good."""
    there = quality.bad & values.is_not_null().to_numpy()
    rows = np.flatnonzero(there)
    words = quality.words.gather(rows) if len(rows) else quality.words.head(0)
    return places_of(words, rows)


def _pairs(frame: pl.DataFrame) -> Mapping[str, tuple[str, bool]]:
    """Return quality column -> (its value column, whether its name says quality)."""
    numbers = {s.name for s in frame.get_columns() if s.dtype == pl.Float64}
    lower = {name.lower(): name for name in numbers}
    found: dict[str, tuple[str, bool]] = {}
    names = frame.columns
    for i, name in enumerate(names):
        bare = QUALITY_NAME.match(name)
        if bare and i and names[i - 1] in numbers:
            found[name] = (names[i - 1], True)
            continue
        paired = _PAIRED.match(name)
        if not paired:
            continue
        stem = paired["stem"].lower()
        owner = lower.get(stem) or next(
            (n for low, n in lower.items() if _belongs(low, stem)), None
        )
        if owner is not None and owner != name:
            found[name] = (owner, bool(QUALITY_NAME.match(paired["word"])))
    owners = {owner for owner, _ in found.values()}
    return {name: pair for name, pair in found.items() if name not in owners}


def _belongs(value: str, stem: str) -> bool:
    return value.startswith(stem) and bool(_VALUE_END.match(value[len(stem) :]))


def _from_words(series: pl.Series) -> Quality | None:
    text = series.str.strip_chars().fill_null("")
    kinds = {
        word: _kind_of_word(word)
        for word in text.unique().to_list()
        if word is not None
    }
    known = text.is_in([word for word, kind in kinds.items() if kind])
    filled = text != ""
    if not filled.any() or float((known & filled).sum()) < _KNOWN_AT_LEAST * float(
        filled.sum()
    ):
        return None
    bad = text.is_in([w for w, kind in kinds.items() if kind in {"bad", "unsure"}])
    return Quality(bad=np.asarray(bad.to_numpy()), words=text, form="words")


def _kind_of_word(word: str) -> str:
    if not word:
        return ""
    for kind, pattern in (("bad", _BAD), ("unsure", _UNSURE), ("good", _GOOD)):
        if pattern.match(word):
            return kind
    return ""


def _from_codes(series: pl.Series, *, named: bool) -> Quality | None:
    codes = series.to_numpy()
    known = np.isfinite(codes)
    values = np.unique(codes[known])
    if not len(values) or (values != np.rint(values)).any() or values[0] < 0:
        return None
    form, bad = _coded(codes, values, named=named)
    if not form:
        return None
    words = pl.Series([f"quality {v:.0f}" if v == v else "" for v in codes])
    return Quality(bad=bad & known, words=words, form=form)


def _coded(
    codes: NDArray[np.float64], values: NDArray[np.float64], *, named: bool
) -> tuple[str, NDArray[np.bool_]]:
    """Return the form of a column of codes (empty if unknown) and the rows not good."""
    most = values[-1]
    if most >= _UA_BITS:
        return "OPC UA status codes, 0 is good", np.asarray(codes >= _UA_BITS)
    if _DA_GOOD <= most <= _DA_MOST:
        return "OPC DA codes, 192 and above are good", np.asarray(codes < _DA_GOOD)
    none = np.zeros(len(codes), dtype=bool)
    if len(values) == 1 and named and most <= _DA_MOST:
        return f"always {most:.0f}, taken as good", none
    if most > 1 or not named:  # other numbers are a rating or a class, and no flag
        return "", none
    usual = 1.0 if most == 1 and (codes == 1).mean() > MOSTLY else 0.0
    if (codes == usual).mean() <= MOSTLY:
        return "", none
    return f"codes, {usual:.0f} is taken as good", np.asarray(codes != usual)
