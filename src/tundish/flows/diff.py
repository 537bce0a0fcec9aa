"""Compare two versions of a data set: files, rows, columns, distributions, grades."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tundish.catalog import library
from tundish.data.card.beside import beside
from tundish.data.grade.checks import Graded
from tundish.data.grade.diff import (
    GradeDiff,
    Side,
    TableDiff,
    diff_grades,
    diff_tables,
    side_of,
)
from tundish.data.grade.file import graded_table
from tundish.data.readers import read_table
from tundish.data.version import DataVersion
from tundish.flows.fetch import Located, Progress, locate
from tundish.flows.grade import GradeOptions, asked, binding_of, bound
from tundish.flows.own_sets import path_of
from tundish.flows.workspace import Workspace
from tundish.kernel.errors import PathMissingError
from tundish.kernel.records import Record


class FilesDiff(Record):
    """Files of both versions, by name; a single file on each side is one file."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    same: int = 0


class DiffReport(Record):
    """What is different between two versions of a data set.

    Attributes:
        identical: True if the digests, or all files, are the same.
        tables: One entry for each table that both versions have.
        added, removed: Tables of one version only.
    """

    before: str
    after: str
    before_digest: str
    after_digest: str
    identical: bool
    files: FilesDiff
    tables: tuple[TableDiff, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    grade: GradeDiff


def diff(
    before: str,
    after: str,
    options: GradeOptions | None = None,
    *,
    mirror: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> DiffReport:
    """Compare two versions of a data set, and say what the new one does to the grade.

    Args:
        before: The older version: a file, a folder bound by a site, a catalogue key.
        after: The newer version.
        options: How to grade both.
        mirror: Where to take a catalogue set from without a network.
        workspace: Whose ledger keeps the act, if any.
        progress: Told what is being done.

    Raises:
        PathMissingError, and what the readers refuse.
    """
    chosen = options or GradeOptions()
    tell = progress or (lambda _text: None)
    located = [
        locate(path_of(workspace, data), mirror=mirror, progress=progress)
        for data in (before, after)
    ]
    usual = next((one.site for one in located if one.site), None)
    site = binding_of(chosen, usual)
    tell("reading and grading both")
    old, new = (_graded(one, chosen, site) for one in located)
    tell("comparing")
    names = (set(old.sides), set(new.sides))
    pairs = _pairs(old.sides, new.sides)
    report = DiffReport(
        before=located[0].name,
        after=located[1].name,
        before_digest=located[0].digest,
        after_digest=located[1].digest,
        identical=_identical(located[0].version, located[1].version),
        files=_files(located[0].version, located[1].version),
        tables=tuple(diff_tables(one, two) for one, two in pairs),
        added=tuple(sorted(names[1] - names[0])) if len(pairs) != 1 else (),
        removed=tuple(sorted(names[0] - names[1])) if len(pairs) != 1 else (),
        grade=diff_grades(old.graded.report, new.graded.report),
    )
    if workspace is not None:
        _record(workspace, located, report)
    return report


@dataclass(frozen=True, kw_only=True)
class _Version:
    graded: Graded
    sides: dict[str, Side]


def _graded(located: Located, options: GradeOptions, site: str | None) -> _Version:
    if site is not None:
        library.site(site)
        graded = bound(located, options, site)
        return _Version(
            graded=graded, sides={s.name: side_of(s) for s in graded.sheets}
        )
    if located.place.is_dir():
        msg = (
            f"{located.name} is a folder, and no site profile says what its files are."
        )
        advice = "Name two files, or bind both folders with --site FILE."
        raise PathMissingError(msg, advice=advice)
    known, _ = beside(located.place)
    table = read_table(located.place)
    graded = graded_table(table, options.named, asked(located, options, known))
    frame = table.frame if len(graded.sheets) == 1 else None
    return _Version(
        graded=graded, sides={s.name: side_of(s, frame) for s in graded.sheets}
    )


def _pairs(old: dict[str, Side], new: dict[str, Side]) -> list[tuple[Side, Side]]:
    if len(old) == 1 == len(new):
        return [(next(iter(old.values())), next(iter(new.values())))]
    return [(old[name], new[name]) for name in old if name in new]


def _identical(old: DataVersion, new: DataVersion) -> bool:
    if len(old.files) == 1 == len(new.files):
        return old.files[0].root == new.files[0].root
    return old.digest == new.digest


def _files(old: DataVersion, new: DataVersion) -> FilesDiff:
    one = {file.name: file.root for file in old.files}
    two = {file.name: file.root for file in new.files}
    if len(one) == 1 == len(two):
        same = list(one.values()) == list(two.values())
        return FilesDiff(changed=() if same else tuple(two), same=int(same))
    both = one.keys() & two.keys()
    changed = sorted(name for name in both if one[name] != two[name])
    return FilesDiff(
        added=tuple(sorted(two.keys() - both)),
        removed=tuple(sorted(one.keys() - both)),
        changed=tuple(changed),
        same=len(both) - len(changed),
    )


def _record(workspace: Workspace, located: list[Located], report: DiffReport) -> None:
    old, new = (one.digest for one in located)
    workspace.record(
        "compared",
        inputs=[old, new],
        names={old: located[0].name, new: located[1].name},
        detail={"before": report.grade.before, "after": report.grade.after},
    )
