"""Fates: one for each record, by the first reason, and never one record lost in silence."""

import polars as pl
import pytest

from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.fates import (
    FATES,
    apply_rules,
    conserve,
    kept_fates,
    partition,
    rejected_fates,
)
from bedrock_sluice.transforms.reasons import Reason


def test_the_first_broken_rule_is_the_reason() -> None:
    rules = [
        (Reason.CURATE_MEDIA, pl.col("n") > 3),
        (Reason.CURATE_CUT_OFF, pl.col("n") > 1),
    ]
    sifted = apply_rules(pl.DataFrame({"n": [0, 2, 4]}), rules)
    assert sifted.kept.rows() == [(0,)]
    assert sifted.rejected.rows() == [(2, "curate_cut_off"), (4, "curate_media")]


def test_a_rule_that_cannot_be_judged_does_not_hold() -> None:
    frame = pl.DataFrame({"n": [None, 4]}, schema={"n": pl.Int64})
    sifted = apply_rules(frame, [(Reason.CURATE_MEDIA, pl.col("n") > 3)])
    assert sifted.kept.rows() == [(None,)]


def test_without_rules_or_rows_all_is_kept() -> None:
    frame = pl.DataFrame({"n": [1]})
    assert apply_rules(frame, []).kept.equals(frame)
    assert apply_rules(frame.clear(), [(Reason.CURATE_MEDIA, pl.col("n") > 3)]).rejected.height == 0


def test_judged_rows_are_parted_by_their_reason() -> None:
    told = [None, "select_model", "decode_bad_json"]
    judged = pl.DataFrame({"n": [0, 1, 2], "reason": told})
    assert partition(judged).kept["n"].to_list() == [0]
    some = partition(judged, [Reason.DECODE_BAD_JSON])
    assert (some.kept["n"].to_list(), some.rejected["n"].to_list()) == ([0, 1], [2])


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_fate_a_stage_and_a_sentence(reason: Reason) -> None:
    row = {"object": "a", "line": 1, "request_id": "r", "reason": reason.value}
    told = rejected_fates(pl.DataFrame([row])).row(0, named=True)
    assert told["stage"] == reason.value.partition("_")[0] == reason.stage
    unreadable = reason.stage in ("pull", "decode")
    assert told["fate"] == reason.fate == ("quarantined" if unreadable else "dropped")
    assert reason.message


def test_rejected_rows_keep_survivor_and_detail_where_there_are_any() -> None:
    row = {"object": "a", "line": 1, "request_id": "r", "reason": "curate_exact_duplicate"}
    bare = rejected_fates(pl.DataFrame([row]))
    told = rejected_fates(pl.DataFrame([row | {"survivor": "s", "detail": "d", "novel": 1}]))
    assert bare.schema == told.schema == FATES
    assert bare.select("survivor", "detail").rows() == [(None, None)]
    assert told.select("survivor", "detail").rows() == [("s", "d")]


def test_a_reason_that_is_none_is_refused() -> None:
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
    told = kept_fates(lines)
    assert told.schema == FATES
    assert told.select("fate", "stage", "reason").rows() == [
        ("train", "release", None),
        ("validation", "release", None),
    ]


def test_no_rows_have_no_fates() -> None:
    columns = {"object": pl.String, "line": pl.UInt32, "request_id": pl.String}
    empty = rejected_fates(pl.DataFrame(schema={**columns, "reason": pl.String}))
    assert empty.equals(kept_fates(pl.DataFrame(schema={**columns, "split": pl.String})))


def test_a_stage_that_adds_up_is_let_through() -> None:
    conserve("select", before=3, kept=2, rejected=1)


@pytest.mark.parametrize(("kept", "rejected"), [(1, 1), (3, 1), (0, 0), (4, 0)])
def test_a_stage_that_loses_or_invents_records_is_stopped(kept: int, rejected: int) -> None:
    with pytest.raises(IntegrityError, match=f"select took 3 .* {kept} kept and {rejected}"):
        conserve("select", before=3, kept=kept, rejected=rejected)
