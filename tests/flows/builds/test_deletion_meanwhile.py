"""Derived parts that `sluice gc` deletes while a build uses them cost time, and nothing else."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
from support.builds import without_checks
from support.protocols import WriteRecipe

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.running.runner import ReportProgress, StageRunner, run_directly
from bedrock_sluice.flows.stages import derive
from bedrock_sluice.lake.derived import list_derived
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.errors import TransientError

Result = TypeVar("Result")


def delete_derived(lake: Store) -> None:
    lake.delete(list(lake.entries("derived/")))


def build_release(recipe: Path, run_stage: StageRunner = run_directly) -> str:
    with open_context(recipe) as context, without_checks():
        return build(context, run_stage).id


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "lake")
    return f"s3://{request.getfixturevalue('bucket')}/lake"


def test_parts_deleted_after_they_were_listed_are_computed_again(
    sums: Path, recipe: WriteRecipe, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(swaps={'"lake"': f'"{lake}"'})
    release = build_release(path)
    numbers = list[int]()

    def list_and_delete(store: Store, fingerprint: str) -> Mapping[str, list[Entry]]:
        entries = list_derived(store, fingerprint)
        if not numbers:
            store.delete([entry for part_entries in entries.values() for entry in part_entries])
        numbers.append(len(entries))
        return entries

    monkeypatch.setattr(derive, "list_derived", list_and_delete)
    assert build_release(path) == release
    assert build_release(path) == release  # of S3, the first one read local copies
    assert numbers[0] == numbers[-1] > 0


@pytest.mark.parametrize("stage", ["curate", "render"])
def test_a_build_whose_parts_are_deleted_ends_right_or_asks_to_be_run_again(
    sums: Path, recipe: WriteRecipe, lake: str, stage: str
) -> None:
    path = recipe(swaps={'"lake"': f'"{lake}"'})
    release = build_release(path)

    def delete_before(name: str, work: Callable[[ReportProgress], Result]) -> Result:
        if name == stage:
            delete_derived(open_store(lake))
        return run_directly(name, work)

    with suppress(TransientError):
        assert build_release(path, delete_before) == release
    assert build_release(path) == release
