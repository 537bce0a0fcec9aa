"""Small whole files of every kind that a built-in reader reads."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import xlsxwriter
from scipy.io import savemat, wavfile

ROWS = 40
CSV = ("time,flow,state\n" + "".join(
    f"2026-01-01T00:{i:02d}:00Z,{i * 7 % 11}.5,{'run' if i % 9 else 'stop'}\n"
    for i in range(ROWS)
)).encode()  # fmt: skip
VALUES = np.arange(ROWS * 3, dtype=float).reshape(ROWS, 3) % 17


def _excel(path: Path) -> None:
    with xlsxwriter.Workbook(str(path)) as book:
        for name in ("Trend", "Lab"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["time", "flow", f"{name} 1"])
            for i in range(ROWS):
                stamp = f"2026-01-01 00:{i:02d}:00"
                sheet.write_row(1 + i, 0, [stamp, i * 7 % 11 + 0.5, i % 3])


def _mat(path: Path) -> None:
    savemat(path, {"run": {"signal": VALUES, "rate": 48_828.0}, "t": VALUES[:, :1]})


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as made:
        made.create_group("run")["signal"] = VALUES


def _npz(path: Path) -> None:
    with path.open("wb") as out:
        np.savez_compressed(out, x=VALUES, y=VALUES[:, 0])


def _npy(path: Path) -> None:
    with path.open("wb") as out:
        np.save(out, VALUES)


def _jsonl(path: Path) -> None:
    lines = (
        {"t": i, "pump": {"flow": i * 7 % 11 + 0.5, "on": True}} for i in range(ROWS)
    )
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")


def _json(path: Path) -> None:
    records = [{"t": i, "flow": i * 7 % 11 + 0.5} for i in range(ROWS)]
    path.write_text(json.dumps({"site": "A", "rows": records}), "utf-8")


def _xes(path: Path) -> None:
    event = (
        '<event><string key="concept:name" value="mill"/><date key="time:timestamp" '
        'value="2026-01-01T00:{0:02d}:00Z"/><int key="parts" value="{0}"/></event>'
    )
    traces = "".join(
        f'<trace><string key="concept:name" value="case {c}"/>'
        + "".join(event.format(i) for i in range(8))
        + "</trace>"
        for c in range(5)
    )
    path.write_text(f'<?xml version="1.0"?><log>{traces}</log>', "utf-8")


def _shdr(path: Path) -> None:
    lines = (
        f"2026-01-01T00:{i:02d}:00.5Z|Xpos|{i}.25|Srpm|{i * 3 % 7}\n"
        for i in range(ROWS)
    )
    path.write_text("".join(lines), "utf-8")


def _wave(path: Path) -> None:
    wavfile.write(path, 8_000, (VALUES * 100).astype(np.int16))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for i in range(3):
            made.writestr(f"data/batch_{i}.csv", CSV)


def _tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as made:
        for i in range(3):
            info = tarfile.TarInfo(f"data/batch_{i}.csv")
            info.size = len(CSV)
            made.addfile(info, io.BytesIO(CSV))


def _parquet(path: Path) -> None:
    pl.DataFrame({"a": VALUES[:, 0], "b": [str(i) for i in range(ROWS)]}).write_parquet(
        path
    )


SAMPLES: dict[str, Callable[[Path], object]] = {
    "t.csv": lambda path: path.write_bytes(CSV),
    "t.csv.gz": lambda path: path.write_bytes(gzip.compress(CSV)),
    "t.csv.bz2": lambda path: path.write_bytes(bz2.compress(CSV)),
    "t.csv.xz": lambda path: path.write_bytes(lzma.compress(CSV)),
    "t.zip": _zip,
    "t.tar.gz": _tar,
    "t.parquet": _parquet,
    "t.xlsx": _excel,
    "t.mat": _mat,
    "t.h5": _hdf5,
    "t.npz": _npz,
    "t.npy": _npy,
    "t.jsonl": _jsonl,
    "t.json": _json,
    "t.xes": _xes,
    "t.txt": _shdr,
    "t.wav": _wave,
}
ALONE = ("t.xlsx", "t.mat", "t.h5", "t.npz", "t.npy", "t.xes", "t.wav")


def write_sample(name: str, folder: Path) -> Path:
    """Write the sample of that name into a folder."""
    path = folder / name
    SAMPLES[name](path)
    return path
