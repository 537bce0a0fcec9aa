"""Read problems of scheduling: flexible and plain job shops as text files.

First line: number of jobs and of machines (and, in some files, the mean number of
machines for an operation). Then a line for each job. In the flexible form (Brandimarte
1993) it has the number of operations, and for each its number of choices followed by
pairs of machine and duration; in the plain form a pair for each operation.

A JSON file is a book of plain job shops: name -> ``duration_matrix`` and
``machines_matrix`` with a row for each job, and ``metadata`` with what is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        SetUnfitError: if a file is no problem, the list says something else of it, or
            there are more or fewer.
    """
    known = _known(paths.join(root, form.bounds)) if form.bounds else {}
    found: list[Instance] = []
    for place, path in find_files(form, root, name):
        data = paths.read_file(path, most=MAX_BYTES)
        if data.lstrip()[:1] == b"{":
            found += read_book(data, place)
            continue
        one = read_instance(data, place)
        told = bool(known) and place not in form.doubted
        found.append(_bounded(one, known.get(place)) if told else one)
    if form.problems not in {None, len(found)}:
        msg = (
            f"{name} has {len(found):,} problems, and the entry says {form.problems:,}."
        )
        raise SetUnfitError(msg)
    return LoadedInstances(name=name, instances=tuple(found))


def read_book(data: bytes, name: str) -> list[Instance]:
    """Return the plain job shops of a JSON file, with what it says of their bounds.

    Args:
        data: Untrusted.
        name: Of the file, for messages.

    Raises:
        SetUnfitError: if one is none.
    """
    whole = canonical.loads(data, max_bytes=MAX_BYTES)
    if not isinstance(whole, dict):
        msg = f"{name} is no JSON object of problems."
        raise SetUnfitError(msg)
    return [_of_book(one, f"{name}#{key}") for key, one in whole.items()]


def _of_book(value: Json, name: str) -> Instance:
    said = value if isinstance(value, dict) else {}
    durations, machines = _rows(said, "duration_matrix"), _rows(said, "machines_matrix")
    if not durations or [*map(len, durations)] != [*map(len, machines)]:
        msg = f"{name} has no durations (duration_matrix) and machines (machines_matrix) of the same jobs."
        raise SetUnfitError(msg)
    jobs = [
        list(zip(*job, strict=True)) for job in zip(machines, durations, strict=True)
    ]
    many = 1 + max(max(row) for row in machines)
    for i, job in enumerate(jobs, start=1):
        _check([(choice,) for choice in job], many, f"{name}, job {i}")
    about = said.get("metadata")
    known = about if isinstance(about, dict) else {}
    bounds = {"lower": known.get("lower_bound"), "upper": known.get("upper_bound")}
    one = Instance(
        name=name,
        machines=many,
        jobs=tuple(tuple((choice,) for choice in job) for job in jobs),
    )
    return _within(one, {"optimum": known.get("optimum"), "bounds": bounds})


def _rows(said: Mapping[str, Json], key: str) -> list[list[int]]:
    """Return a matrix of whole numbers; none if it is something else."""
    rows = said.get(key)
    found = []
    for row in rows if isinstance(rows, list) else ():
        cells = row if isinstance(row, list) else []
        whole = [cell for cell in cells if isinstance(cell, int)]
        if not whole or len(whole) < len(cells):
            return []
        found.append(whole)
    return found


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
    _check(operations, machines, where)
    return tuple(operations)


def _check(operations: Sequence[Choices], machines: int, where: str) -> None:
    for choices in operations:
        for machine, duration in choices:
            if not 0 <= machine < machines or duration < 0:
                msg = f"{where} names the machine {machine} for {duration}; machines are counted from 0 to {machines - 1}."
                raise SetUnfitError(msg)


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
    return _within(one, said)


def _within(one: Instance, said: Mapping[str, Json]) -> Instance:
    lower, upper = _bounds(said)
    if lower is not None and upper is not None and lower > upper:
        msg = f"It is said of {one.name} that its makespan is at least {lower} and at most {upper}."
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
