"""Starts a plant of ``ua_plant.py`` in a process of its own, and gives it orders."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.ports import free_port

from tundish.line.security import SecretRef, SecuritySpec
from tundish.seal import application

PLANT = Path(__file__).with_name("ua_plant.py")
WRAP = 900  # of the values in ua_plant.py
OPEN = ("NoSecurity",)
EVERY = (
    "NoSecurity",
    "Basic256Sha256_Sign",
    "Basic256Sha256_SignAndEncrypt",
    "Aes128Sha256RsaOaep_Sign",
    "Aes128Sha256RsaOaep_SignAndEncrypt",
    "Aes256Sha256RsaPss_Sign",
    "Aes256Sha256RsaPss_SignAndEncrypt",
)
SERVER_URI = "urn:test:plant:server"
LINE_URI = "urn:box:tundish"


class PlantProcess:
    """One plant; used as a context.

    Args:
        folder: For its settings.
        settings: See ``ua_plant.py``.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        now_us = int(datetime.now(UTC).timestamp() * 1e6)
        usual = {
            "port": free_port(),
            "tags": 1,
            "policies": OPEN,
            "period_s": 0.1,
            "start_us": now_us // 1_000_000 * 1_000_000,
            "play": True,
        }
        self.settings = {**usual, **settings}
        self.file = folder / f"plant-{self.settings['port']}.json"
        self.log = folder / f"plant-{self.settings['port']}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.endpoint = f"opc.tcp://127.0.0.1:{self.settings['port']}"

    @property
    def start_us(self) -> int:
        """Source time of row 0."""
        return int(self.settings["start_us"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; returns when it listens."""
        self.file.write_text(json.dumps(self.settings))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PLANT), str(self.file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-2000:]

    def order(self, do: str, **more: Any) -> Any:
        """Give an order and return the answer."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def pause(self) -> None:
        """Stop the process without closing its sockets: a half-open link."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # until all its threads stand

    def go_on(self) -> None:
        """Let it run again."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def stop(self) -> None:
        """End it."""
        self.kill()


class Papers:
    """Certificates and keys of a line and servers, made for a test.

    The line's are made by the product; a server's as an authority of a plant would.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = datetime.now(UTC)
        self.line("line")
        self.make("server", SERVER_URI)

    def line(self, name: str) -> None:
        """Write ``NAME.crt`` and ``NAME.key`` of a line."""
        papers = application.make(
            LINE_URI, ("127.0.0.1",), days=30, bits=2048, now=self.now
        )
        self._write(name, *papers)

    def make(  # noqa: PLR0913  (keyword-only, one per flaw)
        self,
        name: str,
        uri: str,
        *,
        host: str = "127.0.0.1",
        days: float = 30.0,
        issuer: str = "",
        server: bool = True,
        bits: int = 2048,
    ) -> None:
        """Write ``NAME.crt`` and ``NAME.key``, issued by itself or by an authority."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"plant {name}")])
        above, signer = subject, key
        if issuer:
            data = (self.folder / f"{issuer}.crt").read_bytes()
            above = x509.load_pem_x509_certificate(data).subject
            held = (self.folder / f"{issuer}.key").read_bytes()
            loaded = serialization.load_pem_private_key(held, None)
            assert isinstance(loaded, rsa.RSAPrivateKey)
            signer = loaded
        try:
            address: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            address = x509.DNSName(host)
        names = [x509.UniformResourceIdentifier(uri), address]
        purpose = (
            ExtendedKeyUsageOID.SERVER_AUTH
            if server
            else ExtendedKeyUsageOID.CLIENT_AUTH
        )
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(above)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=10))
            .not_valid_after(self.now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.BasicConstraints(ca=uri == "", path_length=None), critical=True
            )
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        self._write(
            name,
            made.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def _write(self, name: str, certificate: bytes, key: bytes) -> None:
        (self.folder / f"{name}.crt").write_bytes(certificate)
        path = self.folder / f"{name}.key"
        path.write_bytes(key)
        path.chmod(0o600)

    def server(self, name: str = "server") -> dict[str, Any]:
        """Return the settings of a plant that shows them."""
        return {
            "policies": EVERY,
            "certificate": str(self.folder / f"{name}.crt"),
            "key": str(self.folder / f"{name}.key"),
            "uri": SERVER_URI,
        }

    def spec(self, **changes: Any) -> SecuritySpec:
        """Return what a line file says."""
        usual: dict[str, Any] = {
            "policy": "basic256sha256",
            "mode": "sign-and-encrypt",
            "certificate": str(self.folder / "line.crt"),
            "key": str(self.folder / "line.key"),
            "trust": str(self.folder / "server.crt"),
        }
        return SecuritySpec(**{**usual, **changes})

    def password(self, text: str = "kept quiet") -> dict[str, Any]:
        """Return user and password as a line file names them."""
        path = self.folder / "password"
        path.write_text(text)
        return {"user": "line", "password": SecretRef(file=str(path))}
