"""``tundish demo``: the main job, end to end, on real data."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import AsJson, Mirror
from tundish.flows.errors import WorkspaceExistsError

if TYPE_CHECKING:
    from tundish.flows.demo.told import DemoReport, Stage

STYLES = {"": "", "good": show.GOOD, "bad": show.POOR, "warn": show.WARN, "dim": "dim"}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(demo)


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(help="An empty folder to work in; default: a new scratch folder."),
    ] = None,
    mirror: Mirror = None,
    json: AsJson = False,
) -> None:
    """Run the main job on real data: grade, train, judge, seal, line, ledger, report.

    Three real public data sets are fetched from the Python package index (65 MB,
    once), each byte checked. Everything happens in a scratch folder.
    """
    from tundish.flows.demo.story import tell
    from tundish.flows.demo.told import Audience

    root = scratch(folder)
    if json:
        report = tell(root, mirror=mirror)
        show.as_json(report)
    else:
        with show.working("Demo") as doing:
            audience = Audience(begun=begun, doing=doing, ended=ended)
            report = tell(root, mirror=mirror, audience=audience)
        _closing(report)
    if not report.accepted:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def scratch(folder: Path | None) -> Path:
    """Return a folder to work in.

    Raises:
        WorkspaceExistsError: if it is not empty.
    """
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="tundish-demo-"))
    if folder.exists() and any(folder.iterdir()):
        msg = f"The folder {folder} is not empty; the demo wants one of its own."
        raise WorkspaceExistsError(msg, advice="Name an empty folder, or none.")
    return folder


def begun(number: int, title: str) -> None:
    """Show that a stage begins."""
    show.heading(f"{number}. {title}")


def ended(stage: Stage) -> None:
    """Show what a stage said."""
    for said in stage.lines:
        show.line(said.text, STYLES[said.tone])
    show.line(f"({stage.seconds:.1f} s)", "dim")


def _closing(report: DemoReport) -> None:
    show.heading("Done")
    word = "accepted" if report.accepted else "refused"
    show.line(
        f"Verdict {word}; {len(report.refusals)} refusals; {report.ledger_entries} ledger entries verified; {report.seconds:.0f} s.",
        show.GOOD,
    )
    show.line(f"Report: {report.report}")
    show.line(
        f"Next: tundish grade FILE on a file of your own. The folder {report.folder} may be deleted.",
        "dim",
    )
