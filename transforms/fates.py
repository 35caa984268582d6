"""What became of each record: exactly one fate, and what was rejected keeps its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
class Sifted:
    """What a filter kept, and what it rejected: rows with a `reason`, and maybe a `survivor`."""

    kept: pl.DataFrame
    rejected: pl.DataFrame


def sift(frame: pl.DataFrame, rules: Sequence[tuple[Reason, pl.Expr]]) -> Sifted:
    """Reject each row by the first rule that holds for it; a null counts as not holding."""
    first = pl.coalesce(
        *(pl.when(broken.fill_null(value=False)).then(pl.lit(r.value)) for r, broken in rules),
        pl.lit(None, pl.String),
    )
    judged = frame.with_columns(reason=first)
    return Sifted(
        kept=judged.filter(pl.col("reason").is_null()).drop("reason"),
        rejected=judged.filter(pl.col("reason").is_not_null()),
    )


def divide(judged: pl.DataFrame, reasons: Iterable[Reason] = Reason) -> Sifted:
    """Part rows that already have a `reason`, or null, by whether it is one of `reasons`."""
    is_rejected = pl.col("reason").is_in([reason.value for reason in reasons])
    is_rejected = is_rejected.fill_null(value=False)
    return Sifted(kept=judged.filter(~is_rejected), rejected=judged.filter(is_rejected))


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
