"""Whether a package's signatures are enough in a workspace: keys, lists, policy."""

from __future__ import annotations

from pathlib import Path

from tundish.catalog.documents import read_document
from tundish.flows.trust import take_carried
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.digest import Digest, is_digest
from tundish.model.package import Admission, Package
from tundish.seal.errors import PolicyInvalidError
from tundish.seal.keys import VerifyKey
from tundish.seal.policy import Policy, PolicyFile
from tundish.seal.signers import Signers

FILE = "policy.yaml"


def signers(workspace: Workspace) -> Signers:
    """Return whose signatures count: trusted keys alone, a policy's keys beside them.

    Raises:
        DocumentMalformedError, DocumentInvalidError, PolicyInvalidError: if the policy
            file is wrong; then nothing is opened.
    """
    return Signers(keys=workspace.keyring.known(), seconds=_keys(workspace))


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
        signed = [by.key.key_id for by in package.by]
        trust.check_package(package.digest, signed)
        counting = trust.counting(package.by, package.digest)
        if policy is not None:
            policy.check(package.statement.product, counting, trust.origin)

    return admit


def load(workspace: Workspace) -> Policy | None:
    """Return the policy of ``policy.yaml`` beside ``tundish.toml``, if there is one.

    Raises:
        As ``signers``; PathMissingError if a key's file is not there.
    """
    path = workspace.root / FILE
    if not path.exists():
        return None
    said = read_document(path, PolicyFile)
    ids = {name: _id(workspace, name, key) for name, key in said.keys.items()}
    return Policy(rules=said.rules, ids=ids)


def _keys(workspace: Workspace) -> tuple[VerifyKey, ...]:
    path = workspace.root / FILE
    if not path.exists():
        return ()
    said = read_document(path, PolicyFile)
    files = [key for key in said.keys.values() if not is_digest(key)]
    return tuple(VerifyKey.load(_file(workspace.root, name)) for name in files)


def _id(workspace: Workspace, name: str, key: str) -> Digest:
    if not is_digest(key):
        return VerifyKey.load(_file(workspace.root, key)).key_id
    found = Digest(key)
    if all(known.key_id != found for known in workspace.keyring.known()):
        msg = f"The policy's key {name} is named by an id that no key trusted here has."
        raise PolicyInvalidError(msg, advice="Name the file of the public key (PEM).")
    return found


def _file(root: Path, name: str) -> Path:
    return paths.join(root, name)
