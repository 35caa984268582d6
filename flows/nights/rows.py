"""What a nightly run reports: a row per recipe, and in it one per night. Counts and ids only."""

from typing import Any, Literal

import msgspec

from bedrock_sluice.flows.running.faults import find_place
from bedrock_sluice.transforms.errors import ExitCode, SluiceError

NightVerdict = Literal["passed", "rejected", "failed", "skipped"]


class NightRow(msgspec.Struct, frozen=True, kw_only=True):
    """One build. `night` is its date, None for a recipe without `last_days`.

    `why` names the failed checks of a rejected release, or what failed; `drop_counts` has records
    by reason; `seconds` are those of each step.
    """

    night: str | None
    verdict: NightVerdict
    exit_code: int
    release: str = ""
    why: str = ""
    records: int | None = None
    train: int | None = None
    validation: int | None = None
    drop_counts: dict[str, int] = {}
    seconds: dict[str, float] = {}


class RecipeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One recipe: its last night, and all nights of this run.

    `exit_code` is the highest of its nights and of its policy. `last_good` is the last release that
    the gate passed, by this run or an earlier one; `job` is the training job that the policy
    started; `action` says what the policy did.
    """

    recipe: str
    name: str = ""
    verdict: NightVerdict
    exit_code: int
    night: str | None = None
    release: str = ""
    train: int | None = None
    validation: int | None = None
    why: str = ""
    last_good: str | None = None
    action: str = ""
    job: str | None = None
    nights: list[NightRow] = []


def summarize(path_name: str, name: str, nights: list[NightRow]) -> RecipeRow:
    """Return the row of a recipe from those of its nights, of which there is at least one."""
    last = nights[-1]
    return RecipeRow(
        recipe=path_name,
        name=name,
        verdict=last.verdict,
        exit_code=max(each.exit_code for each in nights),
        night=last.night,
        release=last.release,
        train=last.train,
        validation=last.validation,
        why=last.why,
        nights=nights,
    )


def build_row(night: str | None, facts: dict[str, Any], seconds: dict[str, float]) -> NightRow:
    """Return the row of a release, from what `sluice build --json` prints."""
    counts, is_passed = facts["counts"], facts["verdict"] == "passed"
    return NightRow(
        night=night,
        verdict="passed" if is_passed else "rejected",
        exit_code=ExitCode.DONE if is_passed else ExitCode.CHECK_FAILED,
        release=facts["release"],
        why=", ".join(facts["failed_checks"]),
        records=counts["records"],
        train=counts["train"],
        validation=counts["validation"],
        drop_counts={**counts["dropped"], **counts["quarantined"]},
        seconds=seconds,
    )


def failure_row(night: str | None, error: Exception) -> NightRow:
    """Return the row of a build that failed."""
    code, why = describe_failure(error)
    return NightRow(night=night, verdict="failed", exit_code=code, why=why)


def describe_failure(error: Exception) -> tuple[ExitCode, str]:
    """Return the exit code of a failure, and what to read about it, without record content."""
    if isinstance(error, SluiceError):
        return error.exit_code, str(error)
    if isinstance(error, OSError):
        return ExitCode.OUTSIDE, f"{error.filename or 'disk'}: {error.strerror}"
    return ExitCode.INTERNAL, f"a bug in Sluice: {find_place(error)}; please report it"


def worst_exit_code(rows: list[RecipeRow]) -> ExitCode:
    """Return the exit code of a run: the highest of its recipes."""
    return ExitCode(max((row.exit_code for row in rows), default=0))
