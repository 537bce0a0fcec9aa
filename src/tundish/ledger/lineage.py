"""Lineage: what descends from a digest, and what a digest descends from.

An entry with outcome ``done`` joins each of its inputs to each of its outputs.
Order of entries does not matter, cycles are survived, and an act without outputs
(a line that was started with a package) is reached as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.ledger.record import Entry


class Relative(Record):
    """A digest that is related to the one asked for.

    Attributes:
        digest: The thing.
        depth: Acts between it and the digest asked for (shortest way).
        act: The act that joins it.
        name: What people called it when it was written, or empty.
    """

    digest: Digest
    depth: int
    act: str
    name: str


class Touch(Record):
    """An entry that had the digest, or a relative of it, among its inputs."""

    index: int
    at: str
    act: str
    actor: str
    outcome: str
    code: str
    depth: int
    inputs: tuple[Digest, ...]
    outputs: tuple[Digest, ...]


class Reach(Record):
    """All that descends from a digest (or all it descends from).

    Attributes:
        digest: What was asked for.
        name: What people called it, or empty.
        relatives: Related digests, nearest first, then in order of the log.
        touches: Entries on the way, in order of the log; refused ones too.
    """

    digest: Digest
    name: str
    relatives: tuple[Relative, ...]
    touches: tuple[Touch, ...]


def reach(entries: Iterable[tuple[int, Entry]], digest: Digest) -> Reach:
    """Return all that descends from a digest: its lines, packages, reports."""
    return _walk(list(entries), digest, forward=True)


def ancestry(entries: Iterable[tuple[int, Entry]], digest: Digest) -> Reach:
    """Return all that a digest descends from: its data, code, runs."""
    return _walk(list(entries), digest, forward=False)


def _walk(entries: list[tuple[int, Entry]], digest: Digest, *, forward: bool) -> Reach:
    names: dict[str, str] = {}
    by_start: dict[str, list[tuple[int, Entry]]] = {}
    for index, entry in entries:
        names.update(entry.names)
        for item in dict.fromkeys(entry.inputs if forward else entry.outputs):
            by_start.setdefault(item, []).append((index, entry))
    found: dict[Digest, Relative] = {}
    touches: dict[int, Touch] = {}
    todo = deque([(digest, 0)])
    while todo:
        here, depth = todo.popleft()
        for index, entry in by_start.get(here, ()):
            touches.setdefault(index, _touch(index, entry, depth + 1))
            for item in _ends(entry, forward=forward):
                if item != digest and item not in found:
                    found[item] = _relative(item, depth + 1, entry, names)
                    todo.append((item, depth + 1))
    return Reach(
        digest=digest,
        name=names.get(digest, ""),
        relatives=tuple(found.values()),
        touches=tuple(touches[index] for index in sorted(touches)),
    )


def _ends(entry: Entry, *, forward: bool) -> tuple[Digest, ...]:
    if entry.outcome != "done":
        return ()
    return entry.outputs if forward else entry.inputs


def _relative(
    digest: Digest, depth: int, entry: Entry, names: Mapping[str, str]
) -> Relative:
    return Relative(
        digest=digest, depth=depth, act=entry.act, name=names.get(digest, "")
    )


def _touch(index: int, entry: Entry, depth: int) -> Touch:
    return Touch(
        index=index,
        at=entry.at,
        act=entry.act,
        actor=entry.actor,
        outcome=entry.outcome,
        code=entry.code,
        depth=depth,
        inputs=entry.inputs,
        outputs=entry.outputs,
    )
