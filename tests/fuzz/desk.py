"""What the targets of sealed things share: fixed keys, and one of each made with them.

The keys are made from numbers that stand here, so that a kept corpus stays valid. They
sign and open nothing but what the fuzzer makes.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from tundish.kernel import canonical
from tundish.kernel.digest import Digest
from tundish.model import package
from tundish.model.package import Package
from tundish.seal import base64s, dsse, envelope
from tundish.seal.envelope import Identity
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import CheckpointKey, DeviceKey, SigningKey, VerifyKey
from tundish.seal.secret import SecretText

OLD = Path(__file__).parents[1] / "golden/v0.1"
NOW = datetime(2026, 5, 4, 7, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)

KEY = SigningKey(ec.derive_private_key(0x7E57_0000_0001, ec.SECP256R1()))
SECOND = SigningKey(ec.derive_private_key(0x7E57_0000_0002, ec.SECP384R1()))
DEVICE = DeviceKey(
    x25519.X25519PrivateKey.from_private_bytes(b"TEST-ONLY DEVICE".ljust(32))
)
NOTARY = CheckpointKey(
    ed25519.Ed25519PrivateKey.from_private_bytes(b"TEST-ONLY NOTARY".ljust(32))
)
IDENTITY: Identity = envelope.identity_from_secret(
    SecretText(
        "AGE-SECRET-KEY-198TYG3RWKJSRN46J98PDPMY07VRKCV83GG34C9FCUKSKKL48C36SQ734FF"
    )
)
OWNER = VerifyKey.load(OLD / "owner.pub")
TRUSTED = [KEY.public, OWNER, SECOND.public]
PACKAGE = Digest("sha256:" + "7e" * 32)


@functools.cache
def golden(name: str) -> Package:
    """Return a package of the golden files."""
    return package.read(OLD / name, trusted=TRUSTED, now=NOW, seen=MemoryFreshness())


def signed(kind: str, payload: bytes) -> bytes:
    """Return foreign bytes under the signature of a trusted key."""
    return dsse.sign(kind, payload, KEY)


def payload_of(envelope_bytes: bytes) -> bytes:
    """Return what lies under a signature."""
    value = canonical.loads(envelope_bytes)
    assert isinstance(value, dict)
    return base64s.decode(value["payload"], what="payload")
