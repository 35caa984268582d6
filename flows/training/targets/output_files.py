"""Metrics that a customization job of Bedrock writes below its output prefix.

Files and columns of RFT jobs are not documented in full: every CSV of the two folders is read.
"""

from collections.abc import Iterator

import polars as pl

from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.training.metrics import METRICS, Side, read_csv

FOLDERS: dict[Side, str] = {
    "training": "training_artifacts",
    "validation": "validation_artifacts",
}
MAX_FILES = 50  # of one folder
MAX_FILE_BYTES = 64 << 20  # larger ones are not read


def read_output(uri: str, job_id: str) -> pl.DataFrame:
    """Return the metrics of a job, `METRICS`; none if it has not written any yet.

    Raises:
        ConfigError, OutsideError: The prefix cannot be read.
    """
    return pl.concat([METRICS.to_frame(), *_tables(uri, job_id)]).unique(
        ["side", "step", "metric"], keep="last", maintain_order=True
    )


def _tables(uri: str, job_id: str) -> Iterator[pl.DataFrame]:
    store = open_store(uri)
    for side, folder in FOLDERS.items():
        prefix = f"model-customization-job-{job_id}/{folder}/"
        keys = (entry for entry in store.entries(prefix) if entry.key.endswith(".csv"))
        for number, entry in enumerate(keys):
            if number < MAX_FILES and entry.size <= MAX_FILE_BYTES:
                try:
                    yield read_csv(store.read(entry), side)
                except ValueError:  # another kind of table
                    continue
