"""Log objects in S3 under hostile keys: each is read, and no page or terminal takes it for code."""

from pathlib import Path

import boto3
import polars as pl
import pytest
from support.builds import without_checks
from support.hostile_texts import HOSTILE_TEXTS
from support.html import active_nodes
from support.logs import make_object, make_record, make_records
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.transforms.printable import printable

NAMES = (
    # moto refuses line breaks. The other tests of pages have them in names of files.
    *(text for text in HOSTILE_TEXTS if "\n" not in text),
    "../../../../outside",
    "/absolute//twice",
    "quotes\"'`\ttab",
    "per%2e%2e%2fcent+plus?query=1#part&amp;",
    "s3://bucket/key",
    "$(touch outside);|*?[a-z]{1,2}\\",
)
"""Parts of keys: S3 takes any character, and a slash makes folders."""


@pytest.fixture
def release(bucket: str, recipe: WriteRecipe, sluice: RunSluice) -> Path:
    """Build a release of logs in S3 whose keys hold `NAMES`."""
    client = boto3.client("s3")
    client.put_object(Bucket=bucket, Key="logs/plain.json.gz", Body=make_object(make_records(120)))
    for number, name in enumerate(NAMES):
        good = make_record(
            ask=f"What is {number} plus {number + 5_000}? End with #### and the number.",
            reply=f"#### {2 * number + 5_000}",
            request_id=f"hostile-{number}",
        )
        unreadable = make_record(request_id="")
        key = f"logs/{number}/{name}log.json.gz"
        client.put_object(Bucket=bucket, Key=key, Body=make_object([good, unreadable]))
    path = recipe(swaps={'"logs"': f'"s3://{bucket}/logs"'}, name="s3.toml")
    with without_checks():
        result = sluice("build", path)
    assert result.code == 0, result.err
    assert printable(result.err) == result.err
    return Path(result.out.strip())


def test_objects_under_hostile_keys_are_read_and_run_nothing(
    release: Path, sluice: RunSluice, tmp_path: Path
) -> None:
    fates = pl.read_parquet(release / "fates.parquet")
    hostile = fates.filter(pl.col("object") != "plain.json.gz")
    expected = {f"{number}/{name}log.json.gz" for number, name in enumerate(NAMES)}
    assert set(hostile["object"]) == expected
    assert (hostile["fate"] == "quarantined").sum() == len(NAMES)
    assert set(hostile.filter(pl.col("line") == 1)["request_id"]) == {
        f"hostile-{number}" for number in range(len(NAMES))
    }

    pages = {name: tmp_path / f"{name}.html" for name in ("report", "sheet")}
    sluice("report", release, "--no-open", "--out", pages["report"])
    sluice("review", "sheet", release, "--sample", 500, "--out", pages["sheet"])
    for number in range(len(NAMES)):
        page = pages[f"{number}"] = tmp_path / f"{number}.html"
        result = sluice(
            "explain", release.parents[3] / "s3.toml", f"hostile-{number}", "--page", page
        )
        assert f"{number}/" in result.out + result.err
        assert printable(result.out) == result.out
        assert f"{number}/" in page.read_text()
    faults = {name: active_nodes(page.read_text()) for name, page in pages.items()}
    assert {name: each for name, each in faults.items() if each} == {}
    assert list(tmp_path.rglob("outside*")) == list(tmp_path.parent.glob("outside*")) == []
