"""Laws of policies: who must have signed, and that nobody signs for two."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tundish.catalog.documents import parse_document
from tundish.catalog.errors import DocumentInvalidError
from tundish.kernel.digest import Digest, of_bytes
from tundish.seal.errors import PolicyInvalidError, PolicyUnmetError
from tundish.seal.policy import Policy, PolicyFile

OWNER, LI, WANG = (of_bytes(name) for name in (b"owner", b"li", b"wang"))
IDS = {"owner": OWNER, "li": LI, "wang": WANG}
TEXT = """format: tundish.policy
version: 1
keys: {owner: owner.pub, li: li.pub, wang: wang.pub}
rules:
  - products: "C34.*"
    roles:
      maker: {keys: [owner]}
      quality: {keys: [li, wang], at_least: 1}
  - products: "*pump"
    roles:
      all: {keys: [owner, li, wang], at_least: 2}
"""


def policy(text: str = TEXT, ids: dict[str, Digest] | None = None) -> Policy:
    said = parse_document(text.encode(), PolicyFile, "policy.yaml")
    return Policy(rules=said.rules, ids=ids or IDS)


@pytest.mark.parametrize(
    ("product", "signed", "missing"),
    [
        ("C34.27.pump", {OWNER, LI}, ""),
        ("C34.27.pump", {OWNER, WANG}, ""),
        ("C34.27.pump", {OWNER}, "quality"),
        ("C34.27.pump", {LI, WANG}, "maker"),
        ("C34.27.fan", {OWNER}, "quality"),
        ("C25.1.pump", {OWNER}, "all"),
        ("C25.1.pump", {WANG, LI}, ""),
        ("C25.1.valve", set(), ""),
        ("c34.27.fan", set(), ""),
    ],
)
def test_every_rule_that_fits_the_product_must_be_met(
    product: str, signed: set[Digest], missing: str
) -> None:
    if not missing:
        policy().check(product, signed)
        return
    with pytest.raises(PolicyUnmetError, match=f"lacks the role {missing}: "):
        policy().check(product, signed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("at_least: 1", "at_least: 3"), "3 must sign"),
        (("at_least: 1", "at_least: 0"), "at_least"),
        (("[li, wang], at_least: 1", "[li, li], at_least: 1"), "named twice"),
        (("[li, wang], at_least: 1", "[li, owner]"), "two roles of one rule"),
        (("[li, wang], at_least: 1", "[li, chen]"), "chen"),
        (("[li, wang], at_least: 1", "[]"), "keys"),
        (("at_least: 1", "atleast: 1"), r"rules\[0\].roles.quality.atleast"),
        (("version: 1", "version: 2"), "version"),
        (("rules:", "rules: []\nother:"), "rules"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused_with_its_place(
    change: tuple[str, str], said: str
) -> None:
    with pytest.raises(DocumentInvalidError, match=said):
        policy(TEXT.replace(*change))


def test_one_key_under_two_names_is_refused() -> None:
    with pytest.raises(PolicyInvalidError, match="li and wang"):
        policy(ids={**IDS, "wang": LI})


def lead(changes: dict[Digest, Digest]) -> Callable[[Digest], Digest]:
    return lambda key: changes.get(key, key)


def test_two_keys_of_one_subject_are_one_pair_of_eyes() -> None:
    """A policy may name each by its id; the certificates say that both are Li's."""
    li, other = of_bytes(b"CN=Li"), of_bytes(b"CN=Wang")
    with pytest.raises(PolicyUnmetError, match="lacks the role all: 1 of 2"):
        policy().check("C25.1.pump", {LI, WANG}, persons={LI: li, WANG: li})
    policy().check("C25.1.pump", {LI, WANG}, persons={LI: li, WANG: other})
    policy().check("C34.27.pump", {OWNER, LI, WANG}, persons={LI: li, WANG: li})
    with pytest.raises(PolicyInvalidError, match="one person two roles"):
        policy().check("C34.27.pump", {OWNER, LI}, persons={LI: li, OWNER: li})


def test_a_key_and_its_successor_are_one_pair_of_eyes() -> None:
    new = of_bytes(b"li's new key")
    policy().check("C34.27.pump", {OWNER, new}, lead({new: LI}))
    with pytest.raises(PolicyUnmetError, match="lacks the role all: 1 of 2"):
        policy().check("C25.1.pump", {LI, new}, lead({new: LI}))
    with pytest.raises(PolicyInvalidError, match="one line of keys"):
        policy().check("C34.27.pump", {OWNER, LI}, lead({LI: OWNER}))
