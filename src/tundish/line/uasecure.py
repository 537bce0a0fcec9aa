"""How an OPC UA channel is secured: exactly as the line file asks, or not at all.

The server's list of endpoints comes over an open channel and is believed in nothing: its
certificate is checked against what the plant named, the channel is opened with what the
line file asks for, and what the server says of itself afterwards must fit its
certificate. Source: OPC UA part 4, 5.4, 5.6 and 6.1. Imports asyncua.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.crypto import security_policies as policies
from asyncua.crypto.uacrypto import der_from_x509

from tundish.kernel.clock import SystemClock
from tundish.line.errors import LineFileInvalidError, SecurityRefusedError
from tundish.line.security import Policy, Security, SecuritySpec, known_parts
from tundish.line.uawire import PlantClient
from tundish.seal import application
from tundish.seal.application import Application, Trust
from tundish.seal.secret import SecretText

PARTS = (
    "trust",
    "certificate",
    "key",
    "key_password",
    "user",
    "password",
    "policy",
    "mode",
)
_POLICIES: dict[Policy, type[policies.SecurityPolicy]] = {
    "basic256sha256": policies.SecurityPolicyBasic256Sha256,
    "aes128-sha256-rsaoaep": policies.SecurityPolicyAes128Sha256RsaOaep,
    "aes256-sha256-rsapss": policies.SecurityPolicyAes256Sha256RsaPss,
}
_SOUND = {kind.URI for kind in _POLICIES.values()}
_MODES = {
    "sign": ua.MessageSecurityMode.Sign,
    "sign-and-encrypt": ua.MessageSecurityMode.SignAndEncrypt,
}
_UASC = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"


@dataclass(frozen=True, kw_only=True)
class ChannelSecurity:
    """What a link to one server asks for.

    Attributes:
        policy, mode: As the line file says them.
        us: Our own application instance.
        trust: Whom we trust to be the server.
        user, password: For servers that ask for a name.
    """

    policy: Policy
    mode: str
    us: Application
    trust: Trust
    user: str = ""
    password: SecretText | None = None

    @classmethod
    def from_spec(cls, security: Security, owner: str) -> Self | None:
        """Read what the line file names; nothing said is no security.

        Args:
            security: As the line file says it.
            owner: Names source or sink in messages.

        Raises:
            LineFileInvalidError: if it says what OPC UA does not know, or too little.
            ServerUntrustedError, KeyUnreadableError, KeyExposedError,
            KeyPassphraseError, SecretMissingError, PathMissingError: if a file that it
            names does not hold what it should.
        """
        spec = known_parts(security, PARTS, owner)
        if not spec.said:
            return None
        policy, trust, certificate, key = _complete(spec, owner)
        opens = spec.key_password.read() if spec.key_password else None
        return cls(
            policy=policy,
            mode=spec.mode or "sign-and-encrypt",
            us=application.load(Path(certificate), Path(key), opens),
            trust=Trust.read(Path(trust)),
            user=spec.user or "",
            password=spec.password.read() if spec.password else None,
        )

    @property
    def said(self) -> str:
        """Policy and mode in a few words."""
        return f"{self.policy}, {self.mode}"

    async def apply(self, client: SecureClient, endpoint: str) -> None:
        """Make a client ready to connect so, and only so.

        Raises:
            SecurityRefusedError: if the server does not offer it.
            ServerUntrustedError: if its certificate does not count.
        """
        host = urlsplit(endpoint).hostname or ""
        offered = await client.connect_and_get_server_endpoints()
        kind, mode = _POLICIES[self.policy], _MODES[self.mode]
        fit = [
            one
            for one in offered
            if one.SecurityPolicyUri == kind.URI
            and one.SecurityMode == mode
            and (one.TransportProfileUri or _UASC) == _UASC
        ]
        if not fit:
            msg = f"{endpoint} offers {_offers(offered)}, and the line file asks for {self.said}."
            raise SecurityRefusedError(msg)
        chain = bytes(fit[0].ServerCertificate or b"")
        leaf = self.trust.check(chain, host, SystemClock().now())
        client.application_uri = self.us.uri
        client.guarded = self
        await client.set_security(
            kind, self.us.certificate, self.us.key, server_certificate=leaf, mode=mode
        )
        if self.user:
            client.set_user(self.user)
            client.set_password(self.password.reveal() if self.password else "")

        async def fits(certificate: Any, server: ua.ApplicationDescription) -> None:  # noqa: ANN401
            uri = str(server.ApplicationUri or "")
            der: bytes = der_from_x509(certificate)  # type: ignore[no-untyped-call]
            application.check_uri(der, uri, host)

        client.certificate_validator = fits


class SecureClient(PlantClient):
    """A client that gives a password away only where nobody else can read it."""

    guarded: ChannelSecurity | None = None

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """Choose how a user is shown to the server.

        Raises:
            SecurityRefusedError: if the server takes no such user, or wants a password
                in clear or under a broken policy.
        """
        fit = [one for one in self._policy_ids if one.TokenType == token_type]
        if not fit:
            names = sorted({one.TokenType.name for one in self._policy_ids})
            msg = (
                f"{self.server_url.geturl()} takes no {token_type.name} user; it takes "
                f"{', '.join(names) or 'none'}."
            )
            raise SecurityRefusedError(msg, advice=_USER)
        if token_type != ua.UserTokenType.UserName:
            return super().server_policy(token_type)
        encrypted = self.guarded is not None and self.guarded.mode == "sign-and-encrypt"
        for one in fit:
            uri = one.SecurityPolicyUri or self.security_policy.URI
            if uri in _SOUND or (encrypted and uri == policies.SecurityPolicyNone.URI):
                return ua.UserTokenPolicy(
                    PolicyId=one.PolicyId, TokenType=token_type, SecurityPolicyUri=uri
                )
        msg = f"{self.server_url.geturl()} wants the password in clear over a channel that is not encrypted."
        raise SecurityRefusedError(msg, advice=_CLEAR)


_CLEAR = "Ask for mode sign-and-encrypt in the line file."
_USER = "Name the kind of user that the server takes, or none."


def _complete(spec: SecuritySpec, owner: str) -> tuple[Policy, str, str, str]:
    """Return the parts without which nothing is secured."""
    if spec.policy is None:
        what = "a password" if spec.user else "certificates"
        msg = (
            f"{owner} names {what} and no security.policy, so the channel would be in "
            f"clear; expected one of {', '.join(_POLICIES)}."
        )
        raise LineFileInvalidError(msg, advice=_SECURE)
    if spec.certificate is None or spec.key is None:
        msg = f"{owner} asks for {spec.policy} and names no certificate and key of its own."
        raise LineFileInvalidError(msg, advice=_SECURE)
    if spec.trust is None:
        msg = f"{owner} asks for {spec.policy} and names nobody to trust (security.trust)."
        raise LineFileInvalidError(msg, advice=_SECURE)
    return spec.policy, spec.trust, spec.certificate, spec.key


_SECURE = (
    "Name policy, certificate, key and trust; 'tundish line certificate' makes the "
    "first two files."
)


def _offers(offered: Sequence[ua.EndpointDescription]) -> str:
    names = {kind.URI: name for name, kind in _POLICIES.items()}
    words = {mode: name for name, mode in _MODES.items()}
    found = {
        (
            f"{names.get(one.SecurityPolicyUri, str(one.SecurityPolicyUri).rpartition('#')[2])} "
            f"{words.get(one.SecurityMode, '')}"
        ).strip()[:60]
        for one in offered[:32]
    }
    return "; ".join(sorted(found)) or "no endpoint"
