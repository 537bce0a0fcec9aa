"""``tundish data list|show|fetch|mirror|verify``: the sets of the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from tundish.cli import show
from tundish.cli.options import AsJson, Mirror, answered, nearby

if TYPE_CHECKING:
    from tundish.data.fetch.proof import SetProof
    from tundish.flows.data_mirror import ProofReport
    from tundish.flows.data_sets import Found, SetReport
    from tundish.flows.fetch import FetchReport, Wish

NAMED = 12

Keys: TypeAlias = Annotated[
    list[str], typer.Argument(help="Keys of 'tundish data list'.")
]
SomeKeys: TypeAlias = Annotated[
    list[str] | None, typer.Argument(help="Keys of 'tundish data list'.")
]
Accept: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--accept-licence",
        help="Accept terms of the classes N (non-commercial) and U (none stated).",
    ),
]
MostBytes: TypeAlias = Annotated[
    int,
    typer.Option(
        min=1,
        max=10**15,
        help="Fetch at most so many bytes together; at a terminal you are asked first.",
    ),
]


def register(group: typer.Typer) -> None:
    """Add the commands of this file to ``tundish data``."""
    group.command("list")(list_sets)
    group.command("show")(show_set)
    group.command("fetch")(fetch)
    group.command("mirror")(mirror_sets)
    group.command("verify")(verify)


def list_sets(  # noqa: PLR0913  (a command's options)
    words: Annotated[
        list[str] | None, typer.Argument(help="Words that all stand in the entry.")
    ] = None,
    sector: Annotated[
        str | None, typer.Option(help="A division of GB/T 4754, such as C34.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="A task, such as anomaly.")] = None,
    licence: Annotated[
        Literal["A", "A*", "B", "N", "U"] | None,
        typer.Option(help="A licence class: A, A*, B, N or U."),
    ] = None,
    origin: Annotated[
        Literal["real", "simulated", "synthetic", "altered"] | None,
        typer.Option(help="Where the values come from."),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Only those in the cache or the mirror.")
    ] = False,
    mirror: Mirror = None,
    json: AsJson = False,
) -> None:
    """List the data sets of the catalogue, and those that are registered here."""
    from tundish.flows import own_sets
    from tundish.flows.data_sets import Filter, find_sets

    wanted = Filter(
        words=tuple(words or ()), sector=sector, task=task, licence=licence,
        origin=origin, here=here, mirror=mirror,
    )  # fmt: skip
    found = find_sets(wanted)
    workspace = nearby()
    filtered = any((words, sector, task, licence, origin))
    own = own_sets.list_sets(workspace) if workspace and not filtered else []
    if json:
        show.as_json(
            [*(one.entry.to_json() for one in found), *(o.to_json() for o in own)]
        )
        return
    rows = [_row(one) for one in found]
    for kept in own:
        card = kept.card
        title = card.title.en if card.title else card.name
        terms = (card.licence.kind or card.licence.name) if card.licence else ""
        about = (card.sector or "", card.task or "", card.origin or "")
        rows.append((kept.name, title, *about, terms, "own"))
    columns = ["key", "name", "sector", "task", "origin", "class", "here"]
    show.table("Data sets", columns, rows, whole=1)
    show.line(f"Sets of the catalogue: {len(found)}; of your own: {len(own)}")


def _row(found: Found) -> tuple[str, ...]:
    entry = found.entry
    about = (entry.sector, entry.task, entry.origin, entry.licence.kind)
    return (entry.key, entry.name.en, *about, found.where)


def show_set(
    key: Annotated[str, typer.Argument(help="A key of 'tundish data list'.")],
    mirror: Mirror = None,
    json: AsJson = False,
) -> None:
    """Show all about one data set: what it is, its terms, and how to get it."""
    from tundish.flows import data_sets

    report = data_sets.show_set(key, mirror)
    if json:
        show.as_json(report)
        return
    _show_set(report)


def _show_set(report: SetReport) -> None:
    entry = report.entry
    show.line(f"{entry.key}: {entry.name.en} ({entry.name.zh})", "bold")
    show.line(entry.description)
    sectors = ", ".join((entry.sector, *entry.further_sectors))
    isic = f"; ISIC {', '.join(entry.isic)}" if entry.isic else ""
    rows = [
        ("sector", f"{sectors}{isic}"),
        ("task", entry.task),
        ("origin", entry.origin),
        ("source", _source(report)),
        ("licence", report.terms),
        ("cite", entry.citation),
        ("here", report.where or "no"),
    ]
    if entry.stated_units:
        units = [f"{name}: {unit}" for name, unit in entry.stated_units.items()]
        rows.append(("units", ", ".join(units[:NAMED])))
    if entry.scenarios:
        rows.append(("scenarios", ", ".join(map(str, entry.scenarios))))
    for name, text in rows:
        show.line(f"  {name:<10} {text}")
    for caveat in entry.caveats:
        show.line(f"  Caveat: {caveat}", show.WARN)
    _how_to_get(report)


def _source(report: SetReport) -> str:
    source = report.entry.source
    if source.kind == "hand":
        return f"{source.address} (fetched by hand)"
    size = f"{report.files} files, {report.bytes:,} bytes"
    if source.kind == "wheel":
        return f"Python package {source.package} {source.version}: {size} with the rest of it"
    return f"{source.kind}: {size}"


def _how_to_get(report: SetReport) -> None:
    key = report.entry.key
    if report.where == "cache":
        show.line(f"  It is here: tundish grade {key}", show.GOOD)
        return
    for number, step in enumerate(report.steps, start=1):
        show.line(f"  {number}. {step}")
    source = report.entry.source
    for file in source.files if source.kind == "hand" else ():
        show.line(f"     {file.name}: {file.what}", "dim")
    option = " --from FOLDER" if report.steps else ""
    accept = "" if report.accepted else " --accept-licence"
    show.line(f"  Get it: tundish data fetch {key}{option}{accept}")


def fetch(
    keys: Keys,
    mirror: Mirror = None,
    by_hand: Annotated[
        Path | None,
        typer.Option(
            "--from", help="The folder that you filled, for a set fetched by hand."
        ),
    ] = None,
    accept_licence: Accept = False,
    max_bytes: MostBytes = 1_000_000_000,
    json: AsJson = False,
) -> None:
    """Fetch data sets, check every byte against its pinned digest, and cache them.

    What was cut off goes on with the next call.
    """
    from tundish.flows.fetch import Wish, fetch_sets

    wish = Wish(
        mirror=mirror, by_hand=by_hand, accept_licence=accept_licence,
        most_bytes=max_bytes,
    )  # fmt: skip
    wish = _asked(keys, wish, json=json)
    with show.progressing(f"Fetching {', '.join(keys[:NAMED])}") as told:
        reports = fetch_sets(keys, wish, nearby(), told)
    if json:
        show.as_json(
            reports[0] if len(keys) == 1 else [one.to_json() for one in reports]
        )
        return
    for report in reports:
        _show_fetched(report)


def _show_fetched(report: FetchReport) -> None:
    show.line(f"{report.name}: {len(report.files)} files in {report.folder}", show.GOOD)
    show.line(f"Licence: {report.terms}. Cite: {report.citation}")
    for caveat in report.caveats:
        show.line(f"Caveat: {caveat}", show.WARN)
    if report.first_use:
        names = ", ".join(report.first_use[:NAMED])
        more = len(report.first_use) - NAMED
        tail = f" and {more:,} more" if more > 0 else ""
        show.line(
            f"The catalogue pins no digest of {names}{tail}: what came now is trusted, "
            "and other bytes are refused from now on.",
            show.WARN,
        )


def _asked(keys: list[str], wish: Wish, *, json: bool) -> Wish:
    """Ask a person before much is fetched; others must name the limit."""
    from dataclasses import replace

    from tundish.catalog import library
    from tundish.flows.fetch import absent, size_of

    size = size_of(absent([library.dataset(key) for key in keys]))
    if size <= wish.most_bytes or json or not sys.stdin.isatty():
        return wish
    question = f"{size / 1e6:,.0f} MB are to be fetched. Go on?"
    if answered(question, lambda: typer.confirm(question)):
        return replace(wish, most_bytes=size)
    return wish


def mirror_sets(  # noqa: PLR0913  (a command's options)
    out: Annotated[Path, typer.Argument(help="The folder; made if it is not there.")],
    keys: SomeKeys = None,
    every: Annotated[
        bool, typer.Option("--all", help="All sets that need no person to fetch them.")
    ] = False,
    mirror: Mirror = None,
    accept_licence: Accept = False,
    max_bytes: MostBytes = 1_000_000_000,
    json: AsJson = False,
) -> None:
    """Put data sets into a folder by digest, for a USB stick: --mirror reads it.

    --all leaves out sets that are fetched by hand and are not here.
    """
    from tundish.flows import data_mirror
    from tundish.flows.data_sets import to_mirror
    from tundish.flows.fetch import Wish

    if bool(keys) == every:
        msg = "name sets, or give --all"
        raise typer.BadParameter(msg)
    chosen = to_mirror() if every else list(keys or ())
    wish = Wish(mirror=mirror, accept_licence=accept_licence, most_bytes=max_bytes)
    wish = _asked(chosen, wish, json=json)
    with show.progressing(f"Copying {len(chosen)} sets") as told:
        report = data_mirror.mirror_sets(out, chosen, wish, nearby(), told)
    if json:
        show.as_json(report)
        return
    show.line(
        f"{len(report.sets)} sets, {report.files:,} files, {report.bytes:,} bytes in {report.folder}",
        show.GOOD,
    )
    show.line(f"It holds {report.held} sets. Carry it, then: --mirror {report.folder}")


def verify(
    keys: SomeKeys = None,
    mirror: Annotated[
        Path | None,
        typer.Option(
            help="The folder: a mirror, a cache, or a folder for each set; default: the cache."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Prove every digest of the sets that a folder holds; nobody is asked.

    Ends with exit code 3 if a byte differs from what the catalogue pins.
    """
    from tundish.flows.data_mirror import verify_sets

    with show.progressing("Proving") as told:
        report = verify_sets(keys or (), mirror, told)
    if json:
        show.as_json(report)
    else:
        _show_proof(report)
    report.require()


def _show_proof(report: ProofReport) -> None:
    rows = [
        (one.key, f"{one.files:,} of {one.pinned:,}", f"{one.bytes:,}", _result(one))
        for one in report.sets
    ]
    show.table(
        f"Sets in {report.folder}", ["set", "files", "bytes", "result"], rows, whole=3
    )
    size = sum(one.bytes for one in report.sets)
    show.line(f"{report.proven:,} files with {size:,} bytes have the pinned digests.")
    if report.absent:
        named = ", ".join(report.absent[:NAMED])
        more = len(report.absent) - NAMED
        tail = f" and {more} more" if more > 0 else ""
        show.line(f"Not here: {named}{tail}", "dim")


def _result(one: SetProof) -> str:
    if one.why:
        return f"differs: {one.why}"
    if one.wrong:
        return f"differs: {', '.join(one.wrong[:3])}"
    tail = f" ({one.missing} files are not here)" if one.missing else ""
    trust = f"; {one.on_trust} as they first came" if one.on_trust else ""
    return f"{one.result}{tail}{trust}"
