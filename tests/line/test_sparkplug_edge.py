"""Laws of what a line knows of an edge node: births, sequence, aliases, deaths."""

from __future__ import annotations

import dataclasses

import pytest

from tundish.line import sparkplug
from tundish.line.sparkplug import DOUBLE, INT64, STRING, Metric, Payload
from tundish.line.sparkplugedge import EdgeNode, MessageKind, Outcome, Place, Wanted

T0_MS = 1_800_000_000_000
NOW_US = T0_MS * 1000 + 77_000_000


def _node() -> EdgeNode:
    return EdgeNode(
        "G/E",
        {
            Place("", "level"): Wanted(signal="level", channels=1),
            Place("D", "temp"): Wanted(signal="temp", channels=1, scale=2.0),
        },
    )


def _metric(
    value: sparkplug.Value, kind: int = DOUBLE, second: int = 0, **named: object
) -> Metric:
    found = sparkplug.metric(value, kind, time_ms=T0_MS + 1000 * second)
    return dataclasses.replace(found, **named)  # type: ignore[arg-type]


def _payload(seq: int | None, *metrics: Metric) -> Payload:
    return Payload(time_ms=T0_MS, seq=seq, metrics=metrics)


def _take(
    node: EdgeNode, kind: MessageKind, payload: Payload, device: str = ""
) -> Outcome:
    return node.take(kind, device, payload, NOW_US)


def _born(bd_seq: int = 7) -> EdgeNode:
    node = _node()
    bd = _metric(bd_seq, INT64, name="bdSeq")
    birth = _payload(
        0, bd, _metric(1.0, name="level", alias=1), _metric(0.0, name="x", alias=9)
    )
    assert not _take(node, "NBIRTH", birth).rebirth
    device = _payload(1, _metric(5.0, name="temp", alias=2))
    assert _take(node, "DBIRTH", device, "D").samples[0].values == [10.0]
    return node


def test_data_of_a_born_node_are_found_by_alias() -> None:
    node = _born()
    out = _take(
        node, "NDATA", _payload(2, _metric(3.0, kind=DOUBLE, second=4, alias=1))
    )
    sample = out.samples[0]
    assert (sample.signal, sample.at_us, sample.quality) == (
        "level", (T0_MS + 4000) * 1000, "good",
    )  # fmt: skip
    assert not _take(node, "DDATA", _payload(3, _metric(4.0, alias=2)), "D").rebirth
    assert _take(node, "NDATA", _payload(4, _metric(4.0, alias=9))).samples == []


def test_a_missed_number_asks_for_a_rebirth_and_aliases_mean_nothing_until_then() -> (
    None
):
    node = _born()
    out = _take(node, "NDATA", _payload(3, _metric(3.0, alias=1)))
    assert "missed" in out.rebirth
    assert {(s.signal, s.quality, s.at_us) for s in out.samples} == {
        ("level", "bad", None), ("temp", "bad", None),
    }  # fmt: skip
    out = _take(
        node, "NDATA", _payload(4, _metric(3.0, alias=1), _metric(6.0, name="level"))
    )
    assert out.rebirth
    assert [s.values for s in out.samples if s.values is not None] == [[6.0]]
    _take(node, "NBIRTH", _payload(0, _metric(1.0, name="level", alias=1)))
    assert _take(node, "NDATA", _payload(1, _metric(8.0, alias=1))).samples[
        0
    ].values == [8.0]


def test_the_sequence_runs_over_from_255_to_0() -> None:
    node = _born()
    for seq in (*range(2, 256), 0, 1):
        assert not _take(node, "NDATA", _payload(seq, _metric(1.0, alias=1))).rebirth


@pytest.mark.parametrize("kind", ["NDATA", "DDATA", "DBIRTH"])
def test_a_message_before_the_birth_asks_for_one(kind: MessageKind) -> None:
    out = _take(
        _node(), kind, _payload(5, _metric(1.0, alias=1)), "D" * (kind[0] == "D")
    )
    assert "no birth" in out.rebirth


def test_a_birth_during_the_run_changes_an_alias() -> None:
    node = _born()
    birth = _payload(
        0, _metric(1.0, name="level", alias=5), _metric(2.0, name="x", alias=1)
    )
    _take(node, "NBIRTH", birth)
    out = _take(
        node, "NDATA", _payload(1, _metric(9.0, alias=1), _metric(3.0, alias=5))
    )
    assert [s.values for s in out.samples] == [[3.0]]


def test_a_device_must_be_born_again_after_its_node() -> None:
    node = _born()
    _take(node, "NBIRTH", _payload(0, _metric(1.0, name="level", alias=1)))
    out = _take(node, "DDATA", _payload(1, _metric(1.0, alias=2)), "D")
    assert out.rebirth
    assert out.samples == []


def test_an_alias_that_stands_twice_in_a_birth_means_nothing() -> None:
    node = _node()
    birth = _payload(
        0, _metric(1.0, name="level", alias=1), _metric(2.0, name="x", alias=1)
    )
    _take(node, "NBIRTH", birth)
    assert _take(node, "NDATA", _payload(1, _metric(9.0, alias=1))).samples == []


def test_an_alias_of_another_device_is_not_taken() -> None:
    node = _born()
    assert _take(node, "NDATA", _payload(2, _metric(9.0, alias=2))).samples == []


def test_a_changed_type_is_bad_until_a_birth_says_so() -> None:
    node = _born()
    out = _take(node, "NDATA", _payload(2, _metric("9", STRING, alias=1)))
    assert (out.samples[0].quality, out.samples[0].values) == ("bad", None)
    assert "Double to String" in out.samples[0].reason
    _take(node, "NBIRTH", _payload(0, _metric("9", STRING, name="level", alias=1)))
    untyped = dataclasses.replace(_metric(1.0, alias=1), kind=0)
    out = _take(node, "NDATA", _payload(1, untyped))
    assert out.samples[0].quality == "bad", "a birth that says text makes no number"


def test_deaths_are_told_and_an_old_death_is_not() -> None:
    node = _born(bd_seq=7)
    old = Payload(metrics=(_metric(6, INT64, name="bdSeq"),))
    assert _take(node, "NDEATH", old).samples == []
    assert not _take(node, "NDATA", _payload(2, _metric(1.0, alias=1))).rebirth
    out = _take(node, "DDEATH", _payload(3), "D")
    assert [(s.signal, s.reason) for s in out.samples] == [
        ("temp", "the device G/E/D is dead")
    ]
    out = _take(node, "NDEATH", Payload(metrics=(_metric(7, INT64, name="bdSeq"),)))
    assert {s.reason for s in out.samples} == {"the edge node G/E is dead"}
    assert _take(node, "NDATA", _payload(4, _metric(1.0, alias=1))).rebirth


@pytest.mark.parametrize(
    ("quality", "said"),
    [(192, "good"), (None, "good"), (500, "uncertain"), (64, "uncertain"), (0, "bad"), (2**40, "bad")],
)  # fmt: skip
def test_the_quality_property_counts(quality: int | None, said: str) -> None:
    node = _born()
    out = _take(node, "NDATA", _payload(2, _metric(1.0, alias=1, quality=quality)))
    assert out.samples[0].quality == said
    assert (out.samples[0].values is None) == (said == "bad")


def test_without_a_believable_time_the_receipt_counts_and_the_value_is_uncertain() -> (
    None
):
    node = _born()
    for time_ms in (None, 0, 2**63):
        payload = Payload(
            time_ms=time_ms, seq=2 + node_step(node),
            metrics=(_metric(1.0, alias=1, time_ms=time_ms),),
        )  # fmt: skip
        sample = _take(node, "NDATA", payload).samples[0]
        assert (sample.at_us, sample.quality) == (NOW_US, "uncertain")


def node_step(node: EdgeNode) -> int:
    return (node._next - 2) % 256


def test_a_birth_of_five_thousand_metrics_is_taken_whole() -> None:
    wanted = {
        Place("", f"m{n}"): Wanted(signal=f"m{n}", channels=1) for n in range(5000)
    }
    node = EdgeNode("G/E", wanted)
    metrics = tuple(_metric(float(n), name=f"m{n}", alias=n) for n in range(5000))
    data = sparkplug.encode(_payload(0, *metrics))
    out = _take(node, "NBIRTH", sparkplug.decode(data))
    assert [s.values[0] for s in out.samples if s.values is not None] == list(
        range(5000)
    )
