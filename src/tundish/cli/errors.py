"""``tundish explain``: the page behind each error code."""

from __future__ import annotations

from typing import Annotated

import typer

import tundish.catalog.errors
import tundish.data.errors
import tundish.flows.errors
import tundish.learn.errors
import tundish.ledger.errors
import tundish.line.errors
import tundish.line.serving.errors
import tundish.model.errors
import tundish.seal.errors
import tundish.seal.token_errors  # noqa: F401  (all of these: a page is found once its class is loaded)
from tundish.catalog.errors import UnknownNameError
from tundish.cli import show
from tundish.kernel import errors as kernel_errors


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(explain)


def explain(
    code: Annotated[
        str | None, typer.Argument(help="An error code; none lists all.")
    ] = None,
) -> None:
    """Print what an error code means and what to do about it."""
    pages = {cls.code: cls for cls in kernel_errors.leaves()}
    if code is None:
        rows = [
            (key, kernel_errors.page(cls).splitlines()[0]) for key, cls in pages.items()
        ]
        show.table("Error codes", ["code", "what it says"], rows)
        return
    wanted = code.strip("[]").lower()
    if wanted not in pages:
        near = [key for key in pages if wanted.split("-")[0] in key]
        msg = f"There is no error code {code!r}; near it: {', '.join(near) or 'none'}."
        raise UnknownNameError(msg, advice="'tundish explain' lists all codes.")
    show.line(wanted, style="bold")
    show.line(kernel_errors.page(pages[wanted]))
