"""Figures and traces of builds and nights at a collector that speaks OTLP over HTTP."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Event, Thread

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from support.builds import without_checks
from support.logs import make_records, write_logs
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.flows.nights import telemetry

NIGHT = "2026-10-02T03:00:00"
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Collector:
    """What a collector was sent."""

    def __init__(self) -> None:
        self.address, self.bodies = "", dict[str, list[bytes]]()

    def values(self) -> Values:
        """The gauges by name and labels."""
        values: Values = {}
        for body in self.bodies.get("/v1/metrics", []):
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                assert [each.value.string_value for each in resource.resource.attributes] == [
                    "sluice"
                ]
                for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
                    for point in metric.gauge.data_points:
                        labels = sorted((a.key, a.value.string_value) for a in point.attributes)
                        value = point.as_double or float(point.as_int)
                        values[metric.name, tuple(labels)] = value
        return values

    def spans(self) -> dict[str, str | None]:
        """The names of spans, each with that of its parent."""
        spans = [
            span
            for body in self.bodies.get("/v1/traces", [])
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        names = {span.span_id: span.name for span in spans}
        assert all(0 < s.start_time_unix_nano <= s.end_time_unix_nano for s in spans)
        return {span.name: names.get(span.parent_span_id) for span in spans}


@contextmanager
def _serve(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://user:secret-7f3a@127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that takes all, and that the environment names."""
    collector = Collector()

    def take(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        collector.bodies.setdefault(request.path, []).append(body)
        request.send_response(200)
        request.end_headers()

    with _serve(take) as address:
        monkeypatch.setenv(telemetry.ENDPOINT, address)
        yield collector


@pytest.fixture
def folder(tmp_path: Path, recipe: WriteRecipe) -> Path:
    """A recipe with a night to build, and the records of its window."""
    write_logs(tmp_path / "logs", [make_records(130, datetime(2026, 10, 1, 12, tzinfo=UTC))])
    recipe(swaps={"since = 2026-10-01\nuntil = 2026-10-02": "last_days = 1"})
    return tmp_path


def test_a_night_sends_the_figures_of_the_prometheus_file_and_its_stages(
    folder: Path, sluice: RunSluice, collector: Collector
) -> None:
    file = folder / "sluice.prom"
    with without_checks():
        assert sluice("nightly", folder, "--now", NIGHT, "--metrics-file", file).code == 0
    families = text_string_to_metric_families(file.read_text())
    file_values = {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for family in families
        for each in family.samples
    }
    assert collector.values() == file_values
    assert file_values["sluice_nightly_records", (("recipe", "sums.toml"),)] == 130
    spans = collector.spans()
    assert (spans.pop("build"), {*spans.values()}) == (None, {"build"})
    assert {"pull", "select", "curate", "gate", "release"} <= {*spans}
    assert not any(b"What is" in body for bodies in collector.bodies.values() for body in bodies)


def test_a_build_sends_its_figures_also_if_it_fails(
    folder: Path, sluice: RunSluice, collector: Collector
) -> None:
    window = ("--since", "2026-10-01", "--until", "2026-10-02")
    assert sluice("build", folder / "sums.toml", *window).code == 0
    recipe = ("recipe", "sums.toml")
    values = collector.values()
    assert values["sluice_build_records", (recipe,)] == 130
    assert values["sluice_build_verdict", (recipe, ("verdict", "passed"))] == 1
    collector.bodies.clear()
    empty = ("--since", "2026-09-01", "--until", "2026-09-02")
    code = sluice("build", folder / "sums.toml", *empty).code
    values = collector.values()
    assert values["sluice_build_exit_code", (recipe,)] == code > 0
    assert values["sluice_build_verdict", (recipe, ("verdict", "failed"))] == 1


@pytest.mark.parametrize("kind", ["refuses", "hangs", "is not there"])
def test_a_collector_that_fails_costs_a_night_a_bounded_wait(
    folder: Path,
    sluice: RunSluice,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr(telemetry, "MAX_SEND_SECONDS", 0.5)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    is_over = Event()

    def fail(request: BaseHTTPRequestHandler) -> None:
        if kind == "hangs":
            is_over.wait()
        request.send_error(400)

    messages = StringIO()
    handler = logging.StreamHandler(messages)
    logging.getLogger().addHandler(handler)
    with _serve(fail) as address, without_checks():
        place = address if kind != "is not there" else "http://user:secret-7f3a@127.0.0.1:9"
        monkeypatch.setenv(telemetry.ENDPOINT, place)
        result = sluice("nightly", folder, "--now", NIGHT)
        is_over.set()
    assert result.code == 0
    assert result.err.count("metrics were not sent") == 1
    assert "secret-7f3a" not in result.err
    assert messages.getvalue() == ""  # of OpenTelemetry, which logs the address
    logging.getLogger().removeHandler(handler)


def test_without_a_collector_nothing_of_opentelemetry_is_loaded(
    folder: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(telemetry.ENDPOINT, raising=False)
    monkeypatch.setitem(sys.modules, "bedrock_sluice.flows.nights.otlp", None)
    with without_checks():
        assert "otel" not in sluice("nightly", folder, "--now", NIGHT).err
        monkeypatch.setenv(telemetry.ENDPOINT, "http://127.0.0.1:9")
        result = sluice("nightly", folder, "--now", NIGHT)
    assert (result.code, "install bedrock-sluice[otel]" in result.err) == (0, True)
