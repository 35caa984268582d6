"""The rights of records: consent, opting out, exclusions and Regions, told from columns."""

import polars as pl

from bedrock_sluice.transforms.fates import FilterResult, apply_rules
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.rights.exclusions import find_excluded
from bedrock_sluice.transforms.rights.settings import RightsRules

LANDED_COLUMNS = ("timestamp", "identity_arn", "region", "request_metadata")
"""The columns of a record that its rights depend on."""


def drop_without_rights(
    records: pl.DataFrame, rules: RightsRules, exclusions: pl.DataFrame
) -> FilterResult:
    """Drop the records that must not be used; `records` have `LANDED_COLUMNS`.

    `exclusions` has the schema `EXCLUSIONS`. Rejected rows say more in `detail`: the metadata key,
    the place of the entry, or the Region, and never a value of the metadata.
    """
    subjects = records.select(subjects_of(rules))
    rows = records.with_columns(excluded_by=find_excluded(subjects, exclusions))
    consent, opt_out = _metadata(rules.consent_key), _metadata(rules.opt_out_key)
    is_other_region = ~pl.col("region").is_in(rules.regions).fill_null(value=False)
    reasons: list[tuple[Reason, pl.Expr, pl.Expr]] = []
    if rules.consent_key:
        has_other = consent.is_not_null() & ~consent.is_in(rules.consent_values)
        lacks = consent.is_null() & pl.lit(rules.needs_consent)
        reasons.append(
            (Reason.RIGHTS_NO_CONSENT, has_other | lacks, _key(rules.consent_key, consent))
        )
    if rules.opt_out_key:
        has_opted_out = opt_out.is_not_null() & ~opt_out.is_in(rules.not_opted_out)
        lacks = opt_out.is_null() & pl.lit(rules.needs_opt_out)
        reasons.append(
            (Reason.RIGHTS_OPTED_OUT, has_opted_out | lacks, _key(rules.opt_out_key, opt_out))
        )
    reasons.append(
        (Reason.RIGHTS_EXCLUDED, pl.col("excluded_by").is_not_null(), pl.col("excluded_by"))
    )
    if rules.regions and rules.drops_other_regions:
        region = pl.col("region").fill_null("no Region")
        reasons.append((Reason.RIGHTS_REGION, is_other_region, region))
    result = apply_rules(rows, [(reason, is_broken) for reason, is_broken, _ in reasons])
    details = [pl.when(pl.col("reason") == r.value).then(detail) for r, _, detail in reasons]
    rejected = result.rejected.with_columns(detail=pl.coalesce(details))
    kept = result.kept.with_columns(reason=pl.lit(None, pl.String))
    return FilterResult(kept.drop("excluded_by"), rejected.drop("excluded_by"))


def subjects_of(rules: RightsRules) -> list[pl.Expr]:
    """Return the columns of landed rows that `find_excluded` compares: subjects and time."""
    return [
        pl.col("timestamp"),
        _metadata(rules.tenant_key).alias("tenant"),
        pl.col("identity_arn").alias("caller"),
        _metadata(rules.contract_key).alias("contract"),
    ]


def _metadata(key: str | None) -> pl.Expr:
    """Return the value of a metadata key; an empty one counts as missing."""
    if key is None:
        return pl.lit(None, pl.String)
    value = pl.col("request_metadata").map.get(key)
    return pl.when(value.str.len_bytes() > 0).then(value)


def _key(key: str, value: pl.Expr) -> pl.Expr:
    return (
        pl.when(value.is_null())
        .then(pl.lit(f"without the key {key}"))
        .otherwise(pl.lit(f"another value of {key}"))
    )
