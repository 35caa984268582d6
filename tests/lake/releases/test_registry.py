"""The registry: what is reserved stays reserved, and what is damaged is named."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from bedrock_sluice.lake.releases.manifest import InputObject, Inputs, Manifest
from bedrock_sluice.lake.releases.registry import (
    JobEnd,
    JobRequest,
    JobStart,
    Use,
    read_uses,
    reserve,
    trained_on,
    used_prompts,
)
from bedrock_sluice.lake.releases.release import (
    Release,
    draft_manifest,
    file_digests,
    find_built,
    publish,
)
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.curate.trained_before import TRAINED
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError, RefusedError

ASKED = JobRequest("math/x", "math-0123", "us-east-1")
NO_INPUTS = Inputs()
VAIN, DONE = JobEnd("Failed"), JobEnd("Completed", "arn:job", "arn:model")


@pytest.fixture
def release(store: Store, tmp_path: Path) -> Release:
    """A release of two lines to train on and one to validate with, in either kind of lake."""
    return publish_release(store, tmp_path, "ab")


def publish_release(
    lake: Store, folder: Path, train: str, drop: str | None = None, inputs: Inputs = NO_INPUTS
) -> Release:
    """A release by hand, with a line for each letter of `train`; `drop` leaves a column out."""
    letters = [*train, "z"]
    columns = {
        "request_id": [f"r-{each}" for each in letters],
        "split": ["train"] * len(train) + ["validation"],
        "prompt_digest": [f"p-{each}" for each in letters],
    }
    path = folder / "provenance.parquet"
    pl.DataFrame({k: v for k, v in columns.items() if k != drop}).write_parquet(path)
    files = {"provenance.parquet": path} if drop != "file" else {}
    draft = draft_manifest(
        name="math",
        until="2026-11-01",
        recipe={},
        recipe_digest="0" * 64,
        files=file_digests(files),
    )
    return publish(lake, replace(draft, inputs=inputs), files)


def only(lake: Store) -> Use:
    (use,) = read_uses(lake, "math")
    return use


def keys(lake: Store) -> list[str]:
    return [entry.key.rpartition(".j")[0] or entry.key for entry in lake.entries("registry/")]


def test_a_lineage_that_trained_nothing_has_no_prompts(store: Store) -> None:
    assert trained_on(store, "math").equals(TRAINED.to_frame())


def test_what_is_reserved_is_told_of_the_lines_to_train_on(release: Release) -> None:
    reserve(release, "math", 1, ASKED)
    expected = [("p-a", release.id, "reserved"), ("p-b", release.id, "reserved")]
    assert trained_on(release.lake, "math").rows() == expected
    assert trained_on(release.lake, "maths").height == 0
    names = [e.key for e in release.lake.entries("registry/")]
    start = f"registry/math/{release.manifest.digest}"
    assert names == [f"{start}.job-1.json", f"{start}.reserved.parquet"]


def test_the_prompts_lie_there_as_plain_parquet(release: Release) -> None:
    reserve(release, "math", 1, ASKED)
    entry = only(release.lake).objects["reserved.parquet"]
    rows = pq.read_table(release.lake.local(entry)).to_pylist()
    assert rows == [
        {"prompt_digest": f"p-{each}", "request_id": f"r-{each}", "release": release.id}
        for each in "ab"
    ]


def test_all_releases_of_a_lineage_are_told(store: Store, tmp_path: Path) -> None:
    first, second = (publish_release(store, tmp_path, each) for each in ("ab", "bc"))
    for each in (first, second):
        reserve(each, "math", 1, ASKED)
    rows = trained_on(store, "math").select("release", "prompt_digest").rows()
    expected = [(first.id, "p-a"), (first.id, "p-b"), (second.id, "p-b"), (second.id, "p-c")]
    assert sorted(rows) == sorted(expected)


def test_each_state_follows_from_what_is_there(release: Release) -> None:
    lake, states = release.lake, list[str]()
    first = reserve(release, "math", 1, ASKED)
    states.append(only(lake).state)
    first.release(VAIN)
    states.append(only(lake).state)
    second = reserve(release, "math", 2, ASKED)  # the same prompts, for another request
    states.append(only(lake).state)
    first.release(VAIN)
    states.append(only(lake).state)
    only(lake).register(DONE)
    second.release(VAIN)
    states.append(only(lake).state)
    assert states == ["reserved", "released", "reserved", "reserved", "registered"]
    assert trained_on(lake, "math")["state"].to_list() == ["registered"] * 2
    assert (only(lake).job_end(), only(lake).claims) == (DONE, [])


def test_the_first_end_that_is_written_down_stands(release: Release) -> None:
    claim = reserve(release, "math", 1, ASKED)
    for job_end in (VAIN, JobEnd("Stopped")):
        claim.release(job_end)
    assert only(release.lake).job_end() == VAIN


def test_the_same_request_at_once_is_one_claim_and_another_one_is_refused(
    release: Release,
) -> None:
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda _: reserve(release, "math", 1, ASKED), range(4)))
    assert {claim.number for claim in claims} == {1}
    with pytest.raises(RefusedError, match="with other settings"):
        reserve(release, "math", 1, JobRequest("math/x", "math-0123", "us-west-2"))
    assert only(release.lake).next_number == 1
    claims[0].release(VAIN)
    assert only(release.lake).next_number == 2


def test_a_refusal_counts_unless_the_request_was_taken(release: Release) -> None:
    claim = reserve(release, "math", 1, ASKED)
    claim.refuse()
    refusal = only(release.lake)
    assert (refusal.state, refusal.job_end(), refusal.failed_jobs()) == (
        "released",
        JobEnd("Refused"),
        0,
    )
    claim.start("arn:job")
    claim_after = only(release.lake)
    assert (claim_after.state, claim_after.job_start(1), claim_after.next_number) == (
        "reserved",
        JobStart("arn:job"),
        1,
    )
    claim.release(JobEnd("Failed", "arn:job"))
    assert (only(release.lake).state, only(release.lake).failed_jobs()) == ("released", 1)


def test_a_reservation_without_a_request_counts_until_it_is_released(release: Release) -> None:
    reserve(release, "math", 1, ASKED)
    lake = release.lake
    half = Use(lake, only(lake).stem, {"reserved.parquet": only(lake).objects["reserved.parquet"]})
    assert (half.state, half.job_request(), half.job_end()) == ("reserved", None, None)
    assert [claim.number for claim in half.claims] == [0]


@pytest.mark.parametrize("drop", ["prompt_digest", "file"])
def test_a_release_of_an_older_version_reserves_nothing(
    store: Store, tmp_path: Path, drop: str
) -> None:
    old = publish_release(store, tmp_path, "ab", drop)
    for ask in (used_prompts, lambda release: reserve(release, "math", 1, ASKED)):
        with pytest.raises(RefusedError, match=r"release of an older version.* build it again"):
            ask(old)
    assert keys(store) == []


@pytest.mark.parametrize("lineage", ["", "../x", "a/b", "A", "a_b", "a--b", "a\n", "é"])
def test_a_lineage_is_a_plain_name(store: Store, lineage: str) -> None:
    with pytest.raises(ConfigError, match="can't be a lineage"):
        trained_on(store, lineage)


# --- Damage, on disk, where a test can do it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The registry's folder of a lineage with one release that was released and asked for again."""
    release = publish_release(FolderStore(tmp_path / "lake"), tmp_path, "ab")
    first = reserve(release, "math", 1, ASKED)
    first.refuse()
    first.start("arn:job")
    first.release(VAIN)
    reserve(release, "math", 2, ASKED)
    only(release.lake).register(DONE)
    return tmp_path / "lake" / "registry" / "math"


def lake_of(folder: Path) -> FolderStore:
    return FolderStore(folder.parents[1])


NAMES = ["reserved.parquet", "job-1.json", "job-2.json", "started-1.json", "refused-1.json"]
NAMES += ["released-1.json", "registered.json"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"", b"{}", b"PAR1", b"\xff", b'{"status":1}'])
def test_what_is_damaged_is_named(folder: Path, name: str, content: bytes) -> None:
    (path,) = folder.glob(f"*.{name}")
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=rf"registry/math/{path.name} is not what was put"):
        trained_on(lake_of(folder), "math")


def test_any_changed_byte_of_the_prompts_is_seen_or_changes_nothing(folder: Path) -> None:
    (path,) = folder.glob("*.parquet")
    whole, prompts = path.read_bytes(), trained_on(lake_of(folder), "math")
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert trained_on(lake_of(folder), "math").equals(prompts), place
        except IntegrityError as error:
            assert path.name in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    "columns",
    [
        {"prompt_digest": ["p"], "request_id": ["r"]},
        {"prompt_digest": ["p"], "request_id": ["r"], "release": ["2026-11-01-000000000000"]},
        {"prompt_digest": [None], "request_id": ["r"], "release": ["2026-11-01-000000000000"]},
        {"prompt_digest": [[1]], "request_id": ["r"], "release": ["2026-11-01-000000000000"]},
    ],
    ids=["column", "other release", "null", "type"],
)
def test_parquet_of_something_else_is_no_reservation(folder: Path, columns: Any) -> None:
    (path,) = folder.glob("*.parquet")
    pq.write_table(pa.table(columns), path)
    with pytest.raises(IntegrityError, match=path.name):
        trained_on(lake_of(folder), "math")


@pytest.mark.parametrize("name", ["notes.txt", "x.reserved.parquet", "deep/er.json"])
def test_what_the_registry_does_not_know_is_named(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(IntegrityError, match=f"math/{name} is none of the registry's"):
        trained_on(lake_of(folder), "math")


def test_prompts_that_went_are_missed(folder: Path) -> None:
    (path,) = folder.glob("*.parquet")
    path.unlink()
    with pytest.raises(IntegrityError, match=rf"{path.name} is gone"):
        trained_on(lake_of(folder), "math")


def test_other_prompts_where_these_would_be_reserved_stop_it(tmp_path: Path, folder: Path) -> None:
    (path,) = folder.glob("*.parquet")
    rows = pq.read_table(path)
    pq.write_table(rows.slice(1), path)
    release = publish_release(lake_of(folder), tmp_path, "ab")
    with pytest.raises(IntegrityError, match=path.name):
        reserve(release, "math", 1, ASKED)
    pq.write_table(rows, path, compression="none")  # other bytes, the same rows
    reserve(release, "math", 1, ASKED)


# --- A build again


def test_what_was_built_before_is_found_by_its_manifest(store: Store, tmp_path: Path) -> None:
    inputs = Inputs(objects=[InputObject("a", 1, None, "0" * 64)])
    first = publish_release(store, tmp_path, "a", inputs=inputs)
    other = publish_release(store, tmp_path, "b")

    def has_inputs(manifest: Manifest) -> bool:
        return manifest.inputs == inputs

    build = find_built(store, "math", [first.id, other.id], has_inputs)
    assert build is not None
    assert build.id == first.id
    assert find_built(store, "math", [other.id, "gone"], has_inputs) is None
    assert find_built(store, "maths", [first.id], has_inputs) is None
    assert find_built(store, "math", [first.id], lambda _: False) is None
