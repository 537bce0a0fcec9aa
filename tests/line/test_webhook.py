"""Laws of the webhook sink, against the standard library's server and hostile ones."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import ssl
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.line.certs import make_certificates

from tundish.catalog import library
from tundish.kernel import canonical
from tundish.line import plugins
from tundish.line.engine import LineEngine
from tundish.line.errors import LineFileInvalidError, SinkRefusedError
from tundish.line.estimates import Estimate
from tundish.line.httppost import HttpLostError, check_address, read_address, read_head
from tundish.line.linefile import SinkSpec, read_line_file
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.security import SecretRef, SecuritySpec
from tundish.line.sinks.webhook import WebhookSink
from tundish.line.state import TagState

standardwebhooks = pytest.importorskip("standardwebhooks")
Kit = Any
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NODES = {"estimate": "value", "alarm": "alarm", "reason": "why", "state": "state"}


class Desk:
    """A real server that keeps what it was posted and answers what it is told."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.say: list[int] = []  # statuses of the next answers; then 200
        self.headers: dict[str, str] = {}
        desk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = desk.say.pop(0) if desk.say else 200
                if 200 <= status < 300:
                    desk.got.append((dict(self.headers), body))
                self.send_response(status)
                for name, value in desk.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.scheme = "https" if context else "http"
        if context:
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True
            )
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}/answers?line=3"

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def _desk(context: ssl.SSLContext | None = None) -> Iterator[Desk]:
    desk = Desk(context)
    desk.thread.start()
    try:
        yield desk
    finally:
        desk.server.shutdown()
        desk.server.server_close()


def _spec(endpoint: str, security: SecuritySpec | None = None, **more: Any) -> SinkSpec:
    return SinkSpec(
        kind="webhook", name="desk", endpoint=endpoint, security=security,
        nodes=more.pop("nodes", NODES), options={"timeout_s": 0.5} | more,
    )  # fmt: skip


def _sink(kit: Kit, spec: SinkSpec) -> WebhookSink:
    sink = plugins.open_sink(spec, kit.scenario())
    assert isinstance(sink, WebhookSink)
    return sink


def _answer(kit: Kit, row: int, value: float | None = 4.25) -> Estimate:
    return Estimate(
        at_us=kit.sample(row).at_us, quality="good" if value else "bad", value=value,
        reason="" if value else "nobody knows", model=kit.MODEL, input=kit.MODEL,
    )  # fmt: skip


def _run(job: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await job

    asyncio.run(bounded())


@pytest.mark.integration
def test_an_answer_arrives_as_canonical_json_under_its_own_id(kit: Kit) -> None:
    async def job(desk: Desk) -> None:
        sink = _sink(kit, _spec(desk.endpoint))
        await sink.connect()
        await sink.write_estimates([_answer(kit, 0), _answer(kit, 1, None)])
        state = TagState(signal="level", state="stale", reason="link lost")
        await sink.write_state(state, "shadow", kit.START_US)
        await sink.close()
        first, second, third = desk.bodies()
        assert first == {
            "id": f"desk:{kit.START_US}", "kind": "answer", "quality": "good",
            "at": "2020-01-01T00:00:00Z", "value": 4.25, "alarm": None, "why": "",
        }  # fmt: skip
        assert (second["value"], second["quality"]) == (None, "bad")
        assert (third["kind"], third["state"]) == ("state", "stale")
        for headers, body in desk.got:
            assert canonical.dumps(canonical.loads(body)) == body
            assert headers["webhook-id"] == json.loads(body)["id"]

    with _desk() as desk:
        _run(job(desk))


@pytest.mark.integration
def test_another_library_verifies_the_signature(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_SECRET", SECRET)
    (tmp_path / "token").write_text("abc.def\n")
    security = SecuritySpec(
        secret=SecretRef(env="DESK_SECRET"),
        token=SecretRef(file=str(tmp_path / "token")),
    )

    async def job(desk: Desk) -> None:
        sink = _sink(kit, _spec(desk.endpoint, security))
        await sink.write_estimates([_answer(kit, 0)])
        await sink.close()
        ((headers, body),) = desk.got
        hook = standardwebhooks.Webhook(SECRET)
        assert hook.verify(body, headers)["value"] == 4.25
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            hook.verify(body.replace(b"4.25", b"4.26"), headers)
        assert headers["Authorization"] == "Bearer abc.def"
        assert SECRET not in repr(vars(sink))

    with _desk() as desk:
        _run(job(desk))


@pytest.mark.integration
def test_what_will_never_be_taken_is_refused_and_all_else_is_tried_again(
    kit: Kit,
) -> None:
    async def job(desk: Desk) -> None:
        sink = _sink(kit, _spec(desk.endpoint))
        for status in (400, 413, 422):
            desk.say = [status]
            with pytest.raises(SinkRefusedError, match=f"answered {status}"):
                await sink.write_estimates([_answer(kit, 0)])
        desk.headers = {"Location": "http://169.254.169.254/latest"}
        for status in (301, 307, 401, 403, 404, 408, 429, 500, 503):
            desk.say = [status]
            with pytest.raises(ConnectionError, match=f"answered {status}"):
                await sink.write_estimates([_answer(kit, 0)])
        assert desk.got == []
        await sink.close()

    with _desk() as desk:
        _run(job(desk))


@pytest.mark.integration
def test_through_restarts_and_refusals_every_answer_arrives_in_order(
    kit: Kit, tmp_path: Path
) -> None:
    scenario = kit.scenario()
    source = kit.ScriptedSource(("level",))

    async def job(desk: Desk) -> None:
        sink = _sink(kit, _spec(desk.endpoint, nodes={"estimate": "value"}))
        with kit.buffer(tmp_path / "b", scenario) as buffer:
            parts = LineParts(
                scenario=scenario, scorer=kit.MeanScorer(), model=kit.MODEL,
                sources=(source,), sinks=(sink,), buffer=buffer,
            )  # fmt: skip
            options = EngineOptions(tick_s=0.01, sink_pauses_s=(0.01, 0.02))
            stop = asyncio.Event()
            running = asyncio.create_task(LineEngine(parts, options=options).run(stop))
            for row in range(30):
                if row % 10 == 5:
                    desk.say = [503, 404]
                source.give(kit.sample(row))
                await asyncio.sleep(0.01)
            await kit.eventually(lambda: len(desk.got) >= 30, 20)
            stop.set()
            report = await running
        values = [one["value"] for one in desk.bodies()]
        assert sorted(set(values)) == values == list(range(30))
        assert report.delivered == {"desk": 30}
        assert report.refused == {"desk": 0}

    with _desk() as desk:
        _run(job(desk))


@pytest.mark.integration
def test_over_tls_the_server_proves_its_name(kit: Kit, tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.server, files.server_key)

    async def job(desk: Desk) -> None:
        known = SecuritySpec(trust=str(files.ca))
        sink = _sink(kit, _spec(desk.endpoint, known))
        await sink.write_estimates([_answer(kit, 0)])
        await sink.close()
        assert len(desk.got) == 1
        for security in (None, SecuritySpec(trust=str(files.other_ca))):
            with pytest.raises(ConnectionError, match="certificate verify failed"):
                await _sink(kit, _spec(desk.endpoint, security)).connect()

    with _desk(context) as desk:
        _run(job(desk))


@pytest.mark.integration
@pytest.mark.parametrize(
    "answer",
    [
        b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 9000, b"x" * 100_000, b"HTTP/9 200\r\n\r\n",
    ],
    ids=["nothing", "ssh", "status", "half", "long", "letters", "version"],
)  # fmt: skip
def test_a_hostile_server_ends_in_a_lost_link(kit: Kit, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await asyncio.sleep(20)
        writer.close()

    async def job() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sink = _sink(kit, _spec(f"http://127.0.0.1:{port}"))
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        with pytest.raises(ConnectionError):
            await sink.write_estimates([_answer(kit, 0)])
        assert loop.time() - begin_s < 10  # before the server ends it
        await sink.close()
        server.close()

    _run(job())


@pytest.mark.integration
def test_a_connection_that_ended_while_idle_is_no_loss(kit: Kit) -> None:
    async def job(desk: Desk) -> None:
        sink = _sink(kit, _spec(desk.endpoint))
        await sink.write_estimates([_answer(kit, 0)])
        streams = sink._http._streams
        assert streams is not None
        streams[1].transport.abort()
        await asyncio.sleep(0.05)
        await sink.write_estimates([_answer(kit, 1)])
        await sink.close()
        assert len(desk.got) == 2

    with _desk() as desk:
        _run(job(desk))


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1%eth0", "224.0.0.1", "::", "::ffff:169.254.1.1", "ff02::1", "255.255.255.255"],
)  # fmt: skip
def test_addresses_that_no_service_has_are_not_connected_to(address: str) -> None:
    with pytest.raises(HttpLostError, match="nothing is sent to"):
        check_address(address)
    for good in ("127.0.0.1", "10.0.0.5", "fd00::5", "::1"):
        check_address(good)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endpoint": "ftp://h/"}, "expected https"),
        ({"endpoint": "https:///x"}, "expected https"),
        ({"endpoint": "https://h/\r\nx"}, "expected https"),
        ({"endpoint": "https://h/a b"}, "expected https"),
        ({"endpoint": "https://u:p@h/"}, "under security"),
        ({"nodes": {"temperature": "x"}}, "names 'temperature'"),
        ({"nodes": {"estimate": "id"}}, "the name 'id' twice"),
        ({"nodes": {"estimate": "x", "lower": "x"}}, "the name 'x' twice"),
        ({"security": SecuritySpec(trust="x")}, "endpoint says http"),
        (
            {"security": SecuritySpec(secret=SecretRef(env="BAD_SECRET"))},
            "another form",
        ),
        ({"security": SecuritySpec(token=SecretRef(env="BAD_TOKEN"))}, "no header"),
        (
            {
                "endpoint": "http://desk/",
                "security": SecuritySpec(token=SecretRef(env="GOOD_TOKEN")),
            },
            "in the clear",
        ),
    ],
)
def test_a_sink_that_makes_no_sense_is_refused(
    kit: Kit, changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAD_SECRET", "whsec_c2hvcnQ=")
    monkeypatch.setenv("BAD_TOKEN", "a\r\nX-Evil: 1")
    monkeypatch.setenv("GOOD_TOKEN", "abc")
    spec = _spec("http://127.0.0.1:1/").model_copy(update=changes)
    with pytest.raises(LineFileInvalidError, match=said) as refused:
        plugins.open_sink(spec, kit.scenario())
    assert "c2hvcnQ" not in refused.value.message
    assert "Evil" not in refused.value.message


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_head_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(HttpLostError):
        head = read_head(b"HTTP/1.1 200 OK\r\n" + data)
        assert 0 <= (head.rest or 0) <= 65_536


def test_the_host_in_a_place_is_read_as_browsers_do() -> None:
    place = read_address("https://Desk.Plant.example:8443/a?b=1", "it")
    assert (place.host, place.port, place.target) == (
        "desk.plant.example", 8443, "/a?b=1",
    )  # fmt: skip
    assert read_address("http://[::1]/", "it").near


def test_the_line_file_of_the_how_to_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/webhook.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    (tmp_path / "line.yaml").write_text(example)
    files = make_certificates(tmp_path)
    files.ca.rename(tmp_path / "plant-ca.pem")
    (tmp_path / "desk.token").write_text("abc\n")
    monkeypatch.setenv("DESK_SECRET", SECRET)
    line = read_line_file(tmp_path / "line.yaml")
    scenario = library.scenario("C25.21.fermentation-glucose")
    (sink,) = plugins.open_sinks(line, scenario)
    assert sink.name == "quality-desk"
