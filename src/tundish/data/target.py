"""Which column is to be estimated, and whether it is a number or a class."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from tundish.data.table import Assumption, Table

PLAIN = re.compile(
    r"^(y|target|label|labels|quality|class|output|taste|目标|标签|质量)$",
    re.IGNORECASE,
)
UNASKED = re.compile(r"^(target|label|class|目标|标签)$", re.IGNORECASE)
PLANT = re.compile(
    r"quality|yield|purity|strength|hardness|viscosity|octane|kappa|taste|moisture|"
    r"density|roughness|wear|thickness|质量|收率|强度|纯度|粘度|厚度",
    re.IGNORECASE,
)
MOST_LEVELS = 6
ROWS_PER_LEVEL = 5


@dataclass(frozen=True, kw_only=True)
class FoundTarget:
    """The target.

    Attributes:
        column: Its name, or ``None`` if there is none.
        task: The task as named, or as the column says; ``None`` if nobody said.
        assumptions: What was assumed.
    """

    column: str | None
    task: str | None
    assumptions: tuple[Assumption, ...] = ()


def find_target(
    table: Table, target: str | None, task: str | None, taken: Collection[str | None]
) -> FoundTarget:
    """Find the target and the task.

    A column that the user names is taken. Without one, a task that needs a target takes
    a column with a plain name (``y``, ``target``, ``quality``), or the first or last
    column if its name is that of a quality (yield, strength, octane) and no other's is.
    Without a task only ``target``, ``label`` and ``class`` are taken.

    Args:
        table: The table.
        target: As named by the user.
        task: As named by the user: ``regress``, ``diagnose``, ``anomaly`` or ``None``.
        taken: Columns that are the time or the unit.
    """
    said: list[Assumption] = []
    if target is None:
        target, why = _by_name(table, task, taken)
        if target is None:
            return FoundTarget(column=None, task=task)
        said.append(
            Assumption(
                what=f"{target} is the target",
                why=why,
                otherwise="name another column with --target",
            )
        )
    if task in {"regress", "diagnose"}:
        return FoundTarget(column=target, task=task, assumptions=tuple(said))
    levels = _class_levels(table.frame[target])
    if levels is None:
        return FoundTarget(column=target, task="regress", assumptions=tuple(said))
    said.append(
        Assumption(
            what=f"{target} is a class, and the task is to tell {levels} classes apart",
            why="it holds texts" if _is_text(table.frame[target]) else
            f"it holds {levels} whole numbers only",
            otherwise="say --task regress",
        )
    )  # fmt: skip
    return FoundTarget(column=target, task="diagnose", assumptions=tuple(said))


def _by_name(
    table: Table, task: str | None, taken: Collection[str | None]
) -> tuple[str | None, str]:
    if task == "anomaly":
        return None, ""
    names = [name for name in table.frame.columns if name not in taken]
    usable = [name for name in names if _usable(table.frame[name])]
    wanted = PLAIN if task else UNASKED
    plain = [name for name in usable if wanted.match(name.strip())]
    if plain and (len(plain) == 1 or task):
        return plain[0], "its name says so" + (
            " and the task needs one" if task else ""
        )
    if not task or not names:
        return None, ""
    plant = [name for name in usable if PLANT.search(name)]
    if len(plant) == 1 and plant[0] in {names[0], names[-1]}:
        place = "last" if plant[0] == names[-1] else "first"
        return plant[0], f"it is the {place} column and the only one named as a quality"
    return None, ""


def _usable(series: pl.Series) -> bool:
    return series.dtype == pl.Float64 or _class_levels(series) is not None


def _is_text(series: pl.Series) -> bool:
    return series.dtype != pl.Float64


def _class_levels(series: pl.Series) -> int | None:
    """Return how many classes a column holds; ``None`` if it holds measured numbers."""
    filled = series.drop_nulls()
    levels = filled.n_unique()
    if levels < 2 or series.dtype.is_temporal():
        return None
    if _is_text(series):
        return levels if levels * ROWS_PER_LEVEL <= len(filled) else None
    whole = bool((filled == filled.round(0)).all())
    few = levels <= MOST_LEVELS and levels * ROWS_PER_LEVEL <= len(filled)
    return levels if whole and few else None
