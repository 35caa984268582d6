"""The figures of a nightly run as a text file, for the node exporter of Prometheus."""

from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bedrock_sluice.flows.nights.figures import LAST_SUCCESS, nightly_figures
from bedrock_sluice.flows.nights.rows import RecipeRow
from bedrock_sluice.lake.files import replaced_file


def write_metrics(path: Path, rows: list[RecipeRow], now: datetime) -> None:
    """Write the metrics of a run; readers see the old file or the new one.

    The time of a recipe's last success is kept from the file that is there.

    Raises:
        OutsideError: The file cannot be written.
    """
    registry, gauges = CollectorRegistry(), dict[str, Gauge]()
    for name, text, labels, value in nightly_figures(rows, now, _read_successes(path)):
        if name not in gauges:
            gauges[name] = Gauge(name, text, [*labels], registry=registry)
        gauges[name].labels(**labels).set(value)
    with replaced_file(path) as file:
        file.write(generate_latest(registry))


def _read_successes(path: Path) -> dict[str, float]:
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # there is none yet, or it is not ours
        return {}
    samples = [sample for family in families for sample in family.samples]
    return {each.labels["recipe"]: each.value for each in samples if each.name == LAST_SUCCESS}
