"""Grade files of texts or questions, with no configuration: what is found is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tundish.data.errors import TableUnreadableError
from tundish.data.grade import exposed, variants, verdict
from tundish.data.grade.checks import Brief
from tundish.data.grade.papers import read_papers
from tundish.data.grade.report import Gate, GradeReport, percent
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tally import Tally
from tundish.data.grade.texts import clean, questions, twins
from tundish.data.grade.texts.corpus import Corpus
from tundish.data.privacy.look import look
from tundish.data.readers.reading import read_table
from tundish.data.readers.text import read_words
from tundish.data.table import Assumption
from tundish.data.texts.items import MAX_BYTES, SUFFIXES, TextFile, of_table, read_texts

UNREADABLE_AT_MOST = 0.01


def grade_texts(
    paths: Sequence[tuple[Path, str]],
    brief: Brief,
    *,
    skipped: Sequence[str] = (),
) -> GradeReport:
    """Grade files of texts, questions with options, or prompts with responses.

    Args:
        paths: (File, its name for people). JSON, JSON lines, plain text, or any table.
            Untrusted.
        brief: What is known beside the texts.
        skipped: Names of files that lie beside them and are no texts.

    Raises:
        TableUnreadableError: if no file has a record with a text in it, and what the
            readers refuse.
    """
    files: list[TextFile] = []
    left = list(skipped)
    for path, name in paths:
        try:
            files.append(_read(path, name))
        except TableUnreadableError:
            if len(paths) == 1:
                raise
            left.append(name)
    if not files:
        msg = f"No file of {brief.name} has a record with a text in it."
        raise TableUnreadableError(msg)
    corpus = Corpus(name=brief.name, files=tuple(files))
    return _report(corpus, brief, left)


def _read(path: Path, name: str) -> TextFile:
    if path.suffix.lower() in SUFFIXES:
        return read_texts(path, name)
    if path.suffix.lower() in {".csv", ".tsv"} and path.stat().st_size <= MAX_BYTES:
        return of_table(read_words(path.read_bytes(), name))
    return of_table(read_table(path))


def _report(corpus: Corpus, brief: Brief, left: Sequence[str]) -> GradeReport:
    papers = read_papers(brief)
    sheets = [_exposed(file) for file in corpus.files]
    leak, said = questions.leaks(corpus)
    tallies: list[Tally] = [
        clean.readable(corpus),
        clean.filled(corpus),
        questions.answered(corpus),
        questions.answerable(corpus),
        clean.usual(corpus),
        twins.copies(corpus),
        clean.pure(corpus),
        clean.repeating(corpus),
        questions.balanced(corpus),
        leak,
        *(exposed.exposed(sheet) for sheet in sheets),
        *papers.tallies,
    ]
    return verdict.report(
        brief.name,
        brief.task,
        {file.name: len(file.items) for file in corpus.files},
        [*tallies, *variants.absent("texts", tallies)],
        [
            _leakage_gate(leak, said),
            papers.licence,
            exposed.secrets_gate(sheets),
            _readable_gate(corpus),
            _label_gate(corpus),
            papers.card,
        ],
        (
            _kind(corpus, left),
            *brief.assumptions,
            *(a for f in corpus.files for a in f.assumptions),
        ),
        variants.specs_of("texts"),
    )


def _exposed(file: TextFile) -> Sheet:
    """Look for persons and secrets in the texts of a file."""
    held = {
        "text": [item.text for item in file.items],
        "answer": [item.answer or "" for item in file.items],
    }
    frame = pl.DataFrame(held)
    return Sheet(
        name=file.name,
        rows=max(1, frame.height),
        columns=frame.width,
        exposures=look(frame),
    )


def _kind(corpus: Corpus, left: Sequence[str]) -> Assumption:
    items = len(corpus.items)
    asked = len(corpus.questions)
    what = f"these are texts: {items:,} in {len(corpus.files)} files"
    if asked:
        what += f", {asked:,} of them questions with options"
    if left:
        what += f"; not graded: {', '.join(left[:5])}"
    return Assumption(
        what=what,
        why="their records hold sentences and hardly any numbers",
        otherwise="--kind table or --kind events",
    )


def _leakage_gate(leak: Tally, said: str) -> Gate:
    if said:
        return verdict.gate("leakage", held=False, detail=said)
    if "no parts" in leak.detail:
        return verdict.gate("leakage", held=None, detail=leak.detail)
    detail = "no text stands in two parts of the split"
    return verdict.gate("leakage", held=True, detail=detail)


def _readable_gate(corpus: Corpus) -> Gate:
    broken = sum(len(file.broken) for file in corpus.files)
    lines = sum(file.lines for file in corpus.files)
    share = broken / max(1, lines)
    detail = f"{broken:,} of {lines:,} records ({percent(share)}) cannot be read"
    return verdict.gate("readable", held=share <= UNREADABLE_AT_MOST, detail=detail)


def _label_gate(corpus: Corpus) -> Gate:
    asked = [i for i in corpus.questions if i.right is not None or i.stray]
    right = sum(bool(item.right) for item in asked)
    if corpus.questions:
        detail = (
            f"{right:,} of {len(corpus.questions):,} questions have their right answer"
        )
        return verdict.gate("labels", held=right > 0, detail=detail)
    classed = sum(bool(item.label) for item in corpus.items)
    answered = sum(bool(item.answer) for item in corpus.items)
    detail = f"{classed:,} texts have a class, {answered:,} an answer"
    return verdict.gate("labels", held=True, detail=detail)
