"""``tundish line stage``, ``change``, ``rollback``: from one package version to the next."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.keys import FORMATS
from tundish.cli.options import AsJson, In, open_workspace
from tundish.kernel.digest import Digest, short

if TYPE_CHECKING:
    from tundish.flows.line import StatusReport
    from tundish.flows.versions import VersionsReport

LineArgument = Annotated[Path, typer.Argument(help="The line file (YAML).")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (stage, unstage, change, rollback):
        group.command()(command)


def stage(
    line: LineArgument,
    package: Annotated[Path, typer.Argument(help="The new version, sealed.")],
    grant: Annotated[
        Path | None, typer.Option(help="Its grant, if it is encrypted.")
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Stage a new package version: it runs in shadow beside the one that serves.

    Package and grant are copied beside the line's buffer. A running line begins within
    seconds. The new version answers the same windows in a process of its own; nothing of
    it reaches a sink. 'tundish line status' shows how far the two differ.
    """
    from tundish.flows.versions import stage as flow

    report = flow(open_workspace(workspace), line, package, grant)
    _show(report, f"{_short(report.staged)} is staged", json=json)


def unstage(line: LineArgument, workspace: In = Path(), json: AsJson = False) -> None:
    """Take the staged package away again; the one that serves goes on."""
    from tundish.flows.versions import unstage as flow

    report = flow(open_workspace(workspace), line)
    _show(report, "nothing is staged any more", json=json)


def change(  # noqa: PLR0913  (one per option)
    line: LineArgument,
    begin: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=FORMATS,
            help="First moment of the switch, UTC; default: now.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            formats=FORMATS,
            help="Moment from which on the switch is refused, UTC.",
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="Why, in your own words.")] = "",
    to: Annotated[
        Path | None,
        typer.Option(help="The file to write; default: beside the line file."),
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(
            help="On the box: check a record that was brought, and put it there."
        ),
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Sign, with your key, that the staged package may take over within a window.

    The record names the line, both packages and the comparison so far, and is good for
    one switch. The line switches at its first safe point within the window, if the box
    trusts your key ('tundish trust'). With --apply, nothing is signed.
    """
    from tundish.flows.changes import apply_change, sign_change

    opened = open_workspace(workspace)
    if apply is not None:
        report = apply_change(opened, line, apply)
    elif until is None:
        msg = "--until is needed: a change has a window."
        raise typer.BadParameter(msg)
    else:
        report = sign_change(
            opened,
            line,
            begin=_utc(begin) if begin else opened.clock.now(),
            end=_utc(until),
            note=note,
            to=to,
        )
    if json:
        show.as_json(report)
        return
    show.line(
        f"{_short(report.old)} to {_short(report.new)} on {report.line}, from "
        f"{report.not_before} to {report.not_after}: {report.file}",
        show.GOOD,
    )
    seen = ", ".join(f"{count} {name}" for name, count in report.seen.items())
    show.line(f"In it: {seen}")


def rollback(line: LineArgument, workspace: In = Path(), json: AsJson = False) -> None:
    """Let the package serve again that served before the last change.

    A running line does it at its next window, within seconds. A package or grant that was
    revoked or has ended is refused, and the line goes on as it is.
    """
    from tundish.cli.exits import NOT_GOOD_ENOUGH
    from tundish.flows.versions import roll_back

    report = roll_back(open_workspace(workspace), line)
    _show(report, f"{_short(report.serving)} serves", json=json)
    if report.pending:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def show_versions(found: StatusReport) -> None:
    """Print which package stands where, and how far serving and staged differ."""
    slots = found.slots
    if slots is None:
        return
    rows = [
        (name, _short(digest))
        for name, digest in (
            ("serving", slots.serving),
            ("staged", slots.staged),
            ("previous", slots.previous),
        )
    ]
    show.table("Versions", ["slot", "package"], rows)
    said = found.said.versions if found.said else None
    if said is None or not slots.staged or said.slots != slots:
        return
    seen = said.compared
    both = seen.agreed + seen.disagreed
    show.line(f"The staged package: {said.shadow or 'not started'}")
    if seen.windows:
        share = f"{100 * seen.agreed / both:.1f} %" if both else "none"
        show.line(
            f"{seen.windows} windows answered by both, {share} agree; difference "
            f"{seen.mean_difference:.4g} (mean), {seen.max_difference:.4g} (largest)"
        )
        show.line(
            f"without an answer {seen.abstained_old} / {seen.abstained_new}, alarms "
            f"{seen.alarms_old} / {seen.alarms_new}, {seen.ms_old:.3f} / "
            f"{seen.ms_new:.3f} ms for an answer (serving / staged)"
        )
    if seen.dropped:
        show.line(f"{seen.dropped} windows were not compared", show.WARN)
    for one in said.missing:
        show.line(f"The change waits: {one}", show.WARN)


def _show(report: VersionsReport, said: str, *, json: bool) -> None:
    if json:
        show.as_json(report)
        return
    style = show.WARN if report.pending else show.GOOD
    tail = f": {report.pending}" if report.pending else ""
    show.line(f"{report.line}: {said}{tail}.", style)


def _short(digest: str) -> str:
    return short(Digest(digest)) if digest else "none"


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
