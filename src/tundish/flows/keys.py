"""The private keys of a workspace: files, or kept by a token.

Below ``.tundish/keys`` lies ``signing.pem``, or ``signing.token`` with the address of a
key that never leaves its token; ``device.pem``, or ``device.token``, which only its
token opens. The key for checkpoints of the ledger is always a file. The library that
speaks with tokens is loaded only where one is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tundish.kernel import paths, settings
from tundish.kernel.digest import short
from tundish.seal import wrapped
from tundish.seal.keys import (
    CheckpointKey,
    DeviceKey,
    DevicePublic,
    SigningKey,
    VerifyKey,
)
from tundish.seal.pin import AskPin, nobody_asks
from tundish.seal.token_uri import TokenUri
from tundish.seal.wrapped import NamedKey, WrappedDevice


@dataclass(frozen=True, kw_only=True)
class TokenOrder:
    """Which key in a token shall be used.

    Attributes:
        uri: Its address (RFC 7512).
        new: Have it made there.
        curve: Of a new key that signs.
    """

    uri: str
    new: bool = False
    curve: Literal["P-256", "P-384"] = "P-256"


@dataclass(frozen=True, kw_only=True)
class KeyOrders:
    """Where the keys of a new workspace shall lie; None: in a file.

    Attributes:
        signing: The key that signs.
        device: The key that keeps the device's key.
        ask: Asks a person for a PIN.
    """

    signing: TokenOrder | None = None
    device: TokenOrder | None = None
    ask: AskPin = nobody_asks


@dataclass(frozen=True, kw_only=True)
class FreshKeys:
    """The keys of a new workspace, none of them written yet."""

    signing: SigningKey
    named: NamedKey | None
    device: DeviceKey
    wrapped: WrappedDevice | None
    checkpoint: CheckpointKey

    def save(self, folder: Path) -> None:
        """Write what belongs into files, with mode 0600."""
        passphrase = settings.passphrase()
        if self.wrapped is None:
            self.device.save(folder / "device.pem", passphrase)
        else:
            wrapped.write(folder / "device.token", self.wrapped)
        if self.named is None:
            self.signing.save(folder / "signing.pem", passphrase)
        else:
            wrapped.write(folder / "signing.token", self.named)
        self.checkpoint.save(folder / "checkpoint.pem", passphrase)
        paths.write_whole(folder / "signing.pub", self.signing.public.to_pem())
        paths.write_whole(folder / "checkpoint.pub", self.checkpoint.public.to_pem())


def fresh(orders: KeyOrders) -> FreshKeys:
    """Make the keys of a workspace; whatever a token refuses is refused here."""
    signing, named = SigningKey.generate(), None
    if orders.signing is not None:
        signing, named = in_token(orders.signing, orders.ask)
    device, kept = DeviceKey.generate(), None
    if orders.device is not None:
        kept = _keep(device, orders.device, orders.ask)
    return FreshKeys(
        signing=signing,
        named=named,
        device=device,
        wrapped=kept,
        checkpoint=CheckpointKey.generate(),
    )


def in_token(order: TokenOrder, ask: AskPin) -> tuple[SigningKey, NamedKey]:
    """Return a signing key in a token, made there if so ordered.

    Raises:
        TokenUriError, TokenAbsentError, TokenPinWrongError and their like.
    """
    uri = TokenUri.parse(order.uri)
    from tundish.seal import token_sign  # noqa: PLC0415  (loads a PKCS#11 library)

    if order.new:
        signer = token_sign.make(uri, ask, order.curve)
    else:
        signer = token_sign.TokenSigner(uri, ask)
    named = NamedKey(token=signer.uri.to_text(), made_inside=signer.made_inside)
    return SigningKey(signer), named


def _keep(device: DeviceKey, order: TokenOrder, ask: AskPin) -> WrappedDevice:
    uri = TokenUri.parse(order.uri)
    from tundish.seal import token_wrap  # noqa: PLC0415  (loads a PKCS#11 library)

    return token_wrap.keep(device, uri, ask, new=order.new)


class KeyFolder:
    """The keys of a workspace that is there.

    Args:
        folder: Its folder of keys.
        ask: Asks a person for a PIN.
    """

    def __init__(self, folder: Path, ask: AskPin) -> None:
        self._folder = folder
        self._ask = ask

    @property
    def signing_in_token(self) -> NamedKey | None:
        """Where the signing key lies, if in a token."""
        path = self._folder / "signing.token"
        return wrapped.read_named(path) if path.is_file() else None

    @property
    def device_in_token(self) -> WrappedDevice | None:
        """The device's key as it lies here, if a token keeps it."""
        path = self._folder / "device.token"
        return wrapped.read(path) if path.is_file() else None

    def signing(self, public: VerifyKey) -> SigningKey:
        """Return the key that signs.

        Raises:
            TokenOtherKeyError: if the token holds another key than ``public``'s.
            TokenAbsentError and its like; for files see ``keyfile.load``.
        """
        named = self.signing_in_token
        if named is None:
            path = self._folder / "signing.pem"
            return SigningKey.load(path, settings.passphrase())
        from tundish.seal import token_sign  # noqa: PLC0415  (as above)

        uri = TokenUri.parse(named.token)
        return SigningKey(token_sign.belonging(uri, public, self._ask))

    def device(self) -> DeviceKey:
        """Return the device's key.

        Raises:
            TokenOtherKeyError, TokenAbsentError and their like; for files see
                ``keyfile.load``.
        """
        kept = self.device_in_token
        if kept is None:
            path = self._folder / "device.pem"
            return DeviceKey.load(path, settings.passphrase())
        from tundish.seal import token_wrap  # noqa: PLC0415  (as above)

        return token_wrap.unwrap(kept, self._ask)

    def device_public(self) -> DevicePublic:
        """Return the device's public half; a token is not asked for it."""
        kept = self.device_in_token
        if kept is None:
            return self.device().public
        return DevicePublic.from_text(kept.device)

    def replace_signing(
        self, new: SigningKey, former: VerifyKey, named: NamedKey | None
    ) -> Path:
        """Put a new signing key in the place of the former one, which is put away.

        Returns:
            Where the former key, or its address, lies now.
        """
        held = self._folder / "signing.token"
        held = held if held.is_file() else self._folder / "signing.pem"
        place = self._folder / ("signing.pem" if named is None else "signing.token")
        kept = self._folder / f"former-{short(former.key_id)}{held.suffix}"
        coming = self._folder / "signing.new"
        if named is None:
            new.save(coming, settings.passphrase())
        else:
            wrapped.write(coming, named)
        paths.write_whole(kept, held.read_bytes(), mode=0o600)
        coming.replace(place)
        if held != place:
            held.unlink()
        paths.write_whole(self._folder / "signing.pub", new.public.to_pem())
        return kept
