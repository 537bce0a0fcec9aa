"""TLS as a line file says it, with the standard library's own module."""

from __future__ import annotations

import os
import ssl

from tundish.line.errors import CertificateUnusableError
from tundish.line.security import SecuritySpec

PARTS = ("trust", "certificate", "key", "key_password")


def cause(error: OSError) -> str:
    """Return why a connection failed, in the system's words, without its numbers."""
    if isinstance(error, ssl.SSLError) or error.errno is None or error.errno <= 0:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


def client_context(spec: SecuritySpec, owner: str) -> ssl.SSLContext:
    """Return what a client needs for TLS 1.2 or later; the server must prove its name.

    Args:
        spec: Parts of a link's security; without ``trust`` the system's authorities
            are asked.
        owner: Names source or sink in the message.

    Raises:
        CertificateUnusableError: if a file is not there or holds none.
        SecretMissingError: if the key's password is not there.
    """
    password = spec.key_password.read() if spec.key_password else None
    try:
        context = ssl.create_default_context(cafile=spec.trust)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if spec.certificate:
            context.load_cert_chain(
                spec.certificate,
                spec.key,
                lambda: password.reveal() if password else "",
            )
    except (OSError, ssl.SSLError, ValueError) as error:
        said = cause(error) if isinstance(error, OSError) else str(error)
        named = ", ".join(p for p in (spec.trust, spec.certificate, spec.key) if p)
        msg = f"{owner} cannot use its certificate or key ({named}): {said}."
        raise CertificateUnusableError(msg) from error
    return context
