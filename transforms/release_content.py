"""The content of a release's files and manifest, from its lines and the fates of all records."""

from hashlib import blake2b

import polars as pl

from bedrock_sluice.transforms.facts.release_facts import Counts, UnknownShape
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.split import TRAIN, VALIDATION
from bedrock_sluice.transforms.tables import PROVENANCE, SCORES

MAX_SHAPES = 10  # of bodies that no reader knows, in the manifest


def encode_lines(lines: pl.DataFrame, side: str) -> bytes:
    """Return the lines (`json, split`) of one side of the split as JSONL."""
    texts = lines.filter(pl.col("split") == side)["json"]
    return "".join(f"{line}\n" for line in texts).encode()


def provenance_of(lines: pl.DataFrame, salt: str) -> pl.DataFrame:
    """Return the `PROVENANCE` of the lines.

    A group may be a metadata value, such as the name of a customer, so that only its keyed hash is
    published.
    """
    names = lines["group"].unique()
    hashes = [blake2b(n.encode(), key=salt.encode(), digest_size=16).hexdigest() for n in names]
    groups = pl.col("group").replace_strict(names, hashes, return_dtype=pl.String)
    columns = lines.with_columns(groups, id=pl.col("request_id"))
    return columns.select(pl.col(name).cast(kind) for name, kind in PROVENANCE.items())


def scores_of(results: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the `SCORES` of the lines: `results` are `line_id, request_id, score` of all that were
    graded, in any order."""
    scores = results.select(pl.col("line_id").alias("id"), "request_id", "score")
    of_lines = scores.filter(pl.col("id").is_in(lines["request_id"].implode()))
    return of_lines.sort("id", "request_id").select(SCORES.names())


def count_fates(fates: pl.DataFrame) -> Counts:
    """Count all records, the lines of each side, and the other records by fate and reason."""
    sides = dict(fates["fate"].value_counts().iter_rows())

    def reasons(fate: str) -> dict[str, int]:
        of_fate = fates.filter(pl.col("fate") == fate)
        return dict(of_fate["reason"].value_counts().sort("reason").iter_rows())

    return Counts(
        records=fates.height,
        train=sides.get(TRAIN, 0),
        validation=sides.get(VALIDATION, 0),
        dropped=reasons("dropped"),
        quarantined=reasons("quarantined"),
    )


def unknown_shapes(fates: pl.DataFrame) -> list[UnknownShape]:
    """Count the bodies of each shape that no reader knows, the most frequent shapes first."""
    unknown = fates.filter(pl.col("reason") == Reason.DECODE_UNKNOWN_SHAPE.value)
    counts = unknown.group_by(shape="detail").agg(records=pl.len())
    rows = counts.sort("records", "shape", descending=[True, False]).head(MAX_SHAPES)
    return [UnknownShape(**row) for row in rows.iter_rows(named=True)]
