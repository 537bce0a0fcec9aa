"""Models of other tools become like our own: real converters wrote each of them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from tests.learn.conftest import open_graph

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.learn import parity
from tundish.learn.adopt import Adoption, adopt
from tundish.learn.backends import NAME, against_others
from tundish.learn.errors import ForeignUnfitError, ParityBrokenError
from tundish.learn.judge import answers, judge
from tundish.learn.material import Material
from tundish.learn.recipe import Fitted
from tundish.model.errors import GraphMalformedError, GraphOperatorError

TAGS = 4
_TEXT = """
format: tundish.scenario
version: 1
key: C25.21.test-foreign
name: {{en: Foreign, zh: "外来"}}
problem: none
decision: {{what: nothing, who: nobody}}
task: {task}
signals:
{signals}
window: {{rows: {rows}, stride: 1}}
{more}
recipe: a
candidates:
  a: {{recipe: pls, why: test}}
acceptance:
  alarm_rate: 0.05
  tolerance: 2.0
  limits:
    - {{metric: {metric}, at_least: 0.5, why: test}}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 600
risk: {{outcome: low, ambiguity: low, autonomy: perceive, why: test}}
"""
_MORE = {
    "regress": "target: {name: y, description: y, unit: g, range: [-20, 20]}",
    "anomaly": "",
    "diagnose": "target: {name: state, description: state, unit: '1', range: [0, 1]}\n"
    "classes: [{name: fine, description: fine, good: true}, {name: worn, description: worn}, {name: broken, description: broken}]",
}
_METRIC = {"regress": "r2", "anomaly": "auroc", "diagnose": "macro_f1"}


def scenario(task: str, rows: int = 1) -> Scenario:
    signals = "\n".join(
        f"  - {{name: tag{i}, description: t, unit: K, range: [-50, 50], period_s: 60}}"
        for i in range(TAGS)
    )
    text = _TEXT.format(
        task=task, signals=signals, rows=rows, more=_MORE[task], metric=_METRIC[task]
    )
    return parse_document(text.encode(), Scenario, "test")


def material(task: str, rows: int = 1, count: int = 400) -> Material:
    draw = np.random.default_rng(5)
    x = draw.normal(size=(count, rows, TAGS)).astype(np.float32)
    last = x[:, -1].astype(np.float64)
    y = 3.0 * last[:, 0] - 2.0 * last[:, 1] + draw.normal(0, 0.1, count)
    event = np.full(count, -1)
    if task == "diagnose":
        y = (y > 0).astype(np.float64) + (y > 3)
    if task == "anomaly":
        y = np.full(count, np.nan)
        event[-20:] = 0
        x[-20:, :, 2] += 9.0
    part = np.repeat(["fit", "calibrate", "judge"], [200, 100, 100])
    return Material(
        x=x,
        y=y,
        part=part,
        source=np.full(count, "run"),
        event=event,
        group=np.arange(count),
    )


def _flat(found: Material) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    fit = found.of("fit")
    return fit.x.reshape(len(fit), -1), fit.y


def ridge(found: Material) -> bytes:
    from skl2onnx import to_onnx  # noqa: PLC0415
    from sklearn.linear_model import Ridge  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    x, y = _flat(found)
    return _bytes(to_onnx(make_pipeline(StandardScaler(), Ridge()).fit(x, y), x[:1]))


def boosted(found: Material) -> bytes:
    import lightgbm  # noqa: PLC0415
    import onnxmltools  # noqa: PLC0415
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415

    x, y = _flat(found)
    model = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1).fit(x, y)
    kinds = [("input", FloatTensorType([None, x.shape[1]]))]
    return _bytes(
        onnxmltools.convert_lightgbm(model, initial_types=kinds, target_opset=15)
    )


def forest(found: Material, trees: int = 8) -> bytes:
    from skl2onnx import to_onnx  # noqa: PLC0415
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415

    x, _ = _flat(found)
    model = IsolationForest(n_estimators=trees, random_state=0).fit(x)
    return _bytes(to_onnx(model, x[:1], target_opset={"": 15, "ai.onnx.ml": 3}))


def one_class(found: Material) -> bytes:
    from skl2onnx import to_onnx  # noqa: PLC0415
    from sklearn.svm import OneClassSVM  # noqa: PLC0415

    x, _ = _flat(found)
    return _bytes(to_onnx(OneClassSVM(nu=0.05).fit(x), x[:1]))


def classifier(found: Material, *, zipmap: bool = False) -> bytes:
    from skl2onnx import to_onnx  # noqa: PLC0415
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415

    x, y = _flat(found)
    model = RandomForestClassifier(n_estimators=15, random_state=0)
    model.fit(x, y.astype(np.int64))
    return _bytes(to_onnx(model, x[:1], options={"zipmap": zipmap}))


def network(found: Material) -> bytes:
    torch = pytest.importorskip("torch")
    x, y = found.of("fit").x, found.of("fit").y
    torch.manual_seed(0)
    flat = torch.tensor(x.reshape(len(x), -1))
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(flat.shape[1], 1))
    solved = np.linalg.lstsq(np.c_[flat.numpy(), np.ones(len(x))], y, rcond=None)[0]
    rows, tags = x.shape[1:]
    weight = solved[:-1].reshape(rows, tags).T.reshape(1, -1)  # it takes [N, C, T]
    with torch.no_grad():
        net[1].weight[:] = torch.tensor(weight, dtype=torch.float32)
        net[1].bias[:] = torch.tensor(solved[-1:], dtype=torch.float32)
    out = io.BytesIO()
    asked = (torch.zeros(1, tags, rows),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, asked, out, dynamo=False, opset_version=17,
            input_names=["in"], dynamic_axes={"in": {0: "n"}},
        )  # fmt: skip
    return out.getvalue()


def _bytes(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString())


CASES: dict[str, tuple[str, Callable[[Material], bytes], Adoption, int]] = {
    "scikit-learn pipeline": ("regress", ridge, Adoption(), 1),
    "LightGBM": ("regress", boosted, Adoption(), 2),
    "PyTorch, channels first": (
        "regress", network, Adoption(layout="channels-first"), 3,
    ),
    "isolation forest": (
        "anomaly", forest, Adoption(output="scores", high_is_normal=True), 1,
    ),
    "one-class SVM": (
        "anomaly", one_class, Adoption(output="scores", high_is_normal=True), 1,
    ),
    "random forest": ("diagnose", classifier, Adoption(output="probabilities"), 1),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _converters() -> None:
    pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxmltools")


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
@pytest.mark.parametrize("name", CASES)
def test_a_foreign_model_keeps_its_answers_and_is_judged_like_our_own(
    name: str,
) -> None:
    task, make, how, rows = CASES[name]
    found, contract = material(task, rows), scenario(task, rows)
    fitted = adopt(make(found), how, found, contract)
    run = open_graph(fitted.graph, fitted.golden_window)
    ours = answers(run, found.x, contract)
    parity.require(parity.compare(fitted.reference(found.x), ours, contract))
    others = against_others(fitted.graph, run, found.x, contract)
    assert NAME in others[0].candidate
    for other in others:
        parity.require(other)
    verdict = judge(found, contract, run, fitted.claim)
    assert verdict.accepted, verdict.limits
    assert "imported" in fitted.notes[0]


def _adopted(name: str) -> tuple[Fitted, Material, Scenario]:
    task, make, how, rows = CASES[name]
    found, contract = material(task, rows), scenario(task, rows)
    return adopt(make(found), how, found, contract), found, contract


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_judge_part_changes_nothing_in_an_imported_graph() -> None:
    fitted, found, contract = _adopted("scikit-learn pipeline")
    other = replace(
        found, x=np.where((found.part == "judge")[:, None, None], 0, found.x)
    )
    again = adopt(ridge(found), Adoption(), other, contract)
    assert again.graph == fitted.graph


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_contributions_name_the_tag_that_moved() -> None:
    found, contract = material("anomaly"), scenario("anomaly")
    how = CASES["isolation forest"][2]
    fitted = adopt(forest(found, trees=30), how, found, contract)
    run = open_graph(fitted.graph, fitted.golden_window)
    shares = answers(run, found.x, contract)["contribution"]
    assert (shares[-20:].argmax(axis=1) == 2).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_columns_in_another_order_are_put_into_the_scenarios() -> None:
    found, contract = material("diagnose"), scenario("diagnose")
    swapped = replace(found, y=np.array([2.0, 1.0, 0.0])[found.y.astype(int)])
    how = Adoption(output="probabilities", classes=("broken", "worn", "fine"))
    fitted = adopt(classifier(swapped), how, found, contract)
    run = open_graph(fitted.graph, fitted.golden_window)
    judged = found.of("judge")
    right = run(judged.x)["probability"].argmax(axis=1) == judged.y
    assert right.mean() > 0.8


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_cannot_be_read_safely_or_does_not_fit_is_refused() -> None:
    found = material("diagnose")
    with pytest.raises((GraphMalformedError, GraphOperatorError)):  # a map of classes
        adopt(
            classifier(found, zipmap=True),
            Adoption(output="probabilities"),
            found,
            scenario("diagnose"),
        )
    with pytest.raises(ForeignUnfitError, match="which one"):
        adopt(classifier(found), Adoption(), found, scenario("diagnose"))
    with pytest.raises(ForeignUnfitError, match="no output 'y'"):
        adopt(classifier(found), Adoption(output="y"), found, scenario("diagnose"))
    numbers = material("regress", 2)
    with pytest.raises(ForeignUnfitError, match="8 values"):
        adopt(ridge(material("regress")), Adoption(), numbers, scenario("regress", 2))


def test_an_answer_that_depends_on_the_batch_is_refused() -> None:
    found = material("regress")
    entry = helper.make_tensor_value_info("x", 1, ["n", TAGS])
    left = helper.make_tensor_value_info("y", 1, ["n", 1])
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["d"]),
        helper.make_node("ReduceMean", ["d"], ["y"], axes=[1], keepdims=1),
    ]
    graph = helper.make_graph(nodes, "g", [entry], [left])
    model = helper.make_model(
        graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
    )
    with pytest.raises(ForeignUnfitError, match="batch"):
        adopt(_bytes(model), Adoption(), found, scenario("regress"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_parity_refuses_a_wrapped_graph_whose_foreign_weights_were_changed() -> None:
    fitted, found, contract = _adopted("PyTorch, channels first")
    model = onnx.load_from_string(fitted.graph)
    for item in model.graph.initializer:
        if item.name.startswith("foreign/") and "weight" in item.name:
            changed = numpy_helper.to_array(item) * 1.01
            item.CopyFrom(numpy_helper.from_array(changed, item.name))
    run = open_graph(_bytes(model), fitted.golden_window)
    ours = answers(run, found.x, contract)
    with pytest.raises(ParityBrokenError, match="differs"):
        parity.require(parity.compare(fitted.reference(found.x), ours, contract))
