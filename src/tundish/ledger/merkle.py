"""The Merkle tree of RFC 6962: roots, inclusion and consistency proofs.

Pure functions from hashes to hashes. A leaf is hashed as ``SHA-256(00 || data)``,
a node as ``SHA-256(01 || left || right)``, so that no node can pass for a leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tundish.ledger.errors import EntryMissingError, ProofInvalidError

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_SIZE = 32


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one entry's bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node from the hashes below it."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the complete subtrees of a growing tree, largest first.

    Pushing a leaf costs one hash on average, the root of any moment at most
    log2(size) hashes; the leaves themselves are not kept.
    """

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def push(self, leaf: bytes) -> None:
        """Add the next leaf's hash."""
        self._peaks.append(leaf)
        rest = self.size
        while rest & 1:
            right = self._peaks.pop()
            self._peaks[-1] = node_hash(self._peaks[-1], right)
            rest >>= 1
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the tree as it stands."""
        if not self._peaks:
            return EMPTY_ROOT
        result = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            result = node_hash(peak, result)
        return result


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; of none, the hash of nothing."""
    return _subtree(leaves, 0, len(leaves))


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the audit path of leaf ``index`` in the tree of all leaves.

    Raises:
        EntryMissingError: if there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        msg = f"Entry {index} was asked for in a tree of {len(leaves)} entries."
        raise EntryMissingError(msg)
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_subtree(leaves, middle, high))
            high = middle
        else:
            path.append(_subtree(leaves, low, middle))
            low = middle
    return tuple(reversed(path))


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Return the proof that the first ``old_size`` leaves are a prefix of all.

    Raises:
        EntryMissingError: if the old tree is larger than the new one.
    """
    if not 0 <= old_size <= len(leaves):
        msg = f"A tree of {old_size} was asked for in a tree of {len(leaves)} entries."
        raise EntryMissingError(msg)
    if old_size in {0, len(leaves)}:
        return ()
    path: list[bytes] = []
    low, high, whole = 0, len(leaves), True
    while old_size != high:
        middle = low + _split(high - low)
        if old_size <= middle:
            path.append(_subtree(leaves, middle, high))
            high = middle
        else:
            path.append(_subtree(leaves, low, middle))
            low, whole = middle, False
    if not whole:
        path.append(_subtree(leaves, low, high))
    return tuple(reversed(path))


def verify_inclusion(
    leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that ``leaf`` is entry ``index`` of the tree with this size and root.

    After RFC 9162, section 2.1.3.2.

    Raises:
        ProofInvalidError: if the proof does not lead to the root.
    """
    _check_hashes([leaf, root, *proof])
    if not 0 <= index < size:
        msg = f"A proof speaks of entry {index} in a tree of {size} entries."
        raise ProofInvalidError(msg)
    at, last, result = index, size - 1, leaf
    for step in proof:
        if last == 0:
            msg = f"The inclusion proof of entry {index} is too long."
            raise ProofInvalidError(msg)
        if at & 1 or at == last:
            result = node_hash(step, result)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            result = node_hash(result, step)
        at, last = at >> 1, last >> 1
    if last != 0 or result != root:
        msg = f"The inclusion proof of entry {index} does not lead to the root."
        raise ProofInvalidError(msg)


def verify_consistency(
    *,
    old_size: int,
    new_size: int,
    old_root: bytes,
    new_root: bytes,
    proof: Sequence[bytes],
) -> None:
    """Check that the tree of ``old_size`` is a prefix of the tree of ``new_size``.

    After RFC 9162, section 2.1.4.2.

    Raises:
        ProofInvalidError: if the proof does not lead to both roots.
    """
    _check_hashes([old_root, new_root, *proof])
    if not 0 <= old_size <= new_size:
        msg = f"A tree of {old_size} entries cannot be a prefix of one of {new_size}."
        raise ProofInvalidError(msg)
    if old_size in {0, new_size}:
        _check_trivial(old_size, new_size, (old_root, new_root), proof)
        return
    found = _walk_consistency(old_size, new_size, old_root, proof)
    if found != (old_root, new_root):
        msg = (
            f"The consistency proof from {old_size} to {new_size} entries does not "
            "lead to both roots."
        )
        raise ProofInvalidError(msg)


def _walk_consistency(
    old_size: int, new_size: int, old_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes] | None:
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    steps = list(proof) if at else [old_root, *proof]
    if not steps:
        return None
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return None
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    return (old, new) if last == 0 else None


def _check_trivial(
    old_size: int, new_size: int, roots: tuple[bytes, bytes], proof: Sequence[bytes]
) -> None:
    old_root, new_root = roots
    right = not proof and (old_root == new_root if old_size else True)
    if old_size == 0:
        right = right and old_root == EMPTY_ROOT
    if new_size == 0:
        right = right and new_root == EMPTY_ROOT
    if not right:
        msg = f"The consistency proof from {old_size} to {new_size} entries is wrong."
        raise ProofInvalidError(msg)


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_SIZE for item in hashes):
        msg = f"A Merkle proof holds a hash that has not {HASH_SIZE} bytes."
        raise ProofInvalidError(msg)


def _subtree(leaves: Sequence[bytes], low: int, high: int) -> bytes:
    frontier = Frontier()
    for position in range(low, high):
        frontier.push(leaves[position])
    return frontier.root()


def _split(size: int) -> int:
    """Return the largest power of two below ``size`` (two or more)."""
    return 1 << ((size - 1).bit_length() - 1)
