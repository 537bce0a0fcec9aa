"""Agreement with the upstream OpenSSF model-signing library, in both directions."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests import ca

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import RefusedError
from tundish.seal import base64s, foreign, model_signature
from tundish.seal.errors import (
    ChainBrokenError,
    ChainUnfitError,
    KeyExpiredError,
    KeyNotYetError,
    SignatureMalformedError,
    SignerUntrustedError,
)
from tundish.seal.keys import SigningKey
from tundish.seal.model_signature import facts_of
from tundish.seal.signers import Signers
from tundish.seal.statement import make_statement

hashing = pytest.importorskip("model_signing.hashing")
signing = pytest.importorskip("model_signing.signing")
crypto = pytest.importorskip("OpenSSL.crypto")
verifying = pytest.importorskip("model_signing.verifying")

KEY = SigningKey.generate()
CONTENT = {
    "graph.onnx": b"graph",
    "card.json": b"{}",
    "a.txt": b"first",
    "a/b.txt": b"second",
}
FILES = {name: facts_of(data) for name, data in CONTENT.items()}


STATEMENT = make_statement(
    product="C34.27.water-pump",
    version=3,
    not_after="2027-01-01T00:00:00Z",
    created_at="2026-05-04T06:00:00Z",
)


def signed() -> bytes:
    return model_signature.sign(FILES, STATEMENT, KEY)


def write(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model", CONTENT)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    KEY.save(private)
    public.write_bytes(KEY.public.to_pem())
    return private, public


def test_upstream_accepts_our_signature(model: Path, keys: tuple[Path, Path]) -> None:
    (model / "model.sig").write_bytes(signed())
    write(model, {"signatures/second.sig": b"another"})
    config = verifying.Config().use_elliptic_key_verifier(public_key=keys[1])
    config.verify(model, model / "model.sig")
    (model / "a.txt").write_bytes(b"changed")
    config = verifying.Config().use_elliptic_key_verifier(public_key=keys[1])
    with pytest.raises(ValueError, match="mismatch"):
        config.verify(model, model / "model.sig")


@pytest.mark.integration
def test_the_upstream_command_accepts_our_signature(
    model: Path, keys: tuple[Path, Path]
) -> None:
    (model / "model.sig").write_bytes(signed())
    write(model, {"signatures/second.sig": b"another"})
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(model)]
    command += ["--signature", str(model / "model.sig"), "--public_key", str(keys[1])]
    environment = {"HOME": str(model.parent), "PATH": os.defpath}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def upstream_bundle(model: Path, keys: tuple[Path, Path]) -> bytes:
    hashed = hashing.Config().set_ignored_paths(
        paths=["model.sig", "signatures"], ignore_git_paths=False
    )
    signer = signing.Config().use_elliptic_key_signer(private_key=keys[0])
    signer.set_hashing_config(hashed).sign(model, model / "model.sig")
    data: bytes = (model / "model.sig").read_bytes()
    return data


def test_we_accept_what_upstream_signed_by_import_only(upstream_bundle: bytes) -> None:
    found = foreign.verify(upstream_bundle, [KEY.public])
    assert found.files == {name: facts.sha256 for name, facts in FILES.items()}
    assert set(found.ignored) == {"model.sig", "signatures"}
    assert found.name == "model"
    with pytest.raises(SignatureMalformedError):
        model_signature.verify(upstream_bundle, [KEY.public])


ROOT = ca.root()
MIDDLE = ROOT.below()
NOW = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def chain_files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The signer's X.509 certificate, the CA's in between, and the root's."""
    leaf = MIDDLE.issue(ca.public(KEY))
    made = ((leaf, "leaf"), (MIDDLE.certificate, "middle"), (ROOT.certificate, "root"))
    for certificate, name in made:
        (tmp_path / f"{name}.pem").write_bytes(ca.pem(certificate))
    return tmp_path / "leaf.pem", tmp_path / "middle.pem", tmp_path / "root.pem"


def test_upstream_accepts_our_signature_under_a_chain(
    model: Path, chain_files: tuple[Path, Path, Path]
) -> None:
    bundle = model_signature.sign(FILES, STATEMENT, KEY, MIDDLE.chain(KEY, ROOT))
    (model / "model.sig").write_bytes(bundle)
    write(model, {"signatures/second.sig": b"another"})

    def verify(root: Path) -> None:
        config = verifying.Config().use_certificate_verifier(certificate_chain=[root])
        config.verify(model, model / "model.sig")

    verify(chain_files[2])
    other = model.parent / "other.pem"
    other.write_bytes(ca.root().pem)
    with pytest.raises(crypto.X509StoreContextError):
        verify(other)
    (model / "a.txt").write_bytes(b"changed")
    with pytest.raises(ValueError, match="mismatch"):
        verify(chain_files[2])


@pytest.mark.integration
def test_the_upstream_command_accepts_our_signature_under_a_chain(
    model: Path, chain_files: tuple[Path, Path, Path]
) -> None:
    bundle = model_signature.sign(FILES, STATEMENT, KEY, MIDDLE.chain(KEY, ROOT))
    (model / "model.sig").write_bytes(bundle)
    command = [sys.executable, "-m", "model_signing", "verify", "certificate"]
    command += [str(model), "--signature", str(model / "model.sig")]
    command += ["--certificate_chain", str(chain_files[2])]
    environment = {"HOME": str(model.parent), "PATH": os.defpath}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("with_root", [False, True])
def test_we_accept_what_upstream_signed_under_a_chain_by_import_only(
    model: Path,
    keys: tuple[Path, Path],
    chain_files: tuple[Path, Path, Path],
    with_root: bool,
) -> None:
    hashed = hashing.Config().set_ignored_paths(
        paths=["model.sig", "signatures"], ignore_git_paths=False
    )
    signer = signing.Config().use_certificate_signer(
        private_key=keys[0],
        signing_certificate=chain_files[0],
        certificate_chain=chain_files[1 : 3 if with_root else 2],
    )
    signer.set_hashing_config(hashed).sign(model, model / "model.sig")
    bundle = (model / "model.sig").read_bytes()
    trusted = Signers(keys=(), authorities=(ROOT.authority,))
    found = foreign.verify(bundle, trusted, NOW)
    assert found.signer == KEY.public.key_id
    assert found.files == {name: facts.sha256 for name, facts in FILES.items()}
    with pytest.raises(SignatureMalformedError):
        model_signature.verify(bundle, trusted)
    for now, refusal in (
        (datetime(2026, 4, 30, tzinfo=UTC), KeyNotYetError),
        (datetime(2027, 5, 2, tzinfo=UTC), KeyExpiredError),
        (None, SignerUntrustedError),
    ):
        with pytest.raises(refusal):
            foreign.verify(bundle, trusted, now)
    with pytest.raises(SignerUntrustedError):
        foreign.verify(bundle, [KEY.public], NOW)
    impostor = Signers(keys=(), authorities=(ca.root().authority,))
    with pytest.raises(ChainBrokenError):  # a CA of the same name
        foreign.verify(bundle, impostor, NOW)


def test_upstream_never_asks_for_the_end_nor_for_the_purpose(
    model: Path, keys: tuple[Path, Path], chain_files: tuple[Path, Path, Path]
) -> None:
    """What Tundish asks for beyond upstream; if upstream asks too, say so in the docs."""
    old = datetime(2020, 1, 1, tzinfo=UTC)
    root = ca.root("CN=Old Root", start=old)
    usage_only: ca.Extensions = [(ca.usage(digital_signature=True), True)]
    leaf = root.issue(ca.public(KEY), extensions=usage_only, start=old, days=30)
    signing_file, root_file = model.parent / "old.pem", model.parent / "oldroot.pem"
    signing_file.write_bytes(ca.pem(leaf))
    root_file.write_bytes(root.pem)
    signer = signing.Config().use_certificate_signer(
        private_key=keys[0],
        signing_certificate=signing_file,
        certificate_chain=[root_file],
    )
    hashed = hashing.Config().set_ignored_paths(
        paths=["model.sig", "signatures"], ignore_git_paths=False
    )
    signer.set_hashing_config(hashed).sign(model, model / "model.sig")
    config = verifying.Config().use_certificate_verifier(certificate_chain=[root_file])
    config.verify(model, model / "model.sig")
    trusted = Signers(keys=(), authorities=(root.authority,))
    with pytest.raises(ChainUnfitError, match="codeSigning"):
        foreign.verify((model / "model.sig").read_bytes(), trusted, NOW)


def test_a_foreign_bundle_that_was_changed_is_refused(upstream_bundle: bytes) -> None:
    value = canonical.loads(upstream_bundle)
    assert isinstance(value, dict)
    envelope = value["dsseEnvelope"]
    assert isinstance(envelope, dict)
    payload = base64s.decode(envelope["payload"], what="payload")
    assert isinstance(envelope["payload"], str)
    wrong: list[dict[str, Json]] = [
        {**value, "mediaType": "other"},
        {**value, "verificationMaterial": {}},
        {**value, "dsseEnvelope": 5},
        {
            **value,
            "dsseEnvelope": {
                **envelope,
                "payload": base64s.encode(payload.replace(b"a.txt", b"b.txt")),
            },
        },
        {**value, "dsseEnvelope": {**envelope, "payloadType": "x"}},
        {**value, "dsseEnvelope": {**envelope, "signatures": []}},
    ]
    for item in wrong:
        with pytest.raises(RefusedError):
            foreign.verify(canonical.dumps(item), [KEY.public])
    with pytest.raises(SignatureMalformedError):
        foreign.verify(b"no json", [KEY.public])
    with pytest.raises(SignerUntrustedError):
        foreign.verify(upstream_bundle, [])
