"""Targets for packages, graphs, foreign models and the documents that people write."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from pydantic import BaseModel
from tests.data import hosts
from tests.fuzz.desk import (
    KEY,
    NOW,
    OLD,
    PACKAGE,
    TRUSTED,
    golden,
)  # fmt: skip
from tests.fuzz.target import Target, at_file, room

from tundish.catalog import expression, filelist, library
from tundish.catalog.datasets import DatasetEntry, TreeSource
from tundish.catalog.documents import parse_document, read_document
from tundish.catalog.provider import TEMPLATE, ProviderCard
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data.fetch import cache, mirror
from tundish.data.fetch.hosts import address_of, is_allowed
from tundish.flows import own_sets, pip, wheelfile, wheelhouse, workspace
from tundish.kernel import canonical, digest, paths
from tundish.kernel.canonical import Json
from tundish.kernel.clock import ManualClock, to_text
from tundish.kernel.errors import TundishError
from tundish.line import bufferfile, recording, shadow, status, versions
from tundish.line.linefile import read_line_file
from tundish.model import (
    folder,
    foreign,
    formats,
    graphcheck,
    layout,
    package,
    tarball,
)  # fmt: skip
from tundish.seal import model_signature
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.policy import Policy, PolicyFile

_MODEL, _CATALOG, _LINE = "tundish.model.", "tundish.catalog.", "tundish.line."
KINDS: tuple[Literal["github", "huggingface", "zenodo", "https"], ...] = (
    "github", "huggingface", "zenodo", "https",
)  # fmt: skip
PLACE = Path("/a/set")
_ENDINGS = (".safetensors", ".json", ".onnx", ".txt", ".csv", ".pkl", "")


# --- packages


def _tar(data: bytes) -> None:
    assert tarball.write(tarball.read(data)) == data


def _package_tar(data: bytes) -> None:
    package.read_tar(data, trusted=TRUSTED, now=NOW, seen=MemoryFreshness())


def _manifest(data: bytes) -> None:
    """Put a manifest among the right blobs of a golden package."""
    entries = tarball.read((OLD / "encrypted.tar").read_bytes())
    blobs = [body for name, body in entries.items() if name.startswith(layout.BLOBS)]
    package.read_layout(
        layout.around(data, [*blobs, data]),
        trusted=TRUSTED, now=NOW, seen=MemoryFreshness(),
    )  # fmt: skip


def _layout(data: bytes) -> None:
    """Read lines of ``name TAB content`` as the entries of a layout."""
    rows = (line.partition(b"\t") for line in data.split(b"\n"))
    entries = {name.decode("utf-8", "replace"): body for name, _, body in rows}
    layout.unpack(entries)


def _layouts() -> list[bytes]:
    entries = tarball.read((OLD / "encrypted.tar").read_bytes())
    small = {name: body for name, body in entries.items() if b"\n" not in body}
    return [b"\n".join(name.encode() + b"\t" + body for name, body in small.items())]


def _document(name: str) -> Callable[[bytes], None]:
    """Return a reader of one file of a package that a trusted key has signed so."""

    def read(data: bytes) -> None:
        clear = golden("clear.tar")
        content = {**clear.files, name: data}
        facts = {key: model_signature.facts_of(body) for key, body in content.items()}
        made = model_signature.sign(facts, clear.statement, KEY)
        found = package.verify(
            {**content, package.SIGNATURE: made},
            trusted=TRUSTED, now=NOW, seen=MemoryFreshness(),
        )  # fmt: skip
        found.golden.check(
            {key: one.array() for key, one in found.golden.outputs.items()}
        )
        found.golden.window.array()

    return read


def _of_golden(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [golden("clear.tar").files[name] for name in names]


def _folder(data: bytes) -> None:
    """Make a folder of lines ``name TAB content`` and read it as a package."""
    place = room() / "package"
    _empty(place)
    for line in data.split(b"\n")[:20]:
        name, _, body = line.partition(b"\t")
        path = Path(str(place) + "/" + name.decode("utf-8", "surrogateescape"))
        if b"\x00" in name or b".." in name or not name.strip(b"/."):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        except OSError:
            continue
    folder.read(place, only=package.FOLDERS)
    package.read(place, trusted=TRUSTED, now=NOW, seen=MemoryFreshness())


def _empty(place: Path) -> None:
    place.mkdir(exist_ok=True)
    for path in sorted(place.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _folders() -> list[bytes]:
    files = {p.name: p.read_bytes() for p in (OLD / "encrypted").iterdir()}
    some = {name: body for name, body in files.items() if b"\n" not in body}
    return [
        b"\n".join(name.encode() + b"\t" + body for name, body in some.items()),
        b"model.sig\tx\nsignatures/a.sig\ty\nother/b\tz",
    ]


def _import(data: bytes) -> None:
    place = room() / "import"
    _empty(place)
    (place / "model.sig").write_bytes(data)
    (place / "parity.json").write_bytes(golden("clear.tar").files["parity.json"])
    foreign.import_folder(place, trusted=TRUSTED)


def _imports() -> list[bytes]:
    facts = {
        "parity.json": model_signature.facts_of(
            golden("clear.tar").files["parity.json"]
        )
    }
    return [model_signature.sign(facts, golden("clear.tar").statement, KEY)]


def _graph(data: bytes) -> None:
    graphcheck.check_convention(graphcheck.check_graph(data))


def _graphs() -> list[bytes]:
    return [golden("clear.tar").files[package.GRAPH]]


def _format(data: bytes) -> None:
    ending = _ENDINGS[data[0] % len(_ENDINGS)] if data else ""
    formats.check_file(f"file{ending}", data[1:])


def _formats() -> list[bytes]:
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
         "__metadata__": {"format": "pt"}}
    ).encode()  # fmt: skip
    tensors = len(header).to_bytes(8, "little") + header + bytes(16)
    return [
        b"\x00" + tensors,
        b"\x01{}",
        b"\x03text",
        b"\x04a,b\n1,2\n",
        b"\x05\x80\x04K.",
    ]


# --- documents


def _parsed(kind: type[BaseModel]) -> Callable[[bytes], None]:
    def parse(data: bytes) -> None:
        parse_document(data, kind, "the document")

    return parse


def _written(folder_name: str) -> Callable[[], list[bytes]]:
    """Return shipped documents, as they stand and as JSON, which is YAML too."""

    def seeds() -> list[bytes]:
        place = Path(library.__file__).parent / "declared" / folder_name
        texts = [path.read_bytes() for path in sorted(place.rglob("*.yaml"))[:6]]
        return [*texts, *(_as_json(text) for text in texts)]

    return seeds


def _cards() -> list[bytes]:
    old = (OLD / "provider/nobody.provider.yaml").read_bytes()
    return [text for one in (TEMPLATE.encode(), old) for text in (one, _as_json(one))]


def _as_json(text: bytes) -> bytes:
    return json.dumps(yaml.safe_load(text), default=str).encode()


_POLICY = b"""format: tundish.policy
version: 1
keys: {maker: maker.pub, tester: "sha256:%s"}
rules:
  - products: "C34.*"
    roles: {make: {keys: [maker]}, test: {keys: [tester], at_least: 1}}
""" % (b"ab" * 32)

_LINE_FILE = b"""format: tundish.line
version: 1
name: pump
sources:
  - kind: opcua
    endpoint: opc.tcp://127.0.0.1:4840
    nodes: {flow: "ns=2;s=Flow", level: {node: "ns=2;i=3", scale: 0.001}}
    options: {publish_ms: 500}
package: pump.tar
grant: pump.grant
sinks: [{kind: opcua, endpoint: "opc.tcp://127.0.0.1:4840", nodes: {estimate: "ns=2;s=E"}}]
buffer: {path: pump.db, max_mb: 10}
safe_points: ["06:00"]
budget: {}
"""


def _file_list(data: bytes) -> None:
    """Read a list as each kind of place; the sums of the entry are the list's own."""
    rows = [line.split(b"\t") for line in data.split(b"\n")[1:] if line]
    size = sum(
        int(row[4][:13]) for row in rows if len(row) > 4 and row[4][:13].isdigit()
    )
    kind = KINDS[len(data) % len(KINDS)]
    source = TreeSource(
        kind=kind,
        files=min(max(len(rows), 1), filelist.MOST_FILES),
        bytes=max(size, 1),
        sha256=digest.hex_part(digest.of_bytes(data)),
    )
    for file in filelist.parse_list(data, source, "plantset"):
        assert paths.join(PLACE, file.name).is_relative_to(PLACE)
        address = address_of(kind, file)
        assert is_allowed(address, here=False) or kind == "https"
        assert address.isascii()
        assert "/../" not in address


def _file_lists() -> list[bytes]:
    files = {"a.csv": b"1\n", "runs/b #1.csv": b"22\n"}
    return [hosts.list_of(files, kind) for kind in hosts.PLACES]


def _mirror_index(data: bytes) -> None:
    index = mirror.parse_index(data, "index.json")
    for one in index.sets.values():
        for name in one.files:
            assert paths.join(PLACE, name).is_relative_to(PLACE)


def _mirror_indices() -> list[bytes]:
    return [(OLD / "fetched" / "mirror" / "index.json").read_bytes()]


def _fetched_note(data: bytes) -> None:
    cache.manifest_of(at_file(cache.MANIFEST, data).parent)


def _fetched_notes() -> list[bytes]:
    below = OLD / "fetched" / "cache" / "datasets"
    return [path.read_bytes() for path in sorted(below.glob("*/fetched.json"))]


def _policy(data: bytes) -> None:
    said = read_document(at_file("policy.yaml", data), PolicyFile)
    ids = {
        name: type(PACKAGE)(f"sha256:{number:064x}")
        for number, name in enumerate(said.keys)
    }
    policy = Policy(rules=said.rules, ids=ids)
    policy.check("C34.27.pump", frozenset(ids.values()))
    policy.check("C34.27.pump", frozenset())


def _line_file(data: bytes) -> None:
    line = read_line_file(at_file("line.yaml", data))
    for source in line.sources:
        for signal in source.nodes:
            source.node(signal)


_SIGNALS = {name: np.array([0.5, np.nan, -3.0]) for name in ("x", "y", "TIC101.PV")}


def _expression(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        expression.compile_formula(text)
    except TundishError:
        expression.compile_condition(text).on(_SIGNALS)


# --- what a line and a workspace keep


def _recording(data: bytes) -> None:
    found = recording.read_recording(at_file("run.npz", data))
    assert found.start_us <= found.end_us


def _recordings() -> list[bytes]:
    at = np.arange("2026-05-04", "2026-05-05", 6, dtype="datetime64[h]")
    path = at_file("made.npz", b"")
    made = recording.Recording.of(at, {"flow": np.arange(4.0)})
    recording.write_recording(path, made)
    return [path.read_bytes()]


def _status(data: bytes) -> None:
    found = status.read_status(at_file("b.status", data))
    assert found is not None
    found.alive(NOW)


def _statuses() -> list[bytes]:
    said = status.LineStatus(
        line="kiln", mode="shadow", model=digest.of_bytes(b""), pid=1, boot="b",
        started=to_text(NOW), at=to_text(NOW), every_s=2.0, state="bad", signal="level",
        reason="no value", totals={"scored": 3}, governed={}, latency_ms={"p50": 1.5},
        tags=(status.TagNow(signal="level", state="bad"),),
        sinks=(status.SinkNow(name="s", delivered=1, refused=0, waiting=2),),
    )  # fmt: skip
    return [canonical.dumps(said.to_json())]


def _versions(data: bytes) -> None:
    found = versions.read_slots(at_file("b.versions", data))
    assert found is not None
    assert found.serving in found.named()


def _slots() -> list[bytes]:
    one, two = digest.of_bytes(b"1"), digest.of_bytes(b"2")
    made = versions.Slots(line="kiln", base=one, serving=one, staged=two)
    return [canonical.dumps(made.to_json())]


def _shadow(data: bytes) -> None:
    heard = bytearray(data)
    for kind, body in shadow.frames(heard):
        if kind == shadow.ANSWERS:
            took_s, answers = shadow.answers_in(body)
            assert took_s >= 0
            assert len(answers) * shadow.SAID.itemsize < len(data)
    assert len(heard) < shadow.HEAD.size + shadow.MOST_SAID


def _shadows() -> list[bytes]:
    said = np.zeros(3, shadow.SAID)
    body = shadow.TOOK.pack(0.5) + said.tobytes()
    opened = shadow.HEAD.pack(shadow.OPENED, 0)
    return [opened + shadow.HEAD.pack(shadow.ANSWERS, len(body)) + body]


def _stretch(data: bytes) -> None:
    stretch = recording.Stretch.from_text(data.decode("utf-8", "replace"))
    assert recording.Stretch.from_text(stretch.to_text()) == stretch


def _buffer(data: bytes) -> None:
    path = at_file("buffer.db", data)
    for ending in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    bufferfile.connect(path, identity={"line": "a"}, durability="process").close()


def _buffers() -> list[bytes]:
    path = room() / "made.db"
    path.unlink(missing_ok=True)
    made = bufferfile.connect(path, identity={"line": "a"}, durability="process")
    made.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    made.close()
    return [path.read_bytes()]


def _workspace(data: bytes) -> None:
    place = room() / "workspace"
    place.mkdir(exist_ok=True)
    (place / workspace.FILE).write_bytes(data)
    workspace.find(place, ManualClock(NOW))


class _Kept:
    """As much of a workspace as the reader of a registered set asks for."""

    inner = room() / "inner"


def _registered(data: bytes) -> None:
    place = _Kept.inner / "sets"
    place.mkdir(parents=True, exist_ok=True)
    (place / "one.json").write_bytes(data)
    own_sets.find_set(_Kept(), "one")  # type: ignore[arg-type]  # a fake with what is asked


def _registered_seeds() -> list[bytes]:
    fields: Mapping[str, object] = {
        "name": "one", "root": "/data", "files": {"a.csv": str(PACKAGE)},
        "card": {"name": "one"}, "where": "card.yaml", "own": True,
    }  # fmt: skip
    return [json.dumps(fields).encode()]


# --- wheels


def _wheel(data: bytes) -> None:
    wheelfile.read_wheel(at_file("alpha-1.0-py3-none-any.whl", data))


def _wheels() -> list[bytes]:
    metadata = (
        "Metadata-Version: 2.4\nName: alpha\nVersion: 1.0\nLicense-Expression: MIT\n"
        "Provides-Extra: x\nRequires-Dist: beta[y]>=2,<3; extra == 'x' and "
        "python_version < '3.12'\nClassifier: License :: OSI Approved :: MIT License\n"
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("alpha-1.0.dist-info/METADATA", metadata)
    return [made.getvalue()]


def _wheelhouses() -> list[bytes]:
    wheel: Json = {
        "name": "alpha-1.0-py3-none-any.whl", "size": 9, "sha256": "a" * 64,
        "distribution": "alpha", "release": "1.0", "licence": "MIT",
    }  # fmt: skip
    fields: Json = {
        "format": "tundish.wheelhouse", "version": 1, "tundish": "0.1.0",
        "extras": ["line"], "python": "3.11", "platforms": ["win_amd64"],
        "made_at": to_text(NOW), "wheels": [wheel],
        "files": [{"name": "install.sh", "size": 1, "sha256": "b" * 64}],
    }  # fmt: skip
    return [canonical.dumps(fields)]


def _reports() -> list[bytes]:
    archive: Json = {"hashes": {"sha256": "a" * 64}}
    said: Json = {"name": "a", "version": "1", "requires_dist": ["b; extra == 'c'"]}
    one: Json = {"metadata": said, "download_info": {"archive_info": archive}}
    return [canonical.dumps({"install": [one]})]


TARGETS = (
    Target(name="wheel", parse=_wheel, seeds=_wheels, doors=()),
    Target(
        name="wheelhouse", json=True, parse=wheelhouse.read_manifest, doors=(),
        seeds=_wheelhouses,
    ),
    Target(
        name="pip-report", json=True, parse=pip.read_report, doors=(), seeds=_reports
    ),
    Target(
        name="tar", parse=_tar, doors=(_MODEL + "tarball:read",),
        seeds=lambda: [
            (OLD / "encrypted.tar").read_bytes(),
            tarball.write({"a.txt": b"", "b.txt": b"x" * 600}),
        ],
    ),
    Target(
        name="package-tar", parse=_package_tar,
        doors=(
            _MODEL + "package:read_tar",
            _MODEL + "package:of_files", _MODEL + "contents:check_signed",
            _MODEL + "contents:is_further", _MODEL + "contents:further_signers",
        ),
        seeds=lambda: [(OLD / name).read_bytes() for name in ("clear.tar", "encrypted.tar")],
    ),
    Target(
        name="manifest", json=True, parse=_manifest,
        doors=(
            _MODEL + "package:read_layout", _MODEL + "layout:unpack",
            _MODEL + "layout:around", _MODEL + "layout:check",
        ),
        seeds=lambda: [
            layout.manifest_of(tarball.read((OLD / "encrypted.tar").read_bytes()))
        ],
    ),
    Target(
        name="layout", parse=_layout, seeds=_layouts,
        doors=(_MODEL + "layout:unpack", _MODEL + "layout:manifest_of"),
    ),
    Target(
        name="registry-manifest", json=True, parse=layout.named_blobs,
        doors=(_MODEL + "layout:named_blobs",),
        seeds=lambda: [
            layout.manifest_of(tarball.read((OLD / "encrypted.tar").read_bytes()))
        ],
    ),
    Target(
        name="package-folder", parse=_folder, seeds=_folders,
        doors=(_MODEL + "folder:read", _MODEL + "package:read", _MODEL + "package:verify"),
    ),
    Target(
        name="package-card", json=True, parse=_document(package.CARD),
        seeds=_of_golden(package.CARD), doors=(_MODEL + "package:verify",),
    ),
    Target(
        name="package-golden", json=True, parse=_document(package.GOLDEN),
        seeds=_of_golden(package.GOLDEN),
        doors=(_MODEL + "package:verify", _MODEL + "golden:Golden.check"),
    ),
    Target(
        name="package-bom", json=True, parse=_document(package.BOM),
        seeds=_of_golden(package.BOM, package.VERDICT, package.PARITY),
        doors=(_MODEL + "package:verify",),
    ),
    Target(
        name="import-folder", json=True, parse=_import, seeds=_imports,
        doors=(_MODEL + "foreign:import_folder",),
    ),
    Target(
        name="graph", parse=_graph, seeds=_graphs,
        doors=(
            _MODEL + "graphcheck:check_graph", _MODEL + "graphcheck:check_convention",
            _MODEL + "protowire:Reader.read", _MODEL + "protowire:varint",
        ),
    ),
    Target(
        name="format", parse=_format, seeds=_formats, doors=(_MODEL + "formats:check_file",)
    ),
    Target(
        name="scenario", json=True, parse=_parsed(Scenario), seeds=_written("scenarios"),
        doors=(_CATALOG + "documents:parse_document", _CATALOG + "documents:parse_yaml"),
    ),
    Target(
        name="site", json=True, parse=_parsed(SiteProfile), seeds=_written("sites"),
        doors=(_CATALOG + "documents:parse_document",),
    ),
    Target(
        name="dataset", json=True, parse=_parsed(DatasetEntry), seeds=_written("datasets"),
        doors=(_CATALOG + "documents:parse_document",),
    ),
    Target(
        name="file-list", parse=_file_list, seeds=_file_lists,
        doors=(_CATALOG + "filelist:parse_list", _CATALOG + "filelist:read_list"),
    ),
    Target(
        name="mirror-index", json=True, parse=_mirror_index, seeds=_mirror_indices,
        doors=("tundish.data.fetch.mirror:parse_index",),
    ),
    Target(
        name="fetched-note", json=True, parse=_fetched_note, seeds=_fetched_notes,
        doors=("tundish.data.fetch.cache:manifest_of",),
    ),
    Target(
        name="provider", json=True, parse=_parsed(ProviderCard), seeds=_cards,
        doors=(_CATALOG + "documents:parse_document",),
    ),
    Target(
        name="policy", json=True, parse=_policy, seeds=lambda: [_POLICY, _as_json(_POLICY)],
        doors=(_CATALOG + "documents:read_document", "tundish.seal.policy:Policy.check"),
    ),
    Target(
        name="line-file", json=True, parse=_line_file,
        seeds=lambda: [_LINE_FILE, _as_json(_LINE_FILE)],
        doors=(_LINE + "linefile:read_line_file",),
    ),
    Target(
        name="expression", parse=_expression, most=600,
        doors=(
            _CATALOG + "expression:compile_condition",
            _CATALOG + "expression:compile_formula",
        ),
        seeds=lambda: [
            b"x > 0 and not y < 3", b"x - y * 1.02 / -3", b"'TIC101.PV' >= 1e3",
            b"TIC101.PV == 0x1F or 1 < x <= 2", b"((((((x))))))",
        ],
    ),
    Target(
        name="recording", parse=_recording, seeds=_recordings,
        doors=(_LINE + "recording:read_recording",),
    ),
    Target(
        name="line-status", json=True, parse=_status, seeds=_statuses,
        doors=(_LINE + "status:read_status",),
    ),
    Target(
        name="line-versions", json=True, parse=_versions, seeds=_slots,
        doors=(_LINE + "versions:read_slots",),
    ),
    Target(
        name="shadow-answers", parse=_shadow, seeds=_shadows,
        doors=(_LINE + "shadow:frames", _LINE + "shadow:answers_in"),
    ),
    Target(
        name="stretch", parse=_stretch, most=100, meant=(ValueError,),
        doors=(_LINE + "recording:Stretch.from_text",), seeds=lambda: [b"10:20", b"0:-1"],
    ),
    Target(
        name="buffer-file", parse=_buffer, seeds=_buffers,
        doors=(_LINE + "bufferfile:connect",),
    ),
    Target(
        name="workspace-file", parse=_workspace, doors=("tundish.flows.workspace:find",),
        seeds=lambda: [b'format = "tundish.workspace"\nversion = 1\nname = "plant"\n'],
    ),
    Target(
        name="registered-set", json=True, parse=_registered, seeds=_registered_seeds,
        doors=("tundish.flows.own_sets:find_set",),
    ),
)  # fmt: skip
