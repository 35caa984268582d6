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

from bedrock_sluice.flows.demo_dialects import ACCOUNT, REGION
from bedrock_sluice.flows.demo_records import Logged, draw_logged, large_body
from bedrock_sluice.lake.source import PERMISSION_CHECK, SERVICE, TOP
from bedrock_sluice.transforms.errors import ConfigError

SINCE = datetime(2026, 10, 5, tzinfo=UTC)
DAYS = 3
EARLY = timedelta(minutes=1)  # the first records are from just before the recipe's window
BURST = timedelta(minutes=4)
PER_OBJECT = 25  # records
GZIP_LEVEL = 6

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
    twice, some broken.

    Raises:
        ConfigError: the folder holds another recipe, so that its logs are not ours to add to.
    """
    recipe = folder / "recipe.toml"
    _write_recipe(recipe, records, seed)
    rng = Random(seed)  # noqa: S311 - nothing secret is drawn
    root = folder / "logs" / TOP / ACCOUNT / SERVICE / REGION
    root.mkdir(parents=True, exist_ok=True)
    (root / PERMISSION_CHECK).write_bytes(b"")
    with (folder / "labels.jsonl").open("w", encoding="utf-8", newline="\n") as labels:
        for number, (at, batch) in enumerate(_bursts(rng, records)):
            text = "".join(_line(each.record) for each in batch)
            _deliver(root, rng, number, at, text)
            labels.writelines(_line(each.label) for each in batch if each.label)
    _write_large_body(root, rng)
    return recipe


def _write_recipe(path: Path, records: int, seed: int) -> None:
    """First of all files, so that a demo that was broken off is known by it."""
    until = SINCE + timedelta(days=DAYS)
    text = RECIPE.substitute(
        records=f"{records:,}", seed=seed, since=f"{SINCE:%Y-%m-%d}", until=f"{until:%Y-%m-%d}"
    )
    if path.exists() and path.read_bytes() != text.encode():
        raise ConfigError(f"{path} is there, and is another recipe; name another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


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


def _deliver(root: Path, rng: Random, number: int, at: datetime, text: str) -> None:
    """Write a log object some seconds after its last record, whole or with a mishap."""
    if number == TORN:
        text += NO_JSON + text[: text.index("\n") // 2]
    packed = _packed(text)
    delivered = at + timedelta(seconds=rng.uniform(20, 90))
    if number == DELIVERED_TRUNCATED_FIRST:
        _put(root, rng, delivered - timedelta(seconds=1), packed[: len(packed) * 2 // 3])
    _put(root, rng, delivered, packed)
    if number == DELIVERED_TWICE:
        _put(root, rng, delivered + timedelta(hours=1), packed)


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), GZIP_LEVEL, mtime=0)


def _put(root: Path, rng: Random, at: datetime, packed: bytes) -> None:
    path = root / f"{at:%Y/%m/%d/%H}" / _object_name(rng, at)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed)


def _object_name(rng: Random, at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}Z_{rng.getrandbits(64):016x}.json.gz"


def _write_large_body(root: Path, rng: Random) -> None:
    """A body that was stored apart from its record: not a log object, though it looks like one."""
    request_id, body = large_body(rng)
    path = root / f"{SINCE:%Y/%m/%d/%H}" / "data" / f"{request_id}_input.json.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_packed(_JSON.encode(body)))
