"""Do lines of train tell what lines of validation ask? Counted from the lines as they are written.

Nothing that an earlier stage found out is taken over: texts, digests and sketches are made anew.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.chat import Message
from bedrock_sluice.transforms.conversations import prefix_overlaps
from bedrock_sluice.transforms.message_digests import conversation_marks, plain_text
from bedrock_sluice.transforms.near_duplicates import candidate_pairs, verify
from bedrock_sluice.transforms.sketches import sketch
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

_NO_RESPONSE = Message("assistant", "")
_IS_HELD = pl.col("split") == VALIDATION
_IS_TRAINED = pl.col("split") == TRAIN


def leakage(
    chats: Sequence[list[Message]],
    sides: pl.Series,
    similarity: float | None,
    *,
    within_system: bool = False,
) -> dict[str, int]:
    """How many lines overlap with the other side: `exact`, `prefix` and `near`.

    `chats` has the messages of each line, `sides` the side of each. `exact`: lines of train that
    say the same, but for blanks; `prefix`: lines of either side that begin another's; `near`: lines
    of train whose 5-word shingles have the `similarity` (Jaccard), or more; 0 where there is none.
    What is said under another system message is another prompt: always as to `prefix`, and if
    `within_system` as to the others. A line that says nothing overlaps with none.
    """
    lines = _lines(chats, sides, within_system=within_system)
    near = _near(lines, sketch(lines["turns"]), similarity) if similarity else ()
    return {"exact": len(_exact(lines)), "prefix": prefix_overlaps(lines), "near": len(near)}


def leaking(
    chats: Sequence[list[Message]],
    sides: pl.Series,
    similarity: float | None,
    *,
    within_system: bool = False,
) -> pl.Series:
    """Whether each row is of train, and says, begins, goes on from, or nearly says a held-out one.

    Without these rows, and with the others in their order, `leakage` finds nothing.
    """
    lines = _lines(chats, sides, within_system=within_system)
    rows = lines["row"]
    rest = _without(_without(lines, _exact(lines)), _begun(lines))
    if similarity:
        sketches = sketch(lines["turns"])
        # A crowd is compared in part, and may show more of itself once some have left it.
        while len(found := _near(rest, sketches, similarity)):
            rest = _without(rest, found)
    return ~rows.is_in(rest["row"].implode())


def scopes(system_digests: pl.Series) -> NDArray[np.uint64]:
    """A number for each system message, the same for the same; 0 where there is none."""
    numbers = system_digests.rank("dense").fill_null(0)
    return numbers.cast(pl.UInt64).to_numpy()


def _lines(
    chats: Sequence[list[Message]], sides: pl.Series, *, within_system: bool
) -> pl.DataFrame:
    """One row a line; texts and sketches are compared only with those of the same `scope`."""
    marks = [conversation_marks(chat, _NO_RESPONSE) for chat in chats]
    turns = [plain_text(turns_of(chat)) for chat in chats]
    systems = [mark.system_digest if within_system else None for mark in marks]
    lines = pl.DataFrame(
        {
            "split": sides,
            "path": pl.Series([mark.path for mark in marks], dtype=pl.List(pl.UInt64)),
            "turns": pl.Series(turns, dtype=pl.String),
            "scope": scopes(pl.Series(systems, dtype=pl.String)),
        }
    )
    return lines.with_row_index("row")


def _without(lines: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    return lines.filter(~pl.col("row").is_in(rows.implode()))


def _exact(lines: pl.DataFrame) -> pl.Series:
    """The rows of train that say the same as one of validation, in the same scope."""
    held = lines.filter(_IS_HELD, pl.col("turns") != "")
    return lines.filter(_IS_TRAINED).join(held, on=["scope", "turns"], how="semi")["row"]


def _begun(lines: pl.DataFrame) -> pl.Series:
    """The rows of train that begin one of validation, or go on from one."""
    begun = lines.with_columns(tip=pl.col("path").list.last()).explode("path").drop_nulls("path")
    held, trained = begun.filter(_IS_HELD), begun.filter(_IS_TRAINED)
    begins = trained.join(held, left_on="tip", right_on="path", how="semi")
    goes_on = trained.join(held, left_on="path", right_on="tip", how="semi")
    return pl.concat([begins["row"], goes_on["row"]])


def _near(lines: pl.DataFrame, sketches: NDArray[np.uint32], similarity: float) -> pl.Series:
    """The rows of train that are near duplicates of any of validation."""
    # Those of validation come first: in a crowd of likes, they are what the others are compared to.
    ordered = lines.sort(~_IS_HELD, maintain_order=True)
    scope = ordered["scope"].to_numpy()
    pairs = candidate_pairs(sketches[ordered["row"].to_numpy()], similarity, scope)
    held = int((ordered["split"] == VALIDATION).sum())
    crossing = pairs[(pairs[:, 0] < held) & (pairs[:, 1] >= held)]
    similar, _ = verify(crossing, ordered["turns"].gather, similarity)
    return ordered["row"].gather(np.unique(similar[:, 1]))


def turns_of(chat: Sequence[Message]) -> str:
    """What was said, but for the system message."""
    return "\n".join(m.content or "" for m in chat if m.role != "system")
