"""Graphs in narrower precisions on real sets: bytes, time, differences, what is refused.

    python bench/precision.py [--page FILE]

Each graph is trained once and written in every form; the forms answer the same windows in
turns, in one process on one thread, so that a busy moment of the machine meets all. The
forms that Tundish does not offer are made here, by onnxruntime where it can.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tundish.kernel import settings  # noqa: E402

settings.silence_onnxruntime()

import numpy as np  # noqa: E402 -- only now is the runtime silent
import onnx  # noqa: E402
from bench.results import inspect as pictures  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tundish.catalog import library  # noqa: E402
from tundish.catalog.scenario import Candidate, Scenario  # noqa: E402
from tundish.flows.material import material_from  # noqa: E402
from tundish.kernel import digest  # noqa: E402
from tundish.kernel.errors import RefusedError  # noqa: E402
from tundish.learn import parity  # noqa: E402
from tundish.learn.backends import against_others, few  # noqa: E402
from tundish.learn.judge import judge  # noqa: E402
from tundish.learn.material import Material, Windows  # noqa: E402
from tundish.learn.parity import OutputParity, ParityReport  # noqa: E402
from tundish.learn.precision import LARGE, narrowed  # noqa: E402
from tundish.learn.recipe import Fitted, Outputs  # noqa: E402
from tundish.learn.train import train  # noqa: E402
from tundish.model.session import Session, make_golden  # noqa: E402

TURNS, TIMED, PICTURES = 5, 1000, 4
OFFERED = ("double", "float32", "float16")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A set with a recipe on it."""

    set: str
    scenario: Scenario
    material: Material
    candidate: str | None

    @property
    def large(self) -> bool:
        """Whether its windows are pictures."""
        return self.scenario.picture is not None


@dataclass(kw_only=True)
class Form:
    """A graph in one form, and what was measured of it."""

    name: str
    graph: bytes
    run: Callable[[Windows], Outputs]
    seconds: list[float] = field(default_factory=list)
    report: ParityReport | None = None
    alone: float = 0.0
    judged: str = ""


def cases(data: Path) -> Iterator[Case]:
    """Yield what is measured."""
    named = (
        ("tep-braatz", "C26.27.reactor-separator", "tennessee-eastman", ("distance", "variates", "nearest", "net")),
        ("hydraulic-zema", "C34.28.hydraulic-valve", "hydraulic-zema-valve", ("discriminants", "boosted")),
        ("cmapss", "C37.28.turbofan-life", "cmapss-fd001", ("boosted",)),
        (pictures.SET, "C39.24.pcb-bare-board", "deeppcb", ("golden-board", "patches")),
    )  # fmt: skip
    for folder, key, place, candidates in named:
        scenario, site = library.scenario(key), library.site(place)
        material = material_from(site, scenario, data / folder)
        for name in candidates:
            contract = scenario
            if name == "net":
                net = Candidate(recipe="reconstruct", why="bench", options={})
                contract = scenario.model_copy(update={"candidates": {"net": net}})
            elif name == "patches":
                contract = pictures._whole(scenario)  # noqa: SLF001 -- its own bench
                material = material_from(pictures._templates(site), contract, data / folder)  # noqa: SLF001  # fmt: skip
            yield Case(set=folder, scenario=contract, material=material, candidate=name)


def forms(fitted: Fitted) -> Iterator[tuple[str, bytes]]:
    """Yield a graph in every form: first those offered, then those that are not."""
    wide = fitted.graph
    single = narrowed(wide, "float32")
    yield from zip(OFFERED, (wide, single, narrowed(wide, "float16")), strict=True)
    yield "float16 arithmetic", in_half(single)
    yield "int8 weights", weights_in_bytes(single)
    yield "int8 dynamic", dynamic(single)


def in_half(graph: bytes) -> bytes:
    """Return a graph that computes in float16, as onnxruntime's own tool makes it."""
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415  # fmt: skip

    model = onnx.load_from_string(graph)
    made = convert_float_to_float16(model, keep_io_types=True)
    return bytes(made.SerializeToString(deterministic=True))


def dynamic(graph: bytes) -> bytes:
    """Return a graph with integer products, as onnxruntime's own tool makes it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "graph.onnx"
        quantize_dynamic(onnx.load_from_string(graph), to, per_channel=True, weight_type=QuantType.QInt8)  # fmt: skip
        return to.read_bytes()


def weights_in_bytes(graph: bytes) -> bytes:
    """Return a graph that keeps the matrices of products in int8, by output channel."""
    model = onnx.load_from_string(graph)
    users: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.op_type)
    made, scales = [], []
    for item in model.graph.initializer:
        values = numpy_helper.to_array(item)
        product = users.get(item.name, set()) <= {"Conv", "MatMul", "Gemm"}
        if item.data_type != TensorProto.FLOAT or values.size < LARGE or not product:
            continue
        axis = 0 if users[item.name] == {"Conv"} else values.ndim - 1
        others = tuple(at for at in range(values.ndim) if at != axis)
        scale = np.abs(values).max(axis=others, keepdims=True) / np.float32(127)
        scale[scale == 0] = 1
        name, scaled = item.name, f"{item.name}/scale"
        kept = np.round(values / scale).astype(np.int8)
        item.CopyFrom(numpy_helper.from_array(kept, f"{name}/int8"))
        scales.append(numpy_helper.from_array(scale.ravel().astype(np.float32), scaled))
        made.append(helper.make_node("DequantizeLinear", [f"{name}/int8", scaled], [name], axis=axis))  # fmt: skip
    model.graph.initializer.extend(scales)
    nodes = [*made, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString(deterministic=True))


def measure(case: Case) -> tuple[Fitted, list[Form], tuple[ParityReport, ...]]:
    """Train, write every form, and let them answer in turns."""
    made = train(case.material, case.scenario, data=digest.of_bytes(b"bench"), candidate=case.candidate)  # fmt: skip
    fitted, x = made.fitted, case.material.x
    if case.large:
        x = few(x, most=PICTURES, values=x[0].size * PICTURES)
    timed = few(x, most=TIMED, values=x[0].size * TIMED)
    opened = []
    for name, graph in forms(fitted):
        session = Session(graph, make_golden(graph, fitted.golden_window))
        run = partial(parity.batched, session.run)
        opened.append(Form(name=name, graph=graph, run=run))
    for turn in range(TURNS + 1):
        for form in opened:
            started = time.perf_counter()
            form.run(timed)
            if turn:  # the first warms
                form.seconds.append(time.perf_counter() - started)
    truth = opened[0].run(x)
    for form in opened:
        found = form.run(x)
        form.report = parity.compare(truth, found, case.scenario)
        first = {name: value[:1] for name, value in found.items()}
        apart = parity.compare(first, form.run(x[:1]), case.scenario)
        form.alone = apart.worst().max_rel or 0.0
        if form.name in OFFERED and not case.large:  # minutes for each form
            form.judged = judged(case, form, fitted)
    others = against_others(fitted.graph, opened[0].run, x, case.scenario)
    return fitted, opened, others


def judged(case: Case, form: Form, fitted: Fitted) -> str:
    """Return what the judge says of a form: the figure of the scenario's first limit."""
    metric = case.scenario.acceptance.limits[0].metric
    try:
        verdict = judge(case.material, case.scenario, form.run, fitted.claim)
    except RefusedError as error:
        return error.code
    found = {figure.metric: figure.value for figure in verdict.figures}[metric]
    return f"{metric} " + ("unknown" if found is None else f"{found:.4g}")


def row(case: Case, fitted: Fitted, form: Form, base: Form) -> str:
    """Return one line of the table."""
    assert form.report is not None
    size = 1000 / (PICTURES if case.large else min(TIMED, len(case.material.x)))
    spent, whole = statistics.median(form.seconds), statistics.median(base.seconds)
    worst = form.report.worst()
    word = "" if form is base else ("passes" if form.report.passed else "refused")
    cells = (
        case.set,
        fitted.recipe,
        form.name if form.name in OFFERED else f"*{form.name}*",
        f"{len(form.graph) / 1000:,.0f}",
        f"{len(form.graph) / len(base.graph):.2f}",
        f"{spent * 1000 * size:,.0f}",
        f"{whole / spent:.2f}",
        "" if form is base else f"{difference(worst)} in `{worst.output}`",
        f"{case.scenario.parity_tolerance:g}",
        word,
        f"{form.alone:.0e}" if form.alone > 1e-5 else "",
        form.judged,
    )
    return f"| {' | '.join(cells)} |"


def difference(output: OutputParity) -> str:
    """Return a largest difference for the page."""
    return "not finite" if output.max_rel is None else f"{output.max_rel:.1e}"


def main() -> None:
    """Measure and print, or write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--page", type=Path)
    data = Path(os.environ.get("TUNDISH_DATA", "shared/data"))
    page = parser.parse_args().page
    logging.disable(logging.WARNING)
    rows, runtimes = [], []
    for case in cases(data):
        fitted, opened, others = measure(case)
        rows += [row(case, fitted, form, opened[0]) for form in opened]
        said = {item.candidate.removeprefix("graph in the "): item for item in others}
        cells = [
            f"{difference(item.worst())} ({item.windows})" if item else "cannot run it"
            for item in (said.get(name) for name in ("onnx reference evaluator", "runtime tract"))
        ]  # fmt: skip
        runtimes.append(f"| {case.set} | {fitted.recipe} | {' | '.join(cells)} |")
        print("\n".join(rows[-len(opened) :]), runtimes[-1], sep="\n", flush=True)
    if page is not None:
        text = (ROOT / "bench/precision-notes.md").read_text(encoding="utf-8")
        where = f"{platform.machine()}, {os.cpu_count()} cores, one thread; onnxruntime {version('onnxruntime')}, tract {version('tract')}"
        text = text.replace("{rows}", "\n".join(rows)).replace("{where}", where)
        page.write_text(text.replace("{runtimes}", "\n".join(runtimes)), encoding="utf-8")  # fmt: skip


if __name__ == "__main__":
    main()
