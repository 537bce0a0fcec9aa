"""A line file names where secrets stand, and says nothing that would protect nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.line.test_linefile import GOOD, SCENARIO

from tundish.catalog.errors import DocumentInvalidError
from tundish.kernel.errors import UsageError
from tundish.line import plugins
from tundish.line.errors import LineFileInvalidError, SecretMissingError
from tundish.line.linefile import read_line_file
from tundish.line.security import SecretRef, SecuritySpec, known_parts


def test_a_secret_is_read_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("kept quiet\n")
    monkeypatch.setenv("PLANT_PASSWORD", "kept quiet")
    beside = SecretRef(file="password").within(tmp_path)
    for secret in (beside, SecretRef(env="PLANT_PASSWORD")):
        assert secret.read().reveal() == "kept quiet"
        assert "quiet" not in repr(secret)


@pytest.mark.parametrize("data", [None, b"", b"\n", b"\xff\xfe"])
def test_a_secret_that_is_not_there_is_named_by_its_place(
    tmp_path: Path, data: bytes | None
) -> None:
    if data is not None:
        (tmp_path / "password").write_bytes(data)
    with pytest.raises(UsageError) as found:
        SecretRef(file="password").within(tmp_path).read()
    assert "password" in found.value.message
    with pytest.raises(SecretMissingError, match="The variable NOBODY_SET_IT holds"):
        SecretRef(env="NOBODY_SET_IT").read()


def test_files_of_a_link_are_found_beside_the_line_file(tmp_path: Path) -> None:
    said = "security: {trust: ca.pem, user: u, password: {file: p}}"
    path = tmp_path / "line.yaml"
    path.write_text(GOOD.replace("security: none", said))
    security = read_line_file(path).sources[0].security
    assert security is not None
    assert security.trust == str(tmp_path / "ca.pem")
    assert security.password == SecretRef(file=str(tmp_path / "p"))


def test_what_a_kind_does_not_know_is_refused_and_not_ignored() -> None:
    spec = SecuritySpec(trust="ca.pem", token=SecretRef(env="T"))
    assert known_parts(spec, ("trust", "token"), "The sink s") is spec
    assert known_parts(None, (), "The sink s") == SecuritySpec()
    with pytest.raises(LineFileInvalidError, match=r"says security\.token"):
        known_parts(spec, ("trust",), "The sink s")


def test_options_of_a_node_that_its_kind_does_not_know_are_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "line.yaml"
    node = "spectrum: ns=2;s=Spectrum"
    assert node in GOOD
    path.write_text(
        GOOD.replace(node, 'spectrum: {node: "ns=2;s=Spectrum", options: {word: 1}}')
    )
    with pytest.raises(DocumentInvalidError, match="word is not a known key"):
        plugins.open_sources(read_line_file(path), SCENARIO)
