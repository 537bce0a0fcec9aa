"""The page of one run: its verdict, and how far copies of it agree."""

from __future__ import annotations

from pathlib import Path

from tundish.flows import runs
from tundish.flows.errors import NotAcceptedError
from tundish.flows.report.judged import copying_block, limits_block
from tundish.flows.report.page import Block, Page, Part, Tile, render
from tundish.flows.runs import Run
from tundish.flows.workspace import Workspace, digest_of
from tundish.kernel import paths
from tundish.kernel.digest import short
from tundish.learn.verdict import Verdict


def write_page(workspace: Workspace, run: str, to: Path) -> None:
    """Write one HTML page on a run; it loads nothing from anywhere.

    Raises:
        NotAcceptedError: if the run was not judged yet.
    """
    found = runs.find(workspace, run)
    if found.verdict is None:
        msg = f"The run {found.name} was not judged yet."
        raise NotAcceptedError(msg, advice=f"Give 'tundish judge {found.name}' first.")
    paths.write_whole(to, render(_page(found, found.verdict)).encode())
    made = digest_of(to)
    workspace.record(
        "report-written",
        inputs=[found.digest],
        outputs=[made],
        names={made: to.name},
    )


def _page(found: Run, verdict: Verdict) -> Page:
    word = "accepted" if verdict.accepted else "refused"
    parts = [
        Part(
            title="The graph, judged",
            lead="Only the graph that ships is judged, against the limits that the scenario states.",
            blocks=[limits_block(found.record.candidate, verdict)],
        )
    ]
    tiles = [
        Tile(
            value=word,
            label=f"verdict over {verdict.judged} samples",
            tone="good" if verdict.accepted else "bad",
        )
    ]
    if found.copying is not None:
        day = found.copying.day
        tiles.append(
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
        tiles=tiles,
        parts=parts,
    )


def _copies(block: Block) -> Part:
    lead = (
        "Whoever may ask a model can train a second one on its answers. The signed budget of "
        "a grant bounds how many answers that are; this table says what they give away."
    )
    return Part(title="What answers give away", lead=lead, blocks=[block])
