"""A command line builds the commands of its own group only, and nobody sees a difference."""

from __future__ import annotations

import pytest
import typer.main
import typer.testing
from typer.testing import CliRunner

from tundish.cli import data
from tundish.cli.main import _needed, app

BUILT = typer.main.get_command(app)  # once, for it takes long
ALL = sorted(BUILT.commands)  # type: ignore[attr-defined]


def test_each_command_says_the_same_of_itself_as_among_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def help_of(name: str, command: object) -> str:
        monkeypatch.setattr(typer.testing, "_get_command", lambda _: command)
        said = CliRunner().invoke(app, [name, "--help"])
        assert said.exit_code == 0
        return said.output

    for name in ALL:
        few = typer.main.get_command(_needed([name]))
        assert few is not BUILT
        assert help_of(name, few) == help_of(name, BUILT)


def test_few_commands_are_built_for_one_and_all_for_none() -> None:
    def built(words: list[str]) -> int:
        return len(typer.main.get_command(_needed(words)).commands)  # type: ignore[attr-defined]

    assert built(["line", "run", "kiln.line.yaml"]) < len(ALL) / 3
    assert built(["--help"]) == built([]) == built(["lien"]) == len(ALL)


def test_a_process_that_gives_many_commands_builds_no_more_for_the_last() -> None:
    """A group that grew with each command line took a second after some hundred."""

    def built(name: str) -> list[int]:
        groups = [_needed([name]).registered_groups for _ in range(3)]
        return [
            len(one.typer_instance.registered_commands)
            for found in groups
            for one in found
            if one.typer_instance is not None
        ]

    counted = {name: built(name) for name in ALL}
    assert sum(map(len, counted.values())) > 3 * 12
    for name, several in counted.items():
        assert several == several[: len(several) // 3] * 3, name
    commands = [one.callback for one in data.group.registered_commands]
    assert len(commands) == len(set(commands))
