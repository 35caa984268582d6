"""Fates: one for each record, by the first reason, and never one record lost in silence."""

import polars as pl
import pytest

from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.facts.release_facts import StageCounts
from bedrock_sluice.transforms.fates import (
    FilterResult,
    Ledger,
    apply_rules,
    conserve,
    kept_fates,
    partition,
    rejected_fates,
)
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.tables import FATES, STAGES


def test_the_first_broken_rule_is_the_reason() -> None:
    rules = [
        (Reason.CURATE_MEDIA, pl.col("n") > 3),
        (Reason.CURATE_CUT_OFF, pl.col("n") > 1),
    ]
    result = apply_rules(pl.DataFrame({"n": [0, 2, 4]}), rules)
    assert result.kept.rows() == [(0,)]
    assert result.rejected.rows() == [(2, "curate_cut_off"), (4, "curate_media")]


def test_a_rule_that_cannot_be_judged_does_not_hold() -> None:
    frame = pl.DataFrame({"n": [None, 4]}, schema={"n": pl.Int64})
    result = apply_rules(frame, [(Reason.CURATE_MEDIA, pl.col("n") > 3)])
    assert result.kept.rows() == [(None,)]


def test_without_rules_or_rows_all_is_kept() -> None:
    frame = pl.DataFrame({"n": [1]})
    assert apply_rules(frame, []).kept.equals(frame)
    assert apply_rules(frame.clear(), [(Reason.CURATE_MEDIA, pl.col("n") > 3)]).rejected.height == 0


def test_rows_are_divided_by_their_reason() -> None:
    reasons = [None, "select_model", "decode_bad_json"]
    rows = pl.DataFrame({"n": [0, 1, 2], "reason": reasons})
    assert partition(rows).kept["n"].to_list() == [0]
    unreadable = partition(rows, [Reason.DECODE_BAD_JSON])
    assert unreadable.kept["n"].to_list() == [0, 1]
    assert unreadable.rejected["n"].to_list() == [2]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_fate_a_stage_and_a_sentence(reason: Reason) -> None:
    row = {"object": "a", "line": 1, "request_id": "r", "reason": reason.value}
    fates = rejected_fates(pl.DataFrame([row])).row(0, named=True)
    assert fates["stage"] == reason.value.partition("_")[0] == reason.stage
    unreadable = reason.stage in ("pull", "decode")
    assert fates["fate"] == reason.fate == ("quarantined" if unreadable else "dropped")
    assert reason.message


def test_rejected_rows_keep_survivor_and_detail_where_there_are_any() -> None:
    row = {"object": "a", "line": 1, "request_id": "r", "reason": "curate_exact_duplicate"}
    bare = rejected_fates(pl.DataFrame([row]))
    fates = rejected_fates(pl.DataFrame([row | {"survivor": "s", "detail": "d", "novel": 1}]))
    assert bare.schema == fates.schema == FATES
    assert bare.select("survivor", "detail").rows() == [(None, None)]
    assert fates.select("survivor", "detail").rows() == [("s", "d")]


def test_unknown_reason_is_an_error() -> None:
    row = {"object": "a", "line": 1, "request_id": "r", "reason": "curate_novel"}
    with pytest.raises(pl.exceptions.PolarsError):
        rejected_fates(pl.DataFrame([row]))


def test_kept_rows_have_their_split_as_their_fate() -> None:
    lines = pl.DataFrame(
        {
            "object": ["a", "a"],
            "line": [1, 2],
            "request_id": ["r", "s"],
            "split": ["train", "validation"],
        }
    )
    fates = kept_fates(lines)
    assert fates.schema == FATES
    assert fates.select("fate", "stage", "reason").rows() == [
        ("train", "release", None),
        ("validation", "release", None),
    ]


def test_no_rows_have_no_fates() -> None:
    columns = {"object": pl.String, "line": pl.UInt32, "request_id": pl.String}
    empty = rejected_fates(pl.DataFrame(schema={**columns, "reason": pl.String}))
    assert empty.equals(kept_fates(pl.DataFrame(schema={**columns, "split": pl.String})))


def test_a_stage_that_adds_up_is_let_through() -> None:
    ledger = Ledger()
    rows = STAGES["select"].schema.to_frame().clear(n=2)
    kept = rows.drop("reason").with_columns(reason=pl.lit(None, pl.String))
    rejected = rows.head(1).with_columns(object=pl.lit("a"), line=pl.lit(1, pl.UInt32))
    rejected = rejected.with_columns(reason=pl.lit("select_model"))
    ledger.enter("select", 3, FilterResult(kept, rejected))
    counts = StageCounts(stage="select", input=3, kept=2, rejected={"select_model": 1})
    assert ledger.stages == [counts]


@pytest.mark.parametrize(("kept", "rejected"), [(1, 1), (3, 1), (0, 0), (4, 0)])
def test_a_stage_that_loses_or_invents_records_is_stopped(kept: int, rejected: int) -> None:
    with pytest.raises(IntegrityError) as error:
        conserve("select", before=3, kept=kept, rejected=rejected)
    assert error.value.place == "stage select"
    assert error.value.value == kept + rejected


def enter(stage: str, kept: pl.DataFrame) -> pl.DataFrame:
    """Book a frame of which nothing was rejected."""
    keys = {"object": pl.String, "line": pl.UInt32, "request_id": pl.String, "reason": pl.String}
    return Ledger().enter(stage, kept.height, FilterResult(kept, pl.DataFrame(schema=keys)))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_loses_a_column_is_stopped(stage: str) -> None:
    table = STAGES[stage]
    for column in table.columns:
        with pytest.raises(IntegrityError, match=table.name) as error:
            enter(stage, table.schema.to_frame().drop(column))
        assert error.value.place == f"stage {stage}"
        assert error.value.value == f"{column} (missing)"


def test_a_stage_that_changes_the_type_of_a_column_is_stopped() -> None:
    frame = STAGES["curate"].schema.to_frame()
    with pytest.raises(IntegrityError) as error:
        enter("curate", frame.with_columns(pl.col("duplicates").cast(pl.Int64)))
    assert error.value.value == "duplicates (Int64, expected UInt32)"


def test_undeclared_columns_end_with_their_stage() -> None:
    table = STAGES["curate"]
    kept = enter("curate", table.schema.to_frame().with_columns(scratch=pl.lit(1)))
    assert kept.schema == table.schema
