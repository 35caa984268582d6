"""Which records were forgotten: told by digests of their ids, which reveal no id."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Any

import polars as pl

from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.tables import RECORD_KEY


def request_digest(request_id: str) -> str:
    """Return the digest (hex) that stands for a request id in a tombstone."""
    return sha256(request_id.encode()).hexdigest()


def find_forgotten(request_ids: Iterable[str | None], digests: Collection[str]) -> list[bool]:
    """Return for each request id (None: none) whether its digest is one of these."""
    return [is_forgotten(each, digests) for each in request_ids]


def is_forgotten(request_id: str | None, digests: Collection[str]) -> bool:
    """Return whether the digest of a request id (None: none) is one of these."""
    return request_id is not None and request_digest(request_id) in digests


def erased_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is left of a landed row once its record is forgotten: its place."""
    return {**{key: row[key] for key in RECORD_KEY}, "reason": Reason.RIGHTS_FORGOTTEN.value}


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
