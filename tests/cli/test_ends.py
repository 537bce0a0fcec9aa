"""How commands end when something is wrong: one clear sentence, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tundish.cli import main
from tundish.flows import workspace as workspaces
from tundish.kernel import errors

SCRIPT = Path(sys.executable).parent / "tundish"
GLUCOSE = "C25.21.fermentation-glucose"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    code = main.status(arguments)
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, " ".join(said.err.split())


def test_a_wrong_path_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = ended(["grade", "no/such.csv"], capsys)
    assert code == 2
    assert "[path-missing]" in said
    assert "no/such.csv" in said
    assert "Advice:" in said


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.csv", b""),
        ("junk.csv", bytes(range(256)) * 40),
        ("half.parquet", b"PAR1abc"),
    ],
)
def test_a_file_that_is_no_table_is_named(
    name: str, data: bytes, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / name).write_bytes(data)
    code, _, said = ended(["grade", name], capsys)
    assert code in {2, 3}
    assert name in said
    assert "Advice:" in said


def test_a_missing_column_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "flow.csv").write_text(
        "Time,Flow\n2022-03-20T11:00:00+01:00,1\n", encoding="utf-8"
    )
    site = main.__file__.replace(
        "cli/main.py", "catalog/declared/sites/water-flow.yaml"
    )
    text = Path(site).read_text(encoding="utf-8").replace("water-flow.csv", "flow.csv")
    (here / "site.yaml").write_text(text, encoding="utf-8")
    code, _, said = ended(["grade", str(here), "--site", "site.yaml"], capsys)
    assert code == 3
    assert "[contract-broken]" in said
    assert "Water flow [l/s]" in said


def test_a_misspelt_key_is_named_with_its_path(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "s.yaml").write_text(
        "format: tundish.scenario\nversion: 1\nwindw: {}\n", encoding="utf-8"
    )
    code, _, said = ended(["scenario", "check", "s.yaml"], capsys)
    assert code == 2
    assert "windw is not a known key" in said


def test_a_locked_ledger_is_said_and_nothing_is_lost(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(["init", "plant"], capsys)[0] == 0
    lock = sqlite3.connect(here / "plant/.tundish/ledger.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    (here / "k.pub").write_bytes(
        (here / "plant/.tundish/keys/signing.pub").read_bytes()
    )
    code, _, said = ended(["trust", "k.pub", "-w", "plant"], capsys)
    assert code == 4
    assert "[ledger-locked]" in said
    lock.execute("ROLLBACK")
    lock.close()
    assert ended(["trust", "k.pub", "-w", "plant"], capsys)[0] == 0
    code, out, _ = ended(["ledger", "verify", "-w", "plant", "--json"], capsys)
    assert code == 0
    assert json.loads(out)["size"] == 2


def test_without_a_workspace_the_way_to_one_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, said = ended(["judge"], capsys)
    assert code == 2
    assert "[workspace-missing]" in said
    assert "tundish init" in said


def test_an_existing_workspace_keeps_its_keys(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(["init", "plant"], capsys)
    before = (here / "plant/.tundish/keys/signing.pem").read_bytes()
    code, _, said = ended(["init", "plant"], capsys)
    assert code == 2
    assert "[workspace-exists]" in said
    assert (here / "plant/.tundish/keys/signing.pem").read_bytes() == before


def test_errors_are_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    code = main.status(["ledger", "verify", "--json"])
    said = json.loads(capsys.readouterr().err)
    assert code == 2
    assert said["error"]["code"] == "workspace-missing"
    assert said["error"]["advice"]


def test_every_code_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for cls in errors.leaves():
        code, out, _ = ended(["explain", cls.code], capsys)
        assert code == 0
        assert cls.code in out
    code, _, said = ended(["explain", "grant-foo"], capsys)
    assert code == 2
    assert "grant-expired" in said


def test_a_defect_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_name: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tundish.catalog.library.scenario", broken)
    code, _, said = ended(["scenario", "check", "x"], capsys)
    assert code == 70
    assert "[internal]" in said
    assert "TUNDISH_DEBUG=1" in said


@pytest.mark.integration
def test_ctrl_c_in_the_middle_ends_in_one_sentence_and_loses_nothing(
    here: Path, fermentation: Path
) -> None:
    begun = time.perf_counter()
    subprocess.run([SCRIPT, "init", "plant"], check=True, capture_output=True)
    loading_s = (time.perf_counter() - begun) / 2  # Python itself has begun by then
    command: list[str | Path] = [
        SCRIPT,
        "train",
        "fermentation",
        "--scenario",
        GLUCOSE,
        "--site",
        "fermentation",
        "-w",
        "plant",
    ]
    for wait_s in (loading_s, 1.5, 2.5):
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        time.sleep(wait_s)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
        assert child.returncode in {0, 130}, said
        if child.returncode == 130:
            assert "Traceback" not in said
            assert "interrupted" in said
    verified = subprocess.run(
        [SCRIPT, "ledger", "verify", "-w", "plant"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    assert not list((here / "plant").rglob(".tundish-*"))


def test_trusting_a_key_again_says_how_far_it_counted_before(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit that is not said again is lifted; nobody should do so unawares."""
    key = Path("k.pub")
    for place in ("plant", "office"):
        assert ended(["init", place], capsys)[0] == 0
    key.write_text(ended(["key", "-w", "office"], capsys)[1])
    limited = ["--until", "2031-03-01", "--may-revoke"]
    first = _said(["trust", "k.pub", "-w", "plant", *limited], capsys)
    same = _said(["trust", "k.pub", "-w", "plant", *limited], capsys)
    lifted = _said(["trust", "k.pub", "-w", "plant"], capsys)
    bounded = _said(["trust", "k.pub", "-w", "plant", *limited[:2]], capsys)
    assert "until now" not in first + same
    end = "counts until 2031-03-01T00:00:00Z"
    lists = "its revocation lists count for everything here"
    assert f"(until now: {end}; {lists})" in lifted
    assert "(until now: counts without an end)" in bounded
    with workspaces.find(here / "plant").ledger() as ledger:
        acts = [one for _, one in ledger.entries() if one.act == "key-trusted"]
    said = [one.detail for one in acts]
    assert [one["revokes"] for one in said] == ["all", "all", "own", "own"]
    assert said[2]["before"] == {
        "not_before": None, "not_after": "2031-03-01T00:00:00Z", "revokes": "all",
    }  # fmt: skip


def _said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    code, out, _ = ended(arguments, capsys)
    assert code == 0
    return " ".join(out.split())
