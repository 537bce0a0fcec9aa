"""Which public doors of the code read foreign bytes, and which target goes through each.

A door is a public function or method of these rooms whose name says that it reads, or
that takes bytes. Each is a door of a target (``Target.doors``), or stands here: covered
by a target that reaches it from within another door, or not foreign at all, with why.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import tundish

ROOMS = ("kernel", "seal", "ledger", "model", "catalog", "line", "data")
LEFT = ("data/grade/", "data/truth/", "data/privacy/")  # they get tables, not bytes
NAMES = re.compile(
    r"(read|parse|load|loads|unwrap|unpack|decode|peek|import|from|open|opened|connect|"
    r"verify|compile|extract|decrypt)(_\w+)?|check_graph|check_file|unit_of|to_utf8|"
    r"refuse_bomb|unfold|around|manifest_of"
)
_BYTES = {"bytes", "memoryview"}

COVERED: dict[str, str] = {
    "tundish.catalog.documents:parse_value": "scenario",
    "tundish.seal.signedtext:read": "revocations",
    "tundish.seal.signedtext:read_issued": "revocations",
    "tundish.seal.agefile:clear_size": "age",
    "tundish.seal.agefile:open_into": "age",
    "tundish.seal.agefile:read_header": "age",
    "tundish.seal.keys:VerifyKey.only_form": "signature",
    "tundish.model.layout:label": "delta",
    "tundish.model.layout:check_blobs": "delta",
    "tundish.seal.keys:CheckpointPublic.verify": "note",
    "tundish.seal.model_signature:facts_of": "package-card",
    "tundish.ledger.merkle:leaf_hash": "ledger-file",
    "tundish.ledger.merkle:node_hash": "proof",
    "tundish.ledger.merkle:Frontier.push": "ledger-file",
    "tundish.data.readers.reading:read_table": "grade",
    "tundish.data.readers.reading:read_tables": "grade",
    "tundish.data.readers.reading:read_named": "packed",
    "tundish.data.readers.grid:read_grid": "excel",
    "tundish.data.readers.values:from_frame": "parquet",
    "tundish.data.readers.text:TextReader.read": "packed",
    "tundish.data.readers.text:TextReader.claims": "packed",
    "tundish.data.readers.biff:is_bare_sheet": "excel",
    "tundish.data.records:cut": "csv",
    "tundish.data.columns:read_parquet": "parquet",
    "tundish.data.images.look:header": "picture",
    **{
        f"tundish.data.readers.{place}.claims": target
        for place, target in (
            ("excel:ExcelReader", "excel"), ("hdf5:Hdf5Reader", "hdf5"),
            ("json_records:JsonReader", "json"), ("mat:MatReader", "mat"),
            ("npz:NumpyReader", "npz"), ("packed:PackedReader", "packed"),
            ("packed:ArchiveReader", "zip"), ("parquet:ParquetReader", "parquet"),
            ("rdata:RDataReader", "rdata"), ("shdr:ShdrReader", "shdr"),
            ("wave:WaveReader", "wave"), ("xes:XesReader", "xes"),
        )
    },
}  # fmt: skip

_WRITES = "it writes: what it gets was made here"
_PLUGIN = "it gets a line file that was read, and makes a client of it"
OWN: dict[str, str] = {
    "tundish.kernel.paths:read_file": "gives the bytes on as they are, up to a size",
    "tundish.line.intake:Intake.peek": "gives a path; what is in it is read by the doors of rows",
    "tundish.line.security:SecretRef.read": "gives the text on as it is, up to a size",
    **dict.fromkeys(
        (
            "tundish.kernel.digest:of_bytes", "tundish.kernel.paths:write_whole",
            "tundish.seal.armour:wrap", "tundish.seal.base64s:encode",
            "tundish.seal.dsse:encode_for_signing", "tundish.seal.dsse:sign",
            "tundish.seal.grant:to_text", "tundish.seal.keys:SigningKey.sign",
            "tundish.seal.keys:CheckpointKey.sign", "tundish.seal.spare:close",
            "tundish.seal.model_signature:sign_further", "tundish.model.folder:write",
            "tundish.line.shadow:say", "tundish.model.layout:pack", "tundish.model.making:carry",
            "tundish.model.registry:Registry.push", "tundish.model.tarball:write",
            "tundish.seal.der:octets", "tundish.seal.der:bits", "tundish.seal.der:tagged",
            "tundish.line.serving.access:Access.replace", "tundish.model.delta:make", "tundish.seal.token_sign:TokenSigner.sign",
            "tundish.seal.token_uri:TokenUri.with_key_id",
            "tundish.line.mqttpackets:publish", "tundish.line.mqttpackets:connect",
            "tundish.seal.providercard:sign", "tundish.seal.packsignature:sign",
        ),
        _WRITES,
    ),
    **dict.fromkeys(
        (
            "tundish.line.plugins:open_requests", "tundish.line.plugins:open_source", "tundish.line.plugins:open_sink",
            "tundish.line.plugins:open_sources", "tundish.line.plugins:open_sinks", "tundish.line.plugins:open_archive",
            "tundish.line.plugins:open_buffer",
            "tundish.line.sinks.opcua:OpcUaSink.from_spec",
            "tundish.line.sources.opcua:OpcUaSource.from_spec",
            "tundish.line.sources.modbus:ModbusSource.from_spec",
            "tundish.line.sinks.webhook:WebhookSink.from_spec",
            "tundish.line.sinks.journal:JournalSink.from_spec",
            "tundish.line.sinks.metrics:MetricsSink.from_spec",
            "tundish.line.sources.files:FilesSource.from_spec",
            "tundish.line.sinks.mqtt:MqttSink.from_spec",
            "tundish.line.sources.mqtt:MqttSource.from_spec",
            "tundish.line.sinks.kafka:KafkaSink.from_spec",
            "tundish.line.sources.kafka:KafkaSource.from_spec",
            "tundish.line.sinks.sparkplug:SparkplugSink.from_spec",
            "tundish.line.sources.sparkplug:SparkplugSource.from_spec",
            "tundish.line.sources.http:HttpSource.from_spec",
            "tundish.line.sources.httpreceive:HttpReceive.from_spec",
            "tundish.line.sinks.archive:ArchiveSink.from_spec",
            "tundish.line.httpaccount:open_account", "tundish.line.httpdoor:open_door",
            "tundish.line.uasecure:ChannelSecurity.from_spec",
            "tundish.line.linefile:SourceSpec.read_options",
            "tundish.line.linefile:SinkSpec.read_options",
            "tundish.line.linefile:NodeSpec.read_options",
        ),
        _PLUGIN,
    ),
    **dict.fromkeys(
        (
            "tundish.model.cleargraph:decrypted",
            "tundish.model.marked:nothing_kept",
            "tundish.model.marked:marked",
            "tundish.model.marked:check",
            "tundish.model.marked:opened",
        ),
        "files of a package whose every byte is signed; envelopes open through agefile",
    ),
    **dict.fromkeys(
        ("tundish.model.session:evaluate", "tundish.model.session:run_foreign"),
        "the graph passes graphcheck first; tests/model/test_hostile_models.py runs them",
    ),
    **dict.fromkeys(
        ("tundish.seal.token:opened", "tundish.seal.token_wrap:unwrap"),
        "a PKCS#11 module answers: SoftHSM does in tests/seal; none here",
    ),
    "tundish.data.pictures:read_pictures": (
        "its files go through the doors of the targets picture, boxes, coco and csv; "
        "tests/data/test_pictures.py breaks one"
    ),
    "tundish.line.mqttlink:MqttLink.data_received": (
        "gives the bytes to the target mqtt-packets; tests/line/test_mqtt_hostile.py"
    ),
    **dict.fromkeys(
        ("tundish.line.kafkareader:Reader.read", "tundish.line.kafkareader:Reader.peek"),
        "librdkafka reads the wire; its messages go through the target kafka-message",
    ),
    "tundish.line.sources.opcua:OpcUaSource.read_history": (
        "values come through the target opcua-wire"
    ),
    **dict.fromkeys(
        ("tundish.data.fetch.hand:import_folder", "tundish.data.fetch.hand:from_mirror"),
        "copies files as they are, checked or noted by digest; nothing is parsed",
    ),
    "tundish.data.fetch.wheel:unpack": "a pinned wheel, through the target zip-member",
    "tundish.seal.application:load": "the line's own certificate and key",
    "tundish.line.bufferrows:from_row": "rows of the line's own buffer",
    "tundish.line.samples:from_us": "a number becomes a moment",
    "tundish.model.session:make_golden": "the graph is one that was trained here",
    "tundish.data.readers.confine:last_words": "cut and shown; nothing is parsed",
    "tundish.data.readers.confine:read_alone": (
        "starts the child; tests/data/test_broken_files.py runs wild parsers in it"
    ),
}  # fmt: skip


def doors() -> Iterator[str]:
    """Yield every door in the code as ``module:qualname``."""
    home = Path(tundish.__file__).parent
    for room in ROOMS:
        for path in sorted((home / room).rglob("*.py")):
            place = path.relative_to(home).as_posix()
            if not place.startswith(LEFT):
                module = "tundish." + place.removesuffix(".py").replace("/", ".")
                yield from _of(module.removesuffix(".__init__"), path)


def _of(module: str, path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _is_door(node):
            yield f"{module}:{node.name}"
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if any(getattr(base, "id", "") == "Protocol" for base in node.bases):
                continue
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and _is_door(inner):
                    yield f"{module}:{node.name}.{inner.name}"


def _is_door(node: ast.FunctionDef) -> bool:
    if node.name.startswith("_"):
        return False
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    kinds = {ast.unparse(one.annotation) for one in given if one.annotation}
    return bool(NAMES.fullmatch(node.name)) or any(
        kind in _BYTES or kind.startswith(("bytes |", "Mapping[str, bytes"))
        for kind in kinds
    )
