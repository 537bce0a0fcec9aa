"""Counts of a server in the text form that Prometheus reads."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

BOUNDS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
)  # fmt: skip


class Metrics:
    """Counts since the server started; labels are ours, never a client's text."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.abstained: Counter[str] = Counter()
        self.rows = 0
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def answered(self, route: str, status: int, took_s: float) -> None:
        """Count a request; the time of an inference goes into the histogram."""
        self.requests[route, status] += 1
        if route == "infer":
            self._buckets[bisect_left(BOUNDS_S, took_s)] += 1
            self._sum_s += took_s

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> bytes:
        """Return all counts.

        Args:
            gauges: Further numbers by name, each with what it says.
        """
        return ("\n".join(self._lines(gauges)) + "\n").encode()

    def _lines(self, gauges: Mapping[str, tuple[str, float]]) -> Iterator[str]:
        yield from _head("tundish_requests_total", "counter", "Requests answered.")
        for (route, status), count in sorted(self.requests.items()):
            yield f'tundish_requests_total{{route="{route}",status="{status}"}} {count}'
        yield from _head("tundish_rows_total", "counter", "Windows asked about.")
        yield f"tundish_rows_total {self.rows}"
        yield from _head(
            "tundish_abstained_total", "counter", "Windows without a number, by reason."
        )
        for why, count in sorted(self.abstained.items()):
            yield f'tundish_abstained_total{{why="{why}"}} {count}'
        name = "tundish_infer_seconds"
        yield from _head(name, "histogram", "Time to answer an inference request.")
        total = 0
        for bound, count in zip((*BOUNDS_S, "+Inf"), self._buckets, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum_s:.6f}"
        yield f"{name}_count {total}"
        for key, (said, value) in gauges.items():
            yield from _head(key, "gauge", said)
            yield f"{key} {value:.10g}"


def _head(name: str, kind: str, said: str) -> tuple[str, str]:
    return f"# HELP {name} {said}", f"# TYPE {name} {kind}"
