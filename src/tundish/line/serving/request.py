"""Read the body of an inference request: JSON, or JSON with binary tensors behind it.

After the Open Inference Protocol, version 2, and its extension for binary tensor data.
Bytes come from strangers: types are checked while they are read, so that a text or a
truth value never becomes a number; ``null`` is a missing value, which the contract
refuses later with its reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tundish.line.serving.errors import (
    RequestMalformedError,
    RequestTooLargeError,
    TensorUnfitError,
)

INPUT = "window"
AXES = 3
_OPENING = re.compile(rb"[\[\s]*")
_NUMBERS: dict[str, np.dtype[np.float32] | np.dtype[np.float64]] = {
    "FP32": np.dtype(np.float32).newbyteorder("<"),
    "FP64": np.dtype(np.float64).newbyteorder("<"),
}
_MOST_NAME = 200
_SAID = 300


class _TensorParameters(msgspec.Struct, frozen=True):
    binary_data_size: int | None = None
    binary_data: bool | None = None
    classification: int | None = None


class _Input(msgspec.Struct, frozen=True):
    name: str
    shape: list[int]
    datatype: str
    parameters: _TensorParameters | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Output(msgspec.Struct, frozen=True):
    name: str
    parameters: _TensorParameters | None = None


class _Parameters(msgspec.Struct, frozen=True):
    binary_data_output: bool = False
    because: bool = False


class _Request(msgspec.Struct, frozen=True):
    inputs: list[_Input]
    id: str | None = None
    parameters: _Parameters | None = None
    outputs: list[_Output] | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_END = float(np.finfo(np.float32).max)
_Number = Annotated[float, msgspec.Meta(ge=-_END, le=_END)] | None
_PLAIN_BYTES = 64 * 1024


class _PlainInput(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    name: Literal["window"]
    shape: tuple[int, int, int]
    datatype: Literal["FP32"]
    data: list[Annotated[float, msgspec.Meta(ge=-_END, le=_END)]]


class _Plain(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    inputs: tuple[_PlainInput]


_PLAIN = msgspec.json.Decoder(_Plain)
"""The regular request: one flat list of numbers, nothing else said. One decoder reads all
of it; whatever it does not take is read, and refused, by the general ones."""
_NESTED: dict[int, msgspec.json.Decoder[Any]] = {
    1: msgspec.json.Decoder(list[_Number]),
    2: msgspec.json.Decoder(list[list[_Number]]),
    3: msgspec.json.Decoder(list[list[list[_Number]]]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a model takes and gives.

    Attributes:
        rows, channels: Of one window.
        outputs: Shape of each output for one window, in order.
        most_rows: Windows in one request.
    """

    rows: int
    channels: int
    outputs: dict[str, tuple[int, ...]]
    most_rows: int


class Asked(NamedTuple):
    """One inference request.

    Attributes:
        windows: float32 [N, T, C]; N from 1 to the form's most. Values are untrusted.
        id: The client's own name of the request, to be given back.
        outputs: Which outputs are wanted, and whether each goes out as bytes.
        because: Whether to say which signals the answers come from.
    """

    windows: NDArray[np.float32]
    id: str | None
    outputs: dict[str, bool]
    because: bool


def read_request(body: bytes, header: bytes | None, form: Form) -> Asked:
    """Read an inference request.

    Args:
        body: All of it. Untrusted.
        header: Value of ``Inference-Header-Content-Length``, if sent. Untrusted.
        form: Of the model.

    Raises:
        RequestMalformedError: if it is no request of the protocol.
        RequestTooLargeError: if it has too many rows.
        TensorUnfitError: if its tensors are not those of the model.
    """
    length = len(body) if header is None else _header_length(header, len(body))
    if length == 0 and body:
        return _bare(body, form)
    if length == len(body) <= _PLAIN_BYTES and (asked := _plain(body, form)):
        return asked
    request = _decoded(body[:length] if length < len(body) else body)
    if request.id is not None and len(request.id) > _MOST_NAME:
        msg = f"The request's id has {len(request.id)} characters; at most {_MOST_NAME} are taken."
        raise RequestMalformedError(msg)
    windows = _windows(request, body, length, form)
    parameters = request.parameters or _Parameters()
    return Asked(
        windows=windows,
        id=request.id,
        outputs=_outputs(request, form, binary=parameters.binary_data_output),
        because=parameters.because,
    )


def _header_length(header: bytes, size: int) -> int:
    if header.isdigit() and len(header) <= 10 and int(header) <= size:
        return int(header)
    said = header[:40].decode("ascii", "replace")
    msg = f"Inference-Header-Content-Length is {said!r}; a number of bytes from 0 to the body's {size} is expected."
    raise RequestMalformedError(msg)


def _bare(body: bytes, form: Form) -> Asked:
    """Take a body that is nothing but the bytes of the one input."""
    each = 4 * form.rows * form.channels
    if len(body) % each:
        msg = f"A body of bytes alone has {len(body)}; a window takes {each}."
        raise TensorUnfitError(msg)
    rows = _count([len(body) // each, form.rows, form.channels], form)
    values = np.frombuffer(body, _NUMBERS["FP32"]).astype(np.float32)
    return Asked(
        windows=values.reshape(rows, form.rows, form.channels),
        id=None,
        outputs=dict.fromkeys(form.outputs, True),
        because=False,
    )


def _plain(body: bytes, form: Form) -> Asked | None:
    """Read the regular request; None: it is another, or not right."""
    try:
        given = _PLAIN.decode(body).inputs[0]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    rows, *window = given.shape
    fits = window == [form.rows, form.channels] and 1 <= rows <= form.most_rows
    if not fits or len(given.data) != rows * form.rows * form.channels:
        return None
    values = np.array(given.data, np.float32)
    outputs = dict.fromkeys(form.outputs, False)
    return Asked(values.reshape(given.shape), None, outputs, because=False)


def _decoded(text: bytes) -> _Request:
    try:
        return _REQUEST.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        msg = f"The request is no JSON of the Open Inference Protocol: {_short(error)}."
        raise RequestMalformedError(msg) from error


def _windows(
    request: _Request, body: bytes, length: int, form: Form
) -> NDArray[np.float32]:
    names = [item.name for item in request.inputs]
    if names != [INPUT]:
        told = ", ".join(repr(name[:40]) for name in names[:5]) or "none"
        msg = f"The model takes one input, '{INPUT}'; the request has {told}."
        raise TensorUnfitError(msg)
    given = request.inputs[0]
    rows = _count(given.shape, form)
    kind = _NUMBERS.get(given.datatype)
    if kind is None:
        msg = f"The input is {given.datatype[:20]!r}; FP32 is taken, and FP64."
        raise TensorUnfitError(msg)
    size = given.parameters.binary_data_size if given.parameters else None
    wanted = rows * form.rows * form.channels
    raw = memoryview(body)[length:]  # no copy: it may be megabytes
    if size is None:
        if raw:
            msg = (
                f"{len(raw)} bytes follow the JSON, and no input says binary_data_size."
            )
            raise RequestMalformedError(msg)
        flat = _numbers(bytes(given.data), given.shape, wanted)
    else:
        flat = _from_bytes(raw, size, kind, wanted)
    return flat.reshape(rows, form.rows, form.channels)


def _count(shape: list[int], form: Form) -> int:
    """Return the number of windows of a shape that fits."""
    fits = len(shape) == AXES and shape[1:] == [form.rows, form.channels]
    if not fits or shape[0] < 1:
        msg = f"The input has the shape {shape[:8]}; expected [N, {form.rows}, {form.channels}], N at least 1."
        raise TensorUnfitError(msg)
    if shape[0] > form.most_rows:
        msg = f"The request has {shape[0]} windows; at most {form.most_rows} are taken at once."
        raise RequestTooLargeError(msg)
    return shape[0]


def _from_bytes(
    raw: memoryview,
    size: int,
    kind: np.dtype[np.float32] | np.dtype[np.float64],
    wanted: int,
) -> NDArray[np.float32]:
    if size != wanted * kind.itemsize or len(raw) != size:
        msg = (
            f"The input says {size} bytes and {len(raw)} follow the JSON; its shape "
            f"takes {wanted * kind.itemsize}."
        )
        raise TensorUnfitError(msg)
    with np.errstate(over="ignore"):  # becomes infinite, which the contract refuses
        return np.frombuffer(raw, kind).astype(np.float32)


def _numbers(raw: bytes, shape: list[int], wanted: int) -> NDArray[np.float32]:
    """Return the numbers of a JSON list, flat or nested as its shape."""
    opening = _OPENING.match(raw)
    depth = opening.group().count(b"[") if opening else 0
    decoder = _NESTED.get(depth)
    if decoder is None:
        what = "no data" if not raw else "data that are no list of numbers"
        msg = f"The input has {what}; {wanted} numbers are expected."
        raise TensorUnfitError(msg)
    try:
        values = np.array(decoder.decode(raw), np.float32)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        msg = f"The data of the input are no numbers in its shape: {_short(error)}."
        raise TensorUnfitError(msg) from error
    if values.size != wanted or (depth > 1 and list(values.shape) != shape):
        msg = f"The input has {values.size} values in the shape {list(values.shape)}; its shape {shape} takes {wanted}."
        raise TensorUnfitError(msg)
    return values


def _outputs(request: _Request, form: Form, *, binary: bool) -> dict[str, bool]:
    if not request.outputs:
        return dict.fromkeys(form.outputs, binary)
    wanted: dict[str, bool] = {}
    for item in request.outputs:
        if item.name not in form.outputs or item.name in wanted:
            known = ", ".join(form.outputs)
            msg = f"The output {item.name[:40]!r} was asked for; each of these once: {known}."
            raise TensorUnfitError(msg)
        own = item.parameters or _TensorParameters()
        if own.classification is not None:
            msg = (
                f"Classification of {item.name!r} was asked for, which is not offered."
            )
            raise TensorUnfitError(msg)
        wanted[item.name] = binary if own.binary_data is None else own.binary_data
    return wanted


def _short(error: Exception) -> str:
    return str(error).rstrip(".")[:_SAID]
