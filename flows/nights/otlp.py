"""Figures and traces as OTLP over HTTP. Needs the extra `otel`; sets nothing for the process."""

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import set_span_in_context

from bedrock_sluice.flows.nights.figures import Figure
from bedrock_sluice.flows.nights.stage_times import BuildTrace

SERVICE = "sluice"  # unless OTEL_SERVICE_NAME names another

# They log the address of the collector, which may hold a password.
_exporters = logging.getLogger("opentelemetry.exporter")
_exporters.addHandler(logging.NullHandler())
_exporters.propagate = False


def export(figures: Sequence[Figure], traces: Sequence[BuildTrace]) -> bool:
    """Send figures and traces; return whether the collector took them.

    Raises:
        Exception: Settings of OpenTelemetry are wrong.
    """
    resource = Resource({SERVICE_NAME: SERVICE}).merge(OTELResourceDetector().detect())
    return _export_figures(figures, resource) and _export_traces(traces, resource)


def _export_figures(figures: Sequence[Figure], resource: Resource) -> bool:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], resource, shutdown_on_exit=False).get_meter(SERVICE)
    gauges = {each.name: meter.create_gauge(each.name, description=each.text) for each in figures}
    for each in figures:
        gauges[each.name].set(each.value, each.labels)
    data = reader.get_metrics_data()
    if data is None:  # OpenTelemetry is switched off (OTEL_SDK_DISABLED)
        return True
    return OTLPMetricExporter().export(data) is MetricExportResult.SUCCESS


def _export_traces(traces: Sequence[BuildTrace], resource: Resource) -> bool:
    """Send a span for each build, with one for each of its stages."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer(SERVICE)
    for trace in traces:
        if not trace.spans:
            continue
        labels = {"recipe": trace.recipe}
        build = tracer.start_span("build", attributes=labels, start_time=trace.spans[0].start)
        context = set_span_in_context(build)
        for name, start, end in trace.spans:
            tracer.start_span(name, context, attributes=labels, start_time=start).end(end)
        build.end(trace.spans[-1].end)
    spans = kept.get_finished_spans()
    return not spans or OTLPSpanExporter().export(spans) is SpanExportResult.SUCCESS
