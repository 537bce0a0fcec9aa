"""Grade data: a letter, hard gates, indicators, findings in order of worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tundish.catalog import library
from tundish.catalog.errors import UnknownNameError
from tundish.data.binding import bind
from tundish.data.card.beside import Known, beside, of_folder
from tundish.data.card.card import Use
from tundish.data.card.catalogued import card_of
from tundish.data.errors import JoinImpossibleError
from tundish.data.folder import read_folder
from tundish.data.grade.asked import Asked
from tundish.data.grade.bound import graded_bound
from tundish.data.grade.checks import Brief, Graded
from tundish.data.grade.events.grading import grade_events
from tundish.data.grade.file import Task, graded_file
from tundish.data.grade.folder import graded_folder
from tundish.data.grade.images.grading import grade_images
from tundish.data.grade.kind import DataKind, data_files, kind_of, text_files
from tundish.data.grade.pictures import draw
from tundish.data.grade.report import GradeReport
from tundish.data.grade.texts.grading import grade_texts
from tundish.data.join import JoinWish, Keep, seconds
from tundish.data.readers import read_table, read_tables
from tundish.data.roles import Named
from tundish.flows.engine import Engine, spread_by
from tundish.flows.fetch import Located, Progress, locate
from tundish.flows.grade_loaded import grade_loaded
from tundish.flows.outputs import write_out
from tundish.flows.own_sets import find_set, place_of
from tundish.flows.report.grade_words import Language
from tundish.flows.workspace import Workspace
from tundish.kernel import digest as digests
from tundish.kernel.clock import SystemClock
from tundish.kernel.records import Record


class GradeOptions(Record):
    """What is known of the data beside its bytes; all of it may be left out.

    Attributes:
        scenario: A contract to grade against; found from the site if not named.
        site: The site profile that binds the data.
        time, unit, target: Names of columns.
        task: ``regress`` (a number), ``diagnose`` (a class) or ``anomaly``.
        time_zone: Zone of local times.
        kind: ``table``, ``images``, ``texts`` or ``events``; found from the data if absent.
        licence: The data's licence or terms.
        use: What is meant to be done with the data: ``product``, ``research``, ``internal``.
        quick: True leaves out the indicators that fit models.
        running: Condition in which the plant runs; other rows are stops.
        sheet: Which of several tables in a file.
        join: File of laboratory results to be joined to the data.
        on: Column of the batch (``A=B`` if the names differ), or ``TIME``.
        lag: Time from the process to its result, such as ``40min`` (joined by time).
        retests: Which of several results of one sample counts.
        engine: ``local``, or ``ray`` for one Parquet file over many machines.
    """

    scenario: str | None = None
    site: str | None = None
    time: str | None = None
    unit: str | None = None
    target: str | None = None
    task: Task | None = None
    time_zone: str | None = None
    kind: DataKind | None = None
    licence: str | None = None
    use: Use | None = None
    quick: bool = False
    running: str | None = None
    sheet: str | None = None
    join: str | None = None
    on: str = "TIME"
    lag: str = "0"
    retests: Keep | None = None
    engine: Engine = "local"

    @property
    def named(self) -> Named:
        """The columns that were named."""
        return Named(
            time=self.time,
            unit=self.unit,
            target=self.target,
            time_zone=self.time_zone,
            running=self.running,
            task=None if self.target and self.task == "anomaly" else self.task,
        )


class PageWish(Record):
    """Where to write the page of a grade, and in which language (``en`` or ``zh``)."""

    file: Path
    language: Language = "en"


def grade(
    data: str,
    options: GradeOptions | None = None,
    *,
    mirror: Path | None = None,
    page: PageWish | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> GradeReport:
    """Grade a file, a folder bound by a site profile, or a set of the catalogue.

    Args:
        data: A path, a key of the catalogue, or the name of a registered set.
        options: What is known beside the bytes.
        mirror: Where to take a catalogue set from without a network.
        page: An HTML page to write; it replaces a file of that name.
        workspace: Whose ledger keeps the act, if any.
        progress: Told what is being done.

    Raises:
        PathMissingError, and what the readers refuse.
    """
    chosen = options or GradeOptions()
    tell = progress or (lambda _text: None)
    own = None if Path(data).exists() else find_set(workspace, data)
    known: Known | None = None
    if own is not None:
        place, known = place_of(own)
        data = str(place)
    located = locate(data, mirror=mirror, progress=progress)
    if own is not None:
        located = replace(located, name=own.name, card=known)
    tell("reading and grading")
    site = binding_of(chosen, located.site)
    if site:
        graded = bound(located, chosen, site)
    else:
        graded = _own(located, Path(data), chosen, tell)
    report = graded.report
    if page is not None:
        _write_page(graded, page)
    if workspace is not None:
        made = digests.of_json(report.to_json())
        workspace.record(
            "graded",
            inputs=[located.digest],
            outputs=[made],
            names={located.digest: located.name, made: f"grade of {located.name}"},
            detail={"letter": report.letter, "findings": len(report.findings)},
        )
    return report


def binding_of(options: GradeOptions, usual: str | None) -> str | None:
    """Return the site profile that binds the data; nothing if none does.

    Raises:
        UnknownNameError: if a contract was named and nothing binds the data to it: a
            grade without it must not look like one against it.
    """
    site = options.site or usual
    if site is None and options.scenario is not None:
        scenario = library.scenario(options.scenario)
        msg = f"The scenario {scenario.key} was named, and no site profile: nothing says which column is which of its signals."
        advice = (
            "Name the site profile that binds the data with --site, or leave "
            "--scenario out; 'tundish site list' names those of the catalogue."
        )
        raise UnknownNameError(msg, advice=advice)
    return site


def bound(located: Located, options: GradeOptions, name: str) -> Graded:
    """Grade files that a site profile binds; raises what binding and readers refuse.

    Pictures have no signals to bind: they are graded as the folder that they are.
    """
    site = library.site(name)
    if site.pictures is not None:
        return _own(located, located.root, options, lambda _text: None)
    if options.join is not None:
        msg = f"{name} says itself where results are (target); --join is for files without a site."
        raise JoinImpossibleError(
            msg, advice="Name the file under target in the site profile."
        )
    if options.running is not None:
        site = site.model_copy(update={"running": options.running})
    scenario = library.scenario(options.scenario or site.scenario)
    return graded_bound(
        bind(site, scenario, located.root),
        scenario,
        site,
        asked(located, options, _known(located)),
        name=located.name,
    )


def asked(located: Located, options: GradeOptions, known: Known | None = None) -> Asked:
    """Return what stands beside the data, from what was said and what is known."""
    return Asked(
        now=SystemClock().now(),
        licence=options.licence or located.licence,
        licence_kind=located.entry.licence.kind if located.entry else None,
        known=known,
        use=options.use,
        deep=not options.quick,
        join=_join(options),
    )


def asked_of(located: Located, options: GradeOptions) -> Asked:
    """Return what stands beside a set of the catalogue: its entry is its card."""
    return asked(located, options, _known(located))


def _own(located: Located, path: Path, options: GradeOptions, tell: Progress) -> Graded:
    """Grade data of one's own as the kind it is, a set of the catalogue as it is loaded."""
    entry = located.entry
    if entry is not None and entry.load and options.kind is None:
        told = asked_of(located, options)
        part = options.sheet
        return grade_loaded(entry, located.root, options.named, told, part)[0]
    place = path if path.exists() else located.root
    kind = options.kind or kind_of(place)
    if kind == "table":
        return _table(located, path, options)
    brief = _brief(located, place, options)
    if kind == "images":
        report = grade_images(place, brief, target=options.target, progress=tell)
    elif kind == "texts":
        found, left = text_files(place)
        report = grade_texts(found, brief, skipped=left)
    else:
        files = data_files(place) if place.is_dir() else (place,)
        tables = [table for file in files for table in read_tables(file)]
        report = grade_events(tables, brief)
    return Graded(report=report)


def _brief(located: Located, place: Path, options: GradeOptions) -> Brief:
    alone = located.entry is None and place.is_file()
    known, said = beside(place) if alone else (_known(located), ())
    brief = asked(located, options, known).brief(located.name, options.task or "unsaid")
    return replace(brief, assumptions=said)


def _table(located: Located, path: Path, options: GradeOptions) -> Graded:
    spread = spread_by(options.engine, path.name)
    if path.is_dir():
        return _folder(located, path, options)
    return graded_file(
        path,
        options.named,
        asked(located, options, located.card),
        sheet=options.sheet,
        spread=spread,
    )


def _folder(located: Located, path: Path, options: GradeOptions) -> Graded:
    return graded_folder(
        read_folder(path, sheet=options.sheet),
        options.named,
        asked(located, options, _known(located)),
    )


def _join(options: GradeOptions) -> JoinWish | None:
    """Read the laboratory's file."""
    if options.join is None:
        return None
    return JoinWish(
        lab=read_table(Path(options.join)),
        on=options.on,
        lag_s=seconds(options.lag),
        keep=options.retests,
        target=options.target,
    )


def _known(located: Located) -> Known | None:
    """Return the card of a set of the catalogue, or the one in a folder."""
    if located.card is not None:
        return located.card
    if located.entry is None:
        return of_folder(located.root)
    where = "the entry of the catalogue"
    return Known(
        card=card_of(located.entry, located.listed), where=where, own=False, fits=True
    )


def _write_page(graded: Graded, wish: PageWish) -> None:
    # Late: the page needs Jinja, which a mere grade does not.
    from tundish.flows.report.grade_page import grade_page  # noqa: PLC0415

    html = grade_page(
        graded.report,
        draw(graded.report, graded.sheets),
        now=SystemClock().now(),
        language=wish.language,
    )
    write_out(wish.file, html.encode())
