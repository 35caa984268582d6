"""Sending the figures of builds and nights to OpenTelemetry, with a span for each stage.

Nothing is sent unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set and the extra `otel` is installed. Best
effort: a collector neither fails nor holds up a run.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from threading import Thread

from bedrock_sluice.flows.nights.figures import Figure, build_figures
from bedrock_sluice.flows.nights.rows import build_row, failure_row
from bedrock_sluice.flows.nights.stage_times import BuildTrace, StageTimes
from bedrock_sluice.flows.running.runner import StageRunner
from bedrock_sluice.flows.running.stage_log import logger
from bedrock_sluice.flows.summary import summary
from bedrock_sluice.lake.releases.release import Release

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
MAX_SEND_SECONDS = 5.0  # what a run waits for a collector


def measure_build(
    recipe: str, run_stage: StageRunner, build: Callable[[StageRunner], Release]
) -> Release:
    """Build, and send the figures of the build, whether it gave a release or failed."""
    if not os.environ.get(ENDPOINT):
        return build(run_stage)
    times, row = StageTimes(), None
    try:
        release = build(times.wrap(run_stage))
        row = build_row(None, summary(release), times.seconds)
    except Exception as error:
        row = failure_row(None, error)
        raise
    finally:
        if row:  # else a signal stopped the build
            send(build_figures(recipe, row), [BuildTrace(recipe, times.spans)])
    return release


def send(figures: Iterable[Figure], traces: Sequence[BuildTrace]) -> None:
    """Send figures and traces to the collector that the environment names, if it names one.

    What fails, or takes longer than `MAX_SEND_SECONDS`, is logged, without the address, which may
    hold a password.
    """
    if not os.environ.get(ENDPOINT):
        return
    try:
        from bedrock_sluice.flows.nights.otlp import export  # noqa: PLC0415 - an extra
    except ImportError:
        logger.warning("%s is set, but no metrics are sent: install bedrock-sluice[otel]", ENDPOINT)
        return
    values, results = list(figures), list[bool]()

    def work() -> None:
        try:
            results.append(export(values, traces))
        except Exception:
            results.append(False)

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(MAX_SEND_SECONDS)
    if results != [True]:
        logger.warning("metrics were not sent: the collector of %s did not take them", ENDPOINT)
