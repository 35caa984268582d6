"""The demo: logs of a made-up tutor, in Bedrock's layout, with a recipe and labels beside them.

Nothing in it is drawn from anybody's data, and no clock or network is used. Next to what a dataset
is made of, the logs hold a little of everything that has to be washed out of real ones.
"""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from math import ceil
from pathlib import Path
from random import Random
from string import Template
from typing import Any

from bedrock_sluice.demo.dialects import ACCOUNT, REGION
from bedrock_sluice.demo.records import Logged, draw_logged, large_body
from bedrock_sluice.lake.logs.source import PERMISSION_CHECK, SERVICE, TOP
from bedrock_sluice.lake.stores.folder import TEMPORARY_PREFIX, FolderStore
from bedrock_sluice.transforms.errors import ConfigError

SINCE = datetime(2026, 10, 5, tzinfo=UTC)
DAYS = 3
EARLY = timedelta(minutes=1)  # the first records are from just before the recipe's window
BURST = timedelta(minutes=4)
PER_OBJECT = 25  # records
GZIP_LEVEL = 6
RECIPE_FILE, LABELS_FILE = "recipe.toml", "labels.jsonl"
LOGS = f"logs/{TOP}/{ACCOUNT}/{SERVICE}/{REGION}"

# The log objects, by their number, that something happens to.
DELIVERED_TWICE, DELIVERED_TRUNCATED_FIRST, TORN = 1, 2, 3
NO_JSON = "Permissions are correctly set for Amazon Bedrock logs.\n"

RECIPE = Template("""\
# How the dataset "demo" is made of the logs in this folder ($records records, seed $seed).
# Change it, and build again: sluice build recipe.toml

name = "demo"   # releases are named after it
lake = "lake"   # what Sluice keeps: the records it has read, and the releases; or s3://bucket/prefix

# Where Bedrock delivers its logs, and of which days (UTC) records are taken; until is left out.
[source]
uri = "logs"    # the folder that holds AWSLogs/; or s3://bucket/prefix
since = $since
until = $until

# Which records are wanted, by their request metadata: the tutor's, but not those of its developers.
[select]
metadata = { andAll = [{ equals = { project = "tutor" } }, { notEquals = { env = "dev" } }] }

# Which of these become prompts: none that failed, was cut off or blocked, is longer than this, or
# repeats another, or nearly does (so much of it is the same).
[curate]
max_prompt_tokens = 2048
near_duplicates = 0.8

# What is done about secrets and personal data: drop the prompt, mask the value, or only report it.
[privacy]
secrets = "mask"
personal_data = "mask"

# Where the right answers come from: people's labels first, else what the model answered.
[answer]
from = ["labels", "logged"]
labels = "labels.jsonl"

# The shape of a line, so that its reward function can grade it: here a number after "####".
[template]
name = "math"

# How many of the lines are held out of training.
[split]
validation = 0.1
""")

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def write_demo(folder: Path, records: int, seed: int = 1) -> Path:
    """Write `logs/`, `labels.jsonl` and `recipe.toml` into a folder; returns the recipe's path.

    The same arguments give the same bytes. A few lines are logged on top of the `records`: some
    twice, some broken. Nothing that exists is overwritten: a demo that broke off is completed.

    Raises:
        ConfigError: the folder holds files, and they are not those of this demo.
    """
    _check_folder(folder, records, seed)
    store = FolderStore(folder)
    for key, content in _files(records, seed):
        store.put_new(key, content)
    return folder / RECIPE_FILE


def _check_folder(folder: Path, records: int, seed: int) -> None:
    """A folder that is not empty must hold this recipe, and nothing else under the demo's names."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a new folder with --out")
    names = {path.name for path in folder.iterdir()}
    if all(name.startswith(TEMPORARY_PREFIX) for name in names):  # of a demo that broke off
        return
    if RECIPE_FILE not in names:
        raise ConfigError(f"{folder} is not empty, and is not a demo; name a new folder with --out")
    for key, content in _files(records, seed):
        path = folder / key
        if path.exists() and path.read_bytes() != content:
            raise ConfigError(
                f"{path} exists and differs from the demo's file; name a new folder with --out"
            )


def _files(records: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Each file of a demo: its path in the folder, and its bytes. The recipe comes first."""
    yield RECIPE_FILE, _recipe(records, seed)
    rng = Random(seed)  # noqa: S311 - nothing secret is drawn
    yield f"{LOGS}/{PERMISSION_CHECK}", b""
    labels = list[str]()
    for number, (at, batch) in enumerate(_bursts(rng, records)):
        text = "".join(_line(each.record) for each in batch)
        yield from _deliveries(rng, number, at, text)
        labels += [_line(each.label) for each in batch if each.label]
    yield LABELS_FILE, "".join(labels).encode()
    request_id, body = large_body(rng)  # stored apart: not a log object, though it looks like one
    path = f"{SINCE:%Y/%m/%d/%H}/data/{request_id}_input.json.gz"
    yield f"{LOGS}/{path}", _packed(_JSON.encode(body))


def _recipe(records: int, seed: int) -> bytes:
    until = SINCE + timedelta(days=DAYS)
    text = RECIPE.substitute(
        records=f"{records:,}", seed=seed, since=f"{SINCE:%Y-%m-%d}", until=f"{until:%Y-%m-%d}"
    )
    return text.encode()


def _line(value: dict[str, Any]) -> str:
    return _JSON.encode(value) + "\n"


def _bursts(rng: Random, records: int) -> Iterator[tuple[datetime, list[Logged]]]:
    """The records, some minutes' worth at a time, with the moment of the last one of each."""
    logged = islice(draw_logged(rng), records)
    spacing = timedelta(days=DAYS) / ceil(records / PER_OBJECT)
    length = min(BURST, spacing)
    for number in count():
        batch = list(islice(logged, PER_OBJECT))
        if not batch:
            return
        start = SINCE - EARLY + number * spacing
        moments = sorted(start + rng.random() * length for _ in batch)
        for at, each in zip(moments, batch, strict=True):
            each.record["timestamp"] = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        yield moments[-1], batch


def _deliveries(rng: Random, number: int, at: datetime, text: str) -> Iterator[tuple[str, bytes]]:
    """A log object some seconds after its last record, whole or with a mishap."""
    if number == TORN:
        text += NO_JSON + text[: text.index("\n") // 2]
    packed = _packed(text)
    delivered = at + timedelta(seconds=rng.uniform(20, 90))
    if number == DELIVERED_TRUNCATED_FIRST:
        cut = packed[: len(packed) * 2 // 3]
        yield _object_key(rng, delivered - timedelta(seconds=1)), cut
    yield _object_key(rng, delivered), packed
    if number == DELIVERED_TWICE:
        yield _object_key(rng, delivered + timedelta(hours=1)), packed


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), GZIP_LEVEL, mtime=0)


def _object_key(rng: Random, at: datetime) -> str:
    name = f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}Z_{rng.getrandbits(64):016x}.json.gz"
    return f"{LOGS}/{at:%Y/%m/%d/%H}/{name}"
