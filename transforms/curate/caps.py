"""Nobody fills the dataset alone: bursts of a prompt, and caps on a caller and a system prompt.

Who can send requests can write the logs. What an attacker would gain by sending many is limited
here, before anything is counted or chosen:

- the same prompt again and again, with bad responses, would make the newest of its duplicates, or
  most of them, the attacker's: a burst counts as its first record alone. Bursts are of one caller,
  so that nobody silences what others sent at the same time;
- many prompts of one kind would drown all others: a caller, or a system prompt, has a cap. Which
  prompts stay under it is a keyed hash, so they can't be crafted to stay without the salt.
"""

from datetime import timedelta

import polars as pl

from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.split import in_stable_order

_SESSION = r"^(arn:[^:]*:sts::[^:]*:assumed-role/[^/]+)/.*$"
_SINGLE_SIGN_ON = ":assumed-role/AWSReservedSSO_"


def caller() -> pl.Expr:
    """Who a record's `identity_arn` stands for: itself, or the role that was assumed.

    Whoever assumes a role names the session, and could name a new one for each request. Only with
    single sign-on is the session's name the user's.
    """
    arn = pl.col("identity_arn")
    is_chosen = ~arn.str.contains(_SINGLE_SIGN_ON, literal=True)
    return pl.when(is_chosen).then(arn.str.replace(_SESSION, "${1}")).otherwise(arn)


def drop_bursts(
    exchanges: pl.DataFrame, labelled_ids: pl.Series, *, max_burst: int, burst_minutes: float
) -> FilterResult:
    """Of more than `max_burst` records of a prompt and caller in `burst_minutes`, keep the first.

    A burst lasts as long as no `burst_minutes` pass without a record of it. `labelled_ids` are
    request ids that always stay, because a person has judged them. Rejected rows name the
    burst's first record as their `survivor`.
    """
    of = ["prompt_digest", "caller"]
    window = timedelta(minutes=burst_minutes)
    time = pl.col("timestamp")
    is_dense = (time.shift(-max_burst) - time <= window).fill_null(value=False)
    in_burst = is_dense.cast(pl.Int8).rolling_max(max_burst + 1, min_samples=1) == 1
    rows = exchanges.with_columns(caller=caller()).sort(
        *of, "timestamp", "request_id", nulls_last=True
    )
    rows_with_bursts = rows.with_columns(in_burst=in_burst.over(of))
    goes_on = time - pl.when("in_burst").then(time).forward_fill().shift(1) <= window
    begins = pl.col("in_burst") & ~goes_on.fill_null(value=False)
    first = pl.when(begins).then("request_id").forward_fill()
    is_rejected = pl.col("in_burst") & ~pl.col("begins")
    decisions = rows_with_bursts.with_columns(
        begins=begins.over(of), survivor=first.over(of)
    ).with_columns(is_rejected=is_rejected & ~pl.col("request_id").is_in(labelled_ids.implode()))
    return _partition(decisions, Reason.CURATE_BURST, ["caller", "in_burst", "begins"])


def cap_identities(prompts: pl.DataFrame, *, max_per_identity: int, salt: str) -> FilterResult:
    """Keep at most `max_per_identity` prompts of each caller; those without one all stay."""
    return _cap(prompts, caller(), max_per_identity, salt, Reason.CURATE_IDENTITY_CAP)


def cap_systems(prompts: pl.DataFrame, *, max_per_system: int, salt: str) -> FilterResult:
    """Keep at most `max_per_system` prompts of each `system_digest`; without one, all stay."""
    digest = pl.col("system_digest")
    return _cap(prompts, digest, max_per_system, salt, Reason.CURATE_SYSTEM_CAP)


def _cap(prompts: pl.DataFrame, of: pl.Expr, most: int, salt: str, reason: Reason) -> FilterResult:
    """Keep the first `most` rows of each value: labelled ones first, then in a stable order."""
    rows = in_stable_order(prompts, salt, reason.value).with_columns(capped=of)
    rows = rows.sort(pl.col("label").is_null(), maintain_order=True)
    is_over = pl.int_range(pl.len()).over("capped") >= most
    decisions = rows.with_columns(is_rejected=pl.col("capped").is_not_null() & is_over)
    return _partition(decisions, reason, ["capped", "order"])


def _partition(decisions: pl.DataFrame, reason: Reason, scratch: list[str]) -> FilterResult:
    """Part rows by `is_rejected`, each side in the order of the log."""
    rows = decisions.drop(scratch).sort("object", "line")
    kept, rejected = rows.filter(~pl.col("is_rejected")), rows.filter("is_rejected")
    return FilterResult(
        kept=kept.drop("is_rejected", "survivor", strict=False),
        rejected=rejected.drop("is_rejected").with_columns(reason=pl.lit(reason.value)),
    )
