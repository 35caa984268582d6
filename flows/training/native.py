"""Native mode: Bedrock's own job over the logs, beside a release made of the same logs.

Bedrock can train on invocation logs themselves (`trainingDataConfig.invocationLogsConfig`),
filtered by request metadata alone. What it takes of them is not documented in full, so it is a
range: with and without what the published validator for distillation rejects.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.training.refusals import OPERATION
from bedrock_sluice.flows.training.service_model import faults
from bedrock_sluice.lake.releases.release import Release, newest_release
from bedrock_sluice.lake.stores.store import S3_SCHEME
from bedrock_sluice.transforms.metadata_filter import why_not_native
from bedrock_sluice.transforms.reasons import Reason

_PATH = "trainingDataConfig"
_NEVER_READ = frozenset({Reason.CURATE_ERROR, Reason.CURATE_NO_BODY})
_PERHAPS_READ = frozenset(
    {
        *(Reason.CURATE_MEDIA, Reason.CURATE_MULTI_TURN, Reason.CURATE_EMBEDDING),
        *(Reason.CURATE_RERANK, Reason.CURATE_IMAGE_GENERATION),
    }
)

_MESSAGES = {each.value: each.message for each in Reason}

Config = dict[str, Any]


class Difference(NamedTuple):
    """Records with one fate in the release, and whether Bedrock takes them."""

    reason: str
    message: str
    records: int
    bedrock: str  # takes, may take, or leaves out


class Comparison(NamedTuple):
    """A release beside what Bedrock would take of the logs that it read; records, from and to."""

    release: str
    records: int
    kept: int
    bedrock_low: int
    bedrock_high: int
    differences: list[Difference]


class NativeMode(NamedTuple):
    """Bedrock's configuration, or why there is none; and the comparison, if there is a release."""

    config: Config | None
    reasons: list[str]
    comparison: Comparison | None


def native_mode(context: BuildContext) -> NativeMode:
    """Look whether Bedrock can take the logs of a recipe itself, and what that would differ in."""
    recipe = context.recipe
    metadata = recipe.select.metadata
    reasons = list[str]()
    if metadata and (why := why_not_native(metadata)):
        reasons.append(f"the metadata filter is not native: {why}")
    if not recipe.source.uri.startswith(S3_SCHEME):
        reasons.append(f"{recipe.source.uri} is not on S3; Bedrock reads logs from S3 alone")
    config = _config(recipe.source.uri, metadata)
    if not reasons:
        reasons += _faults(config)
    release = newest_release(context.lake, recipe.name)
    is_filtered = not (metadata and why_not_native(metadata))
    comparison = compare_with_bedrock(release, is_filtered) if release else None
    return NativeMode(None if reasons else config, reasons, comparison)


def _config(uri: str, metadata: Mapping[str, Any] | None) -> Config:
    filters = {"requestMetadataFilters": dict(metadata)} if metadata else {}
    source = {"invocationLogSource": {"s3Uri": uri}, "usePromptResponse": False, **filters}
    return {"invocationLogsConfig": source}


def _faults(config: Config) -> list[str]:
    """What botocore's model of the request says of this part of it."""
    wrong = faults("bedrock", OPERATION, {_PATH: config})
    return [fault for fault in wrong if fault.startswith(f"{_PATH}.")]


def compare_with_bedrock(release: Release, is_filtered: bool) -> Comparison:
    """Tell the fates of a release's records apart by whether Bedrock would take them.

    `is_filtered` tells whether Bedrock can apply the recipe's metadata filter.
    """
    counts = release.manifest.counts
    kept = counts.train + counts.validation
    differences = [
        Difference(reason, _MESSAGES.get(reason, ""), number, _bedrock(reason, is_filtered))
        for reason, number in sorted(
            {**counts.dropped, **counts.quarantined}.items(), key=lambda each: (-each[1], each[0])
        )
    ]
    sure = sum(each.records for each in differences if each.bedrock == "takes")
    perhaps = sum(each.records for each in differences if each.bedrock == "may take")
    low = kept + sure
    return Comparison(release.id, counts.records, kept, low, low + perhaps, differences)


def _bedrock(reason: str, is_filtered: bool) -> str:
    is_unread = reason in _NEVER_READ or reason.startswith(("pull_", "decode_"))
    if is_unread or (is_filtered and reason == Reason.SELECT_METADATA):
        return "leaves out"
    return "may take" if reason in _PERHAPS_READ else "takes"
