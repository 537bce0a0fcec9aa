"""Notifications of plain numbers, read at once instead of field by field.

asyncua spends some 20 us on each value that changes. Most servers send long runs of
numbers in one fixed layout; those are read here as columns, and only if every value is
good and has a usable source time. Whatever is different in any way is left to asyncua,
so that what the line hears never depends on which of the two has read it. Layouts after
OPC UA part 6 (5.2.2.17, DataValue) and part 4 (7.25, NotificationMessage). Imports
asyncua: loaded only when an OPC UA source is made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from asyncua import ua
from asyncua.client.ua_session import UaSession
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import UaStructParsingError
from numpy.typing import NDArray

from tundish.line.samples import NEWEST_US, OLDEST_US

_TYPES: Final = {
    2: "<i1", 3: "<u1", 4: "<i2", 5: "<u2", 6: "<i4", 7: "<u4", 8: "<i8", 9: "<u8",
    10: "<f4", 11: "<f8",
}  # fmt: skip
_VALUE, _STATUS, _SOURCE, _SERVER = 1, 2, 4, 8
_FILETIME_US: Final = 11_644_473_600_000_000  # from 1601 to 1970
_RESPONSE: Final = b"\x01\x00\x3d\x03"  # PublishResponse
_CHANGE: Final = b"\x01\x00\x2b\x03\x01"  # DataChangeNotification, with a body
_EMPTY: Final = (0, 0xFFFFFFFF)  # lengths of a list with nothing in it
_MORE = struct.Struct("<?IqI")  # more to come, number, time, count of notifications
_LENGTH = struct.Struct("<I")
_LEAD = 5  # handle and mask


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainNotes:
    """Good numbers of several monitored items, in the order in which they were sent.

    Attributes:
        handles: Client handles.
        values: As sent, shape [N].
        at_us: Source times in microseconds since 1970.
    """

    handles: list[int]
    values: NDArray[np.float64]
    at_us: list[int]


class PlantSession(UaSession):
    """asyncua's session, which reads plain notifications at once."""

    async def publish(
        self, acks: list[ua.SubscriptionAcknowledgement]
    ) -> ua.PublishResponse:
        """Send a PublishRequest; see ``read_response`` for what comes back."""
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = acks
        data = await self._send_request(request, timeout=0)
        try:
            return read_response(data.copy().read(len(data)))
        except Exception as error:
            self.logger.exception("Error parsing notification from server")
            raise UaStructParsingError from error


def read_response(data: bytes) -> ua.PublishResponse:
    """Read an answer to a PublishRequest.

    Args:
        data: Untrusted.

    Returns:
        As asyncua reads it, but with one ``PlainNotes`` in place of a notification
        that holds nothing but plain good numbers.

    Raises:
        Exception: whatever asyncua raises for what it cannot read.
    """
    place = _notifications(data)
    notes = None if place is None else _plain(data, place + 4 + len(_CHANGE))
    if place is None or notes is None:
        return struct_from_binary(ua.PublishResponse, Buffer(data))
    found, after = notes
    rest = data[:place] + bytes(4) + data[after:]
    response = struct_from_binary(ua.PublishResponse, Buffer(rest))
    heard: list[Any] = [found]
    response.Parameters.NotificationMessage.NotificationData = heard
    return response


def _notifications(data: bytes) -> int | None:
    """Return where the one notification of values begins, at its count; None: nowhere."""
    # type, header without diagnostics and texts, subscription, numbers that are kept
    if len(data) < 64 or not data.startswith(_RESPONSE) or data[20]:
        return None
    texts, more = _LENGTH.unpack_from(data, 21)[0], data[25:28]
    kept = _LENGTH.unpack_from(data, 32)[0]
    place = 36 + 4 * (0 if kept in _EMPTY else kept)
    if texts not in _EMPTY or any(more) or place + _MORE.size > len(data):
        return None
    count = place + _MORE.size - 4
    one = _LENGTH.unpack_from(data, count)[0] == 1
    return count if one and data.startswith(_CHANGE, count + 4) else None


def _plain(data: bytes, place: int) -> tuple[PlainNotes, int] | None:
    """Read a DataChangeNotification from its length on; also where it ends."""
    if place + 8 > len(data):
        return None
    length, count = struct.unpack_from("<II", data, place)
    end = place + 4 + length
    if not count or end > len(data) or count > length:
        return None
    at, handles, values, times = place + 8, [], [], []
    while count:
        run = _run(data, at, min(count, (end - at) // _LEAD))
        if run is None:
            return None
        handles.append(run["handle"])
        values.append(run["value"].astype(np.float64))
        times.append(run["source"].astype(np.int64) // 10 - _FILETIME_US)
        count -= len(run)
        at += run.nbytes
    at_us = np.concatenate(times)
    usual = bool(np.all((at_us >= OLDEST_US) & (at_us < NEWEST_US)))
    if at + 4 != end or _LENGTH.unpack_from(data, at)[0] not in _EMPTY or not usual:
        return None
    notes = PlainNotes(
        handles=np.concatenate(handles).tolist(),
        values=np.concatenate(values),
        at_us=at_us.tolist(),
    )
    return notes, end


def _run(data: bytes, at: int, most: int) -> NDArray[Any] | None:
    """Return the items that have the layout of the first, as far as they follow on it."""
    if most < 1 or at + _LEAD + 1 > len(data):
        return None
    mask, kind = data[at + 4], data[at + 5]
    form = _form(mask, kind)
    if form is None:
        return None
    found = np.frombuffer(data, form, min(most, (len(data) - at) // form.itemsize), at)
    same = (found["mask"] == mask) & (found["kind"] == kind)
    if not same.all():
        found = found[: int(np.argmin(same))]
    if not len(found) or (mask & _STATUS and found["status"].any()):
        return None
    return found


@cache
def _form(mask: int, kind: int) -> np.dtype[Any] | None:
    """Return how an item lies in the bytes; None if it is no number with a time."""
    number = _TYPES.get(kind)
    wanted = _VALUE | _SOURCE
    if number is None or mask & wanted != wanted or mask > 15:
        return None
    fields = [("handle", "<u4"), ("mask", "u1"), ("kind", "u1"), ("value", number)]
    fields += [("status", "<u4")] if mask & _STATUS else []
    fields += [("source", "<i8")] + ([("server", "<i8")] if mask & _SERVER else [])
    return np.dtype(fields)
