"""Figures of a review: the estimated error rate of a release, and how far reviewers agree."""

from itertools import combinations
from typing import Final

import msgspec
import polars as pl

from bedrock_sluice.transforms.review.verdicts import select_latest

CONFIDENCE: Final = 0.95
MAX_DISPUTED = 20  # ids that are listed


class ErrorEstimate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The share of wrong answers, estimated from the random sample.

    `rate` is `wrong / (right + wrong)`, and `low` to `high` its Clopper-Pearson interval at
    `confidence`; all are None while no sampled line was judged. `unsure` lines are left out of the
    rate. `sample_size` lines were drawn; a line that any reviewer judged wrong is wrong.
    """

    sample_size: int
    right: int
    wrong: int
    unsure: int
    rate: float | None
    low: float | None
    high: float | None
    confidence: float = CONFIDENCE


class Agreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often two reviewers gave the same verdict on the `lines` that both judged.

    `share` is `equal / lines`; `kappa` is Cohen's, None where both gave one verdict throughout.
    """

    reviewers: tuple[str, str]
    lines: int
    equal: int
    share: float
    kappa: float | None


class ReviewerFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The latest verdicts of one reviewer on lines; `corrections` are of wrong ones."""

    name: str
    right: int
    wrong: int
    unsure: int
    corrections: int


class ReviewFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the reviews of one release amount to.

    `lines` have a verdict of anybody. `disputed_ids` are at most 20 of the `disputed_lines`, which
    one reviewer judged right and another wrong.
    """

    release: str
    lines: int
    reviewers: list[ReviewerFigures]
    error: ErrorEstimate
    agreement: list[Agreement]
    disputed_lines: int
    disputed_ids: list[str]


def summarize_reviews(release_id: str, verdicts: pl.DataFrame, sample_size: int) -> ReviewFigures:
    """Return the figures of the `VERDICTS` on one release; `sample_size` lines of it were drawn."""
    # A line of one sheet's sample is one, also where another sheet shows it for a reason.
    is_sampled = pl.col("is_sampled").any().over("id")
    latest = select_latest(verdicts.with_columns(is_sampled), "id")
    counts = latest.group_by("reviewer").agg(
        *((pl.col("verdict") == v).sum().alias(v) for v in ("right", "wrong", "unsure")),
        corrections=pl.col("corrected_answer").is_not_null().sum(),
    )
    has = {v: (pl.col("verdict") == v).any() for v in ("right", "wrong")}
    both = latest.group_by("id").agg(is_disputed=has["right"] & has["wrong"])
    disputes = both.filter("is_disputed")["id"].sort()
    return ReviewFigures(
        release=release_id,
        lines=latest["id"].n_unique(),
        reviewers=[
            ReviewerFigures(name=row.pop("reviewer"), **row)
            for row in counts.sort("reviewer").iter_rows(named=True)
        ],
        error=estimate_errors(latest.filter("is_sampled"), sample_size),
        agreement=compare_reviewers(latest),
        disputed_lines=len(disputes),
        disputed_ids=disputes.head(MAX_DISPUTED).to_list(),
    )


def estimate_errors(latest: pl.DataFrame, sample_size: int) -> ErrorEstimate:
    """Estimate the error rate from the latest verdicts (`id, verdict`) on sampled lines."""
    order = pl.Enum(["unsure", "right", "wrong"])  # the strictest verdict on a line counts
    strictest = latest.group_by("id").agg(pl.col("verdict").cast(order).max())
    counts = dict(strictest["verdict"].cast(pl.String).value_counts().iter_rows())
    right, wrong = counts.get("right", 0), counts.get("wrong", 0)
    answers = right + wrong
    low, high = error_interval(wrong, answers) if answers else (None, None)
    return ErrorEstimate(
        sample_size=sample_size,
        right=right,
        wrong=wrong,
        unsure=counts.get("unsure", 0),
        rate=wrong / answers if answers else None,
        low=low,
        high=high,
    )


def error_interval(wrong: int, answers: int) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of the share `wrong / answers` at `CONFIDENCE`.

    It covers the true share in at least that many cases, also of small samples. A sample without
    replacement, as ours, makes it a little wider than need be.
    """
    from scipy.stats import binomtest  # noqa: PLC0415 - takes a second to import

    interval = binomtest(wrong, answers).proportion_ci(CONFIDENCE, method="exact")
    return float(interval.low), float(interval.high)


def compare_reviewers(latest: pl.DataFrame) -> list[Agreement]:
    """Compare each two reviewers on the lines that both judged; `latest` has one row for each.

    Source of kappa: J. Cohen, "A coefficient of agreement for nominal scales", Educational and
    Psychological Measurement 20 (1960).
    """
    agreements = list[Agreement]()
    by_reviewer = {
        str(name): rows.select("id", "verdict")
        for (name,), rows in latest.sort("reviewer").group_by("reviewer", maintain_order=True)
    }
    for one, other in combinations(by_reviewer, 2):
        pairs = by_reviewer[one].join(by_reviewer[other], on="id", suffix="_other")
        if pairs.is_empty():
            continue
        equal = int((pairs["verdict"] == pairs["verdict_other"]).sum())
        shares = [
            dict(pairs[column].value_counts(normalize=True).iter_rows())
            for column in ("verdict", "verdict_other")
        ]
        by_chance = sum(share * shares[1].get(verdict, 0.0) for verdict, share in shares[0].items())
        share = equal / pairs.height
        kappa = (share - by_chance) / (1 - by_chance) if by_chance < 1 else None
        agreements.append(
            Agreement(
                reviewers=(one, other),
                lines=pairs.height,
                equal=equal,
                share=share,
                kappa=kappa,
            )
        )
    return agreements


def describe_errors(error: ErrorEstimate) -> str:
    """Return the estimated error rate and what it rests on, in one sentence."""
    answers = error.right + error.wrong
    basis = f"{answers:,} of {error.sample_size:,} sampled lines were judged right or wrong"
    unsure = f", {error.unsure:,} unsure" if error.unsure else ""
    if error.rate is None or error.low is None or error.high is None:
        return f"Error rate: not known yet; {basis}{unsure}"
    interval = f"{error.low:.1%} to {error.high:.1%} at {error.confidence:.0%} confidence"
    return f"Error rate: {error.rate:.1%} ({interval}, Clopper-Pearson); {basis}{unsure}"


def describe_agreement(agreement: Agreement) -> str:
    """Return how far two reviewers agree, in one sentence."""
    kappa = "" if agreement.kappa is None else f", Cohen's kappa {agreement.kappa:.2f}"
    return (
        f"{' and '.join(agreement.reviewers)} agree on {agreement.equal:,} of {agreement.lines:,} "
        f"lines that both judged ({agreement.share:.0%}{kappa})"
    )
