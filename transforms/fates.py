"""What became of each record: exactly one fate, and what was rejected keeps its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from bedrock_sluice.transforms.errors import IntegrityError
from bedrock_sluice.transforms.reasons import Reason

FATES = pl.Schema(
    {
        "object": pl.String,
        "line": pl.UInt32,
        "request_id": pl.String,
        "fate": pl.String,
        "stage": pl.String,
        "reason": pl.String,
        "survivor": pl.String,
        "detail": pl.String,
    }
)

UNREADABLE = tuple(reason for reason in Reason if reason.fate == "quarantined")
_OF_REASON = {reason.value: (reason.fate, reason.stage) for reason in Reason}


@dataclass(frozen=True, slots=True)
class FilterResult:
    """What a filter kept, and what it rejected: rows with a `reason`, and maybe a `survivor`."""

    kept: pl.DataFrame
    rejected: pl.DataFrame


def apply_rules(frame: pl.DataFrame, rules: Sequence[tuple[Reason, pl.Expr]]) -> FilterResult:
    """Reject each row by the first rule that holds for it; a null counts as not holding."""
    first = pl.coalesce(
        *(pl.when(broken.fill_null(value=False)).then(pl.lit(r.value)) for r, broken in rules),
        pl.lit(None, pl.String),
    )
    judged = frame.with_columns(reason=first)
    return FilterResult(
        kept=judged.filter(pl.col("reason").is_null()).drop("reason"),
        rejected=judged.filter(pl.col("reason").is_not_null()),
    )


def partition(judged: pl.DataFrame, reasons: Iterable[Reason] = Reason) -> FilterResult:
    """Part rows that already have a `reason`, or null, by whether it is one of `reasons`."""
    is_rejected = pl.col("reason").is_in([reason.value for reason in reasons])
    is_rejected = is_rejected.fill_null(value=False)
    return FilterResult(kept=judged.filter(~is_rejected), rejected=judged.filter(is_rejected))


def rejected_fates(rejected: pl.DataFrame) -> pl.DataFrame:
    """Fates of rows with `object, line, request_id, reason`, and maybe `survivor, detail`."""
    missing = [c for c in ("survivor", "detail") if c not in rejected.columns]
    return rejected.with_columns(
        *(pl.lit(None, pl.String).alias(c) for c in missing),
        fate=pl.col("reason").replace_strict({k: v[0] for k, v in _OF_REASON.items()}),
        stage=pl.col("reason").replace_strict({k: v[1] for k, v in _OF_REASON.items()}),
    ).select(pl.col(name).cast(kind) for name, kind in FATES.items())


def kept_fates(lines: pl.DataFrame) -> pl.DataFrame:
    """Fates of released rows (`object, line, request_id, split`): `train` or `validation`."""
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
            f"stage {stage} took {before} records but accounts for {kept} kept and {rejected} "
            "rejected; nothing was published. This is a bug in Sluice: please report it."
        )


@dataclass
class Ledger:
    """Every record's fate, and what each stage took, kept and rejected."""

    fates: list[pl.DataFrame] = field(default_factory=list)
    stages: list[dict[str, object]] = field(default_factory=list)

    def enter(self, stage: str, before: int, sifted: FilterResult) -> pl.DataFrame:
        """Book what a stage did with `before` records; returns what it kept.

        Raises:
            IntegrityError: the stage lost or invented a record.
        """
        conserve(stage, before, sifted.kept.height, sifted.rejected.height)
        self.fates.append(rejected_fates(sifted.rejected))
        reasons = sifted.rejected["reason"].value_counts().sort("reason")
        self.stages.append(
            {
                "stage": stage,
                "taken": before,
                "kept": sifted.kept.height,
                "rejected": dict(reasons.iter_rows()),
            }
        )
        return sifted.kept

    def count(self, reason: Reason) -> int:
        """How many records were rejected for this reason."""
        return sum(int((fates["reason"] == reason.value).sum()) for fates in self.fates)

    def close(self, lines: pl.DataFrame) -> pl.DataFrame:
        """All fates, by object and line, once the lines are known."""
        return pl.concat([*self.fates, kept_fates(lines)]).sort("object", "line")
