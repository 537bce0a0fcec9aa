"""Make packages: sign and, when asked, encrypt; sign once more; put a list inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tundish.kernel import canonical, digest
from tundish.kernel.canonical import Json
from tundish.kernel.digest import short
from tundish.model import contents, graphcheck, marked, package
from tundish.model.card import ModelCard
from tundish.model.errors import (
    MarkInvalidError,
    PackageMalformedError,
    SignedAlreadyError,
)
from tundish.model.golden import Golden
from tundish.model.package import Package
from tundish.seal import envelope, model_signature
from tundish.seal.chain import Certified
from tundish.seal.keys import SigningKey
from tundish.seal.model_signature import facts_of
from tundish.seal.signers import Signers
from tundish.seal.statement import PackageStatement


@dataclass(frozen=True, kw_only=True)
class PackageParts:
    """What goes into a package.

    Attributes:
        graph: Bytes of the ONNX graph, in clear.
        card: The model's card.
        scenario_yaml: The scenario it was judged against, as its file stands.
        verdict: The judge's verdict.
        parity: Trained estimator against graph.
        bom: Bill of materials (CycloneDX).
        golden: Input and outputs for the check after every load.
        envelope: Statistics of the training data, for drift; optional.
        texts: Further files for people, such as ``README.md`` or ``LICENSE.txt``.
    """

    graph: bytes
    card: ModelCard
    scenario_yaml: str
    verdict: dict[str, Json]
    parity: dict[str, Json]
    bom: dict[str, Json]
    golden: Golden
    envelope: dict[str, Json] | None = None
    texts: Mapping[str, bytes] = field(default_factory=dict)


def build(  # noqa: PLR0913  (what is signed, by whom, for whom)
    parts: PackageParts,
    *,
    statement: PackageStatement,
    key: SigningKey,
    encrypt_to: Sequence[str] | None = None,
    encrypt: Sequence[str] = (),
    kept: marked.Kept = marked.nothing_kept,
    chain: Certified | None = None,
) -> Package:
    """Make a signed package; encryption is random, so a version is built once.

    Args:
        parts: What goes in; the graph is checked first.
        statement: Product, version, end date, parents.
        key: The owner's signing key.
        encrypt_to: Age recipients the graph is encrypted for; ``None``: in clear.
        encrypt: Files to be encrypted beside the graph (``marked.MARKABLE``).
        kept: Where a ciphertext may be taken from instead of encrypting anew.
        chain: X.509 certificates for the key, to be named by them.

    Raises:
        What ``graphcheck`` refuses; PackageMalformedError if the card speaks of
        another product, version or graph; MarkInvalidError if a file cannot be marked,
        or is to be while the graph is not.
    """
    graphcheck.check_convention(graphcheck.check_graph(parts.graph))
    _check_card(parts, statement)
    files = {**_clear_files(parts), package.GRAPH: parts.graph}
    if encrypt_to is None:
        if encrypt:
            msg = f"{encrypt[0]!r} was to be encrypted, and the graph was not."
            raise MarkInvalidError(msg)
    else:
        for name in (package.GRAPH, *marked.chosen(encrypt)):
            if name not in files:
                msg = f"{name!r} was to be encrypted, and there is none."
                raise MarkInvalidError(msg)
            clear = files.pop(name)
            closed = kept(name, clear) or envelope.encrypt(clear, encrypt_to)
            files[name + marked.AGE] = closed
    facts = {name: facts_of(data) for name, data in files.items()}
    signature = model_signature.sign(facts, statement, key, chain)
    signed = Signers(
        keys=() if chain else (key.public,),
        authorities=(chain.authority,) if chain else (),
    )
    return package.of_files({**files, package.SIGNATURE: signature}, signed)


def _clear_files(parts: PackageParts) -> dict[str, bytes]:
    files = {
        **parts.texts,
        package.CARD: canonical.dumps(parts.card.to_json()),
        package.SCENARIO: parts.scenario_yaml.encode(),
        package.VERDICT: canonical.dumps(parts.verdict),
        package.PARITY: canonical.dumps(parts.parity),
        package.BOM: canonical.dumps(parts.bom),
        package.GOLDEN: canonical.dumps(parts.golden.to_json()),
    }
    if parts.envelope is not None:
        files[package.ENVELOPE] = canonical.dumps(parts.envelope)
    return files


def sign_further(
    made: Package, key: SigningKey, chain: Certified | None = None
) -> Package:
    """Return the package with one more signature, by another key.

    Its digest stays: grants for it stay valid, and only the small signature travels.

    Raises:
        SignedAlreadyError: if this key has signed it.
        PackageTooLargeError: if it carries as many signatures as it may.
    """
    if any(by.key == key.public for by in made.by):
        msg = f"The key {short(key.public.key_id)} has signed this package already."
        raise SignedAlreadyError(msg)
    name = model_signature.further_name(key.public)
    bundle = model_signature.sign_further(made.signature, key, chain)
    known = Signers.of_package(made.by, key, chain)
    return package.of_files({**made.everything, name: bundle}, known)


def carry(made: Package, revocations: bytes) -> Package:
    """Return the package with a revocation list of one of its signers inside.

    Raises:
        RevocationsInvalidError, SignerUntrustedError: if it is no list of a signer.
    """
    known = Signers.of_package(made.by)
    return package.of_files(
        {**made.everything, contents.REVOCATIONS: revocations}, known
    )


def _check_card(parts: PackageParts, statement: PackageStatement) -> None:
    graph = digest.of_bytes(parts.graph)
    said = (parts.card.product, parts.card.version, parts.card.graph)
    if said != (statement.product, statement.version, graph):
        msg = "The card of a package speaks of another product, version or graph."
        raise PackageMalformedError(msg, advice="Make the card for this graph.")
