"""The report of a release, made from its own files and from what was decided about it since."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
import polars as pl
from pydantic import ValidationError

from bedrock_sluice.expectations.checks import Check, decode_checks
from bedrock_sluice.expectations.pages.report import (
    About,
    Answers,
    Changes,
    Completeness,
    Duplicates,
    Funnel,
    LinesToRead,
    Origin,
    PersonalData,
    ReportFacts,
    Signature,
    Sizes,
    render_report,
)
from bedrock_sluice.flows.decisions.decisions import (
    find_approvals,
    find_decisions,
    find_overrides,
)
from bedrock_sluice.flows.decisions.figures import review_figures
from bedrock_sluice.flows.decisions.requirements import (
    signature,
    unmet_requirements,
    unmet_without_decisions,
)
from bedrock_sluice.flows.recipe import Recipe, decisive_part
from bedrock_sluice.flows.review.comparison import compare_releases
from bedrock_sluice.flows.review.recipe_words import recipe_in_words, window_in_words
from bedrock_sluice.flows.training.spending import estimate_release, prompt_tokens
from bedrock_sluice.lake.logs.source import hour_of
from bedrock_sluice.lake.releases.decisions import Decision
from bedrock_sluice.lake.releases.manifest import Manifest
from bedrock_sluice.lake.releases.release import (
    REPORT,
    SLICES,
    Release,
    ReleaseFiles,
    ReleaseView,
    open_release,
)
from bedrock_sluice.lake.releases.split_memory import read_memories
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.rewards.estimate import summary_lines
from bedrock_sluice.transforms.errors import SluiceError
from bedrock_sluice.transforms.privacy.detection import mask_personal_data
from bedrock_sluice.transforms.review.completeness import hour_facts
from bedrock_sluice.transforms.review.drops import (
    SAME_CONVERSATION,
    SAME_PROMPT,
    count_reasons,
    largest_clusters,
)
from bedrock_sluice.transforms.review.lines_to_read import LineToRead, choose_lines, read_line
from bedrock_sluice.transforms.review.slices import MAX_KEYS, SliceFacts, mask_slices, slice_facts
from bedrock_sluice.transforms.review.verdicts import REVIEW
from bedrock_sluice.transforms.settings import TRUST, Content
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

CHECKS, FATES, PROVENANCE = "checks.json", "fates.parquet", "provenance.parquet"
MAX_ANCESTORS = 100  # releases that are looked at for an approved one


def report_of(release: Release, content: Content | None = None) -> str:
    """Return the report of a published release as HTML, with what was decided until now.

    `content` is what it shows of the text of lines; None stands for the recipe's setting.

    Raises:
        IntegrityError: a file of the release, or an approval, is not what was written.
    """
    signatures = [_signature(each) for each in find_decisions(release)]
    facts = collect(release, release.uri, signatures, content)
    recipe = _recipe_of(release.manifest)
    return render_report(
        replace(
            facts,
            reviews=review_figures(release.lake, release),
            needs=unmet_requirements(release, recipe.approval) if recipe else [],
        )
    )


def _signature(decision: Decision) -> Signature:
    reason = decision.override and f"overrides the gate: {decision.override}"
    return Signature(
        by=signature(decision),
        decision=decision.verdict,
        at=f"{decision.at:%Y-%m-%d %H:%M} UTC",
        note="; ".join(filter(None, (reason, decision.note))),
    )


def report_of_draft(draft: ReleaseView) -> str:
    """Return the report of a release that is about to be published.

    It does not name the lake, so that equal builds in two places write the same page.
    """
    manifest = draft.manifest
    return render_report(collect(draft, f"LAKE/releases/{manifest.name}/{manifest.id}"))


def collect(
    release: ReleaseView,
    place: str,
    signatures: list[Signature] | None = None,
    content: Content | None = None,
) -> ReportFacts:
    """Collect what the report shows of a release, whose path or URI is `place`."""
    manifest = release.manifest
    recipe = _recipe_of(manifest)
    content = content or (recipe.report.content if recipe else "masked")
    mask_key = recipe.split.salt if recipe else ""
    mask = str if content == "full" else partial(mask_personal_data, key=mask_key)
    fates = pl.read_parquet(release.file(FATES), glob=False)
    label_conflicts = manifest.curation.label_conflicts
    duplicates = Duplicates(
        prompts=largest_clusters(fates, SAME_PROMPT),
        conversations=largest_clusters(fates, SAME_CONVERSATION),
        label_conflicts=label_conflicts.prompts if label_conflicts else 0,
    )
    has_duplicates = duplicates.prompts or duplicates.conversations or duplicates.label_conflicts
    return ReportFacts(
        name=manifest.name,
        id=manifest.id,
        digest=manifest.digest,
        verdict=manifest.verdict,
        place=place,
        counts=manifest.counts,
        checks=_checks(release),
        signatures=signatures or [],
        needs=unmet_without_decisions(recipe.approval) if recipe else [],
        roles=recipe.approval.roles if recipe else [],
        may_override=recipe is not None and recipe.approval.allow_override,
        about=_about(release, recipe),
        funnel=Funnel(
            stages=manifest.stages,
            reasons=count_reasons(fates),
            matched_without_key=manifest.metadata.matched_without_key,
        ),
        changes=_changes(release, has_words=content != "none"),
        sizes=_sizes(release),
        slices=_slices(release, mask),
        duplicates=duplicates if has_duplicates else None,
        answers=Answers(facts=manifest.answers, trust=_sources(manifest)),
        reviews=None,  # of a release that is about to be published, there are none yet
        readiness=manifest.readiness,
        personal_data=_personal_data(manifest, recipe),
        rights=manifest.rights,
        leakage=manifest.leakage,
        completeness=_completeness(manifest, mask),
        lines=_lines(release, content, mask_key),
        origin=_origin(manifest),
    )


def _recipe_of(manifest: Manifest) -> Recipe | None:
    """Return the recipe of a release; None if another version of Sluice wrote it."""
    try:
        return Recipe.model_validate(manifest.recipe)
    except ValidationError:
        return None


def _checks(release: ReleaseFiles) -> list[Check]:
    if CHECKS not in release.manifest.files:
        return []
    return decode_checks(release.file(CHECKS).read_bytes(), CHECKS)


def _about(release: ReleaseFiles, recipe: Recipe | None) -> About:
    template = str(release.manifest.recipe.get("template", {}).get("name", "unknown"))
    if recipe is None:
        return About(
            template=template,
            window="records of the window that the recipe says",
            rules=[],
            estimate=[],
        )
    estimate = list[str]()
    if recipe.train:
        try:
            estimate = summary_lines(estimate_release(release, recipe))
        except SluiceError as error:
            estimate = [str(error)]
    return About(
        template=template,
        window=window_in_words(recipe),
        rules=recipe_in_words(recipe),
        estimate=estimate,
    )


def _changes(release: ReleaseView, *, has_words: bool) -> Changes | None:
    """Compare with the newest approved ancestor, or else with the parent; None if there is none.

    A release whose ancestors can't be read has a report all the same.
    """
    manifest = release.manifest
    try:
        ancestors = _ancestors(release.lake, manifest)
        base = next((each for each in ancestors if find_approvals(each)), None)
        is_approved = base is not None
        base = base or next(iter(ancestors), None)
        if base is None:
            return None
        comparison = compare_releases(base, release, has_words=has_words)
        rules, base_rules = _rules(manifest), _rules(base.manifest)
        overrides = [_signature(each) for each in find_overrides(ancestors[0])]
    except SluiceError:
        return None
    return Changes(
        base=base.id,
        is_approved=is_approved,
        comparison=comparison,
        rules_removed=[each for each in base_rules if each not in rules],
        rules_added=[each for each in rules if each not in base_rules],
        parent=ancestors[0].id,
        overrides=overrides,
    )


def _rules(manifest: Manifest) -> list[str]:
    """Return the recipe of a release in words; nothing if this version does not read it."""
    recipe = _recipe_of(manifest)
    if recipe is None:
        return []
    return [f"Take {window_in_words(recipe)}.", *recipe_in_words(recipe)]


def _ancestors(lake: Store, manifest: Manifest) -> list[Release]:
    """Return the release before, the one before that, and so on."""
    ancestors, parent = list[Release](), manifest.parent
    memories = {each.id: each for each in read_memories(lake, manifest.name)}
    while parent and len(ancestors) < MAX_ANCESTORS:
        if parent in memories:  # `sluice gc` removed it
            parent = memories[parent].parent
            continue
        ancestors.append(open_release(f"{lake.uri}/releases/{manifest.name}/{parent}"))
        parent = ancestors[-1].manifest.parent
    return ancestors


def _sizes(release: ReleaseFiles) -> Sizes | None:
    provenance = pl.read_parquet(
        release.file(PROVENANCE), columns=["timestamp", "split"], glob=False
    )
    if provenance.is_empty():
        return None
    days = (
        provenance.group_by(pl.col("timestamp").dt.strftime("%Y-%m-%d").alias("day"))
        .agg(
            train=(pl.col("split") == TRAIN).sum(), validation=(pl.col("split") == VALIDATION).sum()
        )
        .drop_nulls()
        .sort("day")
    )
    lengths = [prompt_tokens(release, side) for side in (TRAIN, VALIDATION)]
    return Sizes(days=days.rows(), lengths=pl.concat(lengths).to_list())


def _slices(release: ReleaseFiles, mask: Callable[[str], str]) -> list[SliceFacts]:
    manifest = release.manifest
    if SLICES not in manifest.files:
        return []
    readable = next((s.kept for s in manifest.stages if s.stage == "normalise"), 0)
    lines = manifest.counts.train + manifest.counts.validation
    slices = mask_slices(pl.read_parquet(release.file(SLICES), glob=False), mask)
    return slice_facts(slices, readable, lines)


def _sources(manifest: Manifest) -> list[str]:
    """Return the sources of answers by trust; those of another version of Sluice come last."""
    sources = (REVIEW, *TRUST)
    return [*sources, *(s for s in manifest.answers.lines_by_source if s not in sources)]


def _personal_data(manifest: Manifest, recipe: Recipe | None) -> PersonalData | None:
    facts = manifest.curation
    if not (facts.personal_data or facts.hidden_characters or facts.bidi_characters):
        return None
    return PersonalData(
        prompts=facts.prompts,
        by_kind=facts.personal_data,
        actions=recipe.privacy.actions() if recipe else {},
        hidden_characters=facts.hidden_characters,
        bidi_characters=facts.bidi_characters,
    )


def _completeness(manifest: Manifest, mask: Callable[[str], str]) -> Completeness:
    counts = manifest.metadata.records_by_key.items()
    frequent_first = sorted(counts, key=lambda pair: (-pair[1], pair[0]))[:MAX_KEYS]
    keys = {mask(key): number for key, number in frequent_first}
    hours = [hour_of(each.object) for each in manifest.inputs.objects]
    return Completeness(
        objects=len(manifest.inputs.objects),
        hours=hour_facts(hour for hour in hours if hour),
        delivered_later=manifest.delivered_later,
        records=manifest.counts.records,
        records_without_metadata=manifest.metadata.without_keys,
        records_by_key=keys,
        unreadable=sum(manifest.counts.quarantined.values()),
        unknown_shapes=manifest.unknown_shapes,
    )


def _lines(release: ReleaseFiles, content: Content, mask_key: str) -> LinesToRead | None:
    if content == "none":
        return None
    provenance = pl.read_parquet(release.file(PROVENANCE), glob=False)
    ids = choose_lines(provenance, mask_key)
    sources = {row["id"]: row for row in provenance.filter(pl.col("id").is_in(ids)).to_dicts()}
    texts = _find_lines(release, sources)
    rows: list[LineToRead] = [
        read_line(texts[each], sources[each], content, mask_key) for each in ids if each in texts
    ]
    if not rows:
        return None
    return LinesToRead(rows=rows, total=provenance.height, is_masked=content == "masked")


class _LineId(msgspec.Struct):
    id: str


def _find_lines(release: ReleaseFiles, ids: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the lines (JSON) with these ids."""
    decoder = msgspec.json.Decoder(_LineId)
    texts = dict[str, bytes]()
    for side in (TRAIN, VALIDATION):
        with release.file(f"{side}.jsonl").open("rb") as file:
            texts |= {id_: line for line in file if (id_ := decoder.decode(line).id) in ids}
    return texts


def _origin(manifest: Manifest) -> Origin:
    inputs = manifest.inputs
    tables = {f"Labels {n}": digest for n, digest in enumerate(inputs.labels_sha256, start=1)}
    tables |= {f"Feedback {n}": digest for n, digest in enumerate(inputs.feedback_sha256, start=1)}
    if inputs.grader_sha256:
        tables["Grader"] = inputs.grader_sha256
    objects = msgspec.json.encode(inputs.objects, order="deterministic")
    tables["All log objects"] = sha256(objects).hexdigest()
    recipe = msgspec.json.encode(decisive_part(manifest.recipe), order="deterministic")
    return Origin(
        parent=manifest.parent,
        recipe_digest=manifest.recipe_digest,
        recipe=msgspec.json.format(recipe, indent=2).decode(),
        objects=len(inputs.objects),
        object_bytes=sum(each.size for each in inputs.objects),
        tables=tables,
        earlier_releases=manifest.earlier_releases,
        trained_before=manifest.trained_before,
        files={
            name: (facts.sha256, facts.bytes)
            for name, facts in manifest.files.items()
            if name != REPORT
        },
        versions=manifest.versions,
    )
