"""What is known of a job beside its registry: its metrics, why it was stopped, its deployments.

jobs/<lineage>/<release digest>.<number>/metrics-<digest>.json    values that came since the last
                                         stopped.json             the findings that stopped it
                                         deployment-<k>.json      the k-th request for a deployment
                                         deployment-<k>-end.json  how it turned out

All are immutable. The metrics of a job are those of all its files together, so two watchers of one
job add nothing twice, and a watcher that is killed loses nothing.
"""

from hashlib import sha256
from typing import Any, Literal, TypeVar

import msgspec
import polars as pl

from bedrock_sluice.lake.releases.jobs import JobRecord
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.training.health import HealthFinding
from bedrock_sluice.transforms.training.metrics import METRICS

DIGEST_DIGITS = 16
_KEY = ["side", "step", "metric"]

T = TypeVar("T")


class _Value(msgspec.Struct, frozen=True):
    side: Literal["training", "validation"]
    step: int
    metric: str
    value: float


class MetricsFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file of metrics."""

    schema_version: Literal[1] = 1
    job: str
    values: list[_Value]


class StopRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `stopped.json`."""

    schema_version: Literal[1] = 1
    job: str
    findings: list[HealthFinding]


class DeploymentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `deployment-<k>.json`: the exact request, and its Region."""

    schema_version: Literal[1] = 1
    job: str
    region: str
    request: dict[str, Any]


class DeploymentEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `deployment-<k>-end.json`: a status of Bedrock's, or `NotFound`."""

    schema_version: Literal[1] = 1
    job: str
    status: str
    deployment_arn: str | None


def read_metrics(lake: Store, record: JobRecord) -> pl.DataFrame:
    """Return the stored metrics of a job: `METRICS`.

    Raises:
        IntegrityError: A file is not what was written.
    """
    entries = lake.entries(f"{_folder(record)}metrics-")
    files = [
        _decode(lake, entry.key, lake.read(entry), MetricsFile)
        for entry in sorted(entries, key=lambda entry: (entry.modified, entry.key))
    ]
    rows = [msgspec.structs.astuple(value) for file in files for value in file.values]
    frame = pl.DataFrame(rows, schema=METRICS, orient="row")
    # A value that the service corrected later counts.
    return frame.unique(_KEY, keep="last", maintain_order=True).sort(_KEY)


def add_metrics(lake: Store, record: JobRecord, values: pl.DataFrame) -> pl.DataFrame:
    """Store the values that are not stored yet, and return all: `METRICS`.

    Raises:
        IntegrityError: A stored file is not what was written.
    """
    stored_values = read_metrics(lake, record)
    new_values = values.join(stored_values, on=list(METRICS), how="anti", maintain_order="left")
    if new_values.is_empty():
        return stored_values
    rows = [_Value(*row) for row in new_values.select(*METRICS).iter_rows()]
    content = _encode(MetricsFile(job=record.name, values=rows))
    digest = sha256(content).hexdigest()[:DIGEST_DIGITS]
    lake.put_new(f"{_folder(record)}metrics-{digest}.json", content)
    together = pl.concat([stored_values, new_values.select(*METRICS)])
    return together.unique(_KEY, keep="last", maintain_order=True).sort(_KEY)


def read_stop(lake: Store, record: JobRecord) -> StopRecord | None:
    """Return why the job was stopped, if its health was the reason.

    Raises:
        IntegrityError: The file is not what was written.
    """
    return _read(lake, f"{_folder(record)}stopped.json", StopRecord)


def put_stop(lake: Store, record: JobRecord, findings: list[HealthFinding]) -> None:
    """Record that a job was stopped, and why; the first record of it stands."""
    stop = StopRecord(job=record.name, findings=findings)
    lake.put_new(f"{_folder(record)}stopped.json", _encode(stop))


def read_deployment(
    lake: Store, record: JobRecord, number: int
) -> tuple[DeploymentRequest | None, DeploymentEnd | None]:
    """Return the n-th request for a deployment of a job's model, and how it turned out.

    Raises:
        IntegrityError: A file is not what was written.
    """
    stem = f"{_folder(record)}deployment-{number}"
    request = _read(lake, f"{stem}.json", DeploymentRequest)
    return request, _read(lake, f"{stem}-end.json", DeploymentEnd)


def put_deployment(
    lake: Store, record: JobRecord, number: int, content: DeploymentRequest | DeploymentEnd
) -> bool:
    """Record a request for a deployment, or its end; False if there is such a record already."""
    end = "-end" if isinstance(content, DeploymentEnd) else ""
    return lake.put_new(f"{_folder(record)}deployment-{number}{end}.json", _encode(content))


def _folder(record: JobRecord) -> str:
    return f"jobs/{record.lineage}/{record.digest}.{record.number}/"


def _read(lake: Store, key: str, kind: type[T]) -> T | None:
    entry = lake.entry(key)
    return None if entry is None else _decode(lake, key, lake.read(entry), kind)


def _encode(content: msgspec.Struct) -> bytes:
    return msgspec.json.encode(content, order="deterministic") + b"\n"


def _decode(lake: Store, key: str, content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except ValueError:
        raise IntegrityError(
            "is not what was written", place=f"{lake.uri}/{key}", hint="put it back from a copy"
        ) from None
