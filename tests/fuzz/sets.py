"""Files of data sets: each kind of part that an entry may name, and job shops."""

from __future__ import annotations

import io
import json
from contextlib import suppress

from PIL import Image
from pydantic import BaseModel
from tests.data.test_load import (
    BOOK,
    BOUNDED,
    DEVICES,
    GOOD,
    PICTURES,
    PLACED,
    QUESTIONS,
    ROWS,
    SHDR,
    SHOP,
    STREAM,
    TABLE,
    entry,
)
from tests.flows.test_packs import CARD as PACK_CARD
from tests.fuzz.target import Target, room

from tundish.catalog import library, shelf
from tundish.catalog.scenario import Scenario
from tundish.data.load import load
from tundish.data.sets.instances import read_book, read_instance
from tundish.kernel.errors import TundishError

_HOME = "tundish.data.sets."
_SHIPPED = library.source("C34.27.pump-loop", Scenario)
_TAKEN: dict[type[BaseModel], set[str]] = {}
# file of the part -> the entry that reads it; all get the same bytes
_PARTS = {
    "runs.csv": (TABLE, PLACED),
    "quiz.jsonl": (QUESTIONS,),
    "known.json": (BOUNDED % "",),
    "t.txt": (STREAM,),
    "Devices.xml": (STREAM,),
    "a/a1.txt": (PICTURES.replace("many: 2", "many: 1"),),
}
_QUESTION = {
    "question": "Which sensor tells of wear?",
    "options": ["flow", "force"],
    "correct": [False, True],
}
_KNOWN = [{"path": "a.txt", "jobs": 2, "machines": 2, "optimum": 60}]


def _set(data: bytes) -> None:
    """Load each kind of part with foreign bytes in one of its files."""
    refused: TundishError | None = None
    for name, said in _PARTS.items():
        place = room() / "set"
        (place / "a").mkdir(parents=True, exist_ok=True)
        (place / "t.txt").write_text(SHDR)
        (place / "Devices.xml").write_text(DEVICES)
        (place / "a.txt").write_text(SHOP)
        for kind in ("test", "temp"):
            (place / "a" / f"a1_{kind}.png").write_bytes(_PICTURE)
        (place / name).write_bytes(data)
        for text in said:
            try:
                load(entry(text), place)
            except TundishError as error:
                refused = error
    if refused is not None:
        raise refused


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("L", (32, 16)).save(out, "PNG")
    return out.getvalue()


_PICTURE = _picture()


def _seeds() -> list[bytes]:
    question = json.dumps(_QUESTION) + "\n"
    texts = [GOOD, ROWS, SHDR, DEVICES, question * 2, json.dumps(_KNOWN), "1 2 5 6 1\n"]
    return [text.encode() for text in texts]


def _pack(data: bytes) -> None:
    """Read the same bytes as each document of a pack."""
    files = dict.fromkeys(
        (
            "pack.yaml", "scenarios/C34.27.pump-loop.yaml", "sites/a.yaml",
            "datasets/a-set.yaml", "datasets/a-set.files.tsv", "evidence/a.json",
        ),
        data,
    )  # fmt: skip
    with suppress(TundishError):
        shelf.check(shelf.Shelf(name="fuzzed", files=files), _TAKEN)
    shelf.read_card(files)


TARGETS = (
    Target(
        name="loaded-set", parse=_set, seeds=_seeds,
        doors=(
            "tundish.data.load:load", _HOME + "tables:load_table",
            _HOME + "texts:load_texts", _HOME + "stream:load_stream",
            _HOME + "pictures:load_pictures", _HOME + "instances:load_instances",
        ),
    ),
    Target(
        name="pack-documents", parse=_pack, seeds=lambda: [PACK_CARD.format(release=1).encode(), _SHIPPED],
        doors=("tundish.catalog.shelf:read_card",),
    ),
    Target(
        name="job-shop", parse=lambda data: read_instance(data, "a shop"),
        seeds=lambda: [SHOP.encode(), b"2 3\n0 4 1 5 2 6\n2 7 1 8 0 9\n", b"1 2 1.5\n"],
        doors=(_HOME + "instances:read_instance",),
    ),
    Target(
        name="job-shop-book", parse=lambda data: read_book(data, "a book"),
        seeds=lambda: [BOOK.encode()], doors=(_HOME + "instances:read_book",),
    ),
)  # fmt: skip
