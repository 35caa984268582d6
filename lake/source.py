"""Where Bedrock delivers its logs: finding the log objects of a time range.

Layout (AWS user guide, "Monitor model invocation"):

    [prefix/]AWSLogs/<account>/BedrockModelInvocationLogs/<region>/YYYY/MM/DD/HH/<name>.json.gz

The hour is that of delivery. Large bodies lie below `…/HH/data/`, and an empty object
`amazon-bedrock-logs-permission-check` lies somewhere below the prefix: neither is a log object.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bedrock_sluice.lake.store import S3_SCHEME, Entry, Store, open_store
from bedrock_sluice.transforms.errors import ConfigError

EARLY_HOURS = 1  # a delivery that is stamped before its records: skewed clocks
LATE_DAYS = 2  # how long after its records an object may be delivered and is still looked for
LISTING_WORKERS = 8
MAX_LISTED_DAYS = 1_000  # one listing each; a longer window is listed as a whole
PARTITION_SLASHES = 5  # of `account/region/YYYY/MM/DD/HH`; others lie outside of that layout

TOP = "AWSLogs"
SERVICE = "BedrockModelInvocationLogs"
PERMISSION_CHECK = "amazon-bedrock-logs-permission-check"
_LOG_NAME = re.compile(r"[^/]+\.(?:json|jsonl|ndjson)(?:\.gz)?")
_HOUR = re.compile(rf"{TOP}/(\d+)/{SERVICE}/([a-z0-9-]+)/(\d{{4}})/(\d\d)/(\d\d)/(\d\d)/[^/]+")


@dataclass(frozen=True, slots=True)
class Window:
    """Record time, UTC, half open; None means open."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogObject:
    """One log object; `partition` is `account/region/YYYY/MM/DD/HH`, or `loose` elsewhere."""

    entry: Entry
    partition: str


@dataclass(frozen=True, slots=True)
class Source:
    """A store rooted above `AWSLogs/`, and the part of it that was asked for."""

    store: Store
    below: str
    bodies: tuple[str, ...] = ()  # further roots, as URIs, below which bodies may be stored apart

    def objects(self, window: Window) -> Iterator[LogObject]:
        """Log objects that may hold records of the window, by key."""
        prefixes = self._prefixes(*_delivery_days(window))
        with ThreadPoolExecutor(LISTING_WORKERS) as pool:
            for entries in pool.map(lambda prefix: list(self.store.entries(prefix)), prefixes):
                yield from self._wanted(entries, window)

    def _wanted(self, entries: list[Entry], window: Window) -> Iterator[LogObject]:
        for entry in entries:
            if entry.key.startswith(self.below) and is_log(entry.key):
                found = LogObject(entry, partition_of(entry.key))
                if is_delivered(found.partition, window):
                    yield found

    def _prefixes(self, first: datetime | None, last: datetime | None) -> list[str]:
        """One prefix a day where the range is closed, so that no listing reads years of keys."""
        if first is None or last is None:
            return [self.below]
        days = (last.date() - first.date()).days + 1
        if days > MAX_LISTED_DAYS:
            return [self.below]
        dates = [(first + timedelta(days=n)).strftime("%Y/%m/%d/") for n in range(days)]
        wanted = [f"{region}{date}" for region in self._regions() for date in dates]
        return [p for p in wanted if p.startswith(self.below) or self.below.startswith(p)]

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


def open_source(uri: str, base: Path | None = None) -> Source:
    """The source at what stands above `AWSLogs/`, or at any level below it.

    Raises:
        ConfigError: there is no `AWSLogs/` there.
    """
    parts = uri.rstrip("/").split("/")
    if TOP in parts:
        top = len(parts) - 1 - parts[::-1].index(TOP)
        above = "/".join(parts[:top]) or ("/" if uri.startswith("/") else ".")
        return Source(open_store(above, base), "/".join(parts[top:]) + "/")
    store = open_store(uri, base)
    if TOP not in store.folders():
        _explain_missing(store, uri)
    return Source(store, f"{TOP}/")


def _explain_missing(store: Store, uri: str) -> None:
    what = "no such folder, or nothing in it" if not store.folders() else f"no {TOP}/ in it"
    raise ConfigError(
        f"source {uri}: {what}; name what stands above {TOP}/, or a level below it, such as "
        f"{S3_SCHEME}bucket/prefix"
    )


def is_log(key: str) -> bool:
    """Whether a key is that of a log object, not of a body, a media file or a permission check."""
    folder, _, name = key.rpartition("/")
    return folder.rpartition("/")[2] != "data" and _LOG_NAME.fullmatch(name) is not None


def partition_of(key: str) -> str:
    """`account/region/YYYY/MM/DD/HH` of a log object's key; `loose` outside Bedrock's layout."""
    match = _HOUR.fullmatch(key)
    return "/".join(match.groups()) if match else "loose"


def _delivery_days(window: Window) -> tuple[datetime | None, datetime | None]:
    earliest, latest = (edge.replace(tzinfo=UTC) for edge in (datetime.min, datetime.max))
    early, late = timedelta(hours=EARLY_HOURS), timedelta(days=LATE_DAYS)
    first = window.since and max(window.since, earliest + early) - early
    last = window.until and min(window.until, latest - late) + late
    return first, last


def is_delivered(partition: str, window: Window) -> bool:
    """Whether objects of a partition, delivered in its hour, may hold records of the window."""
    if partition.count("/") != PARTITION_SLASHES:
        return True
    first, last = _delivery_days(window)
    _, _, *parts = partition.split("/")
    year, month, day, hour = (int(part) for part in parts)
    try:
        starts = datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:  # a folder 2026/02/31/25: not Bedrock's, but its logs are read all the same
        return True
    return (first is None or starts + timedelta(hours=1) > first) and (
        last is None or starts < last
    )
