"""Persons and secrets: what has the form and the check digit is found, nothing else."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tundish.data.privacy import checkdigits
from tundish.data.privacy.look import crowd, look, mask
from tundish.data.readers import read_table
from tundish.kernel.errors import TundishError

PADDING = ["running", "stopped", "PT-101", "batch 7 ok"]


def found(title: str, cells: list[str | None]) -> tuple[str, str] | None:
    frame = pl.DataFrame({title: [*PADDING, *cells]})
    exposures = look(frame)
    return (exposures[0].severity, exposures[0].what) if exposures else None


@pytest.mark.parametrize(
    ("cell", "severity", "what"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----", "secret", "private key"),
        ("key AKIAIOSFODNN7EXAMPLE in use", "secret", "access key"),
        ("ghp_" + "a1B2" * 9, "secret", "access key"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN", "secret", "JWT"),
        ("postgres://pi:geheim17@historian/plant", "secret", "connection string"),
        ("Server=db;User=sa;Password=Winter2024;", "secret", "password"),
        ("密码：abcd1234", "secret", "password"),
        ("ask j.meier@works.example.com", "direct", "e-mail"),
        ("11010519491231002X", "direct", "resident"),
        ("DE89 3704 0044 0532 0130 00", "direct", "IBAN"),
        ("+49 171 1234567", "direct", "telephone"),
        ("京A12345", "quasi", "plate"),
    ],
)  # fmt: skip
def test_one_cell_among_many_is_found(cell: str, severity: str, what: str) -> None:
    got = found("remark", [cell])
    assert got is not None
    assert got[0] == severity
    assert what in got[1]


@pytest.mark.parametrize(
    "cell",
    [
        "110105194912310021",  # wrong check digit
        "DE00370400440532013000",  # wrong check digits
        "password=****",
        "password: <hidden>",
        "opc.tcp://plc1:4840/path@node",
        "FIC101.PV@server.local",
        "2024-03-31 02:00:00+01:00",
        "1.2.3.4",
        "+12.50",
        "+1234",
        "SN 123456789012345678",
        "ns=2;s=Line1.Tag@5",
        "Siemens SE",
    ],
)
def test_what_only_looks_like_it_is_left_alone(cell: str) -> None:
    assert found("remark", [cell]) is None


@pytest.mark.parametrize(
    ("title", "cells", "severity"),
    [
        ("Operator", ["Hans Müller", "Anna Schmidt", "Peter Weiss"], "direct"),
        ("操作员", ["王小明", "李强", "张伟"], "direct"),
        ("Surname", ["Meier", "Huber"], "direct"),
        ("worker id", ["ID4932", "ID4018"], "quasi"),
        ("Inspector", ["Op1", "Op2"], "quasi"),
        ("Reported by", ["Maria Rossi", "Luca Bianchi", "Paolo Conti"], "direct"),
        ("password", ["Winter24", "Sommer24"], "secret"),
    ],
)
def test_titles_and_values_together_tell_persons(
    title: str, cells: list[str], severity: str
) -> None:
    exposures = look(pl.DataFrame({title: cells * 2}))
    assert [one.severity for one in exposures] == [severity]


@pytest.mark.parametrize(
    ("title", "cells"),
    [
        ("Operator", ["=", "<", ">"]),
        ("Team", ["A", "B", "C"]),
        ("name", ["Pump North", "Pump South", "Mixer Two"]),
        ("user", ["u1", "u2", "u3"]),
        ("product name", ["Red Paint", "Blue Paint", "Green Paint"]),
        ("token", ["the", "pump", "is"]),
        ("Material", ["Stainless Steel", "Carbon Steel", "Cast Iron"]),
        ("city", ["San Jose", "New York", "Los Angeles"]),
    ],
)
def test_other_columns_are_not_about_persons(title: str, cells: list[str]) -> None:
    assert look(pl.DataFrame({title: cells * 2})) == ()


def test_numbers_are_identity_numbers_only_with_region_and_birthday() -> None:
    people = [float(f"1101051{900 + i}0307{i:03d}"[:18].ljust(18, "1")) for i in (49, 60, 70, 81)]  # fmt: skip
    assert look(pl.DataFrame({"n": people}))[0].severity == "direct"
    assert look(pl.DataFrame({"n": [1.2e17 + i * 9.7e14 for i in range(40)]})) == ()


def test_the_secret_itself_is_never_shown() -> None:
    key = "AKIAIOSFODNN7EXAMPLE"
    shown = look(pl.DataFrame({"x": ["a", key]}))[0].example
    assert shown == "AK***"
    assert mask("王小明") == "王***"
    assert mask("ab") == "***"


def test_a_crowd_of_one_is_said() -> None:
    frame = pl.DataFrame(
        {"worker id": ["w1", "w2", "w3", "w1"], "age": [30.0, 30, 61, 30]}
    )
    told = crowd(frame, look(frame))
    assert told is not None
    assert (told.k, told.alone, told.persons) == (1, 1, 3)


def test_a_marked_recipe_column_is_kept_in() -> None:
    frame = pl.DataFrame({"dose": [1.0, 2.0], "T": [3.0, 4.0]})
    found = look(frame, marked=("dose",))
    assert [(one.column, one.severity) for one in found] == [("dose", "quasi")]


@pytest.mark.parametrize(
    ("number", "right"),
    [("11010519491231002X", True), ("110105194912310029", False), ("990105194912310021", False)],
)  # fmt: skip
def test_resident_numbers_need_region_date_and_check_digit(
    number: str, right: bool
) -> None:
    assert checkdigits.chinese_resident(number) is right


def test_a_payment_card_and_a_dni_prove_themselves() -> None:
    assert checkdigits.payment_card("4111 1111 1111 1111") is False  # two digits only
    assert checkdigits.payment_card("4539 1488 0343 6467")
    assert not checkdigits.payment_card("4539 1488 0343 6468")
    assert checkdigits.spanish_id("12345678Z")
    assert not checkdigits.spanish_id("12345678A")


@pytest.mark.slow
def test_the_real_sets_hold_one_column_of_workers_and_no_secret(
    real_sets: Path,
) -> None:
    seen = set()
    for path in sorted(real_sets.rglob("*.csv")):
        try:
            table = read_table(path)
        except TundishError:
            continue
        for one in look(table.frame, states=table.states):
            seen.add((path.parent.name, one.column, one.severity))
    assert seen == {("production-event-log", "org:resource", "quasi")}
