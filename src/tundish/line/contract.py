"""What a source must know of the signals it reads, whoever says it.

A scenario is such a contract. So is a plain list of signals, for a recording that is
made before there is any scenario.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tundish.catalog.tasks import Picture


class SignalForm(Protocol):
    """What a source must know of one signal."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def unit(self) -> str:
        """Its unit; empty if nobody said one."""
        ...

    @property
    def channels(self) -> int:
        """Numbers of one sample."""
        ...

    @property
    def period_s(self) -> float:
        """Seconds between two samples."""
        ...

    @property
    def numeric(self) -> bool:
        """Whether anything but numbers is bad; else texts and truth values are kept."""
        ...


class Contract(Protocol):
    """What a source must know of all its signals."""

    @property
    def key(self) -> str:
        """Names it."""
        ...

    @property
    def signals(self) -> Sequence[SignalForm]:
        """All signals, in order."""
        ...

    @property
    def picture(self) -> Picture | None:
        """The form of its pictures, if they are any."""
        ...

    @property
    def stale_after_s(self) -> float | None:
        """Age at which a value is stale; None if nobody said one."""
        ...

    def signal(self, name: str) -> SignalForm:
        """Return a signal by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class ListedSignal:
    """A signal of which nobody but the line file says anything.

    Attributes:
        unit: Empty if unknown.
        period_s: How often it is asked for, where it is asked for.
        periodic: Whether a longer step than that is a gap.
    """

    name: str
    unit: str = ""
    channels: int = 1
    period_s: float = 1.0
    periodic: bool = False
    description: str = ""
    numeric: bool = False


@dataclass(frozen=True, kw_only=True)
class SignalList:
    """A contract that is a list and no more."""

    key: str
    signals: tuple[ListedSignal, ...]
    picture: Picture | None = None
    stale_after_s: float | None = None

    def signal(self, name: str) -> ListedSignal:
        """Return the signal of that name; ``KeyError`` if there is none."""
        for signal in self.signals:
            if signal.name == name:
                return signal
        raise KeyError(name)
