"""How a source or sink shows an HTTP server who it is; one rule for all of them."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass

from tundish.line import tls
from tundish.line.errors import LineFileInvalidError
from tundish.line.httppost import Place, read_address
from tundish.line.security import Security, SecuritySpec, known_parts
from tundish.seal.secret import SecretText

_TOKEN = re.compile(r"[!-~]{1,4096}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAccount:
    """Where a server is, and what is shown to it.

    Attributes:
        security: What the line file says, with parts known to this kind only.
        context: Of TLS, if the address wants it.
        shown: The value of ``Authorization``; None if nothing is shown.
    """

    place: Place
    security: SecuritySpec
    context: ssl.SSLContext | None
    shown: SecretText | None

    @property
    def headers(self) -> dict[str, str]:
        """The header that shows who asks, if there is one."""
        return {} if self.shown is None else {"Authorization": self.shown.reveal()}


def open_account(
    endpoint: str, security: Security, owner: str, more: Collection[str] = ()
) -> HttpAccount:
    """Read address and security of a line file's part; its files are read now.

    Args:
        endpoint: ``https://host/path``, or ``http`` inside a cell that is trusted.
        security: As the line file says it.
        owner: Names the source or sink in messages.
        more: Parts that this kind knows beside certificates and ``token``.

    Raises:
        LineFileInvalidError: if what is said does not fit together, or a secret would
            go out in the clear beyond this machine.
        CertificateUnusableError, SecretMissingError: of the files named.
    """
    spec = known_parts(security, (*tls.PARTS, "token", *more), owner)
    place = read_address(endpoint, owner)
    if not place.tls and spec.said & set(tls.PARTS):
        msg = f"{owner} names certificates, and its endpoint says http."
        raise LineFileInvalidError(msg)
    what = "token" if spec.token else "password" if spec.password else ""
    if what and not place.tls and not place.near:
        msg = f"{owner} would send its {what} to {place.host} in the clear; use https."
        raise LineFileInvalidError(msg)
    if spec.token and spec.password:
        msg = f"{owner} has a token and a password; a server asks for one of them."
        raise LineFileInvalidError(msg)
    return HttpAccount(
        place=place,
        security=spec,
        context=tls.client_context(spec, owner) if place.tls else None,
        shown=_shown(spec, owner),
    )


def _shown(spec: SecuritySpec, owner: str) -> SecretText | None:
    if spec.token is not None:
        token = spec.token.read().reveal()
        if not _TOKEN.fullmatch(token):
            msg = f"{owner} has a token with letters that no header may carry."
            raise LineFileInvalidError(msg)
        return SecretText(f"Bearer {token}")
    if spec.password is None:
        return None
    user = spec.user or ""
    if ":" in user:
        msg = f"{owner} has a user with a colon, which this way of asking cannot carry."
        raise LineFileInvalidError(msg)
    pair = f"{user}:{spec.password.read().reveal()}".encode()
    return SecretText(f"Basic {base64.b64encode(pair).decode()}")
