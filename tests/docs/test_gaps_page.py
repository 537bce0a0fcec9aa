"""The page of gaps says what its rows say."""

from __future__ import annotations

from bench.gaps.measure import Found, Outcome
from bench.gaps.page import PAGE, page, rate, read


def test_the_page_is_what_the_rows_make() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(read())


def test_no_case_of_many_still_has_an_interval() -> None:
    assert rate(0, 20) == "0 of 20 (0% to 17%)"
    assert rate(20, 20) == "20 of 20 (83% to 100%)"
    assert rate(0, 0) == "-"


def outcome(plant: str, *found: Found) -> Outcome:
    return Outcome(
        set="made", use="chosen on", task="regress", plant=plant, size=0.2, split=0,
        cost=2.0, tested=9, seconds=1.0, found=found,
    )  # fmt: skip


def test_what_is_harder_counts_as_no_gap_and_a_slice_beside_is_no_hit() -> None:
    told = {"by": "mode", "name": "m", "p": 0.001, "ratio": 2.0, "proof": 2.0}
    hard = Found(cause="hard", alike=0.0, again=True, **told)  # type: ignore[arg-type]
    beside = Found(cause="data", alike=0.4, again=True, **told)  # type: ignore[arg-type]
    said = page([outcome("clean", hard), outcome("mode left out", beside)])
    assert "1 | 0 of 1 (0% to 98%) | 0 of 1 (0% to 98%) | 1 of 1" in said
    assert (
        "| 1 | 0 of 1 (0% to 98%) | 0 of 1 (0% to 98%) | 0 of 1 (0% to 98%) | 1.00 |"
        in said
    )
