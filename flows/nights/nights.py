"""Which nights a recipe has to build: a night is a day, and its window ends with that midnight."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.lake.releases.release import Release, list_manifests, open_release
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ConfigError, SluiceError

MAX_BACKFILL_NIGHTS = 366
DAY = timedelta(days=1)
CLOSING = timedelta(hours=2)
"""How long after its midnight a night closes: log objects that are delivered later are of the next.

So a night is the same dataset whenever it is built.
"""


def midnight(night: date) -> datetime:
    """Return the end of the window of a night."""
    return datetime.combine(night, time(), tzinfo=UTC)


def closing(night: date) -> datetime:
    """Return the hour from which on log objects are not part of a night."""
    return midnight(night) + CLOSING


class NightEnds(NamedTuple):
    """The end of a window, and of the deliveries that belong to it; None where neither is fixed."""

    until: datetime | None
    delivered_before: datetime | None


def night_ends(night: date | None) -> NightEnds:
    """Return where a night ends; a recipe without `last_days` has no nights."""
    return NightEnds(midnight(night), closing(night)) if night else NightEnds(None, None)


def last_closed(now: datetime) -> date:
    """Return the last night that has closed."""
    return (now.astimezone(UTC) - CLOSING).date()


def check_backfill(first: date | None, last: date | None, today: date) -> None:
    """See that a backfill names nights that have been.

    Raises:
        ConfigError: It does not.
    """
    if first is None and last is None:
        return
    if first is None or last is None:
        raise ConfigError("a backfill needs both its first and its last night (--from and --to)")
    if first > last:
        raise ConfigError(f"the first night, {first}, is after the last, {last}")
    if last > today:
        raise ConfigError(f"{last} is too late: the last night that has closed is {today}")
    if (number := (last - first).days + 1) > MAX_BACKFILL_NIGHTS:
        raise ConfigError(f"{number:,} nights are too many; give {MAX_BACKFILL_NIGHTS} at most")


def nights_between(first: date, last: date) -> list[date]:
    """Return the nights from `first` to `last`, both included."""
    return [first + DAY * number for number in range((last - first).days + 1)]


def find_nights(lake: Store, recipe: Recipe, today: date, catch_up_days: int) -> list[date]:
    """Return the nights since the last one that was published, at most `catch_up_days`, and today.

    A rejected release counts: that night was built.
    """
    last = last_night(lake, recipe)
    first = today if last is None else max(last + DAY, today - DAY * catch_up_days)
    return nights_between(min(first, today), today)


def last_night(lake: Store, recipe: Recipe) -> date | None:
    """Return the last night of which there is a release; None without any.

    Releases of other windows, which people build by hand, do not count.
    """
    return next((night for night, _ in read_nights(lake, recipe)), None)


def read_nights(lake: Store, recipe: Recipe) -> Iterator[tuple[date, Release]]:
    """Yield the nights that have a release, the last one first."""
    for release in read_releases(lake, recipe.name):
        night = _night_of(release, recipe)
        if night is not None:
            yield night, release


def read_releases(lake: Store, name: str) -> Iterator[Release]:
    """Yield the releases of a name that can be read: the last window first, then the newest."""
    entries = [(entry.key.split("/")[2][:10], entry) for entry in list_manifests(lake, name)]
    for _, entry in sorted(entries, key=lambda pair: (pair[0], pair[1].modified), reverse=True):
        try:
            yield open_release(f"{lake.uri}/{entry.key.rpartition('/')[0]}")
        except SluiceError:
            continue


def _night_of(release: Release, recipe: Recipe) -> date | None:
    """Return the night of a release; None if its window is not that of a night."""
    try:
        window = recipe_of(release).window
    except SluiceError:  # of a recipe that this version does not read
        return None
    if window.until is None or window.since is None:
        return None
    night = window.until.date()
    is_midnight = window.until == midnight(night)
    is_as_long = window.until - window.since == DAY * (recipe.source.last_days or 0)
    return night if is_midnight and is_as_long else None
