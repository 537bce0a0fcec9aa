"""A command line builds the commands of its own group only, and nobody sees a difference."""

from __future__ import annotations

from typing import Any

import typer.main
from typer.testing import CliRunner

from tundish.cli import data
from tundish.cli.main import _needed, app


def built(of: typer.Typer) -> dict[str, Any]:
    commands: dict[str, Any] = typer.main.get_command(of).commands  # type: ignore[attr-defined]
    return commands


def said(command: Any) -> Any:
    """Return what a command says of itself, and each of its own."""
    own = getattr(command, "commands", {})
    options = [(one.name, one.opts, one.required) for one in command.params]
    return command.help, options, {name: said(one) for name, one in own.items()}


ALL = built(app)


def test_each_command_says_the_same_of_itself_as_among_all_others() -> None:
    for name, command in ALL.items():
        assert said(built(_needed([name]))[name]) == said(command)


def test_help_of_a_group_is_the_same_to_the_letter() -> None:
    whole = CliRunner().invoke(app, ["line", "run", "--help"])
    assert whole.exit_code == 0
    few = CliRunner().invoke(_needed(["line"]), ["line", "run", "--help"])
    assert few.output == whole.output


def test_few_commands_are_built_for_one_and_all_for_none() -> None:
    assert len(built(_needed(["line", "run", "kiln.line.yaml"]))) < len(ALL) / 3
    for words in (["--help"], [], ["lien"]):
        assert _needed(words) is app


def test_a_process_that_gives_many_commands_builds_no_more_for_the_last() -> None:
    """A group that grew with each command line took a second after some hundred."""

    def groups_of(name: str) -> list[int]:
        groups = [_needed([name]).registered_groups for _ in range(3)]
        return [
            len(one.typer_instance.registered_commands)
            for found in groups
            for one in found
            if one.typer_instance is not None
        ]

    counted = {name: groups_of(name) for name in ALL}
    assert sum(map(len, counted.values())) > 3 * 12
    for name, several in counted.items():
        assert several == several[: len(several) // 3] * 3, name
    commands = [one.callback for one in data.group.registered_commands]
    assert len(commands) == len(set(commands))
