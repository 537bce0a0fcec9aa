"""Agreement with the upstream ``age`` program, in both directions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tundish.seal import envelope
from tundish.seal.envelope import Identity
from tundish.seal.errors import EnvelopeClosedError

AGE = shutil.which("age")
KEYGEN = shutil.which("age-keygen")
pytestmark = pytest.mark.skipif(
    AGE is None or KEYGEN is None, reason="the program age is not installed here"
)
SIZES = [0, 1, 65_535, 65_536, 65_537, 3_000_000]


def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(arguments, input=data, capture_output=True, check=False)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.txt"
    assert run(str(KEYGEN), "-o", str(path)).returncode == 0
    return path


def recipient(key_file: Path) -> str:
    return run(str(KEYGEN), "-y", str(key_file)).stdout.decode().strip()


@pytest.mark.parametrize("size", SIZES)
def test_age_opens_what_we_wrote(size: int, key_file: Path) -> None:
    clear = bytes(i * 31 % 256 for i in range(size))
    sealed = envelope.encrypt(clear, [recipient(key_file)])
    opened = run(str(AGE), "-d", "-i", str(key_file), data=sealed)
    assert opened.returncode == 0
    assert opened.stdout == clear


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_age_wrote(size: int) -> None:
    identity = envelope.new_identity()
    clear = bytes(i * 17 % 256 for i in range(size))
    sealed = run(str(AGE), "-r", identity.recipient, data=clear)
    assert sealed.returncode == 0
    assert envelope.decrypt(sealed.stdout, identity) == clear


def test_neither_opens_what_was_written_for_another(key_file: Path) -> None:
    stranger: Identity = envelope.new_identity()
    sealed = envelope.encrypt(b"graph", [stranger.recipient])
    assert run(str(AGE), "-d", "-i", str(key_file), data=sealed).returncode != 0
    foreign = run(str(AGE), "-r", recipient(key_file), data=b"graph").stdout
    with pytest.raises(EnvelopeClosedError):
        envelope.decrypt(foreign, stranger)
