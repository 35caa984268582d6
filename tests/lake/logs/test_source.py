"""Finding log objects: at any level of Bedrock's layout, in the days that may matter, no others."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from moto.s3.models import s3_backends

from bedrock_sluice.lake.logs.landed import source_name
from bedrock_sluice.lake.logs.source import (
    EARLY_HOURS,
    LATE_DAYS,
    Source,
    Window,
    is_log,
    open_source,
    partition_of,
)
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.errors import ConfigError

ACCOUNT = "123456789012"  # moto's own
EAST = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1"
WEST = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-west-2"
OTHER = "AWSLogs/444455556666/BedrockModelInvocationLogs/us-east-1"
NAME = "20261001T120000000Z_0123456789abcdef.json.gz"
LOGS = [
    f"{EAST}/2026/09/30/23/{NAME}",
    f"{EAST}/2026/10/01/12/{NAME}",
    f"{EAST}/2026/10/01/13/{NAME}",
    f"{WEST}/2026/10/01/12/{NAME}",
    f"{OTHER}/2026/10/01/12/{NAME}",
]
NO_LOGS = [
    f"{EAST}/amazon-bedrock-logs-permission-check",
    f"{EAST}/data/amazon-bedrock-logs-permission-check",
    f"{EAST}/2026/10/01/12/amazon-bedrock-logs-permission-check",
    f"{EAST}/2026/10/01/12/data/0123_input.json.gz",
    f"{EAST}/2026/10/01/12/data/0123_output.json.gz",
    f"{EAST}/2026/10/01/12/data/0123_input_media_00.png",
    f"{EAST}/2026/10/01/12/README.md",
    "elsewhere/x.json.gz",
]
ALWAYS = Window()
AFTER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["folder", "s3"])
def bucket_of_logs(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store that holds `LOGS` and `NO_LOGS` below `logs/`."""
    root = (
        FolderStore(tmp_path)
        if request.param == "folder"
        else S3Store(f"s3://{request.getfixturevalue('bucket')}")
    )
    for key in [*LOGS, *NO_LOGS]:
        root.put_new(f"logs/{key}", b"")
    return root


def keys(source: Source, window: Window = ALWAYS) -> list[str]:
    """The keys of the log objects that are found."""
    return [each.entry.key for each in source.objects(window)]


LEVELS = {
    "": LOGS,
    "/AWSLogs": LOGS,
    "/AWSLogs/111122223333": LOGS[:4],
    "/AWSLogs/111122223333/BedrockModelInvocationLogs": LOGS[:4],
    f"/{EAST}": LOGS[:3],
    f"/{EAST}/2026": LOGS[:3],
    f"/{EAST}/2026/10": LOGS[1:3],
    f"/{EAST}/2026/10/01": LOGS[1:3],
    f"/{EAST}/2026/10/01/13": LOGS[2:3],
    f"/{EAST}/2026/10/01/1": [],
    "/AWSLogs/999999999999": [],
}


@pytest.mark.parametrize("end", ["", "/"])
def test_a_source_may_be_named_at_any_level(bucket_of_logs: Store, end: str) -> None:
    october = Window(datetime(2026, 10, 1, 2, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC))
    for level, level_keys in LEVELS.items():
        source = open_source(f"{bucket_of_logs.uri}/logs{level}{end}")
        assert source.store.uri == f"{bucket_of_logs.uri}/logs"
        assert sorted(keys(source)) == sorted(level_keys), level
        of_october = [key for key in level_keys if "/2026/10/" in key]
        assert sorted(keys(source, october)) == sorted(of_october), level


def test_the_level_changes_nothing_of_what_is_in_the_lake(bucket_of_logs: Store) -> None:
    uris = [f"{bucket_of_logs.uri}/logs{level}" for level in ("", "/", "/AWSLogs", f"/{EAST}/")]
    assert len({source_name(open_source(uri)) for uri in uris}) == 1


@pytest.mark.parametrize("uri", ["AWSLogs", "AWSLogs/", "./AWSLogs", ".", f"{EAST}/2026"])
def test_a_relative_source_is_meant_from_its_base(tmp_path: Path, uri: str) -> None:
    (tmp_path / EAST / "2026/10/01/12").mkdir(parents=True)
    (tmp_path / LOGS[1]).touch()
    source = open_source(uri, tmp_path)
    assert keys(source) == [LOGS[1]]
    assert source.store.uri == str(tmp_path)


@pytest.mark.parametrize("prefix", ["AWSLogs-archive", "a/AWSLogsX/b", "AWSLogs2026"])
@pytest.mark.parametrize("level", ["", "/AWSLogs", f"/{EAST}"])
def test_a_prefix_may_look_like_the_layout(tmp_path: Path, prefix: str, level: str) -> None:
    path = tmp_path / prefix / LOGS[1]
    path.parent.mkdir(parents=True)
    path.touch()
    assert keys(open_source(f"{tmp_path}/{prefix}{level}")) == [LOGS[1]]


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("nothing", "no files"),
        ("empty", "no files"),
        ("other", "a.md, b/data.parquet"),
    ],
)
def test_a_place_without_logs_is_told_with_what_it_holds(
    tmp_path: Path, uri: str, what: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other/b").mkdir(parents=True)
    (tmp_path / "other/a.md").touch()
    (tmp_path / "other/b/data.parquet").touch()
    layouts = r"parent of AWSLogs/.* level below.* CloudWatch export .*Firehose.* \*\.json"
    with pytest.raises(ConfigError, match=rf"{uri}: no logs there \(found: {what}\)\..*{layouts}"):
        open_source(uri, tmp_path)


CLOUDWATCH = [
    "exportedlogs/6b1d6f0e-0000-4000-8000-000000000000/aws-bedrock-modelinvocations/000000.gz",
    "firehose/2026/10/01/12/PUT-S3-x-1-2026-10-01-12-00-00-6b1d6f0e-0000-4000-8000-0123456789ab",
    "firehose/2026/10/01/12/PUT-S3-x-1-2026-10-01-12-00-00-6b1d6f0e-0000-4000-8000-0123456789ab.gz",
    "flat/a.json.gz",
    "tail.log",
]
OTHERS = [
    "exportedlogs/aws-logs-write-test",
    "labels.csv",
    "big/AWSLogs/data/0123_input.json.gz",
    "firehose/notes.md",
    ".DS_Store",
]


@pytest.mark.parametrize("root", ["", "exportedlogs", "firehose/2026", "flat"])
@pytest.mark.parametrize("window", [ALWAYS, Window(since=AFTER), Window(AFTER, AFTER)])
def test_other_layouts_are_read_whole_under_every_window(
    tmp_path: Path, root: str, window: Window
) -> None:
    """Their keys tell no hour that could be trusted; records are chosen by their own time."""
    for key in [*CLOUDWATCH, *OTHERS]:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).touch()
    read_keys = keys(open_source(f"{tmp_path}/{root}"), window)
    assert read_keys == [
        k.removeprefix(f"{root}/") for k in sorted(CLOUDWATCH) if k.startswith(root)
    ]


@pytest.mark.parametrize("key", LOGS)
def test_logs_are_known_by_their_key(key: str) -> None:
    assert is_log(key)
    assert is_log(key.removesuffix(".gz"))


@pytest.mark.parametrize("key", [k for k in NO_LOGS if k.startswith("AWSLogs")])
def test_what_is_no_log_is_known_by_its_key(key: str) -> None:
    assert not is_log(key)


@pytest.mark.parametrize(
    ("key", "partition"),
    [
        (LOGS[1], "111122223333/us-east-1/2026/10/01/12"),
        (f"{EAST}/2026/10/01/{NAME}", "loose"),
        (f"{EAST}/2026/10/01/12/deeper/{NAME}", "loose"),
        (f"x/{LOGS[1]}", "loose"),
        (f"AWSLogs/1/../BedrockModelInvocationLogs/us-east-1/2026/10/01/12/{NAME}", "loose"),
        ("a.json.gz", "loose"),
        (f"{EAST}/2026/02/31/12/{NAME}", "loose"),
        (f"{EAST}/2026/10/01/24/{NAME}", "loose"),
        (f"{EAST}/0000/10/01/12/{NAME}", "loose"),
        (f"{EAST}/２０２６/10/01/12/{NAME}", "loose"),
        (f"AWSLogs/１２３/BedrockModelInvocationLogs/us-east-1/2026/10/01/12/{NAME}", "loose"),
    ],
)
def test_the_partition_is_read_from_the_key(key: str, partition: str) -> None:
    assert partition_of(key) == partition


# --- windows


class Noting:
    """A store that notes which prefixes are listed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.listed = list[str]()

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Note the prefix."""
        self.listed.append(prefix)
        return self.store.entries(prefix)


def at(day: int, hour: int = 0) -> datetime:
    """A time in October 2026, UTC."""
    return datetime(2026, 10, day, hour, tzinfo=UTC)


@pytest.fixture
def hourly(tmp_path: Path) -> Callable[[Window], list[str]]:
    """Asks a source with a log object for each hour of six days: which hours are found."""
    for n in range(6 * 24):
        hour = (at(1) + timedelta(hours=n)).strftime("%Y/%m/%d/%H")
        path = tmp_path / EAST / hour / NAME
        path.parent.mkdir(parents=True)
        path.touch()

    def ask(window: Window) -> list[str]:
        read_keys = keys(open_source(str(tmp_path)), window)
        assert read_keys == sorted(read_keys)
        return ["/".join(key.split("/")[6:8]) for key in read_keys]

    return ask


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [
        (at(2), at(3), "01/23", "04/23"),
        (at(2, 12), at(2, 13), "02/11", "04/12"),
        (at(2, 12) + timedelta(minutes=30), at(2, 13) + timedelta(minutes=1), "02/11", "04/13"),
        (at(2), None, "01/23", "06/23"),
        (None, at(3), "01/00", "04/23"),
        (None, None, "01/00", "06/23"),
        (datetime(2026, 9, 1, tzinfo=UTC), at(1), "01/00", "02/23"),
        (datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC), "01/00", "06/23"),
    ],
)
def test_hours_that_may_hold_records_of_the_window_are_found(
    hourly: Callable[[Window], list[str]],
    since: datetime | None,
    until: datetime | None,
    first: str,
    last: str,
) -> None:
    """From an hour before, for skewed clocks, until two days after, for late deliveries."""
    assert (EARLY_HOURS, LATE_DAYS) == (1, 2)
    hours = hourly(Window(since, until))
    assert (hours[0], hours[-1]) == (first, last)
    days_between = int(last[:2]) - int(first[:2])
    assert len(hours) == 24 * days_between + int(last[3:]) - int(first[3:]) + 1


def test_a_window_before_all_logs_finds_nothing(hourly: Callable[[Window], list[str]]) -> None:
    long_ago = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))
    assert hourly(long_ago) == []


@pytest.mark.parametrize(
    ("below", "prefixes"),
    [
        ("AWSLogs/", [f"{region}/2026/10/0{d}/" for region in (EAST, WEST) for d in (1, 2, 3, 4)]),
        (f"{WEST}/", [f"{WEST}/2026/10/0{d}/" for d in (1, 2, 3, 4)]),
        (f"{EAST}/2026/10/03/", [f"{EAST}/2026/10/03/"]),
        (f"{EAST}/2026/10/03/07/", [f"{EAST}/2026/10/03/"]),
        (f"{EAST}/2025/", []),
    ],
)
def test_only_the_days_of_the_window_are_listed(
    tmp_path: Path, below: str, prefixes: list[str]
) -> None:
    for region in (EAST, WEST):
        (tmp_path / region / "2026/10/03/07").mkdir(parents=True)
    store = Noting(FolderStore(tmp_path))
    list(Source(store, below).objects(Window(at(2), at(2, 12))))  # type: ignore[arg-type]
    assert sorted(store.listed) == sorted(prefixes)


@pytest.mark.parametrize(
    ("below", "days"),
    [
        ("AWSLogs/", [date(2025, 12, 31), date(2026, 10, 1), date(2026, 10, 3)]),
        (f"{WEST}/", [date(2026, 10, 3)]),
        (f"{EAST}/2026/", [date(2026, 10, 1), date(2026, 10, 3)]),
        (f"{EAST}/2026/10/03/07/", [date(2026, 10, 3)]),
        (f"{EAST}/2024/", []),
    ],
)
def test_the_days_that_have_logs_are_told_by_the_names_of_folders(
    tmp_path: Path, below: str, days: list[date]
) -> None:
    for day in ("2025/12/31", "2026/10/01", "2026/10/03", "2026/10/32", "2026/10/data"):
        (tmp_path / EAST / day / "07").mkdir(parents=True)
    (tmp_path / WEST / "2026/10/03/07").mkdir(parents=True)
    store = Noting(FolderStore(tmp_path))
    assert Source(store, below).days() == days  # type: ignore[arg-type]
    assert store.listed == []


@pytest.mark.parametrize(
    "window", [ALWAYS, Window(since=at(1)), Window(until=at(9)), Window(at(1), at(9))]
)
def test_what_lies_outside_of_the_hour_folders_is_read_under_no_window(
    tmp_path: Path, window: Window
) -> None:
    store = FolderStore(tmp_path)
    for folder in (f"{EAST}/2026/10", f"{EAST}/2026/10/01", f"{EAST}/2026/10/32/12", "AWSLogs/x"):
        store.put_new(f"{folder}/{NAME}", b"")
    store.put_new(LOGS[1], b"")
    assert keys(open_source(str(tmp_path)), window) == [LOGS[1]]


@pytest.mark.parametrize(
    ("window", "prefixes"),
    [
        (Window(since=at(30, 12)), ["2026/10/30/", "2026/10/31/", "2026/11/", "2026/12/", "2027/"]),
        (Window(until=at(1)), ["2025/", *(f"2026/{m:02}/" for m in range(1, 10))]
            + [f"2026/10/0{d}/" for d in (1, 2, 3)]),
        (Window(at(1, 2), at(30)), ["2026/10/", "2026/11/01/"]),
        (Window(datetime(2026, 1, 1, 2, tzinfo=UTC), datetime(2026, 12, 30, tzinfo=UTC)),
            ["2026/", "2027/01/01/"]),
        (ALWAYS, None),
    ],
)  # fmt: skip
def test_no_more_than_the_range_is_listed_and_in_few_requests(
    tmp_path: Path, window: Window, prefixes: list[str] | None
) -> None:
    for year in ("2025", "2026", "2027", "not-a-year"):
        (tmp_path / EAST / year).mkdir(parents=True)
    store = Noting(FolderStore(tmp_path))
    list(Source(store, "AWSLogs/").objects(window))  # type: ignore[arg-type]
    expected = ["AWSLogs/"] if prefixes is None else [f"{EAST}/{prefix}" for prefix in prefixes]
    assert store.listed == expected


@pytest.mark.parametrize(
    ("since", "requests"),
    [
        # Accounts, Regions, years; then a day before, the month, and two days after it.
        (datetime(2026, 10, 1, tzinfo=UTC), (1 + 2 + 2) + 2 * 4),
        # 30 days, one before, and two after; the last of them is asked for its first instant.
        (datetime(2026, 9, 15, tzinfo=UTC), (1 + 2 + 2) + 2 * 34),
    ],
    ids=["a month", "days of two months"],
)
def test_thirty_days_of_two_accounts_take_few_requests_to_list(
    bucket: str, since: datetime, requests: int
) -> None:
    days = [since + timedelta(days=n) for n in range(-60, 90)]
    for account in (EAST, OTHER):
        for hour in [f"{day:%Y/%m/%d}/{n:02}" for day in days for n in range(24)]:
            s3_backends[ACCOUNT]["aws"].put_object(bucket, f"{account}/{hour}/{NAME}", b"")
    store, calls = S3Store(f"s3://{bucket}"), list[object]()
    store._client.meta.events.register(
        "before-call.s3.ListObjectsV2", lambda params, **_: calls.append(params)
    )
    window = Window(since, since + timedelta(days=30))
    found_count = len(list(Source(store, "AWSLogs/").objects(window)))
    assert (found_count, len(calls)) == (2 * (1 + 24 * 32), requests)


@pytest.mark.parametrize(
    ("since", "until", "number"),
    [
        (at(1), at(2), 3 * 24),
        (at(1), at(2, 12), 60),
        (at(1), None, 0),
        (None, at(1) - timedelta(days=10), 0),
        (None, at(1) - timedelta(days=9), 0),
        (None, at(1) - timedelta(days=8, hours=23), 1),
        (None, at(6), 0),
    ],
)
def test_what_is_delivered_in_the_week_after_is_counted_by_name(
    hourly: Callable[[Window], list[str]],
    tmp_path: Path,
    since: datetime | None,
    until: datetime | None,
    number: int,
) -> None:
    window = Window(since, until)
    assert open_source(str(tmp_path)).count_later(window) == number
    assert len(hourly(window)) + number <= 6 * 24
