"""A host of data sets on loopback that also fails in the ways hosts fail."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tundish.catalog.datasets import DatasetEntry, TreeSource
from tundish.catalog.filelist import HEADER, PinnedFile, parse_list

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Way = Callable[["_Handler", bytes], None]


@dataclass(kw_only=True)
class Host:
    """What it serves, in which way the next answers fail, and what it was asked."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    ways: list[Way] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    logins: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host: Host

    def setup(self) -> None:
        self.host.connections += 1
        super().setup()

    def do_GET(self) -> None:
        self.host.logins.append(self.headers.get("Proxy-Authorization", ""))
        self.host.asked.append((self.path, self.headers.get("Range", "")))
        data = self.host.files.get(self.path)
        if data is None:
            self.status(404)
            return
        way = self.host.ways.pop(0) if self.host.ways else serve
        way(self, data)

    def status(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def begin(self, code: int, length: int | None, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    @property
    def start(self) -> int:
        found = re.fullmatch(r"bytes=([0-9]+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0

    def log_message(self, *_: object) -> None:
        return


def serve(one: _Handler, data: bytes) -> None:
    """Answer as a good host does, ranges among it."""
    begin = one.start
    if begin >= len(data) > 0:
        one.status(416)
    elif begin:
        said = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        one.begin(206, len(data) - begin, Content_Range=said)
        one.wfile.write(data[begin:])
    else:
        one.begin(200, len(data))
        one.wfile.write(data)


def cut_after(count: int) -> Way:
    """Announce everything, send so many bytes, and hang up."""

    def way(one: _Handler, data: bytes) -> None:
        begin = one.start
        code, headers = 200, {}
        if begin:
            code = 206
            headers = {"Content_Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
        one.begin(code, len(data) - begin, **headers)
        one.wfile.write(data[begin : begin + count])
        one.wfile.flush()
        one.close_connection = True

    return way


def instead(other: bytes, *, announced: bool = True) -> Way:
    """Send other bytes."""

    def way(one: _Handler, data: bytes) -> None:
        one.begin(200, len(other) if announced else None)
        try:
            one.wfile.write(other)
        except OSError:
            one.close_connection = True

    return way


def ignore_range(one: _Handler, data: bytes) -> None:
    """Send the whole file, whatever part was asked for."""
    one.begin(200, len(data))
    one.wfile.write(data)


def lie_about_range(one: _Handler, data: bytes) -> None:
    """Say that it goes on, and begin elsewhere."""
    one.begin(206, len(data), Content_Range=f"bytes 0-{len(data) - 1}/{len(data)}")
    one.wfile.write(data)


def go_on_with_other_bytes(one: _Handler, data: bytes) -> None:
    """Go on where it was asked to, with bytes that do not belong there."""
    begin = one.start
    said = f"bytes {begin}-{len(data) - 1}/{len(data)}"
    one.begin(206, len(data) - begin, Content_Range=said)
    one.wfile.write(b"#" * (len(data) - begin))


def answer(code: int, **headers: str) -> Way:
    """Answer with a status and no body."""
    return lambda one, _: one.status(code, **headers)


def hang(seconds: float) -> Way:
    """Announce everything and send nothing for a while."""

    def way(one: _Handler, data: bytes) -> None:
        one.begin(200, len(data))
        one.wfile.flush()
        time.sleep(seconds)
        one.close_connection = True

    return way


def drip(one: _Handler, data: bytes) -> None:
    """Send one byte at a time, until nobody listens."""
    one.begin(200, len(data))
    try:
        for number in range(len(data)):
            one.wfile.write(data[number : number + 1])
            one.wfile.flush()
            time.sleep(0.01)
    except OSError:
        one.close_connection = True


@contextmanager
def hosting(files: Mapping[str, bytes]) -> Iterator[Host]:
    """Start a host on a free port of loopback."""
    handler = type("_Bound", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        host = Host(port=server.server_address[1], files=dict(files))
        handler.host = host  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()


def list_of(files: Mapping[str, bytes], kind: str = "github") -> bytes:
    """Return the list of files that lie below ``raw/`` of a place."""
    place, version = PLACES[kind]
    lines = [
        f"{name}\t{place}\t{version}\traw/{name}\t{len(data)}\t{sha(data)}"
        for name, data in files.items()
    ]
    return ("\n".join([HEADER, *lines]) + "\n").encode()


PLACES = {
    "github": ("plant/records", COMMIT),
    "huggingface": ("plant/records", COMMIT),
    "zenodo": ("4711", "-"),
    "https": ("https://data.plant.example/sets/", "-"),
}
WAYS = {
    "github": f"/plant/records/{COMMIT}/raw/",
    "huggingface": f"/datasets/plant/records/resolve/{COMMIT}/raw/",
    "zenodo": "/records/4711/files/raw/",
    "https": "/data.plant.example/sets/raw/",
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry_of(
    files: Mapping[str, bytes], kind: str = "github", **changes: object
) -> tuple[DatasetEntry, tuple[PinnedFile, ...]]:
    """Return an entry of these files, and its list."""
    listed = list_of(files, kind)
    value: dict[str, object] = {
        "format": "tundish.dataset",
        "version": 1,
        "key": "plantset",
        "name": {"en": "A plant", "zh": "工厂"},
        "description": "some files",
        "sector": "C26",
        "task": "anomaly",
        "origin": "real",
        "source": {
            "kind": kind,
            "files": len(files),
            "bytes": sum(map(len, files.values())),
            "sha256": sha(listed),
        },
        "licence": {"name": "CC0", "stated_in": "its page", "kind": "A"},
        "citation": "nobody",
    }
    entry = DatasetEntry.model_validate(value | changes)
    assert isinstance(entry.source, TreeSource)
    return entry, parse_list(listed, entry.source, entry.key)
