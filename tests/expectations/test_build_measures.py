"""The checks of a build as a whole: each warns of what it is about, and of nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from bedrock_sluice.expectations.build_measures import LogFacts, measure_exchanges, measure_landed
from bedrock_sluice.expectations.gate import evaluate
from bedrock_sluice.transforms.facts.release_facts import CountByName, StageCounts

FIRST = datetime(2026, 10, 1, tzinfo=UTC)


def stage(name: str, rejected: CountByName) -> StageCounts:
    return StageCounts(
        stage=name, input=1_000, kept=1_000 - sum(rejected.values()), rejected=rejected
    )


@pytest.mark.parametrize(
    ("pull", "select", "untagged_records", "gap_hours", "warnings"),
    [
        ({"decode_bad_json": 10}, {"select_repeated_request": 9}, 190, 72, set()),
        ({"decode_bad_json": 11}, {}, 0, 1, {"unreadable_records"}),
        ({}, {"select_repeated_request": 11}, 0, 1, {"repeated_records"}),
        ({}, {"select_conflicting_request": 1}, 0, 1, {"conflicting_records"}),
        ({}, {}, 201, 1, {"untagged_records"}),
        ({}, {}, 0, 73, {"hour_gap"}),
    ],
)
def test_checks_of_the_logs(
    pull: CountByName,
    select: CountByName,
    untagged_records: int,
    gap_hours: int,
    warnings: set[str],
) -> None:
    hours = [FIRST, FIRST + timedelta(hours=1 + gap_hours)]
    measures = measure_landed(
        [stage("pull", pull), stage("select", select)], LogFacts(hours, untagged_records)
    )
    assert {
        each.check.name for each in evaluate("landed", measures, {}) if not each.check.passed
    } == warnings


@pytest.mark.parametrize(
    ("normalise", "curate", "number"),
    [
        ({}, {}, 0),
        ({"decode_unknown_shape": 500}, {}, 1),
        ({}, {"curate_no_body": 500}, 1),
        ({}, {"curate_error": 500}, 1),
        ({}, {"curate_cut_off": 500}, 1),
        ({"decode_unknown_shape": 500}, {"curate_error": 500}, 2),
    ],
)
def test_checks_of_the_exchanges(normalise: CountByName, curate: CountByName, number: int) -> None:
    measures = measure_exchanges([stage("normalise", normalise), stage("curate", curate)])
    results = evaluate("exchanges", measures, {})
    assert len([each for each in results if not each.check.passed]) == number
