"""Each target over real HTTP: one job however often it is asked for; its end in the registry."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import boto3
import pytest
from support.rft.state import CONTENT, ControlPlane
from support.training import MakeRelease

from bedrock_sluice.flows.training.job import Settled, prepare, settle, start, train_on
from bedrock_sluice.flows.training.targets import open_weight
from bedrock_sluice.flows.training.targets.choice import job_place
from bedrock_sluice.lake.releases.registry import find_use, trained_on
from bedrock_sluice.lake.releases.release import Release, open_release
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.transforms.errors import IntegrityError, OutsideError, RefusedError, SluiceError

TARGETS = ("nova", "open_weight", "sagemaker")
CREATE = {
    "nova": "CreateModelCustomizationJob",
    "open_weight": "CreateFineTuningJob",
    "sagemaker": "CreateTrainingJob",
}
ATTEMPTS = 5  # of boto3, for one request


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between attempts of boto3, and between looks at the list of jobs."""
    monkeypatch.setattr(open_weight, "WAIT_SECONDS", 0.02)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def reopen(release: Release) -> Release:
    return open_release(release.uri)


def train(release: Release) -> str:
    return train_on(prepare(reopen(release)))


def state(release: Release) -> str:
    (only,) = set(trained_on(release.lake, "math")["state"])
    return str(only)


def settle_one(release: Release) -> Settled:
    (only,) = settle(release.lake, "math")
    return only


def test_a_job_from_its_start_to_its_end(
    training_release: MakeRelease, control_plane: ControlPlane, target: str
) -> None:
    release = training_release(target)
    arn = train(release)
    assert train(release) == arn
    assert control_plane.count(CREATE[target]) == len(control_plane.jobs) == 1
    assert (settle_one(release).status, state(release)) == ("InProgress", "reserved")
    control_plane.end("Completed")
    assert (settle_one(release).status, state(release)) == ("Completed", "registered")
    use = find_use(release, "math")
    end = use.job_end() if use else None
    assert end is not None
    assert (end.job_arn, end.model_arn) == (arn, control_plane.jobs[0].model)
    assert train(release) == arn


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_job_that_came_to_nothing_frees_its_prompts_and_can_be_tried_again(
    training_release: MakeRelease, control_plane: ControlPlane, target: str, status: str
) -> None:
    release = training_release(target)
    first = train(release)
    control_plane.end(status)
    assert (settle_one(release).status, state(release)) == (status, "released")
    second = train(release)
    assert train(release) == second != first
    assert len(control_plane.jobs) == 2


def test_four_at_once_are_one_job(
    training_release: MakeRelease, control_plane: ControlPlane, target: str
) -> None:
    release, barrier = training_release(target), Barrier(4)

    def begin(_: int) -> str:
        job = prepare(reopen(release))
        client = job.target.connect(job_place(job.draft.train))
        barrier.wait()
        return start(job, client)

    with ThreadPoolExecutor(4) as pool:
        arns = set(pool.map(begin, range(4)))
    assert len(arns) == len(control_plane.jobs) == 1


def test_a_lost_answer_is_not_asked_for_twice(
    training_release: MakeRelease, control_plane: ControlPlane, target: str
) -> None:
    release = training_release(target)
    control_plane.lose_answers = 1
    arn = train(release)
    (job,) = control_plane.jobs
    assert arn == job.arn


def test_a_refusal_frees_the_prompts_and_a_later_run_starts_the_job(
    training_release: MakeRelease, control_plane: ControlPlane, target: str
) -> None:
    release = training_release(target)
    control_plane.fail_next(CREATE[target], "AccessDeniedException", 403)
    with pytest.raises(SluiceError):
        train(release)
    assert (state(release), control_plane.jobs) == ("released", [])
    train(release)
    assert (state(release), len(control_plane.jobs)) == ("reserved", 1)


def test_a_process_that_died_before_its_request_is_told_by_a_person(
    training_release: MakeRelease, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other targets have tokens or names: they can be asked again."""

    def die(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    release = training_release("open_weight")
    with monkeypatch.context() as patch:
        patch.setattr(open_weight.OpenWeightTarget, "submit", die)
        with pytest.raises(KeyboardInterrupt):
            train(release)
    with pytest.raises(RefusedError, match=rf"--never-started {release.id}"):
        train(release)
    assert (state(release), control_plane.jobs) == ("reserved", [])
    settle(release.lake, "math", never_started=[release.id])
    train(release)
    assert len(control_plane.jobs) == 1


@pytest.mark.parametrize("is_written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3], ids=["reservation", "request", "answer"])
def test_a_process_killed_at_any_record_leaves_one_job(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    nth: int,
    is_written: bool,
) -> None:
    release, put, count = training_release(target), FolderStore.put_new, itertools.count(1)

    def die(store: FolderStore, key: str, content: Any) -> bool:
        is_last = key.startswith("registry/") and next(count) == nth
        result = put(store, key, content) if is_written or not is_last else False
        if is_last:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put_new", die)
        with pytest.raises(KeyboardInterrupt):
            train(release)
    try:
        train(release)
    except RefusedError:  # only a person knows
        assert (target, nth, is_written, control_plane.jobs) == ("open_weight", 2, True, [])
        settle(release.lake, "math", never_started=[release.id])
        train(release)
    assert len(control_plane.jobs) == 1
    control_plane.end("Completed")
    assert (settle_one(release).status, state(release)) == ("Completed", "registered")


STATUS = {
    "nova": "GetModelCustomizationJob",
    "open_weight": "GetFineTuningJob",
    "sagemaker": "DescribeTrainingJob",
}


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 429), ("Expired", 403)])
def test_a_service_that_does_not_tell_changes_nothing(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    target: str,
    code: str,
    status: int,
) -> None:
    release = training_release(target)
    train(release)
    control_plane.end("Completed")
    control_plane.fail_next(STATUS[target], code, status, ATTEMPTS)
    with pytest.raises(OutsideError) as failure:
        settle(release.lake, "math")
    assert CONTENT not in str(failure.value)
    assert state(release) == "reserved"


def test_the_registry_names_the_target_and_its_endpoint(
    training_release: MakeRelease, control_plane: ControlPlane
) -> None:
    release = training_release("open_weight")
    train(release)
    use = find_use(release, "math")
    record = use.job_request() if use else None
    assert record is not None
    assert (record.target, record.region) == ("open_weight", "us-west-2")
    assert record.endpoint == f"{control_plane.url}/v1"


# --- What is sent


def bodies(control_plane: ControlPlane, operation: str) -> list[dict[str, Any]]:
    return [call.body for call in control_plane.calls if call.operation == operation]


def test_files_are_uploaded_and_the_digest_stands_in_the_metadata(
    training_release: MakeRelease, control_plane: ControlPlane
) -> None:
    release = training_release(
        "open_weight", hyper_parameters={"n_epochs": 2, "learning_rate_multiplier": 0.5}
    )
    train(release)
    (request,) = bodies(control_plane, CREATE["open_weight"])
    files = [control_plane.files[request[f"{side}_file"]] for side in ("training", "validation")]
    names = ("train.jsonl", "validation.jsonl")
    assert [f["content"] for f in files] == [release.file(name).read_text() for name in names]
    assert request["metadata"]["sluice:digest"] == release.manifest.digest
    assert request["method"]["reinforcement"]["hyperparameters"]["n_epochs"] == 2


def test_sagemaker_is_given_rows_of_verl(
    training_release: MakeRelease, control_plane: ControlPlane, bucket: str
) -> None:
    release = training_release("sagemaker")
    train(release)
    (request,) = bodies(control_plane, CREATE["sagemaker"])
    uris = {
        each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"]
        for each in request["InputDataConfig"]
    }
    folder = f"s3://{bucket}/lines/math/{release.id}/verl"
    assert uris == {side: f"{folder}/{side}.jsonl" for side in ("train", "validation")}
    key = uris["train"].removeprefix(f"s3://{bucket}/")
    content = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    rows = [json.loads(line) for line in content.splitlines()]
    assert rows[3]["reward_model"] == {"ground_truth": '{"final_answer":"6"}', "style": "rule"}
    assert request["ServerlessJobConfig"]["CustomizationTechnique"] == "RLVR"


def test_a_name_that_another_job_has_is_not_taken_for_ours(
    training_release: MakeRelease, control_plane: ControlPlane
) -> None:
    release = training_release("sagemaker")
    job = prepare(release)
    train(release)
    control_plane.jobs[0].request["InputDataConfig"] = []
    for path in release.lake.entries("registry/"):
        (job.release.lake.local(path)).unlink()
    with pytest.raises(SluiceError, match="another job of the name math-"):
        train(release)


@pytest.mark.parametrize("name", ["nova", "sagemaker"])
def test_an_upload_that_was_stored_otherwise_stops_the_job(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    from bedrock_sluice.lake.stores.s3 import S3Store

    release = training_release(name)
    put = S3Store.put_new

    def damage(store: S3Store, key: str, content: Any) -> bool:
        return put(store, key, content.read_bytes()[:-1] + b" ")

    monkeypatch.setattr(S3Store, "put_new", damage)
    with pytest.raises(IntegrityError, match="was not stored as it was sent"):
        train(release)
    assert control_plane.jobs == []


@pytest.fixture
def _short_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from support.rft import openai_api

    with monkeypatch.context() as patch:
        patch.setattr(openai_api, "_public_file", shorten)
        yield


def shorten(file: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in file.items() if key != "content"} | {"bytes": 1}


@pytest.mark.usefixtures("_short_files")
def test_an_uploaded_file_of_another_size_stops_the_job(
    training_release: MakeRelease, control_plane: ControlPlane
) -> None:
    with pytest.raises(IntegrityError, match="was not stored as it was sent"):
        train(training_release("open_weight"))
    assert control_plane.jobs == []
