"""Small parts are derived as one: each is the same to the byte as if it were derived alone."""

import pytest

from bedrock_sluice.demo.logs import demo_files
from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.flows.stages import derive
from bedrock_sluice.flows.stages.derive import (
    Derivation,
    DeriveTask,
    compute_derived,
    derive_options,
    task_runs,
)
from bedrock_sluice.flows.stages.pull import pull
from bedrock_sluice.lake.logs.source import Window, open_source
from bedrock_sluice.lake.new_files import write_new_files
from bedrock_sluice.lake.stores.folder import FolderStore


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Derivation, list[DeriveTask]]:
    """The landed parts of a demo, which has a little of everything, and how they are derived."""
    folder = tmp_path_factory.mktemp("demo")
    write_new_files(folder, lambda: demo_files(400), marker="recipe.toml")
    lake = FolderStore(folder / "lake")
    pull(open_source("logs", folder), lake, Window(), lambda _count, _total: None)
    tasks = [DeriveTask(n, entry, []) for n, entry in enumerate(lake.entries("landed/"))]
    options = derive_options(load_recipe(folder / "recipe.toml"))
    return Derivation(lake.uri, "0" * 16, options), tasks


@pytest.mark.parametrize("together_bytes", [1 << 30, 100_000])
def test_a_part_is_the_same_beside_any_others(
    demo: tuple[Derivation, list[DeriveTask]],
    together_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    derivation, tasks = demo
    assert len(tasks) > 10
    alone = [compute_derived(derivation, [task]) for task in tasks]
    monkeypatch.setattr(derive, "TOGETHER_BYTES", together_bytes)
    # A name has the digest of all bytes of its file.
    assert compute_derived(derivation, tasks) == [entry for (entry,) in alone]


def test_runs_are_bounded_and_have_every_task_once(
    demo: tuple[Derivation, list[DeriveTask]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tasks = demo
    assert list(task_runs(tasks)) == [tasks]
    limit = 3 * max(task.landed.size for task in tasks)
    monkeypatch.setattr(derive, "MAX_RUN_BYTES", limit)
    runs = list(task_runs(tasks))
    assert [task for run in runs for task in run] == tasks
    assert max(sum(task.landed.size for task in run) for run in runs) <= limit
    monkeypatch.setattr(derive, "MAX_RUN_BYTES", 1)
    assert list(map(len, task_runs(tasks))) == [1] * len(tasks)
    monkeypatch.setattr(derive, "MAX_RUN_PARTS", 4)
    monkeypatch.setattr(derive, "MAX_RUN_BYTES", 1 << 30)
    assert max(map(len, task_runs(tasks))) == 4
