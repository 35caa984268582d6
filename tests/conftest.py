"""What all tests share: synthetic logs, an S3 server, and caches of what is slow and constant."""

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import boto3
import polars as pl
import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import settings
from support.logs import (
    Json,
    encode_bodies,
    make_exchanges,
    make_object,
    make_record,
    make_records,
    stream_reply,
)
from support.protocols import EncodeBodies, MakeRecord, MakeRecords

from bedrock_sluice.expectations import gate
from bedrock_sluice.expectations.suite import Suite

pytest_plugins = [
    "support.browser",
    "support.command_line",
    "support.control_plane",
    "support.prefect_server",
    "support.training",
    "support.webhook",
]

# The same examples on every run: a failure is a change of the code, never of the dice.
settings.register_profile("sluice", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("sluice")

_bucket_numbers = count(1)


@pytest.fixture(scope="session")
def bodies() -> EncodeBodies:
    """`encode_bodies`."""
    return encode_bodies


@pytest.fixture(scope="session")
def stream() -> Callable[[str, Json, Random], list[Json | str]]:
    """`stream_reply`."""
    return stream_reply


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    """`make_record`."""
    return make_record


@pytest.fixture(scope="session")
def records() -> MakeRecords:
    """`make_records`."""
    return make_records


@pytest.fixture(scope="session")
def log_object() -> Callable[[Sequence[Json | bytes]], bytes]:
    """`make_object`."""
    return make_object


@pytest.fixture(scope="session")
def exchanges() -> Callable[[Sequence[Json]], pl.DataFrame]:
    """`make_exchanges`."""
    return make_exchanges


# --- what would be done again and again


@pytest.fixture(scope="session", autouse=True)
def _validate_once() -> Iterator[None]:
    """Great Expectations takes three quarters of a small build, and builds of tests are alike.

    What it says of a frame depends on the suite, the frame and the parameters alone, so each
    worker asks it once.
    """
    validate, answers = gate._validate, dict[bytes, Any]()

    def validate_once(suite: Suite, measures: pl.DataFrame, parameters: Mapping[str, float]) -> Any:
        key = pickle.dumps((suite, measures.schema, measures.rows(), dict(parameters)))
        if key not in answers:
            answers[key] = validate(suite, measures, parameters)
        return answers[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "_validate", validate_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _parse_once() -> Iterator[None]:
    """botocore parses its descriptions of AWS anew for each client: most of a small test's time."""
    load = cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield


# --- S3


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The address of an S3 that keeps its objects in this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Points the usual AWS settings to an address; nothing of this machine's own is read."""
    dummies = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def point_to(url: str) -> None:
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # the store's cache is below it
        for name, value in {**dummies, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)

    return point_to


@pytest.fixture
def bucket(aws: Callable[[str], None], moto_url: str) -> str:
    """A new, empty bucket."""
    aws(moto_url)
    name = f"bucket-{next(_bucket_numbers)}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name
