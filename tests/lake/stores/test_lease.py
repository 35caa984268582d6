"""Leases: one process at a time, and old terms do not pile up."""

from datetime import UTC, datetime, timedelta

import pytest

from bedrock_sluice.lake.stores.lease import KEPT_TERMS, TERM, Lease, Term, take_lease
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import OutsideError

START = datetime(2026, 10, 2, 3, tzinfo=UTC)
NIGHTS = 3 * KEPT_TERMS


def take(store: Store, night: int, owner: str = "one") -> Lease:
    lease = take_lease(store, "nightly", owner, lambda: START + timedelta(days=night))
    assert isinstance(lease, Lease)
    return lease


def test_old_terms_are_removed_and_the_last_one_counts(store: Store) -> None:
    others = [store.put_new(key, b"x") for key in ("leases/other/0000000001.json", "landed/a")]
    for night in range(NIGHTS):
        take(store, night).end()
    keys = {entry.key for entry in store.entries()}
    assert len(keys) - len(others) <= 2 * KEPT_TERMS + 2
    assert {"leases/other/0000000001.json", "landed/a"} <= keys
    last = take(store, NIGHTS)
    assert last.number == NIGHTS + 1
    other = take_lease(store, "nightly", "two", lambda: last.expires - TERM / 2)
    assert other == Term("one", last.expires)


def test_who_may_not_delete_takes_the_lease_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for night in range(KEPT_TERMS + 2):
        take(store, night)

    def refuse(*_: object) -> None:
        raise OutsideError("AccessDenied")

    monkeypatch.setattr(type(store), "delete", refuse)
    assert take(store, NIGHTS).number == KEPT_TERMS + 3
