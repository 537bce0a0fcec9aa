"""The address of a key in a token: RFC 7512, read strictly.

What an address may name is the token (``token``, ``serial``, ``manufacturer``,
``model``), the key (``object``, ``id``, ``type``) and how to reach it (``module-path``,
``pin-source``). Everything else is refused instead of being passed over: an
attribute that is not understood might have ruled out the key that is then taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from tundish.seal.token_errors import TokenUriError

MAX_LENGTH = 1024
_SCHEME = "pkcs11:"
_TOKEN = {"token": 32, "manufacturer": 32, "model": 16, "serial": 16}  # CK_TOKEN_INFO
_KEY = {"object": 128, "id": 64, "type": 16}
_QUERY = {"module-path": 512, "pin-source": 512}
_TYPES = ("private", "secret-key", "public")
_LETTERS = r"[A-Za-z0-9\-._~:\[\]@!$'()*+,="
_IN_PATH = re.compile(_LETTERS + r"&]|%[0-9A-Fa-f]{2}")
_IN_QUERY = re.compile(_LETTERS + r"/?|]|%[0-9A-Fa-f]{2}")
_PLAIN = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_Found: TypeAlias = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class TokenUri:
    """A key in a token, by name.

    Attributes:
        token: Label of the token; "" if the other attributes name it.
        serial: Its serial number.
        manufacturer: Who made it.
        model: Its model.
        label: Label of the key (``object``).
        key_id: Its id; empty if not named.
        module: The PKCS#11 module, an absolute path.
        pin_source: The file that holds the PIN, if one is named.
    """

    token: str = ""
    serial: str = ""
    manufacturer: str = ""
    model: str = ""
    label: str = ""
    key_id: bytes = b""
    module: Path
    pin_source: Path | None = None

    @classmethod
    def parse(cls, text: str) -> TokenUri:
        """Read an address.

        Args:
            text: Untrusted.

        Raises:
            TokenUriError: naming what is wrong with it; never its PIN.
        """
        path, query = _split(text)
        named, how = _read(path, ";", _TOKEN | _KEY), _read(query, "&", _QUERY)
        if not any(named.get(name) for name in _TOKEN):
            msg = "An address names no token: token= or serial= is needed."
            raise TokenUriError(msg)
        if not (named.get("object") or named.get("id")):
            msg = "An address names no key: object= or id= is needed."
            raise TokenUriError(msg)
        if _text(named, "type") not in ("", *_TYPES):
            msg = f"An address asks for an object that is no key: type must be one of {_TYPES}."
            raise TokenUriError(msg)
        source = _text(how, "pin-source").removeprefix("file:")
        return cls(
            token=_text(named, "token"),
            serial=_text(named, "serial"),
            manufacturer=_text(named, "manufacturer"),
            model=_text(named, "model"),
            label=_text(named, "object"),
            key_id=named.get("id", b""),
            module=_absolute("module-path", _text(how, "module-path")),
            pin_source=_absolute("pin-source", source) if source else None,
        )

    def with_key_id(self, key_id: bytes) -> TokenUri:
        """Return the address that names the key's id too."""
        return replace(self, key_id=key_id) if key_id else self

    def to_text(self) -> str:
        """Write the address in one form; a PIN is never part of it."""
        named = {
            "token": self.token.encode(),
            "serial": self.serial.encode(),
            "manufacturer": self.manufacturer.encode(),
            "model": self.model.encode(),
            "object": self.label.encode(),
            "id": self.key_id,
        }
        path = ";".join(
            f"{name}={_escaped(value, whole=name == 'id')}"
            for name, value in named.items()
            if value
        )
        how = [f"module-path={_escaped(str(self.module).encode(), '/')}"]
        if self.pin_source is not None:
            how.append(f"pin-source={_escaped(str(self.pin_source).encode(), '/')}")
        return f"{_SCHEME}{path}?{'&'.join(how)}"

    @property
    def token_name(self) -> str:
        """What to call the token in a message."""
        return self.token or self.serial or self.model or self.manufacturer

    @property
    def key_name(self) -> str:
        """What to call the key in a message."""
        named = [repr(self.label)] if self.label else []
        if self.key_id:
            named.append(f"with id {self.key_id.hex()}")
        return " ".join(named)


def _split(text: str) -> tuple[str, str]:
    if len(text) > MAX_LENGTH:
        msg = f"An address has {len(text)} letters; at most {MAX_LENGTH} are read."
        raise TokenUriError(msg)
    if not text.startswith(_SCHEME):
        msg = f"An address of a key in a token begins with {_SCHEME!r}."
        raise TokenUriError(msg)
    path, _, query = text.removeprefix(_SCHEME).partition("?")
    return path, query


def _read(text: str, between: str, known: dict[str, int]) -> _Found:
    letters = _IN_PATH if between == ";" else _IN_QUERY
    found: _Found = {}
    for part in text.split(between) if text else []:
        name, equals, value = part.partition("=")
        if name == "pin-value":
            msg = "An address holds a PIN (pin-value), which is never read from there."
            raise TokenUriError(
                msg,
                advice="Take it out, change the PIN if others may have seen it, and use "
                "TUNDISH_PIN, pin-source= or a terminal.",
            )
        if name not in known or not equals:
            msg = f"An address has the part {name[:40]!r}; understood are {', '.join(known)}."
            raise TokenUriError(msg)
        if name in found:
            msg = f"An address names {name} twice."
            raise TokenUriError(msg)
        found[name] = _decoded(name, value, letters)
        if len(found[name]) > known[name]:
            msg = f"The {name} of an address is longer than {known[name]} bytes."
            raise TokenUriError(msg)
    return found


def _decoded(name: str, value: str, letters: re.Pattern[str]) -> bytes:
    parts = letters.findall(value)
    if "".join(parts) != value:
        msg = f"The {name} of an address has a letter that must be written as %XX."
        raise TokenUriError(msg)
    return b"".join(
        bytes.fromhex(part[1:]) if part[0] == "%" else part.encode() for part in parts
    )


def _text(found: _Found, name: str) -> str:
    try:
        text = found.get(name, b"").decode()
    except UnicodeDecodeError as error:
        msg = f"The {name} of an address is no text in UTF-8."
        raise TokenUriError(msg) from error
    if not text.isprintable():
        msg = f"The {name} of an address has a control character."
        raise TokenUriError(msg)
    return text


def _absolute(name: str, text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or ".." in path.parts:
        msg = f"The {name} of an address must be a whole path, beginning with '/'."
        raise TokenUriError(msg)
    return path


def _escaped(value: bytes, also: str = "", *, whole: bool = False) -> str:
    plain = frozenset() if whole else _PLAIN | frozenset(also.encode())
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in value)
