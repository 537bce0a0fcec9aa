"""A workspace whose key lies in a token, and a box whose key a token keeps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.flows.conftest import START, build, graph
from tests.softhsm import MODULE, PIN, SPY, SoftHsm, empty, uri, use
from tests.within import holds

import tundish
from tundish.cli import main
from tundish.flows import sign, trust, verify
from tundish.flows import workspace as workspaces
from tundish.flows.certify import CertifyOrder
from tundish.flows.device import AskOrder, ask, init_device
from tundish.flows.grant import Answer, GrantOrder, answer, grant
from tundish.flows.keys import KeyOrders, TokenOrder
from tundish.flows.ledger import list_ledger
from tundish.flows.open_package import open_package, score
from tundish.flows.permit import GrantPermit
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import ManualClock
from tundish.model import foreign
from tundish.model import package as packages
from tundish.model.errors import PackageFileChangedError
from tundish.seal import revocation
from tundish.seal.errors import KeyExposedError, KeyUnreadableError
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import VerifyKey
from tundish.seal.token_errors import (
    TokenAbsentError,
    TokenObjectMissingError,
    TokenOtherKeyError,
    TokenPinMissingError,
    TokenPinWrongError,
)
from tundish.seal.token_uri import TokenUri

pytest.importorskip("pkcs11")

from tundish.seal import token_sign, token_wrap

DAY_S = 86_400.0
WINDOW = np.zeros((1, 2, 1), np.float32)


def at(key: str) -> TokenOrder:
    return TokenOrder(uri=uri(key), new=True)


@dataclass(frozen=True)
class Site:
    """An owner whose signing key, and a box whose device key, a token keeps."""

    owner: Workspace
    box: Workspace
    clock: ManualClock
    package: Path
    digest: str
    grant: Path


@pytest.fixture
def site(hsm: SoftHsm, tmp_path: Path) -> Site:
    now = ManualClock(START)
    orders = KeyOrders(signing=at("maker"))
    owner = workspaces.create(tmp_path / "owner", clock=now, orders=orders)
    package, digest = build(owner, START)
    init_device(tmp_path / "box", clock=now, orders=KeyOrders(device=at("box")))
    box = Workspace(tmp_path / "box", now)
    (tmp_path / "owner.pub").write_bytes(owner.public_pem)
    box.trust(tmp_path / "owner.pub")
    order = GrantOrder(device=box.device_text, purpose="p", valid_s=40 * DAY_S)
    made = grant(owner, package, order, tmp_path / "box.grant")
    return Site(owner, box, now, package, digest, Path(made.file))


def test_all_that_a_workspace_signs_is_signed_by_its_token(
    site: Site, tmp_path: Path
) -> None:
    assert not list((site.owner.root / ".tundish/keys").glob("signing.pem"))
    assert not list((site.box.root / ".tundish/keys").glob("device.pem"))
    opened = open_package(site.box, site.package, site.grant)
    assert score(opened, WINDOW).scores[0].outputs["estimate"] == 0.0
    ask(site.box, AskOrder(what=str(site.package), purpose="p"), tmp_path / "a.txt")
    again = answer(site.owner, site.package, tmp_path / "a.txt", Answer())
    open_package(site.box, site.package, Path(again.file))
    entry = revocation.entry("grant", "grant-0", START, "test")
    listed = trust.revoke(site.owner, [entry])
    trust.take_revocations(site.box, Path(listed.file).read_bytes())
    second = workspaces.create(
        tmp_path / "second", clock=site.clock, orders=KeyOrders(signing=at("second"))
    )
    second.trust(tmp_path / "owner.pub")
    signed = sign.sign(second, site.package, tmp_path / "twice.tar")
    assert len(signed.signers) == 2
    data = tmp_path / "export.csv"
    data.write_text("level\n" + "".join(f"{row % 7}.5\n" for row in range(60)))
    order = CertifyOrder(valid_s=DAY_S, to=tmp_path / "export.cert.json")
    file = Path(tundish.certify(site.owner, str(data), order=order).file)
    found = tundish.verify_certificate(file, str(data), workspace=site.box)
    assert found.proof == "verified"
    acts = [(entry.act, entry.detail) for _, entry in list_ledger(site.owner)]
    assert acts[0][1]["signing_key"] == "token"


def test_a_workspace_hands_over_from_a_file_to_a_token_and_on(
    hsm: SoftHsm, tmp_path: Path
) -> None:
    now = ManualClock(START)
    owner = workspaces.create(tmp_path / "owner", clock=now)
    box = workspaces.create(tmp_path / "box", clock=now)
    (tmp_path / "owner.pub").write_bytes(owner.public_pem)
    box.trust(tmp_path / "owner.pub")
    keys = owner.root / ".tundish/keys"
    first = trust.rotate(owner, token=at("maker"))
    assert first.made_inside
    assert not (keys / "signing.pem").exists()
    assert Path(first.kept).suffix == ".pem"
    second = trust.rotate(
        owner, token=TokenOrder(uri=uri("next"), new=True, curve="P-384")
    )
    assert Path(second.kept).suffix == ".token"
    third = trust.rotate(owner)
    assert not (keys / "signing.token").exists()
    for report in (first, second, third):
        trust.take_rotation(box, Path(report.file))
    package, _ = build(owner, START)
    assert verify.verify(box, package).product


def test_a_copy_of_the_folder_opens_nothing_without_its_token(
    site: Site, hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = shutil.copytree(site.box.root, tmp_path / "copy")
    shutil.copytree(site.owner.root, tmp_path / "copied-owner")

    def tries(refused: type[Exception]) -> None:
        copy = Workspace(thief, site.clock)
        with pytest.raises(refused):
            open_package(copy, site.package, site.grant)
        with pytest.raises(refused):
            Workspace(tmp_path / "copied-owner", site.clock).key.sign(b"forged")

    there = empty(tmp_path / "there")
    use(there, monkeypatch)
    tries(TokenAbsentError)
    there.add("plant")  # another token, with the same label and the same PIN
    there.again()
    tries(TokenObjectMissingError)
    for place, key in ((thief, "device"), (tmp_path / "copied-owner", "signing")):
        file = place / f".tundish/keys/{key}.token"
        named = Workspace(place).key_folder
        held = named.device_in_token or named.signing_in_token
        assert held is not None
        make_same_key(held.token, signs=key == "signing")
        assert file.is_file()
    tries(TokenOtherKeyError)
    use(hsm, monkeypatch)
    monkeypatch.setenv("TUNDISH_PIN", "guessed")
    tries(TokenPinWrongError)
    monkeypatch.delenv("TUNDISH_PIN")
    tries(TokenPinMissingError)
    acts = [(e.act, e.code) for _, e in list_ledger(Workspace(thief)) if e.code]
    assert ("grant-opened", "token-pin-wrong") in acts
    assert ("grant-opened", "token-other-key") in acts
    assert Workspace(thief).device_text == site.box.device_text  # no secret


def make_same_key(address: str, *, signs: bool) -> None:
    """Make a key of the same name and id in the token that is there now."""
    named = TokenUri.parse(address)
    if signs:
        token_sign.make(named)
    else:
        token_wrap.make(named)


def test_a_line_goes_on_without_its_token_and_the_next_start_is_refused(
    site: Site, hsm: SoftHsm, tmp_path: Path
) -> None:
    running = open_package(site.box, site.package, site.grant)
    permit = GrantPermit(site.box, running, site.grant)
    hsm.pull(tmp_path / "pulled")
    hsm.again()
    assert score(running, WINDOW).scores[0].outputs["estimate"] == 0.0
    assert not permit.look().over
    box = Workspace(site.box.root, site.clock)
    with pytest.raises(TokenAbsentError):
        open_package(box, site.package, site.grant)
    with pytest.raises(TokenAbsentError):
        Workspace(site.owner.root, site.clock).key.sign(b"no token")
    hsm.put_back(tmp_path / "pulled")
    hsm.again()
    order = GrantOrder(device=box.device_text, purpose="p", valid_s=60 * DAY_S)
    grant(site.owner, site.package, order, site.grant)
    hsm.pull(tmp_path / "pulled")
    hsm.again()
    assert permit.look().note.startswith("The grant now ends at")  # key in memory
    assert permit.look().ends_at == START + timedelta(days=60)


def test_nothing_is_made_where_a_token_refuses(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "desk"
    missing = KeyOrders(signing=TokenOrder(uri=uri("maker")))
    with pytest.raises(TokenObjectMissingError):
        workspaces.create(root, orders=missing)
    hsm.again()
    monkeypatch.setenv("TUNDISH_PIN", "guessed")
    with pytest.raises(TokenPinWrongError):
        init_device(root, orders=KeyOrders(device=at("box")))
    assert not root.exists()


def test_a_person_is_asked_for_the_pin_once(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNDISH_PIN")
    asked: list[str] = []

    def person(token: str) -> str:
        asked.append(token)
        return PIN

    for number, orders in enumerate(
        (
            KeyOrders(device=at("box"), ask=person),
            KeyOrders(signing=at("maker"), ask=person),
        )
    ):
        hsm.again()
        init_device(tmp_path / str(number), orders=orders)
        assert asked == ["plant"] * (number + 1)
    hsm.again()
    box = Workspace(tmp_path / "0", ask_pin=person)
    assert box.device.public.to_text() == box.device_text
    owner = Workspace(tmp_path / "1", ask_pin=person)
    owner.key.sign(b"one")
    owner.key.sign(b"two")
    assert asked == ["plant"] * 4


def test_a_damaged_or_exposed_file_of_a_token_key_is_refused(site: Site) -> None:
    for place, name in ((site.owner, "signing"), (site.box, "device")):
        file = place.root / f".tundish/keys/{name}.token"
        whole = file.read_bytes()
        file.chmod(0o644)
        with pytest.raises(KeyExposedError):
            _ = Workspace(place.root).key, Workspace(place.root).device
        file.chmod(0o600)
        for data in (
            b"",
            whole[:-2],
            b"{}",
            whole.replace(b'"version":1', b'"version":2'),
        ):
            file.write_bytes(data)
            with pytest.raises(KeyUnreadableError):
                _ = Workspace(place.root).key, Workspace(place.root).device
        file.write_bytes(whole)


def test_the_pin_stands_nowhere_in_the_workspaces(site: Site, hsm: SoftHsm) -> None:
    open_package(site.box, site.package, site.grant)
    for root in (site.owner.root, site.box.root, hsm.folder):
        for path in root.rglob("*"):
            assert not path.is_file() or not holds(path, PIN.encode()), path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


@pytest.mark.integration
def test_upstream_accepts_a_package_that_a_token_signed(
    site: Site, tmp_path: Path
) -> None:
    pytest.importorskip("model_signing")
    place, public = tmp_path / "p", tmp_path / "owner.pub"
    found = packages.read(
        site.package,
        trusted=[VerifyKey.load(public)],
        now=site.clock.now(),
        seen=MemoryFreshness(),
    )
    packages.write_folder(found, place)
    words = ["model_signing", "verify", "key", str(place)]
    words += ["--signature", str(place / "model.sig"), "--public_key", str(public)]
    words += ["--ignore-paths", str(place / "model.sig")]
    words += ["--ignore-paths", str(place / "signatures")]
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.integration
def test_what_upstream_signs_with_the_same_token_comes_in(
    site: Site, tmp_path: Path
) -> None:
    pytest.importorskip("model_signing")
    pytest.importorskip("PyKCS11")
    model, pin = tmp_path / "model", tmp_path / "pin"
    model.mkdir()
    (model / "weights.onnx").write_bytes(graph())
    pin.write_text(PIN)
    pin.chmod(0o600)
    words = ["model_signing", "sign", "pkcs11-key", str(model)]
    words += ["--signature", str(model / "model.sig")]
    words += ["--pkcs11_uri", uri("maker", more=f"&pin-source=file:{pin}")]
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    key = VerifyKey.load(tmp_path / "owner.pub")
    found = foreign.import_folder(model, trusted=[key])
    assert found.signer == site.owner.key_id
    assert found.files == {"weights.onnx": graph()}
    (model / "weights.onnx").write_bytes(graph() + b"\0")
    with pytest.raises(PackageFileChangedError):
        foreign.import_folder(model, trusted=[key])


@pytest.mark.integration
def test_a_command_gives_a_wrong_pin_to_the_token_once(
    hsm: SoftHsm, tmp_path: Path
) -> None:
    """OpenSC's spy stands between Tundish and the token and writes down each call."""
    if not SPY.exists():
        pytest.skip("OpenSC's spy is not installed here (Debian: opensc)")
    root, calls = tmp_path / "desk", tmp_path / "calls"
    spied = uri("maker").replace(str(MODULE), str(SPY))
    environment = os.environ | {
        "PKCS11SPY": str(MODULE),
        "PKCS11SPY_OUTPUT": str(calls),
    }

    def logins(pin: str, *words: str) -> tuple[int, int, str]:
        calls.write_text("")
        done = subprocess.run(
            command("tundish", *words),
            capture_output=True, text=True, check=False,
            env=environment | {"TUNDISH_PIN": pin},
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert pin not in said
        return done.returncode, calls.read_text().count(": C_Login\n"), said

    assert logins(PIN, "init", str(root), "--token", spied, "--new")[:2] == (0, 1)
    revoke = ("revoke", "--grant", "grant-0", "-w", str(root))
    assert logins(PIN, *revoke)[:2] == (0, 1)
    code, count, said = logins("guessed", *revoke)
    assert (code, count) == (3, 1)
    assert "[token-pin-wrong]" in said


def test_the_commands_keep_keys_in_a_token(
    hsm: SoftHsm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk, box = str(tmp_path / "desk"), str(tmp_path / "box")
    for words in (
        ["init", desk, "--token", uri("maker"), "--new"],
        ["key", "-w", desk],
        ["key", "-w", desk, "--token", uri("next"), "--new", "--curve", "P-384"],
        ["device", "init", box, "--token", uri("box"), "--new"],
        ["device", "-w", box],
    ):
        assert main.status(words) == 0, words
    said = capsys.readouterr().out
    assert "key kept by a token, aes-gcm" in " ".join(said.split())
    assert "copies may exist" not in said
    assert main.status(["init", str(tmp_path / "x"), "--new"]) == 2
    wrong = uri("maker", more="&pin-value=4711")
    assert main.status(["init", str(tmp_path / "x"), "--token", wrong]) == 2
    told = capsys.readouterr().err
    assert "[token-uri]" in told
    assert "4711" not in told


def test_a_token_that_fails_while_it_signs_leaves_no_half_made_package(
    site: Site, hsm: SoftHsm, tmp_path: Path
) -> None:
    hsm.pull(tmp_path / "pulled")
    place = tmp_path / "twice.tar"
    before = len(list_ledger(site.owner))
    with pytest.raises(TokenAbsentError):
        trust.revoke(site.owner, [revocation.entry("grant", "grant-0", START, "")])
    assert not place.exists()
    assert len(list_ledger(site.owner)) == before
    assert not (site.owner.packages / "owner-1.revocations").exists()
