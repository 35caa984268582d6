"""Comparison of two releases: what a reviewer of the newer one has to know."""

import msgspec
import polars as pl

from bedrock_sluice.lake.releases.release import ReleaseFiles, ReleaseView, open_release
from bedrock_sluice.transforms.chat.messages import chat_of, json_text
from bedrock_sluice.transforms.chat.texts import last_user_text
from bedrock_sluice.transforms.errors import SluiceError
from bedrock_sluice.transforms.review.comparison import COMPARED_LINES, Comparison, compare
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

_PROVENANCE = ("id", "prompt_digest", "duplicates", "model_id", "reference_source")


def compare_releases(
    before: ReleaseFiles, after: ReleaseFiles, *, has_words: bool = False
) -> Comparison:
    """Compare the lines of two releases, whose files are verified.

    Raises:
        IntegrityError: a file of one of them is missing or was changed.
    """
    lines = [_read_lines(release) for release in (before, after)]
    fates = [
        pl.read_parquet(release.file("fates.parquet"), columns=["request_id", "reason"], glob=False)
        for release in (before, after)
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
        return compare_releases(before, release)
    except SluiceError:
        return None


def _read_lines(release: ReleaseFiles) -> pl.DataFrame:
    """Read the lines of a release (`COMPARED_LINES`)."""
    rows = list[dict[str, object]]()
    for side in (TRAIN, VALIDATION):
        with release.file(f"{side}.jsonl").open("rb") as file:
            for text in file:
                line = msgspec.json.decode(text)
                line_id, answer = line.pop("id"), json_text(line.pop("reference_answer", None))
                chat = chat_of(line)
                rows.append(
                    {
                        "id": line_id,
                        "side": side,
                        "answer": answer,
                        "content": json_text(line),
                        "prompt_characters": sum(len(m.content or "") for m in chat),
                        "answer_characters": len(answer),
                        "messages": len(chat),
                        "question": last_user_text(chat),
                    }
                )
    path = release.file("provenance.parquet")
    provenance = pl.read_parquet(path, columns=list(_PROVENANCE), glob=False)
    columns = {k: v for k, v in COMPARED_LINES.items() if k == "id" or k not in _PROVENANCE}
    lines = pl.DataFrame(rows, schema=columns).join(provenance, on="id", how="left")
    return lines.select(pl.col(name).cast(kind) for name, kind in COMPARED_LINES.items())
