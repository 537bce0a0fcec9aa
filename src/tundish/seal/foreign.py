"""Signatures that another tool made, read by explicit import only.

Upstream's JSON has white space and its ECDSA signatures come in two forms, so two
different files can say the same. That is tolerated here and nowhere else: what is
imported gets a Tundish signature of its own before it may run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from tundish.kernel import canonical, digest, paths
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest
from tundish.kernel.errors import DocumentMalformedError
from tundish.seal import base64s, chain, dsse
from tundish.seal.errors import SignatureMalformedError, SignerUntrustedError
from tundish.seal.keys import VerifyKey
from tundish.seal.model_signature import (
    BUNDLE_TYPE,
    MAX_FILES,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    read_chain,
)
from tundish.seal.signers import Signers, Trusted


@dataclass(frozen=True, kw_only=True)
class ForeignManifest:
    """What another tool signed.

    Attributes:
        name: The model's name as its signer gave it; informative only.
        files: Hex SHA-256 of each file.
        ignored: Top-level names its signer left out of the signature.
        digest: Digest of the signed statement.
        signer: Id of the trusted key that signed.
    """

    name: str
    files: dict[str, str]
    ignored: tuple[str, ...]
    digest: Digest
    signer: Digest


def verify(
    bundle: bytes, trusted: Trusted, now: datetime | None = None
) -> ForeignManifest:
    """Return what an OpenSSF model-signing bundle of another tool says.

    Accepted: bundle v0.3, signing with a P-256 or P-384 key or under a chain of X.509
    certificates, predicate v1.0, method ``files`` with SHA-256 and without symbolic
    links.

    Args:
        bundle: Untrusted bytes.
        trusted: Keys and CAs whose signatures count.
        now: This machine's time; a chain is refused without it.

    Raises:
        SignatureMalformedError: if the bundle is of another kind, or inconsistent.
        SignerUntrustedError: if no trusted key or CA fits the bundle.
        ChainMalformedError, ChainUnfitError, ChainBrokenError, KeyExpiredError,
        KeyNotYetError: if its chain does not hold now.
        SignatureInvalidError: if the signature does not fit.
    """
    outer = _object(_parse(bundle))
    envelope = _object(outer.get("dsseEnvelope"))
    material = _object(outer.get("verificationMaterial"))
    if outer.get("mediaType") != BUNDLE_TYPE:
        msg = f"A foreign signature is no bundle of the type {BUNDLE_TYPE}."
        raise SignatureMalformedError(msg)
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        msg = "A foreign signature has no in-toto statement in it."
        raise SignatureMalformedError(msg)
    payload = base64s.decode(envelope.get("payload"), what="foreign payload")
    line = _object(dsse.only_item(envelope.get("signatures")))
    signature = base64s.decode(line.get("sig"), what="foreign signature")
    key = _signer(material, Signers.of(trusted), now)
    key.verify_foreign(dsse.encode_for_signing(PAYLOAD_TYPE, payload), signature)
    return _read_statement(payload, key.key_id)


def _signer(
    material: dict[str, Json], signers: Signers, now: datetime | None
) -> VerifyKey:
    if "x509CertificateChain" in material:
        return _certified(material["x509CertificateChain"], signers, now)
    hint = _object(material.get("publicKey")).get("hint")
    key = next((key for key in signers.keys if key.hint == hint), None)
    if key is None:
        msg = "A foreign model is signed by a key that is not trusted here."
        raise SignerUntrustedError(msg)
    return key


def _certified(value: Json, signers: Signers, now: datetime | None) -> VerifyKey:
    """Return the key of a chain that holds now; upstream may put the root into it."""
    ders = chain.without_root(read_chain(value))
    found = chain.verify(ders, signers.authorities, exact=False)
    if now is None:
        msg = "A foreign model is signed under a chain, and no time was given to judge it."
        raise SignerUntrustedError(msg)
    fault = found.fault(now)
    if fault is not None:
        raise fault[0]
    return found.key


def _read_statement(payload: bytes, signer: Digest) -> ForeignManifest:
    statement = _object(_parse(payload))
    predicate = _object(statement.get("predicate"))
    kinds = (statement.get("_type"), statement.get("predicateType"))
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
        msg = f"A foreign signature is not of the kind {PREDICATE_TYPE}."
        raise SignatureMalformedError(msg)
    subject = _object(dsse.only_item(statement.get("subject")))
    files = _read_files(predicate.get("resources"))
    whole = hashlib.sha256(b"".join(bytes.fromhex(item) for item in files.values()))
    if _object(subject.get("digest")).get("sha256") != whole.hexdigest():
        msg = "A foreign signature's digests do not add up to its subject."
        raise SignatureMalformedError(msg)
    return ForeignManifest(
        name=str(subject.get("name", ""))[:200],
        files=files,
        ignored=_ignored(_object(predicate.get("serialization"))),
        digest=digest.of_bytes(payload),
        signer=signer,
    )


def _read_files(resources: Json) -> dict[str, str]:
    found: dict[str, str] = {}
    if not isinstance(resources, list) or not 1 <= len(resources) <= MAX_FILES:
        msg = "A foreign signature lists no files, or too many."
        raise SignatureMalformedError(msg)
    for item in resources:
        facts = _object(item)
        name, value = facts.get("name"), facts.get("digest")
        if not isinstance(name, str) or not isinstance(value, str) or name in found:
            msg = "A foreign signature lists a file without name or digest, or twice."
            raise SignatureMalformedError(msg)
        paths.check_name(name)
        if facts.get("algorithm") != "sha256" or not digest.is_digest(
            f"sha256:{value}"
        ):
            msg = f"A foreign signature's digest of {name!r} is no SHA-256."
            raise SignatureMalformedError(msg)
        found[name] = value
    return found


def _ignored(serialization: dict[str, Json]) -> tuple[str, ...]:
    kind = (serialization.get("method"), serialization.get("hash_type"))
    if kind != ("files", "sha256") or serialization.get("allow_symlinks") is not False:
        msg = "A foreign signature allows symbolic links or is not one by files."
        raise SignatureMalformedError(msg)
    names = serialization.get("ignore_paths", [])
    if not isinstance(names, list):
        msg = "A foreign signature's list of ignored paths is no list."
        raise SignatureMalformedError(msg)
    return tuple(paths.check_name(str(name)) for name in names)


def _parse(data: bytes) -> Json:
    try:
        return canonical.loads(data, max_bytes=dsse.MAX_BYTES)
    except DocumentMalformedError as error:
        msg = f"A foreign signature is no JSON: {error.message}"
        raise SignatureMalformedError(msg) from error


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        msg = "A foreign signature lacks a part that it must have."
        raise SignatureMalformedError(msg)
    return value
