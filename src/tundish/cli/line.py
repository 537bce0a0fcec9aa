"""``tundish line``: a sealed package on the plant's signals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from tundish.cli import line_opcua, line_versions, show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import AsJson, Days, In, LinePath, Mirror, open_workspace

if TYPE_CHECKING:
    from tundish.flows.line import StatusReport
    from tundish.flows.line_check import LineCheck
    from tundish.line.events import Event

group = typer.Typer(
    help="Run a sealed package on the plant's signals.", no_args_is_help=True
)


_MOST_TAGS = 30

System: TypeAlias = Literal["systemd", "windows"]
Said: TypeAlias = Literal["right", "wrong", "unclear"]

STYLES = {
    "gap": show.WARN,
    "link-lost": show.POOR,
    "clock-jump": show.WARN,
    "slow-server": show.WARN,
    "dropped": show.POOR,
    "sink-refused": show.POOR,
    "alarm": show.POOR,
    "request-stopped": show.WARN,
    "request-lost": show.POOR,
    "breaker": show.POOR,
    "grant": show.WARN,
    "grant-over": show.POOR,
    "client-refused": show.WARN,
    "version": show.WARN,
    "rolled-back": show.WARN,
}


STATES = {
    "good": show.GOOD,
    "uncertain": show.WARN,
    "bad": show.POOR,
    "stale": show.POOR,
}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    line_opcua.register(group)
    line_versions.register(group)
    app.add_typer(group, name="line")


@group.command("run")
def run_command(
    line: LinePath,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Run a line until Ctrl-C; starts, states, gaps and the end are in the ledger.

    The line writes its own estimate and state, and requests in the mode control only. Ctrl-C is a clean stop: what was
    acknowledged is on disk, and the next start goes on there. When the grant ends, the
    line stops at the next safe point of its file, at the latest when the grant's grace
    is over, and ends with 1. A renewal is put in the place of the grant's file.
    """
    from tundish.flows.line import LineOptions, run_line, summarise

    options = LineOptions(on_event=_silent if json else _said)
    report = run_line(open_workspace(workspace), line, options)
    if json:
        show.as_json(summarise(report))
    else:
        show.line(report.one_line(), "bold")
    if report.ended == "grant":
        raise typer.Exit(NOT_GOOD_ENOUGH)


@group.command()
def record(
    line: LinePath,
    out: Annotated[Path, typer.Option(help="A new folder for the data set.")],
    length: Annotated[
        str | None, typer.Option("--for", help="How long: 90s, 30min, 8h or 2d.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="End after so many samples.")
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Record the line's signals as a data set with a card; needs no package.

    Every sample is kept with source time, time of receipt, quality and status code; texts
    and truth values as such. Ends after --for or --rows, or with Ctrl-C, and keeps what was
    taken. A recording that was killed goes on if the same folder is named again. Then:
    'tundish grade FOLDER'.
    """
    from tundish.flows.record import RecordOptions, record_line, seconds_of

    seconds = None if length is None else seconds_of(length)
    with show.working("Recording") as doing:
        options = RecordOptions(
            rows=rows,
            seconds=seconds,
            on_event=lambda event: doing(event.text),
        )
        report = record_line(open_workspace(workspace), line, out, options)
    if json:
        show.as_json(report)
        return
    head = ["signal", "unit", "samples", "good", "uncertain", "bad"]
    cells = [
        [t.signal, t.unit, str(t.samples), str(t.good), str(t.uncertain), str(t.bad)]
        for t in report.tags[:_MOST_TAGS]
    ]
    show.table("Recorded", head, cells)
    for gap in report.gaps[:_MOST_TAGS]:
        show.line(f"Gap: {gap}", show.WARN)
    said = f"{report.samples} samples from {report.first} to {report.last}"
    show.line(
        f"{said} in {report.folder}; see 'tundish grade {report.folder}'.", show.GOOD
    )


@group.command()
def check(
    line: LinePath,
    workspace: In = Path(),
    offline: Annotated[
        bool, typer.Option("--offline", help="Check the file alone; connect to nobody.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Dry run: read the file, open the package's card, look at every server and tag.

    Types, widths, units, rights, present values, history and clocks are compared with
    the contract. Nothing is written; the grant is read and none of its uses is counted. Ends with 1 if something would
    not run. With --offline a bad file is refused with the path of the key, no more.
    """
    if offline:
        _check_file(line, json=json)
        return
    from tundish.flows.line_check import check_line

    found = check_line(open_workspace(workspace), line)
    if json:
        show.as_json(found)
    else:
        _show_check(found)
    if not found.runs:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def _check_file(line: Path, *, json: bool) -> None:
    from tundish.line.linefile import read_line_file

    found = read_line_file(line)
    if json:
        show.as_json({"name": found.name, "mode": found.mode, "offline": True})
        return
    show.line(
        f"{found.name}: {len(found.sources)} sources, mode {found.mode}.", show.GOOD
    )


@group.command()
def status(
    line: LinePath,
    json: AsJson = False,
) -> None:
    """Say what a line does right now: its state, each tag, each sink.

    A line that was killed, hangs, or ran before the machine was started anew does not
    pass for a running one. Ends with 1 unless the line runs and its state is good or
    uncertain.
    """
    from tundish.flows.line import line_status

    found = line_status(line)
    if json:
        show.as_json(found)
    else:
        _show_status(found)
    well = found.said is not None and found.said.state in {"good", "uncertain"}
    if found.stopped or not well:
        raise typer.Exit(NOT_GOOD_ENOUGH)


@group.command()
def alarms(
    line: LinePath,
    site: Annotated[
        Path | None, typer.Option(help="A site profile that shall get the right ones.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Where to write that profile, with --site.")
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """List a line's alarms and what was said to them; make labels of the answers.

    With --site and --to, a copy of the profile is written in which every alarm that was
    answered 'right' is a marked event: with data that reaches that far, a new version of
    the data set to train and judge on.
    """
    from tundish.flows.alarms import labels, list_alarms

    opened = open_workspace(workspace)
    if (site is None) != (to is None):
        msg = "--site and --to belong together."
        raise typer.BadParameter(msg)
    if site is not None and to is not None:
        report = labels(opened, line, site, to)
        if json:
            show.as_json(report)
        else:
            said = f"{report.added} new events in {report.file}"
            rest = f"{report.wrong} wrong, {report.unclear} unclear, {report.unanswered} unanswered"
            show.line(f"{said}; {rest} are not in it.", show.GOOD)
        return
    found = list_alarms(opened, line)
    if json:
        show.as_json([one.to_json() for one in found])
        return
    rows = [
        [one.start, one.to or "open", str(one.answers), one.because, one.said, one.note]
        for one in found
    ]
    show.table("Alarms", ["from", "to", "answers", "because", "said", "note"], rows)
    show.line(f"{sum(not one.said for one in found)} of {len(found)} unanswered.")


@group.command()
def answer(
    line: LinePath,
    said: Annotated[Said, typer.Argument(help="Whether the alarm was right.")],
    when: Annotated[
        str, typer.Argument(help="A moment within the alarm, ISO 8601; or 'newest'.")
    ] = "newest",
    note: Annotated[str, typer.Option(help="In your own words; no names.")] = "",
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Say whether an alarm was right, wrong or unclear; a later word takes its place."""
    from tundish.flows.alarms import answer_alarm

    found = answer_alarm(open_workspace(workspace), line, said, when, note)
    if json:
        show.as_json(found)
    else:
        show.line(f"The alarm of {found.start} is {found.said}.", show.GOOD)


@group.command("demo")
def demo_command(
    folder: Annotated[
        Path | None,
        typer.Option(help="An empty folder to work in; default: a new scratch folder."),
    ] = None,
    mirror: Mirror = None,
    json: AsJson = False,
) -> None:
    """Show a line in a minute: a real run over OPC UA, and the cable pulled in it.

    A soft sensor is trained, judged, sealed and carried to a box; a real fermentation is
    played by an OPC UA server, and its link is cut: the state turns red, history is read
    when it is back, and what nobody has is a recorded gap.
    """
    from tundish.cli.demo import begun, ended, scratch
    from tundish.flows.demo.story import tell_line
    from tundish.flows.demo.told import Audience

    root = scratch(folder)
    if json:
        show.as_json(tell_line(root, mirror=mirror))
        return
    with show.working("Demo of the line") as doing:
        audience = Audience(begun=begun, doing=doing, ended=ended)
        report = tell_line(root, mirror=mirror, audience=audience)
    show.line(f"{report.seconds:.0f} s; {report.folder} may be deleted.", "dim")


@group.command()
def install(
    line: LinePath,
    system: Annotated[
        System, typer.Option(help="Whose form; that for Windows was never run by us.")
    ] = "systemd",
    user: Annotated[
        str,
        typer.Option(help="Account that the line runs under, with no other rights."),
    ] = "tundish",
    to: Annotated[
        Path | None,
        typer.Option(help="The file to write; default: beside the line file."),
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Write the file by which this machine starts a line by itself, and say what is next.

    Nothing is installed: an administrator puts the file in its place. The line runs as an
    ordinary user that may write to the workspace and the line file's folder only, and is
    started again unless its grant has ended or its line file is wrong.
    """
    from tundish.flows.install import install as write

    report = write(open_workspace(workspace), line, system=system, user=user, to=to)
    if json:
        show.as_json(report)
        return
    show.line(f"Written: {report.file}. Next, as administrator:", show.GOOD)
    for command in report.next:
        show.line(f"  {command}")


@group.command()
def approve(  # noqa: PLR0913  (one per option)
    line: LinePath,
    days: Days = 90.0,
    note: Annotated[str, typer.Option(help="In your own words.")] = "",
    package: Annotated[
        Path | None,
        typer.Option(help="A staged version; default: the package that serves."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="The file to write; default: beside the line file."),
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Sign, with your key, that a line may ask its plant for something.

    The approval holds for this line, this package, and these sources, limits,
    interlocks and nodes: whoever changes one of them needs it anew. How many persons must
    approve follows from the scenario's risk and ambiguity. Name the file under
    control.approvals in the line file; the box must trust your key ('tundish trust').
    """
    from tundish.flows.control import approve as approve_line

    report = approve_line(
        open_workspace(workspace), line, days=days, note=note, to=to, package=package
    )
    if json:
        show.as_json(report)
        return
    show.line(f"Approved until {report.not_after}: {report.file}", show.GOOD)
    show.line(f"This scenario asks for {report.needed} persons.")


@group.command()
def reset(
    line: LinePath,
    workspace: In = Path(),
) -> None:
    """Close the breaker of a line, after you have looked at why it opened.

    A running line asks again at its next heartbeat. The act is in the ledger.
    """
    from tundish.flows.control import reset as close

    was_open = close(open_workspace(workspace), line)
    show.line("The breaker is closed." if was_open else "The breaker was not open.")


def _show_status(found: StatusReport) -> None:
    said = found.said
    if found.stopped:
        show.line(f"{found.line} does not run: {found.stopped}.", show.POOR)
    if said is None:
        line_versions.show_versions(found)
        return
    when = f"as of {said.at}"
    style = STATES[said.state] if not found.stopped else ""
    about = f" {said.signal}: {said.reason}" if said.reason else ""
    show.line(f"{said.line}, mode {said.mode}: {said.state}{about} ({when})", style)
    rows = [[tag.signal, tag.state, tag.reason, tag.at] for tag in said.tags]
    show.table("Tags", ["tag", "state", "why", "newest source time"], rows)
    rows = [
        [one.name, str(one.delivered), str(one.waiting), str(one.refused), one.lost]
        for one in said.sinks
    ]
    if rows:
        show.table("Sinks", ["sink", "delivered", "waiting", "refused", "lost"], rows)
    totals = ", ".join(f"{count} {name}" for name, count in said.totals.items())
    show.line(f"{totals}; scored up to {said.settled_until or 'nothing'}")
    if said.governed:
        show.line(", ".join(f"{n} {name}" for name, n in said.governed.items()))
    for name, clock in said.clocks.items():
        way = "ahead of" if clock["offset_s"] >= 0 else "behind"
        off, bound = abs(clock["offset_s"]), clock["bound_s"]
        show.line(f"Clock of {name}: {off:.3f} s {way} ours (known to {bound:.3f} s)")
    for slow in said.slow:
        show.line(slow, show.WARN)
    if said.grant_until:
        show.line(f"Grant and package hold until {said.grant_until}.")
    line_versions.show_versions(found)


def _show_check(found: LineCheck) -> None:
    """Print one table with a verdict for each tag, and below it what was said."""
    tags = [row for row in found.rows if row.name]
    show.table(
        f"{found.name}: {found.package}, mode {found.mode}",
        ("tag", "node", "type", "unit", "now", "history", "verdict"),
        [
            (row.name, row.node, row.kind, row.unit, row.now, row.history, row.verdict)
            for row in tags
        ],
    )
    for row in found.rows:
        if row.said:
            what = f"{row.part} {row.name}".strip()
            style = {"wrong": show.POOR, "doubt": show.WARN}.get(row.verdict, "")
            show.line(f"{what}: {row.said}", style)
    wrong = sum(row.verdict == "wrong" for row in found.rows)
    if found.runs:
        show.line("It would run.", show.GOOD)
    else:
        things = "1 thing is" if wrong == 1 else f"{wrong} things are"
        show.line(f"It would not run: {things} wrong.", show.POOR)


def _said(event: Event) -> None:
    show.line(
        f"{event.at:%H:%M:%S} {event.kind}: {event.text}", STYLES.get(event.kind, "")
    )


def _silent(_event: Event) -> None:
    return
