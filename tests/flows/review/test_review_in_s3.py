"""Reviews, decisions and pages of a lake in S3."""

import json
from pathlib import Path

import boto3
import pytest
from support.builds import without_checks
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.transforms.reasons import Reason


@pytest.fixture
def recipe_in_s3(bucket: str, sums: Path, recipe: WriteRecipe) -> Path:
    """The recipe `sums` with its lake in a bucket."""
    assert (sums.parent / "logs").is_dir()
    return recipe(swaps={'"lake"': f'"s3://{bucket}/lake"'}, name="s3.toml")


def build(sluice: RunSluice, recipe: Path) -> str:
    with without_checks():
        result = sluice("build", recipe, "--json")
    assert result.code == 0, result.err
    return str(json.loads(result.out)["release"])


def read(bucket: str, key: str) -> str:
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    return body.read().decode()


def judge(sheet_release: dict[str, str], lines: dict[str, dict[str, str]]) -> str:
    """The file that a reviewer saves."""
    return json.dumps(
        {
            "schema_version": 1,
            "release": sheet_release,
            "sheet": {"lines": 5, "sample": 40, "seed": 0},
            "reviewer": "R. Viewer",
            "saved_at": "2026-11-28T12:00:00Z",
            "lines": lines,
        }
    )


def test_reviews_and_pages_of_a_lake_in_s3(
    recipe_in_s3: Path, bucket: str, sluice: RunSluice, tmp_path: Path
) -> None:
    first = build(sluice, recipe_in_s3)
    release_id = first.rpartition("/")[2]
    sheet = tmp_path / "sheet.html"
    assert sluice("review", "sheet", first, "--out", sheet).code == 0
    assert release_id in sheet.read_text()

    manifest = json.loads(read(bucket, f"lake/releases/sums/{release_id}/manifest.json"))
    release = {"name": "sums", "id": release_id, "digest": manifest["digest"]}
    verdicts = {"request-3": "wrong", "request-4": "right", "request-5": "wrong"}
    lines = {key: {"verdict": verdict} for key, verdict in verdicts.items()}
    lines["request-5"]["corrected_answer"] = "#### 4711"
    file = tmp_path / "review.json"
    file.write_text(judge(release, lines))
    for is_new in (True, False):
        result = sluice("review", "apply", file, "--recipe", recipe_in_s3, "--json")
        assert result.code == 0, result.err
        (review,) = json.loads(result.out)["reviews"]
        assert (review["lines"], review["is_new"]) == (3, is_new)
    reviews = [entry.key for entry in S3Store(f"s3://{bucket}/lake").entries("reviews/")]
    assert len(reviews) == 1

    assert sluice("approve", first, "--by", "Dana").code == 0
    second = build(sluice, recipe_in_s3)
    page = tmp_path / "page.html"
    assert sluice("report", second, "--out", page, "--no-open").code == 0
    text = page.read_text()
    assert f"sluice approve {second} --by NAME" in text
    assert f"now: {Reason.REVIEW_REJECTED.message} (1)" in text
    assert f"<code>{release_id}</code>, which is approved" in text

    dataset = read(bucket, f"lake/releases/sums/{second.rpartition('/')[2]}/train.jsonl")
    dataset += read(bucket, f"lake/releases/sums/{second.rpartition('/')[2]}/validation.jsonl")
    answers = {
        line["id"]: line["reference_answer"]["final_answer"]
        for line in map(json.loads, dataset.splitlines())
    }
    assert "request-3" not in answers
    assert answers["request-5"] == "4711"

    index = read(bucket, "lake/releases/sums/index.html")
    assert index.index(second.rpartition("/")[2]) < index.index(release_id)
    assert "approved by Dana" in index
    assert sluice("report", recipe_in_s3, "--index", "--out", page, "--no-open").code == 0
    links = f'<a href="{release_id}/report.html">'
    assert links in index
    assert "approved by Dana" in page.read_text()
    assert "report.html" not in page.read_text()  # a browser could not open it
