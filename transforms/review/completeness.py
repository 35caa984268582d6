"""Completeness of the logs that a release was built from: the hours without any log object."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

MAX_GAPS = 10
HOUR = timedelta(hours=1)


class Gap(msgspec.Struct, frozen=True):
    """Hours in a row without a log object: the first of them (UTC), and how many."""

    start: datetime
    hours: int


class HourFacts(msgspec.Struct, frozen=True):
    """The hours (UTC) from the first log object to the last; `gaps` are the longest ones."""

    first: datetime
    last: datetime
    hours: int
    hours_without: int
    gaps: list[Gap]


def hour_facts(hours: Iterable[datetime]) -> HourFacts | None:
    """Return which hours are missing between the first and the last of these; None without any."""
    present = sorted(set(hours))
    if not present:
        return None
    gaps = [
        Gap(before + HOUR, (after - before) // HOUR - 1)
        for before, after in pairwise(present)
        if after - before > HOUR
    ]
    return HourFacts(
        first=present[0],
        last=present[-1],
        hours=(present[-1] - present[0]) // HOUR + 1,
        hours_without=sum(gap.hours for gap in gaps),
        gaps=sorted(gaps, key=lambda gap: (-gap.hours, gap.start))[:MAX_GAPS],
    )
