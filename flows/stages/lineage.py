"""What a build is made from, as in its manifest; and the prompts that it must leave out."""

from hashlib import sha256
from typing import Any

import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.lake.releases.registry import find_built, trained_on
from bedrock_sluice.lake.releases.split_history import SplitHistory, read_split_history
from bedrock_sluice.transforms.curate.trained_before import as_excluded, registry_facts

Facts = dict[str, Any]

TRAINED_BEFORE = "trained_before"  # the manifest's list of the releases whose prompts were left out
EARLIER_RELEASES = "earlier_releases"  # the manifest's list of those whose split was carried on


def input_facts(context: BuildContext) -> Facts:
    """The recipe's digest, and the files that were read."""
    return {
        "recipe_digest": context.recipe.digest(),
        "inputs": _inputs(context),
        "labels_sha256": [table.sha256 for table in context.labels],
        "feedback_sha256": [table.sha256 for table in context.feedback],
        "evaluation_sha256": context.evaluation.sha256,
        "grader_sha256": _grader_sha256(context),
    }


def _grader_sha256(context: BuildContext) -> str | None:
    """Of the file of a local grader: what it scores may decide which lines there are."""
    grader = context.recipe.grader
    if grader is None or grader.python is None:
        return None
    path = context.base / grader.python.rpartition(":")[0]
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _inputs(context: BuildContext) -> list[Facts]:
    """Each log object that was read; a folder has no ETags of its own worth keeping."""
    is_folder = "://" not in context.source.store.uri
    return [
        {
            "object": h.key,
            "size": h.size,
            "etag": None if is_folder else h.etag,
            "sha256": h.sha256,
        }
        for h in context.landed.objects()
    ]


def excluded_prompts(context: BuildContext) -> pl.DataFrame:
    """What earlier jobs of the lineage were trained on (`TRAINED`).

    If this very build was made before, and trained on since, it leaves out what it left out then,
    so that the result is the same.
    """
    trained_prompts = trained_on(context.lake, context.recipe.lineage)
    own = find_built(
        context.lake, context.recipe.name, registry_facts(trained_prompts), input_facts(context)
    )
    return (
        as_excluded(trained_prompts, own.manifest.get(TRAINED_BEFORE, []))
        if own
        else trained_prompts
    )


def split_history(context: BuildContext, trained_prompts: Facts) -> SplitHistory:
    """The sides that earlier releases of this name gave, where the rules of the split are the same.

    If this very build was made before, it uses what it knew then, so that the result is the same.
    `trained_prompts` are the facts of what earlier jobs were trained on.
    """
    facts = input_facts(context) | trained_prompts
    name, rules = context.recipe.name, context.recipe.split_rules()
    own = find_built(context.lake, name, None, facts)
    only = own.manifest.get(EARLIER_RELEASES) if own else None
    return read_split_history(context.lake, name, rules, only)
