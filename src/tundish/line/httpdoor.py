"""A door as a line file says it: its address, its certificate, who may come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tundish.kernel.addresses import Address, plain_address
from tundish.kernel.clock import Clock
from tundish.line.errors import LineFileInvalidError
from tundish.line.httplisten import Door
from tundish.line.httppost import Place, read_address
from tundish.line.security import SecretRef, Security, SecuritySpec, known_parts
from tundish.line.serving.access import Access, Heard, token_digest
from tundish.line.serving.limits import Limits
from tundish.line.serving.listening import require_encryption, tls_context

PARTS = ("trust", "certificate", "key")


def open_door(  # noqa: PLR0913  (keyword-only but for two)
    endpoint: str,
    owner: str,
    *,
    security: Security,
    tokens: Mapping[str, SecretRef],
    methods: Mapping[str, tuple[str, ...]],
    limits: Limits,
    clock: Clock,
    heard: Heard,
) -> Door:
    """Read what a line file says of a door; nothing listens yet.

    Args:
        endpoint: ``http://127.0.0.1:PORT/PATH`` or, with a certificate,
            ``https://ADDRESS:PORT/PATH``; no name, since it says where to listen.
        owner: Names it in messages.
        security: ``certificate`` and ``key`` are the server's own, ``trust`` issues the
            certificates that its clients must show; a ``token`` is in ``tokens``.
        tokens: Of each client, by its name.
        methods: For what follows the path of the endpoint, the methods.
        limits: What is taken of a client.
        clock: For rates.
        heard: Told of each refused token: address, error code.

    Raises:
        LineFileInvalidError, TlsUnusableError, TokenWeakError, SecretMissingError,
        PlaintextRefusedError.
    """
    spec = known_parts(security, (*PARTS, "token"), owner)
    place = read_address(endpoint, owner)
    address = _address(place, owner)
    context = None
    if place.tls:
        if spec.certificate is None or spec.key is None:
            msg = f"{owner} listens with https and needs security.certificate and key."
            raise LineFileInvalidError(msg)
        trust = Path(spec.trust) if spec.trust else None
        context = tls_context(Path(spec.certificate), Path(spec.key), trust)
    elif spec.said & set(PARTS):
        msg = f"{owner} names certificates, and its endpoint says http."
        raise LineFileInvalidError(msg)
    require_encryption(address, tls=place.tls, insecure=False)
    return Door(
        address=address,
        port=place.port,
        tls=context,
        access=_access(tokens, owner, limits, clock, heard),
        limits=limits,
        methods={place.target.rstrip("/") + path: how for path, how in methods.items()},
    )


def own_token(security: Security, owner: str) -> SecretRef:
    """Return the token that whoever comes must show.

    Raises:
        LineFileInvalidError: if none is said.
    """
    token = (security or SecuritySpec()).token
    if token is None:
        msg = f"{owner} needs security.token: whoever sends must show it."
        raise LineFileInvalidError(msg)
    return token


def _address(place: Place, owner: str) -> Address:
    address = plain_address("127.0.0.1" if place.host == "localhost" else place.host)
    if address is None or address.is_unspecified or "?" in place.target:
        msg = f"{owner} has the endpoint {place.host}:{place.port}{place.target}; expected one address of this machine, such as http://127.0.0.1:8090/rows."
        raise LineFileInvalidError(msg)
    return address


def _access(
    tokens: Mapping[str, SecretRef],
    owner: str,
    limits: Limits,
    clock: Clock,
    heard: Heard,
) -> Access:
    digests = {name: token_digest(ref.read().reveal()) for name, ref in tokens.items()}
    if len(set(digests.values())) != len(digests):
        msg = f"{owner} has one token for two clients; each needs its own."
        raise LineFileInvalidError(msg)
    return Access(
        digests,
        now_s=clock.monotonic_s,
        rate=limits.rate,
        refused_per_minute=limits.refused_per_minute,
        heard=heard,
    )
