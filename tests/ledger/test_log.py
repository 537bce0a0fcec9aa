"""Laws of the ledger file: what is written stays, what is changed is found."""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests import other_root

from tundish.kernel import canonical, digest
from tundish.kernel.clock import ManualClock, SystemClock
from tundish.kernel.errors import DiskFullError, PathMissingError
from tundish.ledger import merkle, note, store
from tundish.ledger.errors import (
    EntryInvalidError,
    EntryMissingError,
    LedgerLockedError,
    LedgerTamperedError,
    LedgerUnreadableError,
)
from tundish.ledger.log import Ledger, NewAct

START = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
SECRET = b"a key of this test"
A, B = digest.of_bytes(b"a"), digest.of_bytes(b"b")


class WrongSignatureError(Exception):
    """The test's key did not make this signature."""


def _sign(text: bytes) -> bytes:
    return hmac.digest(SECRET, text, "sha256")


def _verify(text: bytes, signature: bytes) -> None:
    if not hmac.compare_digest(_sign(text), signature):
        raise WrongSignatureError


SIGNER = note.NoteSigner(name="plant", key_id=b"\x00\x01\x02\x03", sign=_sign)
TRUSTED = (note.NoteVerifier(name="plant", key_id=b"\x00\x01\x02\x03", verify=_verify),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(path, ManualClock(START)) as log:
        yield log


def fill(log: Ledger, count: int) -> None:
    log.append_many(
        NewAct(act="graded", actor="key:1", inputs=(A,), detail={"n": number})
        for number in range(count)
    )


def change(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_what_is_appended_is_read_back(ledger: Ledger) -> None:
    first = ledger.append(
        "data-fetched", actor="key:1", outputs=(A,), names={A: "fermentation"}
    )
    second = ledger.append(
        "refused", actor="key:1", inputs=(A,), outcome="refused", code="grant-expired"
    )
    assert (first, second, ledger.size()) == (0, 1, 2)
    entries = dict(ledger.entries())
    assert entries[0].at == "2026-05-04T06:00:00Z"
    assert entries[0].names == {A: "fermentation"}
    assert entries[1].code == "grant-expired"
    assert ledger.entry(1) == entries[1]
    assert [index for index, _ in ledger.entries(start=1)] == [1]


def test_a_second_opening_goes_on_where_the_first_ended(path: Path) -> None:
    with Ledger(path, ManualClock(START)) as log:
        fill(log, 5)
        origin = log.origin
    with Ledger(path, ManualClock(START), create=False) as log:
        assert log.append("graded", actor="x") == 5
        assert log.origin == origin


def test_the_root_is_that_of_the_stored_bytes(ledger: Ledger, path: Path) -> None:
    fill(ledger, 9)
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT body FROM entries ORDER BY position").fetchall()
    connection.close()
    leaves = [merkle.leaf_hash(row[0]) for row in rows]
    assert ledger.root() == merkle.root(leaves)
    fill(ledger, 3)
    assert ledger.root(9) == merkle.root(leaves)
    assert ledger.root() == ledger.root(12)


def test_proofs_of_the_ledger_hold(ledger: Ledger) -> None:
    fill(ledger, 13)
    merkle.verify_consistency(
        old_size=5,
        new_size=13,
        old_root=ledger.root(5),
        new_root=ledger.root(13),
        proof=ledger.consistency_proof(5, 13),
    )
    merkle.verify_inclusion(
        ledger._leaves(13)[3],
        index=3,
        size=13,
        proof=ledger.inclusion_proof(3, 13),
        root=ledger.root(13),
    )
    with pytest.raises(EntryMissingError):
        ledger.inclusion_proof(3, 14)
    with pytest.raises(EntryMissingError):
        ledger.entry(13)


def test_an_untouched_ledger_verifies_and_says_what_is_unwitnessed(
    ledger: Ledger,
) -> None:
    assert ledger.verify(TRUSTED).size == 0
    fill(ledger, 4)
    ledger.checkpoint(SIGNER)
    fill(ledger, 3)
    ledger.checkpoint(SIGNER)
    fill(ledger, 2)
    report = ledger.verify(TRUSTED)
    assert (report.size, report.checkpoints) == (9, 2)
    assert (report.covered, report.unwitnessed) == (7, 2)
    assert report.root == ledger.root().hex()


@pytest.mark.parametrize("position", range(8))
def test_a_changed_entry_is_found(ledger: Ledger, path: Path, position: int) -> None:
    fill(ledger, 8)
    ledger.checkpoint(SIGNER)
    change(
        path,
        "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'key:1', 'key:2')"
        " AS BLOB) WHERE position = ?",
        position,
    )
    with pytest.raises(LedgerTamperedError):
        ledger.verify(TRUSTED)


def test_every_changed_byte_of_an_entry_is_found(ledger: Ledger, path: Path) -> None:
    fill(ledger, 2)
    ledger.checkpoint(SIGNER)
    connection = sqlite3.connect(path)
    body = connection.execute("SELECT body FROM entries").fetchone()[0]
    for at in range(len(body)):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        connection.execute("UPDATE entries SET body=? WHERE position=0", (changed,))
        connection.commit()
        with pytest.raises(LedgerTamperedError):
            ledger.verify(TRUSTED)
    connection.close()


def test_a_dropped_entry_is_found(ledger: Ledger, path: Path) -> None:
    fill(ledger, 8)
    change(path, "DELETE FROM entries WHERE position = 3")
    with pytest.raises(LedgerTamperedError, match="Entry 3"):
        ledger.verify(TRUSTED)
    with pytest.raises(LedgerTamperedError, match="Entry 3"):
        ledger.checkpoint(SIGNER)


def test_swapped_entries_are_found(ledger: Ledger, path: Path) -> None:
    fill(ledger, 8)
    ledger.checkpoint(SIGNER)
    change(path, "UPDATE entries SET position = -1 WHERE position = 2")
    change(path, "UPDATE entries SET position = 2 WHERE position = 5")
    change(path, "UPDATE entries SET position = 5 WHERE position = -1")
    with pytest.raises(LedgerTamperedError, match="root that was signed"):
        ledger.verify(TRUSTED)


def test_a_tail_that_was_cut_off_is_found(ledger: Ledger, path: Path) -> None:
    fill(ledger, 8)
    ledger.checkpoint(SIGNER)
    change(path, "DELETE FROM entries WHERE position >= 6")
    with pytest.raises(LedgerTamperedError, match="tail was cut off"):
        ledger.verify(TRUSTED)


def test_a_ledger_cut_back_with_its_checkpoints_is_found_by_a_witness(
    ledger: Ledger, path: Path
) -> None:
    fill(ledger, 8)
    kept = ledger.checkpoint(SIGNER)
    change(path, "DELETE FROM entries WHERE position >= 6")
    change(path, "DELETE FROM checkpoints")
    assert ledger.verify(TRUSTED).size == 6
    with pytest.raises(LedgerTamperedError, match="tail was cut off"):
        ledger.verify(TRUSTED, witnessed=[kept])


def test_another_history_of_the_same_size_is_found(ledger: Ledger) -> None:
    fill(ledger, 4)
    forged = note.Checkpoint(
        origin=ledger.origin, size=4, root=hashlib.sha256().digest()
    )
    signed = note.sign_note(note.checkpoint_text(forged), SIGNER)
    ledger.checkpoint(SIGNER)
    with pytest.raises(LedgerTamperedError, match="two roots"):
        ledger.verify(TRUSTED, witnessed=[signed])


def test_a_checkpoint_of_another_log_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with Ledger(tmp_path / "other.db", ManualClock(START)) as other:
        foreign = other.checkpoint(SIGNER)
    with pytest.raises(LedgerTamperedError, match="belongs to the log"):
        ledger.verify(TRUSTED, witnessed=[foreign])


def test_a_checkpoint_with_a_wrong_signature_is_refused(
    ledger: Ledger, path: Path
) -> None:
    fill(ledger, 2)
    liar = note.NoteSigner(name="plant", key_id=SIGNER.key_id, sign=lambda _: b"x" * 32)
    ledger.checkpoint(liar)
    with pytest.raises(LedgerTamperedError, match="signature"):
        ledger.verify(TRUSTED)
    change(path, "UPDATE checkpoints SET note = note || ' '")
    with pytest.raises(LedgerTamperedError, match="Checkpoint 0"):
        ledger.verify(TRUSTED)


def test_a_checkpoint_cannot_be_checked_without_a_key(ledger: Ledger) -> None:
    ledger.checkpoint(SIGNER)
    with pytest.raises(LedgerTamperedError, match="none of them is trusted"):
        ledger.verify(())


def test_several_acts_are_written_together_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(EntryInvalidError):
        ledger.append_many(
            [NewAct(act="graded", actor="x"), NewAct(act="Not Kebab", actor="x")]
        )
    assert ledger.size() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("act", "Graded!"),
        ("actor", ""),
        ("inputs", ("sha256:short",)),
        ("outcome", "maybe"),
        ("detail", {"big": "x" * 70_000}),
    ],
)
def test_an_act_of_the_wrong_form_is_refused(
    ledger: Ledger, field: str, value: object
) -> None:
    fields: dict[str, object] = {"act": "graded", "actor": "x", field: value}
    with pytest.raises(EntryInvalidError):
        ledger.append_many([NewAct(**fields)])  # type: ignore[arg-type]
    assert ledger.size() == 0


def test_a_locked_ledger_says_so_in_one_sentence(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with (
        Ledger(path, ManualClock(START)) as waiting,
        pytest.raises(LedgerLockedError) as caught,
    ):
        waiting.append("graded", actor="x")
    assert str(path) in caught.value.one_line()
    assert "\n" not in caught.value.one_line()
    holder.execute("ROLLBACK")
    holder.close()
    assert ledger.append("graded", actor="x") == 0


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, but long enough" * 40]
)
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerUnreadableError):
        Ledger(path, ManualClock(START))
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    change(path, "CREATE TABLE entries (position INTEGER, body BLOB)")
    with pytest.raises(LedgerUnreadableError, match="not made by Tundish"):
        Ledger(path, ManualClock(START))


def test_a_ledger_of_a_later_form_is_refused(path: Path) -> None:
    Ledger(path, ManualClock(START)).close()
    change(path, "PRAGMA user_version = 2")
    with pytest.raises(LedgerUnreadableError, match="form 2"):
        Ledger(path, ManualClock(START))


def test_a_wrong_path_makes_no_new_ledger_when_only_reading(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError):
        Ledger(tmp_path / "wrong.db", SystemClock(), create=False)
    with pytest.raises(LedgerUnreadableError):
        Ledger(tmp_path, SystemClock(), create=False)
    assert list(tmp_path.iterdir()) == []


def test_threads_append_without_loss(ledger: Ledger) -> None:
    threads = [threading.Thread(target=fill, args=(ledger, 20)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify(TRUSTED).size == 160


@pytest.mark.integration
def test_a_kill_loses_nothing_that_was_acknowledged(path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tundish.kernel.clock import SystemClock
        from tundish.ledger.log import Ledger
        log = Ledger(Path(sys.argv[1]), SystemClock())
        while True:
            print(log.append("line-state", actor="line:1"), flush=True)
        """
    )
    source = Path(store.__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(source)},
        text=True,
    )
    assert child.stdout is not None
    seen = [int(next(child.stdout)) for _ in range(20)]
    os.kill(child.pid, signal.SIGKILL)
    seen += [int(line) for line in child.stdout.read().split()]
    child.wait()
    child.stdout.close()
    with Ledger(path, SystemClock(), create=False) as log:
        assert log.size() >= len(seen)
        assert log.verify(()).size == log.size()
        assert log.append("graded", actor="x") == log.size() - 1


@pytest.mark.integration
def test_two_processes_may_make_the_same_ledger(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; "
        "from tundish.kernel.clock import SystemClock; "
        "from tundish.ledger.log import Ledger; "
        "Ledger(Path(sys.argv[1]), SystemClock()).append('graded', actor='x')"
    )
    source = Path(store.__file__).parents[2]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            env={"PYTHONPATH": str(source)},
        )
        for _ in range(4)
    ]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    with Ledger(path, SystemClock(), create=False) as log:
        assert log.verify(()).size == 4
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b'{"act":"graded"}',
        b'{"act": "graded"}',
        b'{"at":"2026-05-04T06:00:00Z","at":"2026-05-04T06:00:00Z"}',
        b" " * 70_000,
    ],
)
def test_an_entry_that_tundish_would_not_write_is_found_without_a_checkpoint(
    ledger: Ledger, path: Path, body: bytes
) -> None:
    fill(ledger, 2)
    change(path, "UPDATE entries SET body = ? WHERE position = 1", body)
    with pytest.raises(LedgerTamperedError):
        ledger.verify(TRUSTED)
    with pytest.raises(LedgerTamperedError):
        list(ledger.entries())


def test_fields_of_a_later_tundish_are_kept(ledger: Ledger, path: Path) -> None:
    fill(ledger, 1)
    connection = sqlite3.connect(path)
    body = connection.execute("SELECT body FROM entries").fetchone()[0]
    connection.close()
    value = canonical.loads(body)
    assert isinstance(value, dict)
    later = canonical.dumps({**value, "zone": "line 3"})
    change(path, "UPDATE entries SET body = ? WHERE position = 0", later)
    assert ledger.entry(0).to_json()["zone"] == "line 3"
    assert ledger.verify(TRUSTED).size == 1


def test_a_full_disk_says_so_and_loses_nothing(ledger: Ledger, path: Path) -> None:
    fill(ledger, 3)
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFullError):
        fill(ledger, 500)
    ledger._connection.execute("PRAGMA max_page_count = 1000000")
    assert ledger.size() == 3
    assert ledger.append("graded", actor="x") == 3


_OPENED = """
import sys
from pathlib import Path
from tundish.kernel.clock import SystemClock
from tundish.kernel.errors import TundishError
from tundish.ledger.log import Ledger
try:
    Ledger(Path(sys.argv[1]), clock=SystemClock())
except TundishError as error:
    print(error.code, error.message)
"""


@pytest.mark.skipif(bool(other_root.why_not()), reason=other_root.why_not())
def test_a_ledger_on_a_medium_that_cannot_be_written_says_so(
    ledger: Ledger, path: Path
) -> None:
    fill(ledger, 3)
    ledger.close()
    folder = shlex.quote(str(path.parent))
    remounted = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
    opened = shlex.join([sys.executable, "-c", _OPENED, str(path)])
    said = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{remounted} && {opened}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.startswith("place-refused"), said
    assert "may not be written" in said.stdout


def test_a_ledger_is_made_where_there_are_no_hard_links(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    with Ledger(path, ManualClock(START)) as log:
        assert log.append("graded", actor="x") == 0
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_ledger_that_lost_its_name_is_refused(path: Path) -> None:
    Ledger(path, ManualClock(START)).close()
    change(path, "DELETE FROM origin")
    with pytest.raises(LedgerTamperedError, match="name"):
        Ledger(path, ManualClock(START))


def test_a_damaged_file_is_said(ledger: Ledger, path: Path) -> None:
    fill(ledger, 500)
    ledger.close()
    body = bytearray(path.read_bytes())
    body[4096:12288] = b"\xff" * 8192
    path.write_bytes(bytes(body))
    with (
        pytest.raises((LedgerUnreadableError, LedgerTamperedError)),
        Ledger(path, ManualClock(START)) as log,
    ):
        log.verify(TRUSTED)
