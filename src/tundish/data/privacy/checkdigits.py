"""Numbers that prove themselves: identity cards, bank accounts, payment cards.

A shape alone is no proof (a serial number may have 18 digits); each test here also
needs the number's own check digit, and a date where the number holds one.
"""

from __future__ import annotations

from datetime import date

_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECKS = "10X98765432"
_REGIONS = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
    ]
)
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AT": 20, "AZ": 28, "BE": 16, "BG": 22, "BH": 22, "BR": 29,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GE": 22, "GR": 27, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MT": 31, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PT": 25, "QA": 29, "RO": 24,
    "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26,
    "UA": 29,
}  # fmt: skip
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_FIRST_YEAR, _LAST_YEAR = 1900, 2100


def chinese_resident(text: str) -> bool:
    """Tell whether 18 characters are a Chinese resident identity number.

    Region, date of birth and the check digit of ISO 7064 MOD 11-2 (GB 11643-1999).
    """
    if len(text) != 18 or not text[:17].isascii() or not text[:17].isdigit():
        return False
    if not resident_front(text[:14]):
        return False
    total = sum(w * int(d) for w, d in zip(_RESIDENT_WEIGHTS, text[:17], strict=True))
    return _RESIDENT_CHECKS[total % 11] == text[17].upper()


def resident_front(front: str) -> bool:
    """Tell whether 14 digits can begin a resident number: a region and a birthday."""
    return front[:2] in _REGIONS and _is_date(front[6:14])


def iban(text: str) -> bool:
    """Tell whether a text is a bank account number by ISO 13616 (length, MOD 97)."""
    plain = text.replace(" ", "").upper()
    if not plain.isascii() or not plain.isalnum():
        return False
    if _IBAN_LENGTHS.get(plain[:2]) != len(plain) or not plain[2:4].isdigit():
        return False
    digits = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
    return int(digits) % 97 == 1


def payment_card(text: str) -> bool:
    """Tell whether 13 to 19 digits are a payment card: issuer, length, Luhn."""
    digits = text.replace(" ", "").replace("-", "")
    if not digits.isascii() or not digits.isdigit() or len(set(digits)) < 3:
        return False
    if not _issuer(digits):
        return False
    total = 0
    for place, letter in enumerate(reversed(digits)):
        value = int(letter) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def spanish_id(text: str) -> bool:
    """Tell whether 8 digits and a letter are a Spanish DNI (letter by MOD 23)."""
    number, letter = text[:8], text[8:].upper()
    if len(text) != 9 or not number.isascii() or not number.isdigit():
        return False
    return _DNI_LETTERS[int(number) % 23] == letter


def _issuer(digits: str) -> bool:
    two, four = int(digits[:2]), int(digits[:4])
    if len(digits) == 16:
        return digits[0] == "4" or 51 <= two <= 55 or 2221 <= four <= 2720 or two == 62
    return len(digits) == 15 and two in {34, 37}


def _is_date(text: str) -> bool:
    try:
        found = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return _FIRST_YEAR <= found.year <= _LAST_YEAR
