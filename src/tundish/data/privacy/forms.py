"""The forms of secrets and identifiers in text cells.

Every pattern is written so that both Python and the regular expressions of Polars
(no look-around, linear time) read it alike: a hostile cell cannot make it slow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tundish.data.privacy import checkdigits

Severity = Literal["secret", "direct", "quasi", "inform"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form of secret or identifier.

    Attributes:
        name: What it is, for people.
        severity: A secret opens something, a direct identifier names a person, a quasi
            identifier may, with other columns; ``inform`` is said and not counted.
        pattern: Regular expression that finds it.
        proof: Test of what the pattern found; ``None`` if the form is proof enough.
        share: Least share of the pattern's finds that must pass ``proof``: of ten
            random digits one is a right check digit too.
        distinct: Least number of different finds.
    """

    name: str
    severity: Severity
    pattern: str
    proof: Callable[[str], bool] | None = None
    share: float = 0.0
    distinct: int = 1


PLACEHOLDERS = frozenset(
    ("none", "null", "empty", "changeme", "required", "optional", "string", "true",
     "false", "secret", "password", "passwd", "unknown", "hidden", "removed")
)  # fmt: skip
_OWN_DOMAINS = (".local", ".lan", ".internal", ".localdomain", ".corp", ".intranet")


def _real_password(found: str) -> bool:
    value = found.replace("：", "=").replace(":", "=").partition("=")[2].strip(" \"'")
    hidden = set(value) <= set("*x•#-_.") or value[:1] in {"<", "{", "$", "[", "%"}
    return len(value) >= 4 and not hidden and value.lower() not in PLACEHOLDERS


def _real_address(found: str) -> bool:
    return not found.lower().endswith(_OWN_DOMAINS)


def _hides_nothing(found: str) -> bool:
    password = found.partition("://")[2].rpartition("@")[0].partition(":")[2]
    return _real_password(f"={password}")


FORMS: tuple[Form, ...] = (
    Form(
        name="a private key",
        severity="secret",
        pattern=r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----|AGE-SECRET-KEY-1[A-Z0-9]{58}|PuTTY-User-Key-File-\d",
    ),
    Form(
        name="an access key",
        severity="secret",
        pattern=r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{60}"
        r"|\bglpat-[A-Za-z0-9_-]{20}|\bxox[abprs]-[A-Za-z0-9-]{20}|\bAIza[0-9A-Za-z_-]{35}"
        r"|\b[sr]k_live_[0-9a-zA-Z]{20}|\bsk-(ant-|proj-)?[A-Za-z0-9_-]{40}|\bhf_[A-Za-z]{34}\b"
        r"|\bLTAI[A-Za-z0-9]{16,24}\b|\bAKID[A-Za-z0-9]{32}\b|\bpypi-AgEIcHlwaS5vcmc|\bAccountKey=[A-Za-z0-9+/]{60}",
    ),
    Form(
        name="a signed token (JWT)",
        severity="secret",
        pattern=r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    ),
    Form(
        name="a connection string with a password",
        severity="secret",
        pattern=r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,80}:[^\s/@]{3,80}@[A-Za-z0-9.-]+",
        proof=_hides_nothing,
    ),
    Form(
        name="a password",
        severity="secret",
        pattern=r"(?i:\b(password|passwd|pwd|passphrase)|密码|口令)\s{0,2}[=:：]\s{0,2}[^\s;,]{4,80}",
        proof=_real_password,
    ),
    Form(
        name="an e-mail address",
        severity="direct",
        pattern=r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,24}\b",
        proof=_real_address,
    ),
    Form(
        name="a Chinese resident identity number",
        severity="direct",
        pattern=r"\b[1-8]\d{16}[0-9Xx]\b",
        proof=checkdigits.chinese_resident,
        share=0.5,
    ),
    Form(
        name="a bank account number (IBAN)",
        severity="direct",
        pattern=r"\b[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){2,7}( ?[A-Z0-9]{1,3})?\b",
        proof=checkdigits.iban,
        share=0.5,
    ),
    Form(
        name="a payment card number",
        severity="direct",
        pattern=r"\b[2-6]\d{3}[ -]\d{4}[ -]\d{4}[ -]\d{4}\b|^[2-6]\d{14,15}$",
        proof=checkdigits.payment_card,
        share=0.9,
        distinct=3,
    ),
    Form(
        name="a Spanish identity number",
        severity="direct",
        pattern=r"^\d{8}[A-HJ-NP-TV-Z]$",
        proof=checkdigits.spanish_id,
        share=0.9,
        distinct=3,
    ),
    Form(
        name="a telephone number",
        severity="direct",
        pattern=r"^\+[1-9]\d{0,2}[ -]?\(?\d{1,4}\)?[ -]?\d{2,4}[ -]?\d{2,4}([ -]?\d{2,4}){0,2}$",
        proof=lambda found: sum(letter.isdigit() for letter in found) >= 10,
    ),
    Form(
        name="a Chinese licence plate",
        severity="quasi",
        pattern=r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][·. ]?[A-HJ-NP-Z0-9]{5,6}\b",
    ),
    Form(
        name="a network address (MAC)",
        severity="inform",
        pattern=r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$",
    ),
    Form(
        name="a network address (IP)",
        severity="inform",
        pattern=r"^(10|192\.168|172\.(1[6-9]|2\d|3[01]))(\.(25[0-5]|2[0-4]\d|1?\d?\d)){2,3}(:\d{1,5})?$",
        proof=lambda found: found.partition(":")[0].count(".") == 3,
        share=0.9,
        distinct=2,
    ),
)
