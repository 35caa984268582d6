"""A store below an S3 prefix. Credentials, region and endpoint come from the usual AWS settings."""

import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)

from bedrock_sluice.lake.aws import error_code, make_client, remedy, status_code, unreachable_error
from bedrock_sluice.lake.files import replaced_file
from bedrock_sluice.lake.stores.owners import expected_owner, send_owners
from bedrock_sluice.lake.stores.store import (
    DERIVED_FOLDER,
    S3_SCHEME,
    Area,
    Entry,
    ObjectRefusedError,
    check_page,
    is_below,
)
from bedrock_sluice.transforms.errors import (
    ConfigError,
    OutsideError,
    SluiceError,
    TransientError,
)
from bedrock_sluice.transforms.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef, ObjectTypeDef
else:
    S3Client = Any

READ_ATTEMPTS = 3
DELETE_KEYS = 1_000  # of one request, at most
PUT_ATTEMPTS = 5  # where another writer is at the same key; botocore does not try that again

_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?")
_MISSING = frozenset({"NoSuchBucket", "404", "NotFound"})
_GONE = frozenset({"NoSuchKey", "PreconditionFailed", "412"})
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "403", "Forbidden"})
_ARCHIVED = "InvalidObjectState"  # of storage classes whose objects must be restored first
_POLICY = "check the policy (s3:ListBucket, s3:GetObject, s3:PutObject, kms:Decrypt)"
_DELETE_POLICY = "check the policy (s3:DeleteObject for this key)"
_KMS = "KMS."  # how codes begin that are about the key of one object
_TAKEN = frozenset({"PreconditionFailed", "412"})
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
}
_BUSY = frozenset({"InternalError", "RequestTimeout", "SlowDown", "Throttling"})


_cache_folder: ContextVar[Path | None] = ContextVar("cache_folder", default=None)


@contextmanager
def cache_in(folder: Path) -> Iterator[None]:
    """Keep local copies of objects in this folder instead, while the block runs in this thread."""
    token = _cache_folder.set(folder)
    try:
        yield
    finally:
        _cache_folder.reset(token)


class S3Store:
    """Objects below `s3://bucket/prefix`.

    Immutable objects that must be read as files are kept in a cache folder, by URI and ETag.
    """

    def __init__(self, uri: str, client: S3Client | None = None) -> None:
        match = _URI.fullmatch(uri)
        if not match:
            raise ConfigError(f"{uri} is no S3 URI: s3://bucket/prefix, bucket in lower case")
        self.bucket = match["bucket"]
        prefix = (match["prefix"] or "").strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client or make_client("s3")
        send_owners(self._client)
        self._cache = Path(tempfile.gettempdir()) / f"sluice-cache-{os.getuid()}"

    @property
    def uri(self) -> str:
        """The prefix as an `s3://` URI, without a slash at its end."""
        return f"{S3_SCHEME}{self.bucket}/{self._prefix}".rstrip("/")

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.entries`."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._as_store_error(prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._prefix + prefix):
                yield from map(self._entry, self._check_page(page).get("Contents", ()))

    def _check_page(self, page: "ListObjectsV2OutputTypeDef") -> "ListObjectsV2OutputTypeDef":
        """A page of a listing that is S3's own: it tells how much it holds.

        Raises:
            TransientError: it is empty or another server's, such as a proxy's.
        """
        if page.get("KeyCount") != len(page.get("Contents", ())) + len(
            page.get("CommonPrefixes", ())
        ):
            raise TransientError(
                f"{self.uri}: the answer to a listing is not one of S3's; check for a proxy "
                "between here and S3, and run again"
            )
        return page

    def _entry(self, listing: "ObjectTypeDef") -> Entry:
        key, etag = listing["Key"].removeprefix(self._prefix), listing["ETag"].strip('"')
        return Entry(key, listing["Size"], etag, listing["LastModified"])

    def entry(self, key: str) -> Entry | None:
        """See `Store.entry`."""
        with self._as_store_error(key):  # of the keys that begin with this one, it is the first
            page = self._client.list_objects_v2(
                Bucket=self.bucket, Prefix=self._prefix + key, MaxKeys=1
            )
        match = next(map(self._entry, self._check_page(page).get("Contents", ())), None)
        return match if match and match.key == key else None

    def folders(self, prefix: str = "") -> list[str]:
        """See `Store.folders`."""
        start = self._prefix + prefix
        pages = self._client.get_paginator("list_objects_v2")
        with self._as_store_error(prefix):
            prefixes = [
                common["Prefix"].removeprefix(start).rstrip("/")
                for page in pages.paginate(Bucket=self.bucket, Prefix=start, Delimiter="/")
                for common in self._check_page(page).get("CommonPrefixes", ())
            ]
        return sorted(prefixes)

    def read(self, entry: Entry) -> bytes:
        """See `Store.read`."""
        return self._read(entry, entry.size)

    def tail(self, entry: Entry, size: int) -> bytes:
        """See `Store.tail`; a copy in the cache folder is read if there is one."""
        path = self._copy(entry)
        if not _is_copy(path, entry):
            return self._read(entry, min(size, entry.size))
        with path.open("rb") as file:
            file.seek(max(entry.size - size, 0))
            return file.read()

    def _read(self, entry: Entry, size: int) -> bytes:
        """The last bytes of an object. botocore tries requests again, but not reading a body."""
        for _ in range(READ_ATTEMPTS):
            content = self._get(entry, size)
            if content is not None and len(content) == size:
                return content
        message = "came over the network damaged or cut off, each time; run again"
        raise TransientError(f"{self.uri}/{entry.key} {message}")

    def _get(self, entry: Entry, size: int) -> bytes | None:
        """The bytes that came, or None if they stopped coming or do not check out."""
        request: dict[str, Any] = {"Range": f"bytes=-{size}"} if size < entry.size else {}
        key = self._prefix + entry.key
        with self._as_store_error(entry.key):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=key, IfMatch=f'"{entry.etag}"', **request
            )
        try:
            return answer["Body"].read()
        except (HTTPClientError, IncompleteReadError, FlexibleChecksumError):
            return None

    def local(self, entry: Entry) -> Path:
        """See `Store.local`; a copy in the cache folder is taken if its size is right."""
        path = self._copy(entry)
        if not _is_copy(path, entry):
            with replaced_file(path) as file:
                file.write(self.read(entry))
        return path

    def adopt(self, entry: Entry, path: Path) -> None:
        """See `Store.adopt`; the file is moved into the cache folder."""
        if path.stat().st_size == entry.size:
            with suppress(OSError):  # on another disk
                path.replace(self._copy(entry))

    def _copy(self, entry: Entry) -> Path:
        """The file of the cache folder that holds an object, if there is one."""
        name = sha256(f"{self.uri}/{entry.key} {entry.etag}".encode()).hexdigest()
        return _private(_cache_folder.get() or self._cache) / name

    def put_new(self, key: str, content: bytes | Path) -> bool:
        """See `Store.put_new`; S3's conditional write decides between two writers."""
        data = content if isinstance(content, bytes) else content.read_bytes()
        for attempt in range(1, PUT_ATTEMPTS + 1):
            try:
                with self._as_store_error(key):
                    answer = self._client.put_object(
                        Bucket=self.bucket,
                        Key=self._prefix + key,
                        Body=data,
                        IfNoneMatch="*",
                        ContentType=_CONTENT_TYPES.get(Path(key).suffix, "binary/octet-stream"),
                    )
            except _TakenError:
                return False
            except _ContestedError:
                if attempt == PUT_ATTEMPTS:
                    raise
            else:
                # A proxy's page with status 200 would pass for success otherwise.
                if "ETag" in answer:
                    return True
                raise TransientError(
                    f"{self.uri}/{key}: the answer to a Put is not one of S3's; check for a proxy "
                    "between here and S3, and run again"
                )
        raise AssertionError("unreachable")

    def put_page(self, key: str, content: bytes) -> None:
        """See `Store.put_page`."""
        check_page(key)
        with self._as_store_error(key):
            self._client.put_object(
                Bucket=self.bucket,
                Key=self._prefix + key,
                Body=content,
                ContentType=_CONTENT_TYPES[Path(key).suffix],
            )

    def leftovers(self) -> Iterator[Entry]:
        """See `Store.leftovers`; an object is put by one request, which leaves nothing behind."""
        return iter(())

    def delete(self, entries: Collection[Entry], area: Area = DERIVED_FOLDER) -> None:
        """See `Store.delete`; copies in the cache folder are deleted, too."""
        keys = [entry.key for entry in entries]
        if wrong_keys := [key for key in keys if not is_below(area, key)]:
            raise ValueError(wrong_keys[0])
        for entry in entries:
            self._copy(entry).unlink(missing_ok=True)
        for start in range(0, len(keys), DELETE_KEYS):
            self._delete(keys[start : start + DELETE_KEYS])

    def _delete(self, keys: list[str]) -> None:
        with self._as_store_error(keys[0]):
            answer = self._client.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": self._prefix + key} for key in keys]},
            )
        for fault in answer.get("Errors", ()):
            key = fault.get("Key", "").removeprefix(self._prefix)
            error = ClientError({"Error": {"Code": fault.get("Code", "?")}}, "DeleteObjects")
            raise self._to_store_error(error, key)
        if len(answer.get("Deleted", ())) != len(keys):
            raise TransientError(
                f"{self.uri}/{keys[0]}: the answer to a deletion is not one of S3's; check for a "
                "proxy between here and S3, and run again"
            )

    @contextmanager
    def _as_store_error(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._to_store_error(error, key) from None
        except (HTTPClientError, BotoCoreError) as error:
            raise unreachable_error(error, f"{self.uri}/{key}") from None

    def _to_store_error(self, error: ClientError, key: str) -> SluiceError:
        code, status = error_code(error), status_code(error)
        where = f"{self.uri}/{key}"
        if error.operation_name == "PutObject" and code in _TAKEN:
            return _TakenError(where)
        if status == 409:
            return _ContestedError(f"{where}: another writer was at it ({code}); run again")
        if code in _GONE:
            return TransientError(f"{where} changed or went after it was listed; run again")
        if code in _MISSING:
            return ConfigError(f"{where}: there is no such bucket; correct the URI")
        is_passing = code in _BUSY or status >= 500
        other = TransientError if is_passing else OutsideError
        return _refusal(error, code, where, self._policy_hint(error)) or other(
            f"{where}: {error.operation_name} failed ({code})"
        )

    def _policy_hint(self, error: ClientError) -> str:
        hint = _DELETE_POLICY if error.operation_name == "DeleteObjects" else _POLICY
        owner = expected_owner(self.bucket)
        return f"{hint}, and whether {self.bucket} is of the account {owner}" if owner else hint


def _refusal(error: ClientError, code: str, where: str, policy: str) -> OutsideError | None:
    """What S3 does not let us do, and what to do about it; a single object may be the cause."""
    is_get = error.operation_name == "GetObject"
    if is_get and code == _ARCHIVED:
        message = f"{where} is archived ({code}); restore it to a class that can be read at once"
        return ObjectRefusedError(message, Reason.PULL_ARCHIVED)
    hint = policy if code in _DENIED else remedy(error)
    if hint is None:
        return None
    message = f"{where}: S3 refused {error.operation_name} ({code}); {hint}"
    if is_get and (code in _DENIED or code.startswith(_KMS)):
        return ObjectRefusedError(message, Reason.PULL_DENIED)
    return OutsideError(message)


class _ContestedError(TransientError):
    """Two conditional writes met; S3 asks to try again."""


class _TakenError(OutsideError):
    """A conditional write found the key taken."""


def _is_copy(path: Path, entry: Entry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size


def _private(folder: Path) -> Path:
    """The folder, made if need be; nobody else may write to it, or they could swap our data."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise OutsideError(f"{folder} can be written by others; delete it, and run again")
    return folder
