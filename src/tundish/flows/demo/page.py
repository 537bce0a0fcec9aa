"""The page of the demo: what a plant manager would be shown."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tundish.catalog import library
from tundish.data.grade.report import GradeReport
from tundish.data.samples import full_run
from tundish.flows.demo.plant import PACE
from tundish.flows.demo.state import Story
from tundish.flows.demo.told import Refusal
from tundish.flows.report.judged import copying_block, limits_block
from tundish.flows.report.page import Block, Cell, Page, Part, Tile, cells
from tundish.flows.report.pictures import (
    Band,
    Curve,
    Floats,
    Points,
    estimate_over_time,
    predicted_against_true,
    score_over_time,
    two_estimates,
)
from tundish.flows.runs import Run
from tundish.kernel import clock
from tundish.kernel.digest import short
from tundish.line.samples import from_us
from tundish.model.session import Session

PLAIN, CHOSEN, ANOMALY = "plain", "second-derivative", "lagged-pca"
RED, AMBER, GREY, INK = "#c62828", "#d9822b", "#7b8794", "#1f2933"
MINUTE = np.timedelta64(60, "s")


def build(story: Story) -> Page:
    """Return the page of a story that has been told up to its ledger."""
    verdict = story.verdicts[CHOSEN]
    word = "accepted" if verdict.accepted else "refused"
    now = clock.to_text(story.clock.now())[:16].replace("T", " ")
    return Page(
        title=f"{story.scenario.name.en}: {word}",
        subtitle=f"{story.scenario.name.zh} · {story.scenario.key} · {story.site.site} · {now} UTC",
        footer=_footer(story),
        tiles=_tiles(story),
        parts=(
            _grade_part(story),
            _judge_part(story),
            _seal_part(story),
            _line_part(story),
            _water_part(story),
            _ledger_part(story),
        ),
    )


def _tiles(story: Story) -> list[Tile]:
    verdict, grade = story.verdicts[CHOSEN], story.grades["fermentation"]
    rmse, share = verdict.figure("rmse"), verdict.figure("share_within_tolerance")
    entries = sum(report.size for report in story.ledgers.values())
    tolerance = story.scenario.acceptance.tolerance
    return [
        Tile(
            value=grade.letter,
            label="grade of the data",
            tone="good" if grade.letter in "AB" else "warn",
        ),
        Tile(
            value="accepted" if verdict.accepted else "refused",
            label=f"verdict over {verdict.judged} laboratory values",
            tone="good" if verdict.accepted else "bad",
        ),
        Tile(value=_number(rmse.value, "g/l"), label="root mean square error"),
        Tile(
            value=_percent(share.value), label=f"of estimates within {tolerance:g} g/l"
        ),
        Tile(
            value=str(story.line.estimates),
            label=f"answers on the line, {len(story.line.gaps)} gap recorded",
        ),
        Tile(value=str(entries), label="ledger entries, verified", tone="good"),
    ]


def _grade_part(story: Story) -> Part:
    blocks = [_grade_block(name, report) for name, report in story.grades.items()]
    lead = (
        "A letter for the task, hard gates that are never averaged away, and what to mend first. "
        "The second and third set show the same on a wind farm and a water main."
    )
    return Part(title="1. The data, graded", lead=lead, blocks=blocks)


def _grade_block(name: str, report: GradeReport) -> Block:
    rows = [
        [
            Cell(text=item.tag or "rows"),
            Cell(text=item.span),
            Cell(text=item.what),
            Cell(text=item.mend),
        ]
        for item in report.findings[:5]
    ]
    failed = [gate.name for gate in report.gates if not gate.passed]
    gates = f"gate failed: {', '.join(failed)}" if failed else "all gates passed"
    return Block(
        title=f"{name}: grade {report.letter}",
        text=f"{report.why} ({gates}; {len(report.findings)} findings in all)",
        columns=("tag", "where", "what was found", "mend"),
        rows=rows,
    )


def _judge_part(story: Story) -> Part:
    refused, accepted = (_curve(story, story.runs[name]) for name in (PLAIN, CHOSEN))
    points = _laboratory(story)
    judged = story.prepared.material.of("judge")
    session = _session(story.runs[CHOSEN])
    estimate = session.run(judged.x)["estimate"][:, 0].astype(np.float64)
    truth, mean = _by_group(judged.group, judged.y, estimate)
    tolerance = story.scenario.acceptance.tolerance or 0.0
    blocks = [
        Block(
            title="The same run, two models",
            text=(
                f"Both fit the 21 training spectra well. On the real run the plain model is off by {_number(story.verdicts[PLAIN].figure('bias').value, 'g/l')} on average: "
                "the probe in a real broth adds a baseline that prepared samples lack. The second derivative takes it out."
            ),
            figure=two_estimates(
                refused, accepted, points, names=(PLAIN, CHOSEN), unit="glucose, g/l"
            ),
        ),
        limits_block(PLAIN, story.verdicts[PLAIN]),
        limits_block(CHOSEN, story.verdicts[CHOSEN]),
        Block(
            title="The accepted model with its interval",
            text=story.runs[CHOSEN].record.promise.note,
            figure=estimate_over_time(
                accepted, points, unit="glucose, g/l", bands=_laboratory_bands(story)
            ),
        ),
        Block(
            title="Estimate against laboratory, judged part only (mean of the estimates within 6 minutes)",
            figure=predicted_against_true(truth, mean, tolerance=tolerance, unit="g/l"),
        ),
    ]
    lead = (
        "Preprocessing was chosen on the training spectra and the first quarter of the run's laboratory values; "
        "the rest judges. Only the graph that ships is judged, against the limits that the scenario states."
    )
    return Part(title="2. The model, judged", lead=lead, blocks=blocks)


def _seal_part(story: Story) -> Part:
    sealed = story.sealed
    facts = [
        [
            Cell(text="package"),
            Cell(
                text=f"{sealed.product} version {sealed.version}, {sealed.size / 1e6:.2f} MB, signed and encrypted"
            ),
        ],
        [Cell(text="digest"), Cell(text=sealed.digest, code=True)],
        [Cell(text="refused after"), Cell(text=sealed.not_after)],
        [
            Cell(text="fingerprint committed before"),
            Cell(text=sealed.fingerprint or "none", code=True),
        ],
        [Cell(text="granted to"), Cell(text=story.granted.device, code=True)],
        [Cell(text="grant runs out"), Cell(text=story.granted.not_after)],
    ]
    blocks = [
        Block(columns=("", ""), rows=facts),
        copying_block(story.copying),
        Block(
            title="What was refused",
            columns=("tried", "code", "answer", "advice"),
            rows=[_refusal_row(item) for item in story.refusals],
        ),
    ]
    lead = "The graph is readable for the granted device only, in memory only. Each refusal below really happened and is in a ledger."
    return Part(title="3. The package, sealed", lead=lead, blocks=blocks)


def _refusal_row(item: Refusal) -> list[Cell]:
    return [
        Cell(text=item.tried),
        Cell(text=item.code, tone="bad", code=True),
        Cell(text=item.message),
        Cell(text=item.advice),
    ]


def _line_part(story: Story) -> Part:
    line = story.line
    table = line.table
    curve = Curve(at=table.at, value=table.value, lower=table.lower, upper=table.upper)
    bands = [
        Band(start=_moment(gap.from_us), end=_moment(gap.to_us), name="gap", colour=INK)
        for gap in line.gaps
    ]
    changes = list(line.states)
    for change, after in pairwise(changes):
        if change.state == "stale" and change is not changes[0]:
            start, end = (
                np.datetime64(item.at.replace(tzinfo=None), "us")
                for item in (change, after)
            )
            bands.append(Band(start=start, end=end, name="stale", colour=RED))
    rows = [
        cells(
            "samples received / from history", f"{line.received} / {line.backfilled}"
        ),
        cells(
            "answers / without a number",
            f"{line.estimates} / {sum(line.abstained.values())}",
        ),
        cells(
            "gaps recorded",
            "; ".join(
                f"{from_us(g.from_us):%H:%M} to {from_us(g.to_us):%H:%M}: {g.reason}"
                for g in line.gaps
            )
            or "none",
        ),
        cells("repeated notifications ignored", str(line.duplicates)),
        cells("state changes", str(len(changes))),
        cells(
            "receipt to answer on disk",
            f"p99 {line.latency_ms.get('p99', float('nan')):.1f} ms",
        ),
    ]
    rows.append(cells("pace", PACE))
    blocks = [
        Block(
            figure=estimate_over_time(
                curve, _laboratory(story), unit="glucose, g/l", bands=bands
            )
        ),
        Block(columns=("", ""), rows=rows),
    ]
    lead = (
        "A real OPC UA server replays the run; it is taken away for some seconds. The state goes stale (red) meanwhile, the buffer holds, the line reconnects, reads "
        "what it missed from the plant's history, and records as a gap what history does not have. Nothing is invented; dead spectra get no number."
    )
    return Part(title="4. The line, with the cable pulled", lead=lead, blocks=blocks)


def _water_part(story: Story) -> Part:
    run, verdict = story.runs[ANOMALY], story.verdicts[ANOMALY]
    judged = story.water.of("judge")
    score = _session(run).run(judged.x)["score"][:, 0].astype(np.float64)
    at = (
        judged.at
        if judged.at is not None
        else np.arange(len(judged), dtype="datetime64[us]")
    )
    order = np.argsort(at)
    bands = [
        Band(
            start=np.datetime64(event.start.astimezone(UTC).replace(tzinfo=None), "us"),
            end=np.datetime64(event.end.astimezone(UTC).replace(tzinfo=None), "us"),
            name=event.kind,
            colour=AMBER,
        )
        for event in run.site.events
    ]
    figure = score_over_time(
        at[order],
        judged.x[order, -1, 0].astype(np.float64),
        score[order],
        unit="flow, l/s",
        bands=bands,
    )
    found = [event for event in verdict.events if event.found]
    text = f"{len(found)} of {len(verdict.events)} marked events found. The events were marked by hand from the maker's prose."
    lead = "A second task through the same rooms: unusual flow in a water main, hourly, by dynamic PCA with conformal limits."
    word = "accepted" if verdict.accepted else "refused"
    blocks = [Block(text=text, figure=figure), limits_block(ANOMALY, verdict)]
    return Part(title=f"5. The second task: {word}", lead=lead, blocks=blocks)


def _ledger_part(story: Story) -> Part:
    rows = [
        [
            Cell(text=name),
            Cell(text=str(report.size)),
            Cell(text=str(report.checkpoints)),
            Cell(text=report.root, code=True),
        ]
        for name, report in story.ledgers.items()
    ]
    tree = [(0, story.reached.name, short(story.reached.digest))]
    tree += [
        (item.depth, f"{item.name or 'unnamed'} ({item.act})", short(item.digest))
        for item in story.reached.relatives
    ]
    blocks = [
        Block(columns=("ledger", "entries", "signed checkpoints", "root"), rows=rows),
        Block(title="What descends from the data set", tree=tree),
    ]
    lead = "Every act, done or refused, is an entry of a Merkle log with signed checkpoints; both ledgers were verified before this page was written."
    return Part(title="6. The record", lead=lead, blocks=blocks)


def _footer(story: Story) -> str:
    sets = "; ".join(
        f"{name}: {library.dataset(name).citation} ({library.dataset(name).licence.name})"
        for name in story.grades
    )
    return f"Made by Tundish in {story.plant.name}. Data: {sets}"


def _curve(story: Story, run: Run) -> Curve:
    (whole,) = full_run(story.prepared.bound, story.scenario, "run")
    outputs = _session(run).run(whole.x)

    def sound(name: str) -> Floats:
        values = outputs[name][:, 0].astype(np.float64)
        values[~whole.sound] = np.nan
        return values

    return Curve(
        at=whole.at, value=sound("estimate"), lower=sound("lower"), upper=sound("upper")
    )


def _session(run: Run) -> Session:
    return Session(run.graph, run.golden)


def _laboratory(story: Story) -> Points:
    material = story.prepared.material
    run = material.take(material.part != "fit")
    groups, first = np.unique(run.group, return_index=True)
    middle = [np.flatnonzero(run.group == group) for group in groups]
    at = run.at if run.at is not None else np.zeros(len(run), dtype="datetime64[us]")
    centre = np.array([at[place[len(place) // 2]] for place in middle])
    order = np.argsort(centre)
    return Points(
        at=centre[order],
        value=run.y[first][order],
        used=(run.part[first] == "select")[order],
    )


def _laboratory_bands(story: Story) -> list[Band]:
    points = _laboratory(story)
    used = points.at[points.used]
    if not len(used):
        return []
    return [
        Band(
            start=used.min(),
            end=used.max() + 30 * MINUTE,
            name="used to choose",
            colour=GREY,
        )
    ]


def _by_group(
    group: NDArray[np.int64],
    truth: Floats,
    estimate: Floats,
) -> tuple[Floats, Floats]:
    _, first, place, count = np.unique(
        group, return_index=True, return_inverse=True, return_counts=True
    )
    return truth[first], np.bincount(place, weights=estimate) / count


def _moment(us: int) -> np.datetime64:
    return np.datetime64(us, "us")


def _number(value: float | None, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:.3g} {unit}".strip()


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"
