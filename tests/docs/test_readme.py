"""Commands that the documents show exist, with the options that they show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from tests.line.test_governor import SCENARIO as KILN

from tundish.catalog import library
from tundish.cli.main import app
from tundish.line import plugins
from tundish.line.governor import Governor
from tundish.line.linefile import check_signals, read_line_file

ROOT = Path(__file__).parents[2]
BUILT = typer.main.get_command(app)  # once, for it takes long
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = re.findall(r"(?m)^ *(tundish [a-z][^\n#]*)", text)
        lines += re.findall(r"`(tundish [a-z][^`]*)`", text)
        found += [(page.name, line.strip()) for line in lines if "|" not in line]
    return found


@pytest.mark.parametrize(("page", "line"), sorted(set(shown())))
def test_a_command_that_is_shown_exists(page: str, line: str) -> None:
    words = shlex.split(line.split("&&", maxsplit=1)[0].split(">", maxsplit=1)[0])[1:]
    command = BUILT
    while words and words[0] in getattr(command, "commands", {}):
        command = getattr(command, "commands")[words.pop(0)]  # noqa: B009
    assert not getattr(command, "commands", None) or not words, f"{page}: {line}"
    options = {option for item in command.params for option in item.opts} | {"--help"}
    used = {word for word in words if word.startswith("-")}
    assert used <= options, f"{page}: {line}: {sorted(used - options)}"


def test_the_python_example_runs(fermentation: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert fermentation.is_dir()
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102


def test_links_between_documents_lead_somewhere() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#\s]+)(?: \"[^\"]*\")?\)", text):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_line_file_that_is_shown_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/run-a-line.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    path = tmp_path / "reactor.line.yaml"
    path.write_text(example, encoding="utf-8")
    line = read_line_file(path)
    check_signals(line, library.scenario("C25.21.fermentation-glucose"))
    plugins.open_sources(line, library.scenario("C25.21.fermentation-glucose"))
    plugins.open_sinks(line, library.scenario("C25.21.fermentation-glucose"))


def test_the_line_file_with_control_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/control.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    path = tmp_path / "kiln.line.yaml"
    for mode in ("shadow", "control"):
        path.write_text(
            example.replace("mode: shadow", f"mode: {mode}"), encoding="utf-8"
        )
        line = read_line_file(path)
        assert line.control is not None
        plugins.open_requests(line.control.sink, KILN)
        Governor(line.control, KILN)
