"""The demo: synthetic logs of a tutor, in Bedrock's layout, with a recipe and labels beside them.

Nothing in it comes from real data, and no clock or network is used. Beside what becomes a dataset,
the logs hold a little of everything that has to be dropped from real ones.
"""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from math import ceil
from random import Random
from string import Template
from typing import Any

from bedrock_sluice.demo.dialects import ACCOUNT, REGION
from bedrock_sluice.demo.records import LoggedCall, draw_calls, large_body

SINCE = datetime(2026, 10, 5, tzinfo=UTC)
DAYS = 3
EARLY = timedelta(minutes=1)  # the first records are from just before the recipe's window
BURST = timedelta(minutes=4)
PER_OBJECT = 25  # records
GZIP_LEVEL = 6
RECIPE_FILE, LABELS_FILE = "recipe.toml", "labels.jsonl"
LOGS = f"logs/AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs/{REGION}"
PERMISSION_CHECK = "amazon-bedrock-logs-permission-check"  # an empty object that Bedrock writes

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


def demo_files(records: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield each file of a demo: its path in the folder, and its bytes. The recipe comes first.

    The same arguments give the same bytes. A few lines are logged on top of the `records`: some
    twice, some broken.
    """
    until = SINCE + timedelta(days=DAYS)
    recipe = RECIPE.substitute(
        records=f"{records:,}", seed=seed, since=f"{SINCE:%Y-%m-%d}", until=f"{until:%Y-%m-%d}"
    )
    yield RECIPE_FILE, recipe.encode()
    rng = Random(seed)  # noqa: S311 - nothing secret is drawn
    yield f"{LOGS}/{PERMISSION_CHECK}", b""
    labels = list[str]()
    for number, (at, batch) in enumerate(_draw_bursts(rng, records)):
        text = "".join(_json_line(call.record) for call in batch)
        yield from _deliver(rng, number, at, text)
        labels += [_json_line(call.label) for call in batch if call.label]
    yield LABELS_FILE, "".join(labels).encode()
    request_id, body = large_body(rng)  # stored apart: not a log object, though it looks like one
    path = f"{SINCE:%Y/%m/%d/%H}/data/{request_id}_input.json.gz"
    yield f"{LOGS}/{path}", _compress(_JSON.encode(body))


def _json_line(value: dict[str, Any]) -> str:
    return _JSON.encode(value) + "\n"


def _draw_bursts(rng: Random, records: int) -> Iterator[tuple[datetime, list[LoggedCall]]]:
    """Draw the records, in batches of some minutes, each with the time of its last record."""
    calls = islice(draw_calls(rng), records)
    spacing = timedelta(days=DAYS) / ceil(records / PER_OBJECT)
    length = min(BURST, spacing)
    for number in count():
        batch = list(islice(calls, PER_OBJECT))
        if not batch:
            return
        start = SINCE - EARLY + number * spacing
        moments = sorted(start + rng.random() * length for _ in batch)
        for at, call in zip(moments, batch, strict=True):
            call.record["timestamp"] = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        yield moments[-1], batch


def _deliver(rng: Random, number: int, at: datetime, text: str) -> Iterator[tuple[str, bytes]]:
    """Yield a log object some seconds after its last record, whole or with a mishap."""
    if number == TORN:
        text += NO_JSON + text[: text.index("\n") // 2]
    content = _compress(text)
    arrival = at + timedelta(seconds=rng.uniform(20, 90))
    if number == DELIVERED_TRUNCATED_FIRST:
        cut = content[: len(content) * 2 // 3]
        yield _object_key(rng, arrival - timedelta(seconds=1)), cut
    yield _object_key(rng, arrival), content
    if number == DELIVERED_TWICE:
        yield _object_key(rng, arrival + timedelta(hours=1)), content


def _compress(text: str) -> bytes:
    return gzip.compress(text.encode(), GZIP_LEVEL, mtime=0)


def _object_key(rng: Random, at: datetime) -> str:
    name = f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}Z_{rng.getrandbits(64):016x}.json.gz"
    return f"{LOGS}/{at:%Y/%m/%d/%H}/{name}"
