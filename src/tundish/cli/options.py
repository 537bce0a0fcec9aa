"""Options that several commands share."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

import typer

from tundish.flows.errors import AnswerMissingError, WorkspaceMissingError

if TYPE_CHECKING:
    from tundish.flows.keys import TokenOrder
    from tundish.flows.workspace import Workspace

T = TypeVar("T")
NUMBER = "<float>"  # how help names it
MOST_DAYS = 36_525.0  # a century; beyond it no date is meant, and the calendar ends
MOST = 2**31 - 1  # counters and seeds: what every library and every file here takes


def between(
    least: float, most: float, *, beyond: bool = False
) -> Callable[[str], float]:
    """Return what reads a number in a range; "nan" is in none.

    Typer's own min and max let "nan" pass, and a number that is no day of any calendar.

    Args:
        least: The least number.
        most: The greatest one.
        beyond: It must be more than the least.
    """
    kept = "more than" if beyond else "at least"

    def read(text: str | float) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        above = value > least if beyond else value >= least
        if not (above and value <= most):  # no number compares with anything
            msg = f"{text} was given; a number is needed, {kept} {least:g} and at most {most:,g}."
            raise typer.BadParameter(msg)
        return value

    return read


Candidate: TypeAlias = Annotated[
    str | None,
    typer.Option(help="One of the scenario's candidates; default: its recipe."),
]
DataOrKey: TypeAlias = Annotated[
    str, typer.Argument(help="A folder or file, or a key of 'tundish data list'.")
]
GrantFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="The grant, if the package is encrypted.")
]
Licence: TypeAlias = Annotated[
    str | None, typer.Option(help="The data's licence or terms, if you know them.")
]
LinePath: TypeAlias = Annotated[Path, typer.Argument(help="The line file (YAML).")]
ScenarioName: TypeAlias = Annotated[
    str, typer.Option(help="The scenario: a key or a YAML file.")
]
SiteName: TypeAlias = Annotated[
    str, typer.Option(help="The site profile: a name or a YAML file.")
]
TargetColumn: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the column to be estimated.")
]
TimeColumn: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the time column.")
]
TimeZone: TypeAlias = Annotated[
    str | None, typer.Option(help="Zone of local times, e.g. Asia/Shanghai.")
]
UnitColumn: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the column of assets or batches.")
]
Days: TypeAlias = Annotated[
    float,
    typer.Option(
        parser=between(0.0, MOST_DAYS, beyond=True),
        metavar=NUMBER,
        help="Days until it is refused.",
    ),
]
Seed: TypeAlias = Annotated[
    int, typer.Option(min=0, max=MOST, help="Seed of all randomness in the run.")
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, for machines.")
]
Data: TypeAlias = Annotated[
    str, typer.Argument(help="A file, a folder, or a key of 'tundish data list'.")
]
NameOrFile: TypeAlias = Annotated[
    str, typer.Argument(help="A name of the catalogue, or a YAML file.")
]
In: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", help="The workspace; default: this folder or one above."
    ),
]
Mirror: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Take the same bytes from this folder; for plants without a network."
    ),
]
InToken: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--token",
        help="Keep it in a token: pkcs11:token=...;object=...?module-path=...; the PIN "
        "comes from TUNDISH_PIN, pin-source= or is asked for.",
    ),
]
NewInToken: TypeAlias = Annotated[
    bool, typer.Option("--new", help="With --token: have the token make the key.")
]
Precision: TypeAlias = Annotated[
    Literal["double", "float32", "float16"],
    typer.Option(
        help="Of the graph: float32 is up to half as large and 1.2 to 2.3 times as fast, float16 "
        "keeps its weights in half of that; refused beyond the scenario's tolerance."
    ),
]
Curve: TypeAlias = Annotated[
    Literal["P-256", "P-384"],
    typer.Option("--curve", help="With --new: the curve of a key that signs."),
]


def token_order(
    uri: str | None, *, new: bool, curve: Literal["P-256", "P-384"] = "P-256"
) -> TokenOrder | None:
    """Return which key in a token is wanted, if one is."""
    if uri is None:
        if new:
            msg = "--new makes a key in a token: name it with --token."
            raise typer.BadParameter(msg)
        return None
    from tundish.flows.keys import TokenOrder

    return TokenOrder(uri=uri, new=new, curve=curve)


def ask_pin(token: str) -> str | None:
    """Ask for the PIN of a token, if a person sits at a terminal."""
    if not sys.stdin.isatty():
        return None
    return _typed(f"PIN of the token {token}")


def ask_hidden(what: str) -> str:
    """Ask a person for a secret, or read one line of standard input; never shown."""
    if sys.stdin.isatty():
        return _typed(what)
    line = sys.stdin.readline(1000).strip()
    if not line:
        msg = f"The {what[0].lower()}{what[1:]} is asked for, and nobody is at a terminal."
        raise AnswerMissingError(msg)
    return line


def require_with(name: str, given: object, **others: object) -> None:
    """Refuse options that would be left out silently.

    Args:
        name: The option that they go with.
        given: Its value: None or false if it was not given.
        others: Their values, by the names of their parameters.
    """
    if given not in (None, False):
        return
    vain = [f"--{key.replace('_', '-')}" for key, value in others.items() if value]
    if vain:
        msg = f"{', '.join(vain)} would do nothing without {name}."
        raise typer.BadParameter(msg)


def answered(what: str, ask: Callable[[], T]) -> T:
    """Return the answer to a question of Typer's.

    Args:
        what: The question.
        ask: Asks it.

    Raises:
        KeyboardInterrupt: if a person pressed Ctrl-C instead.
        AnswerMissingError: if the input ended.
    """
    try:
        return ask()
    except typer.Abort as stop:  # of either, which stands behind it
        if isinstance(stop.__context__, EOFError):
            msg = f"The input ended where an answer was expected: {what.strip()}."
            raise AnswerMissingError(msg) from stop
        raise KeyboardInterrupt from stop


def _typed(what: str) -> str:
    typed: str = answered(what, lambda: typer.prompt(what, hide_input=True, err=True))
    return typed


def open_workspace(folder: Path) -> Workspace:
    """Return the workspace that a command works in."""
    from tundish.flows.workspace import find

    return find(folder, ask_pin=ask_pin)


def nearby() -> Workspace | None:
    """Return the workspace around here, if there is one."""
    try:
        return open_workspace(Path())
    except WorkspaceMissingError:
        return None
