"""Laws of further signatures: the same statement, verified bytes, an unchanged digest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tundish.kernel.errors import RefusedError
from tundish.model import making, package
from tundish.model.errors import (
    PackageFileExtraError,
    PackageMalformedError,
    SignedAlreadyError,
)
from tundish.model.package import Package
from tundish.seal import grant as grants
from tundish.seal import model_signature
from tundish.seal.errors import (
    PolicyUnmetError,
    SignatureMalformedError,
    SignatureOtherPackageError,
    SignerUntrustedError,
)
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DeviceKey, SigningKey
from tundish.seal.signers import Signers

Desk = Any  # the class lives in conftest, which cannot be imported
SECOND, THIRD = SigningKey.generate(), SigningKey.generate()


@pytest.fixture(scope="module")
def one(desk: Desk) -> Package:
    built: Package = desk.build()
    return built


@pytest.fixture(scope="module")
def made(one: Package) -> Package:
    return making.sign_further(making.sign_further(one, SECOND), THIRD)


def signers(desk: Desk) -> Signers:
    return Signers(keys=(desk.key.public, SECOND.public), seconds=(THIRD.public,))


def check(files: Mapping[str, bytes], desk: Desk, now: datetime) -> Package:
    return package.verify(files, trusted=signers(desk), now=now, seen=MemoryFreshness())


def test_further_signatures_travel_in_folder_and_tar(
    made: Package, desk: Desk, now: datetime, tmp_path: Path
) -> None:
    package.write_folder(made, tmp_path / "p")
    package.write_tar(made, tmp_path / "p.tar")
    for path in (tmp_path / "p", tmp_path / "p.tar"):
        found = package.read(
            path, trusted=signers(desk), now=now, seen=MemoryFreshness()
        )
        assert found.further == made.further
        assert found.by[0].key == desk.key.public
        assert {by.key: by.alone for by in found.by} == {
            desk.key.public: True,
            SECOND.public: True,
            THIRD.public: False,
        }
        assert package.to_tar(found) == (tmp_path / "p.tar").read_bytes()


def test_the_digest_stays_and_so_do_grants(
    one: Package, made: Package, desk: Desk, now: datetime
) -> None:
    assert made.digest == one.digest
    device = DeviceKey.generate()
    terms = grants.make_terms(
        purpose="line", not_before=now, not_after=now.replace(year=now.year + 1)
    )
    data = grants.issue(
        package=one.digest,
        identity=desk.identity,
        device=device.public,
        terms=terms,
        key=desk.key,
        now=now,
    )
    opened = grants.open_grant(
        data,
        device=device,
        trusted=[desk.key.public],
        package=made.digest,
        now=now,
        seen=MemoryFreshness(),
    )
    assert package.graph_bytes(made, opened.identity) == desk.graph


def test_no_changed_byte_of_a_further_signature_verifies(
    made: Package, desk: Desk, now: datetime
) -> None:
    for name, body in made.further.items():
        for at in range(len(body)):
            changed = bytearray(body)
            changed[at] ^= 1 << (at % 8)
            with pytest.raises(RefusedError):
                check({**made.everything, name: bytes(changed)}, desk, now)


def test_no_changed_byte_of_the_tar_around_one_verifies(
    made: Package, desk: Desk, now: datetime
) -> None:
    data = package.to_tar(made)
    for at in range(0, len(data), 7):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(RefusedError):
            package.read_tar(
                bytes(changed), trusted=signers(desk), now=now, seen=MemoryFreshness()
            )


def test_a_signature_over_another_package_does_not_count(
    made: Package, desk: Desk, now: datetime
) -> None:
    other = making.sign_further(desk.build(version=2), SECOND)
    name = model_signature.further_name(SECOND.public)
    files = {**made.everything, name: other.further[name]}
    with pytest.raises(SignatureOtherPackageError):
        check(files, desk, now)


def test_a_signature_has_the_name_of_its_key(
    made: Package, desk: Desk, now: datetime
) -> None:
    names = sorted(made.further)
    swapped = {names[0]: made.further[names[1]], names[1]: made.further[names[0]]}
    with pytest.raises(SignatureMalformedError, match="named after its key"):
        check({**made.everything, **swapped}, desk, now)


def test_a_signature_of_nobody_known_here_is_refused(
    one: Package, desk: Desk, now: datetime
) -> None:
    stranger = making.sign_further(one, SigningKey.generate())
    with pytest.raises(SignerUntrustedError):
        check(stranger.everything, desk, now)


def test_a_key_known_beside_others_only_cannot_stand_alone(
    desk: Desk, now: datetime
) -> None:
    with pytest.raises(SignerUntrustedError):
        check(desk.build(key=THIRD).everything, desk, now)


def test_one_key_signs_once(made: Package, desk: Desk, now: datetime) -> None:
    for key in (desk.key, SECOND):
        with pytest.raises(SignedAlreadyError):
            making.sign_further(made, key)
    name = model_signature.further_name(desk.key.public)
    with pytest.raises(PackageFileExtraError, match="twice"):
        check({**made.everything, name: made.signature}, desk, now)


@pytest.mark.parametrize(
    "name", ["signatures/x.sig", "signatures/a/b.sig", "signatures/" + "G" * 64]
)
def test_nothing_else_may_lie_among_the_signatures(
    made: Package, desk: Desk, now: datetime, name: str
) -> None:
    with pytest.raises(PackageFileExtraError):
        check({**made.everything, name: b"{}"}, desk, now)


def test_a_removed_signature_leaves_a_package_for_the_policy_to_judge(
    made: Package, one: Package, desk: Desk, now: datetime
) -> None:
    def two_needed(found: Package) -> None:
        if len(found.by) < 2:
            msg = "The package lacks a signature."
            raise PolicyUnmetError(msg)

    seen = MemoryFreshness()

    def read(found: Package) -> Package:
        return package.verify(
            found.everything,
            trusted=signers(desk),
            now=now,
            seen=seen,
            admit=two_needed,
        )

    read(making.sign_further(desk.build(version=9), SECOND))
    with pytest.raises(PolicyUnmetError):
        read(desk.build(version=99))
    read(making.sign_further(desk.build(version=10), SECOND))  # 99 left no trace


def test_a_tar_whose_signature_was_dropped_from_the_layout_is_refused(
    made: Package, desk: Desk, now: datetime
) -> None:
    entries = package.to_layout(made)
    for name in entries:
        rest = {key: value for key, value in entries.items() if key != name}
        with pytest.raises(PackageMalformedError):
            package.read_layout(
                rest, trusted=signers(desk), now=now, seen=MemoryFreshness()
            )


@pytest.mark.integration
def test_upstream_accepts_each_signature_by_its_key(
    made: Package, desk: Desk, tmp_path: Path
) -> None:
    pytest.importorskip("model_signing")
    place = tmp_path / "p"
    package.write_folder(made, place)
    for name, key in (
        (package.SIGNATURE, desk.key),
        (model_signature.further_name(SECOND.public), SECOND),
    ):
        public = tmp_path / "key.pub"
        public.write_bytes(key.public.to_pem())
        command = [sys.executable, "-m", "model_signing", "verify", "key", str(place)]
        command += ["--signature", str(place / name), "--public_key", str(public)]
        command += ["--ignore-paths", str(place / "signatures")]
        command += ["--ignore-paths", str(place / "model.sig")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
