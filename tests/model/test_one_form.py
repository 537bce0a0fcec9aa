"""Other bytes of the same meaning, which other tools read, are refused here.

Each case is first read by its own peer (GNU tar, Python's tarfile, gzip, the upstream
signature library), which finds the same files: so what is refused is the form.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tundish.kernel import canonical, digest
from tundish.kernel.digest import hex_part
from tundish.kernel.errors import RefusedError
from tundish.model import delta, layout, package, tarball
from tundish.model.package import Package
from tundish.seal.freshness import MemoryFreshness

Desk = Any  # the class lives in conftest, which cannot be imported
Door = Callable[[bytes], object]
END = bytes(1024)


@pytest.fixture(scope="module")
def old(desk: Desk) -> Package:
    made: Package = desk.build(1)
    return made


@pytest.fixture(scope="module")
def new(desk: Desk, old: Package) -> Package:
    made: Package = desk.build(2, kept=lambda name, _: old.files[name + ".age"])
    return made


@pytest.fixture(params=["package", "delta"])
def case(
    request: pytest.FixtureRequest,
    desk: Desk,
    old: Package,
    new: Package,
    now: datetime,
) -> tuple[bytes, Door, str]:
    """Return bytes in the one form, the door they pass, and the code of a refusal."""

    def read(data: bytes) -> Package:
        return package.read_tar(
            data, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
        )

    base = package.to_layout(old)

    def apply(data: bytes) -> Package:
        return package.read_layout(
            delta.apply(data, base),
            trusted=[desk.key.public],
            now=now,
            seen=MemoryFreshness(),
        )

    if request.param == "package":
        return package.to_tar(new), read, "package-malformed"
    return delta.make(base, package.to_layout(new)), apply, "delta-malformed"


def listed(data: bytes) -> dict[str, bytes]:
    """Return what Python's tarfile reads, of whatever form."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {item.name: read_member(archive, item) for item in archive}


def read_member(archive: tarfile.TarFile, item: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(item)
    assert stream is not None
    return stream.read()


def written(
    files: Mapping[str, bytes], form: int, change: Callable[[tarfile.TarInfo], None]
) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            change(info)
            archive.addfile(info, io.BytesIO(body))
    whole = stream.getvalue().rstrip(b"\0")
    return whole + bytes(-len(whole) % 512) + END


def plain(_info: tarfile.TarInfo) -> None:
    """Leave a member as it is."""


def with_pax(info: tarfile.TarInfo) -> None:
    info.pax_headers = {"comment": "hidden"}


def with_time(info: tarfile.TarInfo) -> None:
    info.mtime = 1.5


def header(data: bytes, at: int, text: bytes) -> bytes:
    """Change the first header and mend its checksum, as POSIX counts it."""
    block = bytearray(data[:512])
    block[at : at + len(text)] = text
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data[512:]


def size_of(data: bytes) -> int:
    return int(data[124:135], 8)


def global_pax(data: bytes) -> bytes:
    record = tarfile.TarInfo.create_pax_global_header({"comment": "hidden"})
    return record + data


def padded(data: bytes) -> bytes:
    size = size_of(data)
    assert size % 512
    at = 512 + size
    return data[:at] + b"x" + data[at + 1 :]


def tarball_of(files: Mapping[str, bytes]) -> bytes:
    """Write archives of our own form, but in the order that is given."""
    whole = b"".join(
        tarball.write({name: body})[:-1024] for name, body in files.items()
    )
    return whole + END


TARS: dict[str, Callable[[bytes], bytes]] = {
    "pax records": lambda d: written(listed(d), tarfile.PAX_FORMAT, with_pax),
    "a pax time": lambda d: written(listed(d), tarfile.PAX_FORMAT, with_time),
    "a global pax record": global_pax,
    "GNU magic": lambda d: written(listed(d), tarfile.GNU_FORMAT, plain),
    "another order": lambda d: tarball_of(dict(reversed(listed(d).items()))),
    "a file twice": lambda d: tarball_of(listed(d)) [:-1024] + tarball_of(listed(d)),
    "padded to ten kilobytes": lambda d: d + bytes(-len(d) % 10240),
    "one zero block only": lambda d: d[:-512],
    "no end": lambda d: d[:-1024],
    "bytes after the end": lambda d: d + b"hidden".ljust(512, b"\0"),
    "another archive after the end": lambda d: d + d,
    "padding that is not zero": padded,
    "a size with blanks": lambda d: header(d, 124, b"%11o " % size_of(d)),
    "a size in base 256": lambda d: header(
        d, 124, b"\x80" + size_of(d).to_bytes(11, "big")
    ),
    "another owner": lambda d: header(d, 265, b"root"),
    "another mode": lambda d: header(d, 100, b"0000755\0"),
    "a time": lambda d: header(d, 136, b"00000000001\0"),
    "an old type": lambda d: header(d, 156, b"\0"),
    "bytes after the name": lambda d: header(d, d.index(b"\0") + 1, b"hidden"),
    "a checksum of another form": lambda d: d[:148] + b"%07o\0" % int(d[148:154], 8) + d[156:],
}  # fmt: skip

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("form", TARS)
def test_a_tar_of_another_form_is_refused(
    case: tuple[bytes, Door, str], form: str
) -> None:
    data, door, code = case
    door(data)
    other = TARS[form](data)
    assert other != data
    assert listed(other) == listed(data), "another tool reads the same files"
    with pytest.raises(RefusedError) as refused:
        door(other)
    assert refused.value.code == code


@pytest.mark.parametrize("form", PACKED)
def test_a_packed_tar_is_refused(case: tuple[bytes, Door, str], form: str) -> None:
    data, door, code = case
    other = PACKED[form](data)
    assert listed(other) == listed(data)
    with pytest.raises(RefusedError) as refused:
        door(other)
    assert refused.value.code == code


@pytest.mark.parametrize("how", ["gnu", "pax", "sparse", "oldgnu-sparse", "v7"])
def test_what_gnu_tar_makes_of_the_same_files_is_refused(
    case: tuple[bytes, Door, str], how: str, tmp_path: Path
) -> None:
    data, door, code = case
    tool = shutil.which("tar")
    if tool is None or b"GNU tar" not in _said([tool, "--version"]):
        pytest.skip("GNU tar is not here")
    files = listed(data)
    if "sparse" in how:
        files = {**files, "zzz": bytes(1 << 20)}  # a hole: nothing else is sparse
    for name, body in files.items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.write(body)
            if name == "zzz":
                stream.truncate(0)
                stream.truncate(len(body))
    options = {
        "gnu": ["--format=gnu"],
        "pax": ["--format=posix"],
        "v7": ["--format=v7"],
        "sparse": ["--format=posix", "--sparse"],
        "oldgnu-sparse": ["--format=gnu", "--sparse"],
    }[how]
    common = ["--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--mode=644"]
    archive = tmp_path / "other.tar"
    command = [tool, "-c", *options, *common, "-b1", "-f", str(archive)]
    subprocess.run([*command, *sorted(files)], cwd=tmp_path / "files", check=True)
    other = archive.read_bytes()
    if "sparse" in how:
        assert len(other) < len(data) + (1 << 19), "GNU tar made a hole of it"
    else:
        assert listed(other) == listed(data)
    with pytest.raises(RefusedError) as refused:
        door(other)
    assert refused.value.code == code


def _said(command: list[str]) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


# --- JSON inside --------------------------------------------------------------------

INDENTED: dict[str, Callable[[Any], bytes]] = {
    "indented": lambda value: json.dumps(value, indent=2, sort_keys=True).encode(),
    "with blanks": lambda value: json.dumps(value, sort_keys=True).encode(),
    "in another order": lambda value: json.dumps(
        dict(reversed(value.items())), separators=(",", ":")
    ).encode(),
    "with a line end": lambda value: canonical.dumps(value) + b"\n",
    "with a mark of byte order": lambda value: b"\xef\xbb\xbf" + canonical.dumps(value),
    "with escaped letters": lambda value: canonical.dumps(value).replace(
        b'"mediaType"', b'"\\u006dediaType"'
    ),
}


@pytest.mark.parametrize("form", INDENTED)
@pytest.mark.parametrize("which", ["package", "delta"])
def test_a_signature_written_otherwise_is_refused(
    desk: Desk, old: Package, new: Package, now: datetime, form: str, which: str
) -> None:
    """All digests of the layout fit; upstream reads the same bundle."""
    value = json.loads(new.signature)
    other = INDENTED[form](value)
    assert other != new.signature
    assert json.loads(other.decode("utf-8-sig")) == value
    files = {**new.files, package.SIGNATURE: other}
    entries = layout.pack(files, new.statement)
    if which == "delta":
        base = package.to_layout(old)
        entries = delta.apply(delta.make(base, entries), base)
    for door in (_layout, _folder):
        with pytest.raises(RefusedError) as refused:
            door(entries, files, desk, now)
        assert refused.value.code == "signature-malformed"


def test_upstream_accepts_the_indented_signature_that_is_refused_here(
    new: Package, desk: Desk, tmp_path: Path, now: datetime
) -> None:
    """The peer is the upstream library: it is the form that is refused, not the sense."""
    verifying = pytest.importorskip("model_signing.verifying")
    other = INDENTED["indented"](json.loads(new.signature))
    place, key = tmp_path / "package", tmp_path / "key.pub"
    package.write_folder(new, place)
    (place / package.SIGNATURE).write_bytes(other)
    key.write_bytes(desk.key.public.to_pem())
    verifying.Config().use_elliptic_key_verifier(public_key=key).verify(
        place, place / package.SIGNATURE
    )
    with pytest.raises(RefusedError) as refused:
        package.read(place, trusted=[desk.key.public], now=now, seen=MemoryFreshness())
    assert refused.value.code == "signature-malformed"


@pytest.mark.parametrize("name", ["index.json", "oci-layout", "manifest", "config"])
def test_an_index_written_otherwise_is_refused(
    case: tuple[bytes, Door, str], name: str
) -> None:
    data, door, code = case
    entries = tarball.read(data)
    other = rewritten(entries, name)
    assert other != entries
    with pytest.raises(RefusedError) as refused:
        door(tarball.write(other))
    assert refused.value.code in {code, "package-malformed"}


def rewritten(entries: dict[str, bytes], name: str) -> dict[str, bytes]:
    """Indent one document of a layout, and mend every digest above it."""
    found = dict(entries)
    if name in found:
        return {**found, name: indented(found[name])}
    body = layout.manifest_of(found)
    manifest = json.loads(body)
    del found[place_of(body)]
    if name == "config":
        config = found.pop("blobs/sha256/" + manifest["config"]["digest"][7:])
        changed = indented(config)
        found[place_of(changed)] = changed
        manifest["config"]["digest"] = digest.of_bytes(changed)
        manifest["config"]["size"] = len(changed)
        body = canonical.dumps(manifest)
    else:
        body = indented(body)
    if name == "config":
        found |= layout.around(body, [])
    else:
        index = json.loads(found["index.json"])
        index["manifests"][0] |= {"digest": digest.of_bytes(body), "size": len(body)}
        found["index.json"] = canonical.dumps(index)
        found[place_of(body)] = body
    if layout.DELTA in found:
        said = json.loads(found[layout.DELTA])
        said["result"]["manifest"] = digest.of_bytes(body)
        found[layout.DELTA] = canonical.dumps(said)
    return found


def indented(body: bytes) -> bytes:
    return json.dumps(json.loads(body), indent=1).encode()


def place_of(body: bytes) -> str:
    return layout.BLOBS + hex_part(digest.of_bytes(body))


def _layout(
    entries: Mapping[str, bytes], _files: Mapping[str, bytes], desk: Desk, now: datetime
) -> None:
    package.read_layout(
        entries, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
    )


def _folder(
    _entries: Mapping[str, bytes], files: Mapping[str, bytes], desk: Desk, now: datetime
) -> None:
    package.verify(files, trusted=[desk.key.public], now=now, seen=MemoryFreshness())
