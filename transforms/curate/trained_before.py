"""What earlier training jobs of a lineage were trained on: a later dataset leaves it out.

The registry is an input of a build, as the logs are: the same recipe over the same logs gives
another dataset once a job has taken its prompts. So a manifest lists the releases whose prompts
were excluded (`registry_facts`), and a build of the same release excludes those alone
(`as_excluded`): its bytes are the same, whatever was trained since, its own job included.
"""

from collections.abc import Collection

import polars as pl

from bedrock_sluice.transforms.errors import ConfigError, IntegrityError
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.split import in_stable_order

RESERVED, REGISTERED, RELEASED = "reserved", "registered", "released"
"""A job was asked for and may run; it completed; it came to nothing, so its prompts are free."""

TRAINED = pl.Schema({"prompt_digest": pl.String, "release": pl.String, "state": pl.String})
"""One row per line that a job of the lineage was given to train on, and that job's state."""

_PURPOSE = "trained_before"


def drop_trained(
    exchanges: pl.DataFrame,
    trained_prompts: pl.DataFrame,
    *,
    keep_share: float,
    salt: str,
    except_release: str | None = None,
) -> FilterResult:
    """Drop exchanges whose prompt a job was trained on, but for a `keep_share` of those prompts.

    `exchanges` has `prompt_digest, request_id`; `trained_prompts` has the schema `TRAINED`, of
    which `except_release` and what is released do not count. Which prompts are kept depends on
    `salt` and each prompt alone, so every build of the lineage keeps the same ones. Rejected rows
    have no `survivor`; their `detail` is the lowest id of the releases that used the prompt.

    Raises:
        ConfigError: the share is not between 0 and 1.
    """
    if not 0 <= keep_share <= 1:
        raise ConfigError(
            f"{keep_share} is not a share of the prompts to keep; give a number from 0 to 1"
        )
    counting_rows = _select_counting(trained_prompts).filter(
        pl.col("release").ne_missing(pl.lit(except_release))
    )
    used_prompts = counting_rows.group_by("prompt_digest").agg(detail=pl.col("release").min())
    matches = exchanges.join(used_prompts, on="prompt_digest", how="left", maintain_order="left")
    is_used = pl.col("detail").is_not_null()
    in_order = in_stable_order(matches.filter(is_used), salt, _PURPOSE)
    order = pl.col("order").cast(pl.Float64)  # of no rows it has no type of its own
    kept_prompts = in_order.filter(order < keep_share)["prompt_digest"]
    is_dropped = is_used & ~pl.col("prompt_digest").is_in(kept_prompts.implode())
    return FilterResult(
        kept=matches.filter(~is_dropped).drop("detail"),
        rejected=matches.filter(is_dropped).with_columns(
            reason=pl.lit(Reason.CURATE_TRAINED_BEFORE.value), survivor=pl.lit(None, pl.String)
        ),
    )


def registry_facts(trained_prompts: pl.DataFrame) -> list[str]:
    """The ids of the releases that count, sorted: what a manifest says of the registry's state.

    Whether one is reserved or registered is left out, since it changes no line.
    """
    return sorted(_select_counting(trained_prompts)["release"].unique())


def as_excluded(trained_prompts: pl.DataFrame, releases: Collection[str]) -> pl.DataFrame:
    """Return the registry as an earlier build used it: only `releases` count.

    One counts even if it was released since: the earlier build could not know.

    Raises:
        IntegrityError: one of them is not in the registry.
    """
    missing_releases = sorted(set(releases) - set(trained_prompts["release"]))
    if missing_releases:
        raise IntegrityError(
            f"{', '.join(missing_releases)} is missing from the registry, but the first build of "
            "this release used it; restore the registry entry"
        )
    excluded_prompts = trained_prompts.filter(pl.col("release").is_in(list(releases)))
    return excluded_prompts.with_columns(state=pl.lit(RESERVED))


def _select_counting(trained_prompts: pl.DataFrame) -> pl.DataFrame:
    return trained_prompts.filter(pl.col("state") != RELEASED)
