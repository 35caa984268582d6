"""The metrics of a job, from the service that runs it into the lake."""

from typing import NamedTuple

import polars as pl

from bedrock_sluice.flows.running.stage_log import logger
from bedrock_sluice.flows.training.job import ClientOf, connect_to, target_of
from bedrock_sluice.lake.releases.job_files import add_metrics, read_metrics
from bedrock_sluice.lake.releases.jobs import JobRecord
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ConfigError, OutsideError
from bedrock_sluice.transforms.training.health import HealthFinding, check_health
from bedrock_sluice.transforms.training.metrics import MetricSummary, Role, summarise

NO_METRICS = "this service gives no metrics; its logs in CloudWatch may have some"
NOTHING_YET = "the job has written no metrics yet"


class JobMetrics(NamedTuple):
    """All metrics of a job (`METRICS`), and a note where there are none or they may be old."""

    values: pl.DataFrame
    note: str | None = None

    @property
    def summary(self) -> dict[Role, MetricSummary]:
        """The small numbers of the metrics that are known."""
        return summarise(self.values)

    @property
    def findings(self) -> list[HealthFinding]:
        """What is unhealthy."""
        return check_health(self.values)


def collect_metrics(
    lake: Store, record: JobRecord, client_of: ClientOf | None = None
) -> JobMetrics:
    """Fetch the metrics of a job, store those that are new, and return all.

    A service that cannot be read is not an error: what is stored is returned, with a note.

    Raises:
        IntegrityError: What is stored is not what was written.
        OutsideError, TransientError: The lake cannot be read or written.
    """
    target = target_of(record.request)
    if record.job_arn is None:
        return JobMetrics(read_metrics(lake, record), NOTHING_YET)
    try:
        client = connect_to(target, record.request, client_of)
        values = target.metrics(client, record.request, record.job_arn)
    except (ConfigError, OutsideError) as error:
        logger.warning("the metrics of job %s could not be read: %s", record.name, error)
        return JobMetrics(read_metrics(lake, record), f"could not be read: {error}")
    if values is None:
        return JobMetrics(read_metrics(lake, record), NO_METRICS)
    all_values = add_metrics(lake, record, values)
    return JobMetrics(all_values, NOTHING_YET if all_values.is_empty() else None)
