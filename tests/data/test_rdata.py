"""R's files: read as data, refused as anything else."""

from __future__ import annotations

import bz2
import gzip
import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tundish.data.errors import TableUnreadableError
from tundish.data.grade.file import grade_file
from tundish.data.readers import read_table

pytest.importorskip("rdata")
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [
        ("gasoline-nir-octane/gasoline.RData", 60, 402),
        ("pet-yarn-nir/yarn.RData", 28, 270),
    ],
)
def test_a_data_frame_with_a_matrix_is_read(
    real_sets: Path, place: str, rows: int, columns: int
) -> None:
    table = read_table(real_sets / place)
    assert (table.frame.height, table.frame.width) == (rows, columns)
    assert table.frame.null_count().sum_horizontal().item() == 0


def test_wavelengths_with_a_unit_are_one_spectrum(real_sets: Path) -> None:
    path = real_sets / "gasoline-nir-octane/gasoline.RData"
    octane = read_table(path).frame["octane"].to_numpy()
    assert (octane.min(), octane.max()) == (83.4, 89.6)
    report = grade_file(path, now=NOW)
    said = " ".join(a.what for a in report.assumptions)
    assert "401 columns (900 nm to 1700 nm) are the channels of one signal" in said


def vector(values: list[float]) -> bytes:
    """Write a numeric vector as R's ``saveRDS(x, compress = FALSE)`` does (version 2)."""
    head = b"X\n" + struct.pack(">iii", 2, 0x00040101, 0x00020300)
    return (
        head
        + struct.pack(">ii", 14, len(values))
        + struct.pack(f">{len(values)}d", *values)
    )


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress], ids=["plain", "gzip", "bz2"]
)
def test_a_single_vector_is_a_table_of_one_column(
    pack: type[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "flow.rds"
    path.write_bytes(pack(vector([1.5, 2.5, 4.5])))
    frame = read_table(path).frame
    assert np.array_equal(frame["flow"].to_numpy(), [1.5, 2.5, 4.5])


@pytest.mark.parametrize("kept", [5, 14, 20, 27])
def test_a_cut_off_file_is_refused(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "flow.rds"
    path.write_bytes(vector([1.5, 2.5, 4.5])[:kept])
    with pytest.raises(TableUnreadableError):
        read_table(path)


def test_a_claimed_length_of_gigabytes_is_refused(tmp_path: Path) -> None:
    body = vector([1.0])
    path = tmp_path / "bomb.rds"
    path.write_bytes(body[:18] + struct.pack(">i", 2**31 - 1) + body[22:])
    with pytest.raises(TableUnreadableError):
        read_table(path)


def test_a_function_is_no_table(tmp_path: Path) -> None:
    head = b"X\n" + struct.pack(">iii", 2, 0x00040101, 0x00020300)
    path = tmp_path / "f.rds"  # a built-in function: type 8, its name
    path.write_bytes(head + struct.pack(">ii", 8, 3) + b"cat")
    with pytest.raises(TableUnreadableError):
        read_table(path)
