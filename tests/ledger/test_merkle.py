"""Laws of the Merkle tree, against the recursive definition of RFC 6962."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.ledger import merkle
from tundish.ledger.errors import EntryMissingError, ProofInvalidError

LEAVES = [merkle.leaf_hash(f"entry {number}".encode()) for number in range(64)]
SIZES = range(len(LEAVES) + 1)


def rfc_root(leaves: Sequence[bytes]) -> bytes:
    """Return the tree hash as RFC 6962, section 2.1 writes it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    both = rfc_root(leaves[:split]) + rfc_root(leaves[split:])
    return hashlib.sha256(b"\x01" + both).digest()


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_the_one_of_the_standard(size: int) -> None:
    assert merkle.root(LEAVES[:size]) == rfc_root(LEAVES[:size])


def test_known_roots_of_certificate_transparency_are_met() -> None:
    """Vectors of the reference implementation of RFC 6962."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in inputs]
    leaves.append(merkle.leaf_hash(bytes.fromhex("606162636465666768696a6b6c6d6e6f")))
    expected = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, root in expected.items():
        assert merkle.root(leaves[:size]).hex() == root


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_of_every_size_is_proved(size: int) -> None:
    root = merkle.root(LEAVES[:size])
    for index in range(size):
        proof = merkle.inclusion_proof(LEAVES[:size], index)
        merkle.verify_inclusion(
            LEAVES[index], index=index, size=size, proof=proof, root=root
        )


@pytest.mark.parametrize("new", SIZES)
def test_every_prefix_of_every_size_is_proved(new: int) -> None:
    new_root = merkle.root(LEAVES[:new])
    for old in range(new + 1):
        merkle.verify_consistency(
            old_size=old,
            new_size=new,
            old_root=merkle.root(LEAVES[:old]),
            new_root=new_root,
            proof=merkle.consistency_proof(LEAVES[:new], old),
        )


@given(st.data())
def test_an_inclusion_proof_holds_for_its_entry_only(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 64))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(
        st.integers(0, size - 1).filter(lambda at: at != index)
        if size > 1
        else st.just(-1)
    )
    proof = merkle.inclusion_proof(LEAVES[:size], index)
    root = merkle.root(LEAVES[:size])
    with pytest.raises(ProofInvalidError):
        merkle.verify_inclusion(
            LEAVES[index], index=other, size=size, proof=proof, root=root
        )
    with pytest.raises(ProofInvalidError):
        merkle.verify_inclusion(
            merkle.leaf_hash(b"x"), index=index, size=size, proof=proof, root=root
        )


@given(st.data())
def test_a_changed_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 64))
    old = data.draw(st.integers(1, new - 1))
    proof = list(merkle.consistency_proof(LEAVES[:new], old))
    roots = merkle.root(LEAVES[:old]), merkle.root(LEAVES[:new])
    how = data.draw(st.sampled_from(["drop", "add", "change", "other root"]))
    if how == "drop":
        proof.pop(data.draw(st.integers(0, len(proof) - 1)))
    elif how == "add":
        proof.insert(data.draw(st.integers(0, len(proof))), LEAVES[0])
    elif how == "change":
        at = data.draw(st.integers(0, len(proof) - 1))
        proof[at] = merkle.leaf_hash(proof[at])
    else:
        roots = merkle.leaf_hash(b"other"), roots[1]
    with pytest.raises(ProofInvalidError):
        merkle.verify_consistency(
            old_size=old,
            new_size=new,
            old_root=roots[0],
            new_root=roots[1],
            proof=proof,
        )


@given(st.data())
def test_a_forked_history_has_no_consistency_proof(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 64))
    old = data.draw(st.integers(1, new))
    at = data.draw(st.integers(0, old - 1))
    forked = [*LEAVES[:at], merkle.leaf_hash(b"forged"), *LEAVES[at + 1 : new]]
    with pytest.raises(ProofInvalidError):
        merkle.verify_consistency(
            old_size=old,
            new_size=new,
            old_root=merkle.root(LEAVES[:old]),
            new_root=merkle.root(forked),
            proof=merkle.consistency_proof(forked, old),
        )


def test_trivial_proofs_are_checked_too() -> None:
    root = merkle.root(LEAVES[:3])
    wrong: list[tuple[int, int, bytes, bytes, list[bytes]]] = [
        (0, 3, root, root, []),
        (3, 3, root, LEAVES[0], []),
        (3, 3, root, root, [root]),
        (0, 0, merkle.EMPTY_ROOT, root, []),
        (4, 3, root, root, []),
        (2, 3, b"short", root, []),
        (1, 3, LEAVES[0], root, []),
        (2, 3, merkle.root(LEAVES[:2]), root, []),
    ]
    for old, new, old_root, new_root, proof in wrong:
        with pytest.raises(ProofInvalidError):
            merkle.verify_consistency(
                old_size=old,
                new_size=new,
                old_root=old_root,
                new_root=new_root,
                proof=proof,
            )


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    with pytest.raises(EntryMissingError):
        merkle.inclusion_proof(LEAVES[:4], 4)
    with pytest.raises(EntryMissingError):
        merkle.consistency_proof(LEAVES[:4], 5)
