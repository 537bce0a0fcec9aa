"""Models that upstream model-signing signed come in by import, and only so."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.model.conftest import small_graph

from tundish.model import foreign, package
from tundish.model.errors import (
    PackageFileChangedError,
    PackageFileExtraError,
    PackageFileMissingError,
    PackageUnsignedError,
)
from tundish.seal.errors import SignatureMalformedError, SignerUntrustedError
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import SigningKey

hashing = pytest.importorskip("model_signing.hashing")
signing = pytest.importorskip("model_signing.signing")
verifying = pytest.importorskip("model_signing.verifying")

Desk = Any
KEY = SigningKey.generate()
CONTENT = {"weights.onnx": small_graph(), "sub/notes.md": b"# notes"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    for name, data in CONTENT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    KEY.save(tmp_path / "key.pem")
    signer = signing.Config().use_elliptic_key_signer(private_key=tmp_path / "key.pem")
    signer.set_hashing_config(
        hashing.Config().set_ignored_paths(paths=["model.sig"], ignore_git_paths=True)
    ).sign(folder, folder / "model.sig")
    return folder


def test_what_upstream_signed_comes_in(model: Path) -> None:
    found = foreign.import_folder(model, trusted=[KEY.public])
    assert found.files == CONTENT
    assert found.signer == KEY.public.key_id


def test_what_was_changed_added_or_taken_away_is_refused(model: Path) -> None:
    path = model / "weights.onnx"
    path.write_bytes(small_graph(bias=0.75))
    with pytest.raises(PackageFileChangedError):
        foreign.import_folder(model, trusted=[KEY.public])
    path.unlink()
    with pytest.raises(PackageFileMissingError):
        foreign.import_folder(model, trusted=[KEY.public])
    path.write_bytes(CONTENT["weights.onnx"])
    (model / ".gitignore").write_bytes(b"upstream does not look at this file")
    with pytest.raises(PackageFileExtraError):
        foreign.import_folder(model, trusted=[KEY.public])
    (model / ".gitignore").unlink()
    with pytest.raises(SignerUntrustedError):
        foreign.import_folder(model, trusted=[])
    (model / "model.sig").unlink()
    with pytest.raises(PackageUnsignedError):
        foreign.import_folder(model, trusted=[KEY.public])


def test_a_foreign_model_is_no_package(model: Path, now: datetime) -> None:
    (model / "sub" / "notes.md").rename(model / "notes.md")
    (model / "sub").rmdir()
    with pytest.raises(SignatureMalformedError):
        package.read(model, trusted=[KEY.public], now=now, seen=MemoryFreshness())


def test_upstream_verifies_our_package_folder(desk: Desk, tmp_path: Path) -> None:
    package.write_folder(desk.build(), tmp_path / "p")
    (tmp_path / "key.pub").write_bytes(desk.key.public.to_pem())
    config = verifying.Config().use_elliptic_key_verifier(
        public_key=tmp_path / "key.pub"
    )
    config.verify(tmp_path / "p", tmp_path / "p" / "model.sig")
