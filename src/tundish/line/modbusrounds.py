"""Read all tags of a Modbus server once: blocks, refusals, silent devices, heartbeat."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tundish.kernel.clock import Clock
from tundish.line.modbuslink import ModbusLink, ModbusLostError, ModbusSilentError
from tundish.line.modbustags import Block, ModbusTag, halves, plan, values_of
from tundish.line.modbuswire import ModbusRefusedError, Question
from tundish.line.samples import Floats

_OF_THE_BLOCK = frozenset({2, 3, 4})  # another, shorter block may be given
_OF_THE_PATH = frozenset({10, 11})  # whatever is asked of this device
_PAUSES_S = (1.0, 30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was had of a tag.

    Attributes:
        values: In the contract's unit; ``None`` if there are none.
        problem: Why there are none, for people.
        refused: Number of the server's exception, if it was one.
    """

    tag: ModbusTag
    values: Floats | None = None
    problem: str = ""
    refused: int | None = None


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """A register that must change within some seconds."""

    node: str
    question: Question
    within_s: float


@dataclass(slots=True, kw_only=True)
class _Silence:
    """A device that is not asked again before a moment."""

    until_s: float
    pause_s: float
    problem: Exception


class Rounds:
    """Asks for tags in rounds and remembers what a server refuses.

    Args:
        link: To the server.
        tags: All tags of it.
        bridge: See ``plan``.
        heartbeat: Read in each round.
        clock: For the heartbeat and for pauses.
    """

    def __init__(
        self,
        link: ModbusLink,
        tags: Sequence[ModbusTag],
        *,
        bridge: int,
        heartbeat: Heartbeat | None,
        clock: Clock,
    ) -> None:
        self._link = link
        self._tags = tuple(tags)
        self._bridge = bridge
        self._heartbeat = heartbeat
        self._clock = clock
        self._units = {tag.question.unit for tag in tags}
        if heartbeat:
            self._units.add(heartbeat.question.unit)
        self.groups = tuple(sorted({tag.every for tag in tags}))
        self._blocks: dict[int, list[Block]] = {}
        self._silent: dict[int, _Silence] = {}
        self._beat: bytes | None = None
        self._beat_s: float | None = None
        self._beat_problem = ""
        self.heartbeat_refused: int | None = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what the server refused: after a new connection it may give it."""
        self._silent.clear()
        for group in self.groups:
            tags = (tag for tag in self._tags if tag.every == group)
            self._blocks[group] = plan(tags, self._bridge)

    async def read(self, groups: Collection[int]) -> list[Reading]:
        """Read the tags of some groups.

        Raises:
            ModbusLostError: if the link is gone, or no device answers any more.
        """
        readings: list[Reading] = []
        if self._heartbeat:
            await self._feel(self._heartbeat)
        for group in groups:
            kept: list[Block] = []
            for block in self._blocks[group]:
                kept += await self._read(block, readings)
            self._blocks[group] = kept
        mute = {
            unit
            for unit, silence in self._silent.items()
            if isinstance(silence.problem, ModbusSilentError)
        }
        if mute == self._units:
            problem = next(iter(self._silent.values())).problem
            msg = f"{self._link.place}: {problem}"
            raise ModbusLostError(msg)
        return readings

    def heart_stopped(self) -> str:
        """Return why the device is taken for dead; empty if it is not.

        It lives from the first change that is seen on; a new connection is no change.
        """
        if self._heartbeat is None:
            return ""
        node = self._heartbeat.node
        why = f" ({self._beat_problem})" if self._beat_problem else ""
        if self._beat_s is None:
            return f"the heartbeat {node} has not changed yet{why}"
        since_s = self._clock.monotonic_s() - self._beat_s
        if since_s <= self._heartbeat.within_s:
            return ""
        return (
            f"the heartbeat {node} has not changed for more than "
            f"{self._heartbeat.within_s:g} s{why}"
        )

    async def _feel(self, heartbeat: Heartbeat) -> None:
        self._beat_problem, self.heartbeat_refused = "", None
        try:
            found = await self._ask(heartbeat.question)
        except (ModbusRefusedError, ModbusSilentError) as error:
            self._beat_problem = str(error)
            if isinstance(error, ModbusRefusedError):
                self.heartbeat_refused = error.code
            return
        if self._beat is not None and found != self._beat:
            self._beat_s = self._clock.monotonic_s()
        self._beat = found

    async def _read(self, block: Block, readings: list[Reading]) -> list[Block]:
        """Read a block; return what is to be read in its place from now on."""
        refused: int | None = None
        try:
            data = await self._ask(block.question)
        except ModbusRefusedError as error:
            if error.code in _OF_THE_BLOCK and len(block.tags) > 1:
                first, second = halves(block)
                return [
                    *await self._read(first, readings),
                    *await self._read(second, readings),
                ]
            problem, refused = str(error), error.code
        except ModbusSilentError as error:
            problem = str(error)
        else:
            readings += (
                Reading(tag=tag, values=values_of(tag, block.question, data))
                for tag in block.tags
            )
            return [block]
        readings += (
            Reading(tag=tag, problem=problem, refused=refused) for tag in block.tags
        )
        return [block]

    async def _ask(self, question: Question) -> bytes:
        """Ask twice, or once a device that was silent when it was asked last."""
        unit = question.unit
        silence = self._silent.get(unit)
        if silence and self._clock.monotonic_s() < silence.until_s:
            raise silence.problem
        problem: Exception | None = None
        for _ in range(1 if silence else 2):
            try:
                found = await self._link.ask(question)
            except ModbusSilentError as error:
                problem = error
            except ModbusRefusedError as error:
                if error.code not in _OF_THE_PATH:
                    self._silent.pop(unit, None)
                    raise
                problem = error
                break
            else:
                self._silent.pop(unit, None)
                return found
        if problem is None:
            msg = "a request ended with nothing"
            raise AssertionError(msg)
        self._hush(unit, problem, silence)
        raise problem

    def _hush(self, unit: int, problem: Exception, before: _Silence | None) -> None:
        first_s, longest_s = _PAUSES_S
        pause_s = min(2 * before.pause_s, longest_s) if before else first_s
        until_s = self._clock.monotonic_s() + pause_s
        self._silent[unit] = _Silence(until_s=until_s, pause_s=pause_s, problem=problem)
