"""Who must have signed what: the rules of four eyes.

A policy says for products which roles must have signed, and how many keys of each.
Rules add up: a package must meet every rule that fits its product. Within a rule a key
plays one role only, so one person cannot sign for two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from tundish.kernel.digest import Digest, is_digest
from tundish.kernel.records import Record
from tundish.seal.errors import PolicyInvalidError, PolicyUnmetError

Name: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")
]


class Role(Record):
    """Keys that may sign in a role, and how many of them must have."""

    keys: Annotated[tuple[Name, ...], Field(min_length=1)]
    at_least: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _can_be_met(self) -> Role:
        if len(set(self.keys)) != len(self.keys):
            msg = "a key is named twice in the role"
            raise ValueError(msg)
        if self.at_least > len(self.keys):
            msg = f"{self.at_least} must sign, and the role has {len(self.keys)} keys"
            raise ValueError(msg)
        return self


class Rule(Record):
    """What packages of some products must carry.

    Attributes:
        products: A pattern of product names: ``*``, ``?`` and ``[...]`` as in a shell.
        roles: Who must have signed.
    """

    products: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    roles: Annotated[dict[Name, Role], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_role_each(self) -> Rule:
        players = [key for role in self.roles.values() for key in role.keys]
        twice = sorted({key for key in players if players.count(key) > 1})
        if twice:
            msg = f"the key {twice[0]} plays two roles of one rule"
            raise ValueError(msg)
        return self


class UnderCa(Record):
    """A person or a key under a certificate authority.

    Attributes:
        ca: The file of the CA's X.509 certificate (PEM), relative to the policy.
        subject: The whole subject of the person's certificate; or
        key: the id of the key (``sha256:...``).
    """

    ca: Annotated[str, StringConstraints(min_length=1, max_length=240)]
    subject: Annotated[str, StringConstraints(min_length=1, max_length=400)] | None = (
        None
    )
    key: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> UnderCa:
        if (self.subject is None) == (self.key is None):
            msg = "a key under a CA is named by its subject or by its id"
            raise ValueError(msg)
        if self.key is not None and not is_digest(self.key):
            msg = f"{self.key[:80]!r} is no id of a key"
            raise ValueError(msg)
        return self


class PolicyFile(Record):
    """The form of ``policy.yaml``.

    Attributes:
        keys: A name for each key: a file with its public half (PEM) relative to the
            policy, its id (``sha256:...``) if it is trusted here already, or a person
            or key under a CA.
        rules: All rules that fit a product must be met.
    """

    format: Literal["tundish.policy"]
    version: Literal[1]
    keys: dict[
        Name,
        Annotated[str, StringConstraints(min_length=1, max_length=240)] | UnderCa,
    ]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _keys_are_known(self) -> PolicyFile:
        for number, rule in enumerate(self.rules):
            for name, role in rule.roles.items():
                unknown = sorted(set(role.keys) - set(self.keys))
                if unknown:
                    msg = f"rules[{number}].roles.{name} names the key {unknown[0]}, which 'keys' does not define"
                    raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Rules with the ids of their keys.

    Attributes:
        rules: From the policy file.
        ids: Id of the key behind each name, or of the person under a CA
            (``chain.person``).
    """

    rules: tuple[Rule, ...]
    ids: Mapping[str, Digest]

    def __post_init__(self) -> None:
        """Refuse two names for one key: it would count as two pairs of eyes.

        Raises:
            PolicyInvalidError.
        """
        by_id: dict[Digest, str] = {}
        for name, key_id in self.ids.items():
            other = by_id.setdefault(key_id, name)
            if other != name:
                msg = f"The policy names the same key twice: {other} and {name}."
                raise PolicyInvalidError(msg)

    def check(
        self,
        product: str,
        signers: AbstractSet[Digest],
        origin: Callable[[Digest], Digest] = lambda key: key,
        persons: Mapping[Digest, Digest] | None = None,
    ) -> None:
        """Refuse a product whose signatures are not enough.

        Args:
            product: The product's name.
            signers: Ids of the keys that have signed and count.
            origin: First key of the line of rotated keys to which a key belongs; a key
                and its successor are one pair of eyes.
            persons: Who holds a key by its X.509 certificate.

        Raises:
            PolicyUnmetError: naming the role that is missing.
            PolicyInvalidError: if one signer is named twice, by key and by subject.
        """
        held = persons or {}
        eyes = [{origin(key), held.get(key, origin(key))} for key in signers]
        people = _merged(eyes)
        for rule in self.rules:
            if not fnmatchcase(product, rule.products):
                continue
            players = self._players(rule, origin)
            _check_one_name_each(eyes, players)
            _check_one_role_each(people, players)
            for name, role in rule.roles.items():
                signed = [names for names in people if names & players[name]]
                if len(signed) < role.at_least:
                    msg = (
                        f"The package {product} lacks the role {name}: {len(signed)} of "
                        f"{role.at_least} needed have signed ({', '.join(role.keys)} may)."
                    )
                    raise PolicyUnmetError(msg)

    def _players(
        self, rule: Rule, origin: Callable[[Digest], Digest]
    ) -> dict[str, set[Digest]]:
        found: dict[str, set[Digest]] = {}
        taken: dict[Digest, str] = {}
        for name, role in rule.roles.items():
            for key in role.keys:
                first = origin(self.ids[key])
                other = taken.setdefault(first, name)
                if other != name:
                    msg = f"The roles {other} and {name} of the policy lead to one line of keys."
                    raise PolicyInvalidError(msg)
                found.setdefault(name, set()).add(first)
        return found


def _merged(eyes: Sequence[set[Digest]]) -> list[set[Digest]]:
    """Return all that names each person, though several keys of one have signed."""
    people: list[set[Digest]] = []
    for names in eyes:
        same = [one for one in people if one & names]
        people = [one for one in people if not one & names]
        people.append(names.union(*same))
    return people


def _check_one_role_each(
    people: Sequence[AbstractSet[Digest]], players: Mapping[str, AbstractSet[Digest]]
) -> None:
    for names in people:
        if sum(bool(names & keys) for keys in players.values()) > 1:
            msg = "The policy gives one person two roles, by two keys of one subject."
            raise PolicyInvalidError(msg)


def _check_one_name_each(
    eyes: Sequence[AbstractSet[Digest]], players: Mapping[str, AbstractSet[Digest]]
) -> None:
    named = set().union(*players.values())
    if any(len(names & named) > 1 for names in eyes):
        msg = (
            "The policy names one signer twice: by the key, and as a person under a CA."
        )
        raise PolicyInvalidError(msg)
