"""The files that stand for keys in hardware: an address, or a key that a token opens.

``signing.token`` names the key that signs; ``device.token`` holds the device's key,
encrypted so that only its token opens it. Reading them needs no token: the device's
public line stands in clear, so that a box can be named without its PIN.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from tundish.kernel import canonical, paths
from tundish.kernel.records import Record
from tundish.seal.errors import KeyExposedError, KeyUnreadableError

MAX_BYTES = 16 * 1024
_Kind = TypeVar("_Kind", bound=Record)


class NamedKey(Record):
    """A signing key in a token.

    Attributes:
        token: Where it lies.
        made_inside: Whether it was made there and was never able to leave.
    """

    format: Literal["tundish.token-key"] = "tundish.token-key"
    version: Literal[1] = 1
    token: str
    made_inside: bool


class WrappedDevice(Record):
    """A device's key under a key in a token.

    Attributes:
        device: The device's public line.
        token: Address of the key that opens it; not bound, since a module may move.
        made_inside: Whether that key was made there and was never able to leave.
        method: See ``token_wrap``.
        nonce: Of AES-GCM, base64.
        key: With ``rsa-oaep``, the encrypted AES key, base64; else empty.
        body: The encrypted key with its tag, base64.
    """

    format: Literal["tundish.wrapped-device"] = "tundish.wrapped-device"
    version: Literal[1] = 1
    device: str
    token: str
    made_inside: bool
    method: Literal["aes-gcm", "rsa-oaep"]
    nonce: str
    key: str
    body: str

    def bound(self) -> bytes:
        """Return what the encryption is bound to."""
        return canonical.dumps(
            {
                "format": self.format,
                "version": self.version,
                "device": self.device,
                "method": self.method,
            }
        )


def write(path: Path, record: NamedKey | WrappedDevice) -> None:
    """Write such a file with mode 0600."""
    paths.write_whole(path, canonical.dumps(record.to_json()), mode=0o600)


def read_named(path: Path) -> NamedKey:
    """Read where a signing key lies; see ``read``."""
    return _read(path, NamedKey)


def read(path: Path) -> WrappedDevice:
    """Read a wrapped device's key.

    Raises:
        KeyExposedError: if others may change the file.
        KeyUnreadableError: if it is not as written here.
    """
    return _read(path, WrappedDevice)


def _read(path: Path, kind: type[_Kind]) -> _Kind:
    mode = stat.S_IMODE(paths.existing_file(path).stat().st_mode)
    if mode & 0o077:
        msg = (
            f"The file {path} that stands for a key has mode {mode:04o}; expected 0600."
        )
        raise KeyExposedError(msg)
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    try:
        return kind.model_validate_json(data[:MAX_BYTES])
    except ValidationError as error:
        msg = f"The file {path} that stands for a key in a token is damaged."
        raise KeyUnreadableError(msg, advice="Take it from a backup.") from error
