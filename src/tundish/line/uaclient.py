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
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from tundish.line.errors import NodeMissingError

T = TypeVar("T")


class LinkLostError(ConnectionError):
    """The link is gone; its owner connects again."""


class UaLink:
    """A connection to one server, without security; made anew after each loss.

    Args:
        endpoint: ``opc.tcp://host:port/path``.
        timeout_s: Limit for each call, in seconds of the wall clock.
    """

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        quiet_asyncua()
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self._client: Client | None = None

    @property
    def client(self) -> Client:
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
        """
        await self.drop()
        client = Client(self.endpoint, timeout=self.timeout_s)
        try:
            async with asyncio.timeout(3 * self.timeout_s):
                await client.connect(auto_reconnect=False)
        except Exception as error:  # whatever a foreign server provokes in the library
            await _discard(client, self.timeout_s)
            msg = f"{self.endpoint} does not answer ({_cause(error)})"
            raise LinkLostError(msg) from error
        except BaseException:
            client.disconnect_socket()
            raise
        self._client = client

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

    async def probe(self) -> None:
        """Ask for the server's state.

        Raises:
            LinkLostError: if there is no answer, or it says that it is not running.
        """
        node = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_State))
        found = await self.call(
            self.client.uaclient.read_attributes([node], AttributeIds.Value)
        )
        value = found[0].Value
        if value is not None and value.Value not in {ua.ServerState.Running, None}:
            msg = f"{self.endpoint} says that it is not running (state {value.Value})"
            raise LinkLostError(msg)

    async def drop(self) -> None:
        """Let the connection go, whatever state it is in."""
        client, self._client = self._client, None
        if client is not None:
            await _discard(client, self.timeout_s)

    async def read_attribute(
        self, nodes: Sequence[ua.NodeId], attribute: AttributeIds
    ) -> list[ua.DataValue]:
        """Read one attribute of several nodes; bad statuses are returned as such."""
        found = await self.call(
            self.client.uaclient.read_attributes(list(nodes), attribute)
        )
        return list(found)


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
