"""Write answers in the form of the Open Inference Protocol, as JSON or as bytes.

A number that the model did not give is ``null`` in JSON and NaN in bytes; the
parameters of the answer say which window that is and why. Parameters are plain texts and
numbers, as the protocol has them: ``quality.3``, ``why.3`` and ``reason.3`` speak of the
fourth window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np

from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest
from tundish.line.serving.answers import Answered, cut
from tundish.line.serving.request import Asked

_ENCODER = msgspec.json.Encoder()
_RANKS = {"good": 0, "uncertain": 1, "bad": 2}
encode = _ENCODER.encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What answers: the name and version of the model, and the digest of its package."""

    name: str
    version: str
    package: Digest


def write_answer(
    model: Named, asked: Asked, answered: Answered
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON if bytes follow it."""
    if _is_plain(asked, answered):
        return _plain(model, answered), None
    outputs: list[dict[str, object]] = []
    tail: list[bytes] = []
    for name, binary in asked.outputs.items():
        values = answered.outputs[name]
        said: dict[str, object] = {
            "name": name,
            "datatype": "FP32",
            "shape": values.shape,
        }
        if binary:
            raw = np.ascontiguousarray(values, "<f4").tobytes()
            said["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        else:
            said["data"] = values.ravel().tolist()
        outputs.append(said)
    body: dict[str, object] = {
        "model_name": model.name,
        "model_version": model.version,
        "parameters": _parameters(model, answered),
        "outputs": outputs,
    }
    if asked.id is not None:
        body["id"] = asked.id
    text = encode(body)
    return (b"".join((text, *tail)), len(text)) if tail else (text, None)


def _is_plain(asked: Asked, answered: Answered) -> bool:
    """Tell whether an answer is the usual one: of one window, good, all of it in JSON."""
    return (
        len(asked.windows) == 1
        and asked.id is None
        and not (asked.because or answered.doubted)
        and [*asked.outputs] == [*answered.outputs]
        and not any(asked.outputs.values())
    )


def _plain(model: Named, answered: Answered) -> bytes:
    """Write the usual answer: only its numbers differ from the one before."""
    outputs = answered.outputs
    shapes = tuple((name, values.shape) for name, values in outputs.items())
    parts = [b"%b%b" % (said, encode(values.ravel().tolist())) for said, values in zip(_said_before(model, shapes), outputs.values(), strict=True)]  # fmt: skip
    return b"".join((*parts, b"}]}"))


@lru_cache(maxsize=8)
def _said_before(
    model: Named, shapes: tuple[tuple[str, tuple[int, ...]], ...]
) -> tuple[bytes, ...]:
    """Return what stands before the numbers of each output."""
    body = {
        "model_name": model.name,
        "model_version": model.version,
        "parameters": {"package": model.package, "quality": "good"},
    }
    before = encode(body)[:-1] + b',"outputs":['
    found = []
    for name, shape in shapes:
        said = encode({"name": name, "datatype": "FP32", "shape": shape})[:-1]
        found.append(before + said + b',"data":')
        before = b"},"
    return tuple(found)


def _parameters(model: Named, answered: Answered) -> dict[str, Json]:
    said: dict[str, Json] = {"package": model.package, "quality": "good"}
    if answered.doubted:
        qualities = {item.quality for item in answered.doubted.values()}
        said["quality"] = max(qualities, key=_RANKS.__getitem__)
        for place, item in sorted(answered.doubted.items()):
            said[f"quality.{place}"] = item.quality
            said[f"why.{place}"] = item.why
            said[f"reason.{place}"] = cut(item.reason)
    for place, told in answered.because.items():
        if told:
            said[f"because.{place}"] = told
    return said
