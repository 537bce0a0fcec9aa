"""Grade an event log of a process, or a list of alarms or work orders."""

from __future__ import annotations

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


def grade_events(table: Table, brief: Brief) -> GradeReport:
    """Grade an event log.

    Args:
        table: Rows of events: columns named as case and activity (or as event and
            machine), and one of time. Untrusted.
        brief: What is known beside the events.

    Raises:
        ColumnMissingError: if no such columns are found.
    """
    roles = find_roles(table.frame)
    if roles is None:
        held = ", ".join(table.frame.columns[:8])
        msg = f"{table.name} has no columns named as case, activity and time; it has {held}."
        raise ColumnMissingError(
            msg,
            advice="Name them case_id, activity and timestamp, or say --kind table.",
        )
    log = as_log(table, roles)
    beside = papers.read_papers(brief)
    sheet = Sheet(
        name=table.name,
        rows=max(1, log.rows),
        columns=table.frame.width,
        exposures=look(table.frame, passed_over=[roles.start, roles.end]),
    )
    tallies: list[Tally] = [
        checks.readable(log),
        checks.complete(log),
        flow.variants(log),
        checks.copies(log),
        flow.ordered(log),
        flow.whole_cases(log),
        flow.feasible(log),
        checks.resourced(log),
        checks.named(log),
        checks.plausible(log, brief.now_us),
        exposed.exposed(sheet),
        *beside.tallies,
    ]
    return verdict.report(
        brief.name,
        brief.task,
        {table.name: log.rows},
        [*tallies, *variants.absent("events", tallies)],
        [
            _leakage_gate(),
            beside.licence,
            exposed.secrets_gate([sheet]),
            _readable_gate(log),
            verdict.gate("labels", held=True, detail="an event log needs none"),
            beside.card,
        ],
        (_kind(log), *table.assumptions),
        variants.specs_of("events"),
    )


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
        what=f"this is {kind}: {log.rows:,} events, {len(log.runs):,} cases ({columns})",
        why="its columns are named so, and one reads as time",
        otherwise="--kind table or --kind texts",
    )


def _leakage_gate() -> Gate:
    detail = "no split was declared; split by case and in time, never by event"
    return verdict.gate("leakage", held=None, detail=detail)


def _readable_gate(log: Log) -> Gate:
    broken = len(log.dropped) + log.unreadable
    share = broken / max(1, log.rows + len(log.dropped))
    detail = f"{broken:,} lines or times ({percent(share)}) cannot be read"
    return verdict.gate("readable", held=share <= UNREADABLE_AT_MOST, detail=detail)
