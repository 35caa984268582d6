"""Jobs over one release: today's settings, one job however often it is asked for, attempts."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Lock
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.command_line import TRAIN
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.flows.training.examination import Job
from bedrock_sluice.flows.training.job import prepare, start
from bedrock_sluice.flows.training.targets.nova import NovaTarget
from bedrock_sluice.lake.releases.registry import Use, read_uses, trained_on
from bedrock_sluice.lake.releases.release import Release, open_release
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.transforms.errors import OutsideError

Json = dict[str, Any]


class Bedrock:
    """Keeps jobs as Bedrock does: a token that it knows gives the job that it knows."""

    def __init__(self) -> None:
        self.meta = SimpleNamespace(region_name="us-east-1")
        self.jobs = dict[str, Json]()  # by token
        self.requests = list[Json]()
        self.refusals = 0  # how many of the next requests are refused
        self._lock = Lock()

    def create_model_customization_job(self, **request: Any) -> Json:
        """Make a job, or find it by its token."""
        with self._lock:
            self.requests.append(request)
            if self.refusals:
                self.refusals -= 1
                answer = {"Error": {"Code": "AccessDeniedException"}}
                raise ClientError(answer | _meta(403), "CreateModelCustomizationJob")
            arn = f"arn:{request['jobName']}"
            job_fields = self.jobs.setdefault(
                request["clientRequestToken"],
                {"jobArn": arn, "status": "InProgress", "name": request["jobName"]},
            )
            return {"jobArn": job_fields["jobArn"]}

    def get_model_customization_job(self, *, jobIdentifier: str) -> Json:  # noqa: N803 - boto3's
        """Tell of a job by its name."""
        for job_fields in self.jobs.values():
            if job_fields["name"] == jobIdentifier:
                return job_fields
        answer = {"Error": {"Code": "ResourceNotFoundException"}}
        raise ClientError(answer | _meta(404), "GetModelCustomizationJob")

    def end(self, status: str) -> None:
        """Let the jobs that run end so."""
        for job_fields in self.jobs.values():
            if job_fields["status"] == "InProgress":
                job_fields["status"] = status


def _meta(status: int) -> Any:
    return {"ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0}}


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Bedrock:
    """The Bedrock that all commands reach."""
    fake = Bedrock()
    monkeypatch.setattr(NovaTarget, "connect", lambda *_: fake)
    return fake


@pytest.fixture
def settings(sums: Path, recipe: WriteRecipe, bucket: str) -> Callable[..., Path]:
    """Writes the recipe over the sums with these lines at the end of [train]."""
    assert sums.exists()
    train = TRAIN.replace("s3://data/rft", f"s3://{bucket}/lines")
    return lambda more="", name="sums.toml": recipe(train + more, name=name)


@pytest.fixture
def release(settings: Callable[..., Path], sluice: RunSluice) -> str:
    """An approved release over 150 sums."""
    uri: str = sluice("build", settings("hyper_parameters = { epochCount = 2 }\n")).out.strip()
    assert sluice("approve", uri, "--by", "Dana").code == 0
    return uri


def use_of(release: str) -> Use:
    """What the registry holds of a release."""
    (use,) = read_uses(open_release(release).lake, "sums")
    return use


def begin(new_job: Job, bedrock: Any) -> str:
    return start(new_job, bedrock)


def states(release: Release) -> set[str]:
    return set(trained_on(release.lake, "sums")["state"])


def test_other_job_settings_are_no_other_release(
    release: str, settings: Callable[..., Path], sluice: RunSluice, bedrock: Bedrock
) -> None:
    prices = "prices = { per_1k_output_tokens = 0.001 }\nbudget = 1e6\n"
    path = settings(f'{prices}hyper_parameters = {{ epochCount = 3 }}\ntags = {{ a = "b" }}\n')
    path.write_text(path.read_text().replace("function:grade", "function:better"))
    assert sluice("build", path).out.strip() == release
    result = sluice("train", release, "--recipe", path)
    assert result.code == 0, result.err
    (request,) = bedrock.requests
    rft = request["customizationConfig"]["rftConfig"]
    assert rft["hyperParameters"] == {"epochCount": 3}
    assert rft["graderConfig"]["lambdaGrader"]["lambdaArn"].endswith("function:better")
    assert result.err.index('{"epochCount":3}') < result.err.index("started")
    job_request = use_of(release).job_request()
    assert job_request is not None
    assert job_request.request == request


def test_without_a_recipe_the_settings_are_those_of_the_build(
    release: str, sluice: RunSluice, bedrock: Bedrock
) -> None:
    result = sluice("train", release)
    assert "with the settings of the recipe of the build" in result.err
    (request,) = bedrock.requests
    assert request["customizationConfig"]["rftConfig"]["hyperParameters"] == {"epochCount": 2}


def test_the_recipe_of_another_dataset_is_refused(
    release: str, settings: Callable[..., Path], sluice: RunSluice, bedrock: Bedrock
) -> None:
    path = settings(name="other.toml")
    path.write_text(path.read_text().replace('name = "sums"', 'name = "other"'))
    for command in ("train", "estimate"):
        result = sluice(command, release, "--recipe", path)
        assert (result.code, "not of other" in result.err) == (2, True)
    assert bedrock.requests == []


def test_a_job_that_failed_can_be_tried_again(
    release: str, sluice: RunSluice, bedrock: Bedrock
) -> None:
    first = sluice("train", release).out.strip()
    assert sluice("train", release).out.strip() == first  # twice is once
    bedrock.end("Failed")
    second = sluice("train", release).out.strip()
    assert sluice("train", release).out.strip() == second == f"{first}-2"
    names = [(r["jobName"], r["clientRequestToken"]) for r in bedrock.requests]
    assert len(bedrock.requests) == len(bedrock.jobs) == len(set(names)) == 2
    assert [claim.number for claim in use_of(release).claims] == [2]
    bedrock.end("Completed")
    assert sluice("train", release).out.strip() == second
    assert (states(open_release(release)), len(bedrock.jobs)) == ({"registered"}, 2)


def test_a_job_with_other_settings_waits_for_the_first_to_end(
    release: str, settings: Callable[..., Path], sluice: RunSluice, bedrock: Bedrock
) -> None:
    sluice("train", release)
    path = settings("hyper_parameters = { epochCount = 4 }\n")
    result = sluice("train", release, "--recipe", path)
    assert (result.code, "asked for with other settings" in result.err) == (1, True)
    bedrock.end("Completed")
    result = sluice("train", release, "--recipe", path)
    assert (result.code, "name another lineage" in result.err) == (1, True)
    assert len(bedrock.jobs) == 1
    path = settings('hyper_parameters = { epochCount = 4 }\nlineage = "longer"\n')
    assert sluice("train", release, "--recipe", path).code == 0
    assert len(bedrock.jobs) == 2


def test_a_refused_request_is_sent_again_under_its_name(
    release: str, settings: Callable[..., Path], sluice: RunSluice, bedrock: Bedrock
) -> None:
    bedrock.refusals = 1
    assert sluice("train", release).code == 3
    assert states(open_release(release)) == {"released"}
    path = settings("hyper_parameters = { epochCount = 4 }\n")
    assert sluice("train", release, "--recipe", path).code == 0
    assert len({request["clientRequestToken"] for request in bedrock.requests}) == 1


def test_four_at_once_are_one_job_and_one_claim(release: str, bedrock: Bedrock) -> None:
    barrier = Barrier(4)

    def train(_: int) -> str:
        new_job = prepare(open_release(release))
        barrier.wait()
        return begin(new_job, bedrock)

    with ThreadPoolExecutor(4) as pool:
        arns = set(pool.map(train, range(4)))
    assert len(arns) == len(bedrock.jobs) == 1
    assert [claim.number for claim in use_of(release).claims] == [1]


def test_who_shares_a_claim_and_is_refused_frees_nothing(
    release: str, bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes send the same request at once; the one that is refused is told first."""
    first, second = (prepare(open_release(release)) for _ in range(2))
    create = bedrock.create_model_customization_job

    def refuse_after_another(**request: Any) -> Json:
        monkeypatch.setattr(bedrock, "create_model_customization_job", create)
        bedrock.refusals = 1
        with pytest.raises(OutsideError):
            begin(second, bedrock)
        return create(**request)

    monkeypatch.setattr(bedrock, "create_model_customization_job", refuse_after_another)
    begin(first, bedrock)
    assert states(first.release) == {"reserved"}
    assert begin(prepare(open_release(release)), bedrock) == f"arn:{first.request()['jobName']}"
    assert len(bedrock.jobs) == 1


def test_a_claim_whose_answer_was_lost_is_not_made_twice(
    release: str, bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FolderStore.put_new

    def forget(store: FolderStore, key: str, content: bytes | Path) -> bool:
        return put(store, key, content) and ".job-" not in key

    monkeypatch.setattr(FolderStore, "put_new", forget)
    begin(prepare(open_release(release)), bedrock)
    assert [claim.number for claim in use_of(release).claims] == [1]


def test_consent_is_asked_before_aws_is(
    sums: Path, settings: Callable[..., Path], sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(sums.parent / "none"))
    release = sluice("build", settings()).out.strip()
    result = sluice("train", release)
    assert (result.code, "is not approved" in result.err) == (1, True)
    sluice("approve", release, "--by", "Dana")
    assert "NoRegionError; no Region is set; set AWS_DEFAULT_REGION" in sluice("train", release).err


@pytest.mark.parametrize("is_current", [False, True], ids=["as built", "as it is now"])
def test_a_recipe_without_job_settings_is_refused_after_consent_and_before_aws_is_asked(
    sums: Path,
    settings: Callable[..., Path],
    sluice: RunSluice,
    monkeypatch: pytest.MonkeyPatch,
    is_current: bool,
) -> None:
    plain = sums.read_text()
    release = sluice("build", settings() if is_current else sums).out.strip()
    sums.write_text(plain)
    current = ("--recipe", sums) if is_current else ()
    monkeypatch.setattr(NovaTarget, "connect", lambda *_: pytest.fail("AWS was asked"))
    assert "is not approved" in sluice("train", release, *current).err
    sluice("approve", release, "--by", "Dana")
    result = sluice("train", release, *current)
    assert (result.code, "the recipe of sums has no [train]; add it" in result.err) == (2, True)


def test_a_release_is_named_in_its_report(release: str) -> None:
    manifest = json.loads(Path(release, "manifest.json").read_text())
    page = Path(release, "report.html").read_text()
    for text in (manifest["id"], manifest["digest"], f"{manifest['id']} --by NAME"):
        assert text in page
