"""What a render service counts, for Prometheus.

In: events of the service. Out: the text of `/metrics`. Labels are reasons, kinds and status codes only: nothing of a
page and no client's name. Memory is read when somebody asks, 1 ms a process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from artifactscoder.render.page import Verdict
from artifactscoder.render.pool import RenderPool

PREFIX = "artifactscoder_render_"
SECONDS = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30)
WAITS = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120)
TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The counters of one worker; a worker that was started again counts from nothing, as Prometheus expects."""

    def __init__(self, pool: RenderPool, restarts: int) -> None:
        self.registry = CollectorRegistry()
        self.pages = self._counter("pages", "Pages with a verdict, by its reason.", "reason")
        self.failures = self._counter("failures", "Pages without a verdict, by what failed around them.", "kind")
        self.refused = self._counter("refused", "Requests refused before rendering, by HTTP status.", "status")
        self.probes = self._counter("probes", "Pages of the service's own, by outcome.", "outcome")
        self.page_requests = self._counter("page_requests", "Requests that pages made, by outcome.", "outcome")
        self.seconds = Histogram(
            PREFIX + "seconds", "Real time of a page in a browser.", buckets=SECONDS, registry=self.registry
        )
        self.wait = Histogram(
            PREFIX + "wait_seconds", "Time of a page in the queue.", buckets=WAITS, registry=self.registry
        )
        self.queue = self._gauge("queue_length", "Pages that wait.")
        self.in_flight = self._gauge("in_flight", "Pages in browsers.")
        self.clients = self._gauge("clients_waiting", "Clients with pages that wait.")
        self.ready = self._gauge("ready", "1 if a browser rendered a page of late, else 0.")
        self.registry.register(_Browsers(pool))
        self._gauge("worker_restarts", "How often the supervisor started the worker again.").set(restarts)
        for kind in ("unavailable", "abandoned"):
            self.failures.labels(kind)

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(PREFIX + name, text, [label], registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(PREFIX + name, text, registry=self.registry)

    def page(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.pages.labels(verdict.reason).inc()
        self.seconds.observe(verdict.seconds)
        self.page_requests.labels("refused").inc(verdict.requests_refused_count)
        self.page_requests.labels("mirrored").inc(verdict.requests_mirrored_count)

    def text(self) -> bytes:
        """The exposition; blocks for some ms, so ask for it in a thread."""
        return generate_latest(self.registry)


class _Browsers(Collector):
    """What is read at the moment of asking."""

    def __init__(self, pool: RenderPool) -> None:
        self._pool = pool

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        running = [browser for browser in self._pool.running() if not browser.lost]
        yield GaugeMetricFamily(PREFIX + "browsers", "Browsers that run.", len(running))
        ended = CounterMetricFamily(PREFIX + "browsers_replaced", "Browsers replaced, by why.", labels=["why"])
        for why, count in list(self._pool.ended.items()):
            ended.add_metric([why], count)
        yield ended
        memory = GaugeMetricFamily(PREFIX + "memory_bytes", "Memory held, by whom.", labels=["of"])
        memory.add_metric(["browsers"], sum(browser.memory_mb() for browser in running) * 2**20)
        memory.add_metric(["service"], _resident())
        yield memory


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
