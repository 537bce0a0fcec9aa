"""Grade an event log of a process, or a list of alarms or work orders."""

from __future__ import annotations

from collections.abc import Sequence

from tundish.data.errors import ColumnMissingError
from tundish.data.events.log import Log, as_log
from tundish.data.events.roles import EventRoles, find_roles
from tundish.data.grade import exposed, papers, variants, verdict
from tundish.data.grade.checks import Brief
from tundish.data.grade.events import checks, flow
from tundish.data.grade.report import Gate, GradeReport, percent
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Tally
from tundish.data.privacy.look import look
from tundish.data.table import Assumption, Table

UNREADABLE_AT_MOST = 0.01


def grade_events(tables: Sequence[Table], brief: Brief) -> GradeReport:
    """Grade event logs.

    Args:
        tables: Rows of events: columns named as case and activity (or as event and
            machine), and one of time. Untrusted. Tables beside them that are none are
            left out, and it is said.
        brief: What is known beside the events.

    Raises:
        ColumnMissingError: if no table has such columns.
    """
    found = [(table, find_roles(table.frame)) for table in tables]
    logs = [as_log(table, roles) for table, roles in found if roles is not None]
    left = [table.name for table, roles in found if roles is None]
    if not logs:
        held = ", ".join(tables[0].frame.columns[:8]) if tables else "nothing"
        msg = f"{brief.name} has no columns named as case, activity and time; it has {held}."
        raise ColumnMissingError(
            msg,
            advice="Name them case_id, activity and timestamp, or say --kind table.",
        )
    beside = papers.read_papers(brief)
    sheets = [_exposed(log) for log in logs]
    tallies = [
        *(tally for log in logs for tally in _one(log, brief.now_us)),
        *(exposed.exposed(sheet) for sheet in sheets),
        *beside.tallies,
    ]
    said = tuple(a for table, roles in found if roles for a in table.assumptions)
    return verdict.report(
        brief.name,
        brief.task,
        {log.name: log.rows for log in logs},
        [*tallies, *variants.absent("events", tallies)],
        [
            _leakage_gate(),
            beside.licence,
            exposed.secrets_gate(sheets),
            _readable_gate(logs),
            verdict.gate("labels", held=True, detail="an event log needs none"),
            beside.card,
        ],
        (*(_kind(log) for log in logs), *_left(left), *brief.assumptions, *said),
        variants.specs_of("events"),
    )


def _one(log: Log, now_us: int) -> list[Tally]:
    return [
        checks.readable(log),
        checks.complete(log),
        flow.variants(log),
        checks.copies(log),
        flow.ordered(log),
        flow.whole_cases(log),
        flow.feasible(log),
        checks.resourced(log),
        checks.named(log),
        checks.plausible(log, now_us),
    ]


def _exposed(log: Log) -> Sheet:
    return Sheet(
        name=log.name,
        rows=max(1, log.rows),
        columns=log.frame.width,
        exposures=look(log.frame, passed_over=[log.roles.start, log.roles.end]),
    )


def _left(names: Sequence[str]) -> tuple[Assumption, ...]:
    if not names:
        return ()
    said = Assumption(
        what=f"not graded with the event logs: {', '.join(names[:5])}",
        why="they have no columns named as case, activity and time",
        otherwise="grade each file by itself",
    )
    return (said,)


def _kind(log: Log) -> Assumption:
    roles: EventRoles = log.roles
    told = {
        "case": roles.case,
        "activity": roles.activity,
        "time": roles.start,
        "end": roles.end,
        "resource": roles.resource,
    }
    columns = ", ".join(f"{name} = {what}" for what, name in told.items() if name)
    kind = (
        "a list of events per machine" if roles.endless else "an event log of a process"
    )
    return Assumption(
        what=f"{log.name} is {kind}: {log.rows:,} events, {len(log.runs):,} cases ({columns})",
        why="its columns are named so, and one reads as time",
        otherwise="--kind table or --kind texts",
    )


def _leakage_gate() -> Gate:
    detail = "no split was declared; split by case and in time, never by event"
    return verdict.gate("leakage", held=None, detail=detail)


def _readable_gate(logs: Sequence[Log]) -> Gate:
    broken = sum(len(log.dropped) + log.unreadable for log in logs)
    share = broken / max(1, sum(log.rows + len(log.dropped) for log in logs))
    detail = f"{broken:,} lines or times ({percent(share)}) cannot be read"
    return verdict.gate("readable", held=share <= UNREADABLE_AT_MOST, detail=detail)
