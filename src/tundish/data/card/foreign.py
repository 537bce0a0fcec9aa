"""Cards of other makers: Croissant 1.0 and 1.1, and Frictionless data packages.

Untrusted text: nothing is fetched, no name may lead outside the card's folder, sizes are
limited. Keys that mean nothing here are tolerated and listed, never silently dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from tundish.catalog.documents import key_path
from tundish.catalog.errors import DocumentInvalidError
from tundish.data.card.card import Card
from tundish.data.card.licences import KINDS, spdx_of
from tundish.kernel import canonical, paths
from tundish.kernel.canonical import Json
from tundish.kernel.errors import DocumentMalformedError, UnsafePathError

MAX_BYTES = 16 * 1024**2
MAX_TEXT = 4000
_SHA256 = re.compile(r"^(sha256:)?([0-9a-f]{64})$")
_ROLES = {"time": "time", "unit": "unit", "target": "target", "label": "target"}
_UNIT_KEYS = ("unitText", "unitCode", "unit", "units")


@dataclass(kw_only=True)
class Foreign:
    """A foreign card as it was understood.

    Attributes:
        card: What was understood.
        form: Croissant or data package, with its version if it says one.
        ignored: Keys that were not understood.
    """

    card: Card
    form: str
    ignored: tuple[str, ...]


def read_foreign(path: Path) -> Foreign:
    """Read a Croissant file or a ``datapackage.json``.

    Raises:
        PathMissingError: if there is no such file.
        DocumentMalformedError: if it is no JSON, or neither of the two forms.
        DocumentInvalidError: if a value cannot stand in a card.
        UnsafePathError: if it names a file outside its folder.
    """
    file = paths.existing_file(path)
    if file.stat().st_size > MAX_BYTES:
        msg = f"{path.name} has {file.stat().st_size:,} bytes; a card has at most {MAX_BYTES:,}."
        raise DocumentMalformedError(msg)
    value = canonical.loads(file.read_bytes(), max_bytes=MAX_BYTES)
    if isinstance(value, dict) and isinstance(value.get("resources"), list):
        return _Reading(path.name).package(value)
    if isinstance(value, dict) and _is_croissant(value):
        return _Reading(path.name).croissant(value)
    msg = f"{path.name} is neither Croissant (a schema.org Dataset) nor a data package (resources)."
    raise DocumentMalformedError(msg)


def _is_croissant(value: Mapping[str, Json]) -> bool:
    kinds = value.get("@type")
    named = kinds if isinstance(kinds, list) else [kinds]
    return any(
        str(kind).rpartition(":")[2].rpartition("/")[2] == "Dataset" for kind in named
    )


def _plain(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return an object with ``sc:``, ``cr:``, ``rai:`` and other prefixes taken off."""
    return {key.rpartition(":")[2]: item for key, item in value.items()}


def _objects(value: Json) -> list[dict[str, Json]]:
    items = value if isinstance(value, list) else [value]
    return [_plain(item) for item in items if isinstance(item, dict)]


def _text(value: Json) -> str | None:
    """Return a text: the first of several, the English one of several languages."""
    if isinstance(value, list):
        return next((text for item in value if (text := _text(item))), None)
    if isinstance(value, dict):
        plain = _plain(value)
        chosen = [plain.get(k) for k in ("@value", "en", "name", "title", "url", "@id")]
        chosen += list(plain.values())
        return next(
            (c.strip()[:MAX_TEXT] for c in chosen if isinstance(c, str) and c), None
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:g}"
    return value.strip()[:MAX_TEXT] or None if isinstance(value, str) else None


def _texts(value: Json) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [text for item in items if (text := _text(item))]


def _day(value: Json) -> str | None:
    text = _text(value) or ""
    found = re.match(r"\d{4}(-\d{2}(-\d{2})?)?", text)
    return found[0] if found else None


def _licence(value: Json) -> dict[str, Json] | None:
    items = value if isinstance(value, list) else [value]
    said = [text for item in items if (text := _licence_text(item))]
    if not said:
        return None
    name = " and ".join(dict.fromkeys(said))[:MAX_TEXT]
    spdx = spdx_of(said[0])
    kinds = {KINDS[s] if (s := spdx_of(one)) else None for one in said}
    url = next((one for one in said if "://" in one), None)
    shown = spdx if spdx and len(said) == 1 else name
    made: dict[str, Json] = {"name": shown, "url": url}
    if len(said) == 1:
        made["spdx"] = spdx
    elif len(kinds) == 1:
        made["kind"] = kinds.pop()
    return made


def _licence_text(value: Json) -> str | None:
    if not isinstance(value, dict):
        return _text(value)
    plain = _plain(value)
    every = [_text(plain.get(key)) for key in ("name", "title", "path", "url", "@id")]
    known = [text for text in every if text]
    return next((text for text in known if spdx_of(text)), known[0] if known else None)


@dataclass
class _Reading:
    origin: str
    ignored: list[str] = field(default_factory=list)

    def croissant(self, value: Mapping[str, Json]) -> Foreign:
        top = _plain(value)
        conforms = " ".join(_texts(top.get("conformsTo")))
        found = re.search(r"croissant/(\d+\.\d+)", conforms)
        files, by_id = self._distribution(top)
        made = self._described(top)
        made |= {
            "licence": _licence(top.get("license")),
            "citation": _text(top.get("citeAs")) or _text(top.get("citation")),
            "data_version": _text(top.get("version")),
            "published": _day(top.get("datePublished")),
            "modified": _day(top.get("dateModified")),
            "creator": ", ".join(_texts(top.get("creator"))[:20])[:MAX_TEXT] or None,
            "contact": _text(top.get("publisher")),
            "sources": self._derived(top),
            "fields": self._fields(top, by_id),
            "files": files,
            **self._responsible(top),
        }
        self._list_ignored(top, _CROISSANT_KEYS)
        return self._made(made, f"Croissant {found[1] if found else '(no version)'}")

    def package(self, value: Mapping[str, Json]) -> Foreign:
        top = _plain(value)
        files: list[Json] = []
        fields: list[Json] = []
        for number, resource in enumerate(_objects(top.get("resources"))):
            at = f"resources[{number}]"
            name = self._local(_text(resource.get("path")), at)
            if name is not None:
                files.append(
                    self._file(name, resource.get("hash"), resource.get("bytes"))
                )
            for schema in _objects(resource.get("schema")):
                columns = _objects(schema.get("fields"))
                fields += [self._column(column, name) for column in columns]
        made = self._described(top)
        made |= {
            "licence": _licence(top.get("licenses") or top.get("license")),
            "data_version": _text(top.get("version")),
            "published": _day(top.get("created")),
            "creator": ", ".join(_texts(top.get("contributors"))[:20])[:MAX_TEXT]
            or None,
            "citation": _text(top.get("citation")),
            "sources": [
                {"name": name, "url": _text(source.get("path"))}
                for source in _objects(top.get("sources"))
                if (name := _text(source.get("title")) or _text(source.get("path")))
            ],
            "fields": [column for column in fields if column],
            "files": files,
        }
        self._list_ignored(top, _PACKAGE_KEYS)
        return self._made(made, "Frictionless data package")

    def _described(self, top: Mapping[str, Json]) -> dict[str, Json]:
        url = _text(top.get("url")) or _text(top.get("homepage"))
        return {
            "name": _text(top.get("name")) or _text(top.get("title")) or self.origin,
            "description": _text(top.get("description")) or _text(top.get("title")),
            "url": url,
        }

    def _made(self, made: Mapping[str, Json], form: str) -> Foreign:
        known: dict[str, Json] = {
            key: item for key, item in made.items() if item not in (None, [], {})
        }
        try:
            card = Card.model_validate_json(canonical.dumps(known))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            msg = f"{self.origin} cannot be read as a card: {key_path(first['loc'])}: {first['msg']}."
            raise DocumentInvalidError(msg) from error
        return Foreign(card=card, form=form, ignored=tuple(dict.fromkeys(self.ignored)))

    def _list_ignored(self, top: Mapping[str, Json], known: frozenset[str]) -> None:
        odd = [k for k in top if k not in known and not k.startswith("@")]
        self.ignored += [key[:80] for key in odd[:100]]

    def _local(self, address: str | None, at: str) -> str | None:
        """Return the local name of a file; an address on a network leaves its last part."""
        if address is None:
            return None
        if "://" in address:
            last = address.partition("?")[0].rstrip("/").rpartition("/")[2]
            try:
                return paths.check_name(last)
            except UnsafePathError:
                self.ignored.append(f"{at}: {address[:60]}")
                return None
        return paths.check_name(address.removeprefix("./"))

    def _file(self, name: str, digest: Json, size: Json = None) -> Json:
        found = _SHA256.match(str(digest or ""))
        if digest and not found:
            self.ignored.append(f"digest of {name[:60]}")
        made: dict[str, Json] = {"path": name}
        if found:
            made["sha256"] = found[2]
        if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
            made["bytes"] = size
        return made

    def _distribution(
        self, top: Mapping[str, Json]
    ) -> tuple[list[Json], dict[str, str | None]]:
        files: list[Json] = []
        by_id: dict[str, str | None] = {}
        for number, one in enumerate(_objects(top.get("distribution"))):
            key = _text(one.get("@id")) or _text(one.get("name")) or str(number)
            includes = _texts(one.get("includes"))
            if includes:
                plain = includes[0] if len(includes) == 1 else ""
                several = not plain or any(c in plain for c in "*?[")
                by_id[key] = None if several else self._local(plain, key)
                if by_id[key]:
                    files.append(self._file(str(by_id[key]), None))
                continue
            if _text(one.get("encodingFormat")) == "git+https":
                continue
            name = self._local(_text(one.get("contentUrl")), f"distribution[{number}]")
            by_id[key] = name
            if name is not None:
                files.append(self._file(name, one.get("sha256")))
        return files, by_id

    def _fields(
        self, top: Mapping[str, Json], by_id: Mapping[str, str | None]
    ) -> list[Json]:
        made: list[Json] = []
        for records in _objects(top.get("recordSet")):
            for column in _objects(records.get("field")):
                source = next(iter(_objects(column.get("source"))), {})
                extract = next(iter(_objects(source.get("extract"))), {})
                where = source.get("fileObject") or source.get("fileSet")
                file = by_id.get(_text(where) or "")
                name = _text(extract.get("column"))
                made.append(self._column(column, file, name))
        return [column for column in made if column]

    def _column(
        self, column: Mapping[str, Json], file: str | None, name: str | None = None
    ) -> Json:
        named = name or _text(column.get("name"))
        if named is None:
            return None
        unit = next((u for key in _UNIT_KEYS if (u := _text(column.get(key)))), None)
        for note in _objects(column.get("annotation")):
            meaning = (_text(note.get("equivalentProperty")) or "").rpartition(":")[2]
            if meaning.rpartition("/")[2] == "unitText":
                unit = unit or _text(note.get("value"))
        kinds = {text.rpartition(":")[2] for text in _texts(column.get("dataType"))}
        role = "target" if "Label" in kinds else _ROLES.get(str(column.get("role")))
        made: dict[str, Json] = {
            "name": named,
            "description": _text(column.get("description"))
            or _text(column.get("title")),
            "unit": unit,
            "role": role,
            "file": file,
        }
        limits = next(iter(_objects(column.get("constraints"))), {})
        low, high = limits.get("minimum"), limits.get("maximum")
        if isinstance(low, (int, float)) and isinstance(high, (int, float)):
            made["range"] = [float(low), float(high)]
        return {key: item for key, item in made.items() if item is not None}

    def _derived(self, top: Mapping[str, Json]) -> list[Json]:
        made: list[Json] = []
        for item in _texts(top.get("wasDerivedFrom")):
            found = _SHA256.match(item.removeprefix("urn:"))
            one: dict[str, Json] = {"name": item}
            if found:
                one["digest"] = f"sha256:{found[2]}"
            made.append(one)
        return made

    def _responsible(self, top: Mapping[str, Json]) -> dict[str, Json]:
        """Read the twenty properties of Croissant RAI 1.0."""
        frame = "/".join(_texts(top.get("dataCollectionTimeframe")))
        days = re.findall(r"\d{4}(?:-\d{2}(?:-\d{2})?)?(?=T|/|$)", frame)
        notes: dict[str, Json] = {
            "protocol": _as_json(top.get("dataAnnotationProtocol")),
            "platform": _as_json(top.get("dataAnnotationPlatform")),
            "analysis": _as_json(top.get("dataAnnotationAnalysis")),
            "per_item": _text(top.get("annotationsPerItem")),
            "annotators": _as_json(top.get("annotatorDemographics")),
            "tools": _as_json(top.get("machineAnnotationTools")),
        }
        kept: dict[str, Json] = {key: item for key, item in notes.items() if item}
        period: Json = {"first": days[0], "last": days[-1]} if days else None
        return {
            "collection": _text(top.get("dataCollection")),
            "collection_type": _as_json(top.get("dataCollectionType")),
            "missing_data": _text(top.get("dataCollectionMissingData")),
            "raw_data": _text(top.get("dataCollectionRawData")),
            "period": period,
            "preprocessing": _as_json(top.get("dataPreprocessingProtocol")),
            "imputation": _text(top.get("dataImputationProtocol")),
            "manipulation": _text(top.get("dataManipulationProtocol")),
            "maintenance": _text(top.get("dataReleaseMaintenancePlan")),
            "personal": _as_json(top.get("personalSensitiveInformation")),
            "annotation": kept,
            "social_impact": _text(top.get("dataSocialImpact")),
            "biases": _as_json(top.get("dataBiases")),
            "limitations": _as_json(top.get("dataLimitations")),
            "uses": _as_json(top.get("dataUseCases")),
        }


def _as_json(value: Json) -> list[Json]:
    return list(_texts(value))


_RAI = (
    "dataCollection dataCollectionType dataCollectionMissingData dataCollectionRawData "
    "dataCollectionTimeframe dataPreprocessingProtocol dataImputationProtocol "
    "dataManipulationProtocol dataReleaseMaintenancePlan personalSensitiveInformation "
    "dataAnnotationProtocol dataAnnotationPlatform dataAnnotationAnalysis annotationsPerItem "
    "annotatorDemographics machineAnnotationTools dataSocialImpact dataBiases "
    "dataLimitations dataUseCases"
)
_CROISSANT_KEYS = frozenset(
    f"{_RAI} name description url license citeAs citation version datePublished "
    "dateModified creator publisher wasDerivedFrom distribution recordSet conformsTo "
    "keywords isLiveDataset usageInfo wasGeneratedBy variableMeasured".split()
)
_PACKAGE_KEYS = frozenset(
    [
        "name",
        "title",
        "description",
        "homepage",
        "licenses",
        "license",
        "version",
        "created",
        "contributors",
        "citation",
        "sources",
        "resources",
        "profile",
        "$schema",
        "id",
        "keywords",
    ]
)
