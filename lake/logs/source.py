"""Where the logs lie: finding the log objects of a time range.

Bedrock's own layout (AWS user guide, "Monitor model invocation"):

    [prefix/]AWSLogs/<account>/BedrockModelInvocationLogs/<region>/YYYY/MM/DD/HH/<name>.json.gz

The hour is that of delivery. Only objects in such hour folders are logs there, whatever the window:
large bodies lie below `…/HH/data/`, and an empty object `amazon-bedrock-logs-permission-check` lies
somewhere below the prefix.

A place without `AWSLogs/` holds logs that came another way: CloudWatch exports, what Firehose
delivered, or saved output of `aws logs`. Every file with the name of a log counts there.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import S3_SCHEME, Entry, Store
from bedrock_sluice.transforms.errors import ConfigError, SluiceError

EARLY_HOURS = 1  # a delivery that is stamped before its records: skewed clocks
LATE_DAYS = 2  # how long after its records an object may be delivered and is still looked for
COUNTED_DAYS = 7  # after that, in which objects are counted and not read
LISTING_WORKERS = 8
SHOWN_FILES = 3
MAX_SEARCHED = 10_000  # files that are looked through for a first log

TOP = "AWSLogs"
SERVICE = "BedrockModelInvocationLogs"
PERMISSION_CHECK = "amazon-bedrock-logs-permission-check"
LOOSE = "loose"  # the partition of objects outside of the hour folders

_FIREHOSE_NAME = r".+-\d{4}(?:-\d\d){5}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.[a-z0-9]+)*"
_LOG_NAME = re.compile(
    rf"(?:[^/]+\.(?:json|jsonl|ndjson|log|txt)|\d{{6}})(?:\.gz)?|{_FIREHOSE_NAME}", re.ASCII
)
_HOUR = re.compile(
    rf"{TOP}/(\d+)/{SERVICE}/([a-z0-9-]+)/(\d{{4}})/(\d\d)/(\d\d)/(\d\d)/[^/]+", re.ASCII
)
_YEAR = re.compile(r"(?!0000)\d{4}", re.ASCII)


_EARLIEST, _LATEST = (edge.replace(tzinfo=UTC) for edge in (datetime.min, datetime.max))


@dataclass(frozen=True, slots=True)
class Window:
    """Record time, UTC, half open; None means open.

    Log objects that are delivered in the hour of `delivered_before`, or later, are not read.
    """

    since: datetime | None = None
    until: datetime | None = None
    delivered_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogObject:
    """One log object; `partition` is `account/region/YYYY/MM/DD/HH`, or `LOOSE` elsewhere."""

    entry: Entry
    partition: str


@dataclass(frozen=True, slots=True)
class Source:
    """A store of logs, and the part of it that was asked for.

    `below` begins with `AWSLogs/` where the logs lie in Bedrock's layout, else it is empty.
    """

    store: Store
    below: str
    bodies: tuple[str, ...] = ()  # further roots, as URIs, below which bodies may be stored apart

    def objects(self, window: Window) -> Iterator[LogObject]:
        """Log objects that may hold records of the window, by key."""
        return self._list_delivery(*_delivery(window))

    def count_later(self, window: Window) -> int:
        """How many objects were delivered in the week after the last hour that `objects` reads."""
        _, last = _delivery(window)
        if last is None or not self.below or window.delivered_before:
            return 0
        week = timedelta(days=COUNTED_DAYS)
        later = self._list_delivery(last, min(last, _LATEST - week) + week)
        return sum(not is_delivered(each.partition, window) for each in later)

    def deliveries(self) -> list[tuple[str, str]]:
        """The accounts and Regions whose logs lie here, in Bedrock's layout."""
        folders = self._regions() if self.below else []
        return [(parts[1], parts[3]) for parts in (each.split("/") for each in folders)]

    def days(self) -> list[date]:
        """The days (of delivery) that have folders; objects are not listed."""
        folders = self._regions() if self.below else []
        for _ in ("year", "month", "day"):
            folders = [
                f"{folder}{name}/"
                for folder in folders
                for name in self.store.folders(folder)
                if self._is_asked(f"{folder}{name}/")
            ]
        return sorted({day for folder in folders if (day := _day(folder))})

    def _is_asked(self, prefix: str) -> bool:
        return prefix.startswith(self.below) or self.below.startswith(prefix)

    def _list_delivery(self, first: datetime | None, last: datetime | None) -> Iterator[LogObject]:
        prefixes = self._prefixes(first, last)
        with ThreadPoolExecutor(LISTING_WORKERS) as pool:
            for entries in pool.map(lambda prefix: list(self.store.entries(prefix)), prefixes):
                for entry in entries:
                    partition = partition_of(entry.key) if self.below else LOOSE
                    if self.below and partition == LOOSE:
                        continue  # in Bedrock's layout, only the hour folders hold logs
                    # `below` may name an hour, and the finest prefixes are days.
                    is_own = entry.key.startswith(self.below) and is_log(entry.key)
                    if is_own and _is_between(partition, first, last):
                        yield LogObject(entry, partition)

    def _prefixes(self, first: datetime | None, last: datetime | None) -> list[str]:
        """Prefixes that cover the range, so that no listing reads years of keys outside of it."""
        if not self.below or (first is None and last is None):
            return [self.below]
        prefixes = list[str]()
        for region in self._regions():
            years = [int(name) for name in self.store.folders(region) if _YEAR.fullmatch(name)]
            prefixes += [f"{region}{prefix}" for prefix in _covering(years, first, last)]
        return [prefix for prefix in prefixes if self._is_asked(prefix)]

    def _regions(self) -> list[str]:
        """The folders of all Regions; what `below` names already is not listed."""
        _, account, _, region, *_ = [*self.below.rstrip("/").split("/"), "", "", ""]
        names = [account] if account else self.store.folders(f"{TOP}/")
        accounts = [f"{TOP}/{name}/{SERVICE}/" for name in names]
        return [
            f"{folder}{name}/"
            for folder in accounts
            for name in ([region] if region else self.store.folders(folder))
        ]


def _covering(years: list[int], first: datetime | None, last: datetime | None) -> Iterator[str]:
    """`YYYY/`, or else `YYYY/MM/` and `YYYY/MM/DD/`, that together cover the days of a range."""
    start, end = first.date() if first else date.min, last.date() if last else date.max
    for year in years:
        if start <= date(year, 1, 1) and date(year, 12, 31) <= end:
            yield f"{year:04}/"
            continue
        for month in range(1, 13):
            days = [date(year, month, n + 1) for n in range(monthrange(year, month)[1])]
            days_inside = [day for day in days if start <= day <= end]
            if days_inside == days:
                yield f"{year:04}/{month:02}/"
            else:
                yield from (f"{year:04}/{month:02}/{day.day:02}/" for day in days_inside)


def open_source(uri: str, base: Path | None = None) -> Source:
    """The source at the parent of `AWSLogs/`, at any level below it, or at a place of other logs.

    Raises:
        ConfigError: there are no logs there.
    """
    parts = uri.rstrip("/").split("/")
    if TOP in parts:
        top = len(parts) - 1 - parts[::-1].index(TOP)
        above = "/".join(parts[:top]) or ("/" if uri.startswith("/") else ".")
        return Source(open_store(above, base), "/".join(parts[top:]) + "/")
    store = open_store(uri, base)
    if TOP in store.folders():
        return Source(store, f"{TOP}/")
    entries = list[str]()
    for entry in islice(store.entries(), MAX_SEARCHED):
        if is_log(entry.key):
            return Source(store, "")
        entries.append(entry.key)
    raise no_logs(uri, entries, [] if entries else _neighbours(uri, base))


def _neighbours(uri: str, base: Path | None) -> list[str]:
    """The folders beside a place that is empty, the most similar names first: it may be a typo."""
    parent, _, name = uri.rstrip("/").rpartition("/")
    if not parent or parent.endswith("/"):  # a bucket
        return []
    try:
        folders = open_store(parent, base).folders()
    except SluiceError:  # they are a hint alone
        return []
    similar = get_close_matches(name, folders, SHOWN_FILES)
    return list(dict.fromkeys([*similar, *folders]))


def no_logs(uri: str, keys: list[str], neighbours: Sequence[str] = ()) -> ConfigError:
    """The error for a place that holds these files, and no logs: which layouts are known.

    `neighbours` are the folders beside an empty place.
    """
    names = ", ".join(keys[:SHOWN_FILES]) or "no files"
    if len(keys) > SHOWN_FILES:
        names = f"{len(keys):,} files, such as {names}"
    if neighbours:
        names += f"; beside it: {', '.join(neighbours[:SHOWN_FILES])}"
    return ConfigError(
        f"{uri}: no logs there (found: {names}). Expected the parent of {TOP}/, such as "
        f"{S3_SCHEME}bucket/prefix, or a level below it; a CloudWatch export "
        "(<task>/<stream>/000000.gz); objects from Firehose; or files named *.json, *.jsonl, "
        "*.ndjson, *.log or *.txt, plain or with .gz. Correct the path"
    )


def parent_of_top(uri: str) -> str | None:
    """The parent of `AWSLogs/` that an object lies below; None if it lies elsewhere."""
    parent, top, _ = uri.partition(f"/{TOP}/")
    return (parent or "/") if top else None


def is_log(key: str) -> bool:
    """Whether a key is that of a log object, not of a body, a media file or a permission check."""
    folder, _, name = key.rpartition("/")
    return folder.rpartition("/")[2] != "data" and _LOG_NAME.fullmatch(name) is not None


def partition_of(key: str) -> str:
    """`account/region/YYYY/MM/DD/HH` of a log object's key; `LOOSE` outside of the hour folders."""
    match = _HOUR.fullmatch(key)
    partition = "/".join(match.groups()) if match else LOOSE
    return partition if _hour(partition) else LOOSE


def hour_of(key: str) -> datetime | None:
    """The hour (UTC) in which a log object was delivered, by its key; None if it has none."""
    return _hour(partition_of(key))


def _hour(partition: str) -> datetime | None:
    """When the hour of a partition starts; None where it has none, or one that no clock shows."""
    try:
        year, month, day, hour = map(int, partition.split("/")[2:])
        return datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:
        return None


def _day(folder: str) -> date | None:
    """The day of a folder `…/YYYY/MM/DD/`; None where no calendar has it."""
    try:
        return date.fromisoformat("-".join(folder.split("/")[-4:-1]))
    except ValueError:
        return None


def _delivery(window: Window) -> tuple[datetime | None, datetime | None]:
    early, late = timedelta(hours=EARLY_HOURS), timedelta(days=LATE_DAYS)
    first = window.since and max(window.since, _EARLIEST + early) - early
    last = window.until and min(window.until, _LATEST - late) + late
    ends = [end for end in (last, window.delivered_before) if end]
    return first, min(ends, default=None)


def is_delivered(partition: str, window: Window) -> bool:
    """Whether objects of a partition, delivered in its hour, may hold records of the window."""
    return _is_between(partition, *_delivery(window))


def _is_between(partition: str, first: datetime | None, last: datetime | None) -> bool:
    starts = _hour(partition)
    return starts is None or (
        (first is None or first - starts < timedelta(hours=1)) and (last is None or starts < last)
    )
