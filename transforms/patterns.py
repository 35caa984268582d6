"""Checks of the regular expressions that a recipe gives: Rust's kind, linear in time."""

MAX_PATTERN_CHARS = 1_000


def pattern_fault(pattern: str) -> str | None:
    """Return why a pattern cannot tell a value; None if it can."""
    groups = _count_groups(pattern)
    if groups is None:
        return "is not a regular expression (of Rust's kind: no look-around, no back-references)"
    return None if groups else "needs a group, as in `assumed-role/([^/]+)`: it becomes the value"


def extraction_fault(pattern: str) -> str | None:
    """Return why a pattern cannot be used to extract an answer; None if it can."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"is over {MAX_PATTERN_CHARS} characters long"
    fault = pattern_fault(pattern)
    if fault:
        return fault
    return None if _count_groups(pattern) == 1 else "needs one group; write the others as `(?:…)`"


def _count_groups(pattern: str) -> int | None:
    """Return the number of groups; None if Rust cannot compile the pattern."""
    import polars as pl  # noqa: PLC0415 - most recipes have no pattern, and are checked without it

    try:
        return len(pl.Series([""]).str.extract_groups(pattern).struct.fields)
    except pl.exceptions.PolarsError:
        return None
