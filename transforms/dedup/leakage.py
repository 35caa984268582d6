"""Do lines of train tell what lines of validation ask? Counted from the lines as they are written.

What is compared is what was said, under whatever system message: a question that is asked in both
files is a leak, though each gives it another role. A line that says nothing overlaps with none.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.dedup.line_marks import LineMarks
from bedrock_sluice.transforms.dedup.near_duplicates import pairs_to_keep_together
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

_IS_HELD = pl.col("split") == VALIDATION
_IS_TRAINED = pl.col("split") == TRAIN


def leakage(marks: LineMarks, sides: pl.Series, similarity: float) -> pl.DataFrame:
    """Whether each line overlaps with the other side, as `exact`, `prefix` and `near`.

    `exact`: lines of train that say the same, but for blanks; `prefix`: lines of either side that
    begin another's; `near`: lines of train that are near duplicates by the `similarity` (see
    `pairs_to_keep_together`).
    """
    lines = _lines(marks, sides)
    leaks = {
        "exact": _exact(lines, marks),
        "prefix": _beginnings(lines),
        "near": _near(lines, marks, similarity),
    }
    rows = lines["row"]
    return pl.DataFrame({kind: rows.is_in(own.implode()) for kind, own in leaks.items()})


def leaking(marks: LineMarks, sides: pl.Series, similarity: float) -> pl.Series:
    """Whether each row is of train, and says, begins, goes on from, or nearly says a held-out one.

    Without these rows, and with the others in their order, `leakage` finds nothing.
    """
    lines = _lines(marks, sides)
    rows = lines["row"]
    rest = _without(_without(lines, _exact(lines, marks)), _open_conversations(lines))
    # A crowd is compared in part, and may show more of itself once some have left it.
    while len(leaks := _near(rest, marks, similarity)):
        rest = _without(rest, leaks)
    return ~rows.is_in(rest["row"].implode())


def scopes(system_digests: pl.Series) -> NDArray[np.uint64]:
    """A number for each system message, the same for the same; 0 where there is none."""
    numbers = system_digests.rank("dense").fill_null(0)
    return numbers.cast(pl.UInt64).to_numpy()


def _lines(marks: LineMarks, sides: pl.Series) -> pl.DataFrame:
    """One row a line: its side, and what it says."""
    sketches = pl.Series([each.tobytes() for each in marks.sketches], dtype=pl.Binary)
    columns = {"split": sides, "path": marks.paths, "sketch": sketches}
    return pl.DataFrame(columns).with_row_index("row")


def _without(lines: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    return lines.filter(~pl.col("row").is_in(rows.implode()))


def _exact(lines: pl.DataFrame, marks: LineMarks) -> pl.Series:
    """The rows of train that say the same as one of validation."""
    # Texts that are the same have the same sketch, so only the texts of these are read.
    is_on_both_sides = pl.col("split").n_unique().over("sketch") > 1
    candidates = lines.filter(is_on_both_sides)
    candidates = candidates.with_columns(turns=marks.fetch(candidates["row"].to_numpy()))
    held_out = candidates.filter(_IS_HELD, pl.col("turns") != "")
    return candidates.filter(_IS_TRAINED).join(held_out, on="turns", how="semi")["row"]


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


def _near(lines: pl.DataFrame, marks: LineMarks, similarity: float) -> pl.Series:
    """The rows of train that are near duplicates of any of validation."""
    # Those of validation come first: in a crowd of likes, they are what the others are compared to.
    sorted_lines = lines.sort(~_IS_HELD, maintain_order=True)
    rows = sorted_lines["row"].to_numpy()
    pairs = pairs_to_keep_together(
        marks.sketches[rows], lambda places: marks.fetch(rows[places]), similarity
    )
    held_out = int((sorted_lines["split"] == VALIDATION).sum())
    is_crossing = (pairs < held_out).sum(axis=1) == 1
    return sorted_lines["row"].gather(np.unique(pairs[is_crossing].max(axis=1)))
