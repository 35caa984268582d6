"""What a build states about the rights of its records: a part of the manifest and the report."""

import msgspec

from bedrock_sluice.transforms.facts.release_facts import CountByName


class RightsFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How `[rights]` of the recipe was applied.

    `records` were checked. Of the `exclusions` in the recipe and its files, `exclusions_used` match
    a record. `other_regions` are records of other Regions that were kept, for
    `other_regions = "fail"`. `base_model` is the model that is to be trained; `responses_by_model`
    are lines whose reference answer is a response, by the model that gave it (the most frequent
    ones).
    """

    records: int
    exclusions: int
    exclusions_used: int
    other_regions: int
    base_model: str | None = None
    responses_by_model: CountByName = {}
