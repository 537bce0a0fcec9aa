"""Laws of protected links to Kafka: each refusal one clear sentence, no secret said."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

from tests.line import kafka_plant
from tests.line.certs import Certificates, make_certificates
from tests.line.kafka_plant import (
    KafkaCable,
    Mock,
    Talker,
    Tansu,
    running,
    source_spec,
)
from tests.line.mqttline import MqttLine as Line
from tests.line.mqttline import payload

from tundish.kernel.errors import TundishError
from tundish.line import plugins
from tundish.line.errors import LineFileInvalidError, LinkRefusedError
from tundish.line.kafkaoptions import KafkaAccount, KafkaOptions, brokers_of
from tundish.line.security import SecuritySpec

Kit = Any
PASSWORD = "a-secret-of-this-test"  # noqa: S105


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def broker() -> Iterator[Mock]:
    with running(Mock()) as one:
        one.create("level")
        yield one


@pytest.fixture
def guarded(broker: Mock, papers: Certificates) -> Iterator[KafkaCable]:
    """The broker behind TLS, which asks its clients who they are."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=papers.ca)
    context.load_cert_chain(papers.server, papers.server_key)
    context.verify_mode = ssl.CERT_REQUIRED
    with KafkaCable(broker, context) as one:
        yield one


def _spec(endpoint: str, **security: Any) -> Any:
    return source_spec(endpoint).model_copy(
        update={"security": SecuritySpec.model_validate(security)}
    )


def _ours(papers: Certificates) -> dict[str, str]:
    return {"certificate": str(papers.line), "key": str(papers.line_key)}


@pytest.mark.integration
def test_over_tls_both_sides_show_who_they_are(
    kit: Kit, broker: Mock, guarded: KafkaCable, papers: Certificates, tmp_path: Path
) -> None:
    spec = _spec(guarded.endpoint, trust=str(papers.ca), **_ours(papers))
    line = Line(kit, tmp_path, spec)
    talker = Talker(broker, "level")

    async def script() -> None:
        talker.tell(payload(kit, 0))
        await line.until(lambda: line.rows() == [0])

    line.run(script)


@pytest.mark.integration
def test_a_broker_of_a_strange_authority_is_refused(
    kit: Kit, guarded: KafkaCable, papers: Certificates
) -> None:
    spec = _spec(guarded.endpoint, trust=str(papers.other_ca), **_ours(papers))
    source = plugins.open_source(spec, kit.scenario())
    with pytest.raises(LinkRefusedError, match="certificate"):
        asyncio.run(source.connect())


@pytest.mark.integration
def test_a_broker_is_not_spoken_to_in_the_clear_when_tls_was_asked_for(
    kit: Kit, broker: Mock, papers: Certificates
) -> None:
    spec = _spec(broker.endpoint.replace("kafka:", "kafkas:"), trust=str(papers.ca))
    source = plugins.open_source(spec, kit.scenario())
    with pytest.raises(TundishError):
        asyncio.run(source.connect())


@pytest.mark.integration
def test_a_user_that_the_broker_does_not_know_is_refused_and_no_secret_is_said(
    kit: Kit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if kafka_plant.TANSU_MISSING:
        pytest.skip("tansu is not installed")
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    caplog.set_level(logging.DEBUG)
    with running(Tansu(tmp_path / "tansu", "--authentication")) as broker:
        spec = _spec(broker.endpoint, user="line7", password={"env": "KAFKA_PASSWORD"})
        source = plugins.open_source(spec, kit.scenario())
        with pytest.raises(LinkRefusedError, match="authentication") as refused:
            asyncio.run(source.connect())
    said = capfd.readouterr()
    everything = (refused.value.message, caplog.text, said.out, said.err, repr(source))
    assert PASSWORD not in json.dumps(everything)


@pytest.mark.parametrize(
    ("endpoint", "security", "said"),
    [
        ("kafka://h", {"trust": "x"}, "say kafkas://"),
        ("kafka://plant.example", {"user": "u"}, "without TLS"),
        ("kafkas://h", {"token": {"env": "T"}}, "security.token"),
    ],
)
def test_what_would_protect_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, security: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("P", PASSWORD)
    more = {"password": {"env": "P"}} if "user" in security else {}
    spec = SecuritySpec.model_validate(security | more)
    with pytest.raises(LineFileInvalidError, match=said):
        KafkaAccount(endpoint, spec, KafkaOptions(), "The source", [])


@pytest.mark.parametrize(
    "endpoint",
    [
        "kafka://", "mqtt://h", "kafka://u:p@h", "kafka://h/x", "kafka://h:0",
        "kafka://h:99999", "kafka://a,,b", "kafka://" + ",".join(["h"] * 21),
    ],
)  # fmt: skip
def test_an_endpoint_that_names_no_brokers_is_refused(endpoint: str) -> None:
    with pytest.raises(LineFileInvalidError, match="names no brokers"):
        brokers_of(endpoint)


def test_brokers_have_a_port_of_their_own_or_the_usual_one() -> None:
    found = brokers_of("kafkas://a.plant:9093,b.plant,[::1]:9094")
    assert found.secure
    assert found.servers == (("a.plant", 9093), ("b.plant", 9092), ("::1", 9094))


def test_a_client_tells_nobody_how_it_fares_and_makes_no_topics() -> None:
    account = KafkaAccount("kafka://h", None, KafkaOptions(), "The source", [])
    config = account.reading(lambda _: None)
    assert config["enable.metrics.push"] is False
    assert config["allow.auto.create.topics"] is False
    assert config["enable.auto.commit"] is False
