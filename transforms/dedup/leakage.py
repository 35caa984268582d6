"""Do lines of train tell what lines of validation ask? Counted from the lines as they are written.

Nothing that an earlier stage found out is taken over: texts, digests and sketches are made anew.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.chat.digests import conversation_marks, plain_text
from bedrock_sluice.transforms.chat.messages import Message
from bedrock_sluice.transforms.chat.texts import turns_of
from bedrock_sluice.transforms.dedup.near_duplicates import pairs_to_keep_together
from bedrock_sluice.transforms.dedup.sketches import sketch
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

NO_RESPONSE = Message("assistant", "")
_IS_HELD = pl.col("split") == VALIDATION
_IS_TRAINED = pl.col("split") == TRAIN


def leakage(chats: Sequence[list[Message]], sides: pl.Series, similarity: float) -> pl.DataFrame:
    """Whether each line overlaps with the other side, as `exact`, `prefix` and `near`.

    `chats` has the messages of each line, `sides` the side of each. `exact`: lines of train that
    say the same, but for blanks; `prefix`: lines of either side that begin another's; `near`: lines
    of train that are near duplicates by the `similarity` (see `pairs_to_keep_together`). What is
    compared is what was said, under whatever system message: a question that is asked in both
    files is a leak, though each gives it another role. A line that says nothing overlaps with none.
    """
    lines = _lines(chats, sides)
    near = _near(lines, sketch(lines["turns"]), similarity)
    leaks = {"exact": _exact(lines), "prefix": _beginnings(lines), "near": near}
    rows = lines["row"]
    return pl.DataFrame({kind: rows.is_in(own.implode()) for kind, own in leaks.items()})


def leaking(chats: Sequence[list[Message]], sides: pl.Series, similarity: float) -> pl.Series:
    """Whether each row is of train, and says, begins, goes on from, or nearly says a held-out one.

    Without these rows, and with the others in their order, `leakage` finds nothing.
    """
    lines = _lines(chats, sides)
    rows = lines["row"]
    rest = _without(_without(lines, _exact(lines)), _open_conversations(lines))
    sketches = sketch(lines["turns"])
    # A crowd is compared in part, and may show more of itself once some have left it.
    while len(leaks := _near(rest, sketches, similarity)):
        rest = _without(rest, leaks)
    return ~rows.is_in(rest["row"].implode())


def scopes(system_digests: pl.Series) -> NDArray[np.uint64]:
    """A number for each system message, the same for the same; 0 where there is none."""
    numbers = system_digests.rank("dense").fill_null(0)
    return numbers.cast(pl.UInt64).to_numpy()


def _lines(chats: Sequence[list[Message]], sides: pl.Series) -> pl.DataFrame:
    """One row a line: its side, and what it says."""
    paths = [conversation_marks(chat, NO_RESPONSE).path for chat in chats]
    turns = [plain_text(turns_of(chat)) for chat in chats]
    lines = pl.DataFrame(
        {
            "split": sides,
            "path": pl.Series(paths, dtype=pl.List(pl.UInt64)),
            "turns": pl.Series(turns, dtype=pl.String),
        }
    )
    return lines.with_row_index("row")


def _without(lines: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    return lines.filter(~pl.col("row").is_in(rows.implode()))


def _exact(lines: pl.DataFrame) -> pl.Series:
    """The rows of train that say the same as one of validation."""
    held_out = lines.filter(_IS_HELD, pl.col("turns") != "")
    return lines.filter(_IS_TRAINED).join(held_out, on="turns", how="semi")["row"]


def _beginnings(lines: pl.DataFrame) -> pl.Series:
    """The rows of either side that are the beginning, or the whole, of one of the other side."""
    beginnings = lines.select("path", other="split").explode("path").unique()
    tips = lines.select("row", "split", tip=pl.col("path").list.last())
    crossing = pl.col("split") != pl.col("other")
    return tips.join(beginnings, left_on="tip", right_on="path").filter(crossing)["row"]


def _open_conversations(lines: pl.DataFrame) -> pl.Series:
    """The rows of train that begin one of validation, or go on from one."""
    beginnings = (
        lines.with_columns(tip=pl.col("path").list.last()).explode("path").drop_nulls("path")
    )
    held_out, train_paths = beginnings.filter(_IS_HELD), beginnings.filter(_IS_TRAINED)
    begins = train_paths.join(held_out, left_on="tip", right_on="path", how="semi")
    goes_on = train_paths.join(held_out, left_on="path", right_on="tip", how="semi")
    return pl.concat([begins["row"], goes_on["row"]])


def _near(lines: pl.DataFrame, sketches: NDArray[np.uint32], similarity: float) -> pl.Series:
    """The rows of train that are near duplicates of any of validation."""
    # Those of validation come first: in a crowd of likes, they are what the others are compared to.
    sorted_lines = lines.sort(~_IS_HELD, maintain_order=True)
    own = sketches[sorted_lines["row"].to_numpy()]
    pairs = pairs_to_keep_together(own, sorted_lines["turns"].gather, similarity)
    held_out = int((sorted_lines["split"] == VALIDATION).sum())
    is_crossing = (pairs < held_out).sum(axis=1) == 1
    return sorted_lines["row"].gather(np.unique(pairs[is_crossing].max(axis=1)))
