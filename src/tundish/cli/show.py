"""How results look in a terminal, and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import TundishError
from tundish.kernel.texts import visible

if TYPE_CHECKING:
    from tundish.kernel.records import Record

out = Console(highlight=False, soft_wrap=False)
_KEPT = "\n\t\u00a0\u202f\u3000"  # ends of lines, and the blanks of our own texts
err = Console(stderr=True, highlight=False)

GOOD, POOR, WARN = "bold green", "bold red", "yellow"


def as_json(value: Record | Json) -> None:
    """Print a report as JSON on standard output."""
    from tundish.kernel.records import Record

    plain = value.to_json() if isinstance(value, Record) else value
    sys.stdout.write(canonical.pretty(plain) + "\n")


def error(problem: TundishError, *, json: bool) -> None:
    """Print an error on standard error: one sentence, its code, its advice."""
    if json:
        body: dict[str, Json] = {
            "code": problem.code,
            "message": problem.message,
            "advice": problem.advice,
        }
        sys.stderr.write(canonical.dumps({"error": body}).decode() + "\n")
        return
    err.print(f"[{POOR}]{escape(f'[{problem.code}]')}[/] {_plain(problem.message)}")
    if problem.advice:
        err.print(f"  Advice: {_plain(problem.advice)}")
    err.print(f"  More: tundish explain {problem.code}", style="dim")


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: int = 0
) -> None:
    """Print a table; cells are plain text, never markup.

    Args:
        title: Above it.
        columns: Their names.
        rows: Their cells.
        whole: So many columns are never broken: what people copy out of them.
    """
    from rich.table import Table

    made = Table(title=_plain(title) or None, title_justify="left", header_style="bold")
    for number, name in enumerate(columns):
        made.add_column(name, overflow="fold", no_wrap=number < whole)
    for row in rows:
        made.add_row(*(_plain(cell) for cell in row))
    out.print(made)


def line(text: str, style: str = "") -> None:
    """Print one line of plain text."""
    out.print(_plain(text), style=style or None)


def note(text: str) -> None:
    """Print one line beside the output: what a person should know, and a program not read."""
    err.print(_plain(text), style=WARN)


def kept_in_token(what: str, uri: str, *, inside: bool) -> None:
    """Print where a key lies, and whether it ever was outside of its token."""
    line(f"  {what} {uri}")
    if not inside:
        line(
            "  it was not made in its token, or could leave it once: copies may exist",
            WARN,
        )


def raw(text: str) -> None:
    """Print a document as it is: no markup, no wrapping."""
    sys.stdout.write(text)


def heading(text: str) -> None:
    """Print the heading of a stage."""
    out.rule(f"[bold]{_plain(text)}[/]", align="left")


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner on standard error, and what is being done, while a block runs."""
    if not err.is_terminal:
        yield _say_nothing
        return
    with err.status(_plain(text)) as status:
        yield lambda detail: status.update(_plain(f"{text}: {detail}"))


@contextmanager
def progressing(text: str) -> Iterator[Callable[[str, float], None]]:
    """Show a bar on standard error while a block runs: what is done, share behind."""
    if not err.is_terminal:
        yield _say_nothing_of
        return
    from rich.progress import Progress

    with Progress(console=err, transient=True) as bar:
        task = bar.add_task(_plain(text), total=1.0)
        yield lambda detail, share: bar.update(
            task, completed=share, description=_plain(f"{text}: {detail}")
        )


def _plain(text: str) -> str:
    """Return a text that may hold foreign names: no markup, and nothing that steers."""
    return escape(visible(text, keep=_KEPT))


def _say_nothing_of(_detail: str, _share: float) -> None:
    return


def _say_nothing(_detail: str) -> None:
    return
