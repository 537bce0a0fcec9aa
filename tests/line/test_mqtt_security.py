"""Laws of protected links: TLS, passwords and rights, each refusal one clear sentence."""

from __future__ import annotations

import asyncio
import ipaddress
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests import ca
from tests.line import mosquitto
from tests.line.mosquitto import Mosquitto, running
from tests.line.mqttline import MqttLine, payload, sink_spec, source_spec

from tundish.kernel.errors import TundishError
from tundish.line import plugins
from tundish.line.errors import (
    CertificateUnusableError,
    LineFileInvalidError,
    LinkRefusedError,
    SourceUnreachableError,
)
from tundish.line.linefile import SourceSpec

Kit = Any  # the classes live in conftest, which cannot be imported

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(mosquitto.MISSING, reason="mosquitto is not installed"),
]
PASSWORD = "a-secret-of-this-test"  # noqa: S105


@dataclass
class Papers:
    """What a broker and its clients show each other."""

    folder: Path
    root: ca.Ca

    def issue(self, name: str, *, address: str = "127.0.0.1", days: float = 3650, client: bool = False, root: ca.Ca | None = None) -> None:  # fmt: skip
        key = ec.generate_private_key(ec.SECP256R1())
        use = (
            ExtendedKeyUsageOID.CLIENT_AUTH
            if client
            else ExtendedKeyUsageOID.SERVER_AUTH
        )
        alternative = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(address))]
        )
        extensions: ca.Extensions = [
            (x509.ExtendedKeyUsage([use]), False),
            (alternative, False),
        ]
        made = (root or self.root).issue(
            key.public_key(), f"CN={name}", extensions, days=days
        )
        (self.folder / f"{name}.pem").write_bytes(ca.pem(made))
        self._keep(key, name, serialization.NoEncryption())
        self._keep(
            key,
            f"{name}-locked",
            serialization.BestAvailableEncryption(PASSWORD.encode()),
        )

    def _keep(self, key: Any, name: str, how: Any) -> None:
        form = serialization.PrivateFormat.PKCS8
        data = key.private_bytes(serialization.Encoding.PEM, form, how)
        (self.folder / f"{name}.key").write_bytes(data)

    def settings(self, name: str, *more: str) -> tuple[str, ...]:
        return (
            "allow_anonymous true",
            f"cafile {self.folder}/ca.pem",
            f"certfile {self.folder}/{name}.pem",
            f"keyfile {self.folder}/{name}.key",
            *more,
        )


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    made = Papers(tmp_path_factory.mktemp("papers"), ca.root())
    (made.folder / "ca.pem").write_bytes(made.root.pem)
    (made.folder / "ca.der").write_bytes(ca.der(made.root.certificate))
    (made.folder / "other.pem").write_bytes(ca.root("CN=Other").pem)
    (made.folder / "pw").write_text(PASSWORD)
    made.issue("server")
    made.issue("elsewhere", address="10.0.0.1")
    made.issue("expired", days=30)
    made.issue("line", client=True)
    made.issue("stranger", client=True, root=ca.root("CN=Other"))
    return made


@pytest.fixture(scope="module")
def secure(
    papers: Papers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mosquitto]:
    with running(tmp_path_factory.mktemp("tls"), *papers.settings("server")) as one:
        yield one


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker with users; ``line`` may read and write below plant/line only."""
    folder = tmp_path_factory.mktemp("users")
    subprocess.run(
        ["mosquitto_passwd", "-c", "-b", folder / "users", "line", PASSWORD], check=True
    )
    (folder / "acl").write_text("user line\ntopic readwrite plant/line/#\n")
    (folder / "users").chmod(0o600)
    settings = (
        "allow_anonymous false",
        f"password_file {folder}/users",
        f"acl_file {folder}/acl",
    )
    with running(folder, *settings) as one:
        yield one


def _source(
    endpoint: str, security: dict[str, Any] | None = None, topic: str = "plant/line/level", **options: Any
) -> SourceSpec:  # fmt: skip
    spec = source_spec(endpoint, {"level": topic}, **options)
    return SourceSpec.model_validate(spec.model_dump() | {"security": security})


def _refusal(kit: Kit, spec: SourceSpec) -> TundishError:
    """Return what stands on the screen when a line with this source starts."""

    async def job() -> None:
        source = plugins.open_source(spec, kit.scenario())
        try:
            await source.connect()
        finally:
            await source.close()

    with pytest.raises(TundishError) as caught:
        asyncio.run(job())
    assert PASSWORD not in str(caught.value)
    return caught.value


def _works(
    kit: Kit, tmp_path: Path, broker: Mosquitto, spec: SourceSpec, *more: str
) -> None:
    line = MqttLine(kit, tmp_path, spec)

    async def script() -> None:
        loop = asyncio.get_running_loop()
        say = lambda: broker.say("plant/line/level", payload(kit, 0), *more)  # noqa: E731
        await loop.run_in_executor(None, say)
        await line.until(lambda: line.rows() == [0])

    line.run(script)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("form", ["ca.pem", "ca.der"])
def test_samples_come_over_tls(
    kit: Kit, papers: Papers, secure: Mosquitto, tmp_path: Path, form: str, version: str
) -> None:
    trust = str(papers.folder / form)
    endpoint = f"mqtts://127.0.0.1:{secure.port}"
    spec = _source(endpoint, {"trust": trust}, version=version)
    _works(kit, tmp_path, secure, spec, "--cafile", str(papers.folder / "ca.pem"))


def test_an_unknown_authority_is_said(
    kit: Kit, papers: Papers, secure: Mosquitto
) -> None:
    endpoint = f"mqtts://127.0.0.1:{secure.port}"
    for security in (None, {"trust": str(papers.folder / "other.pem")}):
        error = _refusal(kit, _source(endpoint, security))
        assert isinstance(error, LinkRefusedError)
        assert "an authority that security.trust does not hold" in str(error)


@pytest.mark.parametrize(
    ("server", "said"), [("expired", "has expired"), ("elsewhere", "another address")]
)
def test_a_wrong_certificate_is_said(
    kit: Kit, papers: Papers, tmp_path: Path, server: str, said: str
) -> None:
    with running(tmp_path / "b", *papers.settings(server)) as broker:
        trust = {"trust": str(papers.folder / "ca.pem")}
        error = _refusal(kit, _source(f"mqtts://127.0.0.1:{broker.port}", trust))
    assert isinstance(error, LinkRefusedError)
    assert said in str(error)


def test_a_client_certificate_opens_what_asks_for_one(
    kit: Kit, papers: Papers, tmp_path: Path
) -> None:
    folder = papers.folder
    asked = ("require_certificate true", "use_identity_as_username true")
    with running(tmp_path / "b", *papers.settings("server", *asked)) as broker:
        endpoint = f"mqtts://127.0.0.1:{broker.port}"
        security: dict[str, Any] = {
            "trust": str(folder / "ca.pem"),
            "certificate": str(folder / "line.pem"),
            "key": str(folder / "line-locked.key"),
            "key_password": {"file": str(folder / "pw")},
        }
        mine = ("--cafile", str(folder / "ca.pem"), "--cert", str(folder / "line.pem"),
                "--key", str(folder / "line.key"))  # fmt: skip
        _works(kit, tmp_path, broker, _source(endpoint, security), *mine)
        without = {"trust": security["trust"]}
        stranger = without | {
            "certificate": str(folder / "stranger.pem"), "key": str(folder / "stranger.key"),
        }  # fmt: skip
        for wrong in (without, stranger):
            assert isinstance(
                _refusal(kit, _source(endpoint, wrong)),
                LinkRefusedError | SourceUnreachableError,
            )
        (folder / "wrong").write_text("wrong")
        locked = security | {"key_password": {"file": str(folder / "wrong")}}
        error = _refusal(kit, _source(endpoint, locked))
        assert isinstance(error, CertificateUnusableError)
        del locked["key_password"]  # and nobody is asked on the terminal
        error = _refusal(kit, _source(endpoint, locked))
        assert isinstance(error, CertificateUnusableError)


def test_tls_against_a_port_without_it_and_the_reverse_are_said(
    kit: Kit, papers: Papers, secure: Mosquitto, guarded: Mosquitto
) -> None:
    trust = {"trust": str(papers.folder / "ca.pem")}
    error = _refusal(kit, _source(f"mqtts://127.0.0.1:{guarded.port}", trust))
    assert isinstance(error, LinkRefusedError | SourceUnreachableError)
    error = _refusal(kit, _source(f"mqtt://127.0.0.1:{secure.port}"))
    assert isinstance(error, SourceUnreachableError)
    assert "perhaps it wants TLS" in str(error)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_users_passwords_and_rights(
    kit: Kit, papers: Papers, guarded: Mosquitto, tmp_path: Path, version: str
) -> None:
    right = {"user": "line", "password": {"file": str(papers.folder / "pw")}}
    spec = _source(guarded.endpoint, right, version=version, client_id=f"me-{version}")
    _works(kit, tmp_path, guarded, spec, "-u", "line", "-P", PASSWORD)
    (tmp_path / "wrong").write_text("wrong")
    wrong = right | {"password": {"file": str(tmp_path / "wrong")}}
    for security in (None, wrong):
        error = _refusal(kit, _source(guarded.endpoint, security, version=version))
        assert isinstance(error, LinkRefusedError)
        assert "password is wrong" in str(error) or "not authorised" in str(error)


def test_a_sink_that_may_not_write_is_refused_and_said(
    kit: Kit, papers: Papers, guarded: Mosquitto, tmp_path: Path
) -> None:
    right = {"user": "line", "password": {"file": str(papers.folder / "pw")}}
    sink = sink_spec(guarded.endpoint)
    sink = type(sink).model_validate(sink.model_dump() | {"security": right})
    source = _source(guarded.endpoint, right, client_id="reader")
    line = MqttLine(kit, tmp_path, source, sink)

    async def script() -> None:
        loop = asyncio.get_running_loop()
        mine = ("-u", "line", "-P", PASSWORD)
        say = lambda: guarded.say("plant/line/level", payload(kit, 0), *mine)  # noqa: E731
        await loop.run_in_executor(None, say)
        await line.until(lambda: "sink-refused" in line.kinds())

    line.run(script)
    assert "not authorised" in line.texts("sink-refused")[0]


@pytest.mark.parametrize(
    ("endpoint", "security", "said"),
    [
        (
            "mqtt://192.0.2.1",
            {"user": "u", "password": {"env": "HOME"}},
            "in the clear",
        ),
        ("mqtt://127.0.0.1", {"trust": "x"}, "without TLS"),
        ("mqtts://127.0.0.1", {"policy": "basic256sha256"}, "security.policy"),
        ("mqtts://127.0.0.1", {"token": {"env": "HOME"}}, "security.token"),
        ("http://127.0.0.1", None, "no broker"),
        ("mqtt://u:p@127.0.0.1", None, "no broker"),
        ("mqtt://127.0.0.1:99999", None, "no broker"),
        ("mqtt://", None, "no broker"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_connecting(
    kit: Kit, endpoint: str, security: Any, said: str
) -> None:
    error = _refusal(kit, _source(endpoint, security))
    assert isinstance(error, LineFileInvalidError)
    assert said in str(error)


def test_a_file_that_is_no_certificate_is_named(kit: Kit, tmp_path: Path) -> None:
    for data in (
        b"",
        b"nonsense",
        b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
    ):
        (tmp_path / "ca").write_bytes(data)
        error = _refusal(
            kit, _source("mqtts://127.0.0.1", {"trust": str(tmp_path / "ca")})
        )
        assert isinstance(error, CertificateUnusableError)
        assert "cannot use its certificate" in str(error)
