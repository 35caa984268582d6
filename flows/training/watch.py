"""The jobs of a lake: what they are, waiting until they end, stopping one.

All that is known of a job is in the lake, so a watcher that is killed loses nothing: the next one
goes on where the registry stands.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.flows.recipe.sections import HealthPolicy
from bedrock_sluice.flows.running.waits import growing_waits
from bedrock_sluice.flows.training.job import ClientOf, Settled, connect_to, settle, target_of
from bedrock_sluice.flows.training.metrics import collect_metrics
from bedrock_sluice.flows.training.targets.base import IN_PROGRESS, UNKNOWN
from bedrock_sluice.lake.releases.job_files import put_stop, read_stop
from bedrock_sluice.lake.releases.jobs import REQUESTED, JobRecord, read_jobs
from bedrock_sluice.lake.releases.release import open_release
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.curate.trained_before import RESERVED
from bedrock_sluice.transforms.errors import ConfigError, SluiceError, TransientError
from bedrock_sluice.transforms.training.failures import advise
from bedrock_sluice.transforms.training.health import HealthFinding
from bedrock_sluice.transforms.training.metrics import MetricSummary, Role, find_total_steps

FIRST_WAIT_SECONDS = 15.0
MAX_WAIT_SECONDS = 300.0
MAX_FAILED_POLLS = 20  # in a row; the service was not reached or was busy


class JobRow(NamedTuple):
    """A job of the registry; `since` is when it was requested, `status` what is recorded.

    `message` is what the service says of a failure, and `advice` what to do about it.
    """

    release: str
    job: str
    lineage: str
    target: str
    status: str
    since: datetime | None
    job_arn: str | None
    model: str | None
    message: str | None
    advice: str | None


class JobState(NamedTuple):
    """What a poll found of a job: its status, its last metrics, and what is unhealthy."""

    release: str
    job: str | None
    status: str
    state: str
    message: str | None = None
    advice: str | None = None
    metrics: Mapping[Role, MetricSummary] = {}
    findings: Sequence[HealthFinding] = ()
    was_stopped: bool = False  # because of the findings, by a watcher
    total_steps: int | None = None  # None where the service does not say

    @property
    def last_step(self) -> int | None:
        """The last step that has metrics."""
        return max((each.last_step for each in self.metrics.values()), default=None)


Report = Callable[[Sequence[JobState]], None]


def list_jobs(lake: Store, lineage: str | None = None) -> list[JobRow]:
    """Return the jobs of a lake, or of one lineage, as its registry has them; asks no service.

    Raises:
        IntegrityError: An object of the registry is not what was written.
    """
    return [_row(lake, record) for record in read_jobs(lake) if lineage in {None, record.lineage}]


def watch_jobs(  # noqa: PLR0913 - what to watch, and how
    lake: Store,
    lineages: Sequence[str],
    job: str | None = None,
    *,
    report: Report,
    recipe: Recipe | None = None,
    client_of: ClientOf | None = None,
) -> list[JobState]:
    """Poll until the jobs of the lineages, or the one called `job`, have ended; how they did.

    `report` is called after each poll. An unhealthy job is stopped if `[train] on_unhealthy` says
    so: that of `recipe`, or that of the build. A job that the service does not know is not waited
    for.

    Raises:
        ConfigError: There is no job of this name.
        TransientError: The service failed `MAX_FAILED_POLLS` times in a row.
        SluiceError: As `settle` does, or an unhealthy job cannot be stopped.
    """
    if job is not None:
        lineages = [find_job(lake, job).lineage]
    poll, failed_polls = _Poll(lake, recipe, client_of), 0
    for wait_seconds in growing_waits(FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS):
        try:
            rows = [row for each in lineages for row in settle(lake, each, client_of)]
            states = poll.look([row for row in rows if job in {None, row.job}])
        except TransientError:
            failed_polls += 1
            if failed_polls >= MAX_FAILED_POLLS:
                raise
        else:
            failed_polls = 0
            report(states)
            if not any(each.state == RESERVED and each.status != UNKNOWN for each in states):
                return states
        time.sleep(wait_seconds)
    raise AssertionError("waits do not end")


class _Poll:
    """What a watcher does about the jobs at each poll: metrics, and stopping what is unhealthy."""

    def __init__(self, lake: Store, recipe: Recipe | None, client_of: ClientOf | None) -> None:
        self._lake, self._recipe, self._client_of = lake, recipe, client_of
        self._open_jobs = set[str | None]()  # whose last metrics are still to come

    def look(self, rows: Sequence[Settled]) -> list[JobState]:
        """Return what there is to say of each job now."""
        names = {row.job for row in rows}
        records = {each.name: each for each in read_jobs(self._lake) if each.name in names}
        return [self._look_at(row, records.get(row.job or "")) for row in rows]

    def _look_at(self, row: Settled, record: JobRecord | None) -> JobState:
        state = JobState(*row, advice=row.advice)
        is_open = row.state == RESERVED
        if record is None or not (is_open or row.job in self._open_jobs):
            return state
        metrics = collect_metrics(self._lake, record, self._client_of)
        findings = metrics.findings
        (self._open_jobs.add if is_open else self._open_jobs.discard)(row.job)
        was_stopped = read_stop(self._lake, record) is not None
        if findings and not was_stopped and row.status == IN_PROGRESS:
            was_stopped = self._policy(record) == "stop" and self._stop(record, findings)
        return state._replace(
            metrics=metrics.summary,
            findings=findings,
            was_stopped=was_stopped,
            total_steps=find_total_steps(metrics.values),
        )

    def _policy(self, record: JobRecord) -> HealthPolicy:
        if self._recipe is not None:
            return self._recipe.train.on_unhealthy if self._recipe.train else "warn"
        train = recipe_of(open_release(f"{self._lake.uri}/releases/{record.release}")).train
        return train.on_unhealthy if train else "warn"

    def _stop(self, record: JobRecord, findings: list[HealthFinding]) -> bool:
        """Stop an unhealthy job; True once the service has taken that.

        It is recorded afterwards. A watcher that is killed between the two is followed by one that
        finds the job stopping, and does not ask again.
        """
        target, request = target_of(record.request), record.request
        client = connect_to(target, request, self._client_of)
        try:
            target.stop(client, request, record.job_arn)
        except SluiceError:
            if target.status(client, request, record.job_arn).status == IN_PROGRESS:
                raise
            return False  # it has ended meanwhile
        put_stop(self._lake, record, findings)
        return True


def stop_job(lake: Store, job: str, client_of: ClientOf | None = None) -> JobRecord:
    """Ask the service to stop a job; `watch_jobs` or `settle` then records its end.

    Raises:
        ConfigError: There is no job of this name, or it has ended.
        SluiceError: The service refused, or was not reached.
    """
    record = find_job(lake, job)
    if record.status != REQUESTED:
        raise ConfigError(f"job {job} has ended: {record.status}")
    target = target_of(record.request)
    target.stop(connect_to(target, record.request, client_of), record.request, record.job_arn)
    return record


def find_job(lake: Store, job: str) -> JobRecord:
    """Return the last job of a name.

    Raises:
        ConfigError: There is none.
    """
    records = [record for record in read_jobs(lake) if record.name == job]
    if not records:
        raise ConfigError(f"{lake.uri} has no job {job}; `sluice jobs list` shows the jobs")
    return records[-1]


def _row(lake: Store, record: JobRecord) -> JobRow:
    entry = lake.entry(f"registry/{record.lineage}/{record.digest}.job-{record.number}.json")
    return JobRow(
        release=record.release,
        job=record.name,
        lineage=record.lineage,
        target=record.request.target,
        status=record.status,
        since=entry.modified if entry else None,
        job_arn=record.job_arn,
        model=record.model_arn,
        message=record.message,
        advice=advise(record.message) if record.message else None,
    )
