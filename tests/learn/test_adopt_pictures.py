"""Inspectors of other tools become like our own: PyTorch wrote each of them, trained here."""

from __future__ import annotations

import io
import warnings
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from tests.learn.conftest import open_graph
from tests.learn.test_picture_recipes import SIDE, parts, scenario

from tundish.catalog.scenario import Scenario
from tundish.learn import parity
from tundish.learn.adopt import Adoption, adopt
from tundish.learn.adopting.picture_answers import Cells
from tundish.learn.adopting.picture_feed import picture_feed, resized
from tundish.learn.backends import against_others
from tundish.learn.errors import ForeignUnfitError, ParityBrokenError
from tundish.learn.judge import answers, judge
from tundish.learn.material import Material
from tundish.learn.ranking import auroc
from tundish.learn.recipe import Fitted
from tundish.model.graphcheck import ValueFacts

torch: Any = pytest.importorskip("torch")
F = torch.nn.functional
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET = Adoption(mean=MEAN, std=STD)


def tensor(x: np.ndarray) -> Any:
    """Return grey windows as PyTorch sees them: [N, 3, H, W] from 0 to 1."""
    grey = torch.tensor(x[:, :, 0].reshape(-1, 1, SIDE, SIDE) / 255.0)
    return grey.expand(-1, 3, -1, -1).contiguous()


def normalised(x: Any) -> Any:
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


class InferenceBatch(NamedTuple):
    """What anomalib 2 gives back, in its order."""

    pred_score: Any
    pred_label: Any
    anomaly_map: Any
    pred_mask: Any


class Padim(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """As anomalib exports: resizing and normalising inside, scores brought to 0..1.

    Where features (of one fixed convolution) lie from their mean at that place.
    """

    def __init__(self, good: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 16, 5, stride=2, padding=2)
        with torch.no_grad():
            found = self.described(good)
            self.register_buffer("mean", found.mean(0))
            self.register_buffer("std", found.std(0) + 0.1)
            worst = self.distance(good).amax((1, 2, 3))
        self.threshold, self.width = float(worst.max()), float(6 * worst.max())

    def described(self, x: Any) -> Any:
        x = F.interpolate(x, size=(56, 56), mode="bilinear", align_corners=False)
        return F.relu(self.conv(normalised(x)))

    def distance(self, x: Any) -> Any:
        off = ((self.described(x) - self.mean) / self.std) ** 2
        off = off.mean(1, keepdim=True).sqrt()
        off = F.interpolate(off, size=(56, 56), mode="bilinear", align_corners=False)
        return F.avg_pool2d(off, 5, stride=1, padding=2)

    def forward(self, x: Any) -> InferenceBatch:
        where = self.distance(x)
        score = where.amax((2, 3))
        score, where = (
            ((each - self.threshold) / self.width + 0.5).clamp(0, 1)
            for each in (score, where)
        )
        return InferenceBatch(score, score > 0.5, where, where > 0.5)


class Classifier(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """As PaddleX exports a classifier: 32 x 32, normalising outside, softmax inside."""

    def __init__(self, *, logits: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.logits = logits
        self.conv = torch.nn.Conv2d(3, 12, 5)
        self.head = torch.nn.Linear(12, 2)

    def odds(self, x: Any) -> Any:
        return self.head(F.relu(self.conv(x)).amax((2, 3)))

    def forward(self, x: Any) -> Any:
        return self.odds(x) if self.logits else self.odds(x).softmax(1)


class ChannelsLast(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """As tf2onnx exports: [N, H, W, C]."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x.permute(0, 3, 1, 2))


def exported(
    net: Any, form: tuple[int, ...], outputs: list[str], **free: dict[int, str]
) -> bytes:
    out = io.BytesIO()
    free = free or {"input": {0: "batch_size"}, "output": {0: "batch_size"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (torch.rand(1, *form),), out, dynamo=False, opset_version=14,
            input_names=["input"], output_names=outputs, dynamic_axes=free,
        )  # fmt: skip
    return out.getvalue()


def anomalib(found: Material) -> bytes:
    good = found.of("fit").take(found.of("fit").y == 0)
    net = Padim(tensor(good.x))
    return exported(net, (3, SIDE, SIDE), list(InferenceBatch._fields))


def trained(found: Material, *, logits: bool = False) -> Any:
    fit = found.take(np.isin(found.part, ["fit", "select"]))
    net = Classifier(logits=logits)
    x = normalised(F.interpolate(
        tensor(fit.x), size=(32, 32), mode="bilinear", antialias=True
    ))  # fmt: skip
    truth = torch.tensor(fit.y, dtype=torch.long)
    steps = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(150):
        steps.zero_grad()
        F.cross_entropy(net.odds(x), truth).backward()
        steps.step()
    return net


@pytest.fixture(scope="module")
def plain() -> Material:
    return parts(reference=False, count=60)


@pytest.fixture(scope="module")
def padim(plain: Material) -> bytes:
    return anomalib(plain)


@pytest.fixture(scope="module")
def net(plain: Material) -> Any:
    return trained(plain)


def held(data: bytes, how: Adoption, found: Material, contract: Scenario) -> Fitted:
    """Adopt, and hold it to what every import is held to."""
    fitted = adopt(data, how, found, contract)
    run = open_graph(fitted.graph, fitted.golden_window)
    ours = answers(run, found.x, contract)
    parity.require(parity.compare(fitted.reference(found.x), ours, contract))
    for other in against_others(fitted.graph, run, found.x, contract):
        parity.require(other)
    verdict = judge(found, contract, run, fitted.claim)
    assert verdict.accepted, verdict.limits
    return fitted


def test_an_export_of_anomalib_keeps_its_answers_and_shows_where(
    plain: Material, padim: bytes
) -> None:
    fitted = held(padim, Adoption(), plain, scenario())
    assert fitted.chosen[0]["output"] == "pred_score"
    assert fitted.chosen[0]["map_output"] == "anomaly_map"
    said = fitted.reference(plain.x)
    assert plain.mask is not None
    assert auroc(said["map"].ravel().astype(float), plain.mask.ravel()) > 0.9
    judged = plain.part == "judge"
    assert (said["score"][judged & (plain.y == 1)] > 1).all()


def test_a_map_alone_decides_by_its_largest_value(plain: Material) -> None:
    """As the first versions of anomalib, and PaddleX for anomalies, export."""

    class Map(Padim):
        def forward(self, x: Any) -> Any:
            return self.distance(x)

    good = plain.of("fit").take(plain.of("fit").y == 0)
    data = exported(Map(tensor(good.x)), (3, SIDE, SIDE), ["output"])
    fitted = held(data, Adoption(), plain, scenario())
    said = fitted.reference(plain.x)
    assert fitted.chosen[0]["map_output"] == "output"
    assert (said["map"].max(axis=1) <= said["score"][:, 0] + 1e-9).all()


def test_a_classifier_is_given_the_size_and_pixels_it_was_trained_on(
    plain: Material, net: Any
) -> None:
    data = exported(net, (3, 32, 32), ["softmax_0.tmp_0"])
    fitted = held(data, IMAGENET, plain, scenario(classes=True))
    x = F.interpolate(tensor(plain.x), size=(32, 32), mode="bilinear", antialias=True)
    with torch.no_grad():
        truth = net(normalised(x)).numpy()
    said = fitted.reference(plain.x)
    np.testing.assert_allclose(said["probability"], truth, atol=1e-4)
    assert np.ptp(said["map"], axis=1).max() == 0
    assert any("does not say where" in note for note in fitted.notes)


def test_log_odds_become_probabilities_only_when_said(plain: Material) -> None:
    data = exported(trained(plain, logits=True), (3, 32, 32), ["output"])
    with pytest.raises(ForeignUnfitError, match="probabilities sum to 1") as caught:
        adopt(data, IMAGENET, plain, scenario(classes=True))
    assert "--logits" in caught.value.advice
    how = IMAGENET.model_copy(update={"logits": True})
    fitted = held(data, how, plain, scenario(classes=True))
    total = fitted.reference(plain.x[:4])["probability"].sum(axis=1)
    np.testing.assert_allclose(total, 1.0)


def test_channels_last_and_an_open_size_are_found_from_the_input(
    plain: Material, net: Any
) -> None:
    last = exported(ChannelsLast(net), (32, 32, 3), ["p"])
    first = exported(net, (3, 32, 32), ["p"])
    sizes = {"input": {0: "n", 2: "height", 3: "width"}}
    free = exported(net, (3, 32, 32), ["p"], **sizes)
    contract = scenario(classes=True)
    sized = IMAGENET.model_copy(update={"size": (32, 32)})
    said = [
        adopt(data, how, plain, contract).reference(plain.x)["probability"]
        for data, how in ((last, IMAGENET), (first, IMAGENET), (free, sized))
    ]
    np.testing.assert_allclose(said[0], said[1], atol=1e-5)
    np.testing.assert_allclose(said[2], said[1], atol=1e-5)


def test_without_classes_a_column_must_be_called_bad(plain: Material, net: Any) -> None:
    data = exported(net, (3, 32, 32), ["p"])
    with pytest.raises(ForeignUnfitError, match="which column is 'bad'"):
        adopt(data, IMAGENET, plain, scenario())
    both = [
        adopt(
            data, IMAGENET.model_copy(update={"classes": names}), plain, scenario()
        ).reference(plain.x)["score"][:, 0]
        for names in (("good", "bad"), ("bad", "good"))
    ]
    assert auroc(both[0].astype(float), plain.y == 1) > 0.9
    assert auroc(both[1].astype(float), plain.y == 1) < 0.1


def test_a_score_that_is_high_for_good_parts_is_turned(
    plain: Material, padim: bytes
) -> None:
    model = onnx.load_from_string(padim)
    turned = {"pred_score": "good_score", "anomaly_map": "good_map"}
    for old, new in turned.items():
        model.graph.node.append(onnx.helper.make_node("Neg", [old], [new]))
        (output,) = [item for item in model.graph.output if item.name == old]
        output.name = new
    how = Adoption(output="good_score", map_output="good_map", high_is_normal=True)
    again = adopt(bytes(model.SerializeToString()), how, plain, scenario())
    first = adopt(padim, Adoption(), plain, scenario())
    for name in ("score", "map"):
        np.testing.assert_allclose(
            again.reference(plain.x)[name], first.reference(plain.x)[name], atol=1e-6
        )


def test_the_reference_is_left_out_where_a_model_takes_one_picture() -> None:
    found = parts(reference=True, count=60)
    item = ValueFacts(name="x", element=1, shape=("N", 3, SIDE, SIDE))
    picture = scenario(reference=True).picture
    assert picture is not None
    fed = picture_feed((item,), Adoption(), picture).of(found.x[:2])["x"].astype(float)
    own = found.x[:2, :, 0].astype(float).reshape(2, 1, SIDE, SIDE) / 255.0
    np.testing.assert_allclose(fed, own.repeat(3, axis=1), atol=1e-6)
    both = ValueFacts(name="x", element=1, shape=("N", 2, SIDE, SIDE))
    fed = picture_feed((both,), Adoption(), picture).of(found.x[:2])["x"].astype(float)
    np.testing.assert_allclose(
        fed[:, 1].ravel() * 255, found.x[:2, :, 1].ravel().astype(float)
    )


@pytest.mark.parametrize("want", [(31, 17), (48, 48), (100, 64)])
def test_sizes_change_as_pillow_and_pytorch_change_them(want: tuple[int, int]) -> None:
    draw = np.random.default_rng(2).uniform(0, 255, (48, 40))
    ours = resized(draw, want)
    image = Image.fromarray(draw.astype(np.float32))
    pillow = np.asarray(image.resize(want[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, pillow, atol=2e-3)
    theirs = F.interpolate(
        torch.tensor(draw)[None, None], size=want, mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(ours, theirs[0, 0].numpy(), atol=1e-9)


@pytest.mark.parametrize("form", [(3, 3), (6, 6), (48, 24), (56, 50)])
def test_a_cell_keeps_a_spot_that_is_smaller_than_itself(form: tuple[int, int]) -> None:
    picture = scenario().picture
    assert picture is not None
    raw = np.zeros((1, *form))
    raw[0, -1, -1] = 1.0
    cells = Cells(form=form, picture=picture).of(raw).reshape(6, 6)
    assert cells.argmax() == 35  # the last of 36
    assert cells[5, 5] > 0.5
    assert cells[:3, :3].max() == 0


def test_what_does_not_fit_a_picture_is_refused_with_what_was_found(
    plain: Material, padim: bytes, net: Any
) -> None:
    def refused(data: bytes, how: Adoption, says: str, classes: bool = False) -> None:
        with pytest.raises(ForeignUnfitError, match=says):
            adopt(data, how, plain, scenario(classes=classes))

    refused(padim, Adoption(), "gives a score and no classes", classes=True)
    refused(padim, Adoption(output="score"), "no output 'score'")
    refused(padim, Adoption(map_output="pred_score"), "one number for each place")
    refused(padim, Adoption(size=(64, 64)), "do not fill it")
    refused(padim, Adoption(mean=(123.7,), std=(58.4,)), "outside the pixels' range")
    refused(padim, Adoption(mean=(0.5, 0.5)), "each of 3 channels")
    flat = exported(torch.nn.Linear(SIDE, 1), (SIDE,), ["y"])
    refused(flat, Adoption(), "a picture as")
    wide = exported(torch.nn.Conv2d(5, 1, 3), (5, 9, 9), ["y"])
    refused(wide, Adoption(), "with 1, 3 channels")
    refused(exported(net, (3, 32, 32), ["p"]), IMAGENET.model_copy(
        update={"classes": ("sound", "crack")}
    ), "are not those of the scenario", classes=True)  # fmt: skip


def test_a_score_that_is_clipped_among_good_parts_is_refused(plain: Material) -> None:
    class Clipped(Padim):
        def forward(self, x: Any) -> Any:
            return super().forward(x).pred_score.clamp(0.9, 1.0)

    good = plain.of("fit").take(plain.of("fit").y == 0)
    data = exported(Clipped(tensor(good.x)), (3, SIDE, SIDE), ["pred_score"])
    with pytest.raises(ForeignUnfitError, match="no limit can be set"):
        adopt(data, Adoption(), plain, scenario())


def test_a_score_that_ends_at_the_limit_is_said_to_be_clipped(plain: Material) -> None:
    class Low(Padim):
        def forward(self, x: Any) -> Any:
            low = float(
                self.distance(tensor(calibrated.x)).amax((1, 2, 3)).quantile(0.7)
            )
            return self.distance(x).amax((2, 3)).clamp(max=low)

    good = plain.take(plain.y == 0)
    calibrated = good.of("calibrate")
    net = Low(tensor(good.of("fit").x))
    fitted = adopt(
        exported(net, (3, SIDE, SIDE), ["pred_score"]), Adoption(), plain, scenario()
    )
    assert any("seems to be clipped" in note for note in fitted.notes)
    free = adopt(anomalib(plain), Adoption(), plain, scenario())
    assert not any("clipped" in note for note in free.notes)


def test_parity_finds_a_changed_weight_in_an_imported_inspector(
    plain: Material, padim: bytes
) -> None:
    fitted = adopt(padim, Adoption(), plain, scenario())
    model = onnx.load_from_string(fitted.graph)
    for item in model.graph.initializer:
        if item.name.startswith("foreign/") and "conv.weight" in item.name:
            changed = numpy_helper.to_array(item) * 1.05
            item.CopyFrom(numpy_helper.from_array(changed, item.name))
    run = open_graph(bytes(model.SerializeToString()), fitted.golden_window)
    ours = answers(run, plain.x, scenario())
    with pytest.raises(ParityBrokenError, match="differs"):
        parity.require(parity.compare(fitted.reference(plain.x), ours, scenario()))


def test_the_judge_part_changes_nothing_in_an_imported_inspector(
    plain: Material, padim: bytes
) -> None:
    x = plain.x.copy()
    x[plain.part == "judge"] = 0
    other = Material(
        x=x, y=plain.y, part=plain.part, source=plain.source, event=plain.event,
        group=plain.group, mask=plain.mask,
    )  # fmt: skip
    first, second = (adopt(padim, Adoption(), m, scenario()) for m in (plain, other))
    assert first.graph == second.graph
