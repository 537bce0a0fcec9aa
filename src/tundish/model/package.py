"""A package: graph, card, scenario, verdict, parity, bill of materials, signature.

``write_folder`` and ``write_tar`` put it on a disk; ``read`` gives it back only after
every byte of it was verified. How one is made: see ``making``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from tundish.kernel import canonical, clock, digest, paths
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest
from tundish.kernel.errors import DocumentMalformedError, NotCanonicalError
from tundish.model import contents, folder, hardening, layout, marked, tarball
from tundish.model.card import ModelCard
from tundish.model.cleargraph import ClearGraph, decrypted
from tundish.model.errors import (
    PackageExpiredError,
    PackageFileMissingError,
    PackageMalformedError,
    PackageNeedsGrantError,
    PackageUnsignedError,
)
from tundish.model.golden import Golden
from tundish.seal import model_signature
from tundish.seal.envelope import Identity
from tundish.seal.freshness import Freshness
from tundish.seal.signers import SignedBy, Trusted
from tundish.seal.statement import PackageStatement, first_fault

SIGNATURE = "model.sig"
GRAPH = "graph.onnx"
GRAPH_AGE = "graph.onnx.age"
CARD = "card.json"
SCENARIO = "scenario.yaml"
VERDICT = "verdict.json"
PARITY = "parity.json"
BOM = "bom.cdx.json"
GOLDEN = "golden.json"
ENVELOPE = "envelope.json"
REQUIRED = frozenset({CARD, SCENARIO, VERDICT, PARITY, BOM, GOLDEN})
MAX_BYTES = tarball.MAX_BYTES

FOLDERS = frozenset({"signatures"})

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package whose every byte is signed; made by ``build``, ``read``, ``verify``.

    Attributes:
        digest: Digest of the signed statement: its name in grants and ledger.
        signer: Id of the key that signed.
        statement: Product, version, end date, parents.
        files: Its files without the signatures.
        signature: Bytes of ``model.sig``.
        by: Whose signatures it carries; that of ``model.sig`` is the first.
        further: What lies below ``signatures/``, by name: signatures over the same
            statement by other keys.
        opened: Marked files in clear, in memory only; see ``unlocked``.
    """

    digest: Digest
    signer: Digest
    statement: PackageStatement
    files: Mapping[str, bytes]
    signature: bytes
    by: tuple[SignedBy, ...]
    further: Mapping[str, bytes] = field(default_factory=dict)
    opened: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def revocations(self) -> bytes | None:
        """A revocation list that it carries; signed, but not judged here."""
        return self.further.get(contents.REVOCATIONS)

    @property
    def everything(self) -> dict[str, bytes]:
        """All files with all signatures: what is written."""
        return {**self.files, SIGNATURE: self.signature, **self.further}

    @property
    def encrypted(self) -> bool:
        """Whether the graph can be opened with a grant only."""
        return GRAPH_AGE in self.files

    @cached_property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._record(CARD, ModelCard)

    @cached_property
    def golden(self) -> Golden:
        """The check after every load."""
        return self._record(GOLDEN, Golden)

    @property
    def scenario_yaml(self) -> str:
        """The scenario's file."""
        try:
            return self._content(SCENARIO).decode()
        except UnicodeDecodeError as error:
            msg = f"The file {SCENARIO} of a package is no UTF-8 text."
            raise PackageMalformedError(msg) from error

    @property
    def verdict(self) -> dict[str, Json]:
        """The judge's verdict."""
        return self._document(VERDICT)

    @property
    def parity(self) -> dict[str, Json]:
        """Trained estimator against graph."""
        return self._document(PARITY)

    @property
    def bom(self) -> dict[str, Json]:
        """The bill of materials."""
        return self._document(BOM)

    @property
    def envelope(self) -> dict[str, Json] | None:
        """Statistics of the training data, if the package has them."""
        there = ENVELOPE in self.files or ENVELOPE + marked.AGE in self.files
        return self._document(ENVELOPE) if there else None

    def _content(self, name: str) -> bytes:
        if name in self.files:
            return self.files[name]
        if name in self.opened:
            return self.opened[name]
        msg = f"The file {name} of {self.statement.product} is encrypted."
        raise PackageNeedsGrantError(msg)

    def _document(self, name: str) -> dict[str, Json]:
        try:
            value = canonical.loads_canonical(self._content(name))
        except (DocumentMalformedError, NotCanonicalError) as error:
            msg = f"The file {name} of a package is refused: {error.message}"
            raise PackageMalformedError(msg) from error
        if not isinstance(value, dict):
            msg = f"The file {name} of a package is no JSON object."
            raise PackageMalformedError(msg)
        return value

    def _record(self, name: str, model: type[_Model]) -> _Model:
        self._document(name)
        try:
            return model.model_validate_json(self._content(name))
        except ValidationError as error:
            raise PackageMalformedError(first_fault(f"file {name}", error)) from error


Admission: TypeAlias = Callable[[Package], None]


def anybody(_package: Package) -> None:
    """Admit what any trusted key has signed."""


def write_folder(package: Package, path: Path) -> None:
    """Write a package as a new folder of plain files: whole, or not at all."""
    folder.write(path, package.everything)


def write_tar(package: Package, path: Path) -> None:
    """Write a package as one file: an OCI image layout in a tar; same bytes always."""
    paths.write_whole(path, to_tar(package))


def to_tar(package: Package) -> bytes:
    """Return the bytes that ``write_tar`` writes."""
    return tarball.write(to_layout(package))


def to_layout(package: Package) -> dict[str, bytes]:
    """Return the entries of the package's OCI image layout."""
    return layout.pack(package.everything, package.statement)


def read(
    path: Path,
    *,
    trusted: Trusted,
    now: datetime,
    seen: Freshness,
    admit: Admission = anybody,
) -> Package:
    """Read a package from its folder or its tar, and verify every byte of it.

    Args:
        path: Untrusted folder or file.
        trusted: Keys that may sign packages.
        now: This machine's time.
        seen: What was seen before; remembers this package if all holds.
        admit: Raises if the signatures are not enough here; asked when every byte
            is verified and before anything is remembered.

    Raises:
        PathMissingError: if nothing is there.
        PackageMalformedError, PackageUnsignedError, PackageFileChangedError,
        PackageFileMissingError, PackageFileExtraError, PackageTooLargeError, FileTooLargeError,
        PackageExpiredError: as their names say.
        SignatureMalformedError, SignatureInvalidError, SignerUntrustedError,
        PackageOlderError, PackageForkedError, ClockSetBackError: from ``seal``.
    """
    if path.is_dir():
        files = folder.read(path, only=FOLDERS)
        return verify(files, trusted=trusted, now=now, seen=seen, admit=admit)
    data = paths.read_file(path, most=MAX_BYTES)
    return read_tar(data, trusted=trusted, now=now, seen=seen, admit=admit)


def recognise(path: Path, *, trusted: Trusted) -> Package:
    """Verify every byte of a package and its signature, and nothing else.

    Neither its end nor its version is looked at, and nothing is remembered: it is for a
    package that another one is compared with or made from. It is never opened.

    Raises:
        As ``read``, but for what the date and earlier versions decide.
    """
    if path.is_dir():
        return of_files(folder.read(path, only=FOLDERS), trusted)
    return _recognised(tarball.read(paths.read_file(path, most=MAX_BYTES)), trusted)


def read_tar(
    data: bytes,
    *,
    trusted: Trusted,
    now: datetime,
    seen: Freshness,
    admit: Admission = anybody,
) -> Package:
    """Verify a package from the bytes of its tar; see ``read``."""
    entries = tarball.read(data)
    return read_layout(entries, trusted=trusted, now=now, seen=seen, admit=admit)


def read_layout(
    entries: Mapping[str, bytes],
    *,
    trusted: Trusted,
    now: datetime,
    seen: Freshness,
    admit: Admission = anybody,
) -> Package:
    """Verify a package from the entries of its OCI image layout; see ``read``."""
    package = _recognised(entries, trusted)
    admit(package)
    return _fresh(package, now, seen)


def verify(
    files: Mapping[str, bytes],
    *,
    trusted: Trusted,
    now: datetime,
    seen: Freshness,
    admit: Admission = anybody,
) -> Package:
    """Verify a package from the bytes of its files; see ``read``."""
    package = of_files(files, trusted)
    admit(package)
    return _fresh(package, now, seen)


@contextmanager
def clear_graph(
    package: Package, identity: Identity | None = None
) -> Iterator[ClearGraph]:
    """Hold the graph in clear, in memory only, until a session stands.

    Opening an encrypted graph first hardens the process (see ``hardening``), for as
    long as it lives. The clear bytes are wiped at the end, whatever happens.

    Raises:
        PackageNeedsGrantError: if it is encrypted and no identity was given.
        EnvelopeClosedError: if the identity does not open it.
    """
    if not package.encrypted:
        # its digest was compared by ``of_files``
        yield ClearGraph(data=package.files[GRAPH])
        return
    if identity is None:
        msg = f"The graph of {package.statement.product} is encrypted."
        raise PackageNeedsGrantError(msg)
    sealed = package.files[GRAPH_AGE]
    check = partial(_check_graph_digest, package)
    with decrypted(sealed, identity, check) as graph:
        yield graph


def graph_bytes(package: Package, identity: Identity | None = None) -> bytes:
    """Return a copy of the graph in clear, for who has to keep it; nobody wipes it.

    Raises:
        What ``clear_graph`` raises.
    """
    with clear_graph(package, identity) as graph:
        # a slice of all of ``bytes`` would be the same object, and be wiped
        return bytes(memoryview(graph.data)) if package.encrypted else graph.data


def unlocked(package: Package, identity: Identity | None = None) -> Package:
    """Return the package with its marked files readable, in memory only.

    Raises:
        PackageNeedsGrantError: if there are some and no identity was given.
        EnvelopeClosedError: if the identity does not open them.
        PackageMalformedError: if one of them is no document of its kind.
    """
    names = marked.marked(package.files)
    if not names:
        return package
    if identity is None:
        msg = f"The file {names[0]} of {package.statement.product} is encrypted."
        raise PackageNeedsGrantError(msg)
    hardening.harden()
    whole = replace(package, opened=marked.opened(package.files, identity))
    _read_once(whole, names)
    return whole


def _recognised(entries: Mapping[str, bytes], trusted: Trusted) -> Package:
    files = layout.unpack(entries)
    package = of_files(files, trusted)
    layout.check(entries, files, package.statement)
    return package


def of_files(files: Mapping[str, bytes], trusted: Trusted) -> Package:
    """Return the package of these files, every byte of them signed; see ``recognise``."""
    if SIGNATURE not in files:
        msg = f"A package has no {SIGNATURE}, so nobody has signed it."
        raise PackageUnsignedError(msg)
    manifest = model_signature.verify(files[SIGNATURE], trusted)
    further = {name: data for name, data in files.items() if contents.is_further(name)}
    content = {
        name: data
        for name, data in files.items()
        if name != SIGNATURE and name not in further
    }
    contents.check_signed(content, manifest)
    package = Package(
        digest=manifest.digest,
        signer=manifest.signer,
        statement=manifest.statement,
        files=content,
        signature=files[SIGNATURE],
        by=(manifest.by, *contents.further_signers(further, trusted, manifest)),
        further=further,
    )
    _check_documents(package)
    return package


def _check_documents(package: Package) -> None:
    marked.check(package.files)
    closed = marked.marked(package.files)
    missing = sorted(REQUIRED - {*package.files, *closed})
    if (GRAPH in package.files) == (GRAPH_AGE in package.files):
        missing.append(GRAPH)
    if missing:
        msg = f"A package has not exactly one {missing[0]!r}, as every package must."
        raise PackageFileMissingError(msg)
    said = (package.card.product, package.card.version)
    if said != (package.statement.product, package.statement.version):
        msg = f"A package's card speaks of {said[0][:100]!r} version {said[1]}."
        raise PackageMalformedError(msg)
    if not package.encrypted:
        _check_graph_digest(package, package.files[GRAPH])
    _read_once(package, {*REQUIRED, ENVELOPE} - {*closed})


def _read_once(package: Package, names: Collection[str]) -> None:
    """Read documents, so that no later reader meets a malformed one."""
    readers: dict[str, Callable[[], object]] = {
        GOLDEN: lambda: package.golden,
        SCENARIO: lambda: package.scenario_yaml,
        ENVELOPE: lambda: package.envelope,
        VERDICT: lambda: package.verdict,
        PARITY: lambda: package.parity,
        BOM: lambda: package.bom,
    }
    for name, read_it in readers.items():
        if name in names:
            read_it()


def _check_graph_digest(package: Package, graph: bytes) -> None:
    if digest.of_bytes(graph) != package.card.graph:
        msg = f"The graph of {package.statement.product} is not the one its card names."
        raise PackageMalformedError(msg)


def _fresh(package: Package, now: datetime, seen: Freshness) -> Package:
    seen.see_time(now)
    if now >= clock.from_text(package.statement.not_after):
        msg = (
            f"The package {package.statement.product} version "
            f"{package.statement.version} expired at {package.statement.not_after}."
        )
        raise PackageExpiredError(msg)
    seen.see_package(
        package.statement.product, package.statement.version, package.digest
    )
    return package
