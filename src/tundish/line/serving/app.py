"""The application that answers HTTP: plain ASGI, one model, one event loop.

A framework's routing and validation costs more than a small model, and a thread more
than five of them: so the paths are looked up in a table, the body is read by one typed
decoder, and the model answers on the loop that received the request.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal

from tundish.kernel.errors import TundishError, plain
from tundish.line.serving.access import Access
from tundish.line.serving.answers import Answerer, Doubted
from tundish.line.serving.errors import (
    MethodRefusedError,
    NotServedError,
    RequestMalformedError,
    RequestTooLargeError,
    ServingOverError,
    TensorUnfitError,
    TokenRefusedError,
    TooManyRequestsError,
)
from tundish.line.serving.limits import Limits
from tundish.line.serving.metrics import Metrics
from tundish.line.serving.request import INPUT, Form, read_request
from tundish.line.serving.response import Named, encode, write_answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
Route = Literal["infer", "live", "ready", "server", "model", "model-ready", "metrics"]
Gauges = Callable[[], Mapping[str, tuple[str, float]]]

STATUS: dict[type[TundishError], int] = {
    RequestMalformedError: 400,
    TensorUnfitError: 400,
    TokenRefusedError: 401,
    NotServedError: 404,
    MethodRefusedError: 405,
    RequestTooLargeError: 413,
    TooManyRequestsError: 429,
    ServingOverError: 503,
}
"""Every other error of Tundish is the server's own trouble: 503."""

_JSON = (b"content-type", b"application/json")
_BYTES = (b"content-type", b"application/octet-stream")
_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_LENGTH = b"inference-header-content-length"
_WANTED = {
    b"authorization",
    b"content-length",
    b"content-encoding",
    _LENGTH,
}
_OK: tuple[int, Headers, bytes] = (200, (_JSON,), b"")
_EXTENSIONS = ["binary_tensor_data"]


class _ClientGoneError(Exception):
    """The client closed the connection before its request was whole."""


class ServeApp:
    """Answers requests for one model; an ASGI application.

    Args:
        model: Its name, version and digest.
        answerer: Asks it.
        access: Knows the clients.
        limits: Sizes.
        gauges: Further numbers for the metrics, asked when they are read.
        version: Of Tundish.
    """

    def __init__(
        self,
        model: Named,
        answerer: Answerer,
        access: Access,
        *,
        limits: Limits,
        gauges: Gauges,
        version: str,
    ) -> None:
        self.metrics = Metrics()
        self.over = ""
        self._model = model
        self._answerer = answerer
        self._access = access
        self._limits = limits
        self._gauges = gauges
        scenario = answerer.scenario
        self._form = Form(
            rows=scenario.window.rows,
            channels=scenario.channels,
            outputs=answerer.outputs,
            most_rows=limits.rows,
        )
        self._routes = _routes(model)
        self._pages = self._made_pages(version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no exception leaves."""
        if scope["type"] != "http":
            return
        start_s = time.perf_counter()
        route = self._routes.get(scope["path"])
        status, headers, body = _OK
        try:
            given = {name: v for name, v in scope["headers"] if name in _WANTED}
            if route != "live":
                self._check_client(given, scope)
            if route == "infer" and scope["method"] == "POST":
                headers, body = await self._infer(given, receive)
            else:
                headers, body = self._page(route, scope)
        except _ClientGoneError:
            return
        except TundishError as error:
            status, headers, body = _refusal(error)
        except Exception as error:  # noqa: BLE001 -- a stranger gets no traceback
            name = type(error).__name__
            said = f"Tundish made a mistake of its own ({name})."
            status, headers, body = 500, (_JSON,), _error("internal", said)
        self.metrics.answered(route or "other", status, time.perf_counter() - start_s)
        length = (b"content-length", b"%d" % len(body))
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": (*headers, length),
            }
        )
        await send({"type": "http.response.body", "body": body})

    def _check_client(self, given: Mapping[bytes, bytes], scope: Scope) -> None:
        client = scope["client"]
        peer = client[0] if client else ""
        self._access.client(given.get(b"authorization", b""), peer)

    def _page(self, route: Route | None, scope: Scope) -> tuple[Headers, bytes]:
        """Return what is known without asking the model."""
        if route is None:
            raise self._unknown(scope["path"])
        if route == "infer" or scope["method"] != "GET":
            wanted = "POST" if route == "infer" else "GET"
            msg = f"The address takes {wanted}; {scope['method'][:20]} was used."
            raise MethodRefusedError(msg)
        if route == "metrics":
            return (_TEXT,), self.metrics.text(self._gauges())
        if route in {"ready", "model-ready"}:
            self._check_over()
        return (_JSON,), self._pages[route]

    async def _infer(
        self, given: Mapping[bytes, bytes], receive: Receive
    ) -> tuple[Headers, bytes]:
        self._check_over()
        if b"content-encoding" in given:
            _check_encoding(given[b"content-encoding"])
        said = given.get(b"content-length")
        if said and int(said) > self._limits.body:  # the server has checked the form
            raise self._too_large(int(said))
        message = await receive()
        if message.get("more_body", True):  # also when the client has gone
            body = await self._whole_body(message, receive)
        else:
            body = message["body"]
            if len(body) > self._limits.body:
                raise self._too_large(len(body))
        asked = read_request(body, given.get(_LENGTH), self._form)
        answered = self._answerer.answer(asked.windows, told=asked.because)
        self.metrics.rows += len(asked.windows)
        if answered.doubted:
            self._count(answered.doubted.values())
        data, length = write_answer(self._model, asked, answered)
        if length is None:
            return (_JSON,), data
        return (_BYTES, (_LENGTH, b"%d" % length)), data

    async def _whole_body(self, message: Message, receive: Receive) -> bytes:
        """Return the body from its first piece; one that is too large is not read on."""
        parts, size = [], 0
        while True:
            if message["type"] != "http.request":
                raise _ClientGoneError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limits.body:
                raise self._too_large(size)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await receive()

    def _count(self, doubted: Iterable[Doubted]) -> None:
        self.metrics.abstained.update(d.why for d in doubted if d.quality == "bad")

    def _too_large(self, size: int) -> RequestTooLargeError:
        msg = (
            f"The body has {size} bytes or more; at most {self._limits.body} are taken."
        )
        return RequestTooLargeError(msg)

    def _check_over(self) -> None:
        if self.over:
            raise ServingOverError(self.over)

    def _unknown(self, path: str) -> NotServedError:
        name, version = self._model.name, self._model.version
        msg = f"Nothing is served under {plain(path[:200])!r}: this server has the model {name!r}, version {version}."
        return NotServedError(msg)

    def _made_pages(self, version: str) -> dict[Route, bytes]:
        form = self._form
        window = {"name": INPUT, "datatype": "FP32", "shape": [-1, form.rows, form.channels]}  # fmt: skip
        outputs = [
            {"name": name, "datatype": "FP32", "shape": [-1, *shape]}
            for name, shape in form.outputs.items()
        ]
        name = self._model.name
        model = {
            "name": name,
            "versions": [self._model.version],
            "platform": "tundish_onnx",
            "inputs": [window],
            "outputs": outputs,
            "parameters": {
                "package": self._model.package,
                "signals": ", ".join(
                    f"{signal.name} [{signal.unit}]"
                    for signal in self._answerer.scenario.signals[:100]
                ),
            },
        }
        server = {"name": "tundish", "version": version, "extensions": _EXTENSIONS}
        return {
            "live": encode({"live": True}),
            "ready": encode({"ready": True}),
            "model-ready": encode({"name": name, "ready": True}),
            "server": encode({**server, "models": [name]}),
            "model": encode(model),
        }


def _routes(model: Named) -> dict[str, Route]:
    fixed: dict[str, Route] = {
        "/v2": "server",
        "/v2/": "server",
        "/v2/health/live": "live",
        "/v2/health/ready": "ready",
        "/metrics": "metrics",
    }
    name = f"/v2/models/{model.name}"
    places: Iterable[str] = (name, f"{name}/versions/{model.version}")
    for place in places:
        fixed[place] = "model"
        fixed[f"{place}/ready"] = "model-ready"
        fixed[f"{place}/infer"] = "infer"
    return fixed


def _refusal(error: TundishError) -> tuple[int, Headers, bytes]:
    kind = type(error)
    status = STATUS.get(kind, 503)
    headers: list[tuple[bytes, bytes]] = [_JSON]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="tundish"'))
    if status == 405:
        headers.append((b"allow", b"GET, POST"))
    if status == 429:
        headers.append((b"retry-after", b"60"))
    return status, tuple(headers), _error(error.code, _sentence(error))


def _check_encoding(encoding: bytes) -> None:
    if encoding.lower() != b"identity":
        said = encoding[:40].decode("latin-1")
        msg = f"The body is compressed ({said!r}); it is taken as it is only."
        raise RequestMalformedError(msg)


def _sentence(error: TundishError) -> str:
    return f"{error.message} {error.advice}".strip()


def _error(code: str, said: str) -> bytes:
    return encode({"error": said, "code": code})
