"""``tundish fingerprint``: is this my model?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tundish.cli import show
from tundish.cli.exits import NOT_GOOD_ENOUGH
from tundish.cli.options import AsJson, In, open_workspace
from tundish.kernel.digest import short

if TYPE_CHECKING:
    from tundish.flows.fingerprint import FingerprintReport

group = typer.Typer(
    help="Fingerprints of models: made before release, held against suspects.",
    no_args_is_help=True,
)

File = Annotated[
    Path, typer.Argument(help="The encrypted file below .tundish/fingerprints.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(group, name="fingerprint")


@group.command()
def make(
    run: Annotated[
        str, typer.Argument(help="A run, or its beginning; default: the newest.")
    ] = "",
    graph: Annotated[
        Path | None, typer.Option(help="A graph of another tool, in place of a run.")
    ] = None,
    material: Annotated[
        Path | None,
        typer.Option(help="With --graph: an .npz with x [N, T, C] and y [N]."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="With --graph: its output; default: the first.")
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Choose about 200 questions that tell a model from all others; commit to them.

    The model is only asked, never changed. The file is encrypted to this workspace and
    stays here; its salted digest goes into the ledger. Do it before the model is sealed.
    """
    from tundish.flows.fingerprint import Foreign
    from tundish.flows.fingerprint import make as make_fingerprint

    if (graph is None) != (material is None):
        msg = "--graph and --material are given together."
        raise typer.BadParameter(msg)
    of: str | Foreign = run
    if graph is not None and material is not None:
        of = Foreign(graph=graph, material=material, output=output)
    with show.working("Making a fingerprint") as tell:
        report = make_fingerprint(open_workspace(workspace), of, tell)
    _show(report, json=json)


@group.command()
def compare(
    fingerprint: File,
    suspect: Annotated[
        Path,
        typer.Argument(help="An ONNX graph, or a CSV of answers to the questions."),
    ],
    output: Annotated[
        str | None, typer.Option(help="The suspect's output that is compared.")
    ] = None,
    witness: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint of this ledger that was kept elsewhere."),
    ] = None,
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Say how far a suspect answers as the model does, and prove the fingerprint.

    Ends with 1 if nothing is shown.
    """
    from tundish.flows.fingerprint import compare as hold

    report = hold(
        open_workspace(workspace), fingerprint, suspect, output=output,
        witnessed=witness or (),
    )  # fmt: skip
    found, proof = report.agreement, report.proof
    if json:
        show.as_json(report)
    else:
        tone = show.WARN if found.found == "nothing" else show.GOOD
        show.line(report.said, tone)
        show.line(
            f"  {found.same} of {found.questions} answers alike: {found.share:.2f} "
            f"(95 %: {found.low:.2f} to {found.high:.2f})"
        )
        show.line(
            f"  independent models: {found.chance:.2f} on average, {found.chance_most:.2f} "
            f"at most ({found.strangers} of them); p = {found.p_value:.1e}"
        )
        if found.sibling is not None:
            show.line(f"  the same recipe on half of the data: {found.sibling:.2f}")
        show.line(
            f"  committed {proof.at}, entry {proof.entry} of {proof.size}, in "
            f"{len(proof.packages)} sealed packages; the proof is in --json"
        )
    if found.found == "nothing":
        raise typer.Exit(NOT_GOOD_ENOUGH)


@group.command("show")
def show_command(
    fingerprint: File, workspace: In = Path(), json: AsJson = False
) -> None:
    """Show what a fingerprint is of; its answers stay in it."""
    from tundish.flows.fingerprint import show as show_fingerprint

    _show(show_fingerprint(open_workspace(workspace), fingerprint), json=json)


@group.command()
def questions(
    fingerprint: File,
    to: Annotated[Path, typer.Option(help="The file to write: .csv, or .npy.")],
    workspace: In = Path(),
    json: AsJson = False,
) -> None:
    """Write the windows without the answers, for a suspect that can only be asked.

    Whoever has them can learn to answer them otherwise: ask them among others, once.
    """
    from tundish.flows.fingerprint import questions as write_questions

    report = write_questions(open_workspace(workspace), fingerprint, to)
    if json:
        show.as_json(report)
        return
    show.line(
        f"Wrote {report.windows} windows of shape {report.shape} to {report.file}"
    )


def _show(report: FingerprintReport, *, json: bool) -> None:
    if json:
        show.as_json(report)
        return
    show.line(
        f"Fingerprint of {report.product} (graph {short(report.graph)}): "
        f"{report.questions} questions over {report.windows} windows",
        show.GOOD,
    )
    show.line(
        f"  independent models give {report.chance:.2f} of the answers, the nearest of "
        f"{report.strangers} gives {report.chance_most:.2f}"
    )
    if report.sibling is not None:
        show.line(f"  the same recipe on half of the data gives {report.sibling:.2f}")
    show.line(f"  commitment {report.commitment}")
    show.line(f"  file {report.file}")
