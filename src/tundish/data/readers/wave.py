"""Sound and vibration as WAV files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tundish.data.errors import TableUnreadableError
from tundish.data.readers import damage
from tundish.data.readers.size import limit_cells
from tundish.data.table import Assumption, Table


class WaveReader:
    """WAV: samples of one or several channels at one rate."""

    name = "a WAV file"
    alone_above = 0

    def claims(self, name: str, head: bytes) -> bool:  # noqa: ARG002  (the mark decides)
        """Claim files with the marks of RIFF and WAVE."""
        return head[:4] in {b"RIFF", b"RIFX", b"RF64"} and head[8:12] == b"WAVE"

    def read(self, path: Path, name: str) -> Sequence[Table]:
        """Read a column for each channel; the time in seconds comes from the rate."""
        from scipy.io import wavfile  # noqa: PLC0415  (heavy: in the child only)

        with damage.said(name, "WAV file"), warnings.catch_warnings(action="ignore"):
            rate, samples = wavfile.read(path)
        if rate <= 0 or not samples.size:
            msg = f"{name} holds no sample."
            raise TableUnreadableError(msg)
        values = samples.reshape(len(samples), -1)
        limit_cells(name, *values.shape)
        columns = [pl.Series("time", np.arange(len(values)) / rate)]
        columns += [
            pl.Series(f"channel_{i + 1}", values[:, i].astype(np.float64))
            for i in range(values.shape[1])
        ]
        said = Assumption(
            what=f"the time was made from the rate of {rate:,} samples per second",
            why="the file names the rate and no start",
            otherwise="export the samples with their times, as CSV or Parquet",
        )
        frame = pl.DataFrame(columns)
        return [
            Table(
                name=name,
                frame=frame,
                units={"time": "s"},
                lines=frame.height,
                assumptions=(said,),
            )
        ]
