"""Targets of what an OPC UA server sends: its bytes on the wire, and its certificate."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
from asyncua import ua as _ua
from asyncua.common.connection import SecureConnection
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from tests.fuzz.target import Target, room
from tests.line.ua_peer import Papers

from tundish.line.linefile import NodeSpec
from tundish.line.samples import to_us
from tundish.line.uaclient import node_id, quiet_asyncua, severity
from tundish.line.uanotes import PlainNotes, read_response
from tundish.line.uavalues import Tag, to_sample
from tundish.line.uawire import PlantLimits, PlantProtocol
from tundish.seal import application
from tundish.seal.application import Trust

ua: Any = _ua  # its stubs want types that it does not want itself
_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_URI = "urn:plant:server"


class _Nobody:
    """A transport that ends nowhere."""

    def close(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        del data


class _Asked:
    """What waits for an answer."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    def done(self) -> bool:
        return True

    def set_result(self, body: Any) -> None:
        self.bodies.append(body)


def _wire(data: bytes) -> None:
    quiet_asyncua()
    asked = _Asked()
    protocol: Any = PlantProtocol(1.0, limits=PlantLimits())
    protocol.transport = _Nobody()
    protocol._callbackmap = dict.fromkeys(range(1, 4), asked)
    for first in range(0, len(data), 1500):
        protocol.data_received(data[first : first + 1500])
    tag = Tag(
        signal="t", channels=1, node=node_id("ns=2;s=t", "t"), spec=NodeSpec(node="t")
    )
    for body in asked.bodies:
        try:
            answer = struct_from_binary(ua.PublishResponse, body)
            notes = answer.Parameters.NotificationMessage.NotificationData or ()
            items = [
                item for note in notes for item in getattr(note, "MonitoredItems", ())
            ]
        except Exception:  # noqa: S112  (the source gives the link up)
            continue
        for item in items:
            sample = to_sample(tag, item.Value)
            assert (sample.values is None) == (sample.quality == "bad")


def _published() -> Iterable[bytes]:
    kinds = (
        ua.Variant(1.5, ua.VariantType.Double),
        ua.Variant([1.0, 2.0], ua.VariantType.Double),
        ua.Variant("text", ua.VariantType.String),
        ua.Variant(None, ua.VariantType.Null),
    )
    items = [
        ua.MonitoredItemNotification(
            ClientHandle=1, Value=ua.DataValue(kind, SourceTimestamp=_NOW)
        )
        for kind in kinds
    ]
    answer = ua.PublishResponse()
    answer.Parameters.SubscriptionId = 1
    note = ua.DataChangeNotification(MonitoredItems=items)
    answer.Parameters.NotificationMessage.NotificationData = [note]
    yield SecureConnection(
        cast("Any", SecurityPolicyNone)(), PlantLimits()
    ).message_to_binary(struct_to_binary(answer), request_id=1)
    yield b"MSGF" + (2**31).to_bytes(4, "little")
    yield b"ERRF" + (24).to_bytes(4, "little") + bytes(16)


def _publishing(data: bytes) -> None:
    """Hold what is read at once against what asyncua reads field by field."""
    quiet_asyncua()
    try:
        slow = struct_from_binary(ua.PublishResponse, Buffer(data))
        notes = slow.Parameters.NotificationMessage.NotificationData or ()
        items = [item for note in notes for item in note.MonitoredItems]
    except Exception:
        items = None
    try:
        quick = read_response(data).Parameters.NotificationMessage.NotificationData
    except Exception:
        assert items is None, "asyncua reads it"
        return
    if quick and isinstance(quick[0], PlainNotes):
        assert items is not None, "asyncua does not read it"
        assert quick[0].handles == [item.ClientHandle for item in items]
        assert quick[0].at_us == [to_us(item.Value.SourceTimestamp) for item in items]
        expected = np.array([item.Value.Value.Value for item in items], np.float64)
        assert np.array_equal(quick[0].values, expected, equal_nan=True)
        assert not any(severity(item.Value.StatusCode) for item in items)


def _plain() -> Iterable[bytes]:
    for kind in (ua.VariantType.Double, ua.VariantType.Int16):
        for server in (None, _NOW):
            value = ua.DataValue(
                ua.Variant(3, kind), SourceTimestamp=_NOW, ServerTimestamp=server
            )
            items = [
                ua.MonitoredItemNotification(ClientHandle=n, Value=value)
                for n in range(3)
            ]
            answer = ua.PublishResponse()
            note = ua.DataChangeNotification(MonitoredItems=items)
            answer.Parameters.NotificationMessage.NotificationData = [note]
            yield struct_to_binary(answer)


def _certificate(data: bytes) -> None:
    path = room() / "server-trust.crt"
    path.write_bytes(data)
    leaf = Trust.read(path).check(data, "127.0.0.1", _NOW)
    application.thumbprint(leaf)
    application.check_uri(leaf, _URI, "127.0.0.1")


def _certificates() -> Iterable[bytes]:
    papers = Papers(room())
    papers.now = _NOW
    papers.make("fuzzed", _URI, days=36_500)
    pem = (room() / "fuzzed.crt").read_bytes()
    der = load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    yield der
    yield der + der
    yield pem


_SEAL = "tundish.seal.application:"
TARGETS = (
    Target(
        name="opcua-wire", parse=_wire, most=16_384, seeds=_published,
        doors=("tundish.line.uawire:PlantProtocol.data_received",),
    ),
    Target(
        name="opcua-notes", parse=_publishing, most=4096, seeds=_plain,
        doors=("tundish.line.uanotes:read_response",),
    ),
    Target(
        name="server-certificate", parse=_certificate, most=8192, seeds=_certificates,
        doors=(
            _SEAL + "Trust.check", _SEAL + "Trust.read", _SEAL + "thumbprint",
            _SEAL + "check_uri",
        ),
    ),
)  # fmt: skip
