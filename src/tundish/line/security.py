"""How a link to a server is protected, as a line file says it; secrets come from outside.

A line file holds no secret: it names the file or the variable of the environment that
does. Each kind of source and sink says which parts it knows; the others are refused.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, StringConstraints, model_validator

from tundish.catalog.tasks import Text
from tundish.kernel import paths, settings
from tundish.kernel.records import Record
from tundish.line.errors import LineFileInvalidError, SecretMissingError
from tundish.seal.secret import SecretText

MOST_BYTES = 64 * 1024
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
Policy = Literal[
    "basic256sha256", "aes128-sha256-rsaoaep", "aes256-sha256-rsapss"
]  # those of OPC UA that are not broken


class SecretRef(Record):
    """Where a secret stands: in a ``file``, or in a variable of the environment, ``env``."""

    file: Text | None = None
    env: Variable | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.env is None):
            msg = "a secret is named by either file or env"
            raise ValueError(msg)
        return self

    def read(self) -> SecretText:
        """Read the secret; a line end behind it is none of it.

        Raises:
            SecretMissingError: if there is none; names the place, never the secret.
            PathMissingError, FileTooLargeError: if the file cannot be read.
        """
        if self.env is not None:
            found, place = settings.secret(self.env), f"The variable {self.env}"
        else:
            data = paths.read_file(Path(self.file or ""), most=MOST_BYTES)
            place = f"The file {self.file}"
            found = _text(data, place).rstrip("\r\n")
        if not found:
            msg = f"{place} holds no secret."
            raise SecretMissingError(msg)
        return SecretText(found)

    def within(self, folder: Path) -> Self:
        """Return it with a relative file in a folder."""
        return self.model_copy(update={"file": _within(folder, self.file)})


class SecuritySpec(Record):
    """How a link is protected.

    Attributes:
        trust: Certificate of the server, or of the authority that issued it (PEM or
            DER). Without it a kind that knows TLS asks the system's authorities.
        certificate, key: Our own, if the server asks for one.
        key_password: Opens the key.
        user, password: For servers that ask for a name.
        token: For servers that ask for a bearer token.
        secret: Shared with the other side, for signing what is sent (HMAC).
        policy: Security policy of OPC UA.
        mode: Whether messages of OPC UA are signed only.
    """

    trust: Text | None = None
    certificate: Text | None = None
    key: Text | None = None
    key_password: SecretRef | None = None
    user: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    password: SecretRef | None = None
    token: SecretRef | None = None
    secret: SecretRef | None = None
    policy: Policy | None = None
    mode: Literal["sign", "sign-and-encrypt"] | None = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            msg = "certificate and key come together"
            raise ValueError(msg)
        if (self.user is None) != (self.password is None):
            msg = "user and password come together"
            raise ValueError(msg)
        if self.key_password is not None and self.key is None:
            msg = "key_password opens a key, and none is named"
            raise ValueError(msg)
        if self.mode is not None and self.policy is None:
            msg = "mode belongs to a policy, and none is named"
            raise ValueError(msg)
        return self

    @property
    def said(self) -> frozenset[str]:
        """Names of the parts that are said."""
        return frozenset(
            name for name in type(self).model_fields if getattr(self, name) is not None
        )

    def within(self, folder: Path) -> Self:
        """Return it with relative files in a folder."""
        names = ("trust", "certificate", "key")
        changed: dict[str, object] = {
            name: _within(folder, getattr(self, name)) for name in names
        }
        for name in ("key_password", "password", "token", "secret"):
            secret: SecretRef | None = getattr(self, name)
            changed[name] = secret.within(folder) if secret else None
        return self.model_copy(update=changed)


def _none_is_none(said: object) -> object:
    return None if said == "none" else said


Security = Annotated[SecuritySpec | None, BeforeValidator(_none_is_none)]
"""What a link says of its security; the word ``none`` is None."""


def known_parts(security: Security, known: Collection[str], owner: str) -> SecuritySpec:
    """Return the parts of a link's security; None has none.

    Args:
        security: As the line file says it.
        known: Parts that this kind knows.
        owner: Names source or sink in the message.

    Raises:
        LineFileInvalidError: if a part is said that this kind does not know: it would
            protect nothing.
    """
    spec = security or SecuritySpec()
    for name in sorted(spec.said - set(known)):
        have = ", ".join(sorted(known)) or "no security at all"
        msg = f"{owner} says security.{name}, and its kind knows {have}."
        raise LineFileInvalidError(msg)
    return spec


def _within(folder: Path, path: str | None) -> str | None:
    return None if path is None else str(folder / path)


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        msg = f"{place} holds no text."
        raise SecretMissingError(msg) from error
