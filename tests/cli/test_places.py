"""Places that refuse, streams that are gone, words in vain: said in one sentence, exit 2 or 4."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tundish.cli import main

SCRIPT = Path(sys.executable).parent / "tundish"
WRITERS = [
    ["init"],
    ["device", "init"],
    ["key", "-w", "plant", "--subject", "CN=x", "--csr"],
    ["key", "-w", "plant", "--rotate", "--to"],
    ["revoke", "-w", "plant", "--grant", "grant-0", "--to"],
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main.status(["init", "plant"]) == 0
    (tmp_path / "file").write_bytes(b"stays")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    return tmp_path


def ended(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.status(arguments)
    said = capsys.readouterr()
    return code, said.out, " ".join(said.err.split())


CASES = [
    (writer, place)
    for writer in WRITERS
    for place in ("file/out", "/proc/out", "folder")
    if place != "folder" or "init" not in writer  # a workspace is made in a folder
]


@pytest.mark.parametrize(("writer", "place"), CASES)
def test_a_place_that_refuses_is_named_and_nothing_is_left(
    writer: list[str], place: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = main.status(["key", "--id", "-w", "plant"]), capsys.readouterr().out
    code, _, said = ended([*writer, place], capsys)
    assert (code, "[place-refused]" in said, place in said) == (4, True, True), said
    after = main.status(["key", "--id", "-w", "plant"]), capsys.readouterr().out
    assert after == before
    assert (here / "file").read_bytes() == b"stays"
    assert not list(here.rglob(".tundish-*"))
    assert ended(["ledger", "verify", "-w", "plant"], capsys)[0] == 0


def run(arguments: list[str], **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [SCRIPT, *arguments], stderr=subprocess.PIPE, text=True, check=False, **how
    )


@pytest.mark.parametrize("arguments", [["key", "-w", "plant"], ["explain", "internal"]])
def test_output_that_nobody_takes_is_not_an_answer_of_no(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    gone = run(arguments, stdout=writer)
    os.close(writer)
    with Path("/dev/full").open("wb") as full:
        no_room = run(arguments, stdout=full)
    for done in (gone, no_room):
        assert done.returncode == 4
        assert "[output-lost]" in done.stderr
        assert "Traceback" not in done.stderr
        assert "ignored" not in done.stderr


def test_the_ledger_never_gets_the_number_of_a_stream_that_is_closed(
    here: Path,
) -> None:
    watch = (
        "import os, sys; from tundish.__main__ import hold_standard_streams as hold\n"
        "hold(); number = os.open('file', os.O_RDONLY); sys.stdout.write('x')\n"
        "sys.exit(number)"
    )
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "{watch}" <&- >&- 2>&-'], check=False
    )
    assert done.returncode > 2
    closed = ["bash", "-c", f"{SCRIPT} ledger verify --json -w plant >&-"]
    assert subprocess.run(closed, check=False).returncode == 0


def test_a_code_that_nobody_types_is_said(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["device", "activate", "p.tar", "g.grant", "-w", "plant"]
    done = run(asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert "[answer-missing]" in done.stderr
    assert "Warning" not in done.stderr
    given = run(asked, input="1AMEY\n", stdout=subprocess.PIPE)
    assert "[path-missing]" in given.stderr  # the code was taken; the package is absent


@pytest.mark.parametrize(
    "command",
    [
        ["trust", "owner.pub", "--subject", "O=Plant"],
        ["trust", "--ca", "ca.pem", "--may-revoke"],
        ["trust", "--crl", "list.crl", "--until", "2030-01-01"],
        ["key", "--subject", "CN=x"],
        ["key", "--to", "out"],
    ],
    ids=" ".join,
)
def test_a_limit_that_would_do_nothing_is_refused(
    command: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "owner.pub").write_bytes(
        (here / "plant/.tundish/keys/signing.pub").read_bytes()
    )
    code, _, said = ended([*command, "-w", "plant"], capsys)
    assert code == 2
    assert "would do nothing without" in said
    assert not list((here / "plant/.tundish/trusted").iterdir())


@pytest.mark.parametrize("kind", ["--key", "--grant", "--package"])
def test_what_names_nothing_is_not_revoked(
    kind: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(here / "pipe")  # opened, it would wait for ever
    for name in ("folder", "pipe", "no/such"):
        code, _, said = ended(["revoke", kind, name, "-w", "plant"], capsys)
        assert code in {2, 3}, said
        assert "[internal]" not in said


def test_material_of_any_bytes_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(here / "whole.npz", x=np.zeros((4, 2, 2)))
    np.save(here / "one.npy", np.zeros(3))
    whole = (here / "whole.npz").read_bytes()
    one = (here / "one.npy").read_bytes()
    for data in (b"", whole[:-30], whole.replace(b"NUMPY", b"NUMPX"), one):
        (here / "m.npz").write_bytes(data)
        command = ["fingerprint", "make", "--graph", "file", "--material", "m.npz"]
        code, _, said = ended([*command, "-w", "plant"], capsys)
        assert (code, "[answers-file]" in said) == (2, True), (data[:9], said)


@pytest.mark.parametrize("words", [["plan"], ["data", "list"], ["catalog", "coverage"]])
def test_a_folder_that_is_gone_from_under_a_command_is_said(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    capsys.readouterr()
    assert main.status(words) == 2
    assert "in which the command was given is gone" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize(
    "words",
    [
        ["scenario", "simulate", "C34.28.hydraulic-valve"],
        ["catalog", "coverage", "--html"],
        ["scenario", "new"],
    ],
)
def test_a_new_thing_of_the_catalogue_names_the_place_that_was_given(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.status([*words, "file/made"]) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "[place-refused]" in said
    assert "file" in said
    assert ".making-" not in said
    assert Path("file").read_bytes() == b"stays"


def test_a_workspace_made_here_is_not_said_to_lie_above(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said "in ..", which is the folder above, and a full stop behind a dot."""
    for command, place in ((["init"], "plant-2"), (["device", "init", "."], "box")):
        (here / place).mkdir()
        monkeypatch.chdir(here / place)
        code, out, _ = ended(command, capsys)
        assert code == 0
        assert str(here / place) in "".join(out.split("\n"))


@pytest.mark.parametrize("command", [["judge"], ["seal"], ["repeat", "run-1"]])
def test_a_workspace_without_a_run_says_how_to_get_one(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = ended([*command, "-w", "plant"], capsys)
    assert code == 2
    assert "The workspace plant has no run yet." in said
    assert "tundish train" in said


def test_a_full_disk_is_not_called_a_damaged_ledger(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It advised to put back a copy of a ledger that nothing had happened to."""
    disk = here / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if (
        os.geteuid()
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("this user mounts no file system")
    try:
        assert ended(["init", "disk/box"], capsys)[0] == 0
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        code, _, said = ended(["ledger", "verify", "-w", "disk/box"], capsys)
        assert (code, "[disk-full]" in said) == (4, True)
        (disk / "filler").unlink()
        assert ended(["ledger", "verify", "-w", "disk/box"], capsys)[0] == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
