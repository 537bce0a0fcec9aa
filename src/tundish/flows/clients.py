"""The clients of a serving model: names and digests of their tokens, in the workspace."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tundish.catalog.documents import parse_document
from tundish.catalog.errors import UnknownNameError
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, clock, paths, settings
from tundish.kernel.errors import DocumentMalformedError
from tundish.kernel.records import Record
from tundish.line.serving.access import token_digest
from tundish.line.serving.errors import (
    ClientNameTakenError,
    ClientsMissingError,
    TokenWeakError,
)
from tundish.seal.secret import SecretText

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$"
ClientName = Annotated[str, StringConstraints(pattern=_NAME)]
MOST_CLIENTS = 256
_TOKEN_BYTES = 32


class Client(Record):
    """One client.

    Attributes:
        name: What people call it.
        token: SHA-256 of its token, in hex; the token itself is kept nowhere.
        added_at: When it was added.
    """

    name: ClientName
    token: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    added_at: str


class ClientsFile(Record):
    """All clients of a workspace."""

    format: Literal["tundish.clients"] = "tundish.clients"
    version: Literal[1] = 1
    clients: Annotated[
        tuple[Client, ...], Field(strict=False, max_length=MOST_CLIENTS)
    ] = ()


def clients_file(workspace: Workspace) -> Path:
    """Return where the clients of a workspace stand."""
    return workspace.inner / "clients.json"


def list_clients(workspace: Workspace) -> tuple[Client, ...]:
    """Return the clients of a workspace, by name."""
    path = clients_file(workspace)
    if not path.exists():
        return ()
    found = parse_document(paths.read_file(path), ClientsFile, "the list of clients")
    return tuple(sorted(found.clients, key=lambda client: client.name))


def add_client(workspace: Workspace, name: str) -> SecretText:
    """Make a token for a client; it is given back once and kept nowhere.

    Raises:
        ClientNameTakenError: if there is one of that name.
        DocumentMalformedError: if it is no plain name.
    """
    if not re.fullmatch(_NAME, name):
        msg = f"{name[:80]!r} is no name of a client: up to 61 letters, digits, dots and dashes are."
        raise DocumentMalformedError(msg, advice="Choose a plain name, such as mes-1.")
    known = list_clients(workspace)
    if name in {client.name for client in known}:
        msg = f"The client {name!r} has a token already."
        raise ClientNameTakenError(msg)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    new: dict[str, canonical.Json] = {
        "name": name,
        "token": token_digest(token).hex(),
        "added_at": clock.to_text(workspace.clock.now()),
    }
    _write(workspace, [*(client.to_json() for client in known), new])
    workspace.record("client-added", detail={"client": name})
    return SecretText(token)


def remove_client(workspace: Workspace, name: str) -> None:
    """Take a client's token back; a server that runs hears of it within seconds.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    known = list_clients(workspace)
    if name not in {client.name for client in known}:
        msg = f"There is no client {name[:80]!r} here."
        raise UnknownNameError(msg, advice="'tundish client list' names them.")
    _write(workspace, [c.to_json() for c in known if c.name != name])
    workspace.record("client-removed", detail={"client": name})


def tokens_of(workspace: Workspace, token_file: Path | None) -> dict[str, bytes]:
    """Return the digest of each token that counts, by the name of its client.

    They come from the workspace, from ``TUNDISH_SERVE_TOKEN`` and from a file with one
    token a line.

    Raises:
        ClientsMissingError: if there are none.
        TokenWeakError: if one can be guessed, or its file be read by everybody.
    """
    found = {c.name: bytes.fromhex(c.token) for c in list_clients(workspace)}
    found |= {f"file:{n}": digest for n, digest in _in_file(token_file).items()}
    if given := settings.serve_token():
        found["environment"] = token_digest(given)
    if not found:
        msg = "This workspace has no client, and no token was given."
        raise ClientsMissingError(msg)
    return found


def _in_file(path: Path | None) -> Mapping[int, bytes]:
    if path is None:
        return {}
    text = paths.read_file(path, most=1024**2).decode("utf-8", "replace")
    if path.stat().st_mode & 0o007:
        msg = f"Every user of this machine may read or change the token file {path}."
        raise TokenWeakError(msg)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return {place: token_digest(line) for place, line in enumerate(lines, start=1)}


def _write(workspace: Workspace, clients: list[dict[str, canonical.Json]]) -> None:
    body: dict[str, canonical.Json] = {**ClientsFile().to_json(), "clients": [*clients]}
    data = canonical.dumps(body)
    parse_document(data, ClientsFile, "the list of clients")
    paths.write_whole(clients_file(workspace), data, mode=0o600)
