"""Speed of sealing beside the raw work that it cannot avoid, as ratios of one run.

Each pair (ours, raw) is run in turns and the median of each is compared, so that a busy
moment of the machine meets both. Signing and verifying are held against ``hashlib`` over
the same bytes, encryption against raw pyrage, opening a graph of about 40 MB against raw
decryption plus a plain session load from bytes.

    python bench/seal.py [--rounds 9] [--megabytes 40] [--page FILE]
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyrage
import pyrage.x25519

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tundish.kernel import clock, settings  # noqa: E402

settings.silence_onnxruntime()

import onnx  # noqa: E402 -- only now is the runtime silent
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.model.conftest import Desk  # noqa: E402

from tundish.model import package, session  # noqa: E402
from tundish.model.golden import Golden  # noqa: E402
from tundish.model.session import Session  # noqa: E402
from tundish.seal import envelope, model_signature  # noqa: E402
from tundish.seal.keys import SigningKey  # noqa: E402
from tundish.seal.model_signature import facts_of  # noqa: E402
from tundish.seal.statement import make_statement  # noqa: E402

ROWS, CHANNELS, WIDTH = 2, 32, 1024
NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)

Work = Callable[[], object]


@dataclass(frozen=True)
class Pair:
    """Ours and the raw work, and what their ratio should be.

    Attributes:
        name: For the page.
        raw_name: What the raw work is.
        ours, raw: The work.
        speed: Whether the aim is a share of the raw speed (at least), else a
            multiple of the raw time (at most).
        aim: That share or multiple.
    """

    name: str
    raw_name: str
    ours: Work
    raw: Work
    speed: bool
    aim: float


def make_graph(megabytes: int) -> bytes:
    """Return a graph of dense layers with random weights of about this size."""
    rng = np.random.default_rng(1)
    flat = ROWS * CHANNELS
    layers = max(1, megabytes * 1_000_000 // (4 * WIDTH * WIDTH))
    sizes = [flat, *[WIDTH] * (layers + 1)]
    nodes = [helper.make_node("Flatten", ["window"], ["h0"], axis=1)]
    weights: list[onnx.TensorProto] = []
    for at, (low, high) in enumerate(pairwise(sizes)):
        values = rng.standard_normal((low, high)).astype(np.float32) / np.sqrt(low)
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{at}"))
        nodes.append(helper.make_node("MatMul", [f"h{at}", f"w{at}"], [f"m{at}"]))
        nodes.append(helper.make_node("Tanh", [f"m{at}"], [f"h{at + 1}"]))
    last = f"h{len(sizes) - 1}"
    nodes.append(
        helper.make_node("ReduceMean", [last], ["estimate"], axes=[1], keepdims=1)
    )
    window = helper.make_tensor_value_info(
        "window", TensorProto.FLOAT, ["N", ROWS, CHANNELS]
    )
    estimate = helper.make_tensor_value_info("estimate", TensorProto.FLOAT, ["N", 1])
    graph = helper.make_graph(nodes, "large", [window], [estimate], weights)
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    return bytes(made.SerializeToString())


def plain_session(graph: bytes) -> object:
    """Load a graph as anybody would: from bytes, one thread, nothing checked."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        graph, sess_options=options, providers=["CPUExecutionProvider"]
    )


def pairs(graph: bytes) -> list[Pair]:
    """Return what is compared, over one graph."""
    key, identity = SigningKey.generate(), envelope.new_identity()
    secret = pyrage.x25519.Identity.from_str(identity.secret.reveal())
    recipient = pyrage.x25519.Recipient.from_str(identity.recipient)
    window = np.zeros((1, ROWS, CHANNELS), np.float32)
    golden: Golden = session.make_golden(graph, window)
    statement = make_statement(
        product="bench",
        version=1,
        not_after=clock.to_text(NOW + timedelta(days=1)),
        created_at=clock.to_text(NOW),
    )
    sealed = envelope.encrypt(graph, [identity.recipient])

    def sign() -> bytes:
        return model_signature.sign({"graph.onnx": facts_of(graph)}, statement, key)

    signature = sign()

    def verify() -> None:
        found = model_signature.verify(signature, [key.public])
        if facts_of(graph) != found.files["graph.onnx"]:
            raise AssertionError

    def hashed() -> object:
        return hashlib.sha256(graph).hexdigest()

    made = Desk(key, identity, golden, graph).build()
    closed = made.files[package.GRAPH_AGE]

    def opened() -> Session:
        with package.clear_graph(made, identity) as clear:
            return Session(clear.data, made.golden)

    return [
        Pair("signing", "SHA-256 of hashlib", sign, hashed, True, 0.8),
        Pair("verifying", "SHA-256 of hashlib", verify, hashed, True, 0.8),
        Pair(
            "encrypting", "pyrage.encrypt",
            lambda: envelope.encrypt(graph, [identity.recipient]),
            lambda: pyrage.encrypt(graph, [recipient]), True, 0.8,
        ),
        Pair(
            "decrypting", "pyrage.decrypt",
            lambda: envelope.decrypt(sealed, identity),
            lambda: pyrage.decrypt(sealed, [secret]), True, 0.8,
        ),
        Pair(
            "opening", "pyrage.decrypt and a plain session from bytes",
            opened, lambda: plain_session(pyrage.decrypt(closed, [secret])), False, 1.1,
        ),
    ]  # fmt: skip


def seconds(work: Work) -> float:
    """Return how long one run took; what it made is freed outside of that."""
    gc.collect()
    start = time.perf_counter()
    made = work()
    took = time.perf_counter() - start
    del made
    return took


def measure(pair: Pair, rounds: int) -> tuple[float, float]:
    """Return the medians of ours and of the raw work, run in turns after one warm-up."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        order = ((0, pair.ours), (1, pair.raw))
        for place, work in order if number % 2 else reversed(order):
            took = seconds(work)
            if number:
                times[place].append(took)
    return statistics.median(times[0]), statistics.median(times[1])


def line(pair: Pair, ours: float, raw: float) -> tuple[str, bool]:
    """Return a row of the page, and whether the aim is met."""
    ratio = raw / ours if pair.speed else ours / raw
    met = ratio >= pair.aim if pair.speed else ratio <= pair.aim
    unit = "of the speed" if pair.speed else "x the time"
    bound = "at least" if pair.speed else "at most"
    text = (
        f"| {pair.name} | {ours * 1000:.1f} | {pair.raw_name} | {raw * 1000:.1f} "
        f"| {ratio:.2f} {unit} | {bound} {pair.aim:g} | {'yes' if met else '**no**'} |"
    )
    return text, met


def page(rows: Sequence[str], size: int, rounds: int) -> str:
    """Return the page."""
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("cryptography", "pyrage", "onnxruntime")
    )
    busy = f"{os.getloadavg()[0]:.0f} processes ran on {os.cpu_count()} cores"
    machine = f"Python {platform.python_version()}, {platform.machine()}; {busy}"
    head = [
        "# Speed of sealing",
        "",
        "Written by `make bench-seal`. Each piece of work beside the raw work that nobody",
        "can avoid, in one run and in turns; medians. One core.",
        "",
        f"Graph of {size / 1e6:.1f} MB with random weights; {rounds} rounds; {machine}; "
        f"{versions}.",
        "",
        "| work | ms | raw work | ms | ratio | aim | met |",
        "|---|---|---|---|---|---|---|",
    ]
    tail = [
        "",
        "Signing and verifying include reading each byte once for its digest. Opening",
        "includes decryption, the digest that the card names, the check of the graph, the",
        "runtime's load, the golden answer and wiping the clear bytes; the raw work has none",
        "of the checks. It takes less time than the raw work because Tundish opens age files",
        "itself, with the ciphers of cryptography, into memory of its own.",
    ]
    return "\n".join([*head, *rows, *tail]) + "\n"


def main() -> int:
    """Measure, print, write the page; exit code 1 if an aim is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--megabytes", type=int, default=40)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    graph = make_graph(given.megabytes)
    rows, missed = [], 0
    for pair in pairs(graph):
        text, met = line(pair, *measure(pair, given.rounds))
        print(text, flush=True)
        rows.append(text)
        missed += not met
    if given.page:
        given.page.write_text(page(rows, len(graph), given.rounds), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
