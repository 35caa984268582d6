"""`sluice train` checks the rights of every line again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.builds import without_checks
from support.logs import make_records, write_logs
from support.protocols import RunSluice, WriteRecipe
from support.releases import approve

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build

RIGHTS = """\
[[derive]]
key = "tenant"
from = "model_id"
[rights]
tenant_key = "tenant"
exclude_files = ["left.csv"]
regions = ["us-east-1"]
training_matrix = { "*" = ["*"] }
"""
JOB = """\
[grader]
lambda_arn = "arn:aws:lambda:us-east-1:111122223333:function:grade"
[train]
model = "amazon.nova-lite-v1:0"
role_arn = "arn:aws:iam::111122223333:role/rft"
output_uri = "s3://out/rft"
data_uri = "s3://data/lines"
"""
TENANT = "us.amazon.nova-lite-v1:0"


@pytest.fixture
def approved_release(tmp_path: Path, recipe: WriteRecipe) -> tuple[Path, str]:
    """A recipe, and the URI of its release: passed, and approved."""
    write_logs(tmp_path / "logs", [make_records(150)])
    (tmp_path / "left.csv").write_text("tenant,until\nnobody,\n")
    path = recipe(RIGHTS + JOB)
    with open_context(path) as context, without_checks():
        release = build(context)
    approve(release, "Ada", datetime.now(UTC))
    return path, release.uri


Change = tuple[str, str, str]  # of a file: old and new text

UNCHANGED: Change = ("sums.toml", "", "")


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (UNCHANGED, 0, ""),
        (("left.csv", "nobody,", f"{TENANT},2026-10-01T12:00:00"), 0, ""),
        (
            ("left.csv", "nobody,", f"{TENANT},2026-10-01T12:00:04"),
            1,
            "RELEASE has lines of records that are excluded by now (2); build again",
        ),
        (
            ("sums.toml", "exclude_files", f'exclude = [{{ tenant = "{TENANT}" }}]\nexclude_files'),
            1,
            "RELEASE has lines of records that are excluded by now (50)",
        ),
        (
            ("sums.toml", "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"),
            1,
            "RELEASE was built with another [rights] than the recipe has now",
        ),
        (
            ("sums.toml", "[train]", '[train]\nregion = "us-west-2"'),
            2,
            "[train] region: us-west-2 is not one of the regions of [rights]",
        ),
    ],
)
def test_what_was_withdrawn_since_the_approval_stops_the_job(
    change: Change,
    code: int,
    message: str,
    approved_release: tuple[Path, str],
    sluice: RunSluice,
) -> None:
    path, release = approved_release
    name, old, new = change
    file = path.with_name(name)
    file.write_text(file.read_text().replace(old, new, 1))
    result = sluice("train", release, "--recipe", path, "--dry-run")
    assert result.code == code
    assert message.replace("RELEASE", release) in " ".join(result.err.split())


def test_forgotten_records_and_lists_that_cannot_be_found_stop_the_job(
    approved_release: tuple[Path, str], sluice: RunSluice
) -> None:
    path, release = approved_release
    result = sluice("train", release, "--dry-run")
    assert result.code == 1
    assert "name the recipe with --recipe" in " ".join(result.err.split())
    lake = path.with_name("lake")
    assert sluice("forget", lake, "--request-id", "request-7", "--delete").code == 1
    result = sluice("train", release, "--recipe", path, "--dry-run")
    assert result.code == 1
    expected = f"{release} has lines of records that were forgotten since it was built (1)"
    assert expected in " ".join(result.err.split())


@pytest.mark.parametrize(("region", "code"), [("us-east-1", 3), ("eu-west-1", 1)])
def test_the_job_runs_in_a_region_of_the_recipe(
    region: str,
    code: int,
    approved_release: tuple[Path, str],
    sluice: RunSluice,
    aws: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, release = approved_release
    aws("http://127.0.0.1:9")  # type: ignore[operator]
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    result = sluice("train", release, "--recipe", path)
    assert result.code == code
    is_refused = f"the job would run in {region}, but regions of [rights]" in result.err
    assert is_refused == (code == 1)
