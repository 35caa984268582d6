"""The store on S3: pages, the cache of local files, and every way in which S3 can fail."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.utils import parse_timestamp
from moto.s3.models import s3_backends

from bedrock_sluice.lake.aws import ATTEMPTS_PER_REQUEST, _parse_time
from bedrock_sluice.lake.stores.s3 import READ_ATTEMPTS, S3Store
from bedrock_sluice.lake.stores.store import Entry, ObjectRefusedError
from bedrock_sluice.transforms.errors import (
    ConfigError,
    OutsideError,
    SluiceError,
    TransientError,
)
from bedrock_sluice.transforms.reasons import Reason

Failing = Callable[..., tuple[S3Store, Any]]

ACCOUNT = "123456789012"  # moto's own
LISTED = Entry("a", 7, "e", datetime(2026, 10, 1, 12, tzinfo=UTC))

OPERATIONS: dict[str, Callable[[S3Store], object]] = {
    "list": lambda store: list(store.entries()),
    "read": lambda store: store.read(LISTED),
    "put": lambda store: store.put_new("a", b"content"),
}


@pytest.mark.parametrize("number", [1_000, 1_001, 2_001])
def test_all_pages_of_a_listing_are_read(bucket: str, number: int) -> None:
    names = [f"{n:05}" for n in range(number)]
    for name in names:
        s3_backends[ACCOUNT]["aws"].put_object(bucket, f"p/{name}/x", b"")
    store = S3Store(f"s3://{bucket}/p")
    assert [entry.key for entry in store.entries()] == [f"{name}/x" for name in names]
    assert store.folders() == names


@pytest.mark.parametrize(
    "text",
    [
        *("2026-10-01T12:00:00.000Z", "2026-10-01T12:00:00Z", "Thu, 01 Oct 2026 12:00:00 GMT"),
        *("2026-10-01T14:00:00+02:00", "20261001T120000Z", "1790856000", 1790856000),
        *("Thu, 01 Oct 2026 12:00:00 -0000", "Oct 1 2026 12:00 UTC"),
    ],
)
def test_times_are_those_that_botocore_reads(text: Any) -> None:
    assert _parse_time(text) == parse_timestamp(text)


@pytest.mark.parametrize("text", ["2026-13-01T12:00:00Z", "no time", ""])
def test_what_is_no_time_is_refused_as_botocore_does(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        _parse_time(text)


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("s3://{}", "s3://{}"),
        ("s3://{}/", "s3://{}"),
        ("s3://{}/p/q/", "s3://{}/p/q"),
        ("s3://{}//p", "s3://{}/p"),
    ],
)
def test_slashes_at_the_ends_mean_nothing(bucket: str, template: str, uri: str) -> None:
    store = S3Store(template.format(bucket))
    store.put_new("x", b"")
    assert store.uri == uri.format(bucket)
    assert [entry.key for entry in store.entries()] == ["x"]


def test_a_prefix_is_a_folder_and_not_the_start_of_a_name(bucket: str) -> None:
    for key in ("lake/a", "lake-old/b", "lakes"):
        S3Store(f"s3://{bucket}").put_new(key, b"")
    assert [entry.key for entry in S3Store(f"s3://{bucket}/lake").entries()] == ["a"]


def test_local_files_are_fetched_once_and_never_mixed_up(bucket: str) -> None:
    store = S3Store(f"s3://{bucket}/p")
    store.put_new("a", b"first")
    entry = store.entry("a")
    assert entry
    first = store.local(entry)
    store._client.delete_object(Bucket=bucket, Key="p/a")
    store.put_new("a", b"second")
    other = store.entry("a")
    assert other
    assert store.local(other).read_bytes() == b"second"
    assert S3Store(f"s3://{bucket}/p").local(entry) == first
    assert first.read_bytes() == b"first"


def test_local_files_are_for_their_owner_alone(bucket: str) -> None:
    store = S3Store(f"s3://{bucket}")
    store.put_new("../../escape", b"content")
    entry = store.entry("../../escape")
    assert entry
    path = store.local(entry)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_cache_folder_that_others_can_write_to_is_not_used(bucket: str) -> None:
    """Whoever could write there could put other data in the place of the lake's."""
    store = S3Store(f"s3://{bucket}")
    store.put_new("a", b"content")
    entry = store.entry("a")
    assert entry
    store._cache.mkdir(parents=True)
    store._cache.chmod(0o777)
    try:
        path = store.local(entry)
    except OutsideError:
        return
    assert path.parent.stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bucket_that_is_not_there_is_the_recipes_fault(
    aws: Callable[[str], None], moto_url: str, operation: str
) -> None:
    aws(moto_url)
    with pytest.raises(ConfigError, match="there is no such bucket"):
        OPERATIONS[operation](S3Store("s3://no-such-bucket/lake"))


GOOD = {"list": "listing", "read": "content", "put": "created"}
RESULTS = {"list": [LISTED], "read": b"content", "put": True}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["SlowDown", "InternalError", "hang up"])
def test_faults_that_pass_are_outlasted(failing: Failing, operation: str, fault: str) -> None:
    store, server = failing(fault, fault, GOOD[operation])
    assert OPERATIONS[operation](store) == RESULTS[operation]
    assert len(server.methods) == 3


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["SlowDown", "InternalError", "hang up"])
def test_faults_that_stay_are_transient_errors(
    failing: Failing, operation: str, fault: str
) -> None:
    store, server = failing(fault)
    with pytest.raises(TransientError, match="s3://bucket/prefix/"):
        OPERATIONS[operation](store)
    assert len(server.methods) <= ATTEMPTS_PER_REQUEST


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("SignatureDoesNotMatch", OutsideError, "check AWS_SECRET_ACCESS_KEY"),
        ("InvalidAccessKeyId", OutsideError, "does not know this access key"),
        ("ExpiredToken", OutsideError, "sign in again"),
        ("RequestTimeTooSkewed", OutsideError, "the clock of this machine"),
        ("InvalidToken", OutsideError, "unset AWS_SESSION_TOKEN"),
        ("InvalidArgument", OutsideError, r"\w+ failed \(InvalidArgument\)"),
        ("NoSuchBucket", ConfigError, "there is no such bucket; correct the URI"),
    ],
)
def test_refusals_are_told_at_once(
    failing: Failing, operation: str, fault: str, error: type[SluiceError], message: str
) -> None:
    store, server = failing(fault)
    with pytest.raises(error, match=message) as refusal:
        OPERATIONS[operation](store)
    assert refusal.type is error
    assert len(server.methods) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_a_bucket_of_another_region_is_told_with_its_region(
    failing: Failing, operation: str, fault: str
) -> None:
    store, _ = failing(fault)
    with pytest.raises(
        OutsideError, match="the bucket is in eu-west-1; set AWS_DEFAULT_REGION=eu-west-1"
    ):
        OPERATIONS[operation](store)


@pytest.mark.parametrize(
    ("fault", "reason", "message"),
    [
        ("AccessDenied", Reason.PULL_DENIED, "check the policy"),
        ("KMS.DisabledException", Reason.PULL_DENIED, "enable the key"),
        ("InvalidObjectState", Reason.PULL_ARCHIVED, "restore it"),
    ],
)
def test_an_object_that_can_not_be_read_is_told_apart_from_its_store(
    failing: Failing, fault: str, reason: Reason, message: str
) -> None:
    store, _ = failing(fault)
    with pytest.raises(ObjectRefusedError, match=message) as refusal:
        store.read(LISTED)
    assert refusal.value.reason == reason
    for operation in ("list", "put"):
        with pytest.raises(OutsideError) as other:
            OPERATIONS[operation](store)
        assert other.type is OutsideError
        if reason == Reason.PULL_DENIED:
            assert message in str(other.value)


@pytest.mark.parametrize("answer", ["nothing", "a proxy's page", "listing that lacks some"])
@pytest.mark.parametrize("pages", [0, 1])
def test_an_answer_that_is_not_s3s_is_no_end_of_a_listing(
    failing: Failing, answer: str, pages: int
) -> None:
    store, _ = failing(*["first page"] * pages, answer)
    with pytest.raises(TransientError):
        list(store.entries())
    for ask in (store.folders, lambda: store.entry("a")):
        failing(answer)
        with pytest.raises(TransientError):
            ask()


@pytest.mark.parametrize("answer", ["nothing", "a proxy's page"])
def test_an_answer_that_is_not_s3s_is_no_put(failing: Failing, answer: str) -> None:
    store, _ = failing(answer)
    with pytest.raises(TransientError, match="a Put is not one of S3's"):
        store.put_new("a", b"content")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("r/report.html", "text/html; charset=utf-8"),
        ("r/manifest.json", "application/json"),
        ("r/train.jsonl", "application/jsonl"),
        ("r/fates.parquet", "application/vnd.apache.parquet"),
        ("doctor", "binary/octet-stream"),
    ],
)
def test_an_object_has_the_type_of_its_name(bucket: str, key: str, kind: str) -> None:
    store = S3Store(f"s3://{bucket}")
    store.put_new(key, b"content")
    assert store._client.head_object(Bucket=bucket, Key=key)["ContentType"] == kind


@pytest.mark.parametrize("fault", ["PreconditionFailed", "NoSuchKey"])
def test_an_object_that_changed_is_listed_again_by_a_new_try(failing: Failing, fault: str) -> None:
    store, server = failing(fault)
    with pytest.raises(TransientError, match="changed or went after it was listed; run again"):
        store.read(LISTED)
    assert len(server.methods) == 1


def test_a_put_that_comes_second_is_told_so(failing: Failing) -> None:
    store, server = failing("PreconditionFailed")
    assert store.put_new("a", b"content") is False
    assert server.methods == ["PUT"]


def test_a_put_in_a_race_that_is_not_decided_may_be_tried_again(failing: Failing) -> None:
    store, _ = failing("ConditionalRequestConflict")
    with pytest.raises(TransientError, match="ConditionalRequestConflict"):
        store.put_new("a", b"content")


def test_a_put_whose_answer_was_lost_is_told_as_taken(failing: Failing) -> None:
    """It may have been written the first time; the caller looks whether the bytes are its own."""
    store, _ = failing("hang up", "PreconditionFailed")
    assert store.put_new("a", b"content") is False


@pytest.mark.parametrize("fault", ["short", "short without length", "altered"])
def test_bytes_that_go_missing_on_the_way_are_fetched_again(failing: Failing, fault: str) -> None:
    store, server = failing(fault, "content")
    assert store.read(LISTED) == b"content"
    assert len(server.methods) == 2


@pytest.mark.parametrize("fault", ["short", "short without length", "altered"])
def test_bytes_that_stay_missing_are_never_handed_on(failing: Failing, fault: str) -> None:
    store, server = failing(fault)
    with pytest.raises(TransientError):
        store.read(LISTED)
    assert len(server.methods) == READ_ATTEMPTS


def test_an_error_in_a_200_is_no_empty_listing(failing: Failing) -> None:
    store, _ = failing("error in a 200")
    with pytest.raises(OutsideError):
        list(store.entries())


def test_a_listing_that_fails_on_its_second_page_is_no_whole_listing(failing: Failing) -> None:
    store, _ = failing("first page", "InternalError")
    with pytest.raises(TransientError):
        list(store.entries())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_not_there_may_come_back(
    failing: Failing, aws: Callable[[str], None], operation: str
) -> None:
    aws("http://127.0.0.1:9")
    with pytest.raises(TransientError, match="check the network"):
        OPERATIONS[operation](S3Store("s3://bucket/prefix"))


def test_missing_credentials_are_told(
    aws: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws("http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(
        OutsideError, match=r"NoCredentialsError; no credentials were found; run `aws sso login`"
    ) as refusal:
        list(S3Store("s3://bucket").entries())
    assert not isinstance(refusal.value, TransientError)


def test_a_profile_that_is_not_there_is_told(
    aws: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws("http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(OutsideError, match="there is no profile nobody; check AWS_PROFILE"):
        S3Store("s3://bucket")
