"""The training job of a release: starting it, and how it ended.

What a job is trained on is reserved in the lake's registry before the job is asked for; `settle`
asks the service how jobs ended, and writes that down.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.sections import TargetName
from bedrock_sluice.flows.rights.recheck import check_region
from bedrock_sluice.flows.running.stage_log import logger
from bedrock_sluice.flows.training.examination import Job, examine
from bedrock_sluice.flows.training.lifecycle import check_models
from bedrock_sluice.flows.training.targets.base import (
    COMPLETED,
    FAILED,
    STOPPED,
    UNKNOWN,
    Place,
    Target,
)
from bedrock_sluice.flows.training.targets.choice import TARGETS, job_place, region_fault
from bedrock_sluice.lake.releases.registry import (
    Claim,
    JobEnd,
    JobRequest,
    Use,
    find_use,
    read_uses,
    reserve,
)
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.curate.trained_before import REGISTERED, RELEASED, RESERVED
from bedrock_sluice.transforms.errors import ConfigError, RefusedError, SluiceError
from bedrock_sluice.transforms.training.failures import advise

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
else:
    BedrockClient = Any

ClientOf = Callable[[str | None], Any]
_IN_VAIN = frozenset({FAILED, STOPPED})


def prepare(release: Release, current: Recipe | None = None, base: Path | None = None) -> Job:
    """Everything short of starting the job. Changes nothing anywhere, and asks nobody outside.

    `current` is the recipe as it is now, and `base` its folder; without it, the job settings are
    those of the build. Approvals must meet `[approval]` of both.

    Raises:
        RefusedError: the release was rejected, is not approved as the recipe asks for it, some of
            its lines must not be used any more, its job may cost more than the budget or would skip
            too many lines, or an older version built it.
        IntegrityError: the release or a decision about it is not what was written.
        ConfigError: the recipe can't be trained with. What is wrong is one message, all of it.
    """
    examination = examine(release, current, base)
    if error := examination.error():
        raise error
    assert examination.job is not None  # without one there is an error
    return examination.job


def train_on(
    job: Job, client_of: ClientOf | None = None, clock: Callable[[], datetime] | None = None
) -> str:
    """Start a prepared job, and return its ARN or id, after looking how earlier ones ended.

    What speaks against the models, but does not forbid them, is logged as a warning.

    Raises:
        ConfigError: the job's Region does not train the model, or a model is at its end of life.
        SluiceError: as `settle` does, or `start`.
    """
    settle(job.release.lake, job.recipe.lineage, client_of)
    place = job_place(job.draft.train)
    client = client_of(place.region) if client_of else job.target.connect(place)
    if arn := _started_already(job, client):
        return arn
    region = job.target.place(client).region
    check_region(job.recipe.rights, region or "")
    if fault := region_fault(job.draft.train, region):
        raise ConfigError(fault)
    now = clock() if clock else datetime.now(UTC)
    for warning in check_models(job.draft.train, region, now):
        logger.warning("%s", warning)
    return start(job, client)


def start(job: Job, client: Any) -> str:
    """Reserve the prompts of a prepared job in the registry, and start it; its ARN or id.

    To run it again starts no second job. Where the one request that was sent was refused, the
    prompts are free again; after any other failure there may be a job, and they stay reserved.

    Raises:
        RefusedError: a job of this release with other settings was asked for, or is done; or
            `[rights]` does not allow the Region.
        ConfigError, OutsideError, TransientError: the request was refused, or nobody was reached.
        IntegrityError: something stored is not what was written.
    """
    check_region(job.recipe.rights, job.target.place(client).region or "")
    release, lineage, target = job.release, job.recipe.lineage, job.target
    use = find_use(release, lineage)
    if arn := _started_already(job, client):
        return arn
    job_record = _job_record(job, client)
    files = target.upload(job.draft, client)
    # Reserved first: if this process dies after the request, what was asked for is known.
    claim = reserve(release, lineage, use.next_number if use else 1, job_record)
    try:
        arn = target.submit(client, job_record, files, is_first=claim.is_first)
    except SluiceError as error:
        if target.made_nothing(error.__context__):  # the answer, before it was explained
            claim.refuse()
        raise
    claim.start(arn)
    return arn


def _job_record(job: Job, client: Any) -> JobRequest:
    region, endpoint = job.target.place(client)
    return JobRequest(
        release=f"{job.release.name}/{job.release.id}",
        job=job.draft.name,
        region=region or "",
        request=job.request(),
        target=job.target.name,
        endpoint=endpoint,
    )


def _started_already(job: Job, client: Any) -> str | None:
    """The ARN of the job that the same request started before, if it is known.

    Raises:
        RefusedError: a job with other settings is done; none of a lineage is trained on that again.
    """
    use = find_use(job.release, job.recipe.lineage)
    if use is None:
        return None
    number, job_record = use.next_number, _job_record(job, client)
    is_same, end = use.job_request(number) == job_record, use.job_end()
    if use.state == REGISTERED and not is_same:
        raise RefusedError(
            f"{job_record.release} was trained on already, with other settings. To train another "
            "model on it, name another lineage in [train]"
        )
    record = (end or use.job_start(number)) if is_same else None
    return record.job_arn if record else None


class Settled(NamedTuple):
    """A release of a lineage: its job's last known status, and what that makes of its prompts.

    `message` is what the service says of a failure, and `advice` what to do about it.
    """

    release: str  # its id
    job: str | None  # None where no request followed the reservation
    status: str
    state: str
    message: str | None = None

    @property
    def advice(self) -> str | None:
        """What to do about the failure; None if its message is not known."""
        return advise(self.message) if self.message else None


def settle(
    lake: Store,
    lineage: str,
    client_of: ClientOf | None = None,
    never_started: Collection[str] = (),
) -> list[Settled]:
    """Ask each service (by Region) how the open jobs of a lineage ended, and write it down.

    What completed is registered; what failed or was stopped is released. A job that the service
    does not know stays reserved, since its request may be under way, or the job in another account;
    but of the release ids in `never_started` a person knows better, and they are released.

    Raises:
        ConfigError, IntegrityError: as `read_uses` does.
        OutsideError, TransientError: AWS did not do its part; what was written down stays.
    """
    connect = cache(_connect)

    def status(use: Use, number: int, record: JobRequest) -> JobEnd:
        place, start = Place(record.region or None, record.endpoint), use.job_start(number)
        target = target_of(record)
        client = client_of(place.region) if client_of else connect(target.name, place)
        return target.status(client, record, start.job_arn if start else None)

    return sorted(_settle(use, status, never_started) for use in read_uses(lake, lineage))


def _connect(name: TargetName, place: Place) -> Any:
    return TARGETS[name].connect(place)


def connect_to(target: Target, record: JobRequest, client_of: ClientOf | None = None) -> Any:
    """Make a client for the service that runs a job, where it runs.

    Raises:
        OutsideError: the settings lack something, such as a key.
    """
    place = Place(record.region or None, record.endpoint)
    return client_of(place.region) if client_of else target.connect(place)


def target_of(record: JobRequest) -> Target:
    """Return the target of a job.

    Raises:
        ConfigError: a newer version of Sluice started it.
    """
    target = {str(name): each for name, each in TARGETS.items()}.get(record.target)
    if target is None:
        raise ConfigError(
            f"job {record.job} runs on {record.target!r}, which this version of Sluice does not "
            "know; use the version that started it"
        )
    return target


def _settle(
    use: Use,
    status: Callable[[Use, int, JobRequest], JobEnd],
    never_started: Collection[str],
) -> Settled:
    """Each claim is asked about by itself, for two requests may have gone to two Regions."""
    release, last, earlier_end = use.release_id(), use.job_request(), use.job_end()
    job = last.job if last else None
    if earlier_end:
        return Settled(release, job, earlier_end.status, use.state, earlier_end.message)
    requests = [(claim, use.job_request(claim.number)) for claim in use.claims]
    ends = [(c, status(use, c.number, a) if a else JobEnd(UNKNOWN)) for c, a in requests]
    for claim, end in ends:
        if end.job_arn and use.job_start(claim.number) is None:  # its answer was lost
            claim.start(end.job_arn)
    status_now, state = _write_down(use, ends, is_void=release in never_started)
    message = next((end.message for _, end in reversed(ends) if end.message), None)
    return Settled(release, job, status_now, state, message)


def _write_down(
    use: Use, ends: Sequence[tuple[Claim, JobEnd]], *, is_void: bool
) -> tuple[str, str]:
    """Register or release by what the services told of each claim; status and state."""
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
