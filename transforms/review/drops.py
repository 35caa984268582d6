"""Drops of a release in numbers: reasons with examples, and the clusters of duplicates."""

import msgspec
import polars as pl

from bedrock_sluice.transforms.facts.release_facts import CountByName
from bedrock_sluice.transforms.reasons import Reason

MAX_EXAMPLES = 5
MAX_CLUSTERS = 5
MAX_SURVIVORS = 16  # in a row: a prompt was kept instead of another, which was kept instead of …

SAME_PROMPT = (Reason.CURATE_EXACT_DUPLICATE, Reason.CURATE_NEAR_DUPLICATE, Reason.CURATE_BURST)
SAME_CONVERSATION = (Reason.CURATE_CONVERSATION_TURN,)


class ReasonFacts(msgspec.Struct, frozen=True):
    """A reason, its message, the records that were dropped for it, and some of their ids.

    A record without an id is named by its log object and line.
    """

    reason: str
    message: str
    stage: str
    records: int
    share: float
    examples: list[str]


class Cluster(msgspec.Struct, frozen=True):
    """A record that stands for others: how many of them were dropped, by reason; some ids.

    `fate` is what became of the record itself.
    """

    survivor: str
    fate: str
    records: int
    reasons: CountByName
    examples: list[str]


def count_reasons(fates: pl.DataFrame) -> list[ReasonFacts]:
    """Count the reasons of `FATES`, the most frequent first."""
    examples = pl.struct("request_id", "object", "line").head(MAX_EXAMPLES)
    rows = (
        fates.filter(pl.col("reason").is_not_null())
        .group_by("reason", maintain_order=True)
        .agg(pl.col("stage").first(), records=pl.len(), examples=examples)
        .sort("records", "reason", descending=[True, False])
    )
    messages = {reason.value: reason.message for reason in Reason}
    return [
        ReasonFacts(
            reason=row["reason"],
            message=messages.get(row["reason"], "a reason of another version of Sluice"),
            stage=row["stage"] or row["reason"].partition("_")[0],
            records=row["records"],
            share=row["records"] / fates.height,
            examples=[
                each["request_id"] or f"{each['object']} line {each['line']}"
                for each in row["examples"]
            ],
        )
        for row in rows.iter_rows(named=True)
    ]


def largest_clusters(fates: pl.DataFrame, reasons: tuple[Reason, ...]) -> list[Cluster]:
    """Return the records of `FATES` that stand for most others dropped for these reasons.

    A survivor that was itself dropped for one of the reasons hands its records on to its own.
    """
    drops = fates.filter(pl.col("reason").is_in([each.value for each in reasons]))
    drops = drops.filter(pl.col("survivor").is_not_null()).select(
        "request_id", "reason", "survivor"
    )
    links = drops.unique("request_id", keep="first").select(survivor="request_id", later="survivor")
    for _ in range(MAX_SURVIVORS):
        with_later = drops.join(links, on="survivor", how="left", maintain_order="left")
        if with_later["later"].null_count() == with_later.height:
            break
        drops = with_later.with_columns(survivor=pl.coalesce("later", "survivor")).drop("later")
    clusters = (
        drops.group_by("survivor", maintain_order=True)
        .agg(
            pl.col("reason").value_counts(sort=True),
            records=pl.len(),
            examples=pl.col("request_id").head(MAX_EXAMPLES),
        )
        .sort("records", "survivor", descending=[True, False])
        .head(MAX_CLUSTERS)
    )
    kept = fates.filter(pl.col("request_id").is_in(clusters["survivor"].to_list()))
    fate_of = dict(kept.select("request_id", pl.coalesce("reason", "fate")).iter_rows())
    return [
        Cluster(
            survivor=row["survivor"],
            fate=fate_of.get(row["survivor"], "not read"),
            records=row["records"],
            reasons={each["reason"]: each["count"] for each in row["reason"]},
            examples=row["examples"],
        )
        for row in clusters.iter_rows(named=True)
    ]
