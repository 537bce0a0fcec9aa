"""Q03, Q04, Q15, Q17: questions whose answer is there, can be right and is not told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log, sqrt

from tundish.data.grade.report import percent
from tundish.data.grade.tally import Remarks, Tally
from tundish.data.grade.texts.corpus import (
    Corpus,
    examples,
    identity,
    part_of,
    places,
    quoted,
)
from tundish.data.texts.items import Item
from tundish.data.texts.near import normal

SURE = 6.0
TIMES = 1.5
ALWAYS = 0.9
MIN_ITEMS = 40
TOLD_TIMES = 3.0
TOLD_LEAST = 0.02
SHORT = 4
RARE_RATIO = 20


def answered(corpus: Corpus) -> Tally:
    """Count questions and classified texts that have their answer or class."""
    remarks = corpus.remarks("Q03")
    asked = [i for i in corpus.questions if i.right is not None or i.stray]
    bare = [item for item in asked if not item.right and not item.stray]
    labelled = [item for item in corpus.items if item.label is not None]
    empty = [item for item in labelled if not (item.label or "").strip()]
    for some, every, what in (
        (bare, asked, "right answer"),
        (empty, labelled, "class"),
    ):
        if some:
            remarks.add(
                "unlabelled",
                f"{len(some):,} of {len(every):,} texts have no {what}: {examples(some)}.",
                "Have them labelled, or keep them apart as texts without labels.",
                names=places(some),
                of=len(every),
            )
    of = len(asked) + len(labelled)
    return remarks.tally(
        len(bare) + len(empty),
        of,
        "" if of else "no answers and no classes",
        scope="labels",
    )


def answerable(corpus: Corpus) -> Tally:
    """Count questions whose options differ and hold the stated answer."""
    remarks = corpus.remarks("Q04", "questions")
    asked = corpus.questions
    if not asked:
        return remarks.tally(0, 0, "no questions with options")
    stray = [item for item in asked if item.stray]
    twice = [
        i for i in asked if len({normal(o) or o for o in i.options}) < len(i.options)
    ]
    if stray:
        remarks.add(
            "answer-missing",
            f"in {len(stray):,} questions the stated answer is none of the options: "
            f"{examples(stray)}, {quoted(stray[0].stray)}.",
            "Correct the answer or the options; nobody can score these questions.",
            names=places(stray),
            of=len(asked),
        )
    if twice:
        again = Counter(normal(o) or o for o in twice[0].options).most_common(1)[0][0]
        remarks.add(
            "option-copied",
            f"in {len(twice):,} questions an option stands twice: {examples(twice)}, "
            f"{quoted(again)}.",
            "Write another wrong option in place of the second one.",
            names=places(twice),
            of=len(asked),
        )
    torn = _contradictions(corpus, remarks, len(asked))
    bad = {id(i) for i in (*stray, *twice, *torn)}
    return remarks.tally(len(bad), len(asked))


def _contradictions(corpus: Corpus, remarks: Remarks, of: int) -> list[Item]:
    """Find questions with the same words and options, and another right answer."""
    torn: list[Item] = []
    groups = 0
    for items in corpus.same.values():
        asked = [i for i in items if len(i.options) > 1 and i.right]
        answers = {
            tuple(sorted(normal(i.options[k]) for k in i.right or ())) for i in asked
        }
        if len(answers) > 1:
            groups += 1
            torn += asked
    if torn:
        remarks.add(
            "label-conflict",
            f"{groups:,} questions stand there more than once, with the same options and "
            f"different right answers: {examples(torn)}, {quoted(torn[0].text)}.",
            "Ask someone who knows which answer is true, and remove the others.",
            names=places(torn),
            of=of,
        )
    return torn


def balanced(corpus: Corpus) -> Tally:
    """Return how evenly the classes are filled: normalised entropy, 0 to 1."""
    remarks = corpus.remarks("Q15")
    counts = Counter(
        i.label.strip() for i in corpus.items if (i.label or "").strip() and i.label
    )
    if len(counts) < 2:
        return remarks.tally(0, 0, "no classes")
    total = sum(counts.values())
    value = -sum(n / total * log(n / total) for n in counts.values()) / log(len(counts))
    (most, high), (least, low) = counts.most_common(1)[0], counts.most_common()[-1]
    if high >= RARE_RATIO * low:
        remarks.add(
            "imbalance",
            f"there are {high:,} texts of class {most} and {low:,} of {least}.",
            "Collect more of the rare classes, or judge by the errors of each class.",
            bad=sum(n for n in counts.values() if n * RARE_RATIO <= high),
            of=total,
            tag=least,
        )
    detail = ", ".join(f"{kind} {n:,}" for kind, n in counts.most_common(8))
    return remarks.tally(
        total - min(total, low * len(counts)), total, detail, value=value
    )


def leaks(corpus: Corpus) -> tuple[Tally, str]:
    """Look for answers that are told and for questions that stand in two parts.

    Returns:
        The indicator, and one sentence for the gate (empty if it holds).
    """
    remarks = corpus.remarks("Q17", "questions")
    total = max(1, len(corpus.items))
    bad = len(_shared(corpus, remarks))
    for file in corpus.files:
        asked = [i for i in file.items if len(i.options) > 1 and i.right]
        if len(asked) < MIN_ITEMS:
            continue
        bad += _place(asked, file.name, remarks)
        bad += _told(asked, file.name, remarks)
        _length(asked, file.name, remarks)
    parts = {part_of(file.name) for file in corpus.files} - {""}
    certain = [f.what for f in remarks.found if f.kind == "leak"]
    if not corpus.questions and len(parts) < 2:
        detail = "no parts (train, test) in the names of the files, and no options"
        return remarks.tally(0, 0, detail), " Also: ".join(certain)
    detail = (
        "" if len(parts) > 1 else "no parts (train, test) in the names of the files"
    )
    return remarks.tally(min(bad, total), total, detail), " Also: ".join(certain)


def _shared(corpus: Corpus, remarks: Remarks) -> list[Item]:
    shared = [
        items
        for items in corpus.same.values()
        if len({part_of(i.file) for i in items} - {""}) > 1
    ]
    some = [item for items in shared for item in items]
    if shared:
        remarks.add(
            "leak",
            f"{len(shared):,} texts stand in two parts of the split: "
            f"{' and '.join(places(shared[0])[:2])}, {quoted(shared[0][0].text)}.",
            "Remove them from the fitted part, with all other wordings of the same fact.",
            names=places(some),
            of=len(corpus.items),
        )
    return some


def _place(asked: Sequence[Item], file: str, remarks: Remarks) -> int:
    """Say if the right answer mostly stands at one place among the options."""
    single = [i for i in asked if i.right and len(i.right) == 1]
    if len(single) < MIN_ITEMS:
        return 0
    at = Counter(i.right[0] for i in single if i.right)
    place, count = at.most_common(1)[0]
    expected = sum(1 / len(i.options) for i in single)
    spread = sqrt(sum((1 - 1 / len(i.options)) / len(i.options) for i in single))
    if count < TIMES * expected or count - expected < SURE * spread:
        return 0
    always = count >= ALWAYS * len(single)
    remarks.add(
        "leak" if always else "answer-place",
        f"in {file} the right answer is option {place + 1} in {count:,} of {len(single):,} "
        f"questions; by chance it would be {expected:.0f}.",
        "Shuffle the options of each question with a fixed seed.",
        bad=count,
        of=len(single),
        tag=f"option {place + 1}",
    )
    return count if always else 0


def _told(asked: Sequence[Item], file: str, remarks: Remarks) -> int:
    """Say if right answers stand in their question far more often than wrong options."""
    told, right, wrong, others = [], 0, 0, 0
    for item in asked:
        question = f" {normal(item.text)} "
        for i, option in enumerate(item.options):
            words = normal(option)
            inside = len(words) >= SHORT and f" {words} " in question
            if i in (item.right or ()):
                right += 1
                if inside:
                    told.append(item)
            else:
                others += 1
                wrong += inside
    rate, usual = len(told) / max(1, right), (wrong + 1) / max(1, others)
    spread = sqrt(usual * (1 - min(usual, 0.5)) / max(1, right))
    if rate < TOLD_LEAST or rate < TOLD_TIMES * usual or rate - usual < SURE * spread:
        return 0
    remarks.add(
        "answer-told",
        f"in {len(told):,} questions of {file} the right answer stands in the question "
        f"itself ({percent(rate)}; wrong options do in {percent(usual)}): "
        f"{examples(told)}, {quoted(told[0].text)}.",
        "Ask in other words; a model that looks for repeated words answers these.",
        names=places(told),
        of=len(asked),
    )
    return len(told)


def _length(asked: Sequence[Item], file: str, remarks: Remarks) -> None:
    """Say if the right answer mostly is the longest option."""
    longest = expected = spread = 0.0
    for item in asked:
        sizes = [len(option) for option in item.options]
        if not item.right or len(item.right) > 1 or sizes.count(max(sizes)) > 1:
            continue
        longest += sizes[item.right[0]] == max(sizes)
        expected += 1 / len(sizes)
        spread += (1 - 1 / len(sizes)) / len(sizes)
    if expected < SURE or longest < TIMES * expected:
        return
    if longest - expected < SURE * sqrt(spread):
        return
    remarks.add(
        "answer-length",
        f"in {file} the right answer is the longest option in {longest:.0f} questions; "
        f"by chance it would be {expected:.0f}.",
        "Write the wrong options as fully as the right one.",
        bad=int(longest - expected),
        of=len(asked),
        tag="longest option",
    )


def copied_files(corpus: Corpus) -> list[tuple[str, str, int, int]]:
    """Return (file, other file, texts of the first in the second, texts of the first)."""
    held = {
        f.name: {identity(i) for i in f.items if i.text.strip()} for f in corpus.files
    }
    names = sorted(held, key=lambda name: (len(held[name]), name))
    found = []
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            both = len(held[name] & held[other])
            if held[name] and both >= ALWAYS * len(held[name]):
                found.append((name, other, both, len(held[name])))
                break
    return found
