"""Whether a package's signatures are enough in a workspace: keys, lists, policy."""

from __future__ import annotations

from pathlib import Path

from tundish.catalog.documents import read_document
from tundish.flows.trust import take_carried
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.digest import Digest, is_digest
from tundish.model.package import Admission, Package
from tundish.seal import chain, link
from tundish.seal.chain import Authority
from tundish.seal.errors import PolicyInvalidError
from tundish.seal.keys import VerifyKey
from tundish.seal.policy import Policy, PolicyFile, UnderCa
from tundish.seal.signers import Signers
from tundish.seal.trust import Trust

FILE = "policy.yaml"


def signers(workspace: Workspace) -> Signers:
    """Return whose signatures count: trusted keys alone, a policy's keys beside them.

    The same holds for signers under CAs.

    Raises:
        DocumentMalformedError, DocumentInvalidError, PolicyInvalidError: if the policy
            file is wrong; then nothing is opened.
    """
    said = _read(workspace)
    return Signers(
        keys=workspace.keyring.known(),
        seconds=_keys(workspace, said),
        authorities=workspace.authorities.known(),
        second_authorities=_authorities(workspace, said),
    )


def admission(workspace: Workspace) -> Admission:
    """Return what decides whether a package's signatures are enough here.

    Raises:
        As ``signers``.
    """
    policy = load(workspace)

    def admit(package: Package) -> None:
        if package.revocations is not None:
            take_carried(workspace, package.revocations)
        trust = workspace.standing()
        counting = _counted(trust, package)
        if policy is not None:
            persons = {by.key.key_id: by.chain.person for by in package.by if by.chain}
            policy.check(package.statement.product, counting, trust.origin, persons)

    return admit


def counting(workspace: Workspace) -> Admission:
    """Return what refuses a package that was revoked, or whose signers count no more.

    It is for who signs a package too, or grants it: a policy is for who opens it.

    Raises:
        RevocationsMissingError, DocumentMalformedError: from ``Keyring.trust``.
    """
    trust = workspace.standing()

    def admit(package: Package) -> None:
        _counted(trust, package)

    return admit


def _counted(trust: Trust, package: Package) -> frozenset[Digest]:
    trust.check_package(package.digest, [by.key.key_id for by in package.by])
    return trust.counting(package.by, package.digest)


def load(workspace: Workspace) -> Policy | None:
    """Return the policy of ``policy.yaml`` beside ``tundish.toml``, if there is one.

    Raises:
        As ``signers``; PathMissingError if a key's file is not there.
    """
    said = _read(workspace)
    if said is None:
        return None
    ids = {name: _id(workspace, name, key) for name, key in said.keys.items()}
    return Policy(rules=said.rules, ids=ids)


def _read(workspace: Workspace) -> PolicyFile | None:
    path = workspace.root / FILE
    return read_document(path, PolicyFile) if path.exists() else None


def _keys(workspace: Workspace, said: PolicyFile | None) -> tuple[VerifyKey, ...]:
    named = said.keys.values() if said else ()
    files = [key for key in named if isinstance(key, str) and not is_digest(key)]
    return tuple(VerifyKey.load(_file(workspace.root, name)) for name in files)


def _authorities(
    workspace: Workspace, said: PolicyFile | None
) -> tuple[Authority, ...]:
    named = said.keys.values() if said else ()
    return tuple(
        Authority(
            link=_ca(workspace, one),
            groups=(link.parts_of(one.subject),) if one.subject is not None else (),
            key=Digest(one.key) if one.key is not None else None,
        )
        for one in named
        if isinstance(one, UnderCa)
    )


def _id(workspace: Workspace, name: str, key: str | UnderCa) -> Digest:
    if isinstance(key, UnderCa):
        if key.subject is None:
            return Digest(str(key.key))
        ca = _ca(workspace, key).key.key_id
        return chain.person(ca, link.parts_of(key.subject))
    if not is_digest(key):
        return VerifyKey.load(_file(workspace.root, key)).key_id
    found = Digest(key)
    if all(known.key_id != found for known in workspace.keyring.known()):
        msg = f"The policy's key {name} is named by an id that no key trusted here has."
        raise PolicyInvalidError(
            msg, advice="Name the file of the public key (PEM), or its CA."
        )
    return found


def _ca(workspace: Workspace, said: UnderCa) -> link.Link:
    path = paths.existing_file(_file(workspace.root, said.ca))
    return chain.read_authority(path.read_bytes())


def _file(root: Path, name: str) -> Path:
    return paths.join(root, name)
