"""Metrics for Prometheus: requests, errors, seconds, texts and memory.

`prometheus_client` adds 1 MB. With several processes (PROMETHEUS_MULTIPROC_DIR) it adds up their counts.
"""

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts of one application; an answer's `endpoint` is one of the application's routes."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # process_resident_memory_bytes among others
        self._requests = Counter(
            "lowmem_sentiment_requests",
            "Requests by endpoint and status code",
            ["endpoint", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "lowmem_sentiment_request_seconds",
            "Seconds from a request's arrival at the application to the end of its answer",
            ["endpoint"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._texts = Counter("lowmem_sentiment_texts", "Texts predicted", registry=self._registry)

    def count(self, endpoint: str, code: int, seconds: float, texts: int) -> None:
        """Count an answer."""
        self._requests.labels(endpoint, str(code)).inc()
        self._seconds.labels(endpoint).observe(seconds)
        self._texts.inc(texts)

    def to_text(self) -> bytes:
        """Return all counts in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
