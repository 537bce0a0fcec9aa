"""What kind of data lies at a place: a table, pictures, texts or an event log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tundish.data.images.folder import is_album

DataKind = Literal["table", "images", "texts", "events"]


def kind_of(path: Path) -> DataKind:
    """Return the kind of the data at a place; a table if nothing speaks for another.

    Args:
        path: A file or a folder. Untrusted.
    """
    if path.is_dir() and is_album(path):
        return "images"
    return "table"
