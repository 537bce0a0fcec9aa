"""Where a workspace is air-gapped no name is resolved and nobody unlisted is asked."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tundish.flows.fetch import fetch, locate
from tundish.flows.line import run_line
from tundish.flows.registry import pull, push
from tundish.flows.workspace import Workspace, create
from tundish.kernel.addresses import AirGap, hosts_of, plain_address
from tundish.kernel.errors import (
    AirGappedError,
    PathMissingError,
    SettingInvalidError,
    TundishError,
)
from tundish.model.registry import Registry


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that a resolver was asked for, and addresses that were connected to."""
    found: list[str] = []

    def resolver(host: object, *_: object, **__: object) -> object:
        found.append(f"name {host!r}")
        raise socket.gaierror(-2, "the trap")

    def connect(_: object, address: object) -> None:
        found.append(f"address {address!r}")
        raise ConnectionRefusedError

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        monkeypatch.setattr(socket, name, resolver)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    return found


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = create(tmp_path / "plant")
    file = made.root / "tundish.toml"
    file.write_text(
        file.read_text()
        + 'air_gapped = true\naddresses = ["192.0.2.0/28", "fd00::5"]\n'
    )
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("TUNDISH_CACHE", str(tmp_path / "cache"))
    return Workspace(made.root)


@pytest.mark.parametrize(
    "reference", ["registry.plant:5000/p/f:1", "192.0.2.99/p/f:1", "3221226049/p/f:1"]
)
def test_no_registry_is_asked_by_name_or_unlisted(
    reference: str, workspace: Workspace, asked: list[str]
) -> None:
    registry = Registry(reference=reference)
    with pytest.raises(AirGappedError):
        pull(workspace, registry)
    with pytest.raises(AirGappedError):
        push(workspace, workspace.root / "p.tar", registry)
    beside = Registry(reference="192.0.2.4/p/f:1", also=("tokens.plant",))
    with pytest.raises(AirGappedError, match=r"tokens\.plant"):
        pull(workspace, beside)
    assert asked == []


def test_a_listed_address_is_connected_to_and_no_name_is_asked(
    workspace: Workspace, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo.__globals__["socket"]  # the module, for AF constants

    def literal(host: str, port: int, *_: object, **__: object) -> list[object]:
        asked.append(f"literal {host}")
        assert plain_address(host) is not None
        return [(real.AF_INET, real.SOCK_STREAM, 6, "", (host, port))]

    monkeypatch.setattr(socket, "getaddrinfo", literal)
    with pytest.raises(TundishError) as refused:
        pull(workspace, Registry(reference="192.0.2.4:5000/p/f:1"))
    assert refused.value.code == "registry-unreachable"
    assert asked == ["literal 192.0.2.4", "address ('192.0.2.4', 5000)"]


@pytest.mark.parametrize(
    "proxy", ["http://proxy.plant:3128", "198.51.100.7:3128", "socks5://elsewhere"]
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_no_proxy_of_the_environment_is_asked_by_name_or_unlisted(
    variable: str,
    proxy: str,
    workspace: Workspace,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(AirGappedError, match="proxy"):
        pull(workspace, Registry(reference="192.0.2.5/p/f:1"))
    assert asked == []


def test_no_package_index_is_asked(
    workspace: Workspace, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr("subprocess.run", lambda *a, **_: started.append(a))
    with pytest.raises(AirGappedError, match="no index"):
        fetch("water-flow", workspace=workspace)
    with pytest.raises(AirGappedError, match="no index"):
        locate("water-flow")
    assert asked == started == []


def connect(gap: AirGap, address: str) -> None:
    for host in hosts_of(address) if address != "::1" else [address]:
        gap.check(host, "A server")


def test_the_environment_cuts_every_workspace_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(tmp_path / "plant")
    made.may_connect("opc.tcp://server.plant:4840/", "A server")
    monkeypatch.setenv("TUNDISH_AIR_GAPPED", "1")
    with pytest.raises(AirGappedError):
        Workspace(made.root).may_connect("opc.tcp://server.plant:4840/", "A server")


@pytest.mark.parametrize(
    "address",
    [
        "opc.tcp://server.plant:4840/",
        "opc.tcp://localhost:4840/",
        "opc.tcp://192.0.2.99:4840/",
        "opc.tcp://2130706433:4840/",
        "opc.tcp://0x7f.1/",
        "opc.tcp://127.1/",
        "opc.tcp://[::ffff:192.0.2.99]:4840/",
        "opc.tcp://192.0.2.4@server.plant:4840/",
        "opc.tcp:///",
        "opc.tcp://[broken/",
        "kafka://192.0.2.4:9092,broker.plant:9092",
        "kafkas://[fd00::5]:9092,192.0.2.99",
    ],
)
def test_names_and_unlisted_addresses_are_refused(address: str) -> None:
    gap = AirGap.of(("192.0.2.0/28", "fd00::5"))
    with pytest.raises(AirGappedError):
        connect(gap, address)


@pytest.mark.parametrize(
    "address",
    [
        "opc.tcp://192.0.2.4:4840/",
        "[fd00::5]:5000",
        "127.0.0.1:5000",
        "::1",
        "kafka://192.0.2.4:9092,[fd00::5]:9092,192.0.2.5",
    ],
)
def test_listed_addresses_and_this_machine_pass(address: str) -> None:
    gap = AirGap.of(("192.0.2.0/28", "fd00::5"))
    connect(gap, address)


def test_a_listed_address_that_is_none_is_refused() -> None:
    with pytest.raises(SettingInvalidError):
        AirGap.of(("plant.local",))


@pytest.mark.parametrize(
    ("endpoint", "error"),
    [
        ("modbus://plc.plant:502", AirGappedError),
        ("modbus://192.0.2.99:502", AirGappedError),
        ("file:incoming", PathMissingError),  # of the package: a folder is no server
    ],
)
def test_a_line_asks_no_server_by_name_or_unlisted(
    endpoint: str,
    error: type[TundishError],
    workspace: Workspace,
    asked: list[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "line.yaml"
    path.write_text(
        "{format: tundish.line, version: 1, name: l, package: none.tar, "
        "buffer: {path: b.db}, sources: [{kind: modbus, "
        f"endpoint: '{endpoint}', nodes: {{a: 'holding:1'}}}}]}}"
    )
    with pytest.raises(error):
        run_line(workspace, path)
    assert asked == []
