"""What a line sends to others keeps its form: their programs read it."""

from __future__ import annotations

from tundish.kernel.digest import of_bytes
from tundish.line.estimates import Estimate
from tundish.line.sinks.mqtt import answer_message, state_message
from tundish.line.state import TagState

MODEL, INPUT = of_bytes(b"model"), of_bytes(b"input")


def test_an_answer_is_sent_in_this_form() -> None:
    estimate = Estimate(
        at_us=1_777_874_400_000_000,
        quality="good",
        value=1.5,
        lower=1.0,
        upper=2.0,
        applicability=0.25,
        because="fuel 80%",
        model=MODEL,
        input=INPUT,
    )
    assert answer_message(estimate).decode() == (
        '{"alarm":null,"applicability":0.25,"because":"fuel 80%","format":"tundish.answer",'
        f'"id":"{MODEL}/1777874400000000","input":"{INPUT}","lower":1.0,"model":"{MODEL}",'
        '"quality":"good","reason":"","time":"2026-05-04T06:00:00Z","upper":2.0,'
        '"value":1.5,"version":1,"why":""}'
    )


def test_a_state_is_sent_in_this_form() -> None:
    state = TagState(signal="fuel", state="stale", reason="nothing newer for 9 s")
    assert state_message(state, "shadow", 1_777_874_400_000_000).decode() == (
        '{"format":"tundish.state","mode":"shadow","reason":"nothing newer for 9 s",'
        '"signal":"fuel","state":"stale","time":"2026-05-04T06:00:00Z","version":1}'
    )
