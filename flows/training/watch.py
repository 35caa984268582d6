"""The jobs of a lake: what they are, waiting until they end, stopping one.

All that is known of a job is in the registry of the lake, so a watcher that is killed loses
nothing: the next one goes on where the registry stands.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from bedrock_sluice.flows.training.job import ClientOf, Settled, settle, target_of
from bedrock_sluice.flows.training.targets.base import UNKNOWN, Place
from bedrock_sluice.lake.releases.jobs import REQUESTED, JobRecord, read_jobs
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.curate.trained_before import RESERVED
from bedrock_sluice.transforms.errors import ConfigError, TransientError

FIRST_WAIT_SECONDS = 15.0
WAIT_FACTOR = 1.5  # each wait is so many times the one before
MAX_WAIT_SECONDS = 300.0
MAX_FAILED_POLLS = 20  # in a row; the service was not reached or was busy

Report = Callable[[Sequence[Settled]], None]


class JobRow(NamedTuple):
    """A job of the registry; `since` is when it was requested, `status` what is recorded."""

    release: str
    job: str
    lineage: str
    target: str
    status: str
    since: datetime | None
    job_arn: str | None
    model: str | None


def list_jobs(lake: Store, lineage: str | None = None) -> list[JobRow]:
    """Return the jobs of a lake, or of one lineage, as its registry has them; asks no service.

    Raises:
        IntegrityError: An object of the registry is not what was written.
    """
    return [_row(lake, record) for record in _records(lake, lineage)]


def watch_jobs(
    lake: Store,
    lineages: Sequence[str],
    job: str | None = None,
    *,
    report: Report,
    client_of: ClientOf | None = None,
) -> list[Settled]:
    """Poll until the jobs of the lineages, or the one called `job`, have ended; how they did.

    `report` is called after each poll. A job that the service does not know is not waited for.

    Raises:
        ConfigError: There is no job of this name.
        TransientError: The service failed `MAX_FAILED_POLLS` times in a row.
        SluiceError: As `settle` does.
    """
    if job is not None:
        lineages = [find_job(lake, job).lineage]
    failed_polls = 0
    for wait_seconds in _waits():
        try:
            rows = [row for each in lineages for row in settle(lake, each, client_of)]
        except TransientError:
            failed_polls += 1
            if failed_polls >= MAX_FAILED_POLLS:
                raise
        else:
            failed_polls = 0
            rows = [row for row in rows if job in {None, row.job}]
            report(rows)
            if not any(row.state == RESERVED and row.status != UNKNOWN for row in rows):
                return rows
        time.sleep(wait_seconds)
    raise AssertionError("waits do not end")


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
    place = Place(record.region or None, record.request.endpoint)
    client = client_of(place.region) if client_of else target.connect(place)
    target.stop(client, record.request, record.job_arn)
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


def _records(lake: Store, lineage: str | None) -> list[JobRecord]:
    return [each for each in read_jobs(lake) if lineage in {None, each.lineage}]


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
    )


def _waits() -> Iterator[float]:
    """Seconds between polls, without end."""
    seconds = FIRST_WAIT_SECONDS
    while True:
        yield seconds
        seconds = min(seconds * WAIT_FACTOR, MAX_WAIT_SECONDS)
