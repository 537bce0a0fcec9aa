"""Read YAML documents of untrusted origin into strict records.

YAML is read as its JSON subset: no anchors, aliases, tags, dates or ``yes``/``no``
booleans, no duplicate keys. What remains is validated strictly by pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

try:  # libyaml: a tenth of the time, which a line of 1,000 tags spends at its start
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML was built without it
    from yaml import SafeLoader  # type: ignore[assignment]

from tundish.catalog.errors import DocumentInvalidError
from tundish.kernel import canonical, paths
from tundish.kernel.errors import DocumentMalformedError, NotCanonicalError

T = TypeVar("T", bound=BaseModel)

MAX_BYTES = 1024 * 1024
MAX_ERRORS_SAID = 5


def read_document(path: Path, model: type[T]) -> T:
    """Read a YAML file into a record.

    Raises:
        PathMissingError: if there is no such file.
        DocumentMalformedError: if it is no (safe) YAML.
        DocumentInvalidError: if it breaks the schema; names the path of each key.
    """
    return parse_document(paths.read_file(path), model, str(path))


def parse_document(data: bytes, model: type[T], origin: str) -> T:
    """Read YAML bytes into a record; ``origin`` names them in messages.

    Raises:
        DocumentMalformedError, DocumentInvalidError: as ``read_document``.
    """
    return parse_value(parse_yaml(data, origin), model, origin)


def parse_value(value: canonical.Json, model: type[T], origin: str) -> T:
    """Return the record of a part of a document that was read; no text is read again.

    Raises:
        DocumentMalformedError, DocumentInvalidError: as ``read_document``.
    """
    try:
        return model.model_validate_json(canonical.dumps(value))
    except NotCanonicalError as error:
        msg = f"{origin} holds a value that no document may have: {error.message}"
        raise DocumentMalformedError(msg) from error
    except ValidationError as error:
        raise DocumentInvalidError(_said(error, model, origin)) from error


def parse_yaml(data: bytes, origin: str) -> canonical.Json:
    """Return the JSON value of YAML bytes.

    Raises:
        DocumentMalformedError: if the bytes are no YAML of the JSON subset.
    """
    if len(data) > MAX_BYTES:
        msg = f"{origin} has {len(data)} bytes; a document has at most {MAX_BYTES}."
        raise DocumentMalformedError(msg)
    if data.startswith(b"{"):
        # JSON is read as JSON: a contract of 1,000 signals takes 3 s as YAML
        with suppress(DocumentMalformedError):  # YAML's rules say better where
            return canonical.loads(data)
    try:
        text = data.decode("utf-8-sig")
        _refuse_sharing(text, origin)
        value: canonical.Json = yaml.load(text, Loader=_JsonLoader)  # noqa: S506  (a SafeLoader with less)
    except UnicodeDecodeError as error:
        msg = f"{origin} is no UTF-8 text."
        raise DocumentMalformedError(msg) from error
    except yaml.YAMLError as error:
        raise DocumentMalformedError(_where(error, origin)) from error
    except ValueError as error:  # Python reads no number of so many digits
        msg = f"{origin} cannot be read: {error}."
        raise DocumentMalformedError(msg) from error
    return value


class _JsonLoader(SafeLoader):
    """A safe loader that knows only what JSON knows."""


# YAML 1.1 would read 06:00 as 360, no as false and 2020-01-01 as a date.
_JSON_FORMS = {
    "null": (r"(?:null|~|)$", ["n", "~", ""]),
    "bool": (r"(?:true|false)$", ["t", "f"]),
    "int": (r"-?(?:0|[1-9][0-9]*)$", list("-0123456789")),
    "float": (
        r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$",
        list("-0123456789"),
    ),
}
_JsonLoader.yaml_implicit_resolvers = {}
for _kind, (_form, _letters) in _JSON_FORMS.items():
    _JsonLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(_form), _letters
    )


def _mapping(loader: _JsonLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = str(key_node.value)
        if key in seen or not isinstance(key_node, yaml.ScalarNode):
            problem = f"the key {key!r} stands twice or is no text"
            raise yaml.constructor.ConstructorError(
                None, None, problem, key_node.start_mark
            )
        seen.add(key)
    pairs = loader.construct_mapping(node, deep=True)
    return {str(key): value for key, value in pairs.items()}


_JsonLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _refuse_sharing(text: str, origin: str) -> None:
    """Refuse anchors, aliases, tags, and nesting that would stop or slow the loader.

    The loader's time grows with the square of the depth: a megabyte of brackets would
    keep it busy for hours. The events come one by one, so this stops at the limit.
    """
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > canonical.MAX_DEPTH:
            msg = f"{origin} is nested deeper than {canonical.MAX_DEPTH} levels."
            raise DocumentMalformedError(msg)
        shared = isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)
        if shared or (getattr(event, "tag", None) or "!").startswith("tag:"):
            mark = event.start_mark
            line = f" in line {mark.line + 1}" if mark else ""
            msg = f"{origin} uses a YAML anchor, alias or tag{line}; plain values were expected."
            raise DocumentMalformedError(msg)


def _where(error: yaml.YAMLError, origin: str) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it is no YAML"
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{origin} cannot be read{place}: {problem}."


def _said(error: ValidationError, model: type[BaseModel], origin: str) -> str:
    every = error.errors(include_url=False)
    above = {
        detail["loc"][:end] for detail in every for end in range(len(detail["loc"]))
    }
    # where a deeper place is wrong as well, that is the cause
    details = [detail for detail in every if detail["loc"] not in above]
    # a misspelt key makes another one missing: say the unknown first
    details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
    parts = [_one(detail) for detail in details[:MAX_ERRORS_SAID]]
    more = len(details) - len(parts)
    tail = f"; and {more} more" if more > 0 else ""
    return f"{origin} is not a valid {model.__name__}: {'; '.join(parts)}{tail}."


def _one(detail: ErrorDetails) -> str:
    path = key_path(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{path} is not a known key"
    if detail["type"] == "missing":
        return f"{path} is missing"
    found = repr(detail["input"])
    found = found if len(found) <= 60 else found[:57] + "..."
    message = detail["msg"].removeprefix("Value error, ").rstrip(".")
    if not detail["loc"] or isinstance(detail["input"], dict):
        return message if not detail["loc"] else f"{path}: {message}"
    return f"{path}: {message} (found {found})"


def key_path(location: tuple[int | str, ...]) -> str:
    """Return ``signals[0].range`` for ``("signals", 0, "range")``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path or "the document"
