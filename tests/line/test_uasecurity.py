"""Laws of secured OPC UA channels, against real servers in processes of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua as _ua
from tests.line.ua_peer import SERVER_URI, WRAP, Papers, PlantProcess

from tundish.kernel.errors import TundishError
from tundish.line import plugins
from tundish.line.errors import (
    LineFileInvalidError,
    SecurityRefusedError,
    SourceUnreachableError,
)
from tundish.line.linefile import SinkSpec, SourceSpec
from tundish.line.samples import Sample
from tundish.line.security import SecuritySpec
from tundish.line.state import TagState
from tundish.line.uasecure import SecureClient
from tundish.seal.errors import (
    KeyExposedError,
    KeyUnreadableError,
    ServerUntrustedError,
)

Kit = Any
ua: Any = _ua  # its stubs want types that it does not want itself

pytestmark = pytest.mark.integration

POLICIES = ("basic256sha256", "aes128-sha256-rsaoaep", "aes256-sha256-rsapss")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def secured(papers: Papers) -> Iterator[PlantProcess]:
    with PlantProcess(papers.folder, **papers.server()) as plant:
        yield plant


def _source(
    kit: Kit, endpoint: str, security: SecuritySpec | None, **options: Any
) -> Any:
    scenario = kit.scenario(periods={"t0": 0.1})
    spec = SourceSpec(
        kind="opcua",
        endpoint=endpoint,
        security=security,
        nodes={"t0": "ns=2;s=t0"},
        options={"publishing_ms": 20, "retry_first_s": 0.1, **options},
    )
    return plugins.open_source(spec, scenario)


async def _first(source: Any, count: int = 3) -> list[Sample]:
    found: list[Sample] = []
    try:
        await source.connect()
        async with asyncio.timeout(10):
            async for arrival in source.samples():
                found += [s for s in arrival.samples if s.quality == "good"]
                if len(found) >= count:
                    return found
    finally:
        await source.close()
    return found


def _refused(kit: Kit, endpoint: str, security: SecuritySpec) -> TundishError:
    with pytest.raises(TundishError) as found:
        asyncio.run(_first(_source(kit, endpoint, security)))
    return found.value


@pytest.mark.parametrize("mode", ["sign", "sign-and-encrypt"])
@pytest.mark.parametrize("policy", POLICIES)
def test_values_come_over_a_secured_channel(
    kit: Kit, papers: Papers, secured: PlantProcess, policy: str, mode: str
) -> None:
    spec = papers.spec(policy=policy, mode=mode)
    samples = asyncio.run(_first(_source(kit, secured.endpoint, spec)))
    for sample in samples:
        assert sample.at_us is not None
        row = (sample.at_us - secured.start_us) / 1e5
        assert sample.values is not None
        assert sample.values[0] == row % WRAP


def test_what_the_line_file_asks_is_what_is_used(
    kit: Kit, papers: Papers, tmp_path: Path
) -> None:
    """A server that offers less is refused; there is no falling back."""
    shown = papers.server() | {"policies": ("NoSecurity", "Basic256Sha256_Sign")}
    with PlantProcess(tmp_path, **shown) as plant:
        error = _refused(kit, plant.endpoint, papers.spec())
    assert isinstance(error, SecurityRefusedError)
    assert "offers None; basic256sha256 sign, and the line file asks for" in str(error)


def test_a_server_whose_certificate_is_not_trusted_is_refused(
    kit: Kit, papers: Papers, secured: PlantProcess
) -> None:
    papers.make("stranger", SERVER_URI)
    trust = str(papers.folder / "stranger.crt")
    error = _refused(kit, secured.endpoint, papers.spec(trust=trust))
    assert isinstance(error, ServerUntrustedError)
    assert "is not trusted" in str(error)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("late", {"days": -1.0}, "has expired on"),
        ("other-host", {"host": "press7.plant"}, "is for the hosts press7.plant"),
        ("other-uri", {"uri": "urn:another"}, "its certificate names 'urn:another'"),
        ("client", {"server": False}, "is not for a server"),
        ("short", {"bits": 1024}, "is for no RSA key of 2048 bits or more"),
    ],
)
def test_a_trusted_certificate_that_does_not_fit_is_refused(
    kit: Kit, papers: Papers, tmp_path: Path, name: str, changes: Any, said: str
) -> None:
    papers.make(name, **{"uri": SERVER_URI, **changes})
    with PlantProcess(tmp_path, **papers.server(name)) as plant:
        spec = papers.spec(trust=str(papers.folder / f"{name}.crt"))
        error = _refused(kit, plant.endpoint, spec)
    assert isinstance(error, ServerUntrustedError)
    assert said in str(error)


def test_a_server_is_trusted_through_the_authority_that_issued_it(
    kit: Kit, papers: Papers, tmp_path: Path
) -> None:
    papers.make("ca", "")
    papers.make("other-ca", "")
    papers.make("issued", SERVER_URI, issuer="ca")
    with PlantProcess(tmp_path, **papers.server("issued")) as plant:
        known = papers.spec(trust=str(papers.folder / "ca.crt"))
        assert asyncio.run(_first(_source(kit, plant.endpoint, known)))
        other = papers.spec(trust=str(papers.folder / "other-ca.crt"))
        assert isinstance(_refused(kit, plant.endpoint, other), ServerUntrustedError)
        leaf = papers.spec(trust=str(papers.folder / "server.crt"))
        assert isinstance(_refused(kit, plant.endpoint, leaf), ServerUntrustedError)


def test_a_server_that_does_not_trust_the_line_says_so_in_one_sentence(
    kit: Kit, papers: Papers, tmp_path: Path
) -> None:
    with PlantProcess(tmp_path, **papers.server(), distrusts=True) as plant:
        error = _refused(kit, plant.endpoint, papers.spec())
    assert isinstance(error, SecurityRefusedError | SourceUnreachableError)
    assert "does not accept the line's certificate" in str(error)


@pytest.mark.parametrize("mode", ["sign", "sign-and-encrypt"])
def test_a_user_is_known_by_the_password(
    kit: Kit, papers: Papers, tmp_path: Path, mode: str
) -> None:
    with PlantProcess(tmp_path, **papers.server(), user=True) as plant:
        good = papers.spec(mode=mode, **papers.password())
        assert asyncio.run(_first(_source(kit, plant.endpoint, good)))
        bad = papers.spec(mode=mode, **papers.password("a wrong one"))
        error = _refused(kit, plant.endpoint, bad)
        nobody = _refused(kit, plant.endpoint, papers.spec(mode=mode))
    assert isinstance(error, SecurityRefusedError)
    assert "does not accept the user" in str(error)
    assert "wrong one" not in str(error)
    assert isinstance(nobody, SecurityRefusedError)


def test_a_password_never_goes_over_a_channel_that_shows_it(
    kit: Kit, papers: Papers, secured: PlantProcess
) -> None:
    spec = SecuritySpec(**papers.password())
    with pytest.raises(LineFileInvalidError, match="the channel would be in clear"):
        _source(kit, secured.endpoint, spec)


@pytest.mark.parametrize(
    ("mode", "channel", "offered", "goes"),
    [
        ("sign", "Basic256Sha256", "None", False),
        ("sign", "Basic256Sha256", "Basic128Rsa15", False),
        ("sign", "Basic256Sha256", "", True),
        ("sign", "Basic256Sha256", "Basic256Sha256", True),
        ("sign-and-encrypt", "Basic256Sha256", "None", True),
        (None, "None", "None", False),
        (None, "None", "", False),
    ],
)
def test_a_server_that_wants_the_password_readable_does_not_get_it(
    mode: str | None, channel: str, offered: str, goes: bool
) -> None:
    """How a password is to be sent is said by the server, not by the line file."""
    policies = "http://opcfoundation.org/UA/SecurityPolicy#"
    client: Any = SecureClient("opc.tcp://127.0.0.1:1", timeout_s=1.0, channel_s=60.0)
    client.guarded = SimpleNamespace(mode=mode) if mode else None
    client.security_policy = SimpleNamespace(URI=policies + channel)
    name = ua.UserTokenType.UserName
    asked = ua.UserTokenPolicy(
        PolicyId="u",
        TokenType=name,
        SecurityPolicyUri=policies + offered if offered else "",
    )
    client._policy_ids = [asked]
    if goes:
        assert client.server_policy(name).PolicyId == "u"
    else:
        with pytest.raises(SecurityRefusedError, match="wants the password in clear"):
            client.server_policy(name)


def test_half_of_what_secures_a_channel_is_refused(kit: Kit, papers: Papers) -> None:
    for missing in ("trust", "policy", "certificate"):
        said = papers.spec().model_dump() | {missing: None}
        if missing == "certificate":
            said["key"] = None
        if missing == "policy":
            said["mode"] = None
        with pytest.raises(LineFileInvalidError):
            _source(kit, "opc.tcp://127.0.0.1:1", SecuritySpec(**said))


def test_our_own_papers_must_belong_together_and_be_ours_alone(
    kit: Kit, papers: Papers
) -> None:
    papers.line("second")
    other = papers.spec(key=str(papers.folder / "second.key"))
    with pytest.raises(KeyUnreadableError, match="is not for the key"):
        _source(kit, "opc.tcp://127.0.0.1:1", other)
    (papers.folder / "second.key").chmod(0o644)
    with pytest.raises(KeyExposedError):
        _source(kit, "opc.tcp://127.0.0.1:1", other)


def test_the_channel_is_renewed_again_and_again_and_nothing_is_lost(
    kit: Kit, papers: Papers, secured: PlantProcess
) -> None:
    """A lifetime of one second: five renewals, each row once and in order."""
    source = _source(kit, secured.endpoint, papers.spec(), channel_s=1.0)
    samples = asyncio.run(_first(source, 50))
    rows = [round((s.at_us - secured.start_us) / 1e5) for s in samples if s.at_us]
    assert rows == list(range(rows[0], rows[0] + len(rows)))


def test_a_sink_writes_over_a_secured_channel(
    kit: Kit, papers: Papers, secured: PlantProcess
) -> None:
    spec = SinkSpec(
        kind="opcua",
        endpoint=secured.endpoint,
        security=papers.spec(policy="aes256-sha256-rsapss"),
        nodes={"state": "ns=2;s=answer.state"},
    )
    sink = plugins.open_sink(spec, kit.scenario())

    async def write() -> None:
        await sink.connect()
        try:
            state = TagState(signal="t0", state="bad", reason="why")
            await sink.write_state(state, "shadow", kit.START_US)
        finally:
            await sink.close()

    asyncio.run(write())
    assert secured.order("answer", name="state") == ["bad", "Good"]
