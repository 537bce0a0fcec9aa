"""``tundish import``: a model of another tool becomes a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from tundish.cli import show
from tundish.cli.options import (
    NUMBER,
    AsJson,
    DataOrKey,
    In,
    Precision,
    ScenarioName,
    SiteName,
    between,
    open_workspace,
)

if TYPE_CHECKING:
    from tundish.catalog.scenario import Option

Layout: TypeAlias = Literal["channels-first", "channels-last"]


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("import")(import_model)


def import_model(  # noqa: PLR0913  (a command's options)
    model: Annotated[
        Path, typer.Argument(help="An ONNX file of another tool, or its folder.")
    ],
    data: DataOrKey,
    scenario: ScenarioName,
    site: SiteName,
    output: Annotated[
        str, typer.Option(help="The model's output that answers, if it has several.")
    ] = "",
    lower: Annotated[
        str, typer.Option(help="Its output with lower ends (forecast).")
    ] = "",
    upper: Annotated[
        str, typer.Option(help="Its output with upper ends (forecast).")
    ] = "",
    map_output: Annotated[
        str, typer.Option(help="Its output that says where (pictures).")
    ] = "",
    layout: Annotated[
        Layout | None,
        typer.Option(
            help="[N, channels, rows] or pictures [N, channels, height, width], or "
            "channels last; default: found from its input.",
        ),
    ] = None,
    signals: Annotated[
        str,
        typer.Option(
            help="The signals that it takes, in its order, with commas; default: all."
        ),
    ] = "",
    high_is_normal: Annotated[
        bool,
        typer.Option("--high-is-normal", help="A high score is a normal window."),
    ] = False,
    logits: Annotated[
        bool,
        typer.Option("--logits", help="Its classes are log-odds: softmax is added."),
    ] = False,
    classes: Annotated[
        str,
        typer.Option(help="Classes in the order of its columns, with commas."),
    ] = "",
    size: Annotated[
        str,
        typer.Option(
            help="HEIGHTxWIDTH of its picture, if the file leaves them open; default: "
            "the scenario's.",
        ),
    ] = "",
    scale: Annotated[
        float,
        typer.Option(
            parser=between(0.0, 65_535.0, beyond=True),
            metavar=NUMBER,
            help="What a pixel of 255 is to it, before --mean and --std: 1 or 255.",
        ),
    ] = 1.0,
    mean: Annotated[
        str,
        typer.Option(
            help="Taken off each colour, with commas; ImageNet: 0.485,0.456,0.406."
        ),
    ] = "",
    std: Annotated[
        str,
        typer.Option(
            help="Divides each colour, with commas; ImageNet: 0.229,0.224,0.225."
        ),
    ] = "",
    bgr: Annotated[
        bool, typer.Option("--bgr", help="Its colours are blue, green, red.")
    ] = False,
    precision: Precision = "double",
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Import a model of another tool: a run like one trained here, to judge and seal.

    Its graph is put inside one that keeps the convention; intervals and limits are
    calibrated on the calibrate part. Nothing of the model itself is changed. What is not
    said is found from the file, and the run says what was found.
    """
    from tundish.flows.adopt import adopt
    from tundish.flows.train import Order
    from tundish.learn.adopt import RECIPE, Adoption
    from tundish.learn.recipe import read_options

    given: dict[str, Option] = {
        "output": output,
        "lower": lower,
        "upper": upper,
        "map_output": map_output,
        "layout": layout or "",
        "signals": _names(signals),
        "high_is_normal": high_is_normal,
        "logits": logits,
        "classes": _names(classes),
        **_size(size),
        "scale": scale,
        "mean": _numbers("mean", mean),
        "std": _numbers("std", std),
        "bgr": bgr,
    }
    how = read_options(given, Adoption, RECIPE)
    order = Order(data=data, scenario=scenario, site=site, precision=precision)
    with show.working("Importing") as tell:
        report = adopt(open_workspace(workspace), model, order, how, tell)
    if json:
        show.as_json(report)
        return
    show.line(f"Imported {report.run}: graph {report.graph[7:19]}", show.GOOD)
    for note in report.notes:
        show.line(f"  {note}")
    show.line(f"  parity: {report.parity}")
    show.line("Next: tundish judge", "dim")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in _names(text))
    except ValueError:
        msg = f"{text!r}: numbers with commas between them were expected."
        raise typer.BadParameter(msg, param_hint=f"--{option}") from None


def _size(text: str) -> dict[str, Option]:
    if not text:
        return {}
    try:
        height, width = (int(word) for word in text.lower().split("x"))
    except ValueError:
        msg = f"{text!r}: HEIGHTxWIDTH in pixels was expected, such as 224x224."
        raise typer.BadParameter(msg, param_hint="--size") from None
    return {"size": (height, width)}
