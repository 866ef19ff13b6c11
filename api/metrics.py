"""What an operator's Prometheus reads: requests by route template, lessons by how far they are. No names, no ids, no schools."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from archive.catalog import Catalog
from archive.errors import Unavailable

_COUNTED = 500  # listings are cut off here; more waiting than that is an alarm either way
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """A registry of its own: two apps in one process count apart."""

    def __init__(self, catalog: Catalog) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("huikan_http_requests_total", "Requests answered", labels, registry=self._registry)
        self.seconds = Histogram(
            "huikan_http_request_seconds",
            "Time until the last byte was handed over",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self.open_bodies = Gauge("huikan_media_open", "Media files being sent", registry=self._registry)
        self._registry.register(_OfCatalog(catalog))

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
        self.requests.labels(known, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _OfCatalog(Collector):
    """Counted when asked. Nothing, if the catalog cannot be read: the other figures are worth more just then."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def describe(self) -> Iterator[Metric]:
        """None beforehand: registering must not read the catalog."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        try:
            yield from self._read()
        except Unavailable:
            return

    def _read(self) -> Iterator[Metric]:
        lessons = GaugeMetricFamily("huikan_lessons", "Lessons by the furthest stage they reached", labels=["stage"])
        for stage, count in self._by_stage().items():
            lessons.add_metric([stage], count)
        yield lessons
        waiting = len(self._catalog.arrivals.waiting(_COUNTED))
        yield GaugeMetricFamily("huikan_arrivals_waiting", f"Uploads not taken in yet (up to {_COUNTED})", waiting)
        refused = len(self._catalog.arrivals.refused(_COUNTED))
        yield GaugeMetricFamily("huikan_refused", f"Uploads that became no lesson (up to {_COUNTED})", refused)
        obstacles = GaugeMetricFamily("huikan_obstacles", "Steps that wait, by step and cause", labels=["step", "code"])
        found: dict[tuple[str, str], int] = {}
        for obstacle in self._catalog.outputs.obstacles():
            found[obstacle.step, obstacle.code] = found.get((obstacle.step, obstacle.code), 0) + 1
        for key, count in found.items():
            obstacles.add_metric(list(key), count)
        yield obstacles

    def _by_stage(self) -> dict[str, int]:
        found = {"received": 0, "published": 0, "searchable": 0}
        for lesson in self._catalog.lessons.every():
            if lesson.published_at is None:
                found["received"] += 1
            else:
                found["searchable" if lesson.searchable_at else "published"] += 1
        return found
