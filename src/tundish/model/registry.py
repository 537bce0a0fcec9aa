"""Push packages to an OCI registry, and pull them.

No host is asked that a person did not name (``registrydoor``).
The registry is not trusted: what comes back is checked blob by blob against its digest,
and the whole against the signature by whoever reads the package. Layers that are there
already travel in neither direction. Source: OCI distribution-spec v1.1; ``oras`` speaks
HTTP and the registry's authentication (it reads the login that ``docker login`` or
``oras login`` left).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING

from tundish.kernel import digest
from tundish.kernel.digest import Digest, hex_part
from tundish.model import layout
from tundish.model.errors import (
    PackageTooLargeError,
    RegistryNameError,
    RegistryRefusedError,
    RegistryUnreachableError,
)

if TYPE_CHECKING:
    import requests
    from oras.container import Container
    from oras.provider import Registry as OrasRegistry

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_MAX_PORT = 2**16 - 1
_REFERENCE = re.compile(
    _HOST.pattern + r"(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)+"  # repository
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_BLOCK = 1024**2
_FOUND, _MADE, _TAKEN, _ABSENT = 200, 201, 202, 404


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What travelled.

    Attributes:
        manifest: Digest of the manifest in the registry.
        sent: Bytes that travelled.
        spared: Bytes that were there already.
    """

    manifest: Digest
    sent: int
    spared: int


@dataclass(frozen=True, kw_only=True)
class Registry:
    """One repository of a registry, and a tag or digest in it.

    Attributes:
        reference: ``host[:port]/repository[:tag|@digest]``.
        plain_http: Speak HTTP without TLS; for a registry on this machine only.
        ca_file: The plant's own certificate authority, or ``None`` for the system's.
        also: Further hosts that it may lead to (a place of tokens or blobs), asked by
            HTTPS only; a login goes there too.
    """

    reference: str
    plain_http: bool = False
    ca_file: str | None = None
    also: tuple[str, ...] = ()

    def each(self, told: Callable[[str, str], None]) -> None:
        """Tell each host that may be asked, with a word for it: proxies too.

        Raises:
            RegistryNameError: if the reference or a further host is no name of one.
        """
        # Late: only whoever pushes or pulls needs an HTTP client.
        from tundish.model.registrydoor import proxy_of  # noqa: PLC0415

        self._check_names()
        scheme = "http" if self.plain_http else "https"
        named = (scheme, self.reference.partition("/")[0])
        for kind, host in (named, *(("https", host) for host in self.also)):
            told(host, "The registry")
            if proxy := proxy_of(f"{kind}://{host}"):
                told(proxy, "The proxy that the environment names")

    def _check_names(self) -> None:
        hosts = (self.reference.partition("/")[0], *self.also)
        ports = (host.partition(":")[2] for host in hosts)
        if (
            not _REFERENCE.fullmatch(self.reference)
            or not all(_HOST.fullmatch(host) for host in hosts)
            or not all(int(port or 1) <= _MAX_PORT for port in ports)
        ):
            msg = f"{self.reference[:80]!r} names no repository of a registry."
            raise RegistryNameError(msg)

    def push(self, entries: Mapping[str, bytes]) -> Transfer:
        """Push the entries of a layout; blobs that the registry has are not sent.

        Args:
            entries: From ``layout.pack``: one manifest and its blobs.

        Raises:
            RegistryNameError, RegistryUnreachableError, RegistryRefusedError.
        """
        client, place = self._client()
        with closing(client.session):
            return self._push(client, place, entries)

    def _push(
        self, client: OrasRegistry, place: Container, entries: Mapping[str, bytes]
    ) -> Transfer:
        body = layout.manifest_of(entries)
        name = digest.of_bytes(body)
        sent = spared = 0
        for entry, blob in sorted(entries.items()):
            if not entry.startswith(layout.BLOBS) or entry.endswith(hex_part(name)):
                continue
            known = Digest(f"sha256:{entry.removeprefix(layout.BLOBS)}")
            if self._has(client, place, known):
                spared += len(blob)
                continue
            self._send_blob(client, place, known, blob)
            sent += len(blob)
        answer = self._ask(
            lambda: client.do_request(
                f"{client.prefix}://{place.manifest_url()}",
                "PUT",
                data=body,
                headers={"Content-Type": layout.MANIFEST_TYPE},
            )
        )
        self._require(answer, {_FOUND, _MADE}, "the manifest")
        return Transfer(manifest=name, sent=sent + len(body), spared=spared)

    def pull(
        self, have: Callable[[Digest], bytes | None] = lambda _: None
    ) -> tuple[dict[str, bytes], Transfer]:
        """Pull the layout that a tag or digest names.

        Args:
            have: Returns a blob that is on this machine already, or ``None``.

        Returns:
            The entries as ``layout.pack`` would make them, unverified but for their
            digests, and what travelled.

        Raises:
            RegistryNameError, RegistryUnreachableError, RegistryRefusedError,
            PackageMalformedError, PackageTooLargeError.
        """
        client, place = self._client()
        with closing(client.session):
            return self._pull(client, place, have)

    def _pull(
        self,
        client: OrasRegistry,
        place: Container,
        have: Callable[[Digest], bytes | None],
    ) -> tuple[dict[str, bytes], Transfer]:
        body = self._body(
            self._ask(
                lambda: client.do_request(
                    f"{client.prefix}://{place.manifest_url()}",
                    "GET",
                    headers={"Accept": layout.MANIFEST_TYPE},
                    stream=True,
                )
            ),
            layout.MAX_MANIFEST,
            f"the package {self.reference}",
        )
        name = digest.of_bytes(body)
        if place.digest and place.digest != name:
            msg = f"The registry gave another manifest than {place.digest[:19]}."
            raise RegistryRefusedError(msg)
        blobs: list[bytes] = []
        sent, spared = len(body), 0
        for known, size in layout.named_blobs(body):
            kept = have(known)
            if kept is not None and digest.of_bytes(kept) == known:
                blobs.append(kept)
                spared += len(kept)
                continue
            blobs.append(self._fetch_blob(client, place, known, size))
            sent += len(blobs[-1])
        entries = layout.around(body, blobs)
        return entries, Transfer(manifest=name, sent=sent, spared=spared)

    def _client(self) -> tuple[OrasRegistry, Container]:
        from oras.container import Container as Place  # noqa: PLC0415
        from oras.provider import Registry as Client  # noqa: PLC0415

        from tundish.model.registrydoor import guard  # noqa: PLC0415

        self._check_names()
        host, _, name = self.reference.partition("/")
        client = Client(insecure=self.plain_http, tls_verify=self.ca_file or True)
        # oras tries five times and waits two minutes in all: people want to know now
        once = getattr(Client.do_request, "__wrapped__", Client.do_request)
        client.do_request = MethodType(once, client)
        guard(client.session, client.prefix, host, self.also)
        place = Place(name, registry=host)
        place.registry = host  # oras takes a host without a dot for a namespace
        client.auth.load_configs(place)
        return client, place

    def _has(self, client: OrasRegistry, place: Container, name: Digest) -> bool:
        answer = self._ask(lambda: client.get_blob(place, name, head=True))
        return int(answer.status_code) == _FOUND

    def _send_blob(
        self, client: OrasRegistry, place: Container, name: Digest, blob: bytes
    ) -> None:
        start = self._ask(
            lambda: client.do_request(
                f"{client.prefix}://{place.upload_blob_url()}", "POST"
            )
        )
        self._require(start, {_TAKEN}, "the start of an upload")
        where = start.headers.get("location", "")
        if where.startswith("/"):
            where = f"{client.prefix}://{place.registry}{where}"
        joint = "&" if "?" in where else "?"
        answer = self._ask(
            lambda: client.do_request(
                f"{where}{joint}digest={name}",
                "PUT",
                data=blob,
                headers={"Content-Type": "application/octet-stream"},
            )
        )
        self._require(answer, {_MADE}, f"the blob {name[7:19]}")

    def _fetch_blob(
        self, client: OrasRegistry, place: Container, name: Digest, size: int
    ) -> bytes:
        answer = self._ask(lambda: client.get_blob(place, name, stream=True))
        body = self._body(answer, size, f"the blob {name[7:19]}")
        if digest.of_bytes(body) != name:
            msg = f"The registry gave other bytes than the blob {name[7:19]}."
            raise RegistryRefusedError(msg)
        return body

    def _ask(self, request: Callable[[], requests.Response]) -> requests.Response:
        import requests  # noqa: PLC0415  (as above)

        host = self.reference.partition("/")[0]
        try:
            return request()
        except requests.RequestException as error:
            msg = f"The registry {host} cannot be reached ({type(error).__name__})."
            raise RegistryUnreachableError(msg) from error
        except ValueError as error:  # oras: no answer to a demand for a login
            msg = f"The registry {host} wants a login, and there is none."
            raise RegistryRefusedError(msg, advice=_LOGIN) from error

    def _body(self, answer: requests.Response, limit: int, what: str) -> bytes:
        import requests  # noqa: PLC0415  (as above)

        self._require(answer, {_FOUND}, what)
        parts, size = [], 0
        try:
            for part in answer.iter_content(_BLOCK):
                size += len(part)
                if size > limit:
                    msg = f"The registry sends more than {limit} bytes for {what}."
                    raise PackageTooLargeError(msg)
                parts.append(part)
        except requests.RequestException as error:
            msg = f"The registry broke off while sending {what}."
            raise RegistryUnreachableError(msg) from error
        return b"".join(parts)

    def _require(self, answer: requests.Response, right: set[int], what: str) -> None:
        code = int(answer.status_code)
        if code in right:
            return
        if code == _ABSENT:
            msg = f"The registry does not have {what}."
        else:
            msg = f"The registry answered {code} to {what}."
        advice = _LOGIN if code in {401, 403} else None
        raise RegistryRefusedError(msg, advice=advice)


_LOGIN = "Log in first: the login that 'docker login' or 'oras login' keeps is used."
