"""Push and pull against a real OCI registry, and against ones that lie."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from tests.ports import free_port

from tundish.kernel import digest
from tundish.kernel.digest import Digest, hex_part
from tundish.kernel.errors import TundishError
from tundish.model import layout, package
from tundish.model.errors import (
    PackageMalformedError,
    PackageTooLargeError,
    RegistryNameError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from tundish.model.registry import Registry
from tundish.seal.errors import SignerUntrustedError
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import SigningKey

Desk = Any  # the class lives in conftest, which cannot be imported


def at(host: str, name: str) -> Registry:
    return Registry(reference=f"{host}/{name}", plain_http=True)


def test_a_package_comes_back_as_it_was_pushed(
    oci_registry: str, desk: Desk, now: datetime
) -> None:
    built = desk.build()
    pushed = at(oci_registry, "pumps/flow:1").push(package.to_layout(built))
    entries, pulled = at(oci_registry, "pumps/flow:1").pull()
    assert entries == package.to_layout(built)
    assert pulled.manifest == pushed.manifest
    read = package.read_layout(
        entries, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
    )
    assert read.digest == built.digest
    pinned, _ = at(oci_registry, f"pumps/flow@{pushed.manifest}").pull()
    assert pinned == entries


def test_what_is_there_already_does_not_travel_again(
    oci_registry: str, desk: Desk
) -> None:
    entries = package.to_layout(desk.build())
    first = at(oci_registry, "spared/flow:1").push(entries)
    again = at(oci_registry, "spared/flow:2").push(entries)
    assert first.spared == 0
    assert again.spared == first.sent - len(layout.manifest_of(entries))
    blobs = {
        Digest("sha256:" + name.removeprefix(layout.BLOBS)): body
        for name, body in entries.items()
        if name.startswith(layout.BLOBS)
    }
    _, pulled = at(oci_registry, "spared/flow:1").pull(blobs.get)
    assert pulled.sent == len(layout.manifest_of(entries))
    _, lied_to = at(oci_registry, "spared/flow:1").pull(lambda _: b"something else")
    assert lied_to.spared == 0


def test_a_stranger_s_package_is_pulled_and_refused(
    oci_registry: str, desk: Desk, now: datetime
) -> None:
    entries = package.to_layout(desk.build(key=SigningKey.generate()))
    at(oci_registry, "strange/flow:1").push(entries)
    pulled, _ = at(oci_registry, "strange/flow:1").pull()
    with pytest.raises(SignerUntrustedError):
        package.read_layout(
            pulled, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
        )


def test_a_package_that_is_not_there_is_said(oci_registry: str) -> None:
    with pytest.raises(RegistryRefusedError, match="does not have the package"):
        at(oci_registry, "nobody/flow:9").pull()


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "flow:1",
        "/flow:1",
        "a b/flow:1",
        "host/",
        "h:1/ /x",
        "h/UP:1",
        "h/a@sha256:0",
        "h:65536/a:1",
        "h:99999/a:1",
    ],
)
def test_a_name_that_is_none_is_refused(reference: str) -> None:
    with pytest.raises(RegistryNameError):
        Registry(reference=reference, plain_http=True).pull()


def test_a_registry_that_is_silent_is_said() -> None:
    with pytest.raises(RegistryUnreachableError, match="cannot be reached"):
        at(f"127.0.0.1:{free_port()}", "pumps/flow:1").pull()


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers what its server's ``story`` says."""

    def do_GET(self) -> None:
        body = self.server.story(self.path)  # type: ignore[attr-defined]
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def lying() -> Iterator[Callable[[Callable[[str], bytes | None]], str]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(story: Callable[[str], bytes | None]) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
        server.story = story  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def blobs(entries: dict[str, bytes]) -> Callable[[str], bytes | None]:
    """Return an honest story of a layout."""

    def story(path: str) -> bytes | None:
        if "/manifests/" in path:
            return layout.manifest_of(entries)
        return entries.get(layout.BLOBS + hex_part(path.rsplit("/", 1)[1]))

    return story


def test_a_changed_blob_is_refused(
    lying: Callable[[Callable[[str], bytes | None]], str], desk: Desk
) -> None:
    honest = blobs(package.to_layout(desk.build()))

    def story(path: str) -> bytes | None:
        body = honest(path)
        if body is None or "/manifests/" in path:
            return body
        return bytes([body[0] ^ 1]) + body[1:]

    with pytest.raises(RegistryRefusedError, match="other bytes"):
        at(lying(story), "pumps/flow:1").pull()


def test_another_manifest_than_the_pinned_one_is_refused(
    lying: Callable[[Callable[[str], bytes | None]], str], desk: Desk
) -> None:
    host = lying(blobs(package.to_layout(desk.build())))
    pinned = digest.of_bytes(b"another")
    with pytest.raises(RegistryRefusedError, match="another manifest"):
        at(host, f"pumps/flow@{pinned}").pull()


@pytest.mark.parametrize(
    ("manifest", "error"),
    [
        (b"", PackageMalformedError),
        (b"[" * 100_000, PackageMalformedError),
        (b"{}", PackageMalformedError),
        (b'{"config":1,"layers":[]}', PackageMalformedError),
        (
            b'{"config":{"digest":"sha256:zz","size":1},"layers":[]}',
            PackageMalformedError,
        ),
        (
            b'{"config":{"digest":"sha256:' + b"0" * 64 + b'","size":9999999999999}}',
            PackageTooLargeError,
        ),
        (b"x" * (5 * 1024**2), PackageTooLargeError),
    ],
)
def test_a_hostile_manifest_is_refused(
    lying: Callable[[Callable[[str], bytes | None]], str],
    manifest: bytes,
    error: type[TundishError],
) -> None:
    with pytest.raises(error):
        at(lying(lambda _: manifest), "pumps/flow:1").pull()


def test_a_blob_longer_than_the_manifest_says_is_cut_off(
    lying: Callable[[Callable[[str], bytes | None]], str], desk: Desk
) -> None:
    honest = blobs(package.to_layout(desk.build()))

    def story(path: str) -> bytes | None:
        body = honest(path)
        return body if body is None or "/manifests/" in path else body * 50_000

    with pytest.raises(PackageTooLargeError, match="more than"):
        at(lying(story), "pumps/flow:1").pull()
