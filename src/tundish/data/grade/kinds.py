"""The kinds of finding: how much each weighs, and whether it is a fault beyond doubt.

Worth of a finding is its weight times the square root of the share of rows it concerns.
A certain fault (an impossible value, a copied row) bars letter A by itself.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """What is fixed about a kind of finding."""

    weight: float
    certain: bool = False


KINDS: dict[str, Kind] = {
    "leak": Kind(20.0, certain=True),
    "secret": Kind(20.0, certain=True),
    "person": Kind(15.0, certain=True),
    "person-code": Kind(2.0),
    "undeclared-synthetic": Kind(6.0, certain=True),
    "label-constant": Kind(8.0),
    "outside-fit": Kind(6.0),
    "dead-spectrum": Kind(8.0, certain=True),
    "impossible": Kind(8.0, certain=True),
    "out-of-range": Kind(5.0, certain=True),
    "code-value": Kind(6.0, certain=True),
    "stuck": Kind(6.0, certain=True),
    "frozen-together": Kind(4.0, certain=True),
    "clock-change": Kind(5.0, certain=True),
    "clock-change-gap": Kind(3.0, certain=True),
    "duplicate-time": Kind(4.0, certain=True),
    "backward-time": Kind(4.0, certain=True),
    "impossible-time": Kind(5.0, certain=True),
    "duplicate-row": Kind(3.0, certain=True),
    "clipped": Kind(3.0),
    "text-state": Kind(2.0),
    "censored": Kind(2.0),
    "bad-quality": Kind(2.0),
    "drift": Kind(5.0),
    "noise-change": Kind(2.0),
    "unit-switch": Kind(7.0, certain=True),
    "swapped": Kind(7.0, certain=True),
    "copied-stretch": Kind(6.0, certain=True),
    "delayed": Kind(4.0),
    "at-stop": Kind(0.5),
    "ragged": Kind(2.0),
    "outlier": Kind(2.0),
    "spike": Kind(3.0),
    "odd-spectrum": Kind(2.0),
    "gap": Kind(1.5),
    "silent": Kind(1.0),
    "missing": Kind(1.0),
    "unlabelled": Kind(1.0),
    "stops": Kind(1.0),
    "retest": Kind(5.0),
    "repeat-test": Kind(0.5),
    "unjoined": Kind(1.5),
    "campaign": Kind(2.0),
    "rate": Kind(4.0),
    "balance": Kind(5.0),
    "clock-lag": Kind(5.0),
    "interpolated": Kind(1.0),
    "idle": Kind(1.0),
    "constant": Kind(0.3),
    # pictures
    "unreadable": Kind(6.0, certain=True),
    "wrong-ending": Kind(1.0, certain=True),
    "written-otherwise": Kind(6.0),
    "same-part": Kind(60.0, certain=True),
    "label-conflict": Kind(30.0, certain=True),
    "copy": Kind(3.0, certain=True),
    "near-copy": Kind(3.0),
    "blank": Kind(6.0, certain=True),
    "dark-or-bright": Kind(3.0),
    "blurred": Kind(3.0),
    "noisy": Kind(2.0),
    "overexposed": Kind(3.0),
    "odd-size": Kind(2.0),
    "too-small": Kind(4.0),
    "box-outside": Kind(5.0, certain=True),
    "box-empty": Kind(5.0, certain=True),
    "box-copied": Kind(3.0, certain=True),
    "mask-size": Kind(6.0, certain=True),
    "mask-empty": Kind(3.0),
    "imbalance": Kind(4.0),
    # texts
    "empty-text": Kind(4.0, certain=True),
    "garbled": Kind(5.0, certain=True),
    "repetition": Kind(2.0),
    "odd-length": Kind(1.0),
    "odd-script": Kind(2.0),
    "answer-missing": Kind(6.0, certain=True),
    "answer-told": Kind(8.0),
    "answer-place": Kind(6.0),
    "answer-length": Kind(3.0),
    "option-copied": Kind(4.0, certain=True),
    "file-copied": Kind(2.0),
    # process events
    "event-incomplete": Kind(4.0, certain=True),
    "no-time-of-day": Kind(4.0),
    "end-before-start": Kind(6.0, certain=True),
    "order-unknown": Kind(2.0),
    "duplicate-event": Kind(3.0, certain=True),
    "twin-event": Kind(1.0),
    "cut-event": Kind(3.0),
    "case-cut": Kind(2.0),
    "spelling": Kind(3.0),
    "unpaired": Kind(3.0),
    "no-resource": Kind(1.0),
    "overload": Kind(2.0),
    "variants": Kind(1.5),
}
