"""A law of the source: clear graphs have one way, and it goes past every check.

Read from the syntax tree, so that a new way of another author is met on the day it
is written.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tundish

SOURCE = Path(tundish.__file__).parent
# the line and its like; and the owner, who asks a package before it is written
OPENERS = ("flows/open_package.py", "flows/sealed.py")
# who may name what; everything else meets a refusal here
MAY: dict[str, set[str]] = {
    "InferenceSession": {"model/session.py"},
    "onnxruntime": {"model/session.py"},
    "clear_graph": {"model/package.py", *OPENERS},
    "graph_bytes": set(),  # public, for who must keep a graph: no verb does
    "open_into": {"seal/envelope.py"},
    "decrypt_into": {"seal/agefile.py", "seal/envelope.py", "model/cleargraph.py"},
    "ClearBytes": {"model/cleargraph.py"},
    "decrypted": {"model/package.py"},
    "GRAPH_AGE": {"model/package.py"},
}
# what is called while the clear bytes are held
HELD = {"Session", "clear_graph"}


# what the laws ask for; no other module is parsed, for that takes seconds
WORDS = {*MAY, *HELD, "decrypt"}


def may_say(text: str) -> bool:
    """Tell whether a module can name a word; Python folds letters beyond ASCII."""
    return not text.isascii() or any(word in text for word in WORDS)


@cache
def trees() -> dict[str, ast.Module]:
    sources = {path: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}
    assert len(sources) > 300
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(sources[path])
        for path in sorted(sources)
        if may_say(sources[path])
    }


@cache
def named() -> dict[str, set[str]]:
    """Return the names that each module mentions."""
    return {name: set(names_in(tree)) for name, tree in trees().items()}


def names_in(tree: ast.AST) -> Iterator[str]:
    """Return each name, attribute and import of a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("word", MAY)
def test_only_these_modules_touch_a_clear_graph(word: str) -> None:
    assert {name for name, words in named().items() if word in words} == MAY[word]


def test_envelopes_are_opened_whole_only_where_no_graph_goes_to_a_line() -> None:
    """Marked files beside a graph; the owner's last version, and own fingerprints."""
    openers = {
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "envelope.decrypt"
    }
    assert openers == {
        "model/marked.py",
        "flows/reuse.py",
        "flows/fingerprint_file.py",
    }


def called(tree: ast.AST) -> set[str]:
    """Return the last names of everything that is called in a tree."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            what = node.func
            found.add(
                what.attr if isinstance(what, ast.Attribute) else ast.unparse(what)
            )
    return found


def holders(tree: ast.AST) -> list[ast.With]:
    """Return the blocks that hold a clear graph."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and any("clear_graph" in names_in(item) for item in node.items)
    ]


def test_a_clear_graph_goes_into_a_session_and_nowhere_else() -> None:
    """Where it is held, nothing is called but the session (and the copy in package)."""
    blocks = {name: holders(tree) for name, tree in trees().items()}
    found = {name: some for name, some in blocks.items() if some}
    assert set(found) == {"model/package.py", *OPENERS}
    for block in (block for name in OPENERS for block in found[name]):
        assert called(block) == HELD
    assert [called(block) for block in found["model/package.py"]] == [
        {"clear_graph", "bytes", "memoryview"}
    ]


def test_opening_hardens_before_it_decrypts_and_checks_before_it_hands_out() -> None:
    tree = trees()["model/cleargraph.py"]
    body = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "decrypted"
    )
    lines = ast.unparse(body)
    order = [
        "harden()",
        "decrypt_into(",
        "check(clear.data)",
        "yield ClearGraph(data=clear",
    ]
    places = [lines.index(word) for word in order]
    assert places == sorted(places)
    assert lines.rindex("clear.wipe()") > places[-1]


@pytest.mark.parametrize(
    "text",
    [
        "import onnxruntime as o\no.InferenceSession('x')",
        "from onnxruntime import InferenceSession as S\nS('x')",
        "def f():\n    import onnxruntime.capi",
    ],
)
def test_the_law_sees_another_way(text: str) -> None:
    """So that it can fail."""
    assert may_say(text)
    assert "onnxruntime" in set(names_in(ast.parse(text)))


def test_a_word_in_letters_that_python_folds_is_seen() -> None:
    text = "from onnxruntime import a\n".replace("onnx", "\uff4fnnx")
    assert may_say(text)
    assert "onnxruntime" in set(names_in(ast.parse(text)))
