"""Measures `pull` of many small objects in S3: `make bench`, or `python tests/bench/objects.py`.

    python tests/bench/objects.py [--objects N] [--rounds N] [--endpoint URL]

Beside it runs the fastest client that boto3 allows: threads that get the same objects, and do
nothing with them. It is told the keys; pull lists them, decodes the objects, and lands them, in a
folder or in the same S3. Each measurement is a program of its own, and all take turns.

The server is that of `--endpoint`, with the usual AWS settings, and has to be on this machine; else
`weed` (SeaweedFS), if it is installed; else moto, which is slow and so hides the differences.
"""

import argparse
import gzip
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from runpy import run_path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
START = datetime(2026, 10, 1, tzinfo=UTC)
ACCOUNTS = ("111122223333", "444455556666")
OBJECTS_PER_HOUR = 14  # of an account: 20,000 fill a month
RECORDS_PER_OBJECT = 5  # about 5 KB, packed
RECORDS = 2_000  # that are repeated: pull does not compare them
THREADS = 16  # of the client; more are not faster
WAIT_SECONDS = 60
BUCKET = f"bench-{os.getpid()}"

Json = dict[str, Any]


def new_client() -> Any:
    """A client as boto3 makes it, with a connection for each thread."""
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(max_pool_connections=THREADS))


# --- the server


@contextmanager
def run_server(endpoint: str | None, folder: Path) -> Iterator[str]:
    """Set the AWS settings for a server on this machine; yields its name."""
    if endpoint:
        if urlsplit(endpoint).hostname not in {"127.0.0.1", "::1", "localhost"}:
            sys.exit(f"{endpoint} is not on this machine")
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        yield endpoint
        return
    ports = free_ports(5)
    weed = shutil.which("weed")
    (folder / "data").mkdir()
    keys = [{"accessKey": "bench", "secretKey": "bench"}]
    identity = {"name": "bench", "credentials": keys, "actions": ["Admin", "Read", "List", "Write"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    command = (
        [
            *(weed, "server", "-filer", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-dir={folder / 'data'}", "-master.telemetry=false", "-s3.iam=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"),
            *(f"-s3.port={ports[0]}", f"-master.port={ports[1]}", f"-volume.port={ports[2]}"),
            *(f"-filer.port={ports[3]}", "-master.volumeSizeLimitMB=1024"),
        ]
        if weed
        else [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(ports[0])]
    )
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[0]}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for_server()
        yield "SeaweedFS" if weed else "moto"
    finally:
        server.terminate()
        server.wait()


def free_ports(number: int) -> list[int]:
    """Ports that are free now; the gRPC port of a server of SeaweedFS is 10,000 higher."""
    sockets = [socket.socket() for _ in range(number)]
    first = 20_000 + os.getpid() % 20_000
    for each, port in zip(sockets, range(first, first + number), strict=True):
        each.bind(("127.0.0.1", port))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for_server() -> None:
    """Wait until the server takes an object."""
    from botocore.exceptions import BotoCoreError, ClientError

    s3, end = new_client(), time.monotonic() + WAIT_SECONDS
    while True:
        try:
            s3.create_bucket(Bucket=BUCKET)
            s3.put_object(Bucket=BUCKET, Key="ready", Body=b"")
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > end:
                sys.exit(f"the server does not answer: {error}")
            time.sleep(1)
        else:
            return


# --- the objects


def put_objects(number: int) -> Json:
    """Put log objects, for each hour as many, in two accounts."""
    objects = run_path(str(HERE / "generate.py"))["objects"](RECORDS, hours=1)
    lines = [line for _, raw in objects for line in raw.splitlines(keepends=True)]
    s3 = new_client()

    def put(index: int) -> int:
        start = index * RECORDS_PER_OBJECT % RECORDS
        raw = b"".join(lines[start : start + RECORDS_PER_OBJECT])
        content = gzip.compress(raw, mtime=0)
        account = ACCOUNTS[index % len(ACCOUNTS)]
        at = START + timedelta(hours=index // len(ACCOUNTS) // OBJECTS_PER_HOUR)
        folder = f"AWSLogs/{account}/BedrockModelInvocationLogs/us-east-1/{at:%Y/%m/%d/%H}"
        key = f"logs/{folder}/{at:%Y%m%dT%H%M%S}000Z_{index:016x}.json.gz"
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return len(content)

    with ThreadPoolExecutor(THREADS) as pool:
        sizes = list(pool.map(put, range(number)))
    return {"objects": number, "bytes": sum(sizes), "records": number * RECORDS_PER_OBJECT}


def list_keys() -> list[str]:
    """The keys of all log objects."""
    pages = new_client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="logs/")
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


# --- what is measured

Work = Callable[[], int]
"""A piece of work; it returns how many objects it read."""


def get_objects(keys: Sequence[str]) -> int:
    """Get objects with threads."""
    s3 = new_client()

    def get(key: str) -> bytes:
        content: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(map(bool, pool.map(get, keys)))


def threads(_folder: Path) -> Work:
    """The client: threads in one process."""
    keys = list_keys()
    return lambda: get_objects(keys)


def processes(_folder: Path) -> Work:
    """The client in a process for each processor, with threads in each."""
    keys, number = list_keys(), os.cpu_count() or 1

    def work() -> int:
        with ProcessPoolExecutor(number) as pool:
            shares = [list(islice(keys, n, None, number)) for n in range(number)]
            return sum(pool.map(get_objects, shares))

    return work


def pull_to(lake: str) -> Work:
    """Land all objects in a new lake."""
    from bedrock_sluice.flows.stages.pull import pull
    from bedrock_sluice.lake.logs.source import Window, open_source
    from bedrock_sluice.lake.stores.opening import open_store

    def work() -> int:
        source = open_source(f"s3://{BUCKET}/logs")
        return pull(source, open_store(lake), Window(), lambda _steps, _total: None)

    return work


def pull_folder(folder: Path) -> Work:
    """Pull to a folder."""
    shutil.rmtree(folder / "lake", ignore_errors=True)
    return pull_to(str(folder / "lake"))


def pull_s3(_folder: Path) -> Work:
    """Pull to the same S3."""
    return pull_to(f"s3://{BUCKET}/lake-{time.time_ns()}")


MEASURES = {each.__name__: each for each in (threads, processes, pull_folder, pull_s3)}


def measure(name: str, folder: Path) -> Json:
    """Do one piece of work in this process; returns its seconds, processor time and peak."""
    work = MEASURES[name](folder)
    start = time.perf_counter()
    count = work()
    seconds = time.perf_counter() - start
    usages = [getrusage(whose) for whose in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return {
        "objects": count,
        "seconds": seconds,
        "processor_seconds": sum(each.ru_utime + each.ru_stime for each in usages),
        "peak": max(each.ru_maxrss for each in usages),
    }


def apart(name: str, folder: Path) -> Json:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
    command += ["--bucket", BUCKET]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: Json = json.loads(process.stdout.splitlines()[-1])
    return result


def report(workload: Json, server: str, results: dict[str, list[Json]]) -> Iterator[str]:
    """The lines of the report."""
    yield f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    size = workload["bytes"] / workload["objects"] / 1e3
    yield f"{workload['objects']:,} objects of {size:.1f} KB in {server}"
    yield f"{'':12}{'seconds':>9}{'objects/s':>11}{'of threads':>12}{'processor ms each':>19}"
    for name, rounds in results.items():
        seconds = median(each["seconds"] for each in rounds)
        ratio = median(
            theirs["seconds"] / ours["seconds"]
            for ours, theirs in zip(rounds, results["threads"], strict=True)
        )
        cost = median(each["processor_seconds"] / each["objects"] for each in rounds)
        speed = workload["objects"] / seconds
        yield f"{name:12}{seconds:9.1f}{speed:11,.0f}{ratio:12.2f}{cost * 1e3:19.2f}"


def main(number: int, round_count: int, endpoint: str | None) -> None:
    """Start the server, put the objects, measure everything, print the report."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        with run_server(endpoint, folder) as server:
            if endpoint:
                wait_for_server()
            workload = put_objects(number)
            results: dict[str, list[Json]] = {}
            for _ in range(round_count):
                for measurement in MEASURES:
                    result = apart(measurement, folder)
                    if result["objects"] != number:
                        sys.exit(f"{measurement} read {result['objects']} objects of {number}")
                    results.setdefault(measurement, []).append(result)
        sys.stdout.writelines(f"{line}\n" for line in report(workload, server, results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--endpoint", help="of an S3 on this machine")
    parser.add_argument("--measure", choices=list(MEASURES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--bucket", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        BUCKET = options.bucket
        sys.stdout.write(json.dumps(measure(options.measure, options.folder)) + "\n")
    else:
        main(options.objects, options.rounds, options.endpoint)
