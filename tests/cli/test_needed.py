"""A command line builds the commands of its own group only, and nobody sees a difference."""

from __future__ import annotations

import typer.main
from typer.testing import CliRunner

from tundish.cli.main import _needed, app

ALL = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_each_command_says_the_same_of_itself_as_among_all_others() -> None:
    for name in ALL:
        few = _needed([name])
        whole = CliRunner().invoke(app, [name, "--help"])
        assert whole.exit_code == 0
        assert CliRunner().invoke(few, [name, "--help"]).output == whole.output


def test_few_commands_are_built_for_one_and_all_for_none() -> None:
    def built(words: list[str]) -> int:
        return len(typer.main.get_command(_needed(words)).commands)  # type: ignore[attr-defined]

    assert built(["line", "run", "kiln.line.yaml"]) < len(ALL) / 3
    assert built(["--help"]) == built([]) == built(["lien"]) == len(ALL)
