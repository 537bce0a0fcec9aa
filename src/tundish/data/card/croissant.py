"""Write a card as Croissant 1.1, with the Responsible-AI terms, PROV-O and ODRL.

After the MLCommons Croissant 1.1 specification and the Croissant RAI 1.0 vocabulary
(property names as in its .ttl). What is not known is left out: a missing property says
"unknown", an invented one would say something false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tundish.data.card.card import Card, CardLicence
from tundish.data.card.facts import (
    ColumnFacts,
    SetFacts,
    TableFacts,
    media_of,
    together,
)
from tundish.data.card.licences import kind_of, spdx_of
from tundish.kernel import digest as digests
from tundish.kernel.canonical import Json
from tundish.kernel.records import Record

MOST_FILES = 1000
MOST_STATISTICS = 200
TOGETHER = 3
_SPEC = "http://mlcommons.org/croissant/1.1"
_RAI_SPEC = "http://mlcommons.org/croissant/RAI/1.0"
CONTEXT: dict[str, Json] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "duo": "http://purl.obolibrary.org/obo/DUO_",
    **{
        key: f"cr:{key}"
        for key in [
            "annotation",
            "arrayShape",
            "citeAs",
            "column",
            "containedIn",
            "equivalentProperty",
            "excludes",
            "extract",
            "field",
            "fileObject",
            "fileProperty",
            "fileSet",
            "format",
            "includes",
            "isArray",
            "isLiveDataset",
            "jsonPath",
            "key",
            "md5",
            "parentField",
            "path",
            "readLines",
            "recordSet",
            "references",
            "regex",
            "repeated",
            "replace",
            "samplingRate",
            "sdVersion",
            "separator",
            "source",
            "subField",
            "transform",
            "unArchive",
        ]
    },
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}
_TYPES = {
    "number": "sc:Float",
    "whole": "sc:Integer",
    "text": "sc:Text",
    "moment": "sc:DateTime",
}


class Act(Record):
    """Something that was done on the way to a set, from the ledger.

    Attributes:
        label: What was done.
        at: When, ISO 8601 in UTC.
        inputs: Digests that went in.
    """

    label: str
    at: str
    inputs: tuple[str, ...] = ()


def croissant(
    facts: SetFacts, card: Card | None, acts: Sequence[Act] = (), *, below: str = ""
) -> dict[str, Json]:
    """Return a set's card as Croissant.

    Args:
        facts: What the data says.
        card: What a person says of it, if somebody does.
        acts: What the ledger says of its making, oldest first.
        below: Folder between the card and the data, such as ``data/``.
    """
    groups = _groups(facts)
    made: dict[str, Json] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [_SPEC, _RAI_SPEC],
        **_described(facts, card),
        **_terms(card),
        **_provenance(card, acts),
        **_responsible(facts, card),
        "distribution": _distribution(facts, groups, below),
        "recordSet": [_records(group, card) for group in groups],
    }
    return {key: item for key, item in made.items() if item not in (None, [], {}, "")}


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Tables that are read as one: the same columns in files of one kind."""

    key: str
    tables: tuple[TableFacts, ...]

    @property
    def several(self) -> bool:
        return len(self.tables) > 1


def _groups(facts: SetFacts) -> list[_Group]:
    """Put files of one folder with the same columns together, from three on."""
    alike: dict[tuple[object, ...], list[TableFacts]] = {}
    for table in facts.tables:
        folder, _, name = table.file.rpartition("/")
        shape = tuple((c.name, c.title) for c in table.columns)
        alone = table.name if table.part else ""
        ending = name.rpartition(".")[2]
        alike.setdefault((folder, ending, shape, table.media, alone), []).append(table)
    groups: list[_Group] = []
    for tables in alike.values():
        if len(tables) < TOGETHER:
            groups += [_Group(key=_slug(t.name), tables=(t,)) for t in tables]
        else:
            folder, _, name = tables[0].file.rpartition("/")
            ending = name.rpartition(".")[2]
            key = _slug(f"{folder or 'tables'}-{len(groups) + 1}-{ending}")
            groups.append(_Group(key=key, tables=tuple(tables)))
    return groups


def _slug(text: str) -> str:
    return quote(text, safe="").replace("%", "_")


def _described(facts: SetFacts, card: Card | None) -> dict[str, Json]:
    made: dict[str, Json] = {"name": facts.name, "identifier": facts.digest}
    if card is None:
        return made
    if card.title is not None:
        made["name"] = {"en": card.title.en, "zh": card.title.zh}
    made |= {
        "description": card.description,
        "url": card.url,
        "version": card.data_version,
        "datePublished": card.published,
        "dateModified": card.modified,
        "citeAs": card.citation,
        "creator": _agent(card.creator),
        "publisher": _agent(card.contact),
        "keywords": [word for word in (card.sector, card.task) if word],
    }
    return made


def _agent(name: str | None) -> Json:
    return {"@type": "sc:Organization", "name": name} if name else None


def _terms(card: Card | None) -> dict[str, Json]:
    """Return licence and use, as a licence's address and as an ODRL offer."""
    if card is None or card.licence is None:
        return {}
    licence = card.licence
    spdx = spdx_of(licence.spdx or licence.name)
    address = f"https://spdx.org/licenses/{spdx}.html" if spdx else licence.url
    kind = kind_of(licence)
    if kind == "U":
        return {}
    made: dict[str, Json] = {"license": address or licence.name}
    offer = _offer(card, licence)
    if offer:
        made["usageInfo"] = offer
    return made


def _offer(card: Card, licence: CardLicence) -> Json:
    kind = kind_of(licence)
    allowed = card.terms.uses if card.terms else ()
    if kind is None and not card.terms:
        return None
    constraints: list[Json] = []
    closed = kind == "N" or (bool(allowed) and "product" not in allowed)
    if closed:
        constraints.append(
            _constraint("non-commercial use only", "purpose", "eq", "duo:0000046")
        )
    if card.terms and card.terms.until:
        constraints.append(
            _constraint("last day of use", "dateTime", "lteq", card.terms.until)
        )
    permission: dict[str, Json] = {
        "@type": "odrl:Permission",
        "odrl:action": {"@id": "odrl:use"},
    }
    if constraints:
        permission["odrl:constraint"] = constraints
    if (spdx_of(licence.spdx or licence.name) or "").startswith(("CC-BY", "etalab")):
        permission["odrl:duty"] = {
            "@type": "odrl:Duty",
            "odrl:action": {"@id": "odrl:attribute"},
        }
    if kind == "B":
        permission["odrl:duty"] = {
            "@type": "odrl:Duty",
            "odrl:action": {"@id": "odrl:shareAlike"},
        }
    offer: dict[str, Json] = {
        "@type": ["CreativeWork", "odrl:Offer"],
        "name": f"Terms of use: {licence.name}",
        "odrl:permission": permission,
    }
    if closed:
        offer["odrl:prohibition"] = {
            "@type": "odrl:Prohibition",
            "odrl:action": {"@id": "odrl:commercialize"},
        }
    if card.terms and card.terms.note:
        offer["description"] = card.terms.note
    return offer


def _constraint(name: str, left: str, operator: str, right: str) -> Json:
    value: Json = {"@id": right} if right.startswith("duo:") else right
    return {
        "@type": "odrl:Constraint",
        "name": name,
        "odrl:leftOperand": {"@id": f"odrl:{left}"},
        "odrl:operator": {"@id": f"odrl:{operator}"},
        "odrl:rightOperand": value,
    }


def _provenance(card: Card | None, acts: Sequence[Act]) -> dict[str, Json]:
    sources: list[Json] = []
    known: set[str] = set()
    for number, source in enumerate(card.sources if card else (), start=1):
        key = f"urn:{source.digest}" if source.digest else source.url
        one: dict[str, Json] = {
            "@type": "prov:Entity",
            "@id": key or f"#source-{number}",
            "prov:label": source.name,
        }
        known.add(str(one["@id"]))
        sources.append(one)
    for act in acts:
        for digest in act.inputs:
            if f"urn:{digest}" not in known:
                known.add(f"urn:{digest}")
                sources.append({"@type": "prov:Entity", "@id": f"urn:{digest}"})
    activities: list[Json] = [
        {"@type": "prov:Activity", "prov:label": s.made_by}
        for s in (card.sources if card else ())
        if s.made_by
    ]
    activities += [
        {"@type": "prov:Activity", "prov:label": a.label, "prov:endedAtTime": a.at}
        for a in acts
    ]
    return {"prov:wasDerivedFrom": sources, "prov:wasGeneratedBy": activities}


def _responsible(facts: SetFacts, card: Card | None) -> dict[str, Json]:
    """Return the Croissant RAI 1.0 properties that are known."""
    made: dict[str, Json] = {
        "rai:dataCollectionMissingData": _missing(facts),
        "rai:dataCollectionTimeframe": _timeframe(facts, card),
        "rai:personalSensitiveInformation": _personal(facts, card),
    }
    if card is None:
        return _present(made)
    notes = card.annotation
    made |= {
        "rai:dataCollection": card.collection,
        "rai:dataCollectionType": list(card.collection_type),
        "rai:dataCollectionRawData": card.raw_data,
        "rai:dataPreprocessingProtocol": list(card.preprocessing),
        "rai:dataImputationProtocol": card.imputation,
        "rai:dataManipulationProtocol": card.manipulation,
        "rai:dataReleaseMaintenancePlan": card.maintenance,
        "rai:dataAnnotationProtocol": list(notes.protocol) if notes else None,
        "rai:dataAnnotationPlatform": list(notes.platform) if notes else None,
        "rai:dataAnnotationAnalysis": list(notes.analysis) if notes else None,
        "rai:annotationsPerItem": notes.per_item if notes else None,
        "rai:annotatorDemographics": list(notes.annotators) if notes else None,
        "rai:machineAnnotationTools": list(notes.tools) if notes else None,
        "rai:dataSocialImpact": card.social_impact,
        "rai:dataBiases": list(card.biases),
        "rai:dataLimitations": list(card.limitations),
        "rai:dataUseCases": [*card.uses, *card.scenarios],
    }
    if card.missing_data is not None:
        made["rai:dataCollectionMissingData"] = card.missing_data
    return _present(made)


def _present(made: Mapping[str, Json]) -> dict[str, Json]:
    return {key: item for key, item in made.items() if item not in (None, [], "")}


def _missing(facts: SetFacts) -> str | None:
    cells = sum(table.rows * len(table.columns) for table in facts.tables)
    empty = sum(c.missing for table in facts.tables for c in table.columns)
    return f"{empty:,} of {cells:,} cells are empty." if cells else None


def _timeframe(facts: SetFacts, card: Card | None) -> str | None:
    if card is not None and card.period is not None:
        return f"{card.period.first}/{card.period.last}"
    times = [t.time for t in facts.tables if t.time is not None and not t.time.elapsed]
    if not times:
        return None
    return f"{min(t.first for t in times)}/{max(t.last for t in times)}"


def _personal(facts: SetFacts, card: Card | None) -> list[Json]:
    said: list[Json] = list(card.personal) if card else []
    found = dict.fromkeys(
        f"{one.column} holds {one.what}"
        for table in facts.tables
        for one in table.exposures
    )
    return [*said, *found]


def _distribution(facts: SetFacts, groups: Sequence[_Group], below: str) -> list[Json]:
    made: list[Json] = []
    singly = len(facts.files) <= MOST_FILES
    plain = {table.file: table.media for table in facts.tables}
    forms = {table.file: table.form for table in facts.tables if not table.media}
    if singly:
        for file in facts.files:
            one: dict[str, Json] = {
                "@type": "cr:FileObject",
                "@id": _slug(file.name),
                "name": file.name.rpartition("/")[2],
                "contentUrl": quote(f"{below}{file.name}", safe="/ ()[],+-_.~"),
                "contentSize": f"{file.size} B",
                "encodingFormat": _formats(file.name, plain.get(file.name, "")),
                "sha256": digests.hex_part(file.sha256),
            }
            if forms.get(file.name):
                one["description"] = f"To be read as {forms[file.name]}."
            made.append(one)
    sums = {file.name: file.sha256 for file in facts.files}
    for group in groups:
        names = [table.file for table in group.tables]
        made += (
            [_file_set(group.key, names, sums, below, plain[names[0]])]
            if group.several
            else []
        )
    if not singly:
        made += _by_folder(sums, below)
    return made


def _formats(name: str, media: str) -> Json:
    """Return the media types of a file: of its content, and of its packing."""
    outer = media_of(name)
    if media and outer == "application/gzip":
        return [media, outer]
    return media or outer


def _by_folder(sums: Mapping[str, str], below: str) -> list[Json]:
    """Return one file set per folder and ending, for sets of very many files."""
    heaps: dict[str, list[str]] = {}
    for name in sums:
        folder, slash, last = name.rpartition("/")
        ending = f"*.{last.rpartition('.')[2]}" if "." in last else "*"
        heaps.setdefault(f"{folder}{slash}{ending}", []).append(name)
    made: list[Json] = []
    for glob, names in heaps.items():
        one = _file_set(_slug(f"files-{glob}"), names, sums, below)
        made.append({**one, "includes": f"{below}{glob}"})
    return made


def _file_set(
    key: str,
    names: Sequence[str],
    sums: Mapping[str, str],
    below: str,
    media: str = "",
) -> dict[str, Json]:
    digest = digests.of_json({name: sums[name] for name in names})
    return {
        "@type": "cr:FileSet",
        "@id": key,
        "name": key,
        "description": f"{len(names):,} files; sha256 is over the canonical JSON of their names and digests.",
        "encodingFormat": _formats(names[0], media),
        "includes": [f"{below}{name}" for name in names],
        "sha256": digests.hex_part(digest),
    }


def _records(group: _Group, card: Card | None) -> Json:
    table = together(group.tables)
    key = f"records-{group.key}"
    notes = {n.name: n for n in card.notes(table.file)} if card else {}
    rich = len(table.columns) <= MOST_STATISTICS
    where: Json = (
        {"fileSet": {"@id": group.key}}
        if group.several
        else {"fileObject": {"@id": _slug(table.file)}}
    )
    fields: list[Json] = []
    ids: dict[str, str] = {}
    for column in table.columns:
        ids[column.name] = f"{key}/{_slug(column.name)}"
        note = notes.get(column.name)
        one: dict[str, Json] = {
            "@type": "cr:Field",
            "@id": ids[column.name],
            "name": column.name,
            "dataType": _type(column, target=column.name == table.target),
            "source": {**_mapping(where), "extract": {"column": column.title}},
        }
        described = _sentence(column, table, note.description if note else None)
        if described:
            one["description"] = described
        measured = [] if column.channel else _measured(column)
        known = _annotations(ids[column.name], measured, rich=rich)
        if known:
            one["annotation"] = known
        fields.append(one)
    made: dict[str, Json] = {
        "@type": "cr:RecordSet",
        "@id": key,
        "name": group.key,
        "description": _table_sentence(group),
        "field": fields,
    }
    examples: list[Json] = [
        {ids[name]: cell for name, cell in row.items() if cell is not None}
        for row in table.examples
    ]
    if examples and rich:
        made["examples"] = examples
    return made


def _mapping(value: Json) -> dict[str, Json]:
    return dict(value) if isinstance(value, dict) else {}


def _type(column: ColumnFacts, *, target: bool) -> Json:
    kind = _TYPES[column.kind]
    return [kind, "cr:Label"] if target else kind


def _sentence(column: ColumnFacts, table: TableFacts, said: str | None) -> str:
    parts = [said.rstrip(".") if said else ""]
    if table.time is not None and column.name == table.time.column:
        parts.append("time of the record")
    if column.name == table.unit:
        parts.append("machine or batch of the record")
    if column.states:
        words = ", ".join(column.states[:4])
        parts.append(f"numbers, with texts among them ({words})")
    if column.exposed:
        parts.append(f"holds {column.exposed}")
    return ". ".join(f"{p[:1].upper()}{p[1:]}" for p in parts if p)


def _table_sentence(group: _Group) -> str:
    rows = sum(table.rows for table in group.tables)
    many = f" in {len(group.tables):,} files" if group.several else ""
    time = group.tables[0].time
    channels = [c for c in group.tables[0].columns if c.channel and c.least is not None]
    spectrum = ""
    if channels:
        low = min(c.least for c in channels if c.least is not None)
        high = max(c.most for c in channels if c.most is not None)
        spectrum = f" {len(channels):,} columns ({channels[0].name} to {channels[-1].name}) are the channels of one spectrum, {low:g} to {high:g}."
    step = f", usually {time.step_s:g} s apart" if time and time.step_s else ""
    return f"{rows:,} records{many}{step}.{spectrum}"


def _measured(column: ColumnFacts) -> list[tuple[str, Json, str]]:
    """Return (name, value, property) of what is known of a column's values."""
    known: list[tuple[str, Json, str]] = [
        ("unit", column.unit or None, "sc:unitText"),
        ("minimum", column.least, "sc:minValue"),
        ("maximum", column.most, "sc:maxValue"),
        ("mean", column.mean, ""),
        ("median", column.middle, ""),
        ("standard deviation", column.deviation, ""),
        ("missing", column.missing, ""),
        ("distinct", column.distinct if column.mean is not None else None, ""),
    ]
    return [one for one in known if one[1] is not None]


def _annotations(
    key: str, known: Sequence[tuple[str, Json, str]], *, rich: bool
) -> list[Json]:
    made: list[Json] = []
    for name, value, meaning in known:
        if not rich and not meaning:
            continue
        kind = "sc:Text" if isinstance(value, str) else "sc:Float"
        if isinstance(value, int):
            kind = "sc:Integer"
        one: dict[str, Json] = {
            "@type": "cr:Field",
            "@id": f"{key}/{_slug(name)}",
            "name": name,
            "dataType": kind,
            "value": value,
        }
        if meaning:
            one["equivalentProperty"] = meaning
        made.append(one)
    return made
