"""Laws of cards and bills of materials."""

from __future__ import annotations

import re
from typing import Any

from tundish.kernel import canonical
from tundish.model.bom import Library, bill_of_materials
from tundish.model.card import ModelCard

Desk = Any
AT = "2026-05-04T06:00:00Z"


def test_a_card_round_trips_and_keeps_later_fields(desk: Desk) -> None:
    card = desk.parts().card
    value = card.to_json()
    assert ModelCard.model_validate_json(canonical.dumps(value)) == card
    later = ModelCard.model_validate_json(canonical.dumps({**value, "later": 1}))
    assert later.to_json()["later"] == 1


def bom(desk: Desk, version: int = 1) -> dict[str, Any]:
    card = desk.parts(version).card
    libraries = [
        Library(name="scikit_learn", version="1.9.1", licence="BSD-3-Clause"),
        Library(name="numpy", version="2.4.6", licence="BSD-3-Clause"),
    ]
    return bill_of_materials(
        card, libraries=libraries, tundish_version="0.1.0", created_at=AT
    )


def test_the_same_model_has_the_same_bill(desk: Desk) -> None:
    assert canonical.dumps(bom(desk)) == canonical.dumps(bom(desk))
    assert bom(desk, 1)["serialNumber"] != bom(desk, 2)["serialNumber"]


def test_the_bill_names_model_data_and_libraries(desk: Desk) -> None:
    found = bom(desk)
    assert found["specVersion"] == "1.6"
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
        found["serialNumber"],
    )
    assert found["metadata"]["component"]["type"] == "machine-learning-model"
    kinds = [item["type"] for item in found["components"]]
    assert kinds == ["data", "library", "library"]
    assert found["components"][1]["purl"] == "pkg:pypi/scikit-learn@1.9.1"
    refs = [item["bom-ref"] for item in found["components"]]
    assert found["dependencies"][0]["dependsOn"] == refs
    card = found["metadata"]["component"]["modelCard"]
    metric = card["quantitativeAnalysis"]["performanceMetrics"][0]
    assert metric["confidenceInterval"] == {"lowerBound": "0.2", "upperBound": "0.3"}
    limits = card["considerations"]["technicalLimitations"]
    assert "Not for: Safety functions" in limits
