"""Comparison of two releases: what a reviewer of the newer one has to know."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache

import msgspec
import polars as pl

from bedrock_sluice.lake.releases.release import ReleaseFiles, ReleaseView, open_release
from bedrock_sluice.transforms.errors import SluiceError
from bedrock_sluice.transforms.review.comparison import COMPARED_LINES, Comparison, compare
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

_PROVENANCE = ("id", "prompt_digest", "duplicates", "model_id", "reference_source")
_READ_COLUMNS = {
    **{"id": pl.String, "answer": pl.String, "content": pl.String},
    **{"prompt_characters": pl.Int64, "answer_characters": pl.Int64, "messages": pl.Int64},
    "question": pl.String,
}


def compare_releases(
    before: ReleaseFiles, after: ReleaseFiles, *, has_words: bool = False
) -> Comparison:
    """Compare the lines of two releases, whose files are verified.

    Raises:
        IntegrityError: a file of one of them is missing or was changed.
    """
    digests = before.manifest.digest, after.manifest.digest
    return _compare(_Pair(digests, (before, after)), has_words)


@dataclass(frozen=True)
class _Pair:
    """Two releases; their digests stand for all that is compared."""

    digests: tuple[str, str]
    releases: tuple[ReleaseFiles, ReleaseFiles] = field(compare=False)


@lru_cache(maxsize=1)  # a build shows what its report has just compared
def _compare(pair: _Pair, has_words: bool) -> Comparison:
    read_line = cache(_read_line)  # most lines are in both
    lines = [_read_lines(release, read_line) for release in pair.releases]
    fates = [
        pl.read_parquet(release.file("fates.parquet"), columns=["request_id", "reason"], glob=False)
        for release in pair.releases
    ]
    return compare(*lines, *fates, has_words=has_words)


def compare_with_parent(release: ReleaseView) -> Comparison | None:
    """Compare a release with the one before it; None if there is none, or it can't be read.

    A release that has been published is shown, whatever became of the one before.
    """
    parent = release.manifest.parent
    if parent is None:
        return None
    try:
        before = open_release(f"{release.lake.uri}/releases/{release.manifest.name}/{parent}")
        return compare_releases(before, release, has_words=True)  # as reports do
    except SluiceError:
        return None


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | None = None


_Row = tuple[str, str, str, int, int, int, str]
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHAT = msgspec.json.Decoder(list[_Message])
_ID = msgspec.json.Decoder(str)
_NO_ANSWER = msgspec.Raw(b"null")


def _read_lines(release: ReleaseFiles, read_line: Callable[[bytes], _Row]) -> pl.DataFrame:
    """Read the lines of a release (`COMPARED_LINES`)."""
    frames = list[pl.DataFrame]()
    for side in (TRAIN, VALIDATION):
        with release.file(f"{side}.jsonl").open("rb") as file:
            columns = list(zip(*map(read_line, file), strict=True)) or [()] * len(_READ_COLUMNS)
        frame = pl.DataFrame(dict(zip(_READ_COLUMNS, columns, strict=True)), schema=_READ_COLUMNS)
        frames.append(frame.with_columns(side=pl.lit(side)))
    path = release.file("provenance.parquet")
    provenance = pl.read_parquet(path, columns=list(_PROVENANCE), glob=False)
    lines = pl.concat(frames).join(provenance, on="id", how="left")
    return lines.select(pl.col(name).cast(kind) for name, kind in COMPARED_LINES.items())


def _read_line(text: bytes) -> _Row:
    """Return `_READ_COLUMNS` of a line. Values stay JSON text, which is the same for equal ones."""
    fields = _FIELDS.decode(text)
    line_id = _ID.decode(fields.pop("id"))
    answer = bytes(fields.pop("reference_answer", _NO_ANSWER)).decode()
    try:
        chat = _CHAT.decode(fields["messages"])
    except (KeyError, msgspec.ValidationError):
        chat = []
    return (
        line_id,
        answer,
        "\n".join([f"{key}:{bytes(fields[key]).decode()}" for key in sorted(fields)]),
        sum([len(message.content or "") for message in chat]),
        len(answer),
        len(chat),
        next((m.content or "" for m in reversed(chat) if m.role == "user"), ""),
    )
