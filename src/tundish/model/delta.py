"""Deltas: what a package holds that an older one of the same product does not.

A delta is the newer package's OCI image layout without the blobs that the older one
has, and ``delta.json``, which names both. For two packages there is one delta and one
only: the reader makes it again from its result and compares. It is not signed: what
comes out of it is a package, which is verified like any other. Source: OCI image-spec
v1.1, image layout ("the blobs directory may be missing referenced blobs").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from tundish.kernel import canonical, digest
from tundish.kernel.digest import Digest, hex_part, short
from tundish.kernel.errors import DocumentMalformedError, RefusedError
from tundish.kernel.records import Record
from tundish.model import layout, tarball
from tundish.model.errors import (
    DeltaMalformedError,
    DeltaOtherBaseError,
    DeltaOtherProductError,
    PackageMalformedError,
    PackageTooLargeError,
)
from tundish.seal.statement import first_fault

_Manifest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class End(Record):
    """One end of a delta: a package by its version and the digest of its manifest."""

    version: _Name
    manifest: _Manifest


class Step(Record):
    """What ``delta.json`` says.

    Attributes:
        product: Of both packages.
        base: The package that it starts from.
        result: The package that comes out.
    """

    format: Literal["tundish.delta"] = "tundish.delta"
    form: Annotated[int, Field(ge=1, le=1)] = 1
    product: _Name
    base: End
    result: End


def make(base: Mapping[str, bytes], result: Mapping[str, bytes]) -> bytes:
    """Return the delta that leads from one package's layout to another one's.

    Args:
        base: Entries of the package that the other side has (``package.to_layout``).
        result: Entries of the package that it shall have.

    Raises:
        DeltaOtherProductError: if they are of two products.
        PackageMalformedError: if one is no layout of a package.
    """
    old, new = layout.manifest_of(base), layout.manifest_of(result)
    (product, start), (other, end) = layout.label(old), layout.label(new)
    _same_product(product, other, "its result")
    step = Step(
        product=product,
        base=End(version=start, manifest=digest.of_bytes(old)),
        result=End(version=end, manifest=digest.of_bytes(new)),
    )
    # the manifest travels always, so that a delta stands for itself
    spared = set(base) - {layout.BLOBS + hex_part(digest.of_bytes(new))}
    entries = {
        name: body
        for name, body in result.items()
        if not (name.startswith(layout.BLOBS) and name in spared)
    }
    entries[layout.DELTA] = canonical.dumps(step.to_json())
    return tarball.write(entries)


def read(data: bytes) -> tuple[Step, dict[str, bytes]]:
    """Return what a delta says, and its entries; nothing in it is trusted by this.

    Args:
        data: Untrusted bytes.

    Raises:
        DeltaMalformedError: if it is no delta.
        PackageTooLargeError: if it has too many files or bytes.
    """
    try:
        entries = tarball.read(data)
        layout.check_blobs(entries)
        if layout.DELTA not in entries:
            msg = f"it has no {layout.DELTA}"
            raise DeltaMalformedError(msg)
        canonical.loads_canonical(entries[layout.DELTA])
        return Step.model_validate_json(entries[layout.DELTA]), entries
    except PackageTooLargeError:
        raise
    except ValidationError as error:
        raise DeltaMalformedError(first_fault("delta", error)) from error
    except (RefusedError, DocumentMalformedError) as error:
        msg = f"A file is no delta of a package: {error.message}"
        raise DeltaMalformedError(msg) from error


def apply(data: bytes, base: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the layout that a delta makes of its base.

    Nothing in it is trusted by this: it is to be read as a package
    (``package.read_layout``).

    Args:
        data: Untrusted bytes of the delta.
        base: Entries of a package, each blob of which has its digest.

    Raises:
        DeltaMalformedError: if any byte is not as ``make`` would write it.
        DeltaOtherProductError, DeltaOtherBaseError: if it starts elsewhere.
        PackageTooLargeError: if the delta or its result is too large.
    """
    step, entries = read(data)
    _check_base(step, base)
    try:
        manifest = layout.manifest_of(entries)
        result = layout.around(manifest, _blobs(manifest, entries, base))
        again = make(base, result)
    except (PackageMalformedError, DeltaOtherProductError) as error:
        msg = f"A delta gives no package: {error.message}"
        raise DeltaMalformedError(msg) from error
    if again != data:
        msg = "A delta is not the one that its base and its result give."
        raise DeltaMalformedError(msg)
    return result


def _check_base(step: Step, base: Mapping[str, bytes]) -> None:
    manifest = layout.manifest_of(base)
    product, version = layout.label(manifest)
    _same_product(step.product, product, "its base")
    found = digest.of_bytes(manifest)
    if found != step.base.manifest:
        msg = (
            f"The delta leads from version {step.base.version!r} "
            f"({short(Digest(step.base.manifest))}) of {product} to version "
            f"{step.result.version!r}; the base is version {version} ({short(found)})."
        )
        raise DeltaOtherBaseError(msg)


def _same_product(one: str, two: str, what: str) -> None:
    if one != two:
        msg = f"A delta is for {one[:100]!r}, and {what} is a package of {two[:100]!r}."
        raise DeltaOtherProductError(msg)


def _blobs(
    manifest: bytes, entries: Mapping[str, bytes], base: Mapping[str, bytes]
) -> list[bytes]:
    if len(manifest) > layout.MAX_MANIFEST:
        msg = f"A delta's manifest has {len(manifest)} bytes; at most {layout.MAX_MANIFEST}."
        raise PackageTooLargeError(msg)
    blobs = []
    for name, size in layout.named_blobs(manifest):
        place = layout.BLOBS + hex_part(name)
        body = entries.get(place, base.get(place))
        if body is None or len(body) != size:
            msg = f"neither the delta nor its base has the blob {short(name)} of {size} bytes."
            raise PackageMalformedError(msg)
        blobs.append(body)
    return blobs
