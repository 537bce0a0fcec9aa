"""A bare ASGI application with the same inference: no token, no contract, no doubt.

Run by ``bench/serve.py`` under uvicorn with httptools and uvloop: what anybody would
write who wants nothing but speed.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import msgspec
import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(
    os.environ["BARE_GRAPH"], options, providers=["CPUExecutionProvider"]
)
names = [item.name for item in session.get_outputs()]


class Tensor(msgspec.Struct):
    """One input of the protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float] = []


class Request(msgspec.Struct):
    """One request of the protocol."""

    inputs: list[Tensor]


decoder, encoder = msgspec.json.Decoder(Request), msgspec.json.Encoder()
JSON, BYTES = b"application/json", b"application/octet-stream"


async def app(scope, receive, send):  # noqa: ANN001, ANN201 -- as bare as it gets
    """Answer one inference request."""
    if scope["type"] != "http":
        return
    length = next(
        (v for n, v in scope["headers"] if n == b"inference-header-content-length"),
        None,
    )
    message = await receive()
    body = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    at = None if length is None else int(length)
    one = decoder.decode(body[:at]).inputs[0]
    if at is None:
        window = np.array(one.data, np.float32).reshape(one.shape)
    else:
        window = np.frombuffer(body, np.float32, offset=at).reshape(one.shape)
    values = dict(zip(names, session.run(names, {"window": window}), strict=True))
    outputs = [
        {"name": k, "datatype": "FP32", "shape": v.shape} for k, v in values.items()
    ]
    headers = []
    if at is None:
        for said, value in zip(outputs, values.values(), strict=True):
            said["data"] = value.ravel().tolist()
        data = encoder.encode({"model_name": "bare", "outputs": outputs})
        headers.append((b"content-type", JSON))
    else:
        text = encoder.encode({"model_name": "bare", "outputs": outputs})
        data = b"".join([text, *(value.tobytes() for value in values.values())])
        headers.append((b"content-type", BYTES))
        headers.append((b"inference-header-content-length", b"%d" % len(text)))
    headers.append((b"content-length", b"%d" % len(data)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})
