"""Laws of the line file: what is unknown is refused, and the place is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tundish.catalog import library
from tundish.catalog.errors import DocumentInvalidError
from tundish.line import plugins
from tundish.line.errors import LineFileInvalidError, LinePluginMissingError
from tundish.line.linefile import check_signals, read_line_file

SCENARIO = library.scenario("C25.21.fermentation-glucose")
GOOD = """
format: tundish.line
version: 1
name: fermenter-3
package: packages/glucose
mode: shadow
sources:
  - kind: opcua
    endpoint: opc.tcp://127.0.0.1:4840
    security: none
    nodes: {spectrum: ns=2;s=Spectrum}
    options: {queue_size: 500}
sinks:
  - kind: opcua
    name: screen
    endpoint: opc.tcp://127.0.0.1:4840
    nodes: {estimate: ns=2;s=Estimate, state: ns=2;s=State}
buffer: {path: buffer.db, max_mb: 50}
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(text)
    return path


def test_a_good_line_file_is_read_and_makes_its_parts(tmp_path: Path) -> None:
    line = read_line_file(_write(tmp_path, GOOD))
    (source,) = plugins.open_sources(line, SCENARIO)
    (sink,) = plugins.open_sinks(line, SCENARIO)
    with plugins.open_buffer(line, SCENARIO, tmp_path):
        assert (tmp_path / "buffer.db").is_file()
    assert source.signals == ("spectrum",)
    assert sink.name == "screen"
    rows = line.buffer.max_rows(SCENARIO)
    assert rows * SCENARIO.channels * 8 < 50e6


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("mode: shadow", "mode: shadow\nspeed: 3", "speed is not a known key"),
        ("security: none", "securty: none", "sources[0].securty is not a known key"),
        ("security: none", "security: sign", "sources[0].security"),
        (
            "security: none",
            "security: {trsut: ca.pem}",
            "sources[0].security.trsut is not a known key",
        ),
        (
            "security: none",
            "security: {certificate: own.pem}",
            "sources[0].security: certificate and key come together",
        ),
        (
            "security: none",
            "security: {user: u, password: {file: p, env: P}}",
            "sources[0].security.password: a secret is named by either file or env",
        ),
        (
            "security: none",
            "security: {policy: basic128rsa15}",
            "sources[0].security.policy: ",
        ),
        ("mode: shadow", "mode: drive", "mode: "),
        ("max_mb: 50", "max_mb: -1", "buffer.max_mb"),
        ("max_mb: 50", "max_mb: 50, policy: x", "buffer.policy is not a known key"),
        (
            "endpoint: opc.tcp://127.0.0.1:4840\n    security",
            "security",
            "sources[0].endpoint is missing",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_path(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    assert old in GOOD
    with pytest.raises(DocumentInvalidError) as found:
        read_line_file(_write(tmp_path, GOOD.replace(old, new)))
    assert place in str(found.value)


def test_an_unknown_option_of_a_source_is_named(tmp_path: Path) -> None:
    line = read_line_file(_write(tmp_path, GOOD.replace("queue_size", "queue_sise")))
    with pytest.raises(DocumentInvalidError, match="queue_sise is not a known key"):
        plugins.open_sources(line, SCENARIO)


def test_every_signal_has_exactly_one_node(tmp_path: Path) -> None:
    other = GOOD.replace("{spectrum:", "{level:")
    with pytest.raises(LineFileInvalidError, match="no node for the signal 'spectrum'"):
        check_signals(read_line_file(_write(tmp_path, other)), SCENARIO)
    more = GOOD.replace("{spectrum:", "{level: ns=2;s=L, spectrum:")
    with pytest.raises(LineFileInvalidError, match="'level', which is no signal"):
        check_signals(read_line_file(_write(tmp_path, more)), SCENARIO)


def test_an_unknown_kind_names_what_is_installed(tmp_path: Path) -> None:
    line = read_line_file(_write(tmp_path, GOOD.replace("kind: opcua", "kind: telex")))
    with pytest.raises(LinePluginMissingError, match=r"'telex'.*installed are:.*opcua"):
        plugins.open_sources(line, SCENARIO)


@pytest.mark.parametrize(
    ("kind", "library", "extra"),
    [("kafka", "confluent_kafka", "kafka"), ("mqtt", "orjson", "line"), ("archive", "pyarrow", "archive")],
)  # fmt: skip
def test_a_kind_whose_library_is_not_there_names_the_extra_that_brings_it(
    tmp_path: Path, kind: str, library: str, extra: str
) -> None:
    script = f"""
import sys
sys.modules[{library!r}] = None
from tundish.line import plugins
from tundish.line.errors import LinePluginMissingError
try:
    plugins._load(plugins.{"ARCHIVES" if kind == "archive" else "SOURCES"}, {kind!r})
except LinePluginMissingError as error:
    print(error.advice)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert result.stdout.strip() == f"pip install 'tundish[{extra}]'", result.stderr


def test_a_node_id_that_is_none_is_said(tmp_path: Path) -> None:
    wrong: Any = GOOD.replace("ns=2;s=Spectrum", "Spectrum")
    with pytest.raises(Exception, match="no OPC UA node id"):
        plugins.open_sources(read_line_file(_write(tmp_path, wrong)), SCENARIO)
