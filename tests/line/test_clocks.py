"""Two clocks are compared to within what can be known, and a jump is told of the right one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tundish.line.clocks import ClockReading, Clocks, ClockWatch


def _reading(
    offset_s: float, *, ours_s: float = 0.0, bound_s: float = 0.01
) -> ClockReading:
    return ClockReading(offset_s=offset_s, bound_s=bound_s, ours_s=ours_s)


@given(
    true_s=st.floats(-100, 100),
    late=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    waits=st.lists(st.floats(0, 0.3), min_size=20, max_size=20),
)
def test_a_clock_that_ticks_once_a_second_is_known_within_its_bound_and_jumps_never(
    true_s: float, late: list[float], waits: list[float]
) -> None:
    watch = ClockWatch()
    for at, wait in zip(late, waits, strict=False):
        assert watch.see(_reading(true_s - at, bound_s=wait)) == []
    found = watch.newest
    assert found is not None
    assert found.offset_s <= true_s
    if len(late) > 8 and max(late[-8:]) > 0.99:
        assert abs(found.offset_s - true_s) <= found.bound_s + 0.011


@given(by_s=st.floats(3, 1e6), ours=st.booleans(), back=st.booleans())
def test_the_clock_that_jumped_is_the_one_that_is_told(
    by_s: float, ours: bool, back: bool
) -> None:
    step = -by_s if back else by_s
    watch = ClockWatch()
    watch.see(_reading(0.0))
    after = _reading(-step, ours_s=step) if ours else _reading(step)
    found = watch.see(after)
    assert [(one.ours, round(one.by_s, 6)) for one in found] == [(ours, round(step, 6))]
    assert watch.see(after) == []


def test_a_jump_is_an_event_and_the_first_comparison_too() -> None:
    told: list[tuple[str, str]] = []
    clocks = Clocks(lambda kind, text, _: told.append((kind, text)))
    for offset in (0.25, 0.26, 3600.25):
        clocks.see("press", _reading(offset))
    assert told == [
        ("clock", "the clock of press is 0.250 s ahead of ours (known to 0.010 s)"),
        ("clock-jump", "the clock of press jumped 3600.0 s forward"),
    ]
    assert clocks.newest()["press"].offset_s == 3600.25
