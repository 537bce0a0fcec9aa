"""Laws of the certificate that a line makes for itself: its key stays here, nothing is replaced."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from tundish.cli import main
from tundish.flows.errors import CertificateOrderError
from tundish.flows.line_certificate import CertificateOrder, make_certificate
from tundish.kernel.clock import ManualClock
from tundish.seal.errors import KeyExistsError

NOW = datetime(2026, 5, 4, 6, tzinfo=UTC)


def made(place: Path, **order: Any) -> Any:
    return make_certificate(CertificateOrder(place=place, **order), ManualClock(NOW))


def test_what_is_made_names_the_box_and_its_key_is_ours_alone(tmp_path: Path) -> None:
    report = made(tmp_path / "pki/line", hosts=("box7.plant", "10.0.0.7"), days=30)
    found = x509.load_pem_x509_certificate(Path(report.certificate).read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["box7.plant"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [report.uri] == ["urn:box7.plant:tundish:line"]
    assert found.not_valid_after_utc == NOW + timedelta(days=30)
    assert found.not_valid_before_utc <= NOW
    assert report.not_after == "2026-06-03T06:00:00Z"
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    basic = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert not basic.value.ca
    der = found.public_bytes(serialization.Encoding.DER)
    assert report.thumbprint == hashlib.sha1(der, usedforsecurity=False).hexdigest()
    key = Path(report.key)
    assert key.stat().st_mode & 0o777 == 0o600
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    assert private.public_key() == found.public_key()
    assert b"PRIVATE" not in Path(report.certificate).read_bytes()


@pytest.mark.parametrize("ending", [".crt", ".key"])
def test_nothing_is_replaced(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"line{ending}").write_text("another's")
    with pytest.raises(KeyExistsError):
        made(tmp_path / "line")
    assert [path.name for path in tmp_path.iterdir()] == [f"line{ending}"]
    assert (tmp_path / f"line{ending}").read_text() == "another's"


@pytest.mark.parametrize(
    "order",
    [
        {"hosts": ("box 7",)},
        {"hosts": ("box7\n",), "uri": "urn:box7:line"},
        {"hosts": ("",), "uri": "urn:box7:line"},
        {"hosts": ("box7", "-box8")},
        {"uri": "box7"},
        {"uri": "urn:box7:line\n"},
        {"bits": 1024},
        {"bits": 2500},
    ],
)
def test_what_names_no_box_is_refused_and_nothing_is_written(
    tmp_path: Path, order: dict[str, Any]
) -> None:
    with pytest.raises(CertificateOrderError):
        made(tmp_path / "line", **order)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_where_it_is_and_how_servers_list_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "line")
    command = ["line", "certificate", place, "--host", "box7.plant"]
    assert main.status([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["key"], said["hosts"]) == (f"{place}.key", ["box7.plant"])
    assert len(said["thumbprint"]) == 40
    assert main.status(command) == 2
    assert "[key-exists]" in capsys.readouterr().err
