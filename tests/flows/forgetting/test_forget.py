"""`sluice forget`: the lake holds nothing of a record any more, and no build uses it again."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from support.builds import without_checks
from support.logs import NOON, Json, make_record, make_records, write_logs
from support.protocols import RunSluice, WriteRecipe
from support.releases import approve

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.forgetting.survey import find_landed
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.lake.logs.erasure import put_erased
from bedrock_sluice.lake.releases.registry import JobEnd, JobRequest, find_use, reserve
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.rights.tombstones import request_digest

CANARY = "CanaryOfThePlains"
SECRET_ID = "0a1b2c3d-secret-4e5f"
JOB = "arn:aws:bedrock:us-east-1:111122223333:model-customization-job/a/1"
MODEL = "arn:aws:bedrock:us-east-1:111122223333:custom-model/a/1"

DIE = """
import os, signal, sys
event_name, nth, lake = sys.argv.pop(1), int(sys.argv.pop(1)), sys.argv.pop(1)
events = 0
def kill(event, arguments):
    global events
    if event == event_name and str(arguments[0]).startswith(lake):
        events += 1
        if events == nth:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
from bedrock_sluice.cli.app import main
main()
"""


class World(NamedTuple):
    """A recipe over logs, one of whose records has the canary in all its texts."""

    recipe: Path
    lake: str
    logs: Path

    def files(self) -> dict[str, bytes]:
        """All files of the lake."""
        store = open_store(self.lake)
        return {entry.key: store.read(entry) for entry in store.entries()}

    def release(self) -> Release:
        with open_context(self.recipe) as context, without_checks():
            return build(context)


def canary() -> Json:
    return make_record(
        ask=f"{CANARY}: what is 6 times 7? End with #### and the number.",
        reply=f"{CANARY}\n#### 42",
        system=CANARY,
        request_id=SECRET_ID,
        at=NOON + timedelta(hours=1),
        metadata={"user": "u-1", "name": CANARY, "session": "s-1"},
        identity={"arn": f"arn:aws:iam::111122223333:role/{CANARY}"},
    )


def all_text(content: bytes) -> str:
    """The text of a file; of a Parquet file, that of all its columns, and of its footer."""
    text = content.decode("latin-1")
    if content[:4] == b"PAR1":
        text += str(pq.read_table(BytesIO(content)).to_pylist())
    return text


def holders(files: dict[str, bytes], word: str) -> list[str]:
    return [key for key, content in files.items() if word in key + all_text(content)]


@pytest.fixture(params=["folder", "s3"])
def world(request: pytest.FixtureRequest, tmp_path: Path, recipe: WriteRecipe) -> World:
    records: list[Any] = make_records(60)
    objects = [records[:20], [*records[20:40], canary()], records[40:]]
    for number, each in enumerate(objects):
        write_logs(tmp_path / "logs", [each], f"2026/10/01/{12 + number}")
    lake, swaps = str(tmp_path / "lake"), dict[str, str]()
    if request.param == "s3":
        lake = f"s3://{request.getfixturevalue('bucket')}/lake"
        swaps = {'"lake"': f'"{lake}"'}
    path = recipe('[curate]\nconversation_key = "session"\n', swaps)
    return World(path, lake, tmp_path / "logs")


in_a_folder = pytest.mark.parametrize("world", ["folder"], indirect=True)


def lines(release: Release) -> list[Json]:
    names = ("train.jsonl", "validation.jsonl")
    texts = [line for name in names for line in release.file(name).read_text().splitlines()]
    return sorted((json.loads(text) for text in texts), key=lambda line: str(line["id"]))


def write_review(release: Release, path: Path, reviewer: str, **verdicts: Json) -> Path:
    """Write a review file as the page of a sheet saves it; `verdicts` by the id of the line."""
    manifest = release.manifest
    content = {
        "schema_version": 1,
        "release": {"name": manifest.name, "id": manifest.id, "digest": manifest.digest},
        "sheet": {"lines": 0, "sample": 50, "seed": 0},
        "reviewer": reviewer,
        "saved_at": "2026-10-02T10:00:00Z",
        "lines": verdicts,
    }
    path.write_text(json.dumps(content))
    return path


def never_logged(world: World, tmp_path: Path) -> Release:
    """The release of the same logs without the record, in a lake of its own."""
    for path in sorted(world.logs.rglob("*T13*.gz")):
        path.unlink()
    write_logs(world.logs, [make_records(60)[20:40]], "2026/10/01/13")
    path = tmp_path / "never.toml"
    text = world.recipe.read_text().splitlines()
    text[1] = 'lake = "other-lake"'
    path.write_text("\n".join(text))
    return World(path, str(tmp_path / "other-lake"), world.logs).release()


def test_nothing_is_left_and_no_build_uses_it_again(
    world: World, sluice: RunSluice, tmp_path: Path
) -> None:
    before = world.release()
    files = world.files()
    assert len(holders(files, CANARY)) >= 4  # landed, derived, day, lines

    dry_run = sluice("forget", world.lake, "--request-id", SECRET_ID, "--json")
    assert (dry_run.code, world.files()) == (0, files)
    facts = json.loads(dry_run.out)
    assert (facts["deleted"], facts["requests"], facts["landed_requests"]) == (False, 1, 1)
    assert [key in files for key in facts["landed_parts"]] == [True]
    assert [each["removable"] for each in facts["releases"]] == [True]
    assert facts["log_objects"][0].endswith(".json.gz")
    listed_files = {*facts["landed_parts"], *facts["derived_files"]}
    releases = {key for key in files if key.startswith("releases/")}
    assert {*holders(files, CANARY), *holders(files, SECRET_ID)} <= listed_files | releases

    result = sluice("forget", world.lake, "--request-id", SECRET_ID, "--delete")
    assert (result.code, result.out) == (0, "")
    assert not {CANARY, SECRET_ID} & set(result.err.split())
    files = world.files()
    assert (holders(files, CANARY), holders(files, SECRET_ID)) == ([], [])
    assert len([key for key in files if key.startswith("landed/")]) == 3

    # The logs still have it: neither what is landed nor a lake that is landed anew brings it back.
    release = world.release()
    files = world.files()
    assert (holders(files, CANARY), holders(files, SECRET_ID)) == ([], [])
    assert release.manifest.counts.records == before.manifest.counts.records == 61
    assert release.manifest.counts.dropped["rights_forgotten"] == 1
    assert release.manifest.inputs.forgotten_sha256
    store = open_store(world.lake)
    store.delete(list(store.entries("landed/")), "landed")
    assert world.release().id == release.id
    files = world.files()
    assert (holders(files, CANARY), holders(files, SECRET_ID)) == ([], [])

    explanation = sluice("explain", world.recipe, SECRET_ID)
    assert (explanation.code, "forgotten on 20" in explanation.err) == (0, True)
    again = sluice("forget", world.lake, "--request-id", SECRET_ID, "--delete", "--json")
    assert (again.code, json.loads(again.out)["landed_parts"]) == (0, [])
    assert len([key for key in world.files() if key.startswith("tombstones/")]) == 1
    assert lines(release) == lines(never_logged(world, tmp_path))


def test_reviews_lose_the_forgotten_line_and_keep_the_others(
    world: World, sluice: RunSluice, tmp_path: Path
) -> None:
    before = world.release()
    wrong, correction, right = [each["id"] for each in lines(before) if each["id"] != SECRET_ID][:3]
    verdicts: dict[str, Json] = {
        SECRET_ID: {"verdict": "wrong", "corrected_answer": f"{CANARY} 43", "comment": CANARY},
        wrong: {"verdict": "wrong"},
        correction: {"verdict": "wrong", "corrected_answer": "4711", "comment": "a typo"},
        right: {"verdict": "right"},
    }
    ann = write_review(before, tmp_path / "ann.json", "ann", **verdicts)
    only_secret = {SECRET_ID: verdicts[SECRET_ID]}
    bob = write_review(before, tmp_path / "bob.json", "bob", **only_secret)
    assert sluice("review", "apply", ann, bob, "--lake", world.lake).code == 0
    keys = [key for key in holders(world.files(), CANARY) if key.startswith("reviews/")]
    assert len(keys) == 2

    dry_run = sluice("forget", world.lake, "--request-id", SECRET_ID, "--json")
    assert json.loads(dry_run.out)["reviews"] == keys
    approve(before, "Ada", datetime.now(UTC))  # so that the files can be applied once more
    assert sluice("forget", world.lake, "--request-id", SECRET_ID, "--delete").code == 1
    for is_again in (False, True):
        if is_again:  # the file still has the line
            assert sluice("review", "apply", ann, "--lake", world.lake).code == 0
        files = world.files()
        places = {*holders(files, CANARY), *holders(files, SECRET_ID)}
        assert {key.split("/")[0] for key in places} == {"releases"}
        assert len([key for key in files if key.startswith("reviews/")]) == 1

    after = world.release()
    answers = {each["id"]: each["reference_answer"]["final_answer"] for each in lines(after)}
    assert (answers[correction], right in answers, SECRET_ID in answers) == ("4711", True, False)
    drops = after.manifest.counts.dropped
    assert (drops["review_rejected"], drops["rights_forgotten"]) == (1, 1)
    assert wrong not in answers


@in_a_folder
@pytest.mark.parametrize(
    "selection",
    [
        ("--metadata", "user=u-1"),
        ("--conversation", "s-1"),
        ("--from", "ids.txt"),
        ("--metadata", "user=nobody", "--metadata", f"name={CANARY}"),
    ],
)
def test_records_are_selected_by_metadata_conversation_and_file(
    world: World,
    selection: tuple[str, ...],
    sluice: RunSluice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sluice("pull", world.recipe)
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text(f"\ufeff{SECRET_ID}\n\n")
    result = sluice("forget", world.recipe, *selection, "--delete", "--json")
    assert (result.code, json.loads(result.out)["landed_requests"]) == (0, 1)
    assert holders(world.files(), CANARY) == []


@in_a_folder
@pytest.mark.parametrize(
    ("event", "nth"),
    [("os.link", 1), ("os.link", 3), ("os.remove", 2), ("os.remove", 5), ("os.remove", 12)],
)
def test_after_a_kill_the_next_run_completes(
    world: World, event: str, nth: int, sluice: RunSluice, tmp_path: Path
) -> None:
    world.release()
    command = [sys.executable, "-c", DIE, event, str(nth), world.lake]
    command += ["forget", world.lake, "--request-id", SECRET_ID, "--delete"]
    process = subprocess.run(command, capture_output=True, check=False)
    assert process.returncode == -9, process.stderr.decode()
    assert holders(world.files(), CANARY)
    if event == "os.link" and nth == 1:  # not even the tombstone was written
        assert sluice("forget", world.lake, "--request-id", SECRET_ID, "--delete").code == 0
    assert sluice("forget", world.lake, "--delete").code == 0
    files = world.files()
    left = [key for key in holders(files, CANARY) if ".sluice-" not in key]
    assert left == []
    assert world.release().manifest.counts.dropped["rights_forgotten"] == 1


@in_a_folder
def test_two_runs_at_once_lose_nothing(world: World, sluice: RunSluice) -> None:
    """Each replaces the part as it was: both new parts then lack one record only."""
    sluice("pull", world.recipe)
    store, other_id = open_store(world.lake), "request-25"
    both_digests = [{request_digest(each)} for each in (SECRET_ID, other_id)]
    matches = [match for each in both_digests for match in find_landed(store, each)]
    for digests, match in zip(both_digests, matches, strict=True):
        put_erased(store, match, digests)
    store.delete([match.part.entry for match in matches], "landed")
    assert len([key for key in world.files() if key.startswith("landed/")]) == 4
    ids = ("--request-id", SECRET_ID, "--request-id", other_id)
    assert sluice("forget", world.lake, *ids, "--delete").code == 0
    files = world.files()
    assert len([key for key in files if key.startswith("landed/")]) == 3
    assert (holders(files, SECRET_ID), holders(files, other_id)) == ([], [])
    counts = world.release().manifest.counts
    assert (counts.records, counts.dropped["rights_forgotten"]) == (61, 2)


@in_a_folder
def test_approved_releases_and_trained_models_stay_and_are_named(
    world: World, sluice: RunSluice
) -> None:
    release = world.release()
    approve(release, "Ada", datetime.now(UTC))
    request = JobRequest(f"{release.name}/{release.id}", "sums-1", "us-east-1")
    reserve(release, "sums", 1, request).start(JOB)
    before = {k: v for k, v in world.files().items() if k.startswith("releases/")}
    command = ("forget", world.lake, "--request-id", SECRET_ID, "--delete")
    result = sluice(*command)
    text = " ".join(result.err.split())
    assert result.code == 1
    assert f"still held by {release.uri}: lines: 1, approved by Ada" in text
    assert f"job {JOB}: reserved" in text
    use = find_use(release, "sums")
    assert use
    use.register(JobEnd("Completed", JOB, MODEL))
    result = sluice(*command, "--json")
    (facts,) = json.loads(result.out)["releases"]
    assert (result.code, facts["approved_by"], facts["removable"]) == (1, ["Ada"], False)
    assert [(j["status"], j["model_arn"]) for j in facts["jobs"]] == [("Completed", MODEL)]
    files = world.files()
    assert {k: v for k, v in files.items() if k.startswith("releases/")} == before
    assert {key.split("/")[0] for key in holders(files, CANARY)} == {"releases"}


@in_a_folder
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "is not a lake"),
        (("LAKE", "--metadata", "user"), "--metadata must be KEY=VALUE"),
        (("LAKE", "--conversation", "s-1"), "--conversation needs a recipe with conversation_key"),
        (("LAKE", "--from", "no.txt"), "no.txt: No such file"),
    ],
)
def test_a_wrong_selection_is_refused(
    world: World, arguments: tuple[str, ...], message: str, sluice: RunSluice
) -> None:
    sluice("pull", world.recipe)
    result = sluice("forget", *(world.lake if a == "LAKE" else a for a in arguments), "--delete")
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert not [key for key in world.files() if key.startswith("tombstones/")]


@in_a_folder
def test_a_later_release_is_built_again_though_an_earlier_one_was_removed(
    world: World, sluice: RunSluice
) -> None:
    first = world.release()
    late = world.recipe.with_name("late.toml")
    late.write_text(
        world.recipe.read_text().replace("since = 2026-10-01", "since = 2026-10-01T14:00:00")
    )
    records = [
        make_record(
            ask=f"What is {n} minus 1? ####",
            reply=f"#### {n}",
            request_id=f"n-{n}",
            at=NOON + timedelta(hours=2, minutes=n),
        )
        for n in range(9)
    ]
    write_logs(world.logs, [records], "2026/10/01/15")
    second = World(late, world.lake, world.logs).release()
    assert second.manifest.earlier_releases == [first.id]
    assert sluice("forget", world.lake, "--request-id", SECRET_ID, "--delete").code == 0
    assert World(late, world.lake, world.logs).release().name == second.name
