"""Laws of serving: a real client of the protocol, tokens, TLS, the end of a grant."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.flows.conftest import scenario

from tundish.flows import clients, serve
from tundish.flows.clients import add_client, list_clients, remove_client
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.open_package import open_package, score
from tundish.flows.refusals import Refusals, Refused
from tundish.flows.serve import ServeOrder, ServeReport, Serving
from tundish.flows.workspace import Workspace
from tundish.kernel.addresses import AirGap
from tundish.kernel.errors import TundishError
from tundish.line.serving import listening
from tundish.line.serving.errors import (
    AddressTakenError,
    ClientNameTakenError,
    ClientsMissingError,
    ListenInvalidError,
    PlaintextRefusedError,
    TlsUnusableError,
    TokenRefusedError,
    TokenWeakError,
)

pytestmark = pytest.mark.integration
DAY_S = 86_400.0
MODEL = scenario().key
ROWS = np.array([[1, 3], [np.nan, 1], [5000, 1], [-7, 8]], np.float32).reshape(4, 2, 1)


class Box:
    """A box with a grant for the desk's package, at the present time."""

    def __init__(
        self, make_desk: Callable[[datetime], Any], root: Path, **terms: Any
    ) -> None:
        self.desk = make_desk(datetime.now(UTC))
        self.box: Workspace = self.desk.box(root / "box")
        self.grant = root / "model.grant"
        order = GrantOrder(
            device=self.box.device_text, purpose="p", valid_s=40 * DAY_S, **terms
        )
        grant(self.desk.plant, self.desk.package, order, self.grant)

    def acts(self) -> list[str]:
        return [entry.act for _, entry in list_ledger(self.box)]

    def serving(self, **order: Any) -> Serving:
        chosen = ServeOrder(**{"listen": "127.0.0.1:0", **order})
        return Serving(self.box, self.desk.package, self.grant, chosen)

    @contextmanager
    def running(self, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """Run the command; yield the process and its address."""
        command = [
            sys.executable, "-m", "tundish", "serve", str(self.desk.package), "--grant",
            str(self.grant), "--listen", "127.0.0.1:0", "-w", str(self.box.root), *more,
        ]  # fmt: skip
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "COLUMNS": "200"},
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                said = process.stdout.readline()
                assert "started" in said, said + process.stdout.read()
                yield process, said.split()[-1]
            finally:
                process.terminate()


@pytest.fixture
def box(make_desk: Any, tmp_path: Path) -> Box:
    return Box(make_desk, tmp_path)


def ask(
    url: str, token: str = "", context: ssl.SSLContext | None = None
) -> tuple[int, bytes]:
    head = {"Authorization": f"Bearer {token}"} if token else {}
    asked = urllib.request.Request(url, headers=head)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, context=context, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def of_triton() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("tritonclient.http")


@pytest.mark.filterwarnings("ignore")
def test_a_client_of_the_protocol_gets_what_score_says_in_json_and_in_bytes(
    box: Box,
) -> None:
    triton = of_triton()
    token = add_client(box.box, "triton").reveal()
    head = {"Authorization": f"Bearer {token}"}
    expected = score(open_package(box.box, box.desk.package, box.grant), ROWS).scores
    with box.running() as (process, address):
        client = triton.InferenceServerClient(address.removeprefix("http://"))
        assert client.is_server_live()
        assert client.is_server_ready(headers={**head})
        assert client.is_model_ready(MODEL, "1", headers={**head})
        assert client.get_server_metadata(headers={**head})["extensions"] == [
            "binary_tensor_data"
        ]
        about = client.get_model_metadata(MODEL, headers={**head})
        assert about["inputs"] == [
            {"name": "window", "datatype": "FP32", "shape": [-1, 2, 1]}
        ]
        for binary_in in (True, False):
            rows = ROWS if binary_in else ROWS[[0, 2, 3]]  # NaN has no JSON
            said = expected if binary_in else [expected[n] for n in (0, 2, 3)]
            given = triton.InferInput("window", rows.shape, "FP32")
            given.set_data_from_numpy(rows, binary_data=binary_in)
            for binary_out in (True, False):
                wanted = [
                    triton.InferRequestedOutput(name, binary_data=binary_out)
                    for name in ("estimate", "upper")
                ]
                found = client.infer(MODEL, [given], outputs=wanted, headers={**head})
                for name in ("estimate", "upper"):
                    values = found.as_numpy(name).astype(np.float64).ravel()
                    for value, one in zip(values, said, strict=True):
                        assert (
                            np.isnan(value)
                            if one.abstained
                            else value == one.outputs[name]
                        )
                told = found.get_response()["parameters"]
                assert told["package"] == box.desk.digest
                for place, one in enumerate(said):
                    assert told.get(f"reason.{place}", "") == one.abstained
        with pytest.raises(triton.InferenceServerException, match="no token"):
            client.get_server_metadata()
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert token not in process.stdout.read()
    acts = box.acts()
    assert acts.count("serve-started") == acts.count("serve-stopped") == 1
    assert acts.count("serve-refused") == 1
    kept = b"".join(p.read_bytes() for p in box.box.root.rglob("*") if p.is_file())
    assert token.encode() not in kept


def test_a_signed_budget_holds_over_http_and_over_a_restart(
    make_desk: Any, tmp_path: Path
) -> None:
    box = Box(make_desk, tmp_path, answers_per_day=3)
    token = add_client(box.box, "a").reveal()
    one = {
        "name": "window",
        "shape": [2, 2, 1],
        "datatype": "FP32",
        "data": [1, 1, 2, 2],
    }
    body = json.dumps({"inputs": [one]}).encode()
    given = []
    for _ in range(2):
        with box.running() as (_, address):
            for _ in range(2):
                asked = urllib.request.Request(  # noqa: S310
                    f"{address}/v2/models/{MODEL}/infer",
                    body,
                    {"Authorization": f"Bearer {token}"},
                )
                with urllib.request.urlopen(asked) as answer:  # noqa: S310
                    given += json.load(answer)["outputs"][0]["data"]
            assert b"tundish_answers_per_day 3" in ask(f"{address}/metrics", token)[1]
    assert given == [1.0, 2.0, 1.0, None, None, None, None, None]


def test_a_removed_client_is_refused_and_a_new_one_counts_while_it_runs(
    box: Box,
) -> None:
    old = add_client(box.box, "old").reveal()
    with box.running() as (_, address):
        assert ask(f"{address}/v2", old)[0] == 200
        new = add_client(box.box, "new").reveal()
        remove_client(box.box, "old")
        assert [client.name for client in list_clients(box.box)] == ["new"]
        end_s = time.monotonic() + 10
        while ask(f"{address}/v2", new)[0] != 200 and time.monotonic() < end_s:
            time.sleep(0.1)
        assert ask(f"{address}/v2", new)[0] == 200
        assert ask(f"{address}/v2", old)[0] == 401


def test_the_end_of_the_grant_ends_the_server(
    make_desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(make_desk, tmp_path)
    add_client(box.box, "a")
    monkeypatch.setattr(serve, "LOOK_S", 0.05)
    clock: Any = box.box.clock
    report = box.serving().run(on_ready=lambda: clock.advance(41 * DAY_S))
    assert isinstance(report, ServeReport)
    assert report.ended == "grant"
    assert "serve-grant-over" in box.acts()
    assert box.acts()[-1] == "serve-stopped"


def test_a_withdrawn_list_of_clients_lets_nobody_in(box: Box) -> None:
    add_client(box.box, "a")
    serving = box.serving()
    clients.clients_file(box.box).write_text("no list")
    serving._look_at_clients()
    assert serving._access._clients == ()
    serving._socket.close()


def test_a_token_that_is_taken_out_of_its_file_counts_no_more(box: Box) -> None:
    file = box.box.root / "tokens"
    one, two = "a" * 40, "b" * 40
    file.write_text(f"{one}\n{two}\n")
    file.chmod(0o600)
    serving = box.serving(token_file=file)
    assert serving._access.client(f"Bearer {one}".encode(), "10.0.0.1") == "file:1"
    file.write_text(f"{two}\n")
    serving._look_at_clients()
    with pytest.raises(TokenRefusedError):
        serving._access.client(f"Bearer {one}".encode(), "10.0.0.1")
    assert serving._access.client(f"Bearer {two}".encode(), "10.0.0.1") == "file:1"
    file.unlink()
    serving._look_at_clients()
    assert serving._access._clients == ()
    serving._socket.close()


def test_refused_tokens_are_told_of_once_a_minute_with_their_number() -> None:
    now_s = [0.0]
    told: list[Refused] = []
    refusals = Refusals(lambda: now_s[0], told.append)
    for number in range(5000):
        refusals.heard(f"10.0.{number // 250}.{number % 250}", "token-refused")
        refusals.look()
    now_s[0] = 60.0
    refusals.look()
    assert [refused.requests for refused in told] == [1, 4999]
    assert len(told[1].addresses) == 5
    assert len(refusals._peers) == 0
    assert refusals.all == 5000


def test_nothing_is_opened_while_something_else_stands_in_the_way(
    make_desk: Any, tmp_path: Path
) -> None:
    """A use of the grant is not spent on a server that cannot start."""
    box = Box(make_desk, tmp_path, uses=1)
    with pytest.raises(ClientsMissingError):
        box.serving()
    add_client(box.box, "a")
    held = listening.bind(*listening.parse_listen("127.0.0.1:0"))
    held.listen()
    with pytest.raises(AddressTakenError):
        box.serving(listen=f"127.0.0.1:{held.getsockname()[1]}")
    held.close()
    with pytest.raises(PlaintextRefusedError):
        box.serving(listen="0.0.0.0:0")
    box.serving()._socket.close()
    assert box.acts().count("package-opened") == 1


@pytest.mark.parametrize(
    "text",
    [
        "8080",
        "localhost:80",
        "127.0.0.1",
        "127.0.0.1:99999",
        "0177.0.0.1:80",
        "[::1",
        "1:2:3",
    ],
)
def test_what_is_no_address_is_refused_and_no_name_is_resolved(text: str) -> None:
    with pytest.raises(ListenInvalidError):
        listening.parse_listen(text)


@pytest.mark.parametrize("text", ["0.0.0.0:1", "10.0.0.5:1", "[::]:1", "[fd00::5]:1"])
def test_beyond_this_machine_only_with_tls_or_when_it_was_said(text: str) -> None:
    address, _ = listening.parse_listen(text)
    with pytest.raises(PlaintextRefusedError):
        listening.require_encryption(address, tls=False, insecure=False)
    listening.require_encryption(address, tls=True, insecure=False)
    listening.require_encryption(address, tls=False, insecure=True)


def test_an_air_gapped_box_hears_only_listed_addresses(box: Box) -> None:
    add_client(box.box, "a")
    box.box.air_gap = AirGap.of(("192.168.7.0/24",))
    serving = box.serving()
    assert serving._may_come("127.0.0.1")
    assert serving._may_come("192.168.7.9")
    assert not serving._may_come("10.0.0.1")
    serving._socket.close()


def test_a_token_that_can_be_guessed_or_read_by_all_is_refused(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNDISH_SERVE_TOKEN", "secret")
    with pytest.raises(TokenWeakError) as refused:
        clients.tokens_of(box.box, None)
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("TUNDISH_SERVE_TOKEN", "e" * 40)
    file = tmp_path / "tokens"
    file.write_text("f" * 40 + "\n\n" + "g" * 40 + "\n")
    file.chmod(0o644)
    with pytest.raises(TokenWeakError):
        clients.tokens_of(box.box, file)
    file.chmod(0o600)
    assert set(clients.tokens_of(box.box, file)) == {"environment", "file:1", "file:2"}


def test_a_client_has_one_token_and_a_plain_name(box: Box) -> None:
    add_client(box.box, "scada")
    with pytest.raises(ClientNameTakenError):
        add_client(box.box, "scada")
    for name in ("", "a b", "../x", "a\n"):
        with pytest.raises(TundishError):
            add_client(box.box, name)
    with pytest.raises(TundishError):
        remove_client(box.box, "nobody")
    assert [client.name for client in list_clients(box.box)] == ["scada"]
    assert clients.clients_file(box.box).stat().st_mode & 0o777 == 0o600


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A CA, a server and a client under it, and another CA's client, by openssl."""
    folder = tmp_path / "pki"
    folder.mkdir()
    try:
        for ca in ("ca", "other"):
            openssl(
                folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-days", "9", "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem",
            )  # fmt: skip
        for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
            openssl(
                folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                "-keyout", f"{name}.key", "-out", f"{name}.csr",
            )  # fmt: skip
            openssl(
                folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey",
                f"{ca}.key", "-days", "9", "-copy_extensions", "copy", "-out", f"{name}.pem",
            )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("openssl is not installed here")
    return folder


def test_tls_and_certificates_of_clients(box: Box, pki: Path) -> None:
    token = add_client(box.box, "a").reveal()
    trusting = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    known = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    known.load_cert_chain(pki / "client.pem", pki / "client.key")
    stranger = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    stranger.load_cert_chain(pki / "stranger.pem", pki / "stranger.key")
    tls = ["--tls-cert", str(pki / "server.pem"), "--tls-key", str(pki / "server.key")]
    with box.running(*tls) as (_, address):
        assert address.startswith("https://127.0.0.1:")
        assert ask(f"{address}/v2", token, trusting)[0] == 200
        assert ask(f"{address}/v2", "", trusting)[0] == 401
        with pytest.raises((urllib.error.URLError, OSError)):
            ask(address.replace("https", "http") + "/v2", token)
    with box.running(*tls, "--client-ca", str(pki / "ca.pem")) as (_, address):
        assert ask(f"{address}/v2", token, known)[0] == 200
        assert ask(f"{address}/v2", "", known)[0] == 401
        for context in (trusting, stranger):
            with pytest.raises((urllib.error.URLError, OSError)):
                ask(f"{address}/v2", token, context)


def test_files_of_tls_that_do_not_do_are_refused(pki: Path) -> None:
    good = pki / "server.pem", pki / "server.key"
    listening.tls_context(*good, pki / "ca.pem")
    for certificate, key, ca in (
        (good[0], pki / "client.key", None), (good[1], good[1], None),
        (pki / "server.csr", good[1], None), (*good, pki / "client.key"),
    ):  # fmt: skip
        with pytest.raises(TlsUnusableError):
            listening.tls_context(certificate, key, ca)
    openssl(
        pki,
        "ec",
        "-in",
        "server.key",
        "-aes256",
        "-passout",
        "pass:abcd",
        "-out",
        "locked.key",
    )
    with pytest.raises(TlsUnusableError):
        listening.tls_context(good[0], pki / "locked.key", None)
    good[1].chmod(0o644)
    with pytest.raises(TlsUnusableError):
        listening.tls_context(*good, None)
