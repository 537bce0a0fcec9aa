"""Write a new version of a data set without its doubtful labels.

A doubtful label is taken away, never changed: what the right one is, only somebody who
looks at the part can say. Only labels that a model learns from go. Those of the judge
part stay, however doubtful: a model must not choose what it is judged on.
"""

from __future__ import annotations

import csv
import io
import math
import shutil
from pathlib import Path

import numpy as np

from tundish.catalog.site import TargetSource
from tundish.data.version import version_of
from tundish.flows import runs
from tundish.flows.errors import OutExistsError, UnlabelUnfitError
from tundish.flows.fetch import locate
from tundish.flows.material import Prepared, prepare
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.learn.gaps_report import GapsReport

_TEXT = {".csv", ".tsv", ".txt"}


class UnlabelReport(Record):
    """What was taken away."""

    out: str
    parent: str
    digest: str
    removed: int
    kept_for_judging: int
    files: dict[str, int]


def unlabel(
    workspace: Workspace, run: str, report: GapsReport, out: Path
) -> UnlabelReport:
    """Copy a run's data to a new folder, with its doubtful labels left empty.

    Args:
        workspace: Holds the run.
        run: Its name.
        report: Its diagnosis.
        out: A folder that is not there yet.

    Raises:
        OutExistsError: if it is there.
        UnlabelUnfitError: if the labels do not stand in a text file row by row.
    """
    if out.exists():
        msg = f"{out} is there already; a new version takes a folder of its own."
        raise OutExistsError(msg)
    found = runs.find(workspace, run)
    located = locate(found.place.root)
    prepared = prepare(found.site, found.scenario, located.root)
    places = np.array([doubt.place for doubt in report.doubts], dtype=np.int64)
    learned = places[prepared.material.part[places] != "judge"]
    targets = {name: table.target for name, table in found.site.tables.items()}
    changed: dict[str, tuple[bytes, int]] = {}
    for name in sorted({_table(prepared, place) for place in learned}):
        mine = [place for place in learned if _table(prepared, place) == name]
        file, text = _emptied(located.root, targets[name], prepared, mine)
        changed[file] = (text, len(mine))
    shutil.copytree(located.root, out)
    for file, (text, _) in changed.items():
        paths.write_whole(out / file, text)
    made = Digest(version_of(out).digest)
    workspace.record(
        "labels-removed",
        inputs=[located.digest],
        outputs=[made],
        names={made: out.name},
        detail={"removed": len(learned), "run": found.name},
    )
    return UnlabelReport(
        out=str(out),
        parent=located.digest,
        digest=made,
        removed=len(learned),
        kept_for_judging=len(places) - len(learned),
        files={file: count for file, (_, count) in changed.items()},
    )


def _table(prepared: Prepared, place: int) -> str:
    return str(prepared.samples.source[place]).split("/", maxsplit=1)[0]


def _emptied(
    root: Path, target: TargetSource | None, prepared: Prepared, places: list[int]
) -> tuple[str, bytes]:
    """Return the file of labels with the cells of some windows left empty."""
    if target is None or target.by != "row" or target.file is None:
        msg = "The labels do not stand row by row in a file, so they cannot be left empty here."
        raise UnlabelUnfitError(msg)
    path = root / target.file
    if path.suffix.lower() not in _TEXT:
        msg = f"{target.file} is no text file with a separator, so its cells cannot be left empty here."
        raise UnlabelUnfitError(msg)
    text = path.read_text(encoding="utf-8-sig")
    first = text.splitlines()[0] if text else ""
    separator = max(",;\t", key=first.count)
    rows = list(csv.reader(io.StringIO(text), delimiter=separator))
    if target.column not in rows[0]:
        msg = f"The first line of {target.file} does not name the column {target.column!r}."
        raise UnlabelUnfitError(msg)
    column = rows[0].index(target.column)
    for place in places:
        row = rows[1 + int(prepared.samples.row[place])]
        _same(row[column], target, prepared, place)
        row[column] = ""
    made = io.StringIO()
    csv.writer(made, delimiter=separator, lineterminator="\n").writerows(rows)
    return target.file, made.getvalue().encode()


def _same(cell: str, target: TargetSource, prepared: Prepared, place: int) -> None:
    """Refuse to empty a cell that is not the label that was doubted."""
    if target.classes:
        if cell in target.classes:
            return
    else:
        try:
            value = float(cell) * target.scale
        except ValueError:
            value = math.nan
        if math.isclose(value, float(prepared.material.y[place]), rel_tol=1e-6):
            return
    msg = f"The cell {cell[:40]!r} of {target.file} is not the label that was doubted."
    raise UnlabelUnfitError(msg)
