"""Laws of signed notes: only the bytes that writing gives are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.ledger import note
from tundish.ledger.errors import NoteMalformedError

EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOo"
    "RDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


class WrongError(Exception):
    """A signature is wrong."""


def _sign(text: bytes) -> bytes:
    return bytes(reversed(text))[:64].ljust(64, b".")


def _verify(text: bytes, signature: bytes) -> None:
    if signature != _sign(text):
        raise WrongError


SIGNER = note.NoteSigner(name="plant/log", key_id=b"\x01\x02\x03\x04", sign=_sign)
VERIFIER = note.NoteVerifier(
    name="plant/log", key_id=b"\x01\x02\x03\x04", verify=_verify
)


def test_the_example_of_the_specification_is_read() -> None:
    found = note.read_note(EXAMPLE)
    claim = note.read_checkpoint(found.text)
    assert claim.origin == "example.com/behind-the-sofa"
    assert claim.size == 20852163
    assert found.signatures[0].key_id.hex() == "033de0ae"
    assert note.write_note(found) == EXAMPLE


@given(size=st.integers(0, 10**12), root=st.binary(min_size=32, max_size=32))
def test_a_checkpoint_round_trips(size: int, root: bytes) -> None:
    claim = note.Checkpoint(origin="tundish/log", size=size, root=root)
    signed = note.sign_note(note.checkpoint_text(claim), SIGNER)
    text = note.verify_note(signed, (VERIFIER,)).text
    assert note.read_checkpoint(text) == claim


def test_no_changed_character_of_a_note_verifies() -> None:
    claim = note.Checkpoint(origin="plant/log", size=7, root=bytes(32))
    signed = note.sign_note(note.checkpoint_text(claim), SIGNER)
    for at in range(len(signed)):
        for letter in "A0=\n +":
            changed = signed[:at] + letter + signed[at + 1 :]
            if changed != signed:
                with pytest.raises((NoteMalformedError, WrongError)):
                    note.verify_note(changed, (VERIFIER,))


@pytest.mark.parametrize(
    "text",
    [
        "origin\n7\n",
        "origin\n07\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n7\nAAAA\n",
        "origin\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
        "origin\n7\n!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nmore\n",
        "origin\n\u0667\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    ],
)
def test_other_forms_of_a_checkpoint_are_refused(text: str) -> None:
    with pytest.raises(NoteMalformedError):
        note.read_checkpoint(text)


def test_a_note_of_an_unknown_key_is_refused() -> None:
    signed = note.sign_note("text\n", SIGNER)
    stranger = note.NoteVerifier(name="plant/log", key_id=b"9999", verify=_verify)
    with pytest.raises(NoteMalformedError, match="none of them is trusted"):
        note.verify_note(signed, (stranger,))


def test_lines_of_unknown_witnesses_are_passed_over() -> None:
    signed = note.sign_note("text\n", SIGNER)
    other = note.NoteSigner(name="witness", key_id=b"abcd", sign=_sign)
    line = note.sign_note("text\n", other).rpartition("\n\n")[2]
    assert len(note.verify_note(signed + line, (VERIFIER,)).signatures) == 2


def test_a_note_can_only_be_made_in_readable_form() -> None:
    for text in ("", "no newline", "two\n\nparts\n", "bell\x07\n"):
        with pytest.raises(NoteMalformedError):
            note.sign_note(text, SIGNER)
    for name in ("", "a b", "a+b"):
        bad = note.NoteSigner(name=name, key_id=b"abcd", sign=_sign)
        with pytest.raises(NoteMalformedError):
            note.sign_note("text\n", bad)
    with pytest.raises(NoteMalformedError, match="characters"):
        note.read_note("a" * 70_000)
