"""Numbers on the command line: a wrong one is refused by name, by every command."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.models import OptionInfo

from tundish.cli import main

NO_FLOATS = ["nan", "inf", "-inf", "-1", "1e30", "", "seven"]
NO_INTEGERS = ["nan", "inf", "-1", "1e30", str(10**30), "1.5", ""]


def commands(
    app: typer.Typer, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Callable[..., object]]]:
    for command in app.registered_commands:
        made = command.callback
        assert made is not None
        yield (*path, command.name or made.__name__.replace("_", "-")), made
    for group in app.registered_groups:
        assert group.typer_instance is not None
        assert isinstance(group.name, str)
        yield from commands(group.typer_instance, (*path, group.name))


def numeric() -> Iterator[tuple[tuple[str, ...], str, set[type], OptionInfo]]:
    """Yield each option of each command that is a number: its types and what reads it."""
    for path, made in commands(main.app):
        for name, hint in typing.get_type_hints(made, include_extras=True).items():
            bare = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
            kinds = {bare, *typing.get_args(bare)} & {int, float}
            if kinds:
                assert hasattr(hint, "__metadata__"), f"{path} {name} has no limits"
                info = hint.__metadata__[0]
                yield path, flag_of(name, info), kinds, info


def flag_of(name: str, info: OptionInfo) -> str:
    """Return how an option is written; Typer takes a first flag for its default."""
    written = [info.default, *(info.param_decls or ())]
    flags = [item for item in written if isinstance(item, str) and item[:2] == "--"]
    return flags[0] if flags else f"--{name.replace('_', '-')}"


OPTIONS = list(numeric())


def test_the_walk_sees_the_options_of_commands_and_of_groups() -> None:
    seen = {(" ".join(path), flag) for path, flag, _, _ in OPTIONS}
    assert {
        ("seal", "--days"),
        ("package build", "--days"),
        ("device request", "--uses"),
        ("judge", "--leave-one-out"),
        ("key", "--old-days"),
    } <= seen


def test_every_number_has_limits() -> None:
    for path, flag, kinds, info in OPTIONS:
        limits = (info.min, info.max) if int in kinds else (info.parser,)
        assert None not in limits, (path, flag)


@pytest.mark.parametrize(
    "option", OPTIONS, ids=[f"{' '.join(path)} {flag}" for path, flag, _, _ in OPTIONS]
)
def test_a_number_outside_of_its_range_is_refused_by_its_name(
    option: tuple[tuple[str, ...], str, set[type], OptionInfo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    path, flag, kinds, _ = option
    for text in NO_FLOATS if float in kinds else NO_INTEGERS:
        code = main.status([*path, flag, text])
        said = " ".join(capsys.readouterr().err.split())
        assert code == 2, (text, said)
        assert f"Invalid value for '{flag}'" in said, (text, said)
    assert list(tmp_path.iterdir()) == []
