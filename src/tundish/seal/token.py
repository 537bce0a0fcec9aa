"""A session with a token: found by its address, opened once with its PIN.

The one module, with its two neighbours ``token_sign`` and ``token_wrap``, that imports
a PKCS#11 library (OASIS PKCS #11 v2.40), and only if a key in a token is asked for.
A wrong PIN is given to a token once and never again by this process, since tokens lock
after a few; one that says "this is the last try" gets none that a person did not type.
"""

from __future__ import annotations

import atexit
import hmac
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pkcs11
from pkcs11 import exceptions
from pkcs11.constants import Attribute, ObjectClass, TokenFlag
from pkcs11.mechanisms import KeyType, Mechanism
from pkcs11.types import Key, Session, Token

from tundish.seal import pin as pins
from tundish.seal.pin import AskPin, Pin
from tundish.seal.token_errors import (
    TokenAbsentError,
    TokenAmbiguousError,
    TokenFailedError,
    TokenKeyExtractableError,
    TokenLastTryError,
    TokenMechanismError,
    TokenModuleError,
    TokenModuleUnsafeError,
    TokenObjectTakenError,
    TokenPinLockedError,
    TokenPinWrongError,
)
from tundish.seal.token_uri import TokenUri

Template: TypeAlias = dict[Attribute, Any]

GONE = (
    exceptions.DeviceRemoved,
    exceptions.KeyHandleInvalid,
    exceptions.ObjectHandleInvalid,
    exceptions.SessionClosed,
    exceptions.SessionHandleInvalid,
    exceptions.SlotIDInvalid,
    exceptions.TokenNotPresent,
    exceptions.UserNotLoggedIn,
)
_CANNOT = (
    exceptions.FunctionNotSupported,
    exceptions.KeySizeRange,
    exceptions.KeyTypeInconsistent,
    exceptions.MechanismInvalid,
    exceptions.MechanismParamInvalid,
)
_SHUT = (
    exceptions.PinExpired,
    exceptions.PinLocked,
    exceptions.UserPinNotInitialized,
)
_WRONG = (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLenRange)
_SALT = secrets.token_bytes(32)
_LOCK = threading.RLock()


@dataclass(kw_only=True)
class _Login:
    session: Session
    users: int = 0
    stays: bool = False


_LOGINS: dict[tuple[str, int], _Login] = {}
_REFUSED: set[tuple[str, int, bytes]] = set()


@contextmanager
def opened(
    uri: TokenUri,
    ask: AskPin = pins.nobody_asks,
    *,
    write: bool = False,
    stay: bool = False,
) -> Iterator[Session]:
    """Open the token of an address, logged in.

    Args:
        uri: Which token.
        ask: Asks a person for the PIN.
        write: Whether something is to be made in it.
        stay: Leave it open for this process, so that the PIN is needed once.

    Raises:
        TokenModuleError, TokenModuleUnsafeError: if the module cannot be used.
        TokenAbsentError, TokenAmbiguousError: if there is not exactly one such token.
        TokenPinMissingError, TokenPinWrongError, TokenPinLockedError,
            TokenLastTryError: if its PIN is not right.
        TokenMechanismError, TokenFailedError: if what is done inside the block fails.
    """
    with _LOCK:
        token = _find(uri)
        place = (str(uri.module), token.slot.slot_id)
        with _failures_told(uri, place):
            login = _LOGINS.get(place) or _log_in(token, place, uri, ask)
            login.users += 1
            login.stays = login.stays or stay
            try:
                with _writable(token, login, write=write) as session:
                    yield session
            finally:
                login.users -= 1
                if not (login.stays or login.users):
                    forget(place)


def forget(place: tuple[str, int] | None = None) -> None:
    """Log out of a token, or of all."""
    for one in [place] if place else list(_LOGINS):
        login = _LOGINS.pop(one, None)
        if login is not None:
            with suppress(exceptions.PKCS11Error):
                login.session.close()


def keys(
    session: Session, uri: TokenUri, kind: ObjectClass, key_type: KeyType
) -> list[Key]:
    """Return the keys of a kind that an address names."""
    wanted: Template = {Attribute.CLASS: kind, Attribute.KEY_TYPE: key_type}
    if uri.label:
        wanted[Attribute.LABEL] = uri.label
    if uri.key_id:
        wanted[Attribute.ID] = uri.key_id
    return [item for item in session.get_objects(wanted) if isinstance(item, Key)]


def only(found: list[Key], uri: TokenUri) -> Key | None:
    """Return the one key that was found, if one was.

    Raises:
        TokenAmbiguousError: if there are several.
    """
    if len(found) > 1:
        ids = ", ".join(key_id(key).hex() or "none" for key in found[:8])
        msg = (
            f"The token {uri.token_name!r} holds {len(found)} keys {uri.key_name}; their "
            f"ids are {ids}."
        )
        raise TokenAmbiguousError(msg)
    return found[0] if found else None


def check_free(session: Session, uri: TokenUri) -> None:
    """Refuse to make a key where one of its name is.

    Raises:
        TokenObjectTakenError.
    """
    for kind in (
        ObjectClass.PRIVATE_KEY,
        ObjectClass.PUBLIC_KEY,
        ObjectClass.SECRET_KEY,
    ):
        wanted: Template = {Attribute.CLASS: kind}
        if uri.label:
            wanted[Attribute.LABEL] = uri.label
        else:
            wanted[Attribute.ID] = uri.key_id
        if list(session.get_objects(wanted)):
            msg = f"The token {uri.token_name!r} holds a key {uri.key_name} already."
            raise TokenObjectTakenError(msg)


def check_stays(key: Key, uri: TokenUri) -> None:
    """Refuse a key that could leave its token, or wants its PIN each time.

    Raises:
        TokenKeyExtractableError, TokenMechanismError.
    """
    if flag(key, Attribute.ALWAYS_AUTHENTICATE):
        msg = (
            f"The key {uri.key_name} in the token {uri.token_name!r} wants the PIN for "
            "each use; Tundish gives it once."
        )
        raise TokenMechanismError(msg)
    sensitive = flag(key, Attribute.SENSITIVE)
    if sensitive and not flag(key, Attribute.EXTRACTABLE, otherwise=True):
        return
    said = "its value may be taken out" if sensitive else "its value may be read"
    msg = f"The key {uri.key_name} can leave the token {uri.token_name!r}: {said}."
    raise TokenKeyExtractableError(msg)


def was_made_inside(key: Key) -> bool:
    """Tell whether a key was made in its token and was never able to leave it."""
    return (
        flag(key, Attribute.LOCAL)
        and flag(key, Attribute.ALWAYS_SENSITIVE)
        and flag(key, Attribute.NEVER_EXTRACTABLE)
    )


def flag(key: Key, name: Attribute, *, otherwise: bool = False) -> bool:
    """Return a property of a key; ``otherwise`` if the token does not say."""
    try:
        return bool(key[name])
    except exceptions.PKCS11Error:
        return otherwise


def key_id(key: Key) -> bytes:
    """Return a key's id; empty if it has none."""
    try:
        return bytes(key[Attribute.ID])
    except exceptions.PKCS11Error:
        return b""


def new_id(uri: TokenUri) -> bytes:
    """Return the id for a new key: the one that was asked for, or a random one."""
    return uri.key_id or secrets.token_bytes(8)


def offers(session: Session, *mechanisms: Mechanism) -> bool:
    """Tell whether a token names all of these mechanisms."""
    return set(mechanisms) <= session.token.slot.get_mechanisms()


def check_tries(flags: TokenFlag, given: Pin, name: str) -> None:
    """Refuse to give a PIN that could lock the token, or that it would not take.

    Raises:
        TokenPinLockedError, TokenLastTryError.
    """
    if flags & TokenFlag.USER_PIN_LOCKED:
        msg = f"The token {name!r} is locked: too many wrong PINs were given."
        raise TokenPinLockedError(msg)
    if flags & TokenFlag.USER_PIN_FINAL_TRY and not given.typed:
        msg = f"The token {name!r} has one try left; the PIN was not given to it."
        raise TokenLastTryError(msg)


def safe_module(path: Path) -> Path:
    """Return the file of a module, links followed, if only root can change it.

    Raises:
        TokenModuleError: if it is not there.
        TokenModuleUnsafeError: if others could change it.
    """
    try:
        real = path.resolve(strict=True)
    except OSError as error:
        msg = f"There is no PKCS#11 module {path}."
        raise TokenModuleError(msg) from error
    if not real.is_file():
        msg = f"The PKCS#11 module {path} is no file."
        raise TokenModuleError(msg)
    for place in (real, *real.parents):
        about = place.stat()
        if about.st_uid != 0 or stat.S_IMODE(about.st_mode) & 0o022:
            msg = f"The module {path} could be changed by others than root, at {place}."
            raise TokenModuleUnsafeError(msg)
    return real


def _find(uri: TokenUri) -> Token:
    path = safe_module(uri.module)
    try:
        slots = pkcs11.lib(str(path)).get_slots(token_present=True)
    except (exceptions.PKCS11Error, RuntimeError, OSError) as error:
        msg = f"The PKCS#11 module {uri.module} does not start ({_name(error)})."
        raise TokenModuleError(msg) from error
    found = []
    for slot in slots:
        with suppress(exceptions.PKCS11Error):  # an empty slot, or one with a stranger
            token = slot.get_token()
            if _fits(token, uri):
                found.append(token)
    if len(found) > 1:
        serials = ", ".join(repr(_serial(token)) for token in found)
        msg = f"{len(found)} tokens are named {uri.token_name!r}; serials {serials}."
        raise TokenAmbiguousError(msg)
    if not found:
        msg = f"No token named {uri.token_name!r} is there (module {uri.module})."
        raise TokenAbsentError(msg)
    return found[0]


def _fits(token: Token, uri: TokenUri) -> bool:
    pairs = (
        (uri.token, token.label),
        (uri.serial, _serial(token)),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
    )
    return all(wanted in ("", said) for wanted, said in pairs)


def _serial(token: Token) -> str:
    return token.serial.decode("utf-8", "replace").rstrip("\0 ")


def _log_in(token: Token, place: tuple[str, int], uri: TokenUri, ask: AskPin) -> _Login:
    given = pins.find(uri, ask)
    check_tries(token.flags, given, uri.token_name)
    text = given.text.reveal()
    mark = (*place, hmac.digest(_SALT, text.encode(), "sha256"))
    if mark in _REFUSED:
        msg = f"The token {uri.token_name!r} refused this PIN before; it is not tried again."
        raise TokenPinWrongError(msg)
    try:
        session = token.open(user_pin=text)
    except _WRONG as error:
        _REFUSED.add(mark)
        msg = f"The token {uri.token_name!r} refused the PIN."
        raise TokenPinWrongError(msg) from error
    except _SHUT as error:
        msg = f"The token {uri.token_name!r} takes no PIN ({_name(error)})."
        raise TokenPinLockedError(msg) from error
    if not _LOGINS:
        atexit.register(forget)
    return _LOGINS.setdefault(place, _Login(session=session))


@contextmanager
def _writable(token: Token, login: _Login, *, write: bool) -> Iterator[Session]:
    if not write:
        yield login.session
        return
    with token.open(rw=True) as session:  # shares the login
        yield session


@contextmanager
def _failures_told(uri: TokenUri, place: tuple[str, int]) -> Iterator[None]:
    name = uri.token_name
    try:
        yield
    except GONE as error:
        forget(place)
        msg = f"The token {name!r} is not there any longer ({_name(error)})."
        raise TokenAbsentError(msg) from error
    except _CANNOT as error:
        msg = f"The token {name!r} cannot do what was asked of it ({_name(error)})."
        raise TokenMechanismError(msg) from error
    except exceptions.PKCS11Error as error:
        msg = f"The token {name!r} failed ({_name(error)})."
        raise TokenFailedError(msg) from error


def _name(error: BaseException) -> str:
    return type(error).__name__
