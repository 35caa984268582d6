"""The figures of builds and nights, for every system that metrics are sent to. No content."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from bedrock_sluice.flows.nights.rows import NightRow, RecipeRow

VERDICTS = ("passed", "rejected", "failed", "skipped")
NIGHTLY, BUILD = "sluice_nightly", "sluice_build"  # what the names of figures start with
LAST_SUCCESS = f"{NIGHTLY}_last_success_timestamp_seconds"


class Figure(NamedTuple):
    """One value: its name, what it is, and its labels, of which `recipe` is always the first."""

    name: str
    text: str
    labels: dict[str, str]
    value: float


def nightly_figures(
    rows: list[RecipeRow], now: datetime, successes: Mapping[str, float] = {}
) -> Iterator[Figure]:
    """Yield the figures of a nightly run; `successes` are Unix times of earlier ones, by recipe."""
    for row in rows:
        recipe = {"recipe": row.recipe}
        success = now.timestamp() if row.verdict == "passed" else successes.get(row.recipe)
        if success is not None:
            yield Figure(LAST_SUCCESS, "When the last night passed (Unix time).", recipe, success)
        if end := _window_end(row):
            yield Figure(
                f"{NIGHTLY}_last_good_release_age_seconds",
                "From the end of the window of the last good release to this run.",
                recipe,
                (now - end).total_seconds(),
            )
        last = row.nights[-1]
        yield from _outcome(NIGHTLY, row, recipe)
        yield from _counts(NIGHTLY, last, recipe)


def build_figures(recipe: str, row: NightRow) -> Iterator[Figure]:
    """Yield the figures of one build of a recipe, which is the name of its file."""
    labels = {"recipe": recipe}
    yield from _outcome(BUILD, row, labels)
    yield from _counts(BUILD, row, labels)


def _outcome(prefix: str, row: NightRow | RecipeRow, recipe: dict[str, str]) -> Iterator[Figure]:
    yield Figure(f"{prefix}_exit_code", "The exit code of the recipe.", recipe, row.exit_code)
    for each in VERDICTS:
        is_verdict = float(each == row.verdict)
        yield Figure(
            f"{prefix}_verdict", "1 for the verdict.", recipe | {"verdict": each}, is_verdict
        )


def _counts(prefix: str, row: NightRow, recipe: dict[str, str]) -> Iterator[Figure]:
    """The counts of a build; none without a release."""
    if row.records is None:
        return
    yield Figure(f"{prefix}_records", "Records read.", recipe, row.records)
    for name, text, label, values in (
        ("lines", "Lines of the release.", "side", _lines(row)),
        ("dropped_records", "Records left out.", "reason", row.drop_counts),
        ("stage_seconds", "Seconds of a stage.", "stage", row.seconds),
    ):
        for key, value in values.items():
            yield Figure(f"{prefix}_{name}", text, recipe | {label: key}, value)


def _lines(row: NightRow) -> dict[str, int]:
    return {"train": row.train or 0, "validation": row.validation or 0}


def _window_end(row: RecipeRow) -> datetime | None:
    """The date that begins the id of the last good release, where that is one."""
    try:
        date = (row.last_good or "").rpartition("/")[2][:10]
        return datetime.fromisoformat(f"{date}T00:00:00+00:00")
    except ValueError:
        return None
