"""Whose responses may be reference answers, by the recipe's matrix."""

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.transforms.rights.reference_models import ReferenceModels


def mark_unlisted_responses(context: BuildContext, exchanges: pl.DataFrame) -> pl.DataFrame:
    """Take `has_good_response` from responses that may not teach the base model.

    They get `is_unlisted_response` instead: they still may be graded.
    """
    rights = context.recipe.rights
    if rights is None or rights.base_model is None:
        return exchanges.with_columns(is_unlisted_response=pl.lit(value=False))
    models = ReferenceModels(rights.base_model, rights.training_matrix)
    may_teach = pl.lit(models.usable(exchanges["model_id"]))
    is_good = pl.col("has_good_response")
    return exchanges.with_columns(
        has_good_response=is_good & may_teach, is_unlisted_response=is_good & ~may_teach
    )
