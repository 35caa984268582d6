"""The fate of each record: exactly one, and a rejected record keeps its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.facts.release_facts import StageCounts
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.tables import FATES, STAGES

UNREADABLE = tuple(reason for reason in Reason if reason.fate == "quarantined")


@dataclass(frozen=True, slots=True)
class FilterResult:
    """The rows that a filter kept, and those it rejected: with a `reason`, maybe a `survivor`."""

    kept: pl.DataFrame
    rejected: pl.DataFrame


def apply_rules(frame: pl.DataFrame, rules: Sequence[tuple[Reason, pl.Expr]]) -> FilterResult:
    """Reject each row by the first rule that holds for it; a null counts as not holding."""
    first = pl.coalesce(
        *(
            pl.when(is_broken.fill_null(value=False)).then(pl.lit(r.value))
            for r, is_broken in rules
        ),
        pl.lit(None, pl.String),
    )
    rows = frame.with_columns(reason=first)
    result = partition_by_flag(rows, rows["reason"].is_not_null())
    return FilterResult(result.kept.drop("reason"), result.rejected)


def partition(rows: pl.DataFrame, reasons: Iterable[Reason] = Reason) -> FilterResult:
    """Divide rows that already have a `reason`, or null, by whether it is one of `reasons`."""
    is_rejected = rows["reason"].is_in([reason.value for reason in reasons])
    return partition_by_flag(rows, is_rejected.fill_null(value=False))


def partition_by_flag(rows: pl.DataFrame, is_rejected: pl.Series) -> FilterResult:
    """Divide rows by `is_rejected`, which has a flag for each of them, and no nulls."""
    if not is_rejected.any():  # to filter copies all rows, and often none is rejected
        return FilterResult(rows, rows.clear())
    return FilterResult(rows.filter(~is_rejected), rows.filter(is_rejected))


def rejected_fates(rejected: pl.DataFrame) -> pl.DataFrame:
    """Return the fates of rows with `object, line, request_id, reason`.

    `survivor` and `detail` are taken over where there are such columns.
    """
    missing = [c for c in ("survivor", "detail") if c not in rejected.columns]
    return rejected.with_columns(
        *(pl.lit(None, pl.String).alias(c) for c in missing),
        fate=pl.col("reason").replace_strict({reason.value: reason.fate for reason in Reason}),
        stage=pl.col("reason").replace_strict({reason.value: reason.stage for reason in Reason}),
    ).select(pl.col(name).cast(kind) for name, kind in FATES.items())


def kept_fates(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the fates of released rows (`object, line, request_id, split`): their side."""
    return lines.with_columns(
        fate=pl.col("split"),
        stage=pl.lit("release"),
        reason=pl.lit(None),
        survivor=pl.lit(None),
        detail=pl.lit(None),
    ).select(pl.col(name).cast(kind) for name, kind in FATES.items())


def conserve(stage: str, before: int, kept: int, rejected: int) -> None:
    """Assert that a stage lost nothing.

    Raises:
        IntegrityError: kept and rejected do not add up to what came in.
    """
    if before != kept + rejected:
        raise IntegrityError(
            f"took {before} records, but {kept} kept and {rejected} rejected do not add up to them",
            place=f"stage {stage}",
            value=kept + rejected,
            hint="nothing was published. This is a bug in Sluice: please report it",
        )


@dataclass
class Ledger:
    """Every record's fate, and how many records each stage took, kept and rejected."""

    fates: list[pl.DataFrame] = field(default_factory=list)
    stages: list[StageCounts] = field(default_factory=list)

    def enter(self, stage: str, before: int, result: FilterResult) -> pl.DataFrame:
        """Book the result of a stage on `before` records; return the rows it kept.

        Those have the columns of the stage's table (`tables.STAGES`) and no others.

        Raises:
            IntegrityError: the stage lost or invented a record, or breaks its table.
        """
        conserve(stage, before, result.kept.height, result.rejected.height)
        kept = STAGES[stage].check(result.kept, stage)
        self.fates.append(rejected_fates(result.rejected))
        reasons = result.rejected["reason"].value_counts().sort("reason")
        self.stages.append(
            StageCounts(
                stage=stage,
                input=before,
                kept=kept.height,
                rejected=dict(reasons.iter_rows()),
            )
        )
        return kept

    def close(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Return all fates, by object and line, once the lines are known."""
        return pl.concat([*self.fates, kept_fates(lines)]).sort("object", "line")
