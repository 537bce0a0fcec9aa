"""Q01, Q02, Q05, Q10, Q11: texts that can be read and say something."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

import numpy as np

from tundish.data.grade.tally import Tally
from tundish.data.grade.texts.corpus import Corpus, examples, places, quoted
from tundish.data.texts.items import Item
from tundish.data.texts.near import words

FAR = 6.0
TIMES_LONGER = 10
RARE = 0.05
REPEATED = 0.3
MIN_REPEATING = 30
RUN = 12
LETTERS = 0.4
MIN_LETTERS = 20
_MAD = 1.4826
_MOJIBAKE = re.compile(
    r"\u00c3[\u0080-\u00bf]|\u00c2[\u0080-\u00bf]|\u00e2\u20ac[\u2122\u0153\u009d\u201c"
    r"\u201d\u00a6]|\u00ef\u00bb\u00bf|\u00e2\u0080[\u0090-\u00a6]"
)
_TAG = re.compile(
    r"</?(p|br|div|span|a|b|i|li|ul|ol|td|tr|table|font|h[1-6]|img|script|style)\b[^<>]*>"
    r"|&(nbsp|amp|lt|gt|quot|#\d{2,5});",
    re.IGNORECASE,
)
_SAME_RUN = re.compile(rf"([^\s\d.\-_=*#])\1{{{RUN},}}")


def readable(corpus: Corpus) -> Tally:
    """Count records that can be read."""
    remarks = corpus.remarks("Q01", "records")
    total = sum(file.lines for file in corpus.files)
    broken = sum(len(file.broken) for file in corpus.files)
    for file in corpus.files:
        if file.broken:
            remarks.add(
                "unreadable",
                f"{len(file.broken):,} records of {file.name} are no sound JSON objects "
                f"or have another number of fields (the first is line {file.broken[0]}).",
                "Write one whole object per line; look for quotes and line breaks in texts.",
                names=[f"{file.name} line {i}" for i in file.broken[:1000]],
                bad=len(file.broken),
                of=total,
            )
    return remarks.tally(broken, total)


def filled(corpus: Corpus) -> Tally:
    """Count texts and answers that are there."""
    remarks = corpus.remarks("Q02")
    empty = [item for item in corpus.items if not item.text.strip()]
    mute = [
        item
        for item in corpus.items
        if item.answer is not None and not item.answer.strip() and item.text.strip()
    ]
    for some, what in ((empty, "text"), (mute, "answer")):
        if some:
            remarks.add(
                "empty-text",
                f"{len(some):,} records have no {what}: {examples(some)}.",
                "Fill them in, or drop the records.",
                names=places(some),
                of=len(corpus.items),
            )
    return remarks.tally(len(empty) + len(mute), len(corpus.items))


def pure(corpus: Corpus) -> Tally:
    """Count texts free of wrong encodings, tags, control characters and mere signs."""
    remarks = corpus.remarks("Q10")
    bad: set[int] = set()
    for why, mend, is_bad in _IMPURE:
        some = [item for item in corpus.items if is_bad(_whole(item))]
        if not some:
            continue
        bad |= {id(item) for item in some}
        remarks.add(
            "garbled",
            f"{len(some):,} texts hold {why}: {examples(some)}, {quoted(some[0].text)}.",
            mend,
            names=places(some),
            of=len(corpus.items),
        )
    return remarks.tally(len(bad), len(corpus.items))


def _whole(item: Item) -> str:
    return "\n".join([item.text, item.answer or "", *item.options])


def _control(text: str) -> bool:
    return any(
        unicodedata.category(c) == "Cc" and c not in "\n\r\t"
        for c in text
        if c < "\xa0"
    )


def _signs(text: str) -> bool:
    dense = [c for c in text if not c.isspace()]
    letters = sum(c.isalnum() for c in dense)
    return len(dense) >= MIN_LETTERS and letters < LETTERS * len(dense)


_IMPURE: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    (
        "letters of a wrong encoding",
        "Read the source as UTF-8 (or as what it is) and export it again.",
        lambda text: "\ufffd" in text or bool(_MOJIBAKE.search(text)),
    ),
    (
        "markup of web pages",
        "Strip tags and entities before the texts are stored.",
        lambda text: bool(_TAG.search(text)),
    ),
    (
        "control characters",
        "Remove all characters below the space, but for tabs and line ends.",
        _control,
    ),
    (
        "hardly a letter or a digit",
        "Drop them, or look for the column that was meant.",
        _signs,
    ),
)


def repeating(corpus: Corpus) -> Tally:
    """Count texts that say one phrase over and over (TC609 0208 text-03)."""
    remarks = corpus.remarks("Q11")
    some = [item for item in corpus.items if _repeats(_long(item))]
    if some:
        remarks.add(
            "repetition",
            f"{len(some):,} texts repeat themselves: {examples(some)}, "
            f"{quoted(_long(some[0]))}.",
            "Cut the repetition; if a machine wrote them, drop them.",
            names=places(some),
            of=len(corpus.items),
        )
    return remarks.tally(len(some), len(corpus.items))


def _long(item: Item) -> str:
    return max((item.text, item.answer or ""), key=len)


def _repeats(text: str) -> bool:
    if _SAME_RUN.search(text):
        return True
    found = words(text)
    if len(found) < MIN_REPEATING:
        return False
    threes = Counter(zip(found, found[1:], found[2:], strict=False))
    again = sum(n for n in threes.values() if n > 2)
    return again > REPEATED * (len(found) - 2)


def usual(corpus: Corpus) -> Tally:
    """Count texts of usual length and script; the few that differ are named."""
    remarks = corpus.remarks("Q05")
    bad: set[int] = set()
    for file in corpus.files:
        items = [item for item in file.items if item.text.strip()]
        long = _long_ones(items)
        if long:
            sizes = [len(item.text) for item in items]
            remarks.add(
                "odd-length",
                f"{len(long):,} texts of {file.name} are more than {TIMES_LONGER} times "
                f"longer than usual ({max(len(i.text) for i in long):,} characters, "
                f"usually {np.median(sizes):.0f}): {examples(long)}.",
                "Look whether a whole page was pasted; cut it or store it apart.",
                names=places(long),
                of=len(corpus.items),
            )
        odd, script, usual_script = _odd_script(items)
        if odd:
            remarks.add(
                "odd-script",
                f"{len(odd):,} texts of {file.name} are written in {script} letters, the "
                f"others in {usual_script}: {examples(odd)}, {quoted(odd[0].text)}.",
                "Translate them, or say in the card that the set has two languages.",
                names=places(odd),
                of=len(corpus.items),
            )
        bad |= {id(item) for item in (*long, *odd)}
    return remarks.tally(len(bad), len(corpus.items))


def _long_ones(items: list[Item]) -> list[Item]:
    if len(items) < MIN_REPEATING:
        return []
    logs = np.log([len(item.text) for item in items])
    middle = float(np.median(logs))
    spread = max(0.05, _MAD * float(np.median(np.abs(logs - middle))))
    far = (logs - middle > FAR * spread) & (logs - middle > np.log(TIMES_LONGER))
    return [item for item, is_far in zip(items, far, strict=True) if is_far]


def _odd_script(items: list[Item]) -> tuple[list[Item], str, str]:
    scripts = [_script(item.text) for item in items]
    counts = Counter(s for s in scripts if s)
    if len(counts) < 2 or len(items) < MIN_REPEATING:
        return [], "", ""
    (most, _), (other, count) = counts.most_common(2)
    if count > RARE * len(items):
        return [], "", ""
    odd = [i for i, s in zip(items, scripts, strict=True) if s and s != most]
    return odd, other, most


def _script(text: str) -> str:
    letters = [c for c in text if c.isalpha()]
    if len(letters) < 4:
        return ""
    names = Counter(unicodedata.name(c, "?").split(" ", 1)[0] for c in letters[:400])
    name, count = names.most_common(1)[0]
    return (
        {"CJK": "Chinese"}.get(name, name.title())
        if count > len(letters[:400]) / 2
        else ""
    )
