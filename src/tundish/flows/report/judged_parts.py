"""The chapters of the page of a judged run: what to look at, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.tasks import Task
from tundish.flows.report import (
    count_pictures,
    number_pictures,
    plain,
    signal_pictures,
)
from tundish.flows.report.page import Block, Cell, Part, Tile, Tone, cells
from tundish.flows.report.seen import Seen
from tundish.learn.material import Floats
from tundish.learn.verdict import Verdict

MAIN: dict[Task, tuple[str, ...]] = {
    "regress": ("rmse",),
    "rul": ("rmse", "late_share"),
    "forecast": ("rmse",),
    "anomaly": ("false_alarms_per_week", "missed_events"),
    "diagnose": ("share_right_when_decided", "escapes_per_1000"),
    "inspect": ("escapes_per_1000", "false_rejects_per_1000"),
}
"""What slices are shown by where no limit of the scenario speaks of something else."""

CUT_BY = {
    "stretch": "By stretch of time",
    "source": "By machine, batch or file",
    "mode": "By operating mode",
    "class": "By class",
    "shift": "By shift",
    "horizon": "By how far ahead",
}
WORST_SHARE = 0.05


def tiles(verdict: Verdict) -> list[Tile]:
    """Return what is seen first: the verdict, how many limits hold, and the promise."""
    held = sum(limit.holds for limit in verdict.limits)
    kept = plain.promise_kept(verdict)
    said, tone = _PROMISE[kept]
    return [
        Tile(
            value="accepted" if verdict.accepted else "refused",
            label=f"verdict over {verdict.judged:,} samples that training never saw",
            tone="good" if verdict.accepted else "bad",
        ),
        Tile(
            value=f"{held} of {len(verdict.limits)}",
            label="limits of the scenario hold",
            tone="good" if held == len(verdict.limits) else "bad",
        ),
        Tile(value=said, label="what its own uncertainty promised", tone=tone),
    ]


_PROMISE: dict[bool | None, tuple[str, Tone]] = {
    True: ("kept", "good"),
    False: ("not kept", "bad"),
    None: ("not checked", ""),
}


def chapters(seen: Seen) -> list[Part]:
    """Return the chapters of a judged run, most important first."""
    return [
        limits(seen.verdict),
        Part(
            title="What it did on data it had never seen",
            lead=_LEADS[seen.scenario.task],
            blocks=list(_PICTURES[seen.scenario.task](seen)),
        ),
        promise(seen.verdict),
        *slices(seen),
        *([] if seen.scenario.task == "inspect" else [contributions(seen)]),
        notes(seen.verdict),
    ]


def limits(verdict: Verdict) -> Part:
    """Return each limit with its number and reason, and what the plant has today."""
    rows = [
        [
            Cell(text=plain.words(limit.metric)),
            Cell(text=plain.spread(limit, plain.unit_of(verdict, limit.metric))),
            Cell(text=plain.side(limit, plain.unit_of(verdict, limit.metric))),
            Cell(
                text="holds" if limit.holds else "missed",
                tone="good" if limit.holds else "bad",
            ),
            Cell(text=limit.why),
        ]
        for limit in verdict.limits
    ]
    return Part(
        title="Is it good enough?",
        lead=(
            "These limits stood in the scenario before anything was trained. It is accepted only "
            "if every one holds. The range in brackets is where the figure would fall nine times "
            "in ten, had other days been judged: a limit inside it is a close call."
        ),
        blocks=[
            Block(
                columns=(
                    "what",
                    "measured (90 % range)",
                    "limit",
                    "",
                    "why this limit",
                ),
                rows=rows,
            ),
            _against_plain(verdict),
        ],
    )


def _against_plain(verdict: Verdict) -> Block:
    own = {figure.metric: figure for figure in verdict.figures}
    rows = []
    for figure in verdict.baseline:
        mine = own.get(figure.metric)
        unit = "" if figure.unit == "1" else figure.unit
        if figure.value is None or mine is None or mine.value is None:
            continue
        if figure.metric in plain.COUNTS:
            continue
        small = figure.metric in plain.SMALL_IS_GOOD
        better = mine.value < figure.value if small else mine.value > figure.value
        same = mine.value == figure.value
        word = "as good" if same else "better" if better else "worse"
        rows.append(
            [
                *cells(
                    plain.words(figure.metric),
                    plain.number(mine.value, figure.metric, unit),
                    plain.number(figure.value, figure.metric, unit),
                ),
                Cell(text=word, tone="" if same else "good" if better else "bad"),
            ]
        )
    return Block(
        title="Against what needs no model",
        text=f"The plain rule is: {verdict.baseline_name}. A model that does not beat it is not worth its upkeep.",
        columns=("what", "this model", "plain rule", "the model is"),
        rows=rows,
    )


def promise(verdict: Verdict) -> Part:
    """Return what the interval or alarm limit promised, and whether it was kept."""
    said = [note for note in verdict.notes if note.startswith("promised:")]
    made = verdict.promise
    texts = [plain.sentence(note) for note in said]
    if made is not None:
        texts.append(f"On what ground: {made.note.rstrip('.')}.")
    return Part(
        title="Does it know what it does not know?",
        lead=(
            "Interval and alarm limit were set on earlier data, with a promise of how often they "
            "hold. Here the promise meets later data. Not kept means: the plant has changed since, "
            "or the earlier data were too few or too tame."
        ),
        blocks=[Block(text=text) for text in texts]
        or [Block(text="Nothing was promised, or nothing here can check it.")],
    )


def slices(seen: Seen) -> list[Part]:
    """Return the figures by stretch, machine, mode, class and shift."""
    verdict = seen.verdict
    bounds = {
        limit.metric: limit.at_least if limit.at_most is None else limit.at_most
        for limit in verdict.limits
    }
    blocks = []
    kinds = {
        by: [cut for cut in verdict.slices if cut.by == by]
        for by in dict.fromkeys(cut.by for cut in verdict.slices)
    }
    if len(kinds.get("stretch", ())) == len(kinds.get("source", ())):
        kinds.pop("stretch", None)  # one stretch of each: the same bars twice
    for by, cuts in kinds.items():
        if len(cuts) < 2:
            continue
        metrics = [m for m in MAIN[seen.scenario.task] if count_pictures.has(cuts, m)]
        limited = [m for m in bounds if count_pictures.has(cuts, m)]
        shown = list(dict.fromkeys([*limited[:1], *metrics]))[:2]
        more = len(cuts) - count_pictures.MOST_SLICES
        for metric in shown:
            unit = plain.unit_of(verdict, metric)
            blocks.append(
                Block(
                    title=f"{CUT_BY.get(by, by)}: {plain.words(metric)}",
                    text=f"The {more} best are not shown." if more > 0 else "",
                    figure=count_pictures.slices(
                        cuts, metric, unit=unit, bound=bounds.get(metric)
                    ),
                )
            )
    if not blocks:
        return []
    return [
        Part(
            title="Where it is strong and where it is weak",
            lead=(
                "The same figures, cut by what people know the plant by; the worst stands on top. "
                "Red lies beyond the limit. n is how many samples a bar stands on: a bar on a "
                "handful proves little. A good mean can hide a machine, a mode or a shift on "
                "which the model does not work."
            ),
            blocks=blocks,
        )
    ]


def contributions(seen: Seen) -> Part:
    """Return which tags moved the answers, over all windows and over the worst."""
    part = seen.outputs.get("contribution")
    if part is None:
        block = Block(text="This graph does not say which tags its answers come from.")
    else:
        which, said = _worst(seen)
        names, size = _by_tag(seen, np.abs(part))
        worst = size[which].mean(axis=0) if which.any() else np.zeros(len(names))
        block = Block(
            figure=count_pictures.contributions(
                names, size.mean(axis=0), worst, said=said
            )
        )
    return Part(
        title="Which tags the answers come from",
        lead=(
            "How far each tag moves the answer, on average. Does the order make sense to somebody "
            "who knows the plant? A tag that should not matter on top is a reason to ask. Where "
            "the two bars of a tag differ much, it has a part in what went wrong (or alarmed)."
        ),
        blocks=[block],
    )


def notes(verdict: Verdict) -> Part:
    """Return what a reader must know besides."""
    told = [note for note in verdict.notes if not note.startswith("promised:")]
    return Part(
        title="What to keep in mind",
        lead="Said by the judge, not by the maker of the model.",
        blocks=[Block(text=plain.sentence(note)) for note in told]
        or [Block(text="Nothing besides.")],
    )


def _by_tag(seen: Seen, size: NDArray[np.floating]) -> tuple[list[str], Floats]:
    """Return what moves the answers by tag: the channels of one signal are added up.

    Where there is but one signal, its channels are what can be told apart.
    """
    signals = seen.scenario.signals
    if len(signals) == 1:
        return seen.channels(), np.asarray(size, np.float64)
    whole = np.add.reduceat(size, seen.scenario.first_channels, axis=1)
    return [signal.name for signal in signals], np.asarray(whole, np.float64)


def _worst(seen: Seen) -> tuple[NDArray[np.bool_], str]:
    """Return the windows that went worst, [N], and what they are."""
    task, y = seen.scenario.task, seen.material.y
    if task in {"anomaly", "inspect"}:
        return seen.output("score") > 1.0, "windows that alarmed"
    if task == "diagnose":
        return seen.outputs["probability"].argmax(axis=1) != y, "windows taken wrongly"
    error = np.abs(seen.outputs["estimate"] - (y if y.ndim == 2 else y[:, None]))
    mean = np.where(np.isfinite(error), error, 0.0).mean(axis=1)
    bound = np.quantile(mean, 1.0 - WORST_SHARE)
    return mean >= bound, f"the {WORST_SHARE:.0%} of windows with the largest error"


def _regress(seen: Seen) -> Iterator[Block]:
    yield Block(title="Over time", figure=number_pictures.over_time(seen))
    yield Block(
        title="Estimate against measurement",
        text="On the dotted line an estimate is exact; the green band is close enough.",
        figure=number_pictures.against_truth(seen),
    )


def _rul(seen: Seen) -> Iterator[Block]:
    yield Block(
        title="Unit by unit, at its last judged moment",
        text="The dash is the true rest of life, the dot the estimate with its interval. Dots above their dash are the dangerous ones.",
        figure=number_pictures.units(seen),
    )
    courses = number_pictures.lives(seen)
    if courses is not None:
        yield Block(
            title="The course of some units, from the best to the worst",
            figure=courses,
        )
    yield Block(
        title="Estimate against truth", figure=number_pictures.against_truth(seen)
    )


def _forecast(seen: Seen) -> Iterator[Block]:
    yield Block(
        title="Four forecasts, from the best to the worst",
        text=f"The dashed line is the plain rule: {seen.verdict.baseline_name}.",
        figure=number_pictures.forecasts(seen),
    )


def _anomaly(seen: Seen) -> Iterator[Block]:
    yield Block(
        title="Score, alarms, and the tags that moved it most",
        text=f"The score is cut at {signal_pictures.CUT:g}; green bands are marked events that were found, orange ones were missed.",
        figure=signal_pictures.watch(seen),
    )
    rows = [
        [
            Cell(text=str(event.event + 1)),
            Cell(
                text="found" if event.found else "missed",
                tone="good" if event.found else "bad",
            ),
            Cell(
                text="" if event.delay_s is None else f"{event.delay_s / 60:,.4g} min"
            ),
            Cell(text=f"{event.peak:.3g}"),
        ]
        for event in seen.verdict.events[: signal_pictures.MOST_EVENTS]
    ]
    if rows:
        yield Block(
            title="Marked events",
            columns=("event", "", "first alarm after", "highest score (alarm above 1)"),
            rows=rows,
        )
    if seen.verdict.injected:
        yield _injected(seen.verdict)
    names = ("normal", "in a marked event")
    yield Block(
        title="How the scores lie about the limit",
        figure=count_pictures.scores(
            seen.output("score"), seen.material.event >= 0, names
        ),
    )


def _injected(verdict: Verdict) -> Block:
    rows = [
        cells(
            item.fault.replace("-", " "),
            "" if item.size is None else f"{item.size:g}",
            f"{item.found:.0%} ({item.low:.0%} to {item.high:.0%})",
            f"{item.unchanged:.1%}",
            "" if item.named is None else f"{item.named:.0%}",
        )
        for item in verdict.injected
    ]
    return Block(
        title="Made faults, not real ones",
        text=(
            "Nobody marked an event here, so named faults were put into judged windows. This "
            "says what size of fault the model would see, not that such faults occur."
        ),
        columns=(
            "fault",
            "size (spreads of the tag)",
            "windows that alarm (90 % range)",
            "without the fault",
            "right tag named",
        ),
        rows=rows,
    )


def _diagnose(seen: Seen) -> Iterator[Block]:
    yield _confusion(seen)


def _inspect(seen: Seen) -> Iterator[Block]:
    yield _confusion(seen)
    yield Block(
        title="How the scores lie about the limit",
        figure=count_pictures.scores(
            seen.output("score"), signal_pictures.bad_parts(seen), ("good", "bad")
        ),
    )
    yield Block(
        title="Parts to look at",
        text="Above the picture, below the graph's map of where it sees a fault. Wrong ones come first and bear a cross.",
        figure=signal_pictures.parts(seen),
    )


def _confusion(seen: Seen) -> Block:
    found = seen.verdict.confusion
    if found is None:
        return Block(text="Nothing was counted.")
    total = max(1, int(np.asarray(found.counts).sum()))
    scale, unit = 1000.0 / total, "of 1,000"
    if seen.shifts:
        scale, unit = 1.0 / seen.shifts, "per running shift"
    return Block(
        title=f"What was taken for what, {unit}",
        text="Each row is what it really was. Green is right, red is wrong; the deeper, the larger its share of the row.",
        figure=count_pictures.confusion(found, scale, unit),
    )


_PICTURES: dict[Task, Callable[[Seen], Iterator[Block]]] = {
    "regress": _regress,
    "rul": _rul,
    "forecast": _forecast,
    "anomaly": _anomaly,
    "diagnose": _diagnose,
    "inspect": _inspect,
}

_LEADS: dict[Task, str] = {
    "regress": "Look for stretches where the line leaves the points for long, and for red points: those lie outside the interval that the estimate claimed.",
    "rul": "An estimate that is too long is the dangerous one: the machine fails before anybody expects it. One that is too short costs a part that was still good.",
    "forecast": "Look whether what came stays inside the shaded interval, and whether the estimate lies nearer to it than the dashed plain rule does.",
    "anomaly": "Look for orange bands (events that nobody was warned of) and for red points outside any band: each bunch of them sends somebody out for nothing.",
    "diagnose": "Look at the red fields: what is really wrong and is called good, escapes; what is good and called wrong, is checked for nothing.",
    "inspect": "Look at the red fields: a bad part called good reaches the customer, a good part called bad is scrapped or checked again for nothing.",
}
