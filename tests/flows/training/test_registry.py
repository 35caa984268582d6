"""Jobs and the registry: prompts are reserved before a request, and freed by a job that failed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import polars as pl
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from support.releases import approve, publish_files

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.training.job import Settled, prepare, settle, start
from bedrock_sluice.flows.training.targets.base import Place
from bedrock_sluice.flows.training.targets.choice import TARGETS
from bedrock_sluice.lake.releases.registry import trained_on
from bedrock_sluice.lake.releases.release import (
    Release,
)
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.errors import (
    ConfigError,
    IntegrityError,
    OutsideError,
    RefusedError,
    SluiceError,
    TransientError,
)

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

Json = dict[str, Any]

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ARN = "arn:aws:bedrock:us-east-1:111122223333:model-customization-job/amazon.nova-2/0123456789ab"
MODEL = "arn:aws:bedrock:us-east-1:111122223333:custom-model/amazon.nova-2/0123456789ab"
CREATE, GET = "create_model_customization_job", "get_model_customization_job"
TRAIN: Json = {
    "model": "amazon.nova-2-lite-v1:0:256k",
    "role_arn": "arn:aws:iam::111122223333:role/bedrock-rft",
    "output_uri": "s3://acme-models/out/",
}
GRADER = {"lambda_arn": "arn:aws:lambda:us-east-1:111122223333:function:grade"}
CANARY = "hidden-content"


@pytest.fixture
def ready(tmp_path: Path, bucket: str) -> Callable[..., Release]:
    """Makes approved releases of a few lines, in a folder; the lines go to a bucket."""

    def make(train: str = "ab", *, has_digests: bool = True, lake: str = "") -> Release:
        lake = lake or str(tmp_path / "lake")
        section = TRAIN | {"data_uri": f"s3://{bucket}/lines"}
        recipe = {"name": "math", "lake": lake, "source": {"uri": "x"}, "template": {"name": "qa"}}
        recipe |= {"train": section, "grader": GRADER}
        release = publish_release(tmp_path, Recipe.model_validate(recipe), train, has_digests)
        approve(release, "Dana", NOON)
        return release

    return make


def publish_release(folder: Path, recipe: Recipe, train: str, has_digests: bool) -> Release:
    names = [*train, "z"]
    columns = {"request_id": names, "split": ["train"] * len(train) + ["validation"]}
    digests = {"prompt_digest": [f"p-{name}" for name in names]} if has_digests else {}
    files = {name: folder / name for name in ("train.jsonl", "provenance.parquet")}
    files["train.jsonl"].write_text("".join(f'{{"id":"{name}"}}\n' for name in train))
    pl.DataFrame(columns | digests).write_parquet(files["provenance.parquet"])
    return publish_files(recipe, files)


@pytest.fixture
def bedrock() -> "BedrockClient":
    """A client that never reaches anything."""
    return boto3.client(
        "bedrock",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def begin(release: Release, client: "BedrockClient") -> None:
    with Stubber(client) as stub:
        stub.add_response(CREATE, {"jobArn": ARN})
        assert start(prepare(release), client) == ARN


def job(status: str) -> Json:
    """What Bedrock tells of a job."""
    required_fields = {"jobName": "j", "outputModelName": "m", "roleArn": TRAIN["role_arn"]}
    required_fields |= {"baseModelArn": MODEL, "hyperParameters": {}, "creationTime": NOON}
    configs = ("trainingDataConfig", "validationDataConfig", "outputDataConfig")
    data: Json = dict(zip(configs, ({}, {"validators": []}, {"s3Uri": "s3://o/"}), strict=True))
    failure_fields = {"failureMessage": CANARY} if status == "Failed" else {}
    model_fields = {"outputModelArn": MODEL} if status == "Completed" else {}
    return {
        "jobArn": ARN,
        "status": status,
        **required_fields,
        **data,
        **failure_fields,
        **model_fields,
    }


def settle_jobs(
    release: Release, client: "BedrockClient", *statuses: str, never_started: tuple[str, ...] = ()
) -> list[Settled]:
    """Settle, while Bedrock answers with these statuses; a status may be an error's code."""
    with Stubber(client) as stub:
        for status in statuses:
            if status.endswith("Exception"):
                stub.add_client_error(GET, status, CANARY, 400)
            else:
                stub.add_response(GET, job(status))
        results = settle(release.lake, "math", lambda _: client, never_started)
        stub.assert_no_pending_responses()
    return results


def states(release: Release) -> set[str]:
    return set(trained_on(release.lake, "math")["state"])


def told_in(release: Release) -> dict[str, str]:
    """The small objects of the registry, by the end of their names."""
    folder = Path(release.lake.uri, "registry", "math")
    return {path.name[65:]: path.read_text() for path in sorted(folder.glob("*.json"))}


# --- Starting


def test_prompts_are_reserved_before_the_request_is_sent(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    release, reservations = ready(), list[pl.DataFrame]()

    def look(**_: Any) -> None:
        reservations.append(trained_on(release.lake, "math"))

    bedrock.meta.events.register("before-parameter-build", look)
    begin(release, bedrock)
    (then,) = reservations
    expected = [("p-a", release.id, "reserved"), ("p-b", release.id, "reserved")]
    assert then.rows() == trained_on(release.lake, "math").rows() == expected
    files = told_in(release)
    request_fields = json.loads(files.pop("job-1.json"))
    request = request_fields.pop("request")
    name = f"math-{release.manifest.digest[:12]}"
    assert request_fields == {"release": f"math/{release.id}", "job": name, "region": "us-east-1"}
    assert request["jobName"] == name
    assert files == {"started-1.json": f'{{"job_arn":"{ARN}"}}\n'}


def test_a_process_that_dies_while_it_asks_leaves_the_reservation(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    def die(**_: Any) -> None:
        raise KeyboardInterrupt

    release = ready()
    bedrock.meta.events.register("before-call", die)
    with pytest.raises(KeyboardInterrupt):
        start(prepare(release), bedrock)
    assert states(release) == {"reserved"}


@pytest.mark.parametrize(
    ("code", "status", "error", "state"),
    [
        ("ValidationException", 400, ConfigError, "released"),
        ("AccessDeniedException", 403, OutsideError, "released"),
        ("ExpiredTokenException", 403, OutsideError, "released"),
        ("ThrottlingException", 429, TransientError, "released"),
        ("ConflictException", 400, OutsideError, "reserved"),
        ("ResourceInUseException", 400, OutsideError, "reserved"),
        ("InternalServerException", 500, TransientError, "reserved"),
    ],
)
def test_only_a_request_that_surely_made_no_job_frees_its_prompts(
    ready: Callable[..., Release],
    bedrock: "BedrockClient",
    code: str,
    status: int,
    error: type[SluiceError],
    state: str,
) -> None:
    release = ready()
    with Stubber(bedrock) as stub:
        stub.add_client_error(CREATE, code, CANARY, status)
        with pytest.raises(error, match=code) as failure:
            start(prepare(release), bedrock)
    assert states(release) == {state}
    assert CANARY not in str([failure.value, told_in(release)])
    begin(release, bedrock)  # the cause was mended
    assert states(release) == {"reserved"}


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_refusal_after_a_lost_answer_frees_nothing(
    ready: Callable[..., Release], bedrock: "BedrockClient", attempts: int
) -> None:
    release = ready()
    with Stubber(bedrock) as stub:
        meta = {"RetryAttempts": attempts}
        stub.add_client_error(CREATE, "AccessDeniedException", "", 403, response_meta=meta)
        with pytest.raises(OutsideError):
            start(prepare(release), bedrock)
    assert states(release) == {"reserved" if attempts else "released"}


def test_a_bedrock_that_is_not_reached_may_have_been(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    release = ready()
    with pytest.raises(TransientError):
        start(prepare(release), bedrock)
    assert states(release) == {"reserved"}


def test_what_may_not_be_trained_on_reserves_nothing(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    old = ready(has_digests=False)
    with pytest.raises(RefusedError, match="release of an older version"):
        prepare(old)
    changed_release = ready()
    Path(changed_release.uri, "provenance.parquet").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="provenance"):
        prepare(changed_release)
    assert trained_on(changed_release.lake, "math").is_empty()


def test_a_rehearsal_gives_the_request_and_reserves_nothing(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    release = ready()
    request = prepare(release).request()
    assert trained_on(release.lake, "math").is_empty()
    with Stubber(bedrock) as stub:
        stub.add_response(CREATE, {"jobArn": ARN}, request)
        start(prepare(release), bedrock)


def test_a_lake_in_s3_keeps_its_registry_there(ready: Callable[..., Release], bucket: str) -> None:
    release = ready(lake=f"s3://{bucket}/lake")
    client = TARGETS["nova"].connect(Place())
    start(prepare(release), client)
    assert states(release) == {"reserved"}
    assert [each.status for each in settle(release.lake, "math")] == ["InProgress"]
    name = f"math-{release.manifest.digest[:12]}"
    client.stop_model_customization_job(jobIdentifier=name)
    assert settle(release.lake, "math") == [Settled(release.id, name, "Stopped", "released")]
    assert states(release) == {"released"}
    client.close()


# --- Settling


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("InProgress", "reserved"),
        ("Stopping", "reserved"),
        ("Completed", "registered"),
        ("Failed", "released"),
        ("Stopped", "released"),
        ("Novel", "reserved"),
    ],
)
def test_the_end_of_a_job_decides_about_its_prompts(
    ready: Callable[..., Release], bedrock: "BedrockClient", status: str, state: str
) -> None:
    release = ready()
    begin(release, bedrock)
    (settled_job,) = settle_jobs(release, bedrock, status)
    assert (settled_job.release, settled_job.status, settled_job.state) == (
        release.id,
        status,
        state,
    )
    assert states(release) == {state}
    # What the service says of a failure is kept for people, and of nothing else.
    texts = [name for name, text in told_in(release).items() if CANARY in text]
    assert texts == (["released-1.json"] if status == "Failed" else [])
    again = settle_jobs(release, bedrock, *([status] if state == "reserved" else []))
    assert again == [settled_job]  # what is settled is not asked about again


def test_a_completed_job_leaves_its_model_in_the_registry(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    release = ready()
    begin(release, bedrock)
    settle_jobs(release, bedrock, "Completed")
    text = f'{{"status":"Completed","job_arn":"{ARN}","model_arn":"{MODEL}"}}\n'
    assert told_in(release)["registered.json"] == text


def test_only_a_person_frees_what_bedrock_does_not_know(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    release, unknown = ready(), "ResourceNotFoundException"
    begin(release, bedrock)
    for never in ((), ("2026-11-01-000000000000",)):
        (settled_job,) = settle_jobs(release, bedrock, unknown, never_started=never)
        assert (settled_job.status, settled_job.state) == ("NotFound", "reserved")
    (settled_job,) = settle_jobs(release, bedrock, "InProgress", never_started=(release.id,))
    assert settled_job.state == "reserved"  # the person was wrong
    (settled_job,) = settle_jobs(release, bedrock, unknown, never_started=(release.id,))
    assert settled_job.state == "released"
    begin(release, bedrock)
    assert states(release) == {"reserved"}


def test_a_reservation_that_no_request_followed_can_be_freed(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    release = ready()
    begin(release, bedrock)
    for path in Path(release.lake.uri, "registry", "math").glob("*.json"):
        path.unlink()  # as if the process had died between the two
    assert settle_jobs(release, bedrock) == [Settled(release.id, None, "NotFound", "reserved")]
    (settled_job,) = settle_jobs(release, bedrock, never_started=(release.id,))
    assert (settled_job.state, states(release)) == ("released", {"released"})


def test_a_second_region_is_asked_when_the_first_has_no_job(
    ready: Callable[..., Release], bedrock: "BedrockClient"
) -> None:
    release, regions = ready(), list[str | None]()
    begin(release, bedrock)
    west = boto3.client("bedrock", region_name="us-west-2")
    with pytest.raises(RefusedError, match="with other settings"):
        begin(release, west)

    def client_of(region: str | None) -> "BedrockClient":
        regions.append(region)
        return bedrock if region == "us-east-1" else west

    with Stubber(bedrock) as stub:
        stub.add_response(GET, job("Failed"))
        settle(release.lake, "math", client_of)
    begin(release, west)
    with Stubber(west) as stub:
        stub.add_response(GET, job("Completed"))
        (settled_job,) = settle(release.lake, "math", client_of)
    assert (regions, settled_job.state) == (["us-east-1", "us-west-2"], "registered")
    west.close()


@pytest.mark.parametrize(
    ("code", "error", "hint"),
    [
        ("AccessDeniedException", OutsideError, "needs bedrock:GetModelCustomizationJob"),
        ("ThrottlingException", TransientError, "run again"),
        ("ExpiredTokenException", OutsideError, "sign in again"),
    ],
)
def test_a_bedrock_that_does_not_tell_changes_nothing(
    ready: Callable[..., Release],
    bedrock: "BedrockClient",
    code: str,
    error: type[SluiceError],
    hint: str,
) -> None:
    release = ready()
    begin(release, bedrock)
    with pytest.raises(error, match=hint) as failure:
        settle_jobs(release, bedrock, code)
    assert CANARY not in str(failure.value)
    assert states(release) == {"reserved"}


def test_a_lineage_without_jobs_asks_nobody(tmp_path: Path) -> None:
    lake = open_store(str(tmp_path / "lake"))
    assert settle(lake, "math", lambda _: pytest.fail("asked")) == []


def test_the_lineage_is_the_name_of_the_recipe_where_nothing_else_is_said() -> None:
    values = {"name": "math", "lake": "lake", "source": {"uri": "x"}, "template": {"name": "qa"}}
    assert Recipe.model_validate(values).lineage == "math"
    assert Recipe.model_validate(values | {"train": TRAIN}).lineage == "math"
