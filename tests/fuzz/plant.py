"""Targets of what a plant's own CA signs, of keys in tokens, and of deltas."""

from __future__ import annotations

import functools

from tests.fuzz.desk import DEVICE, NOW, OLD, TRUSTED, golden
from tests.fuzz.target import Target, at_file

from tundish.kernel import canonical
from tundish.kernel.errors import TundishError
from tundish.model import delta, layout, package, tarball
from tundish.seal import base64s, chain, crl, model_signature, wrapped
from tundish.seal.chain import Authority, Certified
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DeviceKey
from tundish.seal.signers import Signers
from tundish.seal.token_uri import TokenUri

_SEAL, _MODEL = "tundish.seal.", "tundish.model."


@functools.cache
def _under_ca() -> Signers:
    link = chain.read_authority((OLD / "plant-ca.pem").read_bytes())
    return Signers(keys=(), authorities=(Authority(link=link),))


@functools.cache
def _certified() -> Certified:
    found = package.read(
        OLD / "chain.tar", trusted=_under_ca(), now=NOW, seen=MemoryFreshness()
    ).by[0]
    assert found.chain is not None
    return found.chain


def _chain_bundle(data: bytes) -> None:
    model_signature.verify(data, _under_ca())


def _chain_bundles() -> list[bytes]:
    entries = tarball.read((OLD / "chain.tar").read_bytes())
    return [layout.unpack(entries)[package.SIGNATURE]]


def _certificate(data: bytes) -> None:
    above = _certified().ders[1:]
    try:
        found = chain.verify([data, *above], _under_ca().authorities)
    except TundishError:
        found = chain.verify([*_certified().ders, data], _under_ca().authorities)
    found.fault(NOW)
    assert chain.read_pem(found.to_pem()) == found.ders


def _pem(data: bytes) -> None:
    try:
        chain.read_authority(data)
    except TundishError:
        ders = chain.without_root(chain.read_pem(data))
        chain.lowered(ders, _under_ca().authorities[0].link)


def _crl(data: bytes) -> None:
    found = crl.read(data, _under_ca().authorities)
    found.since(_certified().links[0])
    crl.check_time(found, NOW)


def _token_address(data: bytes) -> None:
    found = TokenUri.parse(data.decode("utf-8", "replace"))
    assert TokenUri.parse(found.to_text()) == found


_ADDRESS = (
    "pkcs11:token=box%20one;object=sign;id=%01%ab?module-path=/usr/lib/softhsm.so"
    "&pin-source=file:/run/pin"
)


def _token_file(data: bytes) -> None:
    path = at_file("key.token", data, 0o600)
    try:
        wrapped.read_named(path)
    except TundishError:
        found = wrapped.read(path)
        found.bound()
        DeviceKey.from_raw(base64s.decode(found.body, what="body"))


def _token_files() -> list[bytes]:
    named = wrapped.NamedKey(token=_ADDRESS, made_inside=True)
    device = wrapped.WrappedDevice(
        device=DEVICE.public.to_text(), token=_ADDRESS, made_inside=False,
        method="aes-gcm", nonce="AAAA", key="", body=base64s.encode(bytes(32)),
    )  # fmt: skip
    return [canonical.dumps(one.to_json()) for one in (named, device)]


@functools.cache
def _base() -> dict[str, bytes]:
    clear = golden("clear.tar")
    return layout.pack({**clear.files, "model.sig": b"{}"}, clear.statement)


@functools.cache
def _step() -> bytes:
    return delta.make(_base(), tarball.read((OLD / "encrypted.tar").read_bytes()))


def _delta(data: bytes) -> None:
    entries = delta.apply(data, _base())
    package.read_layout(entries, trusted=TRUSTED, now=NOW, seen=MemoryFreshness())


def _delta_words(data: bytes) -> None:
    """Put the fuzzer's bytes in place of what a delta says of itself."""
    _delta(tarball.write({**tarball.read(_step()), layout.DELTA: data}))


TARGETS = (
    Target(
        name="chain-bundle", json=True, parse=_chain_bundle, seeds=_chain_bundles,
        doors=(_SEAL + "model_signature:read_chain", _SEAL + "chain:verify"),
    ),
    Target(
        name="x509", parse=_certificate, seeds=lambda: list(_certified().ders), most=8192,
        doors=(_SEAL + "link:read", _SEAL + "chain:verify"),
    ),
    Target(
        name="x509-pem", parse=_pem, most=16_384,
        doors=(_SEAL + "chain:read_pem", _SEAL + "chain:read_authority"),
        seeds=lambda: [(OLD / "plant-ca.pem").read_bytes(), _certified().to_pem()],
    ),
    Target(
        name="crl", parse=_crl, doors=(_SEAL + "crl:read",), most=8192,
        seeds=lambda: [(OLD / "plant-ca.crl").read_bytes()],
    ),
    Target(
        name="token-address", parse=_token_address, most=2000,
        seeds=lambda: [_ADDRESS.encode()],
        doors=(_SEAL + "token_uri:TokenUri.parse",),
    ),
    Target(
        name="token-file", json=True, parse=_token_file, seeds=_token_files,
        doors=(
            _SEAL + "wrapped:read", _SEAL + "wrapped:read_named",
            _SEAL + "keys:DeviceKey.from_raw",
        ),
    ),
    Target(
        name="delta", parse=_delta, seeds=lambda: [_step()],
        doors=(_MODEL + "delta:read", _MODEL + "delta:apply"),
    ),
    Target(
        name="delta-words", json=True, parse=_delta_words, doors=(_MODEL + "delta:apply",),
        seeds=lambda: [tarball.read(_step())[layout.DELTA]],
    ),
)  # fmt: skip
