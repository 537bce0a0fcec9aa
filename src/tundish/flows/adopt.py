"""Import a model of another tool as a run: wrapped, calibrated, compared, ready to judge."""

from __future__ import annotations

from pathlib import Path

from tundish.flows.fetch import Progress, locate
from tundish.flows.material import material_from
from tundish.flows.train import Order, TrainReport, keep, ordered
from tundish.flows.workspace import Workspace
from tundish.kernel import digest, paths
from tundish.learn import adopt as adopting
from tundish.learn.adopt import Adoption
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.record import RunRecord
from tundish.learn.train import Trained, in_precision

MODELS = "*.onnx"


def adopt(
    workspace: Workspace,
    model: Path,
    order: Order,
    how: Adoption,
    progress: Progress | None = None,
) -> TrainReport:
    """Wrap a foreign ONNX model and write the run folder, as ``train`` does.

    Args:
        workspace: The owner's.
        model: An ONNX file, or a folder that holds one (an MLflow model, an export of
            anomalib or PaddleX).
        order: Data, scenario and site; its candidate and seed are not used.
        how: How the model is to be read.
        progress: Told what is being done.

    Raises:
        ForeignUnfitError, PrecisionUnfitError, and what ``train`` refuses.
    """
    tell = progress or (lambda _text: None)
    scenario, site = ordered(order)
    data = paths.read_file(onnx_file(model), most=paths.GRAPH_BYTES)
    located = locate(order.data, progress=progress)
    tell("reading and binding the data")
    material = material_from(site, scenario, located.root)
    tell("wrapping and calibrating")
    fitted = adopting.adopt(data, how, material, scenario)
    learnable = material.take(material.part != "judge")
    record = RunRecord(
        scenario=scenario.key,
        scenario_digest=scenario.digest,
        data=located.digest,
        material=learnable.digest(),
        candidate=adopting.RECIPE,
        recipe=adopting.RECIPE,
        options={"foreign": digest.of_bytes(data), **how.said()},
        seed=order.seed,
        chosen=fitted.chosen,
        search=(),
        promise=fitted.promise,
        thresholds=fitted.thresholds,
        versions=fitted.versions,
        notes=fitted.notes,
        graph=digest.of_bytes(fitted.graph),
    )
    tell("comparing the foreign file and the graph")
    made = in_precision(Trained(fitted=fitted, record=record), order.precision)
    return keep(workspace, order, located, material, made)


def onnx_file(model: Path) -> Path:
    """Return the ONNX file that is named, or the only one below a folder.

    Raises:
        ForeignUnfitError: if a folder holds none, or several.
        PathMissingError: if there is nothing.
    """
    if not model.is_dir():
        return paths.existing_file(model)
    found = sorted(item for item in model.rglob(MODELS) if not item.is_symlink())
    if len(found) != 1:
        msg = f"The folder {model} holds {len(found)} ONNX files; one was expected."
        raise ForeignUnfitError(msg, advice="Name the ONNX file itself.")
    return paths.existing_file(found[0])
