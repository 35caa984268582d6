"""Suites of users: what they may say, how the gate judges by them, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bedrock_sluice.expectations.gate import MAX_EXAMPLES, evaluate
from bedrock_sluice.expectations.suite import SEVERITIES, SUITES, CheckSettings, load_suite
from bedrock_sluice.expectations.user_suite import EXPECTATIONS, TABLES, parse_suite
from bedrock_sluice.transforms.errors import ConfigError

PAGE = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
COLUMN = "expect_column_values_to_be_in_set"


def suite(kind: str = COLUMN, table: str = "lines", **kwargs: object) -> dict[str, Any]:
    meta = {"name": "mine", "message": "at most {limit}", "hint": "label", "limit": 2}
    entry = {"type": kind, "kwargs": kwargs, "severity": "warning", "meta": meta}
    return {"name": "own", "meta": {"table": table}, "expectations": [entry]}


LINES = pl.DataFrame(
    {
        "reference_source": ["labels"] * 20 + ["logged"] * 20,
        "duplicates": [1] * 39 + [21],
    }
)
IDS = pl.Series([f"request-{n}" for n in range(40)])
LIMIT = {"$PARAMETER": "limit"}


@pytest.mark.parametrize(
    ("definition", "measure", "has_passed", "failures"),
    [
        (suite(column="reference_source", value_set=["labels"]), 20, False, 20),
        (suite(column="reference_source", value_set=["labels"], mostly=0.5), 20, True, 20),
        (suite(column="reference_source", value_set=["labels"], mostly=0.6), 20, False, 20),
        (
            suite("expect_column_mean_to_be_between", column="duplicates", max_value=1),
            1.5,
            False,
            0,
        ),
        (
            suite("expect_column_values_to_be_between", column="duplicates", max_value=LIMIT),
            *(21, False, 1),
        ),
        (suite("expect_table_row_count_to_be_between", min_value=40), 40, True, 0),
    ],
)
def test_a_suite_judges_and_names_all_rows_that_break_it(
    definition: dict[str, Any], measure: float, has_passed: bool, failures: int
) -> None:
    own = parse_suite(json.dumps(definition).encode(), "own.json")
    (result,) = evaluate(own, LINES, {}, IDS)
    assert (result.check.measured, result.check.passed) == (measure, has_passed)
    assert len(result.failing_ids) == failures
    assert result.check.examples == result.failing_ids[:MAX_EXAMPLES]
    assert result.check.message == "at most 2"


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (suite("expect_column_values_to_be_betwen"), "did you mean `expect_column_values_to_be_b"),
        (suite(column="duplicate", value_set=[1]), "unknown column `duplicate` .*`duplicates`"),
        (suite(column="hours", value_set=[1]), "unknown column `hours` of the table lines"),
        (suite(column="split", value_set=["train"], most=1), "argument `most`; .*`mostly`"),
        (suite(column="split"), "needs `value_set`"),
        (suite(column="split", value_set=["train"], mostly=50), "from 0 to 1"),
        (suite(table="records"), "one of landed, exchanges, lines"),
        (suite("expect_column_values_to_be_between", column="duplicates"), "needs `min_value`"),
        (
            suite("expect_column_values_to_be_between", column="split", min_value=1),
            "`split` has no numbers",
        ),
    ],
)
def test_a_suite_with_a_mistake_is_refused_with_what_to_do(
    definition: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error_info:
        parse_suite(json.dumps(definition).encode(), "own.json")
    assert error_info.value.place == "own.json"


def test_a_check_needs_a_message_and_a_name_of_its_own() -> None:
    definition = suite(column="split", value_set=["train"])
    meta = definition["expectations"][0]["meta"]
    for change, message in (
        ({"name": "privacy"}, "another check is named `privacy`"),
        ({"message": "at most {most}"}, "may hold {limit}"),
    ):
        definition["expectations"][0]["meta"] = meta | change
        with pytest.raises(ConfigError, match=message):
            parse_suite(json.dumps(definition).encode(), "own.json")
    del meta["message"]
    definition["expectations"][0]["meta"] = meta
    with pytest.raises(ConfigError, match="missing required field `message`"):
        parse_suite(json.dumps(definition).encode(), "own.json")


def test_a_recipe_sets_limits_and_severities() -> None:
    measures = pl.DataFrame({"dropped_percent": [50.0, 70.0]})
    reasons = pl.Series(["curate_media", "curate_near_duplicate"])
    (result,) = evaluate("drops", measures, {}, reasons)
    assert (result.check.result, result.failing_ids) == ("warned", ["curate_near_duplicate"])
    settings = CheckSettings({"drop_share": 40}, {"drop_share": "fail"})
    (result,) = evaluate(settings.apply(load_suite("drops")), measures, {}, reasons)
    assert (result.check.result, result.check.limit.max) == ("failed", 40)
    assert "40%" in result.check.message
    assert len(result.failing_ids) == 2
    off = CheckSettings(severities={"drop_share": "off"}).apply(load_suite("drops"))
    assert evaluate(off, measures, {}, reasons) == []


def test_the_page_names_all_checks_expectations_and_columns() -> None:
    checks = {
        (e.meta.name, name, SEVERITIES[e.severity])
        for name in SUITES
        for e in load_suite(name).expectations
    }
    assert set(re.findall(r"^\| `(\w+)` \| `(\w+)` \| (fail|warn) \|", PAGE, re.M)) == checks
    assert set(re.findall(r"^\| `(expect_\w+)` \|", PAGE, re.M)) == set(EXPECTATIONS)
    columns = {(table, column) for table, names in TABLES.items() for column in names}
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (?!fail |warn )", PAGE, re.M)
    assert set(rows) == columns


def test_the_suite_of_the_page_is_one() -> None:
    (example, *_) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert parse_suite(example.encode(), "page").expectations
