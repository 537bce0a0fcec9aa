"""The bill of materials: CycloneDX 1.6 with a machine-learning model in it.

Written by hand since the CycloneDX library has no ``modelCard``. The same inputs give
the same bytes: the serial number comes from the graph's digest, not from chance.
Source: CycloneDX 1.6 JSON schema (ECMA-424, first edition).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tundish.kernel import digest
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest, hex_part
from tundish.model.card import DataUse, Metric, ModelCard

_APPROACH = {"anomaly": "unsupervised", "inspect": "unsupervised"}  # else: supervised


@dataclass(frozen=True, kw_only=True)
class Library:
    """A Python package that made or runs the model.

    Attributes:
        name: Its name on the Python package index.
        version: Its version.
        licence: SPDX expression, or a name if there is none.
    """

    name: str
    version: str
    licence: str


def bill_of_materials(
    card: ModelCard,
    *,
    libraries: Sequence[Library],
    tundish_version: str,
    created_at: str,
) -> dict[str, Json]:
    """Return the bill of materials of a model.

    Args:
        card: The model's card: data sets, metrics, licence.
        libraries: What it was made with.
        tundish_version: The tool's own version.
        created_at: ISO 8601 moment in UTC.
    """
    model_ref = f"model:{card.product}@{card.version}"
    parts = [_data(item) for item in card.data] + [_library(item) for item in libraries]
    refs: list[Json] = [part["bom-ref"] for part in parts]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": _serial(card),
        "version": 1,
        "metadata": {
            "timestamp": created_at,
            "tools": {
                "components": [
                    {
                        "type": "application",
                        "name": "tundish",
                        "version": tundish_version,
                    }
                ]
            },
            "component": _model(card, model_ref),
        },
        "components": list(parts),
        "dependencies": [{"ref": model_ref, "dependsOn": refs}],
    }


def _model(card: ModelCard, ref: str) -> dict[str, Json]:
    datasets: list[Json] = [{"ref": _data_ref(item)} for item in card.data]
    return {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "name": card.product,
        "version": str(card.version),
        "description": card.title,
        "hashes": [_hash(card.graph)],
        "licenses": _licences(card.licence),
        "modelCard": {
            "modelParameters": {
                "approach": {"type": _APPROACH.get(card.task, "supervised")},
                "task": card.task,
                "architectureFamily": card.training.recipe,
                "datasets": datasets,
                "inputs": [{"format": "float32[windows, rows, channels]"}],
                "outputs": [{"format": "float32[windows, 1]"}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [_metric(item) for item in card.metrics]
            },
            "considerations": {
                "useCases": [card.purpose],
                "technicalLimitations": [*card.limits, *map(_not_for, card.not_for)],
            },
        },
    }


def _metric(metric: Metric) -> Json:
    found: dict[str, Json] = {
        "type": f"{metric.name} [{metric.unit}]" if metric.unit else metric.name,
        "value": repr(metric.value),
        "slice": metric.part,
    }
    if metric.lower is not None and metric.upper is not None:
        found["confidenceInterval"] = {
            "lowerBound": repr(metric.lower),
            "upperBound": repr(metric.upper),
        }
    return found


def _data(item: DataUse) -> dict[str, Json]:
    return {
        "type": "data",
        "bom-ref": _data_ref(item),
        "name": item.name,
        "description": f"{item.role}: {item.source}".removesuffix(": "),
        "hashes": [_hash(item.digest)],
        "licenses": _licences(item.licence),
        "data": [{"type": "dataset", "name": item.name}],
    }


def _library(item: Library) -> dict[str, Json]:
    purl = f"pkg:pypi/{item.name.lower().replace('_', '-')}@{item.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": item.name,
        "version": item.version,
        "purl": purl,
        "licenses": _licences(item.licence),
    }


def _licences(text: str) -> Json:
    # a name, not an SPDX id: ids and expressions are checked against SPDX's list,
    # and what is written in package metadata is often neither
    return [{"license": {"name": text}}]


def _data_ref(item: DataUse) -> str:
    return f"data:{item.name}@{digest.short(item.digest)}"


def _hash(item: Digest) -> Json:
    return {"alg": "SHA-256", "content": hex_part(item)}


def _not_for(text: str) -> Json:
    return f"Not for: {text}"


def _serial(card: ModelCard) -> str:
    seed = f"{card.product}@{card.version}/{card.graph}"
    hexes = hex_part(digest.of_bytes(seed.encode()))
    parts = (
        hexes[:8],
        hexes[8:12],
        f"8{hexes[13:16]}",
        f"8{hexes[17:20]}",
        hexes[20:32],
    )
    return f"urn:uuid:{'-'.join(parts)}"
