"""Waits between looks at what another service does."""

from collections.abc import Iterator

WAIT_FACTOR = 1.5  # each wait is so many times the one before


def growing_waits(first_seconds: float, max_seconds: float) -> Iterator[float]:
    """Yield seconds to wait, without end: longer each time, up to `max_seconds`."""
    seconds = first_seconds
    while True:
        yield seconds
        seconds = min(seconds * WAIT_FACTOR, max_seconds)
