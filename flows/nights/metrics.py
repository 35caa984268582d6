"""The metrics of a nightly run, as a text file for Prometheus's node exporter. No content."""

from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bedrock_sluice.flows.nights.rows import NightRow, RecipeRow
from bedrock_sluice.lake.files import replaced_file

VERDICTS = ("passed", "rejected", "failed", "skipped")
LAST_SUCCESS = "sluice_nightly_last_success_timestamp_seconds"


def write_metrics(path: Path, rows: list[RecipeRow], now: datetime) -> None:
    """Write the metrics of a run; readers see the old file or the new one.

    The time of a recipe's last success is kept from the file that is there.

    Raises:
        OutsideError: The file cannot be written.
    """
    successes = _read_successes(path)
    successes |= {row.recipe: now.timestamp() for row in rows if row.verdict == "passed"}
    registry = CollectorRegistry()
    names = [row.recipe for row in rows]
    success = _gauge(registry, LAST_SUCCESS, "When the last night passed (Unix time).")
    for name in names:
        if name in successes:
            success.labels(name).set(successes[name])
    verdict = _gauge(registry, "sluice_nightly_verdict", "1 for the verdict.", "verdict")
    code = _gauge(registry, "sluice_nightly_exit_code", "The exit code of the recipe.")
    age = _gauge(
        registry,
        "sluice_nightly_last_good_release_age_seconds",
        "From the end of the window of the last good release to this run.",
    )
    for row in rows:
        code.labels(row.recipe).set(row.exit_code)
        for each in VERDICTS:
            verdict.labels(row.recipe, each).set(each == row.verdict)
        if end := _window_end(row):
            age.labels(row.recipe).set((now - end).total_seconds())
    _add_counts(registry, {row.recipe: row.nights[-1] for row in rows})
    with replaced_file(path) as file:
        file.write(generate_latest(registry))


def _add_counts(registry: CollectorRegistry, nights: dict[str, NightRow]) -> None:
    """The counts of the last nights, of those that were built."""
    records = _gauge(registry, "sluice_nightly_records", "Records read.")
    lines = _gauge(registry, "sluice_nightly_lines", "Lines of the release.", "side")
    drops = _gauge(registry, "sluice_nightly_dropped_records", "Records left out.", "reason")
    seconds = _gauge(registry, "sluice_nightly_stage_seconds", "Seconds of a stage.", "stage")
    for recipe, night in nights.items():
        if night.records is None:
            continue
        records.labels(recipe).set(night.records)
        lines.labels(recipe, "train").set(night.train or 0)
        lines.labels(recipe, "validation").set(night.validation or 0)
        for gauge, values in ((drops, night.drop_counts), (seconds, night.seconds)):
            for name, value in values.items():
                gauge.labels(recipe, name).set(value)


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, ("recipe", *labels), registry=registry)


def _window_end(row: RecipeRow) -> datetime | None:
    """The date that begins the id of the last good release, where that is one."""
    try:
        date = (row.last_good or "").rpartition("/")[2][:10]
        return datetime.fromisoformat(f"{date}T00:00:00+00:00")
    except ValueError:
        return None


def _read_successes(path: Path) -> dict[str, float]:
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # there is none yet, or it is not ours
        return {}
    samples = [sample for family in families for sample in family.samples]
    return {each.labels["recipe"]: each.value for each in samples if each.name == LAST_SUCCESS}
