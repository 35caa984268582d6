"""The training job of a release: whether it may be started, starting it, and how it ended.

What a job is trained on is reserved in the lake's registry before the job is asked for; `settle`
asks Bedrock how jobs ended, and writes that down.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.rights.recheck import check_region, check_rights
from bedrock_sluice.flows.training.approval import (
    check_passed,
    find_approvals,
    job_recipe,
    recipe_of,
)
from bedrock_sluice.flows.training.refusals import (
    STATUS_OPERATION,
    explain_refusals,
    made_nothing,
)
from bedrock_sluice.flows.training.request import (
    SERVICE,
    Request,
    job_files,
    job_request,
    lines_uri,
    train_section,
)
from bedrock_sluice.flows.training.spending import check_lengths, keep_to_budget
from bedrock_sluice.lake.aws import error_code, make_client
from bedrock_sluice.lake.releases.registry import (
    Claim,
    JobEnd,
    JobRequest,
    Use,
    find_use,
    read_uses,
    reserve,
    used_prompts,
)
from bedrock_sluice.lake.releases.release import Release, put_same
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.curate.trained_before import REGISTERED, RELEASED, RESERVED
from bedrock_sluice.transforms.errors import RefusedError, SluiceError

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
else:
    BedrockClient = Any

UNKNOWN = "NotFound"  # beside Bedrock's own statuses: it has no job of that name
COMPLETED, _IN_VAIN = "Completed", frozenset({"Failed", "Stopped"})


@dataclass(frozen=True, slots=True)
class Job:
    """A job that may be started: a verified, approved release, and the recipe with its settings."""

    release: Release
    recipe: Recipe
    data_uri: str

    def request(self) -> Request:
        """What would be asked now: of the attempt that follows the jobs that came to nothing."""
        use = find_use(self.release, self.recipe.lineage)
        attempt = 1 + (use.failed_jobs() if use else 0)
        return job_request(self.release, self.recipe, self.data_uri, attempt)


def prepare(release: Release, current: Recipe | None = None, base: Path | None = None) -> Job:
    """Everything short of starting the job; a dry run ends here. Changes nothing anywhere.

    `current` is the recipe as it is now, and `base` its folder; without it, the job settings are
    those of the build.

    Raises:
        RefusedError: the release was rejected, nobody has approved it, some of its lines must not
            be used any more, its job may cost more than the budget or would skip too many lines, or
            an older version built it.
        IntegrityError: the release or its approval is not what was written.
        ConfigError: the recipe can't be trained with.
    """
    recipe = job_recipe(release, current)
    check_passed(release)
    release.verify()
    if not find_approvals(release):
        raise RefusedError(
            f"{release.uri} is not approved; let somebody read its report, then run "
            f"sluice approve {release.uri} --by NAME"
        )
    check_rights(release, recipe_of(release), current, base)
    train = train_section(recipe)
    job = Job(release, recipe, lines_uri(release, train))
    job.request()  # all of these are asked only for what they raise
    used_prompts(release)
    check_lengths(release, train)
    keep_to_budget(release, recipe)
    return job


def bedrock_client(region: str | None = None) -> BedrockClient:
    """Make a client of Bedrock, in the Region of the AWS settings or another.

    Raises:
        OutsideError: the settings lack something, such as a Region.
    """
    client: BedrockClient = make_client(SERVICE, region)
    return client


def train_on(job: Job, client_of: Callable[[str | None], BedrockClient] | None = None) -> str:
    """Start a prepared job, and return its ARN, after looking how earlier ones ended.

    Raises:
        SluiceError: as `settle` does, or `start`.
    """
    client_of = client_of or bedrock_client
    settle(job.release.lake, job.recipe.lineage, client_of)
    return start(job, client_of(train_section(job.recipe).region))


def start(job: Job, client: BedrockClient) -> str:
    """Reserve the prompts of a prepared job in the registry, and start it; its ARN.

    To run it again starts no second job. Where AWS refused the one request that was sent, the
    prompts are free again; after any other failure there may be a job, and they stay reserved.

    Raises:
        RefusedError: a job of this release with other settings was asked for, or is done; or
            `[rights]` does not allow the Region.
        ConfigError, OutsideError, TransientError: Bedrock refused the request, or was not reached.
        IntegrityError: something stored is not what was written.
    """
    check_region(job.recipe.rights, client.meta.region_name)
    release, lineage, request = job.release, job.recipe.lineage, job.request()
    name = f"{release.name}/{release.id}"
    job_record = JobRequest(name, request["jobName"], client.meta.region_name, request)
    use = find_use(release, lineage)
    number = use.next_number if use else 1
    if use and (arn := _earlier_arn(use, number, job_record)):
        return arn
    if job.data_uri != release.uri:
        store = open_store(job.data_uri)
        for name in job_files(release, train_section(job.recipe)):
            put_same(store, name, release.file(name), release.manifest.files[name].sha256)
    # Reserved first: if this process dies after the request, what was asked for is known.
    claim = reserve(release, lineage, number, job_record)
    try:
        with explain_refusals(request["jobName"]):
            arn = client.create_model_customization_job(**request)["jobArn"]
    except SluiceError as error:
        if made_nothing(error.__context__):  # AWS's own answer, before it was explained
            claim.refuse()
        raise
    claim.start(arn)
    return arn


def _earlier_arn(use: Use, number: int, job_record: JobRequest) -> str | None:
    """The ARN of the job that the same request started before, if it is known.

    Raises:
        RefusedError: a job with other settings is done; none of a lineage is trained on that again.
    """
    is_same, end = use.job_request(number) == job_record, use.job_end()
    if use.state == REGISTERED and not is_same:
        raise RefusedError(
            f"{job_record.release} was trained on already, with other settings. To train another "
            "model on it, name another lineage in [train]"
        )
    record = (end or use.job_start(number)) if is_same else None
    return record.job_arn if record else None


class Settled(NamedTuple):
    """A release of a lineage: its job's last known status, and what that makes of its prompts."""

    release: str  # its id
    job: str | None  # None where no request followed the reservation
    status: str
    state: str


def settle(
    lake: Store,
    lineage: str,
    client_of: Callable[[str | None], BedrockClient] | None = None,
    never_started: Collection[str] = (),
) -> list[Settled]:
    """Ask Bedrock (by Region) how the open jobs of a lineage ended, and write it down.

    What completed is registered; what failed or was stopped is released. A job that Bedrock does
    not know stays reserved, since its request may be under way, or the job in another account; but
    of the release ids in `never_started` a person knows better, and they are released.

    Raises:
        ConfigError, IntegrityError: as `read_uses` does.
        OutsideError, TransientError: AWS did not do its part; what was written down stays.
    """
    clients = cache(client_of or bedrock_client)
    status = cache(lambda region, job: _status(clients(region), job))
    return sorted(_settle(use, status, never_started) for use in read_uses(lake, lineage))


def _settle(
    use: Use, status: Callable[[str, str], JobEnd], never_started: Collection[str]
) -> Settled:
    """Each claim is asked about by itself, for two requests may have gone to two Regions."""
    release, last, earlier_end = use.release_id(), use.job_request(), use.job_end()
    job = last.job if last else None
    if earlier_end:
        return Settled(release, job, earlier_end.status, use.state)
    requests = [(claim, use.job_request(claim.number)) for claim in use.claims]
    ends = [(c, status(a.region, a.job) if a else JobEnd(UNKNOWN)) for c, a in requests]
    for claim, end in ends:
        if end.job_arn and use.job_start(claim.number) is None:  # its answer was lost
            claim.start(end.job_arn)
    return Settled(release, job, *_write_down(use, ends, is_void=release in never_started))


def _write_down(
    use: Use, ends: Sequence[tuple[Claim, JobEnd]], *, is_void: bool
) -> tuple[str, str]:
    """Register or release by what Bedrock told of each claim; the status, and the state then."""
    for _, end in ends:
        if end.status == COMPLETED:
            use.register(end)
            return COMPLETED, REGISTERED
    vain = {*_IN_VAIN, UNKNOWN} if is_void else _IN_VAIN
    for claim, end in ends:
        if end.status in vain:
            claim.release(end)
    statuses = [end.status for _, end in ends]
    open_ones = [status for status in statuses if status not in vain]
    return (open_ones[-1], RESERVED) if open_ones else (statuses[-1], RELEASED)


def _status(client: BedrockClient, job: str) -> JobEnd:
    """What Bedrock says of a job now; `UNKNOWN` if it has none of that name."""
    with explain_refusals(job, STATUS_OPERATION):
        try:
            answer = client.get_model_customization_job(jobIdentifier=job)
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return JobEnd(UNKNOWN)
            raise
    return JobEnd(answer["status"], answer["jobArn"], answer.get("outputModelArn"))
