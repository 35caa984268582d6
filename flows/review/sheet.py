"""The sheet of a release: the lines that are most worth a look, and a random sample."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from bedrock_sluice.expectations.pages.sheet import (
    SheetFacts,
    SheetLine,
    SheetMessage,
    render_sheet,
)
from bedrock_sluice.flows.decisions.decisions import find_approvals
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.lake.releases.release import (
    MANIFEST,
    SCORES,
    Release,
    list_manifests,
    open_release,
)
from bedrock_sluice.transforms.chat.messages import Message, json_text
from bedrock_sluice.transforms.chat.training_line import TrainingLine, line_tokens, messages_of
from bedrock_sluice.transforms.dedup.line_marks import MarkCache
from bedrock_sluice.transforms.dedup.near_duplicates import similar_pairs
from bedrock_sluice.transforms.errors import RefusedError
from bedrock_sluice.transforms.review.selection import (
    REASONS,
    SHEET_LINES,
    draw_sample,
    flag_lines,
    select_by_reason,
)
from bedrock_sluice.transforms.settings import MIN_THRESHOLD
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

NEAR_MARGIN = 0.1  # below the threshold of near duplicates: how close a pair must be to it
SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool result"}
OWN_KEYS = {"id", "messages", "reference_answer", "tools"}
PROVENANCE = ("id", "prompt_digest", "reference_source", "model_id", "split")


class SheetSize(NamedTuple):
    """How many lines are selected by reason and at random, and the seed of both."""

    lines: int
    sample: int
    seed: int


def write_sheet(release: Release, size: SheetSize) -> str:
    """Return the sheet of a release as HTML: the same for the same size and approved release.

    Raises:
        IntegrityError: a file of a release is missing or was changed.
        RefusedError: an older version of Sluice built the release.
    """
    recipe, lines = recipe_of(release), read_lines(release)
    earlier = last_approved(release)
    with_neighbours = (
        lines.join(_near_pairs(lines, recipe), on="id", how="left", maintain_order="left")
        .join(_best_scores(release), on="id", how="left", maintain_order="left")
        .select(*SHEET_LINES.names(), "split")
    )
    before = None if earlier is None else read_lines(earlier).select("prompt_digest", "answer")
    flags, kind_sizes = flag_lines(with_neighbours, before, recipe.curate.max_prompt_tokens)
    targets = select_by_reason(flags, size.lines, size.seed)
    sample = draw_sample(lines["id"], size.sample, size.seed)
    ids = list(dict.fromkeys([*targets, *sample]))
    rows = (
        pl.DataFrame({"id": ids}, schema={"id": pl.String})
        .join(with_neighbours.with_columns(kind_sizes), on="id", how="left", maintain_order="left")
        .join(flags, on="id", how="left", maintain_order="left")
    )
    sheet_lines = [
        _sheet_line(row, row["id"] in set(targets), row["id"] in set(sample), recipe)
        for row in rows.iter_rows(named=True)
    ]
    return render_sheet(
        SheetFacts(
            name=release.name,
            id=release.id,
            digest=release.manifest.digest,
            lines_of_release=lines.height,
            options=size._asdict(),
            earlier=earlier.id if earlier else None,
            lines=sheet_lines,
        )
    )


def read_lines(release: Release) -> pl.DataFrame:
    """Read `SHEET_LINES` of a release, but what is joined later, and `split`; train first.

    Raises:
        IntegrityError: a file of the release is missing or was changed.
        RefusedError: an older version of Sluice built the release, and kept no digests.
    """
    texts = [
        text
        for side in (TRAIN, VALIDATION)
        for text in release.file(f"{side}.jsonl").read_text(encoding="utf-8").split("\n")
        if text
    ]
    decoded_lines = list(map(TrainingLine, texts))
    columns = {
        "id": [line.fields["id"] for line in decoded_lines],
        "answer": [json_text(line.fields.get("reference_answer")) for line in decoded_lines],
        "text": texts,
    }
    lines = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    path = release.file("provenance.parquet")
    if "prompt_digest" not in pl.read_parquet_schema(path):
        raise RefusedError(
            f"{release.uri} is a release of an older version, which does not tell its prompts "
            "apart; build it again"
        )
    provenance = pl.read_parquet(path, columns=list(PROVENANCE), glob=False)
    return lines.with_columns(prompt_tokens=line_tokens(decoded_lines)).join(
        provenance, on="id", how="left", maintain_order="left"
    )


def last_approved(release: Release) -> Release | None:
    """Return the release of the same name, other than this one, that was approved last."""
    approvals = list[tuple[Any, Release]]()
    for entry in list_manifests(release.lake, release.name):
        other = open_release(f"{release.lake.uri}/{entry.key.removesuffix(f'/{MANIFEST}')}")
        if other.id != release.id:
            approvals += [((each.at, other.id), other) for each in find_approvals(other)]
    return max(approvals, key=lambda each: each[0])[1] if approvals else None


def _near_pairs(lines: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Return `id, neighbour, similarity` of lines that are nearly near duplicates."""
    schema = {name: SHEET_LINES[name] for name in ("id", "neighbour", "similarity")}
    limit = recipe.curate.near_duplicates
    if not limit or lines.height < 2:
        return pl.DataFrame(schema=schema)
    marks = MarkCache().marks(messages_of(lines["text"]))
    threshold = max(MIN_THRESHOLD, limit - NEAR_MARGIN)
    rank = np.arange(lines.height)
    pairs, similarity = similar_pairs(marks.sketches, marks.fetch, rank, threshold)
    is_close = similarity < limit
    left, right = (lines["id"].gather(pairs[is_close, side]).to_list() for side in (0, 1))
    values = similarity[is_close].tolist()
    columns = {"id": left + right, "neighbour": right + left, "similarity": values + values}
    nearest = pl.DataFrame(columns, schema=schema).sort(
        "id", "similarity", "neighbour", descending=[False, True, False]
    )
    return nearest.unique("id", keep="first", maintain_order=True)


def _best_scores(release: Release) -> pl.DataFrame:
    """Return `id, score`: the best score of the logged responses to each line, if one was tried."""
    if SCORES not in release.manifest.files:
        return pl.DataFrame(schema={name: SHEET_LINES[name] for name in ("id", "score")})
    scores = pl.read_parquet(release.file(SCORES), glob=False)
    return scores.group_by("id").agg(pl.col("score").max())


def _sheet_line(
    row: dict[str, Any], is_targeted: bool, is_sampled: bool, recipe: Recipe
) -> SheetLine:
    line = TrainingLine(row["text"])
    reasons = [_in_words(reason, row, recipe) for reason in REASONS if row[reason]]
    fields = [
        (name, value if isinstance(value, str) else json_text(value))
        for name, value in line.fields.items()
        if name not in OWN_KEYS
    ]
    return SheetLine(
        id=row["id"],
        reasons=[*reasons, *(["random sample"] if is_sampled else [])],
        is_sampled=is_sampled,
        is_targeted=is_targeted,
        chat=_chat(line.chat()),
        reference_answer=line.fields["reference_answer"],
        facts=[
            ("source of the answer:", row["reference_source"]),
            ("logged by", row["model_id"].rpartition("/")[2]),
            ("side", row["split"]),
        ],
        tools=[_indent(tool) for tool in line.fields.get("tools") or ()],
        fields=fields,
    )


def _in_words(reason: str, row: dict[str, Any], recipe: Recipe) -> str:
    """Return the reason with what was measured of this line."""
    details = {
        "disagreement": f"the best of them scores {row['score'] or 0:g}",
        "length": f"about {row['prompt_tokens']:,} of {recipe.curate.max_prompt_tokens:,} tokens",
        "similar": f"{row['similarity'] or 0:.0%} the same as {row['neighbour']}",
        "rare": f"{row['kind_size']:,} with its model and length",
        "trust": f"its source is {row['reference_source']}",
    }
    detail = details.get(reason)
    return f"{REASONS[reason]}: {detail}" if detail else REASONS[reason]


def _chat(messages: Sequence[Message]) -> list[SheetMessage]:
    """Return who says what; a call of a tool is shown as its name and arguments."""
    chat = list[SheetMessage]()
    for message in messages:
        calls = [f"{c.function.name}({c.function.arguments})" for c in message.tool_calls]
        text = "\n".join([*([message.content] if message.content else []), *calls])
        chat.append(SheetMessage(SPEAKERS.get(message.role, "Other"), text))
    return chat


def _indent(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
