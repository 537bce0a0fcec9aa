"""What the pages show of line files is read, and the defaults that they name are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from tundish.catalog import library
from tundish.kernel import canonical
from tundish.line import plugins
from tundish.line.contract import ListedSignal, SignalList
from tundish.line.linefile import SinkSpec, SourceSpec, read_line_file
from tundish.line.security import SecretRef, SecuritySpec
from tundish.line.serving.limits import Limits
from tundish.line.sources.files import FilesSourceOptions
from tundish.line.sources.http import HttpSourceOptions
from tundish.line.sources.httpreceive import HttpReceiveOptions
from tundish.line.sources.kafka import KafkaSourceOptions
from tundish.line.sources.modbus import ModbusSourceOptions
from tundish.line.sources.mqtt import MqttSourceOptions
from tundish.line.uaoptions import OpcUaSourceOptions

Spec = TypeVar("Spec", SourceSpec, SinkSpec)
PAGES = Path(__file__).parents[2] / "docs/how-to"
LINE: dict[str, Any] = {
    "format": "tundish.line",
    "version": 1,
    "name": "shown",
    "mode": "shadow",
    "package": "shown.tar",
    "buffer": {"path": "buffer.db"},
    "sources": [
        {"kind": "modbus", "endpoint": "modbus://127.0.0.1", "nodes": {"a": "holding:1"}}
    ],
}  # fmt: skip


def shown() -> list[Any]:
    found = []
    for page in sorted(PAGES.glob("*.md")):
        blocks = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        for number, block in enumerate(blocks):
            said = yaml.safe_load(block)
            if {"sources", "sinks", "desk"} & set(said):
                found.append(pytest.param(said, id=f"{page.stem}-{number}"))
    return found


def test_the_pages_show_parts_of_line_files() -> None:
    assert len(shown()) > 12


@pytest.mark.parametrize("said", shown())
def test_a_part_of_a_line_file_that_is_shown_is_read(
    said: dict[str, Any], tmp_path: Path
) -> None:
    """Each key, kind and option; the files of keys that it names are not there."""
    path = tmp_path / "shown.line.yaml"
    path.write_bytes(canonical.dumps(LINE | said))
    line = read_line_file(path)
    token = tmp_path / "token"
    token.write_text("t" * 40)
    for source in line.sources:
        names = [ListedSignal(name=name) for name in source.nodes]
        plugins.open_source(
            bare(source, token), SignalList(key="shown", signals=tuple(names))
        )
    for sink in line.sinks:
        if sink.kind == "archive":
            assert (
                plugins.open_archive(line, SignalList(key="shown", signals=()), {})
                is not None
            )
        else:
            scenario = library.scenario("C25.21.fermentation-glucose")
            plugins.open_sink(bare(sink, token), scenario)


def bare(spec: Spec, token: Path) -> Spec:
    """Return a source or sink as it is on this machine, without anybody's certificates."""
    plain = re.sub("^(mqtt|kafka|http)s://", r"\1://", spec.endpoint)
    near = re.sub("://[^/]*", "://127.0.0.1:9", plain)
    shows = spec.kind in {"http-receive", "metrics"}
    security = SecuritySpec(token=SecretRef(file=str(token))) if shows else None
    return spec.model_copy(
        update={
            "endpoint": spec.endpoint if spec.endpoint.startswith("file:") else near,
            "security": security,
        }
    )


@pytest.mark.parametrize(
    ("page", "known", "told"),
    [
        (
            "opc-ua", OpcUaSourceOptions(),
            [
                "`publishing_ms`, `sampling_ms`, `queue_size` | {publishing_ms:g}, {sampling_ms:g}, {queue_size} |",
                "| `recheck_s` | {recheck_s:g} |",
                "| `timeout_s`, `probe_s` | {timeout_s:g}, {probe_s:g} |",
                "| `retry_first_s`, `retry_max_s` | {retry_first_s:g}, {retry_max_s:g} |",
                "{{channel_s: {channel_s:g}}}",
            ],
        ),
        (
            "mqtt", MqttSourceOptions(),
            [
                "`probe_s` + `timeout_s` seconds ({probe_s:g} and {timeout_s:g} by default)",
                "`session_h`, {session_h:g} hours by default",
            ],
        ),
        (
            "kafka", KafkaSourceOptions(),
            [
                "`probe_s` + `timeout_s` seconds ({probe_s:g} and {timeout_s:g} by default)",
                "longer than `most_kb` ({most_kb:,} by default)",
                "`{start}` (the default)",
            ],
        ),
        (
            "http", HttpSourceOptions(),
            [
                "from `retry_first_s` ({retry_first_s:g}) to `retry_max_s` ({retry_max_s:g})",
                "`timeout_s` ({timeout_s:g}) from question to end and at most `most_kb` ({most_kb})",
            ],
        ),
        (
            "http", HttpReceiveOptions(),
            ["(`rate`, {rate:g} a second); more than `most_kb` ({most_kb})"],
        ),
        (
            "files", FilesSourceOptions(),
            [
                "`most_mb` = {most_mb:g}", "`keep_files` ({keep_files:,})",
                "`least_free_mb` ({least_free_mb:g})", "`{ready}` (unsaid)",
                "(`time: {time}`)",
            ],
        ),
        ("modbus", ModbusSourceOptions(), ["`bridge` = {bridge} registers"]),
        (
            "serve-a-model", Limits(),
            [
                "(`--most-rows`, {rows:,})",
                "{head_s:g} s for the head of a request and {body_s:g} s for its body",
                "and {headers} headers, connections to {connections}:",
            ],
        ),
    ],
)  # fmt: skip
def test_the_defaults_that_a_page_names_are_those_of_the_code(
    page: str, known: object, told: list[str]
) -> None:
    text = (PAGES / f"{page}.md").read_text("utf-8")
    values = {name: getattr(known, name) for name in vars(known)}
    for one in told:
        assert one.format(**values) in text
