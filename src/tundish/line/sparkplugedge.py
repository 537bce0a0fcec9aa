"""What is known of one edge node of Sparkplug B, message by message; pure.

A birth names the metrics, their types and aliases; without it, or after a message
that was missed, an alias means nothing. Then only metrics that carry their name are
taken, and the caller is told to ask for a rebirth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np

from tundish.line.samples import NEWEST_US, OLDEST_US, Quality, Sample
from tundish.line.sparkplug import (
    STALE,
    Metric,
    Payload,
    integer,
    kind_name,
    numbers,
    plain,
)

MessageKind = Literal["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"]
KINDS: Final[tuple[MessageKind, ...]] = (
    "NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH",
)  # fmt: skip


class Place(NamedTuple):
    """A metric: of the edge node itself, where ``device`` is empty, or of a device."""

    device: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A signal that a metric gives.

    Attributes:
        numeric: Whether anything but numbers is bad; else texts and truth values are
            kept as such.
    """

    signal: str
    channels: int
    scale: float = 1.0
    offset: float = 0.0
    numeric: bool = True


@dataclass(kw_only=True)
class Outcome:
    """What a message brought.

    Attributes:
        samples: In order.
        rebirth: Why a rebirth must be asked for; empty if it need not.
    """

    samples: list[Sample] = field(default_factory=list)
    rebirth: str = ""


class EdgeNode:
    """One edge node; see the module.

    Args:
        name: ``group/edge``, for messages to people.
        wanted: The signals that its metrics give.
    """

    def __init__(self, name: str, wanted: Mapping[Place, Wanted]) -> None:
        self.name = name
        self._wanted = dict(wanted)
        self._aliases: dict[int, Place] = {}
        self._kinds: dict[Place, int] = {}
        self._born: set[str] = set()  # devices; "" is the node itself
        self._next = -1
        self._bd_seq: int | None = None
        self._told = ""

    def kind_of(self, signal: str) -> str:
        """Return the data type that a birth gave a signal; empty if none was heard."""
        for place, wanted in self._wanted.items():
            if wanted.signal == signal and place in self._kinds:
                return kind_name(self._kinds[place])
        return ""

    def forget(self) -> None:
        """The link was away: births may have been missed."""
        self._born.clear()
        self._aliases.clear()
        self._next = -1

    def take(
        self, kind: MessageKind, device: str, payload: Payload, received_us: int
    ) -> Outcome:
        """Take a message; ``payload`` is untrusted."""
        if kind == "NBIRTH":
            return self._node_born(payload, received_us)
        if kind == "NDEATH":
            return self._node_died(payload)
        outcome = Outcome(rebirth=self._in_sequence(payload))
        if outcome.rebirth and outcome.rebirth != self._told:
            outcome.samples = list(self._untimed(None, outcome.rebirth))
        self._told = outcome.rebirth
        if kind == "DDEATH":
            self._born.discard(device)
            why = f"the device {self.name}/{device} is dead"
            outcome.samples += self._untimed(device, why)
            return outcome
        if kind == "DBIRTH" and not outcome.rebirth:
            self._learn(device, payload)
        elif device not in self._born and self._of(device) and not outcome.rebirth:
            outcome.rebirth = f"{self.name}/{device} has sent no birth".rstrip("/")
        outcome.samples += self._read(device, payload, received_us)
        return outcome

    def unreadable(self, why: str) -> list[Sample]:
        """Take note of a message that is no payload: it counts as missed."""
        self.forget()
        said = f"{self.name} sent what cannot be read: {why}"
        return list(self._untimed(None, said))

    def _node_born(self, payload: Payload, received_us: int) -> Outcome:
        self.forget()
        if payload.seq is None or not 0 <= payload.seq <= 255:
            why = f"the birth of {self.name} has no sequence number"
            return Outcome(samples=list(self._untimed(None, why)))
        self._next = (payload.seq + 1) % 256
        named = {one.name: one for one in payload.metrics}
        said = named.get("bdSeq")
        self._bd_seq = None if said is None else integer(said)
        self._learn("", payload)
        return Outcome(samples=list(self._read("", payload, received_us)))

    def _node_died(self, payload: Payload) -> Outcome:
        said = [integer(one) for one in payload.metrics if one.name == "bdSeq"]
        if self._bd_seq is not None and said and said[0] != self._bd_seq:
            return Outcome()  # the death of an earlier life
        self.forget()
        why = f"the edge node {self.name} is dead"
        return Outcome(samples=list(self._untimed(None, why)))

    def _in_sequence(self, payload: Payload) -> str:
        """Return why a message is not the next one of a life that is known."""
        if "" not in self._born:
            return f"{self.name} has sent no birth"
        expected, self._next = self._next, (self._next + 1) % 256
        if payload.seq == expected:
            return ""
        self.forget()
        return f"a message of {self.name} was missed (number {payload.seq}, expected {expected})"

    def _learn(self, device: str, payload: Payload) -> None:
        for alias in [
            a for a, place in self._aliases.items() if place.device == device
        ]:
            del self._aliases[alias]
        self._born.add(device)
        if not self._of(device):
            return
        times = Counter(one.alias for one in payload.metrics)
        for one in payload.metrics:
            place = Place(device, one.name or "")
            if place not in self._wanted:
                self._aliases.pop(-1 if one.alias is None else one.alias, None)
                continue
            self._kinds[place] = one.kind
            if one.alias is not None and times[one.alias] == 1:
                self._aliases[one.alias] = place

    def _of(self, device: str) -> bool:
        return any(place.device == device for place in self._wanted)

    def _read(
        self, device: str, payload: Payload, received_us: int
    ) -> Iterator[Sample]:
        for one in payload.metrics:
            if one.name is not None:
                place: Place | None = Place(device, one.name)
            else:
                place = self._aliases.get(-1 if one.alias is None else one.alias)
            wanted = self._wanted.get(place) if place else None
            if place is None or wanted is None or place.device != device:
                continue
            at_us, late = _time(one, payload, received_us)
            kind = self._kinds.get(place, 0)
            if one.kind and kind and one.kind != kind:
                why = f"the type has changed from {kind_name(kind)} to {kind_name(one.kind)} without a birth"
                yield _bad(wanted, at_us, why)
                continue
            yield _sample(wanted, one, one.kind or kind, at_us, late)

    def _untimed(self, device: str | None, why: str) -> Iterator[Sample]:
        for place, wanted in self._wanted.items():
            if device is None or place.device == device:
                yield _bad(wanted, None, why)


def _time(one: Metric, payload: Payload, received_us: int) -> tuple[int, str]:
    for time_ms in (one.time_ms, payload.time_ms):
        if time_ms is not None and OLDEST_US <= time_ms * 1000 < NEWEST_US:
            return time_ms * 1000, ""
    return received_us, "no source time; the time of receipt is used"


def _sample(wanted: Wanted, one: Metric, kind: int, at_us: int, late: str) -> Sample:
    quality, reason = _quality(one.quality)
    if quality == "bad":
        return _bad(wanted, at_us, reason)
    said = None if wanted.numeric else plain(one)
    values, problem = (
        (None, "") if said is not None else numbers(one, kind, wanted.channels)
    )
    if problem:
        return _bad(wanted, at_us, problem)
    if late:
        quality, reason = "uncertain", late
    if values is not None and (wanted.scale != 1.0 or wanted.offset != 0.0):
        with np.errstate(over="ignore"):  # becomes infinite, which the contract refuses
            values = values * wanted.scale + wanted.offset
    return Sample(
        signal=wanted.signal,
        at_us=at_us,
        quality=quality,
        values=values,
        reason=reason,
        said=said,
    )


def _quality(said: int | None) -> tuple[Quality, str]:
    """Read the property: 192 good, 500 stale, 0 bad, and the numbers of OPC DA."""
    if said is None or 0xC0 <= said < 0x100:
        return "good", ""
    if said == STALE:
        return "uncertain", "the source says stale (500)"
    if 0x40 <= said < 0x80:
        return "uncertain", f"the source says uncertain ({said})"
    return "bad", f"the source says bad ({said})"


def _bad(wanted: Wanted, at_us: int | None, why: str) -> Sample:
    return Sample(
        signal=wanted.signal, at_us=at_us, quality="bad", values=None, reason=why
    )
