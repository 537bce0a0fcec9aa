"""Real sets of four tasks as tables of single rows, in blocks that belong together.

Some sets were looked at while the tests of ``learn.weak`` were chosen, the others were
first measured when nothing was chosen any more; ``use`` says which.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tundish.kernel import settings
from tundish.learn.material import Floats, Indices

BESIDE = Path(__file__).parents[3] / "shared" / "data"
BLOCKS = 48
"""Blocks that a series is cut into, to be dealt to the parts."""
MOST = 2400


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows with their truths.

    Attributes:
        name: Of the set.
        use: Whether tests were chosen on it, or only reported on it.
        task: Of the diagnosis.
        x: Values, [N, F].
        y: Truths, [N]; NaN where there is none (anomaly).
        block: Rows that are dealt together: a mix, an engine, a stretch of time, [N].
        timed: Whether rows follow in time.
        cut: Two columns that modes are declared on.
        classes: Names of the classes.
    """

    name: str
    use: Literal["chosen on", "reported on"]
    task: Literal["regress", "rul", "diagnose", "anomaly"]
    x: Floats
    y: Floats
    block: Indices
    timed: bool
    cut: tuple[int, int]
    classes: tuple[str, ...] = ()


def folder(name: str) -> Path:
    """Return the folder of a set."""
    return (settings.data_dir() or BESIDE) / name


def concrete() -> Table:
    """Mixes and ages of concrete and their strength, MPa; ages of a mix together."""
    path = folder("concrete-strength") / "cement_strength.txt"
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    _, mix = np.unique(rows[:, :7], axis=0, return_inverse=True)
    return Table(
        name="concrete-strength", use="chosen on", task="regress",
        x=rows[:, :8], y=rows[:, 8], block=mix.reshape(-1), timed=False, cut=(7, 1),
    )  # fmt: skip


def steam() -> Table:
    """Fuel, air, level and feed water of a boiler: its steam flow 12 s later."""
    rows = np.loadtxt(folder("steam-generator-abbott") / "steamgen.dat")
    x, y = rows[:-4:4, 1:8], rows[4::4, 8]
    return Table(
        name="steam-generator-abbott", use="chosen on", task="regress",
        x=x, y=y, block=_blocks(len(y)), timed=True, cut=(4, 0),
    )  # fmt: skip


def debutanizer() -> Table:
    """Seven tags of a column, each with its value half an hour before, and the butane."""
    path = folder("debutanizer-column") / "debutanizer_data.txt"
    rows = np.loadtxt(path, skiprows=5)
    x = np.hstack([rows[5:, :7], rows[:-5, :7]])
    return Table(
        name="debutanizer-column", use="reported on", task="regress",
        x=x, y=rows[5:, 7], block=_blocks(len(x)), timed=True, cut=(4, 1),
    )  # fmt: skip


def milling() -> Table:
    """Tools and materials of milling: the recommended feed; rows of a tool together."""
    text = (folder("wzl-milling-parameters") / "wzl_data.txt").read_text()
    rows = np.array(
        [line.strip(" []").split(",") for line in text.splitlines()], dtype=np.float64
    )
    _, tool = np.unique(rows[:, :9], axis=0, return_inverse=True)
    return Table(
        name="wzl-milling-parameters", use="reported on", task="regress",
        x=rows[:, :18], y=rows[:, 18], block=tool.reshape(-1), timed=False, cut=(16, 17),
    )  # fmt: skip


def rig(component: int, name: str, use: Literal["chosen on", "reported on"]) -> Table:
    """Return statistics of the 1 Hz and 10 Hz channels of a rig: a component's state."""
    x = _cycles()
    profile = np.loadtxt(folder("hydraulic-zema") / "profile.txt")
    steady = profile[:, 4] == 0
    levels, y = np.unique(profile[steady, component], return_inverse=True)
    _, block = np.unique(profile[steady, :4], axis=0, return_inverse=True)
    return Table(
        name=f"hydraulic-zema {name}", use=use, task="diagnose",
        x=x[steady], y=y.astype(np.float64), block=block.reshape(-1), timed=False,
        cut=(0, 8), classes=tuple(f"at-{level:g}" for level in levels),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _cycles() -> Floats:
    columns: list[Floats] = []
    for sensor in ("TS1", "TS2", "TS4", "CE", "VS1", "SE", "FS1", "FS2"):
        with gzip.open(folder("hydraulic-zema") / f"{sensor}.txt.gz", "rt") as lines:
            values = np.loadtxt(lines)
        part = np.array_split(values, 3, axis=1)
        columns += [values.mean(axis=1), values.std(axis=1)]
        columns += [piece.mean(axis=1) for piece in part]
    return np.stack(columns, axis=1)


def engines(name: str, use: Literal["chosen on", "reported on"]) -> Table:
    """Return the means of the last ten flights of engines: flights left, at most 125."""
    with gzip.open(folder("cmapss") / f"train_{name}.txt.gz", "rt") as lines:
        rows = np.loadtxt(lines)
    x, y, block = [], [], []
    for unit in np.unique(rows[:, 0]):
        own = rows[rows[:, 0] == unit]
        moving = np.cumsum(np.vstack([np.zeros(26), own]), axis=0)
        ends = np.arange(10, len(own) + 1)[::9]
        x.append(((moving[ends] - moving[ends - 10]) / 10.0)[:, 5:])
        y.append(np.minimum(len(own) - ends, 125.0))
        block.append(np.full(len(ends), int(unit)))
    values = np.vstack(x)
    values = values[:, values.std(axis=0) > 1e-6]
    return Table(
        name=f"cmapss {name}", use=use, task="rul", x=values, y=np.concatenate(y),
        block=np.concatenate(block), timed=False, cut=(1, 5),
    )  # fmt: skip


def eastman() -> Table:
    """Normal rows of a chemical plant: two normal runs, and 21 runs before their fault."""
    root = folder("tep-braatz")
    runs = [np.loadtxt(root / "d00.dat").T, np.loadtxt(root / "d00_te.dat")]
    runs += [np.loadtxt(root / f"d{n:02}_te.dat")[:160] for n in range(1, 22)]
    x = np.vstack(runs)
    block = np.concatenate([100 * n + _blocks(len(r), 16) for n, r in enumerate(runs)])
    return Table(
        name="tep-braatz", use="reported on", task="anomaly", x=x,
        y=np.full(len(x), np.nan), block=block, timed=False, cut=(8, 17),
    )  # fmt: skip


TABLES: dict[str, Callable[[], Table]] = {
    "concrete": concrete,
    "steam": steam,
    "valve": lambda: rig(1, "valve", "chosen on"),
    "fd001": lambda: engines("FD001", "chosen on"),
    "debutanizer": debutanizer,
    "milling": milling,
    "pump": lambda: rig(2, "pump", "reported on"),
    "accumulator": lambda: rig(3, "accumulator", "reported on"),
    "fd003": lambda: engines("FD003", "reported on"),
    "tep": eastman,
}


def _blocks(count: int, blocks: int = BLOCKS) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64) * blocks // count
