"""Licences: names and SPDX ids told apart, and whether several can be kept at once.

No legal advice: classes follow the licences' own words (may it be used in a product,
must what is made from it be shared alike), and anything not known here stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tundish.data.card.card import CardLicence, LicenceKind, Use

MEANING: dict[LicenceKind, str] = {
    "A": "permissive",
    "A*": "permissive where it was found, an earlier origin states none",
    "B": "share-alike: read it before you ship what was made from it",
    "N": "research or non-commercial only: not for a product",
    "U": "unstated",
}

_PERMISSIVE = [
    "MIT",
    "MIT-0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Apache-2.0",
    "NCSA",
    "Unlicense",
    "Zlib",
    "PSF-2.0",
    "CC0-1.0",
    "CC-BY-2.0",
    "CC-BY-2.5",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "PDDL-1.0",
    "ODC-By-1.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "etalab-2.0",
    "OGL-UK-3.0",
    "DL-DE-BY-2.0",
    "DL-DE-ZERO-2.0",
    "MulanPSL-2.0",
    "NIST-PD",
]
_ALIKE = [
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "LGPL-2.1-only",
    "LGPL-3.0-only",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "ODbL-1.0",
    "CDLA-Sharing-1.0",
    "MPL-2.0",
    "EPL-2.0",
    "EUPL-1.2",
]
_CLOSED = [
    "CC-BY-NC-3.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-3.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-NC-ND-4.0",
    "CC-BY-ND-4.0",
    "PolyForm-Noncommercial-1.0.0",
]
KINDS: dict[str, LicenceKind] = {
    **dict.fromkeys(_PERMISSIVE, "A"),
    **dict.fromkeys(_ALIKE, "B"),
    **dict.fromkeys(_CLOSED, "N"),
}
_BY_LOWER = {spdx.lower(): spdx for spdx in KINDS}
_ADDRESS = re.compile(
    r"(?:spdx\.org/licenses/|opensource\.org/licen[sc]es?/)([A-Za-z0-9.+-]+?)(?:\.html|\.json)?/?$",
    re.IGNORECASE,
)
_COMMONS = re.compile(
    r"(?:creativecommons\.org/(?:licenses|publicdomain)/|\bcc[ -]?|creative commons )"
    r"(zero|0|by(?:[ -](?:nc|sa|nd))*|attribution(?:[ -](?:noncommercial|non-commercial|sharealike|share-alike|noderivatives|noderivs))*)"
    r"[ /-]*(?:international )?(?:v(?:ersion)? ?)?(\d\.\d)?",
    re.IGNORECASE,
)
_WORDS = {
    "attribution": "by", "noncommercial": "nc", "non-commercial": "nc", "noderivs": "nd",
    "sharealike": "sa", "share-alike": "sa", "noderivatives": "nd",
}  # fmt: skip
_NAMES: tuple[tuple[str, str], ...] = (
    (r"\bpublic domain\b|\bcc0\b", "CC0-1.0"),
    (r"\bmit\b", "MIT"),
    (r"\bapache\b.{0,20}2", "Apache-2.0"),
    (r"\bbsd\b.{0,3}3|\bbsd 3|new bsd|revised bsd", "BSD-3-Clause"),
    (r"\bbsd\b.{0,3}2|simplified bsd", "BSD-2-Clause"),
    (r"\bagpl\b.{0,4}3|affero", "AGPL-3.0-only"),
    (r"\blgpl\b.{0,4}3", "LGPL-3.0-only"),
    (r"\bgpl\b.{0,4}3|general public license.{0,12}3", "GPL-3.0-only"),
    (r"\bgpl\b.{0,4}2|general public license.{0,12}2", "GPL-2.0-only"),
    (r"\bodbl\b|open database licen[sc]e", "ODbL-1.0"),
    (r"\betalab\b|licence ouverte.{0,20}2", "etalab-2.0"),
    (r"\bodc-?by\b", "ODC-By-1.0"),
    (r"\bpddl\b", "PDDL-1.0"),
    (r"\bmulan\b", "MulanPSL-2.0"),
)
_ONLY_RESEARCH = re.compile(
    r"non-?commercial|research (purposes )?only|academic use|educational (use|purposes)|仅供研究|非商业",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\b(own|proprietary|internal|company|in-house|confidential|all rights reserved)\b|自有|内部|专有",
    re.IGNORECASE,
)
_FAMILY = {"CC-BY-SA-4.0": "cc", "CC-BY-SA-3.0": "cc", "ODbL-1.0": "odbl"}


def spdx_of(text: str) -> str | None:
    """Return the SPDX id that a licence's name or address means, if it is known here."""
    plain = text.strip()
    found = _ADDRESS.search(plain)
    direct = _BY_LOWER.get((found[1] if found else plain).lower())
    if direct is not None:
        return direct
    commons = _COMMONS.search(plain)
    if commons is not None:
        return _commons(commons[1].lower(), commons[2])
    lowered = plain.lower()
    return next((spdx for form, spdx in _NAMES if re.search(form, lowered)), None)


def _commons(words: str, version: str | None) -> str | None:
    if words in {"0", "zero"}:
        return "CC0-1.0"
    for long, short in _WORDS.items():
        words = words.replace(long, short)
    parts = re.split(r"[ -]", words)
    ordered = [part for part in ("by", "nc", "nd", "sa") if part in parts]
    if "nc" in parts and "sa" in parts:
        ordered = ["by", "nc", "sa"]
    return _BY_LOWER.get(f"cc-{'-'.join(ordered)}-{version or '4.0'}")


def kind_of(licence: CardLicence) -> LicenceKind | None:
    """Return the class of a licence; ``None`` if it is stated and not known here."""
    if licence.kind is not None:
        return licence.kind
    spdx = spdx_of(licence.spdx or licence.name)
    if spdx is not None:
        return KINDS[spdx]
    return "N" if _ONLY_RESEARCH.search(licence.name) else None


def is_own(licence: CardLicence) -> bool:
    """Tell whether a text says that the data is one's own."""
    return kind_of(licence) is None and bool(_OWN.search(licence.name))


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Whether some licences allow a use together.

    Attributes:
        held: ``None`` if it cannot be decided.
        detail: Why, in words.
        known: How many of the licences are known.
        of: How many parts of the set need one.
    """

    held: bool | None
    detail: str
    known: int
    of: int


def judge(named: Sequence[tuple[str, CardLicence | None]], use: Use | None) -> Judged:
    """Hold the licences of a set and its sources against each other and a use.

    Args:
        named: (What it is the licence of, the licence or ``None``); may be empty.
        use: What is meant to be done; ``None`` if nobody said.
    """
    known = [(what, one) for what, one in named if one is not None]
    stated = [(what, one) for what, one in known if kind_of(one) != "U"]
    said = "; ".join(f"{what}: {_said(one)}" for what, one in known)
    if len(named) == 1 and known:
        said = _said(known[0][1])

    def made(*, held: bool | None, detail: str) -> Judged:
        return Judged(held=held, detail=detail, known=len(stated), of=len(named))

    if len(stated) < len(known):
        return made(held=False, detail="the set's maker states no terms")
    conflict = _conflict(stated, use)
    if conflict:
        return made(held=False, detail=conflict)
    if not known:
        return made(held=None, detail="nobody said; state it with --licence")
    silent = [what for what, one in named if one is None]
    if silent:
        detail = f"{said}; nobody said for {', '.join(silent[:3])}"
        return made(held=None, detail=detail)
    odd = [w for w, one in stated if kind_of(one) is None and not is_own(one)]
    if odd and use == "product":
        detail = f"{said}: not a licence known here; read whether it allows a product"
        return made(held=None, detail=detail)
    return made(held=True, detail=said + (f"; for {use} use" if use else ""))


def _said(licence: CardLicence) -> str:
    kind = kind_of(licence)
    return f"{licence.name} ({MEANING[kind]})" if kind else licence.name


def _conflict(stated: Sequence[tuple[str, CardLicence]], use: Use | None) -> str:
    kinds = [(what, one, kind_of(one)) for what, one in stated]
    closed = [(what, one) for what, one, kind in kinds if kind == "N"]
    alike = [(what, one) for what, one, kind in kinds if kind == "B"]
    if use == "product" and closed:
        what, one = closed[0]
        return f"{one.name} ({what}) allows research or non-commercial use only, and the use is a product"
    if alike and closed:
        return (
            f"{alike[0][1].name} ({alike[0][0]}) must be passed on under the same terms, "
            f"and {closed[0][1].name} ({closed[0][0]}) forbids commercial use: no terms keep both"
        )
    families = {_family(one): (what, one) for what, one in alike}
    if len(families) > 1:
        (what, one), (other, two) = list(families.values())[:2]
        return f"{one.name} ({what}) and {two.name} ({other}) each ask for their own terms for the whole"
    return ""


def _family(licence: CardLicence) -> str:
    spdx = spdx_of(licence.spdx or licence.name) or licence.name
    return _FAMILY.get(spdx, spdx.partition("-")[0].replace("AGPL", "GPL"))
