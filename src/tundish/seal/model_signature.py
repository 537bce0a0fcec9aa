"""Package signatures in the OpenSSF model-signing format, in one form only.

The format is a Sigstore bundle (v0.3) with a DSSE envelope around an in-toto
statement whose predicate lists every file with its SHA-256. What upstream leaves open
is closed here: JSON is canonical, the statement is rebuilt and compared to the byte,
signatures have one form, and ``predicate.tundish`` carries product, version counter,
end date, parents and file sizes. Source: OpenSSF model-signing, predicate
``https://model_signing/signature/v1.0``, as its version 1.1.1 writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tundish.kernel import canonical, digest, paths
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest, is_digest
from tundish.seal import base64s, dsse
from tundish.seal.chain import Certified
from tundish.seal.errors import (
    ChainOtherKeyError,
    SignatureMalformedError,
    SignatureOtherPackageError,
)
from tundish.seal.keys import SigningKey, VerifyKey
from tundish.seal.signers import SignedBy, Signers, Trusted
from tundish.seal.statement import PackageStatement

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
IGNORED = ("model.sig", "signatures")
FURTHER = "signatures/"
MAX_FURTHER = 16
MAX_FILES = 1000

Material: TypeAlias = str | tuple[bytes, ...]
"""How a bundle names its signer: a key's hint, or a chain of X.509 certificates."""

_SERIALIZATION: dict[str, Json] = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
    "ignore_paths": list(IGNORED),
}


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What the manifest says of one file: hex of its SHA-256, and its size."""

    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class SignedManifest:
    """A verified signature's content.

    Attributes:
        files: What every file of the package must be.
        statement: What the package says of itself.
        digest: Digest of the signed statement: the package's name in grants and in
            the ledger. It does not depend on the signature's randomness.
        signer: Id of the key that signed.
        by: That key, and how it is known here.
    """

    files: Mapping[str, FileFacts]
    statement: PackageStatement
    digest: Digest
    signer: Digest
    by: SignedBy


def facts_of(data: bytes) -> FileFacts:
    """Return the facts of a file's bytes."""
    return FileFacts(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def sign(
    files: Mapping[str, FileFacts],
    statement: PackageStatement,
    key: SigningKey,
    chain: Certified | None = None,
) -> bytes:
    """Return ``model.sig`` for these files.

    Args:
        files: What is signed.
        statement: What the package says of itself.
        key: The signer's.
        chain: X.509 certificates for this key, to be named by them.

    Raises:
        ChainOtherKeyError: if the chain is for another key.
        SignatureMalformedError: if there is no file, too many, or a reserved name.
        UnsafePathError: if a name could lead outside the package.
    """
    payload = _payload(files, statement.product, statement.to_json())
    return _signed(payload, key, chain)


def sign_further(
    bundle: bytes, key: SigningKey, chain: Certified | None = None
) -> bytes:
    """Return a further signature over the statement of a verified ``model.sig``.

    It is a whole bundle of its own, which upstream verifies as well; the statement,
    and with it the package's digest, stays as it is.
    """
    payload, _, _ = _open_bundle(bundle)
    return _signed(payload, key, chain)


def _signed(payload: bytes, key: SigningKey, chain: Certified | None) -> bytes:
    if chain is not None and chain.key != key.public:
        msg = f"The chain of {chain.subject!r} is for another key than the one that signs."
        raise ChainOtherKeyError(msg)
    signature = key.sign(dsse.encode_for_signing(PAYLOAD_TYPE, payload))
    material = key.public.hint if chain is None else chain.ders
    return _bundle(payload, signature, material)


def further_name(key: VerifyKey) -> str:
    """Return the name under which a key's further signature lies in a package."""
    return f"{FURTHER}{key.hint}.sig"


def verify_further(
    name: str, bundle: bytes, trusted: Trusted, statement: Digest
) -> SignedBy:
    """Return who signed the same statement once more.

    Args:
        name: The file's name below the package.
        bundle: Its untrusted bytes.
        trusted: Keys that may sign, alone or beside another.
        statement: Digest of the statement under ``model.sig``.

    Raises:
        SignatureOtherPackageError: if it stands under another statement.
        SignatureMalformedError: if any byte, or the name, is not as written here.
        SignerUntrustedError: if nobody here knows the signer.
        SignatureInvalidError: if the signature does not fit.
    """
    payload, by = _verified_payload(bundle, Signers.of(trusted), further=True)
    if digest.of_bytes(payload) != statement:
        msg = f"The further signature {name!r} stands under another package."
        raise SignatureOtherPackageError(msg)
    if further_name(by.key) != name:
        msg = f"The further signature {name[:90]!r} is not named after its key."
        raise SignatureMalformedError(msg)
    return by


def verify(bundle: bytes, trusted: Trusted) -> SignedManifest:
    """Return what a trusted key has signed; only canonical bytes are accepted.

    Args:
        bundle: Untrusted bytes of ``model.sig``.
        trusted: Keys that may sign packages.

    Raises:
        SignatureMalformedError: if any byte is not as ``sign`` would write it.
        SignerUntrustedError: if no trusted key or CA fits the bundle.
        ChainMalformedError, ChainUnfitError, ChainBrokenError: if its chain of X.509
            certificates does not hold. Whether it counts now is for ``trust`` to say.
        SignatureInvalidError: if the signature does not fit.
    """
    payload, by = _verified_payload(bundle, Signers.of(trusted), further=False)
    files, statement, said = _read_payload(payload)
    if _payload(files, statement.product, said) != payload:
        msg = "A package's signed statement is not in canonical form."
        raise SignatureMalformedError(msg)
    return SignedManifest(
        files=files,
        statement=statement,
        digest=digest.of_bytes(payload),
        signer=by.key.key_id,
        by=by,
    )


def _verified_payload(
    bundle: bytes, signers: Signers, *, further: bool
) -> tuple[bytes, SignedBy]:
    payload, signature, material = _open_bundle(bundle)
    if _bundle(payload, signature, material) != bundle:
        msg = "A package's signature file is not in canonical form."
        raise SignatureMalformedError(msg)
    if isinstance(material, str):
        by = signers.find(material, further=further)
    else:
        by = signers.certified(material, further=further)
    by.key.verify(dsse.encode_for_signing(PAYLOAD_TYPE, payload), signature)
    return payload, by


def _payload(
    files: Mapping[str, FileFacts], product: str, said: dict[str, Json]
) -> bytes:
    _check_names(files)
    resources: list[Json] = []
    whole = hashlib.sha256()
    sizes: dict[str, Json] = {}
    for name in sorted(files, key=lambda name: name.split("/")):
        facts = files[name]
        whole.update(bytes.fromhex(facts.sha256))
        sizes[name] = facts.size
        resources.append({"name": name, "algorithm": "sha256", "digest": facts.sha256})
    return canonical.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": product, "digest": {"sha256": whole.hexdigest()}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "resources": resources,
                "serialization": _SERIALIZATION,
                "tundish": {**said, "sizes": sizes},
            },
        }
    )


def _bundle(payload: bytes, signature: bytes, material: Material) -> bytes:
    named: dict[str, Json] = (
        {"publicKey": {"hint": material}}
        if isinstance(material, str)
        else {
            "x509CertificateChain": {
                "certificates": [{"rawBytes": base64s.encode(one)} for one in material]
            }
        }
    )
    return canonical.dumps(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {**named, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64s.encode(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": "", "sig": base64s.encode(signature)}],
            },
        }
    )


def _open_bundle(bundle: bytes) -> tuple[bytes, bytes, Material]:
    outer = dsse.exact_object(
        dsse.read_canonical(bundle, what="package's signature file"),
        ("mediaType", "verificationMaterial", "dsseEnvelope"),
        "bundle",
    )
    envelope = dsse.exact_object(
        outer["dsseEnvelope"], ("payload", "payloadType", "signatures"), "envelope"
    )
    line = dsse.exact_object(
        dsse.only_item(envelope["signatures"]), ("keyid", "sig"), "signature"
    )
    payload = base64s.decode(envelope["payload"], what="payload of a package")
    signature = base64s.decode(line["sig"], what="signature of a package")
    return payload, signature, _read_material(outer["verificationMaterial"])


def _read_material(value: Json) -> Material:
    if not isinstance(value, dict) or "x509CertificateChain" not in value:
        material = dsse.exact_object(value, ("publicKey", "tlogEntries"), "material")
        public = dsse.exact_object(material["publicKey"], ("hint",), "public key")
        hint = public["hint"]
        return hint if isinstance(hint, str) else ""
    dsse.exact_object(value, ("x509CertificateChain", "tlogEntries"), "material")
    return read_chain(value["x509CertificateChain"])


def read_chain(value: Json) -> tuple[bytes, ...]:
    """Return the certificates of a bundle's field ``x509CertificateChain``.

    Raises:
        SignatureMalformedError: if it is no list of certificates.
    """
    listed = dsse.exact_object(value, ("certificates",), "chain")["certificates"]
    if not isinstance(listed, list):
        msg = "A package's signature file has no list of X.509 certificates."
        raise SignatureMalformedError(msg)
    lines = [dsse.exact_object(one, ("rawBytes",), "certificate") for one in listed]
    what = "X.509 certificate in a signature"
    return tuple(base64s.decode(one["rawBytes"], what=what) for one in lines)


def _read_payload(
    payload: bytes,
) -> tuple[dict[str, FileFacts], PackageStatement, dict[str, Json]]:
    value = dsse.read_canonical(payload, what="package's signed statement")
    outer = dsse.exact_object(
        value, ("_type", "subject", "predicateType", "predicate"), "statement"
    )
    predicate = dsse.exact_object(
        outer["predicate"], ("resources", "serialization", "tundish"), "predicate"
    )
    said = predicate["tundish"]
    if not isinstance(said, dict) or not isinstance(said.get("sizes"), dict):
        msg = "A package's signed statement has no product, version and sizes."
        raise SignatureMalformedError(msg)
    own = {name: item for name, item in said.items() if name != "sizes"}
    statement = dsse.validated(
        canonical.dumps(own), PackageStatement, what="package statement"
    )
    return _read_files(predicate["resources"], said["sizes"]), statement, own


def _read_files(resources: Json, sizes: Json) -> dict[str, FileFacts]:
    found: dict[str, FileFacts] = {}
    if not isinstance(resources, list) or not isinstance(sizes, dict):
        msg = "A package's signed statement lists no files."
        raise SignatureMalformedError(msg)
    for item in resources[: MAX_FILES + 1]:
        facts = dsse.exact_object(item, ("name", "algorithm", "digest"), "file")
        name, value = facts["name"], facts["digest"]
        if not isinstance(name, str) or not isinstance(value, str):
            msg = "A package's signed statement lists a file without name or digest."
            raise SignatureMalformedError(msg)
        size = sizes.get(name)
        right = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if not isinstance(size, int) or not right or not is_digest(f"sha256:{value}"):
            msg = f"The signed statement on the file {name[:80]!r} is malformed."
            raise SignatureMalformedError(msg)
        found[name] = FileFacts(sha256=value, size=size)
    return found


def _check_names(files: Mapping[str, FileFacts]) -> None:
    if not 1 <= len(files) <= MAX_FILES:
        msg = f"A package has {len(files)} files; 1 to {MAX_FILES} can be signed."
        raise SignatureMalformedError(msg)
    if len({name.casefold() for name in files}) != len(files):
        msg = "Two files of a package differ only in upper and lower case."
        raise SignatureMalformedError(msg)
    for name in files:
        paths.check_name(name)
        # upstream leaves .git and its like out when it verifies through its API
        if name.split("/")[0].casefold() in IGNORED or "/." in f"/{name}":
            msg = f"The name {name!r} is kept for signatures or hidden: not signed."
            raise SignatureMalformedError(msg)
