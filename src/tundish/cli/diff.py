"""How the difference between two versions of a data set is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tundish.cli import show
from tundish.kernel.digest import short

if TYPE_CHECKING:
    from tundish.data.grade.diff import ColumnDiff, GradeDiff, TableDiff
    from tundish.flows.diff import DiffReport

SHOWN = 15


def show_diff(report: DiffReport) -> None:
    """Print what is different, and what it does to the grade."""
    head = f"{report.before} ({short(report.before_digest)}) -> {report.after} ({short(report.after_digest)})"
    show.line(head, "bold")
    if report.identical:
        show.line("The same bytes.", show.GOOD)
    files = report.files
    for word, names in (("added", files.added), ("removed", files.removed)):
        if names:
            show.line(f"  files {word}: {_some(names)}")
    if len(files.changed) > 1 or (files.changed and files.same):
        show.line(f"  files changed: {_some(files.changed)}; the same: {files.same:,}")
    for word, names in (("added", report.added), ("removed", report.removed)):
        if names:
            show.line(f"  tables {word}: {_some(names)}")
    for table in report.tables:
        _show_table(table)
    _show_grade(report.grade)


def _show_table(table: TableDiff) -> None:
    rows = table.rows
    changed = "" if rows.changed is None else f", {rows.changed:,} of them changed"
    show.line(
        f"  {table.table}: {rows.before:,} -> {rows.after:,} rows; joined by "
        f"{rows.joined_by}: {rows.same:,} in both{changed}, {rows.added:,} added, "
        f"{rows.removed:,} removed"
    )
    moved = table.moved
    if not moved:
        show.line(f"  all {len(table.columns)} columns are as they were", "dim")
        return
    rows_shown = [_column(column) for column in moved[:SHOWN]]
    show.table(
        "",
        ["column", "what", "filled", "PSI", "KS", "cells changed"],
        rows_shown,
    )
    if len(moved) > SHOWN:
        show.line(f"  and {len(moved) - SHOWN} more columns (--json lists them)", "dim")


def _column(column: ColumnDiff) -> tuple[str, ...]:
    said = {
        "added": f"added ({column.after})",
        "removed": f"removed ({column.before})",
        "retyped": f"retyped: {column.before} -> {column.after}",
        "renamed": f"renamed? it was {column.was}",
        "same": "",
    }[column.state]
    notes = [said] if said else []
    if column.factor is not None:
        notes.append(f"values times {column.factor:.6g}: another unit?")
    if column.shifted:
        notes.append("shifted")
    return (
        column.name,
        ", ".join(notes) or "cells changed",
        f"{column.filled_before:,} -> {column.filled_after:,}",
        "" if column.psi is None else f"{column.psi:.3f}",
        "" if column.ks is None else f"{column.ks:.3f}",
        "" if column.changed is None else f"{column.changed:,}",
    )


def _show_grade(grade: GradeDiff) -> None:
    tone = show.POOR if grade.fell else show.GOOD
    show.line(f"Grade {grade.before} -> {grade.after}", tone)
    show.line(f"  {grade.why}")
    rows = [
        (item.id, item.name_en, _value(item.before), _value(item.after))
        for item in grade.indicators
    ]
    if rows:
        show.table("", ["id", "indicator", "before", "after"], rows)
    for word, findings, style in (
        ("new", grade.new, show.WARN),
        ("gone", grade.gone, "green"),
    ):
        for finding in findings[:SHOWN]:
            where = f"{finding.tag} " if finding.tag else ""
            show.line(f"  {word}: {finding.kind} {where}{finding.what}", style)
        if len(findings) > SHOWN:
            show.line(f"  {word}: and {len(findings) - SHOWN} more", "dim")


def _value(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.6g}"


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
