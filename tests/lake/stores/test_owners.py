"""`bucket_owner`: S3 compares the owner of a bucket with every request, of all processes."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session
from support.protocols import MakeRecords, RunSluice, WriteRecipe

from bedrock_sluice.flows.running import executor
from bedrock_sluice.lake.stores import owners
from bedrock_sluice.lake.stores.opening import open_store

OWN, OTHER = "123456789012", "999999999999"  # the account of moto, and another one
HOUR = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2026/10/01/12"
HEADER = "x-amz-expected-bucket-owner"
DENIAL = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@pytest.fixture(autouse=True)
def no_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the recipes of a test said about buckets."""
    monkeypatch.setattr(owners, "_owners", {})


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The owner that each request of S3 expected; as S3 does, others than ours are denied."""
    headers, send = list[str | None](), URLLib3Session.send

    def compare(session: Any, request: Any) -> Any:
        owner = request.headers.get(HEADER)
        headers.append(owner.decode() if isinstance(owner, bytes) else owner)
        if headers[-1] in {None, OWN}:
            return send(session, request)
        return AWSResponse(request.url, 403, {}, Denial())  # type: ignore[arg-type]

    monkeypatch.setattr(URLLib3Session, "send", compare)
    return headers


class Denial:
    """The body of a denial, as urllib3 gives it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """The whole body at once."""
        yield DENIAL


def test_every_request_names_the_owner_and_a_wrong_one_is_explained(
    bucket: str,
    recipe: WriteRecipe,
    sluice: RunSluice,
    requests: list[str | None],
    records: MakeRecords,
    log_object: Callable[..., bytes],
) -> None:
    key = f"{HOUR}/20261001T120000Z_0.json.gz"
    open_store(f"s3://{bucket}/logs").put_new(key, log_object(records(5)))
    requests.clear()
    lake = f'"s3://{bucket}/lake"\nbucket_owner = "{OWN}"'
    path = recipe(swaps={'"lake"': lake, '"logs"': f'"s3://{bucket}/logs"'})
    assert sluice("pull", path).code == 0
    assert len(requests) > 5
    assert set(requests) == {OWN}
    path.write_text(path.read_text().replace(OWN, OTHER))
    run = sluice("pull", path)
    assert run.code == 3
    assert f"whether {bucket} is of the account {OTHER}" in run.err
    assert requests[-1] == OTHER


def owners_of_worker(_: int) -> tuple[int, dict[str, str]]:
    return os.getpid(), owners.expected_owners()


def test_other_processes_expect_the_same_owners() -> None:
    owners.expect_owner("acme-logs", OWN)
    results = list(executor.distribute(owners_of_worker, range(2), executor.MIN_PROCESS_BYTES))
    assert all(expected == {"acme-logs": OWN} for _, expected in results)
    assert os.getpid() not in {number for number, _ in results}


def test_the_logs_may_have_an_owner_of_their_own(recipe: WriteRecipe, sluice: RunSluice) -> None:
    swaps = {
        '"lake"': f'"s3://acme-lake/lake"\nbucket_owner = "{OWN}"',
        'uri = "logs"': f'uri = "s3://acme-logs/logs"\nbucket_owner = "{OTHER}"',
    }
    path = recipe(swaps=swaps)
    assert sluice("iam", path, "--account", OWN).code == 0
    expected = {"acme-lake": OWN, "acme-logs": OTHER}
    assert owners.expected_owners() == expected
    without_owner = recipe(swaps={'"lake"': '"s3://acme-lake/lake"'}, name="other.toml")
    assert sluice("validate", without_owner).code == 0
    assert owners.expected_owners() == expected  # of the first recipe, which runs as well
    text = sluice("iam", path, "--account", OWN).out
    assert text.count(f'"aws:ResourceAccount":"{OTHER}"') == text.count("acme-logs") - 1
    wrong = recipe(swaps={'"lake"': '"lake"\nbucket_owner = "1234"'}, name="w.toml")
    assert sluice("validate", wrong).code == 2
