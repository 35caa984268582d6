"""The stage `rights`: which of the selected records may be used at all."""

from dataclasses import dataclass

import polars as pl
from msgspec.structs import replace

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.recipe.rights_section import RightsSection
from bedrock_sluice.transforms.facts.rights_facts import RightsFacts
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.rights.exclusions import tabulate
from bedrock_sluice.transforms.rights.rules import LANDED_COLUMNS, drop_without_rights
from bedrock_sluice.transforms.settings import RESPONSE_SOURCES
from bedrock_sluice.transforms.tables import RECORD_KEY, RECORDS

MAX_MODELS = 10  # in the manifest


@dataclass(frozen=True)
class RecordRights:
    """The records that may be used and those that may not, and facts for the manifest."""

    result: FilterResult
    facts: RightsFacts

    def facts_of(self, lines: pl.DataFrame) -> RightsFacts:
        """Return the facts, with those of the lines that the records became."""
        is_response = pl.col("reference_source").is_in(RESPONSE_SOURCES)
        models = lines.filter(is_response)["model_id"].drop_nulls().value_counts()
        rows = models.sort("count", "model_id", descending=[True, False]).head(MAX_MODELS)
        return replace(self.facts, responses_by_model=dict(sorted(rows.iter_rows())))


def check_records(
    context: BuildContext, section: RightsSection, records: pl.DataFrame
) -> RecordRights:
    """Drop the records that `[rights]` forbids to use."""
    rows = _with_columns(context, records, LANDED_COLUMNS)
    exclusions = tabulate(context.exclusions)
    result = drop_without_rights(rows, section.rules(), exclusions)
    is_excluded = pl.col("reason") == Reason.RIGHTS_EXCLUDED.value
    is_other_region = ~pl.col("region").is_in(section.regions).fill_null(value=False)
    facts = RightsFacts(
        records=records.height,
        exclusions=exclusions.height,
        exclusions_used=result.rejected.filter(is_excluded)["detail"].n_unique(),
        other_regions=result.kept.filter(is_other_region).height if section.regions else 0,
        base_model=section.base_model,
    )
    kept, rejected = (each.select(RECORDS.columns) for each in (result.kept, result.rejected))
    return RecordRights(FilterResult(kept, rejected), facts)


def regions_of(context: BuildContext, lines: pl.DataFrame) -> pl.Series:
    """Return the Region in which the record of each line was logged."""
    return _with_columns(context, lines.select(RECORD_KEY), ("region",))["region"]


def _with_columns(
    context: BuildContext, records: pl.DataFrame, columns: tuple[str, ...]
) -> pl.DataFrame:
    landed = context.landed.read([*RECORD_KEY, *columns])
    return records.join(landed, on=RECORD_KEY, how="left", maintain_order="left")
