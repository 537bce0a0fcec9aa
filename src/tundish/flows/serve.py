"""Serve a sealed package by the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal, cast

from pydantic import JsonValue

from tundish.flows.clients import clients_file, tokens_of
from tundish.flows.open_package import DAY_S, OpenModel, open_package
from tundish.flows.permit import GrantPermit
from tundish.flows.refusals import Refusals, Refused
from tundish.flows.withdrawn import withdrawn_in
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.canonical import Json
from tundish.kernel.clock import SystemClock, to_text
from tundish.kernel.errors import AirGappedError, TundishError
from tundish.kernel.records import Record
from tundish.line.events import Event, Kind, Listener, unheard
from tundish.line.serving.access import Access
from tundish.line.serving.limits import Limits, body_for
from tundish.line.serving.listening import (
    bind,
    parse_listen,
    require_encryption,
    tls_context,
)
from tundish.line.term import Term

KEPT = {
    "started": "serve-started",
    "client-refused": "serve-refused",
    "grant": "serve-grant",
    "grant-over": "serve-grant-over",
    "stopped": "serve-stopped",
}
LOOK_S = 1.0
Ended = Literal["stopped", "grant"]


@dataclass(frozen=True, kw_only=True)
class ServeOrder:
    """How a package is served.

    Attributes:
        listen: Address and port; another than this machine's needs TLS.
        certificate, key, client_ca: PEM files; see ``tls_context``.
        token_file: One token a line, beside the workspace's clients.
        insecure_plaintext: Listen beyond this machine without TLS.
        safe_points: Times of day in UTC at which it may be stopped because a grant has
            ended.
        limits: What is taken of a client; the body's bound is found from rows.
        on_event: Told of what happens.
    """

    listen: str = "127.0.0.1:8080"
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    token_file: Path | None = None
    insecure_plaintext: bool = False
    safe_points: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    on_event: Listener = unheard


class ServeReport(Record):
    """What a server did.

    Attributes:
        product, version, package: What answered.
        address: Where it listened.
        ended: ``grant``: because the model may answer no more.
        requests: Answered, of every kind; ``refused`` of them for their token.
        rows: Windows that were asked about; ``abstained`` without a number, by reason.
        grant_until: When the grant, or the package, ends.
    """

    product: str
    version: int
    package: str
    address: str
    ended: Ended
    requests: int
    refused: int
    rows: int
    abstained: dict[str, int]
    grant_until: str

    def one_line(self) -> str:
        """Return it in one sentence."""
        silent = sum(self.abstained.values())
        return (
            f"{self.requests} requests, {self.rows} windows ({silent} without a "
            f"number), {self.refused} refused for their token; {self.ended}"
        )


class Serving:
    """One package that is being served; made for one run.

    Args:
        workspace: The box's.
        path: Of the package.
        grant: Its grant's file, if it is encrypted.
        order: How.

    Raises:
        TundishError: whatever keeps it from being served; a use of the grant is counted
            only when nothing else stands in the way.
    """

    def __init__(
        self, workspace: Workspace, path: Path, grant: Path | None, order: ServeOrder
    ) -> None:
        self._workspace, self._order = workspace, order
        address, port = parse_listen(order.listen)
        tls = _tls(order)
        require_encryption(
            address, tls=tls is not None, insecure=order.insecure_plaintext
        )
        clients = tokens_of(workspace, order.token_file)
        socket = bind(address, port)
        try:
            self._model = open_package(workspace, path, grant)
            self._permit = GrantPermit(
                workspace, self._model, grant,
                safe_points=order.safe_points, revoked=withdrawn_in(workspace),
            )  # fmt: skip
            self._put_together(clients, tls, socket.getsockname()[:2])
        except BaseException:
            socket.close()
            raise
        self._socket, self._tls = socket, tls

    def _put_together(
        self,
        clients: Mapping[str, bytes],
        tls: ssl.SSLContext | None,
        held: tuple[str, int],
    ) -> None:
        from tundish.line.serving.answers import Answerer  # noqa: PLC0415 -- an extra's
        from tundish.line.serving.app import ServeApp  # noqa: PLC0415 -- an extra's
        from tundish.line.serving.response import Named  # noqa: PLC0415 -- an extra's

        model, limits = self._model, self._order.limits
        statement, scenario = model.package.statement, model.scenario
        values = scenario.window.rows * scenario.channels
        self._limits = Limits(**{**vars(limits), "body": body_for(limits.rows, values)})
        host = f"[{held[0]}]" if ":" in held[0] else held[0]
        self.address = f"http{'s' if tls else ''}://{host}:{held[1]}"
        wall = SystemClock()
        self._refusals = Refusals(wall.monotonic_s, self._refused)
        self._access = Access(
            clients,
            now_s=wall.monotonic_s,
            rate=limits.rate,
            refused_per_minute=limits.refused_per_minute,
            heard=self._refusals.heard,
        )
        golden = model.package.golden.outputs
        shapes = {name: golden[name].shape[1:] for name in model.session.outputs}
        self._app = ServeApp(
            Named(
                name=statement.product,
                version=str(statement.version),
                package=model.package.digest,
            ),
            Answerer(scenario, model.session, shapes, model.meter),
            self._access,
            limits=self._limits,
            gauges=self._gauges,
            version=metadata.version("tundish"),
        )
        self._clients_seen = self._stamps()
        self._term = self._permit.look()
        self._ended: Ended = "stopped"

    def run(self, on_ready: Callable[[], None] = lambda: None) -> ServeReport:
        """Answer until SIGINT, SIGTERM or the end of the grant."""
        import uvloop  # noqa: PLC0415 -- an extra's

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run(on_ready))
        return self.report()

    def report(self) -> ServeReport:
        """Return what it did so far."""
        metrics, statement = self._app.metrics, self._model.package.statement
        return ServeReport(
            product=statement.product,
            version=statement.version,
            package=self._model.package.digest,
            address=self.address,
            ended=self._ended,
            requests=metrics.requests.total(),
            refused=self._refusals.all,
            rows=metrics.rows,
            abstained=dict(metrics.abstained),
            grant_until=to_text(self._term.ends_at),
        )

    async def _run(self, on_ready: Callable[[], None]) -> None:
        from tundish.line.serving.wire import Place, serve  # noqa: PLC0415 -- an extra's

        stop = asyncio.Event()
        watch = asyncio.create_task(self._watch(stop))
        watch.add_done_callback(lambda _: stop.set())
        place = Place(listening=self._socket, tls=self._tls, may_come=self._may_come)

        def ready() -> None:
            text = f"serving {self._model.package.statement.product} on {self.address}"
            self._tell("started", text, {"address": self.address})
            on_ready()

        try:
            await serve(self._app, place, self._limits, stop=stop, on_ready=ready)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            self._refusals.flush()
            report = self.report()
            self._tell("stopped", report.one_line(), _numbers(report))
        if not watch.cancelled() and (error := watch.exception()):
            raise error

    async def _watch(self, stop: asyncio.Event) -> None:
        """Look at the grant, the clients and the refusals; end with the grant."""
        self._told(self._term)
        while not self._term.over:
            await asyncio.sleep(LOOK_S)
            self._look_at_clients()
            self._refusals.look()
            self._term = self._permit.look()
            self._told(self._term)
        self._ended = "grant"
        self._app.over = f"The model answers no more: {self._term.reason}."
        detail: dict[str, Json] = {"ends_at": to_text(self._term.ends_at)}
        self._tell("grant-over", f"{self._term.reason}; the server has stopped", detail)
        stop.set()

    def _told(self, term: Term) -> None:
        if term.note:
            self._tell("grant", term.note, {"stops_at": to_text(term.stops_at)})

    def _refused(self, refused: Refused) -> None:
        said = ", ".join(f"{peer} ({n})" for peer, n in refused.addresses.items())
        addresses: dict[str, Json] = dict(refused.addresses)
        self._tell(
            "client-refused",
            f"{refused.requests} requests without a token that counts: {said}",
            {"requests": refused.requests, "addresses": addresses},
        )

    def _look_at_clients(self) -> None:
        """Take a changed list of clients; one that cannot be read lets nobody in."""
        stamps = self._stamps()
        if stamps == self._clients_seen:
            return
        self._clients_seen = stamps
        try:
            clients = tokens_of(self._workspace, self._order.token_file)
        except TundishError:
            clients = {}  # nobody is left, or nobody knows: then nobody may ask
        self._access.replace(clients)

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        files = (clients_file(self._workspace), self._order.token_file)
        return tuple(paths.stamp(path) if path else None for path in files)

    def _may_come(self, peer: str) -> bool:
        gap = self._workspace.air_gap
        if gap is None:
            return True
        try:
            gap.check(peer, "A client")
        except AirGappedError:
            return False
        return True

    def _gauges(self) -> dict[str, tuple[str, float]]:
        left_s = (self._term.ends_at - self._workspace.clock.now()).total_seconds()
        found = {
            "tundish_grant_days_left": (
                "Days until the grant or the package ends.",
                max(0.0, left_s) / DAY_S,
            )
        }
        per_day = self._model.meter.per_day
        if per_day is not None:
            given = float(self._model.meter.given_today)
            found |= {
                "tundish_answers_per_day": (
                    "Signed budget of answers.",
                    float(per_day),
                ),
                "tundish_answers_today": ("Answers given since midnight UTC.", given),
            }
        return found

    def _tell(self, kind: Kind, text: str, detail: dict[str, Json]) -> None:
        event = Event(
            at=self._workspace.clock.now(), kind=kind, text=text, detail=detail
        )
        self._workspace.record(
            KEPT[kind],
            inputs=[self._model.package.digest],
            detail=cast("dict[str, JsonValue]", {**detail, "said": text[:500]}),
        )
        self._order.on_event(event)

    @property
    def model(self) -> OpenModel:
        """What is served."""
        return self._model


def _tls(order: ServeOrder) -> ssl.SSLContext | None:
    if order.certificate is None or order.key is None:
        return None
    return tls_context(order.certificate, order.key, order.client_ca)


def _numbers(report: ServeReport) -> dict[str, Json]:
    abstained: dict[str, Json] = dict(report.abstained)
    return {
        "ended": report.ended,
        "requests": report.requests,
        "refused": report.refused,
        "rows": report.rows,
        "abstained": abstained,
    }
