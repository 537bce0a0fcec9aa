"""``tundish grade``: what it prints and writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tundish.cli import main
from tundish.data.grade import stream


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with one file: 300 rows, one of them copied."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(3).normal(20, 2, size=(300, 3)).round(3)
    lines = [",".join(map(str, row)) for row in [*rows, rows[7]]]
    (tmp_path / "mix.csv").write_text("\n".join(["a,b,c", *lines]) + "\n")
    return tmp_path


@pytest.mark.parametrize(("language", "words"), [("en", "mend"), ("zh", "改进办法")])
def test_the_page_is_written(
    language: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main.status(["grade", "mix.csv", "--html", "g.html", "--lang", language])
    assert code == 0
    assert "Page: g.html" in capsys.readouterr().out
    html = (here / "g.html").read_text(encoding="utf-8")
    assert words in html
    assert f'lang="{language}"' in html


def test_an_unknown_language_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.status(["grade", "mix.csv", "--html", "g.html", "--lang", "de"]) == 2
    assert "en and zh" in capsys.readouterr().err


def test_folders_for_the_page_are_made(here: Path) -> None:
    assert main.status(["grade", "mix.csv", "--html", "new/folder/g.html"]) == 0
    assert (here / "new/folder/g.html").is_file()


@pytest.mark.parametrize(("letter", "code"), [("C", 0), ("A", 1)])
def test_a_letter_can_be_asked_for(
    letter: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.status(["grade", "mix.csv", "--at-least", letter]) == code
    assert "Grade B" in capsys.readouterr().out


@pytest.mark.parametrize("said", ["E", "AB", "good", ""])
def test_a_letter_that_is_none_is_no_bar_that_everything_passes(
    said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.status(["grade", "mix.csv", "--at-least", said]) == 2
    assert "A, B, C and D" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["grade", "mix.csv"],
        ["grade", "mix.csv", "--mend", "better"],
        ["data", "diff", "mix.csv", "mix.csv"],
    ],
)
def test_a_contract_that_nothing_binds_is_not_left_out_in_silence(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended with a letter, and said that no scenario was named."""
    assert main.status([*command, "--scenario", "C25.21.fermentation-glucose"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "no site profile" in said
    assert main.status([*command, "--scenario", "C99"]) == 2
    assert "There is no 'C99'" in capsys.readouterr().err


def test_a_folder_of_pictures_is_graded_as_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    for name in ("good", "bad"):
        (here / "parts" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(here / "parts" / name / f"{i}.png")
    assert main.status(["grade", "parts"]) == 0
    shown = capsys.readouterr().out
    assert "8 pictures" in shown
    assert "--kind table" in " ".join(shown.split())


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.status(["grade", "mix.csv", "--kind", "sound"]) == 2
    assert "table, images, texts" in capsys.readouterr().err


def test_a_task_is_named_or_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.status(["grade", "mix.csv", "--task", "guess"]) == 2
    assert "regress, diagnose and anomaly" in capsys.readouterr().err
    assert main.status(["grade", "mix.csv", "--target", "c"]) == 0
    assert "model gain over the plain baseline" in capsys.readouterr().out
    assert main.status(["grade", "mix.csv", "--target", "c", "--quick"]) == 0
    assert "model gain over the plain baseline:" not in capsys.readouterr().out


def test_results_are_joined_and_the_gate_names_what_came_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    heat = rng.normal(size=60).round(3)
    batches = "".join(f"B{i},{x}\n" for i, x in enumerate(heat))
    (tmp_path / "process.csv").write_text(f"batch,heat\n{batches}")
    lines = "".join(
        f"B{i},{5 + x:.3f},2026-01-02 08:00,{rng.random():.3f},2026-01-05 08:00\n"
        for i, x in enumerate(heat)
    )
    head = "batch,viscosity,result_at,price,price_at\n"
    (tmp_path / "lab.csv").write_text(head + lines)
    path, lab = str(tmp_path / "process.csv"), str(tmp_path / "lab.csv")
    asked = ["grade", path, "--join", lab, "--on", "batch", "--quick"]
    assert main.status(asked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "gate leakage FAILED" in said
    assert "price becomes available after viscosity" in said
    assert main.status([*asked, "--on", "lot"]) == 2
    assert "'lot' (--on)" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "option",
    [
        ["--retests", "best"],
        ["--lag", "soon", "--join", "x.csv"],
        ["--lag", "40min"],
        ["--on", "BATCH"],
        ["--retests", "mean"],
    ],
)
def test_a_join_that_makes_no_sense_is_refused(
    tmp_path: Path, option: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("time,a\n2026-01-01,1\n2026-01-02,2\n")
    assert main.status(["grade", "x.csv", *option]) == 2


def test_stops_are_cut_out_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i},{0 if 40 < i < 60 else 5 + i % 7}\n" for i in range(200))
    (tmp_path / "x.csv").write_text(f"t,P-1 [A]\n{rows}")
    path = str(tmp_path / "x.csv")
    assert main.status(["grade", path, "--quick", "--running", "'P-1 [A]' > 1"]) == 0
    assert "1 stops, 19 of 200 rows" in " ".join(capsys.readouterr().out.split())
    assert main.status(["grade", path, "--quick", "--running", "import os"]) == 2


def test_questions_are_graded_as_texts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (
        f'{{"question": "Which signal of pump {i} shows wear?", '
        f'"options": ["flow", "level {i}"], "answer": {i % 2}}}'
        for i in range(30)
    )
    (here / "q.jsonl").write_text("\n".join(asked))
    assert main.status(["grade", "q.jsonl"]) == 0
    assert "30 of them questions" in " ".join(capsys.readouterr().out.split())


def test_an_event_log_is_graded_as_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"c{i // 2},step {i % 2},2026-01-01 08:{i:02d}:03" for i in range(40)]
    (here / "log.csv").write_text("\n".join(["case_id,activity,timestamp", *rows]))
    assert main.status(["grade", "log.csv"]) == 0
    assert "an event log of a process" in " ".join(capsys.readouterr().out.split())


def test_an_engine_is_named_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.status(["grade", "mix.csv", "--engine", "moon"]) == 2
    assert "local and ray" in capsys.readouterr().err
    assert main.status(["grade", "mix.csv", "--engine", "ray"]) == 2
    assert "engine-unfit" in capsys.readouterr().err


def test_a_large_file_is_streamed_page_and_all(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stream, "STREAM_FROM_CELLS", 100)
    monkeypatch.setattr(stream, "STREAM_FROM_BYTES", 100)
    rows = np.random.default_rng(3).normal(20, 2, size=(3_000, 3)).round(3)
    rows[1_000:1_400, 0] = rows[999, 0]
    frame = pl.DataFrame(rows, schema=["a", "b", "c"])
    frame.write_parquet(here / "big.parquet", row_group_size=700)
    assert main.status(["grade", "big.parquet", "--html", "g.html"]) == 0
    said = capsys.readouterr().out
    assert "in a stream" in said
    assert "stands at exactly" in said
    assert "stands at exactly" in (here / "g.html").read_text(encoding="utf-8")


def test_a_site_names_its_results_itself(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["grade", "la-haute-borne", "--join", "lab.csv", "--quick"]
    code = main.status(asked)
    if code == 3:
        pytest.skip("the set is not in the cache")
    assert code == 2
    assert "--join is for files without a site" in " ".join(
        capsys.readouterr().err.split()
    )
