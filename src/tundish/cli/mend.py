"""How a mended data set is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tundish.cli import show
from tundish.kernel.digest import short

if TYPE_CHECKING:
    from tundish.flows.mend import MendReport

TAGS_SHOWN = 6


def show_mend(report: MendReport) -> None:
    """Print what was mended, what was not and why, and both letters."""
    lineage = report.lineage
    if report.clean:
        show.line(
            f"Nothing to mend in {lineage.parent.name}: it is as it was.", show.GOOD
        )
    for step in lineage.steps:
        where = f"{step.table}: " if step.table else ""
        tags = f" ({_some(step.tags)})" if step.tags else ""
        cells = f", {step.cells:,} cells" if step.cells else ""
        again = f", round {step.round}" if step.round > 1 else ""
        show.line(f"  {where}{step.what}{tags}: {step.rows:,} rows{cells}{again}")
        for text, count in list(step.states.items())[:TAGS_SHOWN]:
            show.line(f"      '{text}' {count:,}x", "dim")
    for item in lineage.unmended:
        tags = f" ({_some(item.tags)})" if item.tags else ""
        show.line(f"  not mended: {item.count}x {item.kind}{tags}: {item.why}", "dim")
    _show_letters(report)


def _show_letters(report: MendReport) -> None:
    before, after = report.before, report.after
    tone = show.GOOD if after.letter <= before.letter else show.POOR
    show.line(f"Grade {before.letter} -> {after.letter}", tone)
    values = {item.id: item for item in before.indicators}
    moved = [
        (new.id, new.name_en, old.shown, new.shown)
        for new in after.indicators
        if (old := values.get(new.id)) is not None and old.value != new.value
    ]
    if moved:
        show.table("", ["id", "indicator", "before", "after"], moved)
    if not report.written:
        show.line("Nothing was written (--dry-run).", "dim")
        return
    show.line(f"  new version {report.written}")
    lineage = report.lineage
    show.line(
        f"  {short(lineage.parent.digest)} -> {short(lineage.version.digest)}, lineage beside it"
    )


def _some(tags: tuple[str, ...]) -> str:
    more = f" and {len(tags) - TAGS_SHOWN} more" if len(tags) > TAGS_SHOWN else ""
    return ", ".join(tags[:TAGS_SHOWN]) + more
