"""Laws of lineage: what descends from a digest is found, and nothing else."""

from __future__ import annotations

from tundish.kernel.digest import Digest, of_bytes
from tundish.ledger import lineage
from tundish.ledger.record import Entry

DATA, GRAPH, PACKAGE, OTHER = (
    of_bytes(name) for name in (b"data", b"graph", b"package", b"other")
)
AT = "2026-05-04T06:00:00Z"


def entry(
    act: str,
    inputs: tuple[Digest, ...],
    outputs: tuple[Digest, ...] = (),
    outcome: str = "done",
) -> Entry:
    return Entry.model_validate(
        {
            "at": AT,
            "act": act,
            "actor": "x",
            "inputs": inputs,
            "outputs": outputs,
            "outcome": outcome,
            "names": dict.fromkeys(outputs, f"name of {act}"),
        }
    )


LOG = list(
    enumerate(
        [
            entry("data-fetched", (), (DATA,)),
            entry("trained", (DATA,), (GRAPH,)),
            entry("graded", (OTHER,), ()),
            entry("package-sealed", (GRAPH, DATA), (PACKAGE,)),
            entry("package-opened", (PACKAGE,), (OTHER,), "refused"),
            entry("line-started", (PACKAGE,)),
        ]
    )
)


def test_all_that_descends_is_found_with_its_depth() -> None:
    found = lineage.reach(LOG, DATA)
    assert found.name == "name of data-fetched"
    assert [(item.digest, item.depth, item.act) for item in found.relatives] == [
        (GRAPH, 1, "trained"),
        (PACKAGE, 1, "package-sealed"),
    ]
    assert [item.act for item in found.touches] == [
        "trained",
        "package-sealed",
        "package-opened",
        "line-started",
    ]


def test_a_refused_act_makes_nothing_descend() -> None:
    found = lineage.reach(LOG, PACKAGE)
    assert found.relatives == ()
    assert [item.outcome for item in found.touches] == ["refused", "done"]


def test_ancestry_goes_the_other_way() -> None:
    found = lineage.ancestry(LOG, PACKAGE)
    assert [item.digest for item in found.relatives] == [GRAPH, DATA]
    assert lineage.ancestry(LOG, DATA).relatives == ()


def test_a_cycle_ends_and_the_order_of_the_log_does_not_matter() -> None:
    log = [*LOG, (6, entry("trained", (PACKAGE,), (DATA,)))]
    there = {item.digest for item in lineage.reach(log, DATA).relatives}
    back = {item.digest for item in lineage.reach(reversed(log), DATA).relatives}
    assert there == back == {GRAPH, PACKAGE}


def test_an_unknown_digest_reaches_nothing() -> None:
    found = lineage.reach(LOG, of_bytes(b"nobody"))
    assert (found.relatives, found.touches, found.name) == ((), (), "")
