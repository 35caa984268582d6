"""Corrections of reviewers, read by the template of the line that they are about."""

from typing import Any

import polars as pl

from bedrock_sluice.rewards.templates.base import Reference, Template
from bedrock_sluice.transforms.answers.references import (
    encode_reference,
    reference_from_correction,
)
from bedrock_sluice.transforms.review.verdicts import VoteRules, decide


def read_correction(template: Template, correction: object) -> Reference | None:
    """Return the reference answer of a correction; None if the template cannot read it.

    Where the fields of a reference are not those of a label, it is taken as it is.
    """
    reference = reference_from_correction(template, correction)
    if reference is None and isinstance(correction, dict) and template.fits(correction):
        return correction
    return reference


def decide_by_template(
    verdicts: pl.DataFrame, template: Template, rules: VoteRules
) -> pl.DataFrame:
    """Return what `VERDICTS` decide (`DECISIONS`), where `template` reads answers."""

    def encode_correction(correction: Any) -> tuple[str, str] | None:
        reference = read_correction(template, correction)
        return None if reference is None else encode_reference(template, reference)

    return decide(
        verdicts,
        lambda reference: encode_reference(template, reference),
        encode_correction,
        rules,
    )
