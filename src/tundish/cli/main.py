"""The command ``tundish``."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from typer.models import CommandInfo

from tundish.cli import (
    catalog,
    certificate,
    control,
    coverage,
    data,
    demo,
    device,
    errors,
    fingerprint,
    gaps,
    grade,
    importing,
    keys,
    ledger,
    line,
    package,
    provider,
    recipes,
    run_all,
    runs,
    serve,
    show,
    wheels,
    workspace,
)
from tundish.cli.exits import exit_code
from tundish.cli.packs import packs_here
from tundish.flows.errors import ExtraMissingError
from tundish.kernel import settings
from tundish.kernel.errors import (
    InternalError,
    InterruptedByUserError,
    OutputLostError,
    PathMissingError,
    TundishError,
)
from tundish.kernel.extras import extra_for
from tundish.kernel.paths import refused

INTERRUPTED = 130
OUTPUT_GONE = {errno.EPIPE, errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EIO}


def main(
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop."
    ),
) -> None:
    """From graded plant data to a sealed, traceable model on the line, offline."""
    if version:
        from importlib import metadata

        show.line(f"tundish {metadata.version('tundish')}")
        raise typer.Exit


def _empty() -> typer.Typer:
    made = typer.Typer(
        name="tundish",
        help=(
            "From graded plant data to a sealed, traceable model on the line, offline.\n\n"
            "Start with 'tundish demo', or 'tundish grade FILE' on a file of your own."
        ),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    made.callback(invoke_without_command=True)(main)
    return made


app = _empty()
for group in (
    workspace,
    keys,
    device,
    grade,
    data,
    certificate,
    catalog,
    coverage,
    control,
    provider,
    recipes,
    run_all,
    runs,
    importing,
    gaps,
    package,
    fingerprint,
    line,
    serve,
    wheels,
    ledger,
    errors,
    demo,
):
    group.register(app)


def _needed(arguments: Sequence[str]) -> typer.Typer:
    """Return the commands that a command line can mean: all of them take long to build."""
    word = next((one for one in arguments if not one.startswith("-")), "")
    few = _empty()
    few.registered_groups = [g for g in app.registered_groups if g.name == word]
    few.registered_commands = [c for c in app.registered_commands if _name(c) == word]
    return few if few.registered_groups or few.registered_commands else app


def _name(command: CommandInfo) -> str:
    """Return how Typer calls a command."""
    named = command.name or getattr(command.callback, "__name__", "")
    return str(named).replace("_", "-")


def run(arguments: list[str] | None = None) -> None:
    """Run the command line; the entry point of the script ``tundish``."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(status(given))


def status(arguments: list[str]) -> int:
    """Run one command and return its exit code; a traceback never reaches the user."""
    try:
        with packs_here():
            _needed(arguments)(args=arguments, prog_name="tundish")
        sys.stdout.flush()
    except SystemExit as stop:  # every end of Typer's, also of usage errors
        code = stop.code if isinstance(stop.code, int) else 0
        met = _met(stop) if code else None
        return code if met is None else _said(met, arguments)
    except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001  (the last stop before the user)
        return _said(raised, arguments)
    return 0


def _met(stop: SystemExit) -> BaseException | None:
    """Return what Typer turned into an exit code that means something else here."""
    if stop.code == INTERRUPTED:
        return KeyboardInterrupt()
    met = stop.__context__
    if isinstance(met, typer.Abort):  # a library met the end of a file
        return met.__cause__ or met
    return met if isinstance(met, OSError) else None  # nobody reads the output


def _said(raised: BaseException, arguments: list[str]) -> int:
    problem = _as_problem(raised)
    if isinstance(problem, OutputLostError):
        _let_go_of_output()
    show.error(problem, json="--json" in arguments)
    return exit_code(problem)


def _let_go_of_output() -> None:
    """Point standard output at nothing, so that the interpreter does not try again."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    os.close(nothing)


def _as_problem(raised: BaseException) -> TundishError:
    if isinstance(raised, TundishError):
        return raised
    if isinstance(raised, KeyboardInterrupt):
        return InterruptedByUserError("Stopped by Ctrl-C; what was finished is kept.")
    if isinstance(raised, ModuleNotFoundError):
        return _extra(raised)
    if settings.debug():
        raise raised
    said = _of_system(raised) if isinstance(raised, OSError) else None
    if said is not None:
        return said
    name = type(raised).__name__
    return InternalError(f"Tundish made a mistake of its own ({name}).")


def _of_system(raised: OSError) -> TundishError | None:
    """Return what the system's refusal means, if it is plain."""
    if raised.filename is not None:
        return refused(raised, os.fsdecode(raised.filename))
    if raised.errno in OUTPUT_GONE:
        return OutputLostError(f"The output cannot be written: {raised.strerror}.")
    if isinstance(raised, FileNotFoundError) and not _folder_stands():
        msg = "The folder in which the command was given is gone."
        return PathMissingError(msg, advice="Change to a folder that is there: 'cd'.")
    return None


def _folder_stands() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _extra(missing: ModuleNotFoundError) -> TundishError:
    extra = extra_for(missing.name or "")
    if extra is None:
        return InternalError(f"The module {missing.name} is missing.")
    msg = f"This needs {missing.name}, which the base install leaves out."
    return ExtraMissingError(msg, advice=f"pip install 'tundish[{extra}]'")
