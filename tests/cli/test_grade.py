"""``tundish grade``: what it prints and writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tundish.cli import main


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
    assert "gate readable: passed. 0 of 8 files" in shown
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
