"""Q18: labels that everything else contradicts.

Classes: confident learning (Northcutt, Jiang and Chuang 2021) on cross-validated
shares of two models that must agree. Numbers: residuals of rows that were not fitted,
held against the usual residual of like answers, beyond a far fence in both models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tundish.data.grade.lesson import Lesson
from tundish.data.grade.report import Finding, percent
from tundish.data.grade.sheet import Bools, Floats, Ints, Sheet
from tundish.data.grade.tally import Notes, Tally
from tundish.data.grade.trial import TREES, Trial, skill, squared

LEAST_SKILL = 0.3
FENCE = 7.0
AGREED = 5.0
SURE_BY = 0.6
AGREED_BY = 0.2
LONG_RUN = 3
MIN_REPEATS = 5
MIN_TAGS = 3
HALF = 0.5
_WINDOW = 0.1
_SHOWN = 3


def doubtful(trial: Trial, sheets: Sequence[Sheet]) -> Tally:
    """Count labels that two models, which did not see them, firmly contradict.

    Neighbours may teach here (random folds): a label that contradicts its neighbours is
    what is looked for. Stretches in which the model is wrong together are a process it
    does not know, and no doubt falls on them; long runs of one class are left alone.

    Args:
        trial: From random folds, each row held out once.
        sheets: The tables, for the places.
    """
    lesson = trial.lesson
    floor = _repeatability(lesson)
    got = skill(trial.errors, trial.before)
    slips = _slips(lesson, sheets)
    if got < LEAST_SKILL or TREES not in trial.answers:
        why = (
            f"the models are too weak to doubt a label (skill {got:.2f})"
            if got < LEAST_SKILL
            else f"{len(lesson)} labels are too few for two models"
        )
        return Tally(
            id="Q18",
            bad=len(lesson.far),
            of=len(lesson) + len(lesson.far) if slips else 0,
            scope="labels",
            detail="; ".join(filter(None, (why, floor))),
            findings=slips,
        )
    answers = _two_best(trial)
    doubted = (
        _wrong_class(lesson, answers) if lesson.classes else _far_off(lesson, answers)
    )
    places = np.flatnonzero(doubted)
    findings = [
        finding
        for at in np.unique(lesson.sheet)
        for finding in _noted(
            lesson, answers[0], places[lesson.sheet[places] == at], sheets[at]
        )
    ]
    detail = "; ".join(
        filter(None, (f"{len(lesson):,} labels held against two models", floor))
    )
    return Tally(
        id="Q18",
        bad=len(places) + len(lesson.far),
        of=len(lesson) + len(lesson.far),
        scope="labels",
        detail=detail,
        findings=(*slips, *findings),
    )


def _slips(lesson: Lesson, sheets: Sequence[Sheet]) -> tuple[Finding, ...]:
    """Name labels that lie off all others by several times their range."""
    found: list[Finding] = []
    for at in np.unique(lesson.far[:, 0]) if len(lesson.far) else ():
        sheet = sheets[int(at)]
        labels = sheet.labels
        if labels is None or labels.us is not None:
            continue
        rows = lesson.far[lesson.far[:, 0] == at, 1]
        notes = Notes(sheet, "Q18")
        low, high = float(lesson.y.min()), float(lesson.y.max())
        said = ", ".join(f"{v:.6g}" for v in labels.values[rows[:_SHOWN]])
        unit = f" {labels.unit}" if labels.unit else ""
        notes.add(
            "label-doubt",
            notes.over(labels.name, rows),
            f"{labels.name} is {said}{unit}; all other labels lie within {low:.6g} to "
            f"{high:.6g}{unit}: a slip of the pen or of the decimal point.",
            "Look the value up at its source; leave it out until then.",
        )
        found += notes.found
    return tuple(found)


def _two_best(trial: Trial) -> list[Floats]:
    """Return the answers of the better straight and the better tree model, [m, k]."""
    order = np.argsort(trial.tested, kind="stable")
    kinds: dict[str, tuple[float, Floats]] = {}
    for name, answer in trial.answers.items():
        kind = name.split(" ")[0]
        error = float(squared(answer, trial.truth).mean())
        if kind not in kinds or error < kinds[kind][0]:
            kinds[kind] = (error, answer[order])
    ranked = sorted(kinds.values(), key=lambda one: one[0])
    return [answer for _, answer in ranked]


def _wrong_class(lesson: Lesson, answers: list[Floats]) -> Bools:
    given, rows = lesson.given, np.arange(len(lesson))
    doubted: Bools = np.ones(len(lesson), dtype=bool)
    other = answers[0].argmax(axis=1)
    for shares, margin in zip(answers, (SURE_BY, AGREED_BY), strict=False):
        seen = shares.argmax(axis=1)
        doubted = doubted & (seen == other) & (seen != given)
        doubted = doubted & (shares[rows, seen] - shares[rows, given] >= margin)
    best = answers[0]
    own = np.array([best[given == c, c].mean() for c in range(len(lesson.classes))])
    doubted = doubted & (best[rows, other] >= own[other])
    if lesson.how != "row":
        doubted = doubted & (_run_lengths(lesson) <= LONG_RUN)
    return doubted


def _run_lengths(lesson: Lesson) -> Ints:
    """Return how long the run of equal labels is that each row is in, in its unit."""
    order = np.argsort(lesson.unit, kind="stable")
    given, unit = lesson.given[order], lesson.unit[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (given[1:] != given[:-1]) | (unit[1:] != unit[:-1])
    which = np.cumsum(starts) - 1
    lengths = np.empty(len(order), dtype=np.int64)
    lengths[order] = np.bincount(which)[which]
    return lengths


def _far_off(lesson: Lesson, answers: list[Floats]) -> Bools:
    offs = [_standing_off(lesson.y[:, 0], answer[:, 0]) for answer in answers]
    same = np.sign(offs[0]) == np.sign(offs[1])
    doubted = same & (np.abs(offs[0]) > FENCE) & (np.abs(offs[1]) > AGREED)
    if lesson.how != "row":
        order = np.argsort(lesson.unit, kind="stable")
        ordered = offs[0][order]
        beside = np.zeros(len(order))
        beside[1:] = ordered[:-1] * np.sign(ordered[1:])
        beside[:-1] = np.maximum(beside[:-1], ordered[1:] * np.sign(ordered[:-1]))
        alone = np.empty(len(order), dtype=bool)
        alone[order] = beside < np.maximum(3.0, np.abs(ordered) / 2)
        doubted = doubted & alone
    return np.asarray(doubted)


def _standing_off(truth: Floats, answer: Floats) -> Floats:
    """Return residuals in usual residuals of the rows with like answers."""
    residual = truth - answer
    residual = residual - np.median(residual)
    usual = 1.4826 * float(np.median(np.abs(residual)))
    order = np.argsort(answer, kind="stable")
    reach = max(15, round(_WINDOW * len(truth) / 2))
    local = np.empty(len(truth))
    sizes = np.abs(residual)[order]
    step = max(1, reach // 4)
    for first in range(0, len(truth), step):
        near = sizes[max(0, first - reach) : first + step + reach]
        local[order[first : first + step]] = 1.4826 * float(np.median(near))
    scale = np.maximum(local, usual)
    return np.asarray(residual / np.where(scale > 0, scale, np.inf))


def _noted(lesson: Lesson, answer: Floats, places: Ints, sheet: Sheet) -> list[Finding]:
    if not len(places):
        return []
    notes = Notes(sheet, "Q18")
    rows = lesson.row[places]
    said = []
    for place in places[:_SHOWN]:
        where = sheet.where(int(lesson.row[place]))
        if lesson.classes:
            given = lesson.classes[int(lesson.given[place])]
            seen = lesson.classes[int(answer[place].argmax())]
            said.append(f"{where} says {given}, its signals say {seen}")
        else:
            said.append(
                f"{where} says {lesson.y[place, 0]:.4g}, its signals say about "
                f"{answer[place, 0]:.4g}"
            )
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    notes.add(
        "label-doubt",
        notes.over(lesson.name, rows),
        f"{len(places):,} of {len(lesson):,} labels are contradicted by their signals: "
        f"{'; '.join(said)}{more}.",
        "Have them measured or looked at again by a second person; drop none unseen.",
    )
    return notes.found


def _repeatability(lesson: Lesson) -> str:
    """Say how well labels repeat where the inputs are the same: no model does better.

    Only where repeats are repeats: with several tags, few equal rows, and no dynamics.
    """
    _, which, counts = np.unique(lesson.twin, return_inverse=True, return_counts=True)
    again = counts[which] > 1
    free = int(again.sum() - (counts > 1).sum())
    plain = lesson.how in {"row", "order"} and len(lesson.tags) >= MIN_TAGS
    if free < MIN_REPEATS or not plain or again.mean() > HALF:
        return ""
    if lesson.classes:
        common = np.zeros((len(counts), len(lesson.classes)))
        np.add.at(common, which, lesson.y)
        lost = float((counts - common.max(axis=1))[counts > 1].sum() / again.sum())
        return f"{int(again.sum()):,} rows repeat the inputs of another; {percent(lost)} of them with another class"
    mean = np.bincount(which, lesson.y[:, 0]) / counts
    inside = (lesson.y[:, 0] - mean[which])[again]
    spread = float(np.sqrt((inside**2).sum() / free))
    unit = f" {lesson.measure}" if lesson.measure else ""
    return (
        f"{int(again.sum()):,} rows repeat the inputs of another: {lesson.name} repeats to "
        f"{spread:.3g}{unit} (one standard deviation), and no model of these tags does better"
    )
