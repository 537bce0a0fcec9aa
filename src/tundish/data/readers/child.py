"""The child of ``confine``: take limits on, read one file, write its tables as Arrow.

Run as ``python -P -m tundish.data.readers.child READER PATH NAME OUT MEMORY CPU FILES``.
An exception that the reader does not expect ends the process; the parent reads the
last line of what Python then says.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.bounds import leave_network, take_limits
from tundish.data.readers.confine import NOTES, Answer, TableNote
from tundish.data.readers.reader import ENTRY_POINTS, Reader
from tundish.data.table import Table
from tundish.kernel import canonical
from tundish.kernel.errors import TundishError


def write(tables: Sequence[Table], out: Path) -> None:
    """Write tables as Arrow IPC files, and the rest of them as notes."""
    notes = []
    for i, table in enumerate(tables):
        table.frame.write_ipc(out / f"{i}.arrow")
        flat(table.places).write_ipc(out / f"{i}.places.arrow")
        notes.append(
            TableNote(
                name=table.name,
                part=table.part,
                unit=table.unit,
                units=table.units,
                states=table.states,
                missing_words=table.missing_words,
                dropped=table.dropped,
                first_line=table.first_line,
                lines=table.lines,
                assumptions=table.assumptions,
            )
        )
    _say(Answer(tables=tuple(notes)), out)


def flat(places: Mapping[str, Mapping[str, NDArray[np.int64]]]) -> pl.DataFrame:
    """Return the places of texts with a row for each."""
    each = [
        pl.DataFrame({"row": rows}).select(
            pl.lit(column).alias("column"), pl.lit(text).alias("text"), "row"
        )
        for column, texts in places.items()
        for text, rows in texts.items()
    ]
    schema = {"column": pl.String, "text": pl.String, "row": pl.Int64}
    return pl.concat([pl.DataFrame(schema=schema), *each])


def _say(answer: Answer, out: Path) -> None:
    (out / NOTES).write_bytes(canonical.dumps(answer.to_json()))


def main(arguments: Sequence[str]) -> None:
    """Read one file within the limits given."""
    kind, path, name, out, *numbers = arguments
    memory, cpu_s, files = map(int, numbers)
    take_limits(memory, cpu_s, files)
    leave_network()
    reader = cast("Reader", EntryPoint("reader", kind, ENTRY_POINTS).load()())
    try:
        write(reader.read(Path(path), name), Path(out))
    except TundishError as error:
        said = Answer(code=error.code, message=error.message, advice=error.advice)
        _say(said, Path(out))


if __name__ == "__main__":
    main(sys.argv[1:])
