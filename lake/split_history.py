"""Which side of the split earlier releases gave to what: the memory of a dataset's split.

Releases of one name that were split by the same rules share a memory, whether they were approved or
not: what stood in the validation file of one is never trained on by a later one.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pyarrow.parquet as pq

from bedrock_sluice.lake.releases import MANIFEST, Release, list_manifests, open_release
from bedrock_sluice.lake.store import Store
from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.split import SIDES

SPLIT_RULES = "split_rules"
"""The manifest's digest of the rules of its split: releases with equal ones share a memory."""

_PROVENANCE, _VALIDATION = "provenance.parquet", "validation.jsonl"
_LINE = msgspec.json.Decoder(dict[str, Any])


class SplitHistory(NamedTuple):
    """What earlier releases (ids) decided: the side of each root, and the lines held out.

    `sides` has the schema `SIDES`; `held_lines` are the JSON texts of their validation files.
    """

    releases: list[str]
    sides: pl.DataFrame
    held_lines: list[dict[str, Any]]


def read_split_history(
    lake: Store, name: str, rules: str, only: Collection[str] | None = None
) -> SplitHistory:
    """Read what the releases of a name, with the same `rules`, decided; of `only` these, if given.

    Raises:
        IntegrityError: a file of one of them is gone or damaged, or one of `only` is not there.
    """
    folders = [entry.key.removesuffix(f"/{MANIFEST}") for entry in list_manifests(lake, name)]
    releases = [open_release(f"{lake.uri}/{folder}") for folder in folders]
    releases = [each for each in releases if each.manifest.get(SPLIT_RULES) == rules]
    if only is not None:
        if missing := sorted(set(only) - {each.id for each in releases}):
            raise IntegrityError(
                f"{lake.uri} has lost the release {missing[0]} of {name}, whose split this one was "
                "first built on; put it back"
            )
        releases = [each for each in releases if each.id in only]
    sides = [_sides(each) for each in releases]
    return SplitHistory(
        releases=[each.id for each in releases],
        sides=pl.concat([SIDES.to_frame(), *sides]).unique().sort("root", "split"),
        held_lines=_held_lines(releases),
    )


def _sides(release: Release) -> pl.DataFrame:
    table = pq.read_table(release.file(_PROVENANCE), columns=SIDES.names())
    return pl.DataFrame(table).cast(SIDES)


def _held_lines(releases: list[Release]) -> list[dict[str, Any]]:
    """Each once: most of them stand in many releases."""
    lines = dict[bytes, None]()
    for release in releases:
        lines |= dict.fromkeys(release.file(_VALIDATION).read_bytes().splitlines())
    return [_LINE.decode(line) for line in lines]
