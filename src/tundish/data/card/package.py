"""Lay a data set out as a package: data, annotations, metadata, docs, evidence.

The folders of TC609-5-2025-02, with a Croissant card at the top, so that one folder
serves both worlds. Nothing is written into a folder that holds something.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tundish.data.card import tc609
from tundish.data.card.card import Card
from tundish.data.card.facts import SetFacts
from tundish.data.errors import FolderInUseError
from tundish.kernel import canonical, paths
from tundish.kernel.canonical import Json
from tundish.kernel.digest import hex_part


def write(
    folder: Path,
    facts: SetFacts,
    files: Mapping[str, Path],
    card: Card | None,
    texts: Mapping[str, str],
) -> tuple[str, ...]:
    """Write the package; return the names of its files.

    Args:
        folder: A new or an empty folder.
        facts: What the data says.
        files: Name in the set -> path; copied into ``data``.
        card: What a person says of it.
        texts: Further files of the package: name -> text.

    Raises:
        FolderInUseError: if the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} is no empty folder; a package needs one of its own."
        raise FolderInUseError(msg)
    for name in tc609.FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    for name, path in files.items():
        target = paths.join(folder / "data", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        written.append(f"data/{name}")
    lines = tc609.records(facts, card)
    every = {
        "metadata/records.jsonl": json_lines(lines),
        "evidence/SHA256SUMS": "".join(
            f"{hex_part(file.sha256)}  data/{file.name}\n" for file in facts.files
        ),
        **texts,
    }
    labelled = [line for line in lines if line["annotation"] is not None]
    if labelled:
        every["annotations/labels.jsonl"] = json_lines(
            [{"id": one["id"], "annotation": one["annotation"]} for one in labelled]
        )
    for name, text in every.items():
        paths.write_whole(paths.join(folder, name), text.encode())
        written.append(name)
    return tuple(sorted(written))


def json_lines(records: list[dict[str, Json]]) -> str:
    """Return records as JSON lines, canonical each."""
    return "".join(canonical.dumps(one).decode() + "\n" for one in records)
