"""OPC UA sink: answers and state as values with status and source time.

An answer without a number is written as an empty value with a Bad status, never as
the last good number; so is every number node when the line turns stale. Needs a
server that accepts status and source time in a write (asyncua, extra ``line``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Self, cast

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError
from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.kernel.records import Record
from tundish.line.answers import parts_of
from tundish.line.errors import NodeMissingError, SinkRefusedError
from tundish.line.estimates import Estimate
from tundish.line.governor import Request
from tundish.line.guard import Mode
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.linefile import SinkSpec
from tundish.line.samples import Quality, from_us
from tundish.line.state import SEVERITY, TagState
from tundish.line.uaclient import LinkLostError, UaLink, node_id, severity
from tundish.line.uainspect import describe, measured_clock
from tundish.line.uasecure import ChannelSecurity

NUMBERS = ("estimate", "lower", "upper")
TEXTS = ("reason", "because", "model", "state_reason", "mode")
NODES = (*NUMBERS, "alarm", *TEXTS, "state")

Value = float | str | bool | None

_STATUS: dict[Quality, int] = {
    "good": StatusCodes.Good,
    "uncertain": StatusCodes.Uncertain,
    "bad": StatusCodes.Bad,
}
_MOST = {
    ua.VariantType.SByte: 2**7 - 1,
    ua.VariantType.Byte: 2**8 - 1,
    ua.VariantType.Int16: 2**15 - 1,
    ua.VariantType.UInt16: 2**16 - 1,
    ua.VariantType.Int32: 2**31 - 1,
    ua.VariantType.UInt32: 2**32 - 1,
    ua.VariantType.Int64: 2**63 - 1,
    ua.VariantType.UInt64: 2**64 - 1,
}
_INTEGERS = set(_MOST)
_FLOATS = {ua.VariantType.Float, ua.VariantType.Double}
_STRING = {ua.VariantType.String}
_BOOLEAN = {ua.VariantType.Boolean}
_LASTING = {
    StatusCodes.BadTypeMismatch,
    StatusCodes.BadWriteNotSupported,
    StatusCodes.BadNotWritable,
    StatusCodes.BadUserAccessDenied,
    StatusCodes.BadOutOfRange,
    StatusCodes.BadNotSupported,
}


class OpcUaSinkOptions(Record):
    """Options of an OPC UA sink.

    Attributes:
        timeout_s: Limit for each call.
        channel_s: Lifetime of the secure channel, which is renewed in time.
    """

    timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    channel_s: Annotated[float, Field(ge=1, le=86_400)] = 3600.0


class OpcUaSink:
    """One OPC UA server as a sink; see the module.

    Args:
        spec: The line file's part. ``nodes`` holds any of ``NODES``; ``state`` may
            be a string or an integer (0 good, 1 uncertain, 2 bad, 3 stale).
        options: See ``OpcUaSinkOptions``.
        security: How the channel is secured.

    Raises:
        NodeMissingError: if a node id cannot be read, or what is to be written is
            none of ``NODES``.
    """

    known: ClassVar[tuple[str, ...]] = NODES
    """What it may be asked to write."""

    def __init__(
        self,
        spec: SinkSpec,
        options: OpcUaSinkOptions | None = None,
        security: ChannelSecurity | None = None,
    ) -> None:
        options = options or OpcUaSinkOptions()
        unknown = sorted(set(spec.nodes) - set(self.known))
        if unknown:
            msg = (
                f"The sink {spec.name} names a node for {unknown[0]!r}; expected any of "
                f"{', '.join(self.known)}."
            )
            raise NodeMissingError(msg)
        self._name = spec.name
        self._link = UaLink(
            spec.endpoint, options.timeout_s, security, options.channel_s
        )
        self._nodes = {
            what: node_id(text, f"{what} of the sink {spec.name}")
            for what, text in spec.nodes.items()
        }
        self._types: dict[str, ua.VariantType] = {}

    @classmethod
    def from_spec(cls, spec: SinkSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError: if it says what this kind does not know.
            NodeMissingError: as for the class.
            TundishError: as ``ChannelSecurity.from_spec``.
        """
        del scenario
        security = ChannelSecurity.from_spec(spec.security, f"The sink {spec.name}")
        return cls(spec, spec.read_options(OpcUaSinkOptions), security)

    @property
    def name(self) -> str:
        """The name in the line file."""
        return self._name

    async def connect(self) -> None:
        """Connect and check every node; see ``Sink.connect``."""
        await self._link.open()
        names, nodes = list(self._nodes), list(self._nodes.values())
        try:
            kinds = await self._link.read_attribute(nodes, AttributeIds.DataType)
            access = await self._link.read_attribute(
                nodes, AttributeIds.UserAccessLevel
            )
        except UaError as error:
            raise LinkLostError(str(error)) from error
        for what, kind, level in zip(names, kinds, access, strict=True):
            self._types[what] = self._check(what, kind, level)

    async def inspect(self) -> Inspection:
        """Look at each node, and write nothing; see ``Inspects``."""
        try:
            await self._link.open()
            clock = await measured_clock(self._link)
            seen = await describe(self._link, self._nodes)
            kinds = await self._link.read_attribute(
                list(self._nodes.values()), AttributeIds.DataType
            )
        except UaError as error:
            raise LinkLostError(str(error)) from error
        finally:
            await self._link.drop()
        tags = [self._judged(*one) for one in zip(seen, kinds, strict=True)]
        return Inspection(tags=tuple(tags), clock=clock, security=self._link.security)

    async def write_estimates(self, estimates: Sequence[Estimate]) -> None:
        """Write answers, one call each, in order; see ``Sink.write_estimates``."""
        for estimate in estimates:
            values = parts_of(estimate)
            await self._write(values, estimate.quality, estimate.at_us)

    async def write_state(self, state: TagState, mode: Mode, at_us: int) -> None:
        """Write the state; when stale, take the numbers away as well."""
        values: dict[str, Value] = {
            "state": state.state,
            "state_reason": f"{state.signal} {state.reason}".strip(),
            "mode": mode,
        }
        await self._write(values, "good", at_us)
        if state.state == "stale":
            await self._write(dict.fromkeys((*NUMBERS, "alarm")), "bad", at_us)

    async def close(self) -> None:
        """Let the server go; safe to call twice."""
        await self._link.drop()

    def _judged(self, seen: TagSeen, kind: ua.DataValue) -> TagSeen:
        """Add to a node what keeps this sink from writing it."""
        if seen.problem:
            return seen
        if not seen.may_write:
            return replace(seen, problem="this user may not write it")
        level = ua.DataValue(ua.Variant(2**8 - 1, ua.VariantType.Byte))
        try:
            self._check(seen.name, kind, level)
        except NodeMissingError as error:
            return replace(seen, problem=error.message)
        return seen

    def _check(
        self, what: str, kind: ua.DataValue, access: ua.DataValue
    ) -> ua.VariantType:
        node = self._nodes[what].to_string()
        identifier, level = (
            None if value.Value is None else value.Value.Value
            for value in (kind, access)
        )
        if not isinstance(identifier, ua.NodeId) or not isinstance(level, int):
            status = kind.StatusCode.name if kind.StatusCode else "no answer"
            msg = f"The node {node} for {what} cannot be used at {self._link.endpoint}: {status}."
            raise NodeMissingError(msg)
        if not level & (1 << ua.AccessLevel.CurrentWrite):
            msg = f"The node {node} for {what} may not be written at {self._link.endpoint}."
            raise NodeMissingError(msg)
        allowed = {int(kind.value): kind for kind in _allowed(what)}
        found = identifier.Identifier if identifier.NamespaceIndex == 0 else None
        if not isinstance(found, int) or found not in allowed:
            names = " or ".join(sorted(kind.name for kind in allowed.values()))
            msg = f"The node {node} for {what} has the data type {identifier.to_string()}, expected {names}."
            raise NodeMissingError(msg)
        return allowed[found]

    async def _write(
        self,
        values: dict[str, Value],
        quality: Quality,
        at_us: int,
    ) -> None:
        wanted = {what: v for what, v in values.items() if what in self._nodes}
        if not wanted:
            return
        if not self._types:
            msg = f"There is no connection to {self._link.endpoint}."
            raise LinkLostError(msg)
        nodes = [self._nodes[what] for what in wanted]
        data = [self._value(what, v, quality, at_us) for what, v in wanted.items()]
        await self._put(list(wanted), nodes, data)

    async def _put(
        self, names: list[str], nodes: list[ua.NodeId], data: list[ua.DataValue]
    ) -> None:
        client = self._link.client.uaclient
        try:
            results = await self._link.call(
                client.write_attributes(nodes, data, AttributeIds.Value)
            )
        except UaError as error:  # the whole call was refused
            raise LinkLostError(str(error)) from error
        for what, status in zip(names, results, strict=True):
            self._accepted(what, status)

    def _value(
        self, what: str, value: Value, quality: Quality, at_us: int
    ) -> ua.DataValue:
        kind = self._types[what]
        text = what in TEXTS
        status = _STATUS["good" if text else quality]
        variant = None
        if value is not None:
            variant = ua.Variant(_plain(value, kind), kind)
        elif quality == "good":  # a good answer of a task that has no such number
            status = StatusCodes.BadNoData
        return ua.DataValue(
            variant,
            StatusCode=ua.StatusCode(ua.UInt32(status)),
            SourceTimestamp=cast("ua.DateTime", from_us(at_us)),
        )

    def _accepted(self, what: str, status: ua.StatusCode) -> None:
        if severity(status) < 2:
            return
        node = self._nodes[what].to_string()
        said = f"{self._link.endpoint} answered {status.name} to {what} at {node}"
        if status.value in _LASTING:
            msg = f"The server {said}."
            raise SinkRefusedError(msg)
        raise LinkLostError(said)


def _plain(value: Value, kind: ua.VariantType) -> Value:
    """Return a state as its number where the node holds numbers."""
    if kind in _INTEGERS:
        return next(rank for name, rank in SEVERITY.items() if name == value)
    return value


def _allowed(what: str) -> set[ua.VariantType]:
    if what in {*NUMBERS, "request"}:
        return _FLOATS
    if what in {"alarm", "valid"}:
        return _BOOLEAN
    if what == "heartbeat":
        return _INTEGERS
    return _STRING | _INTEGERS if what == "state" else _STRING


class OpcUaRequests(OpcUaSink):
    """Request tags of a PLC's OPC UA server; see ``line.requester``.

    Plain values are written, without status and time, since most PLCs take nothing else;
    ``heartbeat`` comes last and counts up to the largest number of its type.
    """

    known: ClassVar[tuple[str, ...]] = (
        "valid", "request", "request_reason", "heartbeat",
    )  # fmt: skip

    async def write_request(self, request: Request) -> None:
        """Write a request in one call; see ``RequestSink.write_request``."""
        values: dict[str, Value] = {
            "valid": request.valid,
            "request": request.value,
            "request_reason": request.reason,
            "heartbeat": request.beat % (_MOST[self._types["heartbeat"]] + 1)
            if self._types
            else 0,
        }
        names = [what for what in self.known if what in self._nodes]
        if not self._types:
            msg = f"There is no connection to {self._link.endpoint}."
            raise LinkLostError(msg)
        data = [
            ua.DataValue(ua.Variant(values[what], self._types[what])) for what in names
        ]
        await self._put(names, [self._nodes[what] for what in names], data)
