"""Webhook sink: answers and states as signed JSON messages over HTTP (base install).

Signed after "Standard Webhooks" (headers ``webhook-id``, ``webhook-timestamp``,
``webhook-signature``; HMAC-SHA-256), so that its libraries verify what is sent.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from asyncio import sleep
from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.records import Record
from tundish.line.answers import OF_STATE, answer_values, check_names, state_values
from tundish.line.errors import LineFileInvalidError, SinkRefusedError
from tundish.line.estimates import Estimate
from tundish.line.guard import Mode
from tundish.line.httpaccount import open_account
from tundish.line.httppost import HttpLostError, HttpPost
from tundish.line.linefile import SinkSpec
from tundish.line.state import TagState

_VAIN: Final = frozenset({400, 413, 422})
_SECRET = "whsec_"  # noqa: S105  (how secrets begin)
_LEAST_SECRET_BYTES = 24
_LONGEST_PAUSE_S = 30.0


class WebhookSinkOptions(Record):
    """Options of a webhook sink: the limit for each message, in seconds."""

    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0


class WebhookSink:
    """One web service as a sink; see the module.

    Args:
        spec: The line file's part; ``nodes`` says what is sent under which keys.
        options: See ``WebhookSinkOptions``.
        clock: For the moment of sending.

    Raises:
        LineFileInvalidError: if endpoint, nodes and security do not go together.
        CertificateUnusableError, SecretMissingError: if what security names is not
            there.
    """

    def __init__(
        self,
        spec: SinkSpec,
        options: WebhookSinkOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        options = options or WebhookSinkOptions()
        owner = f"The sink {spec.name}"
        check_names(spec)
        self._account = account = open_account(
            spec.endpoint, spec.security, owner, ("secret",)
        )
        security = account.security
        self._secret = (
            _key(security.secret.read().reveal(), owner) if security.secret else None
        )
        self._spec = spec
        self._clock = clock or SystemClock()
        self._http = HttpPost(account.place, account.context, options.timeout_s)
        self._failures = 0

    @classmethod
    def from_spec(cls, spec: SinkSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError, CertificateUnusableError, SecretMissingError: as for
                the class.
        """
        del scenario
        return cls(spec, spec.read_options(WebhookSinkOptions))

    @property
    def name(self) -> str:
        """The name in the line file."""
        return self._spec.name

    async def connect(self) -> None:
        """Connect; after messages that were not taken, wait longer and longer first."""
        if self._failures:
            await sleep(min(0.25 * 2 ** min(self._failures, 10), _LONGEST_PAUSE_S))
        await self._http.open()

    async def write_estimates(self, estimates: Sequence[Estimate]) -> None:
        """Post answers, one message each, in order; see ``Sink.write_estimates``."""
        for estimate in estimates:
            await self._post(answer_values(self._spec, estimate))

    async def write_state(self, state: TagState, mode: Mode, at_us: int) -> None:
        """Post the state, if any part of it is asked for; see ``Sink.write_state``."""
        if set(self._spec.nodes) & set(OF_STATE):
            await self._post(state_values(self._spec, state, mode, at_us))

    async def close(self) -> None:
        """Let the server go; safe to call twice."""
        self._http.drop()

    async def _post(self, values: dict[str, Json]) -> None:
        body, number = canonical.dumps(values), str(values["id"])
        try:
            status = await self._http.post(self._headers(number, body), body)
        except HttpLostError:
            self._failures += 1
            raise
        if 200 <= status < 300:
            self._failures = 0
            return
        said = f"{self._http.place.host} answered {status} to the message {number}"
        if status in _VAIN:
            self._failures = 0
            msg = f"The server {said}."
            raise SinkRefusedError(
                msg,
                advice="Compare the keys under 'nodes' with what the service takes.",
            )
        self._failures += 1
        self._http.drop()
        raise HttpLostError(said)

    def _headers(self, number: str, body: bytes) -> dict[str, str]:
        headers = {"webhook-id": number, **self._account.headers}
        if self._secret is not None:
            at_s = str(int(self._clock.now().timestamp()))
            text = f"{number}.{at_s}.".encode() + body
            made = base64.b64encode(hmac.digest(self._secret, text, "sha256")).decode()
            headers |= {"webhook-timestamp": at_s, "webhook-signature": f"v1,{made}"}
        return headers


def _key(text: str, owner: str) -> bytes:
    """Return the bytes of a secret such as ``whsec_...``."""
    try:
        found = base64.b64decode(text.removeprefix(_SECRET), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not text.startswith(_SECRET) or len(found) < _LEAST_SECRET_BYTES:
        msg = (
            f"{owner} has a secret of another form; expected {_SECRET} and base64 of at "
            f"least {_LEAST_SECRET_BYTES} bytes."
        )
        raise LineFileInvalidError(msg)
    return found
