"""Mend a data set: write a new version of it, with its lineage, and grade both."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data import mended as writing
from tundish.data.card.beside import beside
from tundish.data.errors import TableUnreadableError
from tundish.data.formulas import formulas
from tundish.data.grade.asked import Asked
from tundish.data.grade.checks import Graded
from tundish.data.grade.file import graded_table
from tundish.data.grade.report import GradeReport
from tundish.data.mend import Mended, Step, Unmended, mend_table, unmended
from tundish.data.readers import read_table
from tundish.data.roles import Named
from tundish.data.table import Table
from tundish.data.version import version_of
from tundish.flows.errors import DataMovedError, OutExistsError
from tundish.flows.fetch import Located, Progress, locate
from tundish.flows.grade import GradeOptions, asked, binding_of, bound
from tundish.flows.own_sets import path_of
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, clock, paths
from tundish.kernel import digest as digests
from tundish.kernel.clock import SystemClock
from tundish.kernel.digest import Digest
from tundish.kernel.errors import DiskFullError, PathMissingError
from tundish.kernel.records import Record

LINEAGE = "lineage.json"
_FILES = {".csv", ".txt", ".tsv", ".parquet", ".dat", ".data"}


class Version(Record):
    """One version of a data set: its name, its digest and its letter."""

    name: str
    digest: str
    letter: str


class Lineage(Record):
    """How a version of a data set came from another; ``lineage.json`` beside it.

    Attributes:
        parent: What it was made from.
        version: What was made.
        steps: What was done, in order.
        unmended: Findings that stay, and why.
        tool: Program and version.
        made_at: ISO 8601 in UTC.
    """

    format: str = "tundish.lineage"
    form: int = 1
    parent: Version
    version: Version
    steps: tuple[Step, ...]
    unmended: tuple[Unmended, ...]
    tool: str
    made_at: str


class MendReport(Record):
    """What was mended, or would be.

    Attributes:
        written: Where the new version is; empty for a dry run.
        lineage: What stands beside it.
        before, after: Both grades; after a dry run, ``after`` is that of the values in
            memory (of a site's set, the grade before).
    """

    written: str
    lineage: Lineage
    before: GradeReport
    after: GradeReport

    @property
    def clean(self) -> bool:
        """True if there was nothing to mend."""
        return not self.lineage.steps


@dataclass(frozen=True, kw_only=True)
class _Terms:
    located: Located
    options: GradeOptions
    site: str | None


def mend(  # noqa: PLR0913  (a set, where to, how to grade)
    data: str,
    out: Path,
    options: GradeOptions | None = None,
    *,
    dry_run: bool = False,
    mirror: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> MendReport:
    """Write a mended version of a data set beside its lineage, and grade it again.

    The set itself is only read. A set without a fault is copied byte by byte and keeps
    its digest.

    Args:
        data: A file, a folder bound by a site profile, or a set of the catalogue.
        out: A new folder, or for one file a new file; its lineage stands beside it.
        options: How to grade.
        dry_run: Write nothing.
        mirror: Where to take a catalogue set from without a network.
        workspace: Whose ledger keeps the act, if any.
        progress: Told what is being done.

    Raises:
        OutExistsError: if there is something at ``out``.
        DataMovedError: if the data changed meanwhile.
        PathMissingError, and what the readers refuse.
    """
    chosen = options or GradeOptions()
    tell = progress or (lambda _text: None)
    data = path_of(workspace, data)
    located = locate(data, mirror=mirror, progress=progress)
    terms = _terms(located, chosen)
    _must_be_free(out, located)
    parent = located.digest
    tell("reading, grading, mending")
    with _workplace(out, dry_run=dry_run) as work:
        called = out.name if _is_file_name(out) else None
        done = (
            _one(terms, work, called)
            if terms.site is None
            else _many(terms, terms.site, work)
        )
        if version_of(located.place).digest != parent:
            msg = f"{located.name} changed while it was mended."
            raise DataMovedError(msg)
        lineage = _lineage(located, done, work)
        if work is None:
            return _report(done, lineage, "")
        (work / LINEAGE).write_bytes(canonical.dumps(lineage.to_json()))
        _settle(work, out, located, one_file=terms.site is None)
    if workspace is not None:
        _record(workspace, lineage)
    return _report(done, lineage, str(out))


@dataclass(frozen=True, kw_only=True)
class _Done:
    before: GradeReport
    after: GradeReport
    steps: tuple[Step, ...]
    unmended: tuple[Unmended, ...]
    name: str


def _terms(located: Located, options: GradeOptions) -> _Terms:
    name = binding_of(options, located.site)
    if name is None and located.place.is_dir():
        msg = (
            f"{located.name} is a folder, and no site profile says what its files are."
        )
        advice = "Name a file, or bind the folder with --site FILE."
        raise PathMissingError(msg, advice=advice)
    return _Terms(located=located, options=options, site=name)


def _one(terms: _Terms, work: Path | None, called: str | None) -> _Done:
    """Mend one file; the new one has the same name if it is to lie in a folder."""
    path, options = terms.located.place, terms.options
    named = options.named
    known, said = beside(path)
    table = read_table(path)
    table = replace(table, assumptions=(*table.assumptions, *said))

    told = asked(terms.located, options, known)

    def grade(held: Table) -> Graded:  # many times, so without what fits models
        return graded_table(held, named, replace(told, deep=False))

    made = mend_table(table, grade, named)
    name = called or writing.file_name(path, table, made.edits)
    after = made.after
    if work is not None:
        writing.write(path, table, made.edits, work / name)
        after = grade(replace(read_table(work / name), name=table.name)).report
    return _Done(
        before=made.before,
        after=after,
        steps=made.steps,
        unmended=(*made.unmended, *formulas(table)),
        name=name,
    )


def _many(terms: _Terms, name: str, work: Path | None) -> _Done:
    """Mend the tables of a site's files each by itself; other files are copied."""
    located, site = terms.located, library.site(name)
    units = _units(site, library.scenario(terms.options.scenario or site.scenario))
    steps: list[Step] = []
    done: set[str] = set()
    for one in site.tables.values():
        path = paths.join(located.root, one.file)
        if one.file in done or not path.is_file():
            continue
        done.add(one.file)
        named = Named(
            time=one.time_column,
            unit=one.unit_column or site.batch_column,
            time_zone=site.time_zone,
        )
        made = _mended_in_place(path, one.file, (named, units), work)
        steps += [step.model_copy(update={"table": one.file}) for step in made.steps]
    if work is not None:
        for file in located.version.files:
            if file.name not in done:
                into = work / file.name
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(located.root / file.name, into)
    before = after = bound(located, terms.options, name).report
    if work is not None:
        there = replace(located, root=work, place=work)
        after = bound(there, terms.options, name).report
    return _Done(
        before=before,
        after=after,
        steps=tuple(steps),
        unmended=unmended(after, UNBOUND),
        name=located.name,
    )


UNBOUND = "it shows only under the contract's terms; the file by itself does not tell"


def _units(site: SiteProfile, scenario: Scenario) -> dict[str, str]:
    """Return the unit of each of the plant's columns that is a signal as it stands."""
    return {
        tag.column: signal.unit
        for signal in scenario.signals
        if (tag := site.tags.get(signal.name)) is not None
        and tag.column is not None
        and (tag.scale, tag.offset) == (1.0, 0.0)
    }


def _mended_in_place(
    path: Path, name: str, told: tuple[Named, dict[str, str]], work: Path | None
) -> Mended:
    """Mend one file of a set under its own name."""
    table = read_table(path)
    now = SystemClock().now()
    named, units = told
    made = mend_table(
        table,
        lambda held: graded_table(held, named, Asked(now=now, units=units, deep=False)),
        named,
    )
    if writing.file_name(path, table, made.edits) != path.name:
        msg = f"{name} is of a kind that cannot be written again."
        advice = "Store it as CSV or Parquet, and change the site profile."
        raise TableUnreadableError(msg, advice=advice)
    if work is not None:
        into = paths.join(work, name)
        into.parent.mkdir(parents=True, exist_ok=True)
        writing.write(path, table, made.edits, into)
    return made


def _lineage(located: Located, done: _Done, work: Path | None) -> Lineage:
    digest = version_of(work).digest if work is not None else ""
    return Lineage(
        parent=Version(
            name=located.name, digest=located.digest, letter=done.before.letter
        ),
        version=Version(name=done.name, digest=digest, letter=done.after.letter),
        steps=done.steps,
        unmended=done.unmended,
        tool=f"tundish {metadata.version('tundish')}",
        made_at=clock.to_text(SystemClock().now()),
    )


def _report(done: _Done, lineage: Lineage, written: str) -> MendReport:
    return MendReport(
        written=written, lineage=lineage, before=done.before, after=done.after
    )


def _record(workspace: Workspace, lineage: Lineage) -> None:
    made = digests.of_json(lineage.to_json())
    parent, child = Digest(lineage.parent.digest), Digest(lineage.version.digest)
    workspace.record(
        "mended",
        inputs=[parent],
        outputs=[made] if child == parent else [child, made],
        names={
            parent: lineage.parent.name,
            child: f"{lineage.version.name} (mended)",
            made: f"lineage of {lineage.version.name}",
        },
        detail={
            "before": lineage.parent.letter,
            "after": lineage.version.letter,
            "steps": len(lineage.steps),
            "rows": sum(step.rows for step in lineage.steps),
            "cells": sum(step.cells for step in lineage.steps),
        },
    )


def _is_file_name(out: Path) -> bool:
    return out.suffix.lower() in _FILES


def _must_be_free(out: Path, located: Located) -> None:
    if located.place.is_dir() and out.resolve().is_relative_to(located.place.resolve()):
        msg = f"{out} lies inside the data set that is to be mended."
        raise OutExistsError(msg, advice="Name a place outside of it.")
    beside = out.with_name(f"{out.name}.{LINEAGE}")
    taken = [path for path in (out, beside) if path.exists() or path.is_symlink()]
    if taken:
        msg = f"There is something at {taken[0]} already; it was left as it is."
        raise OutExistsError(msg)


@contextmanager
def _workplace(out: Path, *, dry_run: bool) -> Iterator[Path | None]:
    if dry_run:
        yield None
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(dir=out.parent, prefix=".tundish-")
    except OSError as error:
        msg = f"Nothing can be written at {out}: {error.strerror}."
        raise PathMissingError(
            msg, advice="Name a place that you may write to."
        ) from error
    with place as name, _room(out):
        work = Path(name) / "new"
        work.mkdir()
        yield work


@contextmanager
def _room(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            msg = f"There is no room on the disk to write {out}."
            raise DiskFullError(msg) from error
        raise


def _settle(work: Path, out: Path, located: Located, *, one_file: bool) -> None:
    """Put the new version in its place; what came there meanwhile is not replaced."""
    _must_be_free(out, located)
    if not (one_file and _is_file_name(out)):
        work.rename(out)
        return
    made = next(path for path in work.iterdir() if path.name != LINEAGE)
    (work / LINEAGE).rename(out.with_name(f"{out.name}.{LINEAGE}"))
    made.rename(out)
