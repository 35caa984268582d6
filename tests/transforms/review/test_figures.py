"""The estimated error rate, its interval, and the agreement between reviewers."""

from random import Random

import polars as pl
import pytest

from bedrock_sluice.transforms.review.figures import error_interval, summarize_reviews
from bedrock_sluice.transforms.review.selection import draw_sample
from bedrock_sluice.transforms.review.verdicts import VERDICTS

Row = tuple[str, str, str, bool]
"""The reviewer, the id, the verdict, and whether the line is sampled."""


def make_verdicts(rows: list[Row]) -> pl.DataFrame:
    frame = pl.DataFrame(
        rows, schema=["reviewer", "id", "verdict", "is_sampled"], orient="row"
    ).with_columns(
        **{
            name: pl.lit(None, kind)
            for name, kind in VERDICTS.items()
            if name not in {"reviewer", "id", "verdict", "is_sampled"}
        }
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in VERDICTS.items())


@pytest.mark.parametrize(
    ("wrong", "answers", "expected"),
    [  # of tables of the exact interval
        (0, 10, (0.0, 0.3085)),
        (2, 20, (0.0123, 0.3170)),
        (10, 10, (0.6915, 1.0)),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(
    wrong: int, answers: int, expected: tuple[float, float]
) -> None:
    assert error_interval(wrong, answers) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("rate", [0.03, 0.15])
def test_the_interval_covers_a_planted_rate_in_about_95_percent(rate: float) -> None:
    lines, sample, rounds = 2_000, 200, 400
    ids = pl.Series([f"id-{n}" for n in range(lines)])
    wrong_ids = set(Random(7).sample(ids.to_list(), int(rate * lines)))
    hits, estimates = 0, list[float]()
    for seed in range(rounds):
        rows: list[Row] = [
            ("ann", line_id, "wrong" if line_id in wrong_ids else "right", True)
            for line_id in draw_sample(ids, sample, seed)
        ]
        error = summarize_reviews("r", make_verdicts(rows), sample).error
        assert error.rate is not None
        assert error.low is not None
        assert error.high is not None
        hits += error.low <= rate <= error.high
        estimates.append(error.rate)
    assert 0.93 <= hits / rounds <= 0.995
    assert sum(estimates) / rounds == pytest.approx(rate, abs=0.003)


def test_only_sampled_lines_count_for_the_rate_and_unsure_ones_stand_apart() -> None:
    rows: list[Row] = [
        ("ann", "a", "wrong", True),
        ("ann", "b", "right", True),
        ("ann", "c", "unsure", True),
        ("ann", "d", "wrong", False),
        ("bob", "b", "wrong", True),  # the strictest verdict on a line counts
        ("bob", "e", "right", True),
    ]
    figures = summarize_reviews("r", make_verdicts(rows), 10)
    error = figures.error
    assert (error.sample_size, error.right, error.wrong, error.unsure) == (10, 1, 2, 1)
    assert error.rate == pytest.approx(2 / 3)
    assert (figures.lines, figures.disputed_ids) == (5, ["b"])


def test_without_a_sampled_verdict_there_is_no_rate() -> None:
    error = summarize_reviews("r", make_verdicts([("ann", "a", "wrong", False)]), 10).error
    assert (error.rate, error.low, error.high) == (None, None, None)


def test_agreement_is_cohens_kappa_on_the_lines_that_both_judged() -> None:
    # 20 x right/right, 5 x right/wrong, 10 x wrong/right, 15 x wrong/wrong: 70 %, kappa 0.4
    pairs = [("right", "right")] * 20 + [("right", "wrong")] * 5
    pairs += [("wrong", "right")] * 10 + [("wrong", "wrong")] * 15
    rows: list[Row] = [("ann", "only-ann", "right", False)]
    for n, (one, other) in enumerate(pairs):
        rows += [("ann", f"{n}", one, False), ("bob", f"{n}", other, False)]
    (agreement,) = summarize_reviews("r", make_verdicts(rows), 0).agreement
    assert (agreement.reviewers, agreement.lines, agreement.equal) == (("ann", "bob"), 50, 35)
    assert agreement.share == pytest.approx(0.7)
    assert agreement.kappa == pytest.approx(0.4)


def test_a_later_verdict_of_a_reviewer_replaces_an_earlier_one() -> None:
    rows: list[Row] = [("ann", "a", "wrong", True), ("ann", "a", "right", True)]
    figures = summarize_reviews("r", make_verdicts(rows), 1)
    assert (figures.error.right, figures.error.wrong, figures.lines) == (1, 0, 1)
    assert figures.agreement == []


def test_kappa_is_unknown_where_only_one_verdict_was_given() -> None:
    rows: list[Row] = [("ann", "a", "right", True), ("bob", "a", "right", True)]
    (agreement,) = summarize_reviews("r", make_verdicts(rows), 1).agreement
    assert (agreement.share, agreement.kappa) == (1.0, None)
