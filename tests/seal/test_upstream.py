"""Agreement with the upstream OpenSSF model-signing library, in both directions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import RefusedError
from tundish.seal import base64s, foreign, model_signature
from tundish.seal.errors import SignatureMalformedError, SignerUntrustedError
from tundish.seal.keys import SigningKey
from tundish.seal.model_signature import facts_of
from tundish.seal.statement import make_statement

hashing = pytest.importorskip("model_signing.hashing")
signing = pytest.importorskip("model_signing.signing")
verifying = pytest.importorskip("model_signing.verifying")

KEY = SigningKey.generate()
CONTENT = {
    "graph.onnx": b"graph",
    "card.json": b"{}",
    "a.txt": b"first",
    "a/b.txt": b"second",
}
FILES = {name: facts_of(data) for name, data in CONTENT.items()}


def signed() -> bytes:
    statement = make_statement(
        product="C34.27.water-pump",
        version=3,
        not_after="2027-01-01T00:00:00Z",
        created_at="2026-05-04T06:00:00Z",
    )
    return model_signature.sign(FILES, statement, KEY)


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
