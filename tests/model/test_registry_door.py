"""A registry leads nowhere that a person did not name, and no login follows."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tundish.kernel.digest import Digest
from tundish.kernel.errors import TundishError
from tundish.model import registrydoor
from tundish.model.errors import RegistryElsewhereError, RegistryRefusedError
from tundish.model.registry import Registry

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(kw_only=True)
class Host:
    """A server that answers as told and remembers what it was asked."""

    address: str
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    answer: Callable[[str], Answer] = lambda _: (404, {}, b"")


class Handler(http.server.BaseHTTPRequestHandler):
    def _any(self) -> None:
        host: Host = self.server.host  # type: ignore[attr-defined]
        login = self.headers.get("Authorization", "")
        host.asked.append((self.command, self.path, login))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        code, headers, body = host.answer(self.path)
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self._any()

    def do_POST(self) -> None:
        self._any()

    def do_PUT(self) -> None:
        self._any()

    def do_HEAD(self) -> None:
        self._any()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hosts() -> Iterator[Callable[[], Host]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def start() -> Host:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        host = Host(address=f"127.0.0.1:{server.server_address[1]}")
        server.host = host  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return host

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Leave a login for a host as docker does; its secret text."""

    def leave(host: str) -> str:
        secret = base64.b64encode(b"plant:hunter2").decode()
        folder = tmp_path / ".docker"
        folder.mkdir(exist_ok=True)
        text = json.dumps({"auths": {host: {"auth": secret}}})
        (folder / "config.json").write_text(text)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))
        return secret

    return leave


def at(host: Host, **more: object) -> Registry:
    return Registry(reference=f"{host.address}/pumps/flow:1", plain_http=True, **more)  # type: ignore[arg-type]


ELSEWHERE = [
    "http://{other}/v2/",
    "https://{other}/v2/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/latest/meta-data/",
    "http://0251.0376.0251.0376/",
    "http://10.0.0.1/",
    "http://[fe80::1]/",
    "http://user:word@{other}/",
    "file:///etc/passwd",
    "//{other}/v2/",
]


def _moved(registry: Registry, *, upload: bool) -> None:
    if not upload:
        registry.pull()
        return
    client, place = registry._client()
    with closing(client.session):
        registry._send_blob(client, place, Digest("sha256:" + "0" * 64), b"x")


@pytest.mark.parametrize("target", ELSEWHERE)
@pytest.mark.parametrize("way", ["redirect", "realm", "upload"])
def test_a_registry_leads_to_no_host_that_nobody_named(
    way: str, target: str, hosts: Callable[[], Host], login: Callable[[str], str]
) -> None:
    """By no kind of answer; not even a connection is made, and no login leaves."""
    named, other = hosts(), hosts()
    login(named.address)
    where = target.format(other=other.address)
    challenge = {"Www-Authenticate": f'Bearer realm="{where}",service="s"'}

    def answer(_: str) -> Answer:
        if way == "realm":
            return 401, challenge, b""
        return (302 if way == "redirect" else 202), {"Location": where}, b""

    named.answer = answer
    with pytest.raises(TundishError) as refused:
        _moved(at(named), upload=way == "upload")
    assert refused.value.code.startswith("registry-")
    assert other.asked == []


def test_a_login_goes_to_the_named_host_and_to_no_other(
    hosts: Callable[[], Host], login: Callable[[str], str]
) -> None:
    named = hosts()
    secret = login(named.address)
    realm = f'Bearer realm="http://{named.address}/token",service="s"'

    def answer(path: str) -> Answer:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "t"}'
        return 401, {"Www-Authenticate": realm}, b""

    named.answer = answer
    with pytest.raises(RegistryRefusedError):
        at(named).pull()
    assert any(secret in word for _, path, word in named.asked if "/token" in path)


def test_a_host_that_was_named_beside_the_registry_may_be_led_to() -> None:
    session = requests.Session()
    registrydoor.guard(session, "https", "registry.plant:5000", ("blobs.plant",))
    door = session.get_adapter("https://x")
    assert ("https", "blobs.plant", 443) in door._allowed  # type: ignore[attr-defined]
    assert ("http", "blobs.plant", 80) not in door._allowed  # type: ignore[attr-defined]
    assert ("https", "registry.plant", 5000) in door._allowed  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["registry.plant", "2130706433", "0x7f.1", "127.1"])
def test_a_name_that_leads_to_this_machine_is_refused_before_a_byte_is_sent(
    name: str, hosts: Callable[[], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that lies, and other spellings of 127.0.0.1."""
    host = hosts()
    port = host.address.rpartition(":")[2]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, p, *a, **k: real("127.0.0.1", p)
    )
    with pytest.raises(RegistryElsewhereError, match=r"127\.0\.0\.1"):
        Registry(reference=f"{name}:{port}/pumps/flow:1", plain_http=True).pull()
    assert host.asked == []
