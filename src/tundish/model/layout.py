"""A package as an OCI image layout with CNCF ModelPack media types.

So any OCI registry stores and delivers packages, and any OCI tool can look at one. Each
file is one layer, as it is (no tar in the tar, no compression). All index documents
follow from the files and the signed statement, so the reader makes them again and
compares. Sources: OCI image-spec v1.1 (image layout, manifest); CNCF model-spec v1
(media types, annotations, config schema).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tundish.kernel import canonical, digest
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest, hex_part
from tundish.kernel.errors import DocumentMalformedError, NotCanonicalError
from tundish.model import tarball
from tundish.model.errors import PackageMalformedError, PackageTooLargeError
from tundish.seal.statement import PackageStatement

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"
DOC_TYPE = "application/vnd.cncf.model.doc.v1.raw"
FILEPATH = "org.cncf.model.filepath"
TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
BLOBS = "blobs/sha256/"
DELTA = "delta.json"
MAX_MANIFEST = 4 * 1024**2

_APPLY = "Give 'tundish package apply' with the package that it starts from."
_WEIGHT_CONFIGS = frozenset({"scenario.yaml", "golden.json", "envelope.json"})


def pack(files: Mapping[str, bytes], statement: PackageStatement) -> dict[str, bytes]:
    """Return the entries of the layout: index, manifest and one blob per file."""
    entries: dict[str, bytes] = {}
    layers = [_layer(entries, name, files[name]) for name in sorted(files)]
    config = canonical.dumps(_config(layers, statement))
    manifest = canonical.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": _blob(entries, config, CONFIG_TYPE),
            "layers": list(layers),
            "annotations": {
                "org.opencontainers.image.created": statement.created_at,
                TITLE: statement.product,
                VERSION: str(statement.version),
            },
        }
    )
    _add_index(entries, manifest, str(statement.version))
    return entries


def around(manifest: bytes, blobs: Iterable[bytes]) -> dict[str, bytes]:
    """Return the layout of a manifest and its blobs, as ``pack`` would write it.

    Nothing in it is trusted by this; ``check`` compares once the signature holds.

    Raises:
        PackageMalformedError: if the manifest names no product or version.
    """
    _, version = label(manifest)
    entries = {BLOBS + hex_part(digest.of_bytes(blob)): blob for blob in blobs}
    _add_index(entries, manifest, version)
    return entries


def label(manifest: bytes) -> tuple[str, str]:
    """Return the product and the version that a manifest names.

    Raises:
        PackageMalformedError: if it names none.
    """
    notes = _object(manifest, "manifest").get("annotations")
    known = notes if isinstance(notes, dict) else {}
    product, version = known.get(TITLE), known.get(VERSION)
    if not isinstance(product, str) or not isinstance(version, str):
        msg = "A package's manifest names no product or no version."
        raise PackageMalformedError(msg)
    return product, version


def named_blobs(manifest: bytes) -> list[tuple[Digest, int]]:
    """Return digest and size of the config and the layers that a manifest names.

    Raises:
        PackageMalformedError: if it is no package's.
        PackageTooLargeError: if all of them have more bytes than a package may.
    """
    value = _object(manifest, "manifest")
    layers = value.get("layers")
    named = [value.get("config"), *(layers if isinstance(layers, list) else [])]
    if len(named) > tarball.MAX_FILES:
        msg = (
            f"The manifest names {len(named)} blobs; 1 to {tarball.MAX_FILES} are read."
        )
        raise PackageMalformedError(msg)
    found = []
    for entry in named:
        size = entry.get("size") if isinstance(entry, dict) else None
        name = entry.get("digest") if isinstance(entry, dict) else None
        sound = type(size) is int and size >= 0 and isinstance(name, str)
        if not (sound and digest.is_digest(str(name))):
            msg = "The manifest names a blob without digest or size."
            raise PackageMalformedError(msg)
        found.append((Digest(str(name)), int(str(size))))
    if sum(size for _, size in found) > tarball.MAX_BYTES:
        msg = f"The package is larger than {tarball.MAX_BYTES} bytes."
        raise PackageTooLargeError(msg)
    return found


def _add_index(entries: dict[str, bytes], manifest: bytes, version: str) -> None:
    entry = _blob(entries, manifest, MANIFEST_TYPE)
    entry["artifactType"] = ARTIFACT_TYPE
    entry["annotations"] = {"org.opencontainers.image.ref.name": version}
    index: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [entry],
    }
    entries["index.json"] = canonical.dumps(index)
    entries["oci-layout"] = canonical.dumps({"imageLayoutVersion": "1.0.0"})


def unpack(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a layout; nothing in it is trusted by this.

    Every blob must have the digest it is named by. What else the layout says is
    compared by ``check`` after the signature was verified.

    Raises:
        PackageMalformedError: if it is no layout with one manifest.
    """
    if DELTA in entries:
        msg = "This is a delta, and no whole package."
        raise PackageMalformedError(msg, advice=_APPLY)
    check_blobs(entries)
    manifest = _object(manifest_of(entries), "manifest")
    layers = manifest.get("layers")
    files: dict[str, bytes] = {}
    for layer in layers if isinstance(layers, list) else []:
        notes = layer.get("annotations") if isinstance(layer, dict) else None
        path = notes.get(FILEPATH) if isinstance(notes, dict) else None
        if not isinstance(path, str) or path in files:
            msg = "A package's manifest has a layer without a name, or a name twice."
            raise PackageMalformedError(msg)
        files[path] = _find(entries, layer)
    return files


def check_blobs(entries: Mapping[str, bytes]) -> None:
    """Refuse a blob that does not have the digest it is named by.

    Raises:
        PackageMalformedError: naming it.
    """
    for name, body in entries.items():
        if name.startswith(BLOBS) and hex_part(digest.of_bytes(body)) != name[13:]:
            msg = f"The blob {name[13:25]} of a package does not have its digest."
            raise PackageMalformedError(msg)


def manifest_of(entries: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a layout's only manifest.

    Raises:
        PackageMalformedError: if it has none, or several.
    """
    index = _object(entries.get("index.json"), "index.json")
    manifests = index.get("manifests")
    if not isinstance(manifests, list) or len(manifests) != 1:
        msg = "A package's index has not exactly one manifest."
        raise PackageMalformedError(msg)
    return _find(entries, manifests[0])


def check(
    entries: Mapping[str, bytes],
    files: Mapping[str, bytes],
    statement: PackageStatement,
) -> None:
    """Refuse a layout that is not the one ``pack`` makes of verified files.

    Raises:
        PackageMalformedError: naming the entry that differs.
    """
    expected = pack(files, statement)
    for name in sorted({*expected, *entries}):
        if expected.get(name) != entries.get(name):
            msg = f"The entry {name[:80]!r} of a package is not what its files give."
            raise PackageMalformedError(msg)


def _layer(entries: dict[str, bytes], name: str, body: bytes) -> dict[str, Json]:
    if name.startswith("graph."):
        media = WEIGHT_TYPE
    else:
        plain = name.removesuffix(".age")
        media = WEIGHT_CONFIG_TYPE if plain in _WEIGHT_CONFIGS else DOC_TYPE
    return {**_blob(entries, body, media), "annotations": {FILEPATH: name}}


def _blob(entries: dict[str, bytes], body: bytes, media: str) -> dict[str, Json]:
    name = digest.of_bytes(body)
    entries[BLOBS + hex_part(name)] = body
    return {"mediaType": media, "digest": name, "size": len(body)}


def _config(
    layers: list[dict[str, Json]], statement: PackageStatement
) -> dict[str, Json]:
    return {
        "descriptor": {
            "name": statement.product,
            "version": str(statement.version),
            "createdAt": statement.created_at,
        },
        "config": {"format": "onnx"},
        "modelfs": {"type": "layers", "diffIds": [item["digest"] for item in layers]},
    }


def _find(entries: Mapping[str, bytes], entry: Json) -> bytes:
    name = entry.get("digest") if isinstance(entry, dict) else None
    body = entries.get(BLOBS + hex_part(name)) if isinstance(name, str) else None
    if body is None:
        msg = "A package's manifest names a blob that is not there."
        raise PackageMalformedError(msg)
    return body


def _object(data: bytes | None, what: str) -> dict[str, Json]:
    try:
        value = canonical.loads_canonical(data or b"")
    except (DocumentMalformedError, NotCanonicalError) as error:
        msg = f"The {what} of a package is no canonical JSON: {error.message}"
        raise PackageMalformedError(msg) from error
    if not isinstance(value, dict):
        msg = f"The {what} of a package is no JSON object."
        raise PackageMalformedError(msg)
    return value
