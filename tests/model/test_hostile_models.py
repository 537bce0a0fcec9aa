"""Models of other tools: what could run code is refused unread, whatever its name."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tundish.kernel.errors import RefusedError
from tundish.model import formats, graphcheck
from tundish.model.errors import ModelFormatError

FIRED: list[str] = []


class Bomb:
    """An object that says so when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return FIRED.append, ("ran",)


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return stream.getvalue()


def pickled(protocol: int = 4) -> bytes:
    return pickle.dumps(Bomb(), protocol=protocol)


def object_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    return stream.getvalue()


LAMBDA = {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}}
HOSTILE: dict[str, bytes] = {
    **{f"pickle-{number}": pickled(number) for number in range(6)},
    "joblib": zlib.compress(pickled()),
    "torch": zipped({"archive/data.pkl": pickled(2), "archive/version": b"3"}),
    "torch-flags": zipped({"archive/data.pkl": pickled(2)}).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "keras": zipped({"config.json": json.dumps(LAMBDA).encode()}),
    "keras-h5": b"\x89HDF\r\n\x1a\n" + bytes(200),
    "numpy-object": object_array(),
    "pickle-after-text": b"harmless\n" + pickled(),
    "cut-pickle": pickled()[:-3],
    "nested": zipped({"inner.zip": zipped({"data.pkl": pickled()})}),
    "elf": b"\x7fELF" + bytes(60),
    "windows": b"MZ" + bytes(60),
    "empty": b"",
}
NAMES = ["m.onnx", "m.pt", "m.pkl", "m.joblib", "m.keras", "m.h5", "m.npy", "m.so", "m"]


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_could_run_code_is_refused_under_any_name(
    kind: str, name: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        formats.check_file(name, HOSTILE[kind])
    assert refused.value.code in {"model-format", "graph-malformed", "graph-too-large"}
    assert FIRED == []


@pytest.mark.parametrize("kind", sorted(HOSTILE.keys() - {"empty", "pickle-0"}))
@pytest.mark.parametrize("name", ["m.json", "m.safetensors", "m.txt", "m.yaml", "m.md"])
def test_a_pickle_does_not_pass_as_data(kind: str, name: str) -> None:
    """Protocol 0 is plain text and stays one: nothing here ever loads it."""
    with pytest.raises(ModelFormatError):
        formats.check_file(name, HOSTILE[kind])
    assert FIRED == []


def test_the_refusal_says_what_the_file_looks_like() -> None:
    for kind, word in {
        "pickle-4": "pickle",
        "torch": "PyTorch",
        "elf": "native",
    }.items():
        with pytest.raises(ModelFormatError, match=word):
            formats.check_file("model.bin", HOSTILE[kind])


def safetensors(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(begin: int, end: int, **changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [1], "data_offsets": [begin, end], **changes}


def test_safetensors_with_tensors_that_fill_the_file_come_in() -> None:
    header = {"__metadata__": {"a": "b"}, "w": tensor(4, 8), "v": tensor(0, 4)}
    formats.check_file("m.safetensors", safetensors(header, bytes(8)))


@pytest.mark.parametrize(
    "data",
    [
        safetensors({"w": tensor(0, 8)}, bytes(8)),
        safetensors({"w": tensor(0, 4), "v": tensor(2, 6)}, bytes(6)),
        safetensors({"w": tensor(0, 4)}, bytes(5)),
        safetensors({"w": tensor(4, 0)}, b""),
        safetensors({"w": tensor(0, 4, shape=[2**62, 4])}, bytes(4)),
        safetensors({"w": tensor(0, 4, shape=[-1, -1])}, bytes(4)),
        safetensors({"w": tensor(0, 4, dtype="OBJECT")}, bytes(4)),
        safetensors({"w": tensor(0, 4, data_offsets=[0])}, bytes(4)),
        safetensors([], b""),
        struct.pack("<Q", 2**63) + b"{}",
        b'\x20\x00\x00\x00\x00\x00\x00\x00{"w":1,"w":2}',
        safetensors({"w": tensor(0, 4)}, bytes(4))[:-9],
    ],
)
def test_safetensors_that_lie_are_refused(data: bytes) -> None:
    with pytest.raises(ModelFormatError):
        formats.check_file("m.safetensors", data)


def test_json_bombs_are_refused() -> None:
    for data in (b"[" * 100_000, b'{"a":1,"a":2}', b"NaN", b"1e999"):
        with pytest.raises(ModelFormatError):
            formats.check_file("m.json", data)


def test_a_damaged_graph_is_not_tried_as_something_else(
    make_graph: Callable[..., bytes], tmp_path: Path
) -> None:
    """No silent way back to another loader: a broken safe file is an error."""
    whole = make_graph()
    formats.check_file("m.onnx", whole)
    assert graphcheck.check_graph(whole).nodes
    with pytest.raises(RefusedError):
        formats.check_file("m.onnx", whole[:-5])
    assert list(tmp_path.iterdir()) == []
