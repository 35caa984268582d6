"""`sluice nightly`: every recipe of a folder, the exit code, which nights it builds, the lease."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.builds import without_checks
from support.logs import make_records, write_logs
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.lease import take_lease

Json = dict[str, Any]

NIGHT = "2026-10-02"
AT_THREE = f"{NIGHT}T03:00:00"
LAST_DAYS = {"since = 2026-10-01\nuntil = 2026-10-02": "last_days = 1"}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Logs of the first of October."""
    write_logs(tmp_path / "logs", [make_records(130, datetime(2026, 10, 1, 12, tzinfo=UTC))])
    return tmp_path


def rows(text: str) -> dict[str, Json]:
    return {row["recipe"]: row for row in map(json.loads, text.splitlines())}


@pytest.mark.usefixtures("logs")
def test_a_recipe_that_fails_stops_no_other_and_the_worst_decides_the_exit_code(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    recipe(swaps=LAST_DAYS)
    run = ("nightly", tmp_path, "--now", AT_THREE, "--json")
    good = sluice(*run)
    assert (good.code, [*rows(good.out)]) == (0, ["sums.toml"])

    recipe("[split]\nmax_lines = 50\n", LAST_DAYS | {'"sums"': '"few"'}, "few.toml")
    some = sluice(*run)
    assert {name: row["verdict"] for name, row in rows(some.out).items()} == {
        "few.toml": "rejected",
        "sums.toml": "passed",
    }
    assert some.code == 1

    recipe(swaps={"uri =": "url ="}, name="a-typo.toml")
    worse = sluice(*run)
    assert worse.code == 2
    assert "unknown key `source.url`" in rows(worse.out)["a-typo.toml"]["why"]
    assert rows(worse.out)["sums.toml"] | {"nights": []} == rows(good.out)["sums.toml"] | {
        "nights": []
    }

    (tmp_path / "file").write_text("in the way")
    recipe(swaps=LAST_DAYS | {'"sums"': '"full"', '"lake"': '"file/lake"'}, name="full.toml")
    worst = sluice(*run)
    assert {row["recipe"]: row["exit_code"] for row in rows(worst.out).values()} == {
        "a-typo.toml": 2,
        "few.toml": 1,
        "full.toml": worst.code,
        "sums.toml": 0,
    }
    table = sluice(*run[:-1])
    assert table.code == worst.code
    assert "last good release: none" in table.out


@pytest.mark.usefixtures("logs")
def test_a_rejected_night_leaves_the_last_good_release_and_names_it(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    recipe(swaps=LAST_DAYS)
    run = ("nightly", tmp_path, "--json", "--now")
    good = rows(sluice(*run, AT_THREE).out)["sums.toml"]
    few = make_records(20, datetime(2026, 10, 2, 12, tzinfo=UTC))
    write_logs(tmp_path / "logs", [few], "2026/10/02/12")
    rejected = rows(sluice(*run, "2026-10-03T03:00:00").out)["sums.toml"]
    assert (good["last_good"], good["verdict"]) == (good["release"], "passed")
    assert (rejected["last_good"], rejected["verdict"]) == (good["release"], "rejected")
    assert Path(good["release"], "manifest.json").exists()


def write_days(folder: Path, days: range) -> None:
    for day in days:
        records = make_records(20, datetime(2026, 10, day, 12, tzinfo=UTC))
        write_logs(folder / "logs", [records], f"2026/10/{day:02}/12")


def test_missed_nights_are_built_in_order_as_far_back_as_the_recipe_says(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    write_days(tmp_path, range(1, 9))
    path = recipe(swaps=LAST_DAYS)

    def run(night: int, *options: object) -> list[str]:
        with without_checks():
            now = f"2026-10-{night:02}T03:00:00"
            result = sluice("nightly", tmp_path, "--json", "--now", now, *options)
        assert result.code == 0, result.out
        return [each["night"][-2:] for each in rows(result.out)["sums.toml"]["nights"]]

    assert run(2) == ["02"]
    assert run(2) == ["02"]
    assert run(5) == ["03", "04", "05"]
    path.write_text(path.read_text() + "[nightly]\ncatch_up_days = 1\n")
    assert run(9) == ["08", "09"]
    assert run(9, "--from", "2026-10-06", "--to", "2026-10-07") == ["06", "07"]
    ids = sorted(path.name[:10] for path in (tmp_path / "lake/releases/sums").glob("*-*"))
    assert ids == [f"2026-10-{day:02}" for day in range(2, 10)]


def test_a_release_of_a_recipe_that_this_version_does_not_read_stops_no_night(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    write_days(tmp_path, range(1, 3))
    recipe(swaps=LAST_DAYS)
    with without_checks():
        assert sluice("nightly", tmp_path, "--now", "2026-10-02T03:00:00").code == 0
        [path] = (tmp_path / "lake/releases/sums").glob("2026-10-02-*/manifest.json")
        manifest = json.loads(path.read_text())
        manifest["recipe"]["source"]["shards"] = 7
        path.write_text(json.dumps(manifest))
        again = sluice("nightly", tmp_path, "--json", "--now", "2026-10-03T03:00:00")
    assert again.code == 0, again.out
    assert [night["night"] for night in rows(again.out)["sums.toml"]["nights"]] == ["2026-10-03"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from", "2026-10-01"], "needs both its first and its last night"),
        (["--from", "2026-10-02", "--to", "2026-10-01"], "is after"),
        (["--from", "2026-10-01", "--to", "2026-10-03"], "the last night that has closed is"),
        (["--from", "1026-10-01", "--to", "2026-10-01"], "give 366 at most"),
    ],
)
@pytest.mark.usefixtures("logs")
def test_a_backfill_of_impossible_nights_is_wrong_usage(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice, options: list[str], message: str
) -> None:
    recipe(swaps=LAST_DAYS)
    result = sluice("nightly", tmp_path, "--now", AT_THREE, *options)
    assert (result.code, message in result.err) == (2, True)


@pytest.mark.usefixtures("logs")
def test_a_second_run_leaves_the_lake_to_the_first_until_its_lease_ends(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    recipe(swaps=LAST_DAYS)
    start = datetime(2026, 10, 2, 3, tzinfo=UTC)
    take_lease(FolderStore(tmp_path / "lake"), "nightly", "other-host:7", lambda: start)
    run = ("nightly", tmp_path, "--json", "--now")
    with without_checks():
        second = sluice(*run, "2026-10-02T03:30:00")
        third = sluice(*run, "2026-10-02T04:30:00")
    row = rows(second.out)["sums.toml"]
    assert (second.code, row["verdict"]) == (0, "skipped")
    assert row["why"] == "skipped: other-host:7 works on this lake until 2026-10-02 04:00 (UTC)"
    assert rows(third.out)["sums.toml"]["verdict"] == "passed"


@pytest.mark.usefixtures("logs")
def test_metrics_name_each_recipe_and_keep_the_last_success(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    hostile = 'a"b\\c\n.toml'
    recipe(swaps=LAST_DAYS)
    recipe(swaps={"uri =": "url ="}, name=hostile)
    file = tmp_path / "sluice.prom"

    def metrics(now: str) -> dict[tuple[str, ...], float]:
        with without_checks():
            sluice("nightly", tmp_path, "--now", now, "--metrics-file", file)
        families = text_string_to_metric_families(file.read_text())
        return {
            (each.name.removeprefix("sluice_nightly_"), *each.labels.values()): each.value
            for family in families
            for each in family.samples
        }

    start = datetime(2026, 10, 2, 3, tzinfo=UTC).timestamp()
    first = metrics(AT_THREE)
    assert first["last_success_timestamp_seconds", "sums.toml"] == start
    assert first["verdict", "sums.toml", "passed"] == 1
    assert first["verdict", hostile, "failed"] == 1
    assert first["records", "sums.toml"] == 130
    lines = [first["lines", "sums.toml", side] for side in ("train", "validation")]
    assert sum(lines) == 130
    assert first["last_good_release_age_seconds", "sums.toml"] == 3 * 3_600
    assert first["stage_seconds", "sums.toml", "curate"] > 0
    later = metrics("2026-10-06T03:00:00")  # a day without logs
    assert later["verdict", "sums.toml", "failed"] == 1
    assert later["last_success_timestamp_seconds", "sums.toml"] == start
    assert "What is" not in file.read_text()
