"""From a model back to the records: each link of the chain, with the digests that prove it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import polars as pl

from bedrock_sluice.flows.decisions.decisions import find_decisions
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.flows.review.release_names import resolve_release
from bedrock_sluice.lake.logs.landed_inputs import PLACES, find_inputs
from bedrock_sluice.lake.releases.jobs import JobRecord, read_jobs
from bedrock_sluice.lake.releases.registry import find_use, used_prompts
from bedrock_sluice.lake.releases.release import Release, open_release
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import (
    ConfigError,
    IntegrityError,
    RefusedError,
)
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

FATES, PROVENANCE = "fates.parquet", "provenance.parquet"
DIGEST_TAG = "sluice:digest"
_ARN = "arn:"
_MAX_NAMES = 3  # in a message


class Link(msgspec.Struct, frozen=True):
    """One step of the chain: whether it holds, and what was compared."""

    name: str
    ok: bool
    message: str


class TracedRecord(msgspec.Struct, frozen=True):
    """A record: what became of it, and where it stands in the logs."""

    request_id: str
    fate: str
    reason: str | None
    survivor: str | None
    object: str
    object_sha256: str | None
    line: int


class Trace(msgspec.Struct, frozen=True):
    """The chain from a model, a job or a release to its records.

    `records` are the lines that the model was trained on if all are asked for, or the records with
    the request ids that were; `missing` are ids that the release does not have.
    """

    release: str
    digest: str
    verdict: str
    recipe_digest: str
    job: str | None
    model: str | None
    train: int
    validation: int
    objects: int
    approved_by: list[str]
    links: list[Link]
    records: list[TracedRecord]
    missing: list[str]

    @property
    def is_whole(self) -> bool:
        """Whether every link holds, and every request id is in the release."""
        return all(link.ok for link in self.links) and not self.missing


@dataclass(slots=True)
class _Chain:
    """The links so far; a link that cannot be followed is one that does not hold."""

    links: list[Link] = field(default_factory=list)

    def follow(self, name: str, step: Callable[[], str]) -> None:
        """Add a link: `step` returns what holds, or raises an error."""
        try:
            self.links.append(Link(name, True, step()))
        except (IntegrityError, RefusedError, ConfigError) as error:
            self.links.append(Link(name, False, str(error)))


def trace(
    target: str,
    lake: Store | None = None,
    *,
    request_ids: Sequence[str] = (),
    has_records: bool = False,
) -> Trace:
    """Follow a model ARN, a job ARN or the URI of a release back to its records.

    An ARN is looked up in the registry of the `lake`. A broken link does not end the trace; the
    result names it.

    Raises:
        ConfigError: `target` is an ARN and there is no `lake`, or there is no such release.
        RefusedError: The registry of the lake has no job with that ARN.
        IntegrityError: The manifest or the registry cannot be read at all.
    """
    job = _find_job(target, lake) if target.startswith(_ARN) else None
    release = (
        open_release(f"{lake.uri}/releases/{job.release}")
        if job and lake
        else resolve_release(target, lake.uri if lake else None)
    )
    jobs = [job] if job else read_jobs(release.lake, release.manifest.digest)
    chain = _Chain()
    for each in jobs:
        _follow_job(chain, release, each)
    approvers = _follow_release(chain, release, must_be_approved=bool(jobs))
    objects = {each.object: each.sha256 for each in release.manifest.inputs.objects}
    lines = _follow_records(chain, release)
    rows, missing = _select(release, lines, request_ids, has_records=has_records)
    last_job = jobs[-1] if jobs else None
    manifest = release.manifest
    return Trace(
        release=release.uri,
        digest=manifest.digest,
        verdict=manifest.verdict,
        recipe_digest=manifest.recipe_digest,
        job=last_job.job_arn if last_job else None,
        model=last_job.model_arn if last_job else None,
        train=manifest.counts.train,
        validation=manifest.counts.validation,
        objects=len(objects),
        approved_by=approvers,
        links=chain.links,
        records=[
            TracedRecord(**row, object_sha256=objects.get(row["object"]))
            for row in rows.iter_rows(named=True)
        ],
        missing=missing,
    )


def _find_job(arn: str, lake: Store | None) -> JobRecord:
    if lake is None:
        raise ConfigError(
            "an ARN does not say which lake it belongs to", value=arn, hint="name it with --lake"
        )
    for job in read_jobs(lake):
        if arn in {job.job_arn, job.model_arn}:
            return job
    raise RefusedError(
        f"no job in the registry has the ARN {arn}",
        place=lake.uri,
        value=arn,
        hint="record how jobs ended with `sluice status RECIPE`, or name another lake",
    )


def _follow_job(chain: _Chain, release: Release, job: JobRecord) -> None:
    """Compare what the registry says about a job with the release."""
    digest = release.manifest.digest
    if job.model_arn:
        chain.follow("model", lambda: f"{job.model_arn} is the model of {job.job_arn}")

    def compare_request() -> str:
        tags = {tag["key"]: tag["value"] for tag in job.request.request.get("jobTags", ())}
        if {job.digest, tags.get(DIGEST_TAG, digest)} != {digest}:
            raise IntegrityError(
                f"the request for {job.name} names another digest than {release.id} has"
            )
        return f"{job.job_arn or job.name} ({job.status}) was requested for {job.release}"

    def compare_prompts() -> str:
        use = find_use(release, job.lineage)
        if use is None or not use.prompts().equals(used_prompts(release)):
            raise IntegrityError(
                f"the prompts that were reserved for {job.name} are not those of train.jsonl"
            )
        return f"the reserved prompts are the {use.prompts().height:,} of train.jsonl"

    chain.follow("job", compare_request)
    chain.follow("prompts", compare_prompts)


def _follow_release(chain: _Chain, release: Release, *, must_be_approved: bool) -> list[str]:
    """Compare approvals, files and recipe with the manifest; return who approved the release."""
    approvers = list[str]()

    def read_decisions() -> str:
        approvals = [each for each in find_decisions(release) if each.verdict == "approved"]
        approvers.extend(dict.fromkeys(each.by for each in approvals))
        if must_be_approved and not approvers:
            raise IntegrityError("nobody approved the release, although a job was trained on it")
        return f"approved by {', '.join(approvers)}" if approvers else "not approved yet"

    def verify_files() -> str:
        return f"{len(release.verify())} files have the digests of the manifest"

    def verify_recipe() -> str:
        recipe_of(release)
        return "recipe and files give the digest of the release"

    chain.follow("decisions", read_decisions)
    chain.follow("files", verify_files)
    chain.follow("recipe", verify_recipe)
    return approvers


def _follow_records(chain: _Chain, release: Release) -> pl.DataFrame:
    """Compare the lines with the log objects that the lake holds; return their fates."""
    lines = pl.DataFrame()
    places = PLACES.to_frame()
    manifest = release.manifest

    def read_lines() -> str:
        nonlocal lines
        lines = _fates(release).filter(pl.col("fate").is_in([TRAIN, VALIDATION])).collect()
        provenance = pl.read_parquet(release.file(PROVENANCE), glob=False)
        pairs = [
            set(frame.iter_rows())
            for frame in (
                lines.select("request_id", "fate"),
                provenance.select("request_id", "split"),
            )
        ]
        counts = manifest.counts
        if pairs[0] != pairs[1] or lines.height != counts.train + counts.validation:
            raise IntegrityError("the lines are not those whose records the release accounts for")
        return f"{counts.train:,} lines to train on, {counts.validation:,} to validate with"

    def compare_objects() -> str:
        nonlocal places
        inputs = manifest.inputs.objects
        landed_inputs = find_inputs(release.lake, inputs, recipe_of(release).window)
        if missing := landed_inputs.missing:
            raise IntegrityError(
                f"the lake does not hold {len(missing):,} of {len(inputs):,} log objects with "
                f"their digests: {_some(missing)}"
            )
        places = landed_inputs.read_places()
        return f"the lake holds all {len(inputs):,} log objects with their digests"

    def compare_places() -> str:
        keys = ["object", "line", "request_id"]
        typed_lines = lines.select(pl.col(name).cast(kind) for name, kind in PLACES.items())
        absent = typed_lines.join(places, on=keys, how="anti")
        if absent.height:
            raise IntegrityError(
                f"{absent.height:,} of {lines.height:,} lines have no record at their place in "
                f"the log objects: {_some(absent['request_id'].to_list())}"
            )
        return f"each of {lines.height:,} lines has its record in the log objects"

    chain.follow("lines", read_lines)
    chain.follow("logs", compare_objects)
    if not lines.is_empty():
        chain.follow("records", compare_places)
    return lines


def _select(
    release: Release, lines: pl.DataFrame, request_ids: Sequence[str], *, has_records: bool
) -> tuple[pl.DataFrame, list[str]]:
    """Return the fates of the records to list, and the request ids that have none."""
    columns = ["request_id", "fate", "reason", "survivor", "object", "line"]
    if request_ids:
        fates = _fates(release).filter(pl.col("request_id").is_in(list(request_ids))).collect()
        known_ids = set(fates["request_id"])
        return fates.select(columns), [each for each in request_ids if each not in known_ids]
    return (lines.select(columns) if has_records and not lines.is_empty() else pl.DataFrame()), []


def _fates(release: Release) -> pl.LazyFrame:
    return pl.scan_parquet(release.file(FATES), glob=False)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
