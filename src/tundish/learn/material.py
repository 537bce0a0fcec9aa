"""Material: the windows that learning works on, as plain arrays.

``flows`` makes it from what ``data`` reads; learning itself opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.scenario import Scenario
from tundish.kernel import digest
from tundish.kernel.digest import Digest
from tundish.learn.errors import MaterialInvalidError, PartMissingError

Part = Literal["fit", "select", "calibrate", "judge"]
Floats = NDArray[np.float64]
Windows = NDArray[np.float32]
Indices = NDArray[np.int64]
Texts = NDArray[np.str_]
Moments = NDArray[np.datetime64]
_WIDE = frozenset({"y", "mask"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Windows, in time order within each source, and what is known about each.

    Attributes:
        x: Windows in the contract's units, float32 [N, T, C]; every value finite.
        y: Target in its unit, float64 [N]; NaN where there is none. Place of the class
            among the scenario's (diagnose; inspect: 0 good, 1 bad, or the class), values
            of the horizon [N, H] (forecast), remaining life (rul).
        part: What each window may be used for, text [N].
        source: Where each window comes from (table, asset, batch), text [N].
        event: Marked event that any row of the window lies in, int64 [N]; -1: none.
        group: Which laboratory value (or part, or batch) a window belongs to, int64
            [N]. Windows of one group share one truth and count as one sample.
        at: Moment of the newest row, UTC, datetime64[us] [N]; None without time.
        axis: Axis value of each channel (wavenumber, ...), float64 [C], NaN for
            channels without one; None: taken from the scenario.
        mask: Which cells of the picture's map are defective, bool [N, M] (inspect,
            where somebody marked them).
        shift: Name of the shift that each window's newest row lies in, text [N], where
            the site has a calendar.
    """

    x: Windows
    y: Floats
    part: Texts
    source: Texts
    event: Indices
    group: Indices
    at: Moments | None = None
    axis: Floats | None = None
    mask: NDArray[np.bool_] | None = None
    shift: Texts | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        if self.x.ndim != 3 or self.x.dtype != np.float32:
            msg = f"Windows are {self.x.dtype} {list(self.x.shape)}; float32 [N, T, C] was expected."
            raise MaterialInvalidError(msg)
        for name, array in self._columns():
            if array.shape[:1] != (len(self.x),) or (
                array.ndim != 1 and name not in _WIDE
            ):
                msg = f"Material has {len(self.x)} windows, but {name!r} has the shape {list(array.shape)}."
                raise MaterialInvalidError(msg)
        if self.axis is not None and self.axis.shape != (self.x.shape[2],):
            msg = f"Material has {self.x.shape[2]} channels, but its axis has the shape {list(self.axis.shape)}."
            raise MaterialInvalidError(msg)
        bad = np.flatnonzero(~np.isfinite(self.x).all(axis=(1, 2)))
        if len(bad):
            msg = f"{len(bad)} of {len(self.x)} windows hold values that are not finite, the first at index {bad[0]}."
            raise MaterialInvalidError(msg)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.x)

    def take(self, which: NDArray[np.bool_] | Indices) -> Material:
        """Return the windows that a mask or an index array names, in that order."""
        return replace(
            self,
            x=self.x[which],
            y=self.y[which],
            part=self.part[which],
            source=self.source[which],
            event=self.event[which],
            group=self.group[which],
            at=None if self.at is None else self.at[which],
            mask=None if self.mask is None else self.mask[which],
            shift=None if self.shift is None else self.shift[which],
        )

    def of(self, part: Part) -> Material:
        """Return the windows of one part."""
        return self.take(self.part == part)

    def needed(self, part: Part, least: int = 1) -> Material:
        """Return the windows of a part.

        Raises:
            PartMissingError: if it has fewer than ``least``.
        """
        found = self.of(part)
        if len(found) < least:
            msg = f"The part {part!r} has {len(found)} usable windows; at least {least} are needed."
            raise PartMissingError(msg)
        return found

    def weights(self) -> Floats:
        """Return one weight for each window so that every group weighs 1, [N]."""
        _, place, count = np.unique(self.group, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / count[place], dtype=np.float64)

    def digest(self) -> Digest:
        """Return the digest of every value, for the run record."""
        parts: dict[str, str] = {"x": digest.of_bytes(_bytes(self.x))}
        for name, array in self._columns():
            parts[name] = digest.of_bytes(_bytes(array))
        if self.axis is not None:
            parts["axis"] = digest.of_bytes(_bytes(self.axis))
        return digest.of_json({"shape": list(self.x.shape), "arrays": dict(parts)})

    def _columns(self) -> list[tuple[str, NDArray[np.generic]]]:
        named = (
            (field.name, getattr(self, field.name))
            for field in fields(self)
            if field.name not in {"x", "axis"}
        )
        return [(name, array) for name, array in named if array is not None]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """An unbroken run of one part of one source.

    Attributes:
        name: For people: source and, with time, first and last day.
        index: Windows of the piece, counted within its part, in order.
    """

    name: str
    index: Indices


def pieces(material: Material, part: Part) -> tuple[Piece, ...]:
    """Return the runs of a part that other parts or sources interrupt, in order."""
    mine = material.part == part
    within = np.cumsum(mine) - 1
    breaks = np.flatnonzero(
        (mine[1:] != mine[:-1]) | (material.source[1:] != material.source[:-1])
    )
    runs = np.split(np.arange(len(material)), breaks + 1)
    kept = [run for run in runs if len(run) and mine[run[0]]]
    return tuple(
        Piece(name=_name(material, run), index=within[run].astype(np.int64))
        for run in kept
    )


def by_source(material: Material) -> bool:
    """Tell whether whole sources are judged: none of the judge part is in another part."""
    judged = material.part == "judge"
    return not np.isin(material.source[judged], material.source[~judged]).any()


def seconds(material: Material, scenario: Scenario) -> Floats:
    """Return the moment of each window in seconds, [N]; by its place without time."""
    if material.at is None:
        return np.arange(len(material), dtype=np.float64) * step_s(scenario)
    micro = material.at.astype("datetime64[us]").astype(np.int64)
    return np.asarray(micro / 1e6, dtype=np.float64)


def step_s(scenario: Scenario) -> float:
    """Return the seconds from one window to the next."""
    return period_s(scenario) * scenario.window.stride


def period_s(scenario: Scenario) -> float:
    """Return the seconds from row to row: the fastest signal's."""
    return min(signal.period_s for signal in scenario.signals)


def channel_axis(material: Material, scenario: Scenario) -> Floats:
    """Return the axis value of each channel, [C]; NaN for channels without an axis.

    The material's own values are used if given (an instrument's grid is rarely
    even); else the scenario's axis is spaced evenly.
    """
    if material.axis is not None:
        return material.axis
    parts = []
    for signal in scenario.signals:
        if signal.axis is None:
            parts.append(np.full(1, np.nan))
        else:
            axis = signal.axis
            parts.append(np.linspace(axis.first, axis.last, axis.points))
    return np.concatenate(parts)


def _name(material: Material, run: Indices) -> str:
    source = str(material.source[run[0]])
    if material.at is None:
        return f"{source}, {len(run)} windows"
    if np.isnat(material.at[run]).any():
        return f"{source}, {len(run)} windows"
    first, last = (
        str(material.at[run[end]].astype("datetime64[D]")) for end in (0, -1)
    )
    return f"{source}, {first} to {last}"


def _bytes(array: NDArray[np.generic]) -> bytes:
    if array.dtype.kind in "UO":
        return "\0".join(str(item) for item in array).encode()
    if array.dtype.kind == "M":
        array = array.astype("datetime64[us]").astype(np.int64)
    return np.ascontiguousarray(array).tobytes()
