"""One OPC UA connection with an end to every wait; shared by source and sink.

asyncua by itself waits for ever in places on a half-open connection, retries a
broken publish loop once a second and logs tracebacks; here every call has a time
limit, a watchdog asks for the server's state, and a lost link is dropped whole.
Imports asyncua: loaded only when an OPC UA source or sink is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from tundish.kernel.clock import SystemClock
from tundish.kernel.errors import TundishError
from tundish.line.clocks import ClockReading
from tundish.line.errors import NodeMissingError, SecurityRefusedError
from tundish.line.samples import to_us
from tundish.line.uasecure import ChannelSecurity, SecureClient

T = TypeVar("T")


Item = TypeVar("Item")
MOST_PER_CALL = 1000
_STATUS_NODES = (
    ObjectIds.Server_ServerStatus_State,
    ObjectIds.Server_ServerStatus_CurrentTime,
)
_LIMITED = ("read", "write", "monitor", "browse")
_TOO_MUCH = {
    StatusCodes.BadTooManyOperations,
    StatusCodes.BadRequestTooLarge,
    StatusCodes.BadResponseTooLarge,
    StatusCodes.BadEncodingLimitsExceeded,
    StatusCodes.BadTcpMessageTooLarge,
}
_DISTRUSTED = {
    StatusCodes.BadSecurityChecksFailed,
    StatusCodes.BadCertificateUntrusted,
    StatusCodes.BadCertificateInvalid,
    StatusCodes.BadCertificateTimeInvalid,
    StatusCodes.BadCertificateUriInvalid,
    StatusCodes.BadCertificateUseNotAllowed,
    StatusCodes.BadCertificateChainIncomplete,
    StatusCodes.BadCertificateRevoked,
    StatusCodes.BadCertificatePolicyCheckFailed,
}
_NO_USER = {
    StatusCodes.BadIdentityTokenInvalid,
    StatusCodes.BadIdentityTokenRejected,
    StatusCodes.BadUserAccessDenied,
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Most items that a server takes in one call."""

    read: int = MOST_PER_CALL
    write: int = MOST_PER_CALL
    monitor: int = MOST_PER_CALL
    browse: int = MOST_PER_CALL


class LinkLostError(ConnectionError):
    """The link is gone; its owner connects again."""


class UaLink:
    """A connection to one server; made anew after each loss.

    Args:
        endpoint: ``opc.tcp://host:port/path``.
        timeout_s: Limit for each call, in seconds of the wall clock.
        security: How the channel is secured; None: not at all.
        channel_s: Lifetime asked for of the secure channel, in seconds.
    """

    def __init__(
        self,
        endpoint: str,
        timeout_s: float,
        security: ChannelSecurity | None = None,
        channel_s: float = 3600.0,
    ) -> None:
        quiet_asyncua()
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self.limits = Limits()
        self._security = security
        self._wall = SystemClock()
        self._channel_s = channel_s
        self._client: SecureClient | None = None

    @property
    def security(self) -> str:
        """How the channel is secured, in a few words; empty if it is not."""
        return self._security.said if self._security else ""

    @property
    def client(self) -> SecureClient:
        """The connected client.

        Raises:
            LinkLostError: if there is none.
        """
        if self._client is None:
            msg = f"There is no connection to {self.endpoint}."
            raise LinkLostError(msg)
        return self._client

    async def open(self) -> None:
        """Connect.

        Raises:
            LinkLostError: if nobody answers in time; names the cause.
            SecurityRefusedError, ServerUntrustedError: if the server is not to be
                talked to as the line file asks.
        """
        await self.drop()
        client = SecureClient(self.endpoint, self.timeout_s, self._channel_s)
        try:
            async with asyncio.timeout(4 * self.timeout_s):
                if self._security is not None:
                    await self._security.apply(client, self.endpoint)
                await client.connect(auto_reconnect=False)
        except TundishError:
            await _discard(client, self.timeout_s)
            raise
        except Exception as error:  # whatever a foreign server provokes in the library
            await _discard(client, self.timeout_s)
            if (refused := _refused(self.endpoint, error)) is not None:
                raise refused from error
            msg = f"{self.endpoint} does not answer ({_cause(error)})"
            raise LinkLostError(msg) from error
        except BaseException:
            client.disconnect_socket()
            raise
        self._client = client
        self.limits = await self._ask_limits()

    async def call(self, request: Awaitable[T], *, limit_s: float | None = None) -> T:
        """Await a request within the time limit, or another one.

        Raises:
            LinkLostError: if the link is gone or no answer came in time.
            ua.UaStatusCodeError: as the server answered.
        """
        try:
            async with asyncio.timeout(limit_s or self.timeout_s):
                return await request
        except (ua.uaerrors.BadSessionIdInvalid, ua.uaerrors.BadSessionClosed) as error:
            msg = f"{self.endpoint} has forgotten this session"
            raise LinkLostError(msg) from error
        except UaError:
            raise
        except (
            Exception
        ) as error:  # timeouts, sockets, and what the library makes of them
            msg = f"{self.endpoint} does not answer ({_cause(error)})"
            raise LinkLostError(msg) from error

    async def probe(self) -> ClockReading | None:
        """Ask for the server's state and time.

        Returns:
            How far its clock is from ours; None if it does not tell the time.

        Raises:
            LinkLostError: if there is no answer, or it says that it is not running.
        """
        nodes = [ua.NodeId(ua.Int32(number)) for number in _STATUS_NODES]
        before_us, before_s = to_us(self._wall.now()), self._wall.monotonic_s()
        found = await self.call(
            self.client.uaclient.read_attributes(nodes, AttributeIds.Value)
        )
        took_s = self._wall.monotonic_s() - before_s
        state, time = (None if one.Value is None else one.Value.Value for one in found)
        if state not in {ua.ServerState.Running, None}:
            msg = f"{self.endpoint} says that it is not running (state {state})"
            raise LinkLostError(msg)
        if not isinstance(time, datetime):
            return None
        return ClockReading(
            offset_s=(to_us(time) - before_us) / 1e6 - took_s / 2,
            bound_s=took_s / 2,
            ours_s=before_us / 1e6 - before_s,
            server_us=to_us(time),
        )

    async def drop(self) -> None:
        """Let the connection go, whatever state it is in."""
        client, self._client = self._client, None
        if client is not None:
            await _discard(client, self.timeout_s)

    async def read_attribute(
        self, nodes: Sequence[ua.NodeId], attribute: AttributeIds
    ) -> list[ua.DataValue]:
        """Read one attribute of several nodes; bad statuses are returned as such.

        Raises:
            LinkLostError: if the link is gone, or the server answered for other nodes.
        """
        return await self.in_batches(
            nodes,
            self.limits.read,
            lambda some: self.client.uaclient.read_attributes(some, attribute),
        )

    async def in_batches(
        self,
        items: Sequence[Item],
        most: int,
        ask: Callable[[list[Item]], Awaitable[Sequence[T]]],
    ) -> list[T]:
        """Ask for many things in calls that the server can take.

        A server that finds a call too large after all is asked again with half of it.

        Args:
            items: What to ask for; one answer each.
            most: Most items in one call.
            ask: Makes the call.

        Raises:
            LinkLostError: if the link is gone, or there are more or fewer answers.
            ua.UaStatusCodeError: as the server answered.
        """
        found: list[T] = []
        size = max(1, most)
        while len(found) < len(items):
            some = list(items[len(found) : len(found) + size])
            try:
                answers = list(await self.call(ask(some)))
            except UaStatusCodeError as error:
                if error.code not in _TOO_MUCH or size == 1:
                    raise
                size = max(1, size // 2)
                continue
            if len(answers) != len(some):
                msg = f"{self.endpoint} gave {len(answers)} answers to {len(some)} questions"
                raise LinkLostError(msg)
            found += answers
        return found

    async def _ask_limits(self) -> Limits:
        """Ask how much the server takes in one call; one that does not say takes a usual lot."""
        nodes = [
            ua.NodeId(ua.Int32(number))
            for number in (
                ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
                ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
                ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
                ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
            )
        ]
        try:
            found = [
                (
                    await self.call(
                        self.client.uaclient.read_attributes([node], AttributeIds.Value)
                    )
                )[0]
                for node in nodes
            ]
        except (UaError, IndexError):
            return Limits()
        except LinkLostError:
            await self.drop()
            raise
        return Limits(**dict(zip(_LIMITED, map(_bound, found), strict=True)))


def node_id(text: str, owner: str) -> ua.NodeId:
    """Read a node id such as ``ns=2;s=Spectrum``.

    Raises:
        NodeMissingError: if it is none; ``owner`` names it in the message.
    """
    try:
        return ua.NodeId.from_string(text)
    except (UaError, ValueError) as error:
        msg = f"The node id {text!r} of {owner} is no OPC UA node id such as 'ns=2;s=Spectrum'."
        raise NodeMissingError(msg) from error


def severity(status: ua.StatusCode | None) -> int:
    """Return 0 for good, 1 for uncertain, 2 for bad (no status is good)."""
    return 0 if status is None else min(int(status.value) >> 30, 2)


def _bound(value: ua.DataValue) -> int:
    said = None if value.Value is None else value.Value.Value
    usual = isinstance(said, int) and 0 < said < MOST_PER_CALL
    return said if usual and isinstance(said, int) else MOST_PER_CALL


def _refused(endpoint: str, error: Exception) -> SecurityRefusedError | None:
    """Return what a server's refusal of certificate or user means, if it is one."""
    code = error.code if isinstance(error, UaStatusCodeError) else None
    if code in _DISTRUSTED:
        msg = f"{endpoint} does not accept the line's certificate ({_cause(error)})."
        return SecurityRefusedError(msg, advice=_SHOW_CERTIFICATE)
    if code in _NO_USER:
        msg = f"{endpoint} does not accept the user of the line file ({_cause(error)})."
        return SecurityRefusedError(msg, advice=_CHECK_USER)
    return None


_SHOW_CERTIFICATE = (
    "Have the server's owner trust the file security.certificate of this line."
)
_CHECK_USER = "Check user and password with the server's owner."


async def _discard(client: Client, timeout_s: float) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(timeout_s):
            await client.disconnect()
    with contextlib.suppress(Exception):
        client.disconnect_socket()


def _cause(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def quiet_asyncua() -> None:
    """Keep asyncua's log off the screen unless somebody set logging up."""
    logger = logging.getLogger("asyncua")
    if not logger.handlers:  # else the last-resort handler prints tracebacks
        logger.addHandler(logging.NullHandler())
