"""Write the card of a data set: Croissant, TC609 JSON lines, Markdown, or to fill in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tundish.data.card import package
from tundish.data.card.beside import FOREIGN_NAMES, OWN_NAMES, Known, beside, of_folder
from tundish.data.card.card import Card, read_card
from tundish.data.card.catalogued import card_of
from tundish.data.card.croissant import Act, croissant
from tundish.data.card.facts import SetFacts, gather
from tundish.data.card.markdown import GradeSummary, markdown
from tundish.data.card.tc609 import records
from tundish.data.card.template import template
from tundish.data.grade.report import GradeReport
from tundish.data.version import files_below, version_of
from tundish.flows import own_sets
from tundish.flows.errors import OutExistsError
from tundish.flows.fetch import Progress, locate
from tundish.flows.grade import grade
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, paths
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record
from tundish.ledger import lineage

CardForm = Literal["croissant", "tc609", "markdown", "template"]
FILE_NAMES: dict[CardForm, str] = {
    "croissant": "croissant.json",
    "tc609": "records.jsonl",
    "markdown": "CARD.md",
    "template": "card.yaml",
}
_MARKS: dict[CardForm, bytes] = {
    "croissant": b'"@context"',
    "tc609": b'"data_content"',
    "markdown": b"## At a glance",
    "template": b"tundish.card",
}
_HEAD = 64 * 1024
_FINDINGS = 5


class CardReport(Record):
    """A card that was written.

    Attributes:
        text: The card; of a package, its Croissant card.
        files: Files that were written; none if only the text was asked for.
        tables: Tables that were described.
        unread: Files of a table's kind that could not be read.
        card: Where what a person says of the set came from; empty if nobody did.
    """

    name: str
    form: CardForm
    text: str
    files: tuple[str, ...]
    tables: int
    unread: tuple[str, ...]
    card: str


def write_card(  # noqa: PLR0913  (what a user may ask for)
    data: str,
    form: CardForm = "markdown",
    *,
    out: Path | None = None,
    graded: bool = False,
    mirror: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> CardReport:
    """Write the card of a set.

    Args:
        data: A path, a key of the catalogue, or the name of a registered set.
        form: The form; ``template`` is a card to fill in.
        out: A file, or a folder to put the usual file into; with ``tc609`` a new folder
            becomes a whole package. Without it nothing is written.
        graded: Grade the set, and repeat the grade's summary in the card.
        mirror: Where to take a catalogue set from without a network.
        workspace: Whose registered sets and ledger are asked, if any.
        progress: Told what is being done.

    Raises:
        PathMissingError, and what the readers refuse.
        OutExistsError: if something else than the last version of this card is at ``out``.
    """
    tell = progress or (lambda _text: None)
    place, name, known = _place(data, mirror, workspace, tell)
    to = out / FILE_NAMES[form] if out is not None and out.is_dir() else out
    if to is not None:
        _must_be_free(to, form, known)
    tell("reading")
    version = version_of(place, sha256=True, progress=tell)
    by_name = {file.name: file for file in version.files}
    every = {place.name: place} if place.is_file() else files_below(place)
    cards = {*OWN_NAMES, *FOREIGN_NAMES, *FILE_NAMES.values()}
    files = {n: (p, by_name[n]) for n, p in sorted(every.items()) if n not in cards}
    card = known.card if known else None
    facts = gather(name, version.digest, files, card, tell)
    report = None
    if graded:
        tell("grading")
        named = data
        if Path(data).is_dir() and len(facts.tables) == 1:
            named = str(place / facts.tables[0].file)
        report = grade(named, mirror=mirror, workspace=workspace, progress=progress)
    text = _text(form, facts, card, report, _acts(workspace, Digest(version.digest)))
    written: tuple[str, ...] = ()
    if out is not None and form == "tc609" and not out.suffix:
        paths_of = {n: p for n, (p, _) in files.items()}
        texts = _texts(facts, card, report, _acts(workspace, Digest(version.digest)))
        written = package.write(out, facts, paths_of, card, texts)
        written = tuple(str(out / one) for one in written)
    elif to is not None:
        paths.write_whole(to, text.encode())
        written = (str(to),)
    if workspace is not None and written:
        made = digests.of_bytes(text.encode())
        workspace.record(
            "card-written",
            inputs=[Digest(version.digest)],
            outputs=[made],
            names={made: f"card of {name}", version.digest: name},
            detail={"form": form},
        )
    return CardReport(
        name=name,
        form=form,
        text=text,
        files=written,
        tables=len(facts.tables),
        unread=tuple(file for file, _ in facts.unread),
        card=known.where if known else "",
    )


def _must_be_free(to: Path, form: CardForm, known: Known | None) -> None:
    """Refuse a place where a card would take away the data, or what somebody filled in."""
    if not to.is_file() or not to.stat().st_size:
        return
    with to.open("rb") as stream:
        head = stream.read(_HEAD)
    if _MARKS[form] not in head:
        msg = f"Another file is at {to}; no card takes its place."
        raise OutExistsError(msg)
    if form != "template":
        return
    try:
        held = read_card(to)
    except TundishError as error:
        msg = f"The card at {to} cannot be read, and a template would take what was filled in: {error.message}"
        raise OutExistsError(msg, advice="Mend it, or choose another place.") from error
    if known is None or held != known.card:
        msg = f"The card at {to} is about other data; a template would take what was filled in."
        raise OutExistsError(msg)


def _place(
    data: str, mirror: Path | None, workspace: Workspace | None, tell: Progress
) -> tuple[Path, str, Known | None]:
    own = None if Path(data).exists() else own_sets.find_set(workspace, data)
    if own is not None:
        place, known = own_sets.place_of(own)
        return place, own.name, known
    located = locate(data, mirror=mirror, progress=tell)
    if located.entry is not None:
        where = "the entry of the catalogue"
        known = Known(
            card=card_of(located.entry, located.listed),
            where=where,
            own=False,
            fits=True,
        )
        return located.place, located.name, known
    if located.place.is_file():
        return located.place, located.name, beside(located.place)[0]
    return located.place, located.name, of_folder(located.place)


def _text(
    form: CardForm,
    facts: SetFacts,
    card: Card | None,
    report: GradeReport | None,
    acts: list[Act],
) -> str:
    if form == "croissant":
        return canonical.pretty(croissant(facts, card, acts)) + "\n"
    if form == "tc609":
        return package.json_lines(records(facts, card))
    if form == "template":
        return template(facts, card)
    return markdown(facts, card, summary(report) if report else None)


def _texts(
    facts: SetFacts, card: Card | None, report: GradeReport | None, acts: list[Act]
) -> dict[str, str]:
    made = {
        "croissant.json": canonical.pretty(croissant(facts, card, acts, below="data/")),
        "docs/CARD.md": markdown(facts, card, summary(report) if report else None),
        "metadata/card.yaml": template(facts, card),
    }
    if report is not None:
        made["evidence/grade.json"] = canonical.pretty(report.to_json())
    if acts:
        lines = [act.to_json() for act in acts]
        made["evidence/lineage.jsonl"] = package.json_lines(lines)
    return made


def summary(report: GradeReport) -> GradeSummary:
    """Return what a card repeats of a grade."""
    return GradeSummary(
        letter=report.letter,
        why=report.why,
        gates=tuple((g.name, g.state, g.detail) for g in report.gates),
        findings=tuple(
            (" ".join(p for p in (f.tag, f.span) if p), f.what, f.mend)
            for f in report.findings[:_FINDINGS]
        ),
        more=max(0, len(report.findings) - _FINDINGS),
    )


def _acts(workspace: Workspace | None, digest: Digest) -> list[Act]:
    """Return what the ledger says of the making of a digest, oldest first."""
    if workspace is None:
        return []
    with workspace.ledger() as ledger:
        entries = list(ledger.entries())
    found = lineage.ancestry(entries, digest)
    return [
        Act(label=touch.act, at=touch.at, inputs=tuple(touch.inputs))
        for touch in found.touches
        if touch.outcome == "done"
    ]
