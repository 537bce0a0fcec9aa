"""Laws of the metrics sink, read by the standard library's client and Prometheus's parser."""

from __future__ import annotations

import asyncio
import http.client
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ports import free_port

from tundish.catalog import library
from tundish.line import plugins
from tundish.line.errors import LineFileInvalidError
from tundish.line.estimates import Estimate
from tundish.line.linefile import SinkSpec, read_line_file
from tundish.line.security import SecretRef, SecuritySpec
from tundish.line.sinks.metrics import MetricsSink
from tundish.line.state import TagState

parser = pytest.importorskip("prometheus_client.parser")
Kit = Any
NODES = {"estimate": "level", "alarm": "red"}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH", "abc.def")


def _spec(port: int = 1, **changes: Any) -> SinkSpec:
    whole: dict[str, Any] = {
        "kind": "metrics", "name": "watch", "nodes": NODES,
        "endpoint": f"http://127.0.0.1:{port}/metrics",
        "security": SecuritySpec(token=SecretRef(env="WATCH")),
    }  # fmt: skip
    return SinkSpec(**whole | changes)


def _sink(kit: Kit, spec: SinkSpec) -> MetricsSink:
    sink = plugins.open_sink(spec, kit.scenario())
    assert isinstance(sink, MetricsSink)
    return sink


def _run(job: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await job

    asyncio.run(bounded())


def _get(port: int, path: str = "/metrics", shown: str = "abc.def", verb: str = "GET") -> tuple[int, str]:  # fmt: skip
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    link.request(verb, path, headers={"Authorization": f"Bearer {shown}"})
    answer = link.getresponse()
    found = answer.status, answer.read().decode()
    link.close()
    return found


def _shown(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def _answer(kit: Kit, value: float | None, *, alarm: bool | None = None) -> Estimate:
    return Estimate(
        at_us=1_500_000, quality="good", value=value, alarm=alarm, model=kit.MODEL,
        input=kit.MODEL,
    )  # fmt: skip


@pytest.mark.integration
def test_prometheus_reads_the_state_and_only_numbers_that_hold(kit: Kit) -> None:
    async def job() -> None:
        sink = _sink(kit, _spec(free_port()))
        await sink.connect()
        ask: Callable[[], Any] = lambda: asyncio.to_thread(_get, sink.port)  # noqa: E731
        assert sink._server is not None
        assert [s.getsockname()[0] for s in sink._server.sockets] == ["127.0.0.1"]
        assert _shown((await ask())[1])["tundish_statestale"] == 1
        await sink.write_state(TagState(signal="*", state="good"), "shadow", 1)
        await sink.write_estimates([_answer(kit, 4.25, alarm=True)])
        shown = _shown((await ask())[1])
        assert (shown["level"], shown["red"]) == (4.25, 1.0)
        assert (shown["tundish_stategood"], shown["tundish_statestale"]) == (1, 0)
        assert shown["tundish_last_answer_timestamp_seconds"] == 1.5
        await sink.write_state(TagState(signal="*", state="stale"), "shadow", 2)
        assert "level" not in _shown((await ask())[1])
        await sink.write_state(TagState(signal="*", state="bad"), "shadow", 3)
        await sink.write_estimates([_answer(kit, None)])
        shown = _shown((await ask())[1])
        assert "level" not in shown
        assert "red" not in shown
        assert shown["tundish_answers_total"] == 2
        assert shown["tundish_answers_without_number_total"] == 1
        await sink.close()

    _run(job())


@pytest.mark.integration
def test_who_shows_no_token_learns_nothing(kit: Kit) -> None:
    async def job() -> None:
        sink = _sink(kit, _spec(free_port()))
        await sink.connect()
        for path, token, verb, status in (
            ("/metrics", "wrong", "GET", 401), ("/", "wrong", "GET", 401),
            ("/metrics", "abc.de", "GET", 401), ("/other", "abc.def", "GET", 404),
            ("/metrics", "abc.def", "POST", 405),
        ):  # fmt: skip
            found = await asyncio.to_thread(_get, sink.port, path, token, verb)
            assert found == (status, "")
        await sink.close()

    _run(job())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_request_ends_in_an_answer(kit: Kit, data: bytes) -> None:
    sink = _sink(kit, _spec())
    for head in (data, b"GET /metrics HTTP/1.1\r\n" + data):
        assert sink.answer(head)[0] in {400, 401}


@pytest.mark.integration
def test_slow_and_endless_readers_hold_nothing_up(kit: Kit) -> None:
    async def job() -> None:
        sink = _sink(kit, _spec(free_port()))
        await sink.connect()
        slow = [
            await asyncio.open_connection("127.0.0.1", sink.port) for _ in range(16)
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        assert await reader.read() == b""  # one too many is let go
        writer.close()
        slow[0][1].write(b"x" * 20_000)  # endless: let go, and a place is free
        await slow[0][0].read()
        assert (await asyncio.to_thread(_get, sink.port))[0] == 200
        for _, one in slow:
            one.close()
        await sink.close()
        await asyncio.sleep(0.05)

    _run(job())


@pytest.mark.integration
def test_a_port_in_use_is_a_lost_sink(kit: Kit) -> None:
    async def job() -> None:
        first = _sink(kit, _spec(free_port()))
        await first.connect()
        with pytest.raises(ConnectionError, match="cannot be opened"):
            await _sink(kit, _spec(first.port)).connect()
        await first.close()

    _run(job())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endpoint": "http://0.0.0.0:1/"}, "this machine only"),
        ({"endpoint": "http://10.0.0.5:1/"}, "this machine only"),
        ({"endpoint": "https://127.0.0.1:1/"}, "this machine only"),
        ({"security": None}, "needs security.token"),
        ({"nodes": {"reason": "x"}}, "expected any of"),
        ({"nodes": {"estimate": "a b"}}, "expected any of"),
        ({"nodes": {"estimate": "tundish_state"}}, "expected any of"),
    ],
)
def test_a_sink_that_makes_no_sense_is_refused(
    kit: Kit, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(LineFileInvalidError, match=said):
        plugins.open_sink(_spec(**changes), kit.scenario())


def test_the_line_file_of_the_how_to_page_works(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/metrics.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    (tmp_path / "line.yaml").write_text(example)
    (tmp_path / "watch.token").write_text("abc\n")
    line = read_line_file(tmp_path / "line.yaml")
    scenario = library.scenario("C25.21.fermentation-glucose")
    assert plugins.open_sinks(line, scenario)[0].name == "watch"
