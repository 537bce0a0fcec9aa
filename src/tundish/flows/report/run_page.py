"""The page of one run: its verdict in pictures, and how far copies of it agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tundish.data.shifts import OUTSIDE, shift_length_s
from tundish.flows import runs
from tundish.flows.errors import NotAcceptedError
from tundish.flows.judge import material_of
from tundish.flows.outputs import write_out
from tundish.flows.report.judged import copying_block, parity_block
from tundish.flows.report.judged_parts import chapters, tiles
from tundish.flows.report.page import Block, Page, Part, Tile, render
from tundish.flows.report.seen import Seen
from tundish.flows.runs import Run
from tundish.flows.workspace import Workspace, digest_of
from tundish.kernel.digest import short
from tundish.learn.judge import answers
from tundish.learn.judging import Case
from tundish.learn.material import Material, pieces
from tundish.learn.verdict import Verdict
from tundish.model.session import Session


def write_page(workspace: Workspace, run: str, to: Path) -> None:
    """Write one HTML page on a run; it loads nothing from anywhere.

    Raises:
        NotAcceptedError: if the run was not judged yet.
        RunDamagedError: if the data is no longer what the run was trained on.
    """
    found = runs.find(workspace, run)
    if found.verdict is None:
        msg = f"The run {found.name} was not judged yet."
        raise NotAcceptedError(msg, advice=f"Give 'tundish judge {found.name}' first.")
    page = page_of(found, seen_of(found, found.verdict))
    write_out(to, render(page).encode())
    made = digest_of(to)
    workspace.record(
        "report-written",
        inputs=[found.digest],
        outputs=[made],
        names={made: to.name},
    )


def seen_of(found: Run, verdict: Verdict) -> Seen:
    """Run the graph on the judge part again, for the pictures.

    Raises:
        RunDamagedError: as above.
    """
    material = material_of(found)
    judged = material.needed("judge")
    case = Case(
        material=judged,
        pieces=pieces(material, "judge"),
        scenario=found.scenario,
        claim=found.claim,
        seed=found.record.seed,
        shift_s=shift_length_s(found.site),
    )
    outputs = answers(Session(found.graph, found.golden).run, judged.x, found.scenario)
    return Seen(
        case=case,
        outputs=outputs,
        verdict=verdict,
        shifts=running_shifts(judged, case.shift_s),
    )


def running_shifts(judged: Material, shift_s: float | None) -> int | None:
    """Return in how many shifts there is a judged window; None without a calendar.

    A shift ends where another one's window follows, or none for as long as a shift.
    """
    if judged.shift is None or judged.at is None or shift_s is None:
        return None
    inside = (judged.shift != OUTSIDE) & ~np.isnat(judged.at)
    at = judged.at[inside].astype("datetime64[us]").astype(np.int64)
    order = np.argsort(at, kind="stable")
    at, name = at[order], judged.shift[inside][order]
    new = (np.diff(at) > shift_s * 1e6) | (name[1:] != name[:-1])
    return int(np.count_nonzero(new)) + 1 if len(at) else None


def page_of(found: Run, seen: Seen) -> Page:
    """Return the page of a judged run."""
    verdict = seen.verdict
    word = "accepted" if verdict.accepted else "refused"
    parts, first = [*chapters(seen), _compared(found)], tiles(verdict)
    if found.copying is not None:
        day = found.copying.day
        first.append(
            Tile(
                value=f"{day.agrees:.0%}",
                label=f"agreement of a copy that learned from {day.answers:,} answers",
                tone="warn",
            )
        )
        parts.append(_copies(copying_block(found.copying)))
    return Page(
        title=f"{found.scenario.name.en}: {word}",
        subtitle=f"{found.scenario.name.zh} \u00b7 {found.scenario.key} \u00b7 {found.name}",
        footer=f"Graph {short(found.record.graph)}, run {short(found.digest)}.",
        tiles=first,
        parts=parts,
    )


def _compared(found: Run) -> Part:
    lead = (
        f"The graph computes in {found.record.precision}. The same windows were answered in "
        "several ways; the output that differs most is shown. Beyond what the scenario "
        "allows nothing is sealed."
    )
    block = parity_block(found.parity)
    return Part(title="Is it the same model everywhere?", lead=lead, blocks=[block])


def _copies(block: Block) -> Part:
    lead = (
        "Whoever may ask a model can train a second one on its answers. The signed budget of "
        "a grant bounds how many answers that are; this table says what they give away."
    )
    return Part(title="What answers give away", lead=lead, blocks=[block])
