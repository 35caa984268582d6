"""Whose responses may teach which base model: the terms of the models' providers, as a matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import polars as pl

from bedrock_sluice.transforms.derived_metadata import model_family, model_name
from bedrock_sluice.transforms.fates import FilterResult
from bedrock_sluice.transforms.reasons import Reason

_UNANSWERED = (Reason.ANSWER_MISSING.value, Reason.ANSWER_UNFIT.value)


@dataclass(frozen=True, slots=True)
class ReferenceModels:
    """The base model that is to be trained, and the models whose responses may teach it.

    `matrix` maps patterns (`*`, `?`) of models that gave responses to patterns of base models. The
    base model's own responses may always be used.
    """

    base_model: str
    matrix: Mapping[str, Sequence[str]]

    def usable(self, model_ids: pl.Series) -> pl.Series:
        """Return for each model, by the id or ARN that was logged, whether it may teach.

        A pattern is compared with the whole id, and with what follows its last slash.
        """
        patterns = [
            pattern
            for pattern, bases in self.matrix.items()
            if any(_matches(self.base_model, each) for each in bases)
        ]
        models = model_ids.drop_nulls().unique()
        frame = pl.DataFrame({"model": models, "name": models}).with_columns(
            family=model_family(pl.col("model"))
        )
        own = pl.select(model_family(pl.lit(self.base_model))).item()
        allowed_models = [
            model
            for model, _, family in frame.iter_rows()
            if (own is not None and family == own) or any(_matches(model, p) for p in patterns)
        ]
        return model_ids.is_in(allowed_models).fill_null(value=False)


def _matches(model: str, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (model, model.rpartition("/")[2]))


def name_reference_models(result: FilterResult, unlisted_responses: pl.DataFrame) -> FilterResult:
    """Give prompts their own reason that have no answer only because of `unlisted_responses`.

    These are responses (`exchange, prompt_digest, model_id`) of models that may not teach the base
    model. `detail` is the model.
    """
    name = model_name(pl.col("model_id")).fill_null("no model id")
    models = unlisted_responses.group_by("prompt_digest").agg(model=name.min())
    rows = result.rejected.join(models, on="prompt_digest", how="left", maintain_order="left")
    is_concerned = pl.col("model").is_not_null() & pl.col("reason").is_in(_UNANSWERED)
    rejected = rows.with_columns(
        reason=pl.when(is_concerned)
        .then(pl.lit(Reason.RIGHTS_REFERENCE_MODEL.value))
        .otherwise("reason"),
        detail=pl.when(is_concerned).then("model"),
    )
    return FilterResult(result.kept, rejected.drop("model"))
