"""The training job: its exact request, what is refused, and what reaches AWS."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import polars as pl
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from support.releases import approve, publish_files

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.flows.training.job import prepare, start
from bedrock_sluice.flows.training.request import job_request as request_of
from bedrock_sluice.flows.training.targets.base import Place, Request
from bedrock_sluice.flows.training.targets.choice import TARGETS
from bedrock_sluice.lake.releases.manifest import Verdict
from bedrock_sluice.lake.releases.release import (
    Release,
    open_release,
)
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
    from mypy_boto3_s3 import S3Client

Json = dict[str, Any]

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ARN = "arn:aws:bedrock:us-east-1:111122223333:model-customization-job/amazon.nova-2/0123456789ab"
LAMBDA = "arn:aws:lambda:us-east-1:111122223333:function:grade"
ROLE = "arn:aws:iam::111122223333:role/bedrock-rft"
TRAIN: Json = {
    "model": "amazon.nova-2-lite-v1:0:256k",
    "role_arn": ROLE,
    "output_uri": "s3://acme-models/out/",
    "hyper_parameters": {"epochCount": 3, "batchSize": 32, "learningRate": 5e-5},
    "tags": {"team": "math"},
}
FOUNDATION = "arn:aws:bedrock:us-west-2::foundation-model/"
HYPER = "customizationConfig.rftConfig.hyperParameters"
GRADER = {"lambda_arn": LAMBDA}
DATA = "s3://acme-data/lines"
NO_TRAIN: Json = {"model": None}
LINES = {"train.jsonl": '{"id":"hidden-content"}\n', "validation.jsonl": '{"id":"b"}\n'}


def publish_release(
    folder: Path,
    lake: str = "",
    *,
    verdict: Verdict = "passed",
    grader: Json | None = GRADER,
    validation_lines: str = LINES["validation.jsonl"],
    **train: object,
) -> Release:
    """A release made by hand, on disk where no lake is given; `train` changes that section."""
    lake = lake or str(folder / "lake")
    keys = {"name": "math", "lake": lake, "source": {"uri": "logs"}, "template": {"name": "math"}}
    sections = {"grader": grader, "train": {**TRAIN, **train} if train != NO_TRAIN else None}
    recipe = Recipe.model_validate({**keys, **sections})
    files = {name: folder / name for name in (*LINES, "provenance.parquet")}
    for name, text in {**LINES, "validation.jsonl": validation_lines}.items():
        files[name].write_text(text)
    rows = {"request_id": ["hidden-content"], "split": ["train"], "prompt_digest": ["p"]}
    pl.DataFrame(rows).write_parquet(files["provenance.parquet"])
    return publish_files(recipe, files, verdict)


def job_request(release: Release, data_uri: str) -> Request:
    recipe = recipe_of(release)
    train = recipe.train and recipe.train.model_copy(update={"data_uri": data_uri})
    return request_of(release, recipe.model_copy(update={"train": train}))


def begin(release: Release, client: "BedrockClient") -> str:
    return start(prepare(release), client)


def approve_release(release: Release) -> Release:
    approve(release, "Dana", NOON)
    return release


@pytest.fixture
def s3(aws: Callable[[str], None], moto_url: str) -> "Iterator[S3Client]":
    """A client of an AWS of our own, which is empty but for the buckets `lake` and `data`."""
    aws(moto_url)
    client = boto3.client("s3")
    for bucket in ("acme-lake", "acme-data"):
        client.create_bucket(Bucket=bucket)
    yield client
    for bucket in ("acme-lake", "acme-data"):
        for key in keys(client, bucket):
            client.delete_object(Bucket=bucket, Key=key)
        client.delete_bucket(Bucket=bucket)


def keys(s3: "S3Client", bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


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


def test_the_request_is_exactly_this(tmp_path: Path) -> None:
    release = publish_release(tmp_path, kms_key_id="alias/models")
    digest, lines = release.manifest.digest, f"s3://acme-lake/here/math/{release.id}"
    assert job_request(release, "s3://acme-lake/here") == {
        "jobName": f"math-{digest[:12]}",
        "customModelName": f"math-{digest[:12]}",
        "roleArn": ROLE,
        "clientRequestToken": f"sluice-{digest}",
        "baseModelIdentifier": "amazon.nova-2-lite-v1:0:256k",
        "customizationType": "REINFORCEMENT_FINE_TUNING",
        "customModelKmsKeyId": "alias/models",
        "jobTags": [
            {"key": "team", "value": "math"},
            {"key": "sluice:release", "value": f"math/{release.id}"},
            {"key": "sluice:digest", "value": digest},
        ],
        "trainingDataConfig": {"s3Uri": f"{lines}/train.jsonl"},
        "validationDataConfig": {"validators": [{"s3Uri": f"{lines}/validation.jsonl"}]},
        "outputDataConfig": {"s3Uri": "s3://acme-models/out/"},
        "customizationConfig": {
            "rftConfig": {
                "graderConfig": {"lambdaGrader": {"lambdaArn": LAMBDA}},
                "hyperParameters": {"epochCount": 3, "batchSize": 32, "learningRate": 5e-5},
            }
        },
    }


def test_what_the_recipe_does_not_ask_for_is_left_out(tmp_path: Path) -> None:
    plain = publish_release(tmp_path, validation_lines="", hyper_parameters={})
    request = job_request(plain, "s3://acme-lake/here")
    assert "hyperParameters" not in request["customizationConfig"]["rftConfig"]
    assert not request.keys() & {"validationDataConfig", "customModelKmsKeyId"}
    switched_off = job_request(publish_release(tmp_path, validation=False), "s3://acme-lake/here")
    assert "validationDataConfig" not in switched_off


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"role_arn": "bedrock-rft"}, "roleArn: must match"),
        ({"output_uri": "s3://acme-models/dt=1/"}, "outputDataConfig.s3Uri: must match"),
        ({"output_uri": "/srv/out"}, "outputDataConfig.s3Uri: must match"),
        ({"kms_key_id": "no key"}, "customModelKmsKeyId: must match"),
        ({"tags": {"team": "a,b"}}, "jobTags[0].value: must match"),
        ({"tags": {"sluice:digest": "mine"}}, "sluice:digest is set by Sluice itself"),
        ({"hyper_parameters": {"learningRate": 0.01}}, f"{HYPER}.learningRate: must be 1e-07 to"),
        ({"hyper_parameters": {"batchSize": 8}}, f"{HYPER}.batchSize: must be 16 to 512"),
        ({"hyper_parameters": {"batch_size": 32}}, f"{HYPER}.batch_size: is not known; known"),
        ({"grader": {"lambda_arn": "grade"}}, "lambdaGrader.lambdaArn: must match arn"),
        ({"grader": None}, "has no [grader]"),
        (NO_TRAIN, "has no [train]"),
        ({"role_arn": None, "output_uri": None}, "roleArn: is missing ([train] role_arn"),
        ({"model": "openai.gpt-oss-20b", "target": "nova"}, "nova can't train openai.gpt-oss-20b"),
        (
            {"model": f"{FOUNDATION}qwen.qwen3-32b-v1:0", "target": "sagemaker"},
            'write "open_weight"',
        ),
    ],
)
def test_what_bedrock_would_refuse_is_named_before(
    tmp_path: Path, changes: Json, fault: str
) -> None:
    with pytest.raises(ConfigError) as failure:
        job_request(publish_release(tmp_path, **changes), "s3://acme-lake/here")
    assert fault in str(failure.value)
    assert failure.value.exit_code == 2


@pytest.mark.parametrize("value", [True, nan, inf, 10**400, [1], None])
def test_a_hyper_parameter_is_a_finite_number_or_a_text(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match="must be a finite number or a text"):
        publish_release(tmp_path, hyper_parameters={"epochCount": value})


def test_all_that_bedrock_would_refuse_is_one_message(tmp_path: Path) -> None:
    release = publish_release(tmp_path, role_arn="x", hyper_parameters={"epochCount": 0})
    with pytest.raises(ConfigError, match=r"(?s)trainingDataConfig.*") as failure:
        job_request(release, "s3://acme-lake/dt=1")
    wrong = ["roleArn", f"{HYPER}.epochCount", "trainingDataConfig.s3Uri"]
    assert all(f"  {path}: " in str(failure.value) for path in wrong)


def test_the_token_is_that_of_the_content(tmp_path: Path) -> None:
    releases = [publish_release(tmp_path, str(tmp_path / name)) for name in ("one", "two")]
    releases.append(publish_release(tmp_path, validation_lines="{}\n"))
    first, again, other = (job_request(r, "s3://acme-lake/x") for r in releases)
    assert first["clientRequestToken"] == again["clientRequestToken"]
    assert first["clientRequestToken"] != other["clientRequestToken"]


def test_another_lineage_is_another_job(tmp_path: Path) -> None:
    plain, other = (
        job_request(publish_release(tmp_path, str(tmp_path / name), lineage=name), "s3://lake/x")
        for name in ("math", "tutor")
    )
    assert plain.keys() == other.keys()
    names = ("jobName", "customModelName", "clientRequestToken")
    assert all(plain[name] != other[name] for name in names)


def write_other_approval(release: Release) -> Release:
    approve(release, "Dana", NOON)
    (path,) = Path(release.lake.uri, "decisions/math").iterdir()
    path.write_text(path.read_text().replace(release.manifest.digest, "0" * 64))
    return release


def edit(release: Release, name: str, old: str, new: str) -> Release:
    path = Path(release.uri, name)
    path.write_text(path.read_text().replace(old, new))
    return open_release(release.uri)


REFUSED: dict[str, tuple[Any, type[SluiceError], str]] = {
    "rejected": (
        lambda f: publish_release(f, verdict="rejected", data_uri=DATA),
        RefusedError,
        "rejected by",
    ),
    "not approved": (
        lambda f: publish_release(f, data_uri=DATA),
        RefusedError,
        "sluice approve .* --by NAME",
    ),
    "approved as something else": (
        lambda f: write_other_approval(publish_release(f)),
        IntegrityError,
        "changed after it was written",
    ),
    "changed train.jsonl": (
        lambda f: edit(
            approve_release(publish_release(f, data_uri=DATA)), "train.jsonl", "hidden", "x"
        ),
        IntegrityError,
        "train.jsonl: content differs",
    ),
    "changed validation.jsonl": (
        lambda f: edit(
            approve_release(publish_release(f, data_uri=DATA)), "validation.jsonl", "b", "x"
        ),
        IntegrityError,
        "validation.jsonl: content differs",
    ),
    "changed settings": (
        lambda f: edit(
            approve_release(publish_release(f)), "manifest.json", "bedrock-rft", "admin"
        ),
        IntegrityError,
        "about other content",
    ),
    "changed recipe": (
        lambda f: edit(approve_release(publish_release(f)), "manifest.json", ": 8192", ": 9192"),
        IntegrityError,
        "does not fit its digest",
    ),
    "lake in a folder": (
        lambda f: approve_release(publish_release(f)),
        ConfigError,
        "set data_uri",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_job_is_refused_before_anything_is_sent(
    tmp_path: Path, bedrock: "BedrockClient", case: str
) -> None:
    make, error, message = REFUSED[case]
    release = make(tmp_path)
    with pytest.raises(error, match=message) as failure:
        prepare(release)
    with Stubber(bedrock), pytest.raises(error, match=message):  # without answers: sends nothing
        begin(release, bedrock)
    assert "hidden-content" not in str(failure.value)


def test_a_dry_run_gives_the_exact_request_and_changes_nothing(
    tmp_path: Path, s3: "S3Client", bedrock: "BedrockClient"
) -> None:
    release = approve_release(publish_release(tmp_path, data_uri=DATA))
    request = prepare(release).request()
    assert keys(s3, "acme-data") == []
    with Stubber(bedrock) as stub:
        stub.add_response("create_model_customization_job", {"jobArn": ARN}, request)
        assert begin(release, bedrock) == ARN


def test_lines_are_uploaded_where_data_uri_says(
    tmp_path: Path, s3: "S3Client", bedrock: "BedrockClient"
) -> None:
    release = approve_release(publish_release(tmp_path, data_uri=f"{DATA}/"))
    request = prepare(release).request()
    with Stubber(bedrock) as stub:
        stub.add_response("create_model_customization_job", {"jobArn": ARN}, request)
        for _ in range(2):  # twice is once: the second sends nothing
            assert begin(release, bedrock) == ARN
        stub.assert_no_pending_responses()
    below = f"lines/math/{release.id}"
    assert request["trainingDataConfig"] == {"s3Uri": f"s3://acme-data/{below}/train.jsonl"}
    there = {key: s3.get_object(Bucket="acme-data", Key=key) for key in keys(s3, "acme-data")}
    contents = {key: answer["Body"].read().decode() for key, answer in there.items()}
    assert contents == {f"{below}/{name}": text for name, text in LINES.items()}


def test_other_lines_where_these_would_go_stop_the_job(
    tmp_path: Path, s3: "S3Client", bedrock: "BedrockClient"
) -> None:
    release = approve_release(publish_release(tmp_path, data_uri=DATA))
    key = f"lines/math/{release.id}/train.jsonl"
    s3.put_object(Bucket="acme-data", Key=key, Body=b"other")
    with Stubber(bedrock), pytest.raises(IntegrityError, match=r"train\.jsonl: already exists"):
        begin(release, bedrock)
    assert s3.get_object(Bucket="acme-data", Key=key)["Body"].read() == b"other"


def test_a_release_in_s3_is_trained_on_where_it_lies(tmp_path: Path, s3: "S3Client") -> None:
    release = approve_release(publish_release(tmp_path, "s3://acme-lake/lake"))
    before = set(keys(s3, "acme-lake"))
    client = TARGETS["nova"].connect(Place())
    arn = begin(release, client)
    name = f"math-{release.manifest.digest[:12]}"
    job = client.get_model_customization_job(jobIdentifier=name)
    assert (job["jobArn"], job["roleArn"], job["customizationType"]) == (
        arn,
        ROLE,
        "REINFORCEMENT_FINE_TUNING",
    )
    assert job["trainingDataConfig"]["s3Uri"] == f"{release.uri}/train.jsonl"
    new_keys = set(keys(s3, "acme-lake")) - before
    assert all(key.startswith("lake/registry/math/") for key in new_keys)
    client.close()


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ValidationException", 400, ConfigError),
        ("ResourceNotFoundException", 404, ConfigError),
        ("TooManyTagsException", 400, ConfigError),
        ("ConflictException", 400, OutsideError),
        ("InternalServerException", 500, TransientError),
        ("ServiceUnavailable", 503, TransientError),
    ],
)
def test_what_bedrock_refuses_is_told_by_what_to_do(
    tmp_path: Path,
    s3: "S3Client",
    bedrock: "BedrockClient",
    code: str,
    status: int,
    error: type[SluiceError],
) -> None:
    release = approve_release(publish_release(tmp_path, "s3://acme-lake/lake"))
    with Stubber(bedrock) as stub:
        stub.add_client_error(
            "create_model_customization_job", code, "line 1: hidden-content", status
        )
        with pytest.raises(error, match=rf"{code}.*; \w+") as failure:
            begin(release, bedrock)
    assert type(failure.value) is error
    assert "hidden-content" not in str(failure.value)


def test_a_bedrock_that_is_not_there_may_be_there_later(
    tmp_path: Path, s3: "S3Client", bedrock: "BedrockClient"
) -> None:
    release = approve_release(publish_release(tmp_path, "s3://acme-lake/lake"))
    with pytest.raises(TransientError, match="EndpointConnectionError; check the network"):
        begin(release, bedrock)
