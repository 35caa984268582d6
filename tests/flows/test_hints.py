"""A recipe that selects nothing, or whose template fits no answer, stops the build and says why."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

Json = dict[str, Any]

START = datetime(2026, 10, 1, 12, tzinfo=UTC)
SUMS = 150
ODD_VALUES = 14


@pytest.fixture
def tagged_logs(
    tmp_path: Path,
    records: MakeRecords,
    write_logs: WriteLogs,
) -> None:
    """150 sums: 100 of project tutor, 36 of others, 14 with other keys alone; and broken lines."""
    log_records = records(SUMS, START)
    for n, each in enumerate(log_records):
        if n < 100:
            each["requestMetadata"] = {"project": "tutor", "env": "prod" if n < 60 else "dev"}
        elif n < SUMS - ODD_VALUES:
            each["requestMetadata"] = {"project": f"other-{n % 12:02}", "env": "test"}
        else:
            each["requestMetadata"] = {"team": "x"}
    write_logs(tmp_path / "logs", [[*log_records, b"torn {"]])


TYPO = '{ equals = { project = "tutr" } }'
NO_SUCH_KEY = '{ andAll = [{ equals = { env = "prod" } }, { equals = { projet = "a" } }] }'
NEVER_BOTH = '{ andAll = [{ equals = { env = "test" } }, { in = { project = ["tutor"] } }] }'
NEITHER = '{ orAll = [{ exists = "ticket" }, { equals = { env = "stage" } }] }'


@pytest.mark.usefixtures("tagged_logs")
@pytest.mark.parametrize(
    ("select", "words"),
    [
        (
            f"metadata = {TYPO}",
            [
                'metadata: no record matches project = "tutr"; seen: tutor 100, other-00 3',
                "other-08 3, and 3 more, (none) 14",
            ],
        ),
        (
            f"metadata = {NO_SUCH_KEY}",
            ['projet = "a"; no record has the key projet; keys: env 136, project 136, team 14'],
        ),
        (
            f"metadata = {NEVER_BOTH}",
            ['each part alone: env = "test" 36, project = "tutor" 100'],
        ),
        (
            f"metadata = {NEITHER}",
            ['no record matches exists ticket or env = "stage"', "seen: prod 60, dev 40, test 36"],
        ),
        (
            f'models = ["us.amazon.nova-pro*"]\nmetadata = {TYPO}',
            ["[select] models: no record has us.amazon.nova-pro*; seen: ", "nova-lite-v1:0 50"],
        ),
        ('operations = ["ConverseStream"]', ["operations: no record has ConverseStream; seen: C"]),
    ],
)
def test_a_selection_that_matches_nothing_names_what_is_there(
    recipe: WriteRecipe,
    sluice: RunSluice,
    tmp_path: Path,
    select: str,
    words: list[str],
) -> None:
    result = sluice("build", recipe(f"[select]\n{select}\n"))
    assert result.code == 2
    assert [each for each in words if each not in result.err] == []
    assert "6 times" not in result.err
    assert not (tmp_path / "lake/releases").exists()


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ([], "there are no logs of any day"),
        (["2026/10/01/12", "2026/10/01/13"], "there are logs of 2026-10-01 alone"),
        (["2025/09/30/12", "2026/10/01/12"], "there are logs of 2 days, 2025-09-30 to 2026-10-01"),
    ],
)
def test_a_window_without_log_objects_names_the_days_that_there_are(
    tmp_path: Path,
    recipe: WriteRecipe,
    write_logs: WriteLogs,
    sluice: RunSluice,
    hours: list[str],
    words: str,
) -> None:
    (tmp_path / "logs/AWSLogs").mkdir(parents=True)
    for hour in hours:
        write_logs(tmp_path / "logs", [[b"{}"]], hour=hour)
    result = sluice("build", recipe("", {"2026-10-01": "2026-11-01", "2026-10-02": "2026-11-02"}))
    assert (result.code, result.out) == (2, "")
    assert "from 2026-11-01 00:00 until 2026-11-02 00:00 (UTC)" in result.err
    assert words in result.err


@pytest.mark.usefixtures("tagged_logs")
def test_a_window_between_the_records_says_when_they_are(
    recipe: WriteRecipe, sluice: RunSluice
) -> None:
    swaps = {
        "since = 2026-10-01": "since = 2026-10-01T12:10:00Z",
        "until = 2026-10-02": "until = 2026-10-01T12:20:00Z",
    }
    result = sluice("build", recipe("", swaps))
    assert result.code == 2
    assert "none is from 2026-10-01 12:10 until 2026-10-01 12:20 (UTC)" in result.err
    assert "seen: 2026-10-01 12:00 to 2026-10-01 12:02" in result.err


def test_logs_that_cannot_be_read_are_not_the_recipes_fault(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
) -> None:
    write_logs(tmp_path / "logs", [[b"torn {", b"7"]])
    result = sluice("build", recipe(), "--json")
    assert (result.code, json.loads(result.out)["failed_checks"]) == (1, ["train_count"])


@pytest.mark.usefixtures("tagged_logs")
@pytest.mark.parametrize(
    ("template", "answer", "words"),
    [
        (
            "tool",
            '["logged"]',
            [
                "template tool has no answer for any of 150 prompts",
                "logged: 0 answers (150 answer_unfit)",
                'math ("####") fits 150 of 150 logged responses',
            ],
        ),
        (
            "qa",
            '["labels", "metadata"]\nlabels = "labels.jsonl"\nmetadata_key = "answer"',
            [
                'template qa has no answer for any of 150 prompts; it reads "ANSWER:"',
                "labels: 0 answers (3 rows, 0 used; 0 for requests dropped or not selected",
                "metadata: 0 answers",
                "math",
            ],
        ),
    ],
)
def test_a_template_that_fits_no_answer_names_its_sources_and_one_that_fits(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    template: str,
    answer: str,
    words: list[str],
) -> None:
    ids = ("request-7", "x", "y")
    labels = [{"request_id": name, "final_answer": "hidden-7"} for name in ids]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(each) + "\n" for each in labels))
    path = recipe(f"[answer]\nfrom = {answer}\n", {'name = "math"': f'name = "{template}"'})
    result = sluice("build", path)
    assert result.code == 2
    assert [each for each in words if each not in result.err] == []
    assert "hidden-7" not in result.err
