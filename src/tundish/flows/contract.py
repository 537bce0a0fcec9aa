"""The contract that a package brings."""

from __future__ import annotations

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.model.package import Package


def contract_of(package: Package) -> Scenario:
    """Return the contract of a package.

    Raises:
        DocumentMalformedError, DocumentInvalidError: if it is none.
        PackageNeedsGrantError: if it is encrypted, and was not opened.
    """
    return parse_document(
        package.scenario_yaml.encode(), Scenario, "the package's scenario"
    )
