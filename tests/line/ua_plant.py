"""A plant with a real OPC UA server in a process of its own, for tests that break it.

Run as ``python ua_plant.py SETTINGS.json``; orders come as JSON lines on standard input,
one answer line each. Tag ``t{i}`` has at row k the source time ``start_us + k * period``
and the value ``k`` modulo 900, so that a test can tell what was lost or invented.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import ua as _ua
from asyncua.common.connection import TransportLimits
from asyncua.crypto.permission_rules import SimpleRoleRuleset as _Ruleset
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from asyncua.server.history import HistoryDict
from asyncua.server.server import Server as _Server
from asyncua.server.user_managers import UserManager
from asyncua.ua.status_codes import StatusCodes

ua: Any = _ua  # its stubs want types that it does not want itself
Server: Any = _Server
SimpleRoleRuleset: Any = _Ruleset
PASSWORD = "kept quiet"  # noqa: S105
WRAP = 900  # the contract of these tests ends at 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Users(UserManager):
    """One user with a password; nobody else."""

    def get_user(
        self,
        iserver: Any,
        username: Any = None,
        password: Any = None,
        certificate: Any = None,
    ) -> User | None:
        if username == "line" and password == PASSWORD:
            return User(role=UserRole.User)
        return None


class UaPlant:
    """The server, its tags and its faults."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        users = Users() if settings.get("user") else None
        self.server = Server(user_manager=users)
        self.historian = HistoryDict()
        self.nodes: dict[str, Any] = {}
        self.frozen: set[str] = set()
        self.faults: dict[str, str] = {}
        self.folders: dict[int, Any] = {}
        self.row = -1
        self.index = 0
        self.offset_s = 0.0

    async def start(self) -> str:
        """Serve; return the endpoint."""
        server, settings = self.server, self.settings
        if settings.get("history", True):
            server.iserver.history_manager.set_storage(self.historian)
        await server.init()
        if self.settings.get("uri"):
            await server.set_application_uri(settings["uri"])
        server.set_endpoint(f"opc.tcp://127.0.0.1:{settings['port']}")
        server.set_security_policy(
            [ua.SecurityPolicyType[name] for name in settings["policies"]],
            permission_ruleset=SimpleRoleRuleset(),
        )
        if settings.get("certificate"):
            await server.load_certificate(settings["certificate"], "pem")
            await server.load_private_key(settings["key"], format="pem")
        if settings.get("distrusts"):
            options = CertificateValidatorOptions.TRUSTED_VALIDATION
            store = TrustStore([], [])
            server.set_certificate_validator(CertificateValidator(options, store))
        if settings.get("user"):
            server.set_identity_tokens([ua.UserNameIdentityToken])
        if settings.get("most_read"):
            await self._limit("MaxNodesPerRead", settings["most_read"])
            await self._limit("MaxMonitoredItemsPerCall", settings["most_read"])
        self.index = await server.register_namespace("urn:test:plant")
        for number in range(settings["tags"]):
            await self.add(f"t{number}")
        for name, kind in (
            ("estimate", "Double"),
            ("state", "String"),
            ("reason", "String"),
        ):
            await self._answer(name, kind)
        if settings.get("message_bytes"):
            server.limits = TransportLimits(8192, 8192, 0, settings["message_bytes"])
        await server.start()
        return f"opc.tcp://127.0.0.1:{settings['port']}"

    async def _limit(self, name: str, value: int) -> None:
        kind = getattr(
            ua.ObjectIds, f"Server_ServerCapabilities_OperationLimits_{name}"
        )
        node = self.server.get_node(ua.NodeId(kind))
        await node.write_value(ua.DataValue(ua.Variant(value, ua.VariantType.UInt32)))

    async def _folder(self, number: int) -> Any:
        """Return a folder; asyncua compares a new node with all others of its own."""
        if number not in self.folders:
            self.folders[number] = await self.server.nodes.objects.add_folder(
                ua.NodeId(f"area{number}", self.index), f"area{number}"
            )
        return self.folders[number]

    async def add(self, name: str) -> None:
        """Make a tag."""
        objects = await self._folder(len(self.nodes) // 100)
        identifier = ua.NodeId(name, self.index)
        node = await objects.add_variable(identifier, name, 0.0, ua.VariantType.Double)
        held = self.server.iserver.aspace._nodes[node.nodeid].attributes
        waiting = ua.StatusCode(StatusCodes.BadWaitingForInitialData)
        held[ua.AttributeIds.Value].value = ua.DataValue(None, StatusCode=waiting)
        level = ua.DataValue(ua.Variant(5, ua.VariantType.Byte))
        for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
            held[attribute].value = level
        if self.settings.get("unit"):
            unit = ua.EUInformation(DisplayName=ua.LocalizedText(self.settings["unit"]))
            await node.add_property(
                ua.NodeId(f"{name}.eu", self.index),
                ua.QualifiedName("EngineeringUnits", 0),
                unit,
            )
        if node.nodeid not in self.historian._datachanges:
            await self.historian.new_historized_node(node.nodeid, None)
        self.nodes[name] = node.nodeid

    async def _answer(self, name: str, kind: str) -> None:
        value: Any = 0.0 if kind == "Double" else ""
        node = await self.server.nodes.objects.add_variable(
            ua.NodeId(f"answer.{name}", self.index), name, value, ua.VariantType[kind]
        )
        await node.set_writable()

    async def play(self) -> None:
        """Let rows happen for ever, each at its time."""
        period_s = self.settings["period_s"]
        start_s = self.settings["start_us"] / 1e6
        self.row = int((datetime.now(UTC).timestamp() - start_s) / period_s) - 1
        while True:
            now_s = datetime.now(UTC).timestamp()
            due = int((now_s - start_s) / period_s)
            for row in range(self.row + 1, due + 1):
                await self.happen(row)
            await asyncio.sleep(period_s / 4)

    async def happen(self, row: int) -> None:
        """Let one row happen in all tags."""
        self.row = row
        at_us = self.settings["start_us"] + round(row * self.settings["period_s"] * 1e6)
        at = EPOCH + timedelta(microseconds=at_us) + timedelta(seconds=self.offset_s)
        for name, node in list(self.nodes.items()):
            if name in self.frozen:
                continue
            good = ua.DataValue(
                ua.Variant(float(row % WRAP), ua.VariantType.Double),
                StatusCode=ua.StatusCode(0),
                SourceTimestamp=at,
                ServerTimestamp=at,
            )
            value = self._faulty(name, row, at) or good
            await self.server.write_attribute_value(node, value)
            if name not in self.faults:
                await self.historian.save_node_value(node, value)

    def _faulty(self, name: str, row: int, at: datetime) -> Any:
        fault = self.faults.get(name)
        if fault == "bad":
            bad = ua.StatusCode(StatusCodes.BadSensorFailure)
            return ua.DataValue(None, StatusCode=bad, SourceTimestamp=at)
        if fault == "type":
            self._value_of(name).value = None  # past the check of types
            text = ua.Variant(f"row {row}", ua.VariantType.String)
            return ua.DataValue(text, StatusCode=ua.StatusCode(0), SourceTimestamp=at)
        if fault == "last-good-as-bad":
            bad = ua.StatusCode(StatusCodes.BadNoCommunication)
            last = ua.Variant(float(row - 1), ua.VariantType.Double)
            return ua.DataValue(last, StatusCode=bad, SourceTimestamp=at)
        return None

    async def obey(self, order: dict[str, Any]) -> Any:
        """Carry an order out."""
        done = getattr(self, f"do_{order.pop('do')}")(**order)
        return await done if asyncio.iscoroutine(done) else done

    def do_row(self) -> int:
        """Tell the newest row."""
        return self.row

    async def do_vanish(self, name: str) -> bool:
        """Take a node away."""
        node = self.nodes.pop(name)
        await self.server.delete_nodes([self.server.get_node(node)])
        return True

    async def do_return(self, name: str) -> bool:
        """Make it anew."""
        await self.add(name)
        return True

    def do_fault(self, name: str, fault: str) -> bool:
        """Let a tag be wrong from now on."""
        self.faults[name] = fault
        return True

    def do_mend(self, name: str) -> bool:
        """Let it be right again."""
        self.faults.pop(name, None)
        self._value_of(name).value = None
        return True

    def do_freeze(self, name: str) -> bool:
        """Let a tag say nothing more."""
        self.frozen.add(name)
        return True

    def do_thaw(self, name: str) -> bool:
        """Let it speak again."""
        self.frozen.discard(name)
        return True

    async def do_clock(self, by_s: float) -> bool:
        """Set the server's clock."""
        await self._set_clock(by_s)
        return True

    async def do_forget(self) -> bool:
        """Forget every session."""
        for client in list(self.server.bserver.clients):
            if client.processor.session is not None:
                await client.processor.session.close_session(delete_subs=True)
                client.processor.session = None
        return True

    def do_silence(self, name: str) -> bool:
        """Drop the monitored items of a tag without a word."""
        self._value_of(name).datachange_callbacks.clear()
        return True

    def do_skip(self) -> bool:
        """Lose one notification of each subscription."""
        for one in self.server.iserver.subscription_service.subscriptions.values():
            one._notification_seq += 1
        return True

    async def do_answer(self, name: str) -> list[Any]:
        """Tell what was written to an answer node."""
        node = self.server.get_node(ua.NodeId(f"answer.{name}", self.index))
        value = await node.read_data_value(raise_on_bad_status=False)
        held = None if value.Value is None else value.Value.Value
        return [held, value.StatusCode.name]

    def _value_of(self, name: str) -> Any:
        attributes = self.server.iserver.aspace._nodes[self.nodes[name]].attributes
        return attributes[ua.AttributeIds.Value]

    async def _set_clock(self, by_s: float) -> None:
        """Let the server's own clock show another time."""
        self.server.iserver.time_task.cancel()
        node = self.server.get_node(
            ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
        )
        self.server.iserver.aspace.set_attribute_value_callback(
            node.nodeid,
            ua.AttributeIds.Value,
            lambda *_: ua.DataValue(
                ua.Variant(
                    datetime.now(UTC) + timedelta(seconds=by_s), ua.VariantType.DateTime
                )
            ),
        )


async def main(settings: dict[str, Any]) -> None:
    """Serve until standard input ends."""
    plant = UaPlant(settings)
    endpoint = await plant.start()
    playing = asyncio.create_task(plant.play()) if settings.get("play") else None
    print(json.dumps({"endpoint": endpoint}), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        try:
            answer = await plant.obey(json.loads(line))
        except Exception as error:  # noqa: BLE001  (told to the test)
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
    if playing:
        playing.cancel()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
