"""Texts that say the same in nearly the same words: MinHash, then word by word."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.5
HALF = 0.4
MOST_DIFFERENT = 3
HASHES = 64
BANDS = 16
SHINGLE = 3
SPELLED_ALIKE = 0.8
MOST_IN_BUCKET = 24
MIN_WORDS = 6
_PRIME = np.uint64(4_294_967_311)
_WORD = re.compile(r"\w+")
_SMALL = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "and",
        "or",
        "is",
        "are",
        "be",
        "was",
        "were",
        "if",
        "when",
        "which",
        "what",
        "that",
        "this",
        "it",
        "its",
        "by",
        "with",
        "from",
        "as",
        "do",
        "does",
        "please",
        "can",
        "could",
        "would",
        "you",
        "i",
        "we",
        "there",
        "has",
        "have",
    ]
)


def normal(text: str) -> str:
    """Return a text without case, punctuation and spaces that carry no sense."""
    return " ".join(words(text))


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def near_pairs(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of places of texts that differ only in spelling and small words.

    Candidates share a band of MinHash signatures of three-word shingles (Broder 1997).
    They are claimed only if half of their shingles agree or the same words stand in
    another order, the same numbers stand in both, and each other word that only one of
    them has is a small word or spelled much like one of the other: sets of questions are
    often made from templates, and one word is then all the difference.

    Args:
        texts: Different texts, normalised by ``normal``.
    """
    cut = {i: _Cut.of(text) for i, text in enumerate(texts)}
    long = [i for i, found in cut.items() if len(found.words) >= MIN_WORDS]
    if len(long) < 2:
        return []
    signatures = np.array([_signature(cut[i].shingles) for i in long])
    close = _candidates(signatures)
    pairs = ((long[a], long[b]) for a, b in close)
    return sorted(pair for pair in pairs if _same(cut[pair[0]], cut[pair[1]]))


@dataclass(frozen=True)
class _Cut:
    """A text cut into words and shingles."""

    words: tuple[str, ...]
    shingles: frozenset[int]

    @staticmethod
    def of(text: str) -> _Cut:
        found = text.split()
        size = min(SHINGLE, max(1, len(found)))
        starts = range(len(found) - size + 1)
        made = (zlib.crc32(" ".join(found[i : i + size]).encode()) for i in starts)
        return _Cut(tuple(sorted(found)), frozenset(made) or frozenset((0,)))


def _candidates(signatures: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Return pairs of rows that share a band and half of their signature."""
    rows = HASHES // BANDS
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        part = np.ascontiguousarray(signatures[:, band * rows : (band + 1) * rows])
        for place, values in enumerate(part):
            buckets[values.tobytes()].append(place)
        for found in buckets.values():
            head = found[:MOST_IN_BUCKET]
            pairs |= {(a, b) for i, a in enumerate(head) for b in head[i + 1 :]}
    if not pairs:
        return []
    every = np.array(sorted(pairs))
    kept = [
        block[(signatures[block[:, 0]] == signatures[block[:, 1]]).mean(axis=1) >= HALF]
        for block in np.array_split(every, max(1, len(every) // 100_000))
    ]
    return [(int(a), int(b)) for block in kept for a, b in block]


def _signature(shingles: frozenset[int]) -> NDArray[np.uint64]:
    hashes = np.fromiter(shingles, dtype=np.uint64)
    mixed = (hashes[:, None] * _FACTORS + _SHIFTS) % _PRIME
    return np.asarray(mixed.min(axis=0), dtype=np.uint64)


def _same(one: _Cut, other: _Cut) -> bool:
    both = len(one.shingles & other.shingles)
    if both < ALIKE * len(one.shingles | other.shingles) and one.words != other.words:
        return False
    held, there = Counter(one.words), Counter(other.words)
    extra, absent = set(held - there), set(there - held)
    if max(len(extra), len(absent)) > MOST_DIFFERENT:
        return False
    if any(any(c.isdigit() for c in word) for word in extra | absent):
        return False
    pairs = ((extra, absent), (absent, extra))
    return all(
        any(_spelled_alike(word, v) for v in there)
        for mine, there in pairs
        for word in mine - _SMALL
    )


def _spelled_alike(one: str, other: str) -> bool:
    """Tell a slip of the pen from another word; a prefix (un-, ab-) makes another."""
    if one.endswith(other) or other.endswith(one):
        return False
    return SequenceMatcher(None, one, other).ratio() >= SPELLED_ALIKE


def _constants(seed: int) -> NDArray[np.uint64]:
    made = np.random.default_rng(seed).integers(1, 2**31 - 1, HASHES)
    return np.asarray(made, dtype=np.uint64)


_FACTORS = _constants(1)
_SHIFTS = _constants(2)
