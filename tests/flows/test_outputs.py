"""What a person has written takes no other thing's place."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tundish.cli import main
from tundish.flows.errors import OutExistsError
from tundish.flows.outputs import new_folder, write_out
from tundish.flows.simulate import simulate
from tundish.kernel import paths
from tundish.kernel.errors import DiskFullError, PlaceRefusedError

REQUEST = b"-----BEGIN CERTIFICATE REQUEST-----\nnew\n"
OTHERS = [
    b"SQLite format 3\x00",
    b"-----BEGIN PRIVATE KEY-----\n",
    b"-----BEGIN CERTIFICATE-----\n",
    b"age-encryption.org/v1\n",
    b"x",
]


@pytest.mark.parametrize("there", OTHERS)
def test_a_file_of_another_kind_is_not_replaced(there: bytes, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(there)
    with pytest.raises(OutExistsError):
        write_out(path, REQUEST)
    assert path.read_bytes() == there


@pytest.mark.parametrize("there", [None, b"", REQUEST.replace(b"new", b"old, longer")])
def test_an_empty_file_or_one_of_the_same_kind_is_replaced(
    there: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    if there is not None:
        path.write_bytes(there)
    write_out(path, REQUEST)
    assert path.read_bytes() == REQUEST


def test_no_file_takes_the_place_of_a_device_or_a_pipe(tmp_path: Path) -> None:
    """Run by root, a rename would remove /dev/null from the machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(PlaceRefusedError):
            paths.write_whole(path, b"x")
    assert (tmp_path / "pipe").is_fifo()
    assert Path("/dev/null").is_char_device()


def test_a_key_and_a_ledger_outlive_a_slip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.status(["init", "plant"]) == 0
    kept = Path("plant/.tundish")
    slips = [
        (["key", "--subject", "CN=x", "--csr"], kept / "keys/signing.pem"),
        (["revoke", "--grant", "grant-0", "--to"], kept / "ledger.db"),
        (["key", "--rotate", "--to"], kept / "keys/checkpoint.pem"),
    ]
    for command, place in slips:
        before = place.read_bytes()
        assert main.status([*command, str(place), "-w", "plant"]) == 2
        assert "[out-exists]" in capsys.readouterr().err
        assert place.read_bytes() == before
    assert main.status(["ledger", "verify", "-w", "plant"]) == 0
    assert not list((kept / "revocations").iterdir())  # what was not written counts not


@pytest.mark.parametrize(
    "words",
    [
        ["catalog", "coverage", "--html"],
        ["grade", "export.csv", "--quick", "--html"],
        ["data", "grade-all", "--mirror", ".", "--out"],
    ],
)
def test_no_page_takes_the_place_of_data(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = "time,flow\n2026-01-01T00:00:00Z,1\n2026-01-01T00:01:00Z,2\n"
    Path("export.csv").write_text(data)
    assert main.status([*words, "export.csv"]) == 2
    assert Path("export.csv").read_text() == data


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("broken", [KeyboardInterrupt(), OSError(28, "no space left")])
def test_a_new_folder_is_whole_or_leaves_nothing(
    tmp_path: Path, broken: BaseException, *, there: bool
) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()

    def break_off() -> None:
        with new_folder(out) as made:
            (made / "half.csv").write_text("1")
            raise broken

    with pytest.raises((KeyboardInterrupt, DiskFullError)):
        break_off()
    assert [p for p in tmp_path.rglob("*") if p != out] == []
    assert out.exists() == there


def test_an_empty_folder_that_somebody_stands_in_is_filled_and_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_folder(Path()) as made:
        (made / "whole.csv").write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["whole.csv"]
    with pytest.raises(OutExistsError), new_folder(tmp_path):
        raise AssertionError


def test_a_link_is_no_new_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OutExistsError), new_folder(tmp_path / "link"):
        raise AssertionError


def test_a_full_disk_ends_a_generated_stream_in_one_sentence(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(DiskFullError, match="no room"):
            simulate("C34.28.hydraulic-valve", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
