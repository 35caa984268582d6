"""Which requests to forget: ids, or all records of a conversation or with a metadata value."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.places import Target, open_target
from bedrock_sluice.lake.logs.erasure import LANDED_FOLDER, find_rows
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.rights.tombstones import request_digest

MAX_LIST_BYTES = 64 << 20  # of a file of request ids


def open_whole_lake(target: str) -> Target:
    """Open a lake, and see that it is one: what is not there cannot be forgotten.

    Raises:
        ConfigError: there is no lake, or the recipe is wrong.
    """
    place = open_target(target)
    if not {"landed", "releases", "tombstones"} & {*place.lake.folders()}:
        raise ConfigError(f"{place.lake.uri} is not a lake: it has no landed logs and no releases")
    return place


def read_ids(path: Path) -> list[str]:
    """Read request ids from a text file, one a line.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise ConfigError(f"{path}: over {MAX_LIST_BYTES >> 20} MiB; divide it into several")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: {why}") from None
    return [name for line in text.splitlines() if (name := line.strip())]


def parse_metadata(
    pairs: Sequence[str], conversations: Sequence[str], recipe: Recipe | None
) -> list[tuple[str, str]]:
    """Return pairs of a metadata key and a value; a conversation is a value of the recipe's key.

    Raises:
        ConfigError: a pair has no `=`, or nothing says which key names conversations.
    """
    metadata = list[tuple[str, str]]()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ConfigError("--metadata must be KEY=VALUE")
        metadata.append((key, value))
    key_of_recipe = recipe.curate.conversation_key if recipe else None
    if conversations and not key_of_recipe:
        raise ConfigError(
            "--conversation needs a recipe with conversation_key in [curate]; name it, or use "
            "--metadata KEY=VALUE"
        )
    return [*metadata, *((str(key_of_recipe), each) for each in conversations)]


def find_requests(lake: Store, metadata: Collection[tuple[str, str]]) -> frozenset[str]:
    """Find the digests of all landed requests that have one of these metadata values."""
    if not metadata or LANDED_FOLDER.rstrip("/") not in lake.folders():
        return frozenset()
    values: Mapping[str, list[str]] = {
        key: [value for name, value in metadata if name == key] for key, _ in metadata
    }

    def matches(frame: pl.DataFrame) -> pl.Series:
        tests = (pl.col("request_metadata").map.get(k).is_in(v) for k, v in values.items())
        is_match = pl.any_horizontal(test.fill_null(value=False) for test in tests)
        return frame.select(is_match & pl.col("request_id").is_not_null()).to_series()

    ids = (each for match in find_rows(lake, matches) for each in match.rows["request_id"])
    return frozenset(request_digest(each) for each in ids)
