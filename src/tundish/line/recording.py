"""A recorded run: what each signal was at which source time, for a replay."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tundish.kernel import paths
from tundish.line.errors import RecordingInvalidError
from tundish.line.samples import Floats

_TIME = "at_us:"
_VALUES = "values:"


@dataclass(frozen=True, kw_only=True)
class Track:
    """One signal of a run.

    Attributes:
        at_us: Source times in microseconds since 1970 UTC, rising, shape [n].
        values: float64, shape [n, channels], in the plant's unit; a row without a
            finite value is a failed sensor.
    """

    at_us: NDArray[np.int64]
    values: Floats


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A run: its signals by name, in contract order."""

    tracks: Mapping[str, Track]

    @property
    def start_us(self) -> int:
        """First source time of the run."""
        return min(int(track.at_us[0]) for track in self.tracks.values())

    @property
    def end_us(self) -> int:
        """Last source time of the run."""
        return max(int(track.at_us[-1]) for track in self.tracks.values())

    @classmethod
    def of(
        cls, at: NDArray[np.datetime64], values: Mapping[str, NDArray[np.floating]]
    ) -> Self:
        """Make a recording of signals that share their times.

        Args:
            at: ``datetime64``, UTC, rising, shape [n].
            values: By signal, shape [n] or [n, channels].

        Raises:
            RecordingInvalidError: if shapes do not fit or times do not rise.
        """
        at_us = at.astype("datetime64[us]").astype(np.int64)
        tracks = {
            name: Track(
                at_us=at_us,
                values=np.asarray(found, np.float64).reshape(len(at_us), -1),
            )
            for name, found in values.items()
            if len(found) == len(at_us)
        }
        _check(tracks, len(values))
        return cls(tracks=tracks)


@dataclass(frozen=True)
class Stretch:
    """Rows from ``first`` up to and without ``end``."""

    first: int
    end: int

    def __contains__(self, row: int) -> bool:
        """Tell whether a row lies in it."""
        return self.first <= row < self.end

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``FIRST:END``; raises ``ValueError``."""
        first, _, end = text.partition(":")
        return cls(int(first), int(end))

    def to_text(self) -> str:
        """Write ``FIRST:END``."""
        return f"{self.first}:{self.end}"


def write_recording(path: Path, recording: Recording) -> None:
    """Write a recording as an ``.npz`` file without code in it."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, track in recording.tracks.items():
        arrays[_TIME + name] = track.at_us
        arrays[_VALUES + name] = track.values
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]  # the stub types allow_pickle's place
    paths.write_whole(path, out.getvalue())


def read_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        PathMissingError: if there is no such file.
        RecordingInvalidError: if it is none.
    """
    file = paths.existing_file(path)
    try:
        with np.load(file, allow_pickle=False) as found:
            names = [key.removeprefix(_TIME) for key in found if key.startswith(_TIME)]
            tracks = {
                name: Track(
                    at_us=found[_TIME + name].astype(np.int64),
                    values=found[_VALUES + name].astype(np.float64),
                )
                for name in names
            }
    except Exception as error:  # whatever zip's and NumPy's parsers raise on damage
        msg = f"The file {path} is no recording: {type(error).__name__}: {error}."
        raise RecordingInvalidError(msg) from error
    _check(tracks, len(names))
    return Recording(tracks=tracks)


def _rise(at_us: NDArray[np.int64]) -> bool:
    return bool(np.all(at_us[1:] > at_us[:-1]))  # a difference might not fit 64 bits


def _check(tracks: Mapping[str, Track], expected: int) -> None:
    if not tracks or len(tracks) != expected:
        msg = f"A recording has {len(tracks)} usable signals, expected {expected}."
        raise RecordingInvalidError(msg)
    for name, track in tracks.items():
        fits = track.values.ndim == 2 and len(track.values) == len(track.at_us)
        if not fits or not len(track.at_us) or not _rise(track.at_us):
            msg = (
                f"The recording of {name} has {len(track.at_us)} times and values of shape "
                f"{list(track.values.shape)}; rising times with one row each were expected."
            )
            raise RecordingInvalidError(msg)
