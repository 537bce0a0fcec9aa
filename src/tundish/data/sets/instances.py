"""Read problems of scheduling: flexible and plain job shops as text files.

First line: number of jobs and of machines (and, in some files, the mean number of
machines for an operation). Then a line for each job. In the flexible form (Brandimarte
1993) it has the number of operations, and for each its number of choices followed by
pairs of machine and duration; in the plain form a pair for each operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tundish.catalog.setforms import InstanceForm
from tundish.data.errors import SetUnfitError
from tundish.data.sets.found import find_files
from tundish.data.sets.loaded import Instance, LoadedInstances
from tundish.kernel import canonical, paths
from tundish.kernel.canonical import Json

MAX_BYTES = 8 * 1024**2

Choices = tuple[tuple[int, int], ...]


def load_instances(name: str, form: InstanceForm, root: Path) -> LoadedInstances:
    """Read the problems of a set, and check them against the list of what is known.

    Raises:
        SetUnfitError: if a file is no problem, or the list says something else of it.
    """
    known = _known(paths.join(root, form.bounds)) if form.bounds else {}
    found = []
    for place, path in find_files(form, root, name):
        one = read_instance(paths.read_file(path, most=MAX_BYTES), place)
        told = bool(known) and place not in form.doubted
        found.append(_bounded(one, known.get(place)) if told else one)
    return LoadedInstances(name=name, instances=tuple(found))


def read_instance(data: bytes, name: str) -> Instance:
    """Return the problem in the bytes of a file.

    Args:
        data: Untrusted.
        name: Of the file, for messages.

    Raises:
        SetUnfitError: if it is none.
    """
    try:
        lines = [line.split() for line in data.decode("ascii").splitlines()]
        rows = [line for line in lines if line and not line[0].startswith("#")]
        jobs, machines = int(rows[0][0]), int(rows[0][1])
        wanted = [[int(cell) for cell in row] for row in rows[1:]]
    except (ValueError, IndexError) as error:
        msg = f"{name} does not begin with numbers of jobs and machines and go on with whole numbers."
        raise SetUnfitError(msg) from error
    if len(wanted) != jobs or not jobs:
        msg = f"{name} says {jobs} jobs, and {len(wanted)} lines follow."
        raise SetUnfitError(msg)
    plain = all(len(row) == 2 * machines for row in wanted)
    made = [
        _job(row, machines, f"{name}, job {i}", plain=plain)
        for i, row in enumerate(wanted, start=1)
    ]
    return Instance(name=name, machines=machines, jobs=tuple(made))


def _job(
    row: list[int], machines: int, where: str, *, plain: bool
) -> tuple[Choices, ...]:
    if plain and _flexible(row) is None:
        pairs = zip(row[::2], row[1::2], strict=True)
        operations: list[Choices] | None = [((m, t),) for m, t in pairs]
    else:
        operations = _flexible(row)
    if operations is None:
        msg = f"{where} ends before its operations do, or goes on after them."
        raise SetUnfitError(msg)
    for choices in operations:
        for machine, duration in choices:
            if not 0 <= machine < machines or duration < 0:
                msg = f"{where} names the machine {machine} for {duration}; machines are counted from 0 to {machines - 1}."
                raise SetUnfitError(msg)
    return tuple(operations)


def _flexible(row: list[int]) -> list[Choices] | None:
    at, found = 1, []
    for _ in range(row[0]):
        if at >= len(row) or row[at] < 1:
            return None
        end = at + 1 + 2 * row[at]
        if end > len(row):
            return None
        found.append(
            tuple(zip(row[at + 1 : end : 2], row[at + 2 : end : 2], strict=True))
        )
        at = end
    return found if at == len(row) and found else None


def _known(path: Path) -> dict[str, Mapping[str, Json]]:
    value = canonical.loads(paths.read_file(path))
    if not isinstance(value, list):
        msg = f"{path.name} is no list of problems."
        raise SetUnfitError(msg)
    return {str(one.get("path")): one for one in value if isinstance(one, dict)}


def _bounded(one: Instance, said: Mapping[str, Json] | None) -> Instance:
    if said is None:
        msg = f"The list of bounds does not know {one.name}."
        raise SetUnfitError(msg)
    jobs, machines = said.get("jobs"), said.get("machines")
    if (jobs, machines) != (len(one.jobs), one.machines):
        msg = f"{one.name} has {len(one.jobs)} jobs and {one.machines} machines, and the list says {jobs} and {machines}."
        raise SetUnfitError(msg)
    lower, upper = _bounds(said)
    if lower is not None and upper is not None and lower > upper:
        msg = f"The list says of {one.name} that its makespan is at least {lower} and at most {upper}."
        raise SetUnfitError(msg)
    return Instance(
        name=one.name, machines=one.machines, jobs=one.jobs, lower=lower, upper=upper
    )


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) else None


def _bounds(said: Mapping[str, Json]) -> tuple[int | None, int | None]:
    best, bounds = _whole(said.get("optimum")), said.get("bounds")
    if best is not None:
        return best, best
    if not isinstance(bounds, dict):
        return None, None
    return _whole(bounds.get("lower")), _whole(bounds.get("upper"))
