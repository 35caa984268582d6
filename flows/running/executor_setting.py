"""The setting `executor`: where the tasks of a build run. It decides how long it takes, no byte."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bedrock_sluice.flows.running.executor import use_cluster
from bedrock_sluice.lake.stores.store import S3_SCHEME
from bedrock_sluice.transforms.errors import ConfigError, missing_extra

PROCESSES = "processes"
_DASK = re.compile(r"dask://(?P<address>(?:[\w.-]+|\[[\da-fA-F:]+\]):(?P<port>\d{1,5}))/?")
_MAX_PORT = 65_535


def scheduler_address(executor: str) -> str | None:
    """Return `host:port` of the Dask scheduler; None if tasks run on this machine.

    Raises:
        ConfigError: it is neither `processes` nor `dask://host:port`.
    """
    if executor == PROCESSES:
        return None
    match = _DASK.fullmatch(executor)
    if match is None or not 0 < int(match["port"]) <= _MAX_PORT:
        message = f"executor {executor!r} is neither {PROCESSES!r} nor 'dask://HOST:PORT'"
        raise ConfigError(message, value=executor, hint="name the address of a Dask scheduler")
    return match["address"]


@contextmanager
def open_executor(executor: str, places: Mapping[str, str]) -> Iterator[None]:
    """Let `distribute` run tasks where `executor` says, until the block ends.

    `places` are the URIs that tasks read or write, by what they are.

    Raises:
        ConfigError: the setting is wrong, its extra is not installed, or a place is a folder.
        OutsideError: the scheduler cannot be reached.
    """
    address = scheduler_address(executor)
    if address is None:
        yield
        return
    for name, uri in places.items():
        if not uri.startswith(S3_SCHEME):
            raise ConfigError(
                f"{name}: {uri} is a folder of this machine, which Dask workers cannot read; use "
                f"s3://bucket/prefix, or leave the executor at {PROCESSES!r}"
            )
    try:
        from bedrock_sluice.flows.running.dask_cluster import open_cluster  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise missing_extra(error.name, "dask") from None
    with open_cluster(address) as cluster, use_cluster(cluster):
        yield
