"""The inputs of a build, as its manifest lists them, and the earlier releases that decide it."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec
import polars as pl

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.review.baseline import find_release, newest_approved
from bedrock_sluice.flows.stages.derive import derive_options
from bedrock_sluice.lake.derived import fingerprint
from bedrock_sluice.lake.releases.history_marks import put_marks, read_marks
from bedrock_sluice.lake.releases.manifest import InputObject, Inputs, Manifest
from bedrock_sluice.lake.releases.registry import trained_on
from bedrock_sluice.lake.releases.release import Release, find_built
from bedrock_sluice.lake.releases.split_history import SplitHistory, read_split_history
from bedrock_sluice.transforms.chat.training_line import messages_of
from bedrock_sluice.transforms.curate.trained_before import as_excluded, registry_facts
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.rights.tombstones import find_forgotten
from bedrock_sluice.transforms.split import VALIDATION
from bedrock_sluice.transforms.tables import RECORD_KEY


def inputs_of(context: BuildContext) -> Inputs:
    """Return the digests of all files that a build reads besides its recipe."""
    # The ETag of a file is its time of change, which a copy of the folder does not keep.
    is_folder = "://" not in context.source.store.uri
    return Inputs(
        objects=[
            InputObject(each.key, each.size, None if is_folder else each.etag, each.sha256)
            for each in context.landed.objects()
        ],
        labels_sha256=[table.sha256 for table in context.labels],
        feedback_sha256=[table.sha256 for table in context.feedback],
        evaluation_sha256=context.evaluation.sha256,
        grader_sha256=_grader_sha256(context),
        exclusions_sha256=[table.sha256 for table in context.exclusion_lists],
        forgotten_sha256=_forgotten_sha256(context),
        reviews_sha256=sorted(review.sha256 for review in context.reviews),
        suites_sha256=[file.sha256 for file in context.suites],
    )


def _forgotten_sha256(context: BuildContext) -> str | None:
    """Return the digest of the places of all forgotten records of the window; None without any."""
    digests = context.forgotten_digests
    if not digests:
        return None
    rows = context.landed.read([*RECORD_KEY, "request_id", "reason"])
    is_marked = (rows["reason"] == Reason.RIGHTS_FORGOTTEN.value).fill_null(value=False)
    is_forgotten = is_marked | pl.Series(
        find_forgotten(rows["request_id"], digests), dtype=pl.Boolean
    )
    places = rows.filter(is_forgotten).select(RECORD_KEY).sort(RECORD_KEY)
    return sha256(msgspec.json.encode(places.rows())).hexdigest() if places.height else None


def _grader_sha256(context: BuildContext) -> str | None:
    """Return the digest of the file of a local grader: its scores may decide about lines."""
    grader = context.recipe.grader
    if grader is None or grader.python is None:
        return None
    path = context.base / grader.python.rpartition(":")[0]
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def excluded_prompts(context: BuildContext) -> pl.DataFrame:
    """Read what earlier jobs of the lineage were trained on (`TRAINED`).

    If this very build was made before, and trained on since, these are the prompts that it excluded
    then, so that the result is the same.
    """
    trained_prompts = trained_on(context.lake, context.recipe.lineage)
    build = (context.recipe.digest(), inputs_of(context))

    def is_same_build(manifest: Manifest) -> bool:
        return (manifest.recipe_digest, manifest.inputs) == build

    releases = registry_facts(trained_prompts)
    own = find_built(context.lake, context.recipe.name, releases, is_same_build)
    return as_excluded(trained_prompts, own.manifest.trained_before) if own else trained_prompts


class EarlierReleases(NamedTuple):
    """What earlier releases of a name decide: sides of the split, and what drift is measured from.

    `baseline` is the newest approved release, if there is one.
    """

    history: SplitHistory
    baseline: Release | None


def earlier_releases(context: BuildContext, trained_before: Sequence[str]) -> EarlierReleases:
    """Read the sides that earlier releases of this name gave, where the split has the same rules.

    If this very build was made before, these are the sides that it knew then, and the release that
    was approved then, so that the result is the same. `trained_before` are the ids of releases
    whose prompts this build excludes.
    """
    name, rules = context.recipe.name, context.recipe.split_rules()
    build = (context.recipe.digest(), inputs_of(context), list(trained_before))

    def is_same_build(manifest: Manifest) -> bool:
        return (manifest.recipe_digest, manifest.inputs, manifest.trained_before) == build

    own = find_built(context.lake, name, None, is_same_build)
    only = own.manifest.earlier_releases if own else None
    history = read_split_history(context.lake, name, rules, only)
    if history.last:
        release = f"{name}/{history.last}"
        context.marks.load(read_marks(context.lake, _fingerprint(context), release))
    if own is None:
        return EarlierReleases(history, newest_approved(context.lake, name))
    release_id = own.manifest.drift_baseline
    baseline = find_release(context.lake, name, release_id) if release_id else None
    return EarlierReleases(history, baseline)


def keep_marks(
    context: BuildContext, release: Release, lines: pl.DataFrame, earlier: SplitHistory
) -> None:
    """Keep the marks of what the next release of this name is compared with, beside this release.

    These are its `lines`, and those that an earlier release held out.
    """
    held_out = earlier.lines.filter(split=VALIDATION)["json"]
    marks = context.marks.table(messages_of(pl.concat([lines["json"], held_out])))
    name = f"{release.name}/{release.id}"
    put_marks(context.lake, _fingerprint(context), name, marks, context.work)


def _fingerprint(context: BuildContext) -> str:
    return fingerprint(derive_options(context.recipe))
