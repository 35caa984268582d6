"""Which records were forgotten: told by digests of their ids, which reveal no id."""

from collections.abc import Collection, Iterable
from hashlib import sha256

import polars as pl

from bedrock_sluice.transforms.reasons import Reason


def request_digest(request_id: str) -> str:
    """Return the digest (hex) that stands for a request id in a tombstone."""
    return sha256(request_id.encode()).hexdigest()


def find_forgotten(request_ids: Iterable[str | None], digests: Collection[str]) -> list[bool]:
    """Return for each request id (None: none) whether its digest is one of these."""
    return [each is not None and request_digest(each) in digests for each in request_ids]


def mark_forgotten(records: pl.DataFrame, digests: Collection[str]) -> pl.DataFrame:
    """Reject forgotten records, whatever else was said of them, and take their ids away.

    `records` have the columns of `RECORDS`. So a build says the same of a record whether its row
    was already taken out of the lake or not.
    """
    if not digests:
        return records
    is_forgotten = pl.Series(find_forgotten(records["request_id"], digests))
    nulls = {
        name: pl.when(~pl.lit(is_forgotten)).then(name)
        for name in ("request_id", "survivor", "detail")
    }
    reason = pl.when(pl.lit(is_forgotten)).then(pl.lit(Reason.RIGHTS_FORGOTTEN.value))
    return records.with_columns(
        **nulls,
        reason=reason.otherwise("reason"),
        lacks_negated_key=pl.col("lacks_negated_key") & ~pl.lit(is_forgotten),
    )
