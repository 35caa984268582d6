"""A store below an S3 prefix. Credentials, region and endpoint come from the usual AWS settings."""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)

from bedrock_sluice.lake.aws import CLIENT_CONFIG, unreached
from bedrock_sluice.lake.store import S3_SCHEME, Entry
from bedrock_sluice.transforms.errors import (
    ConfigError,
    OutsideError,
    SluiceError,
    TransientError,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef
else:
    S3Client = Any

READ_ATTEMPTS = 3
PUT_ATTEMPTS = 5  # where another writer is at the same key; botocore does not try that again

_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?")
_MISSING = frozenset({"NoSuchBucket", "404", "NotFound"})
_GONE = frozenset({"NoSuchKey", "PreconditionFailed", "412"})
_DENIED = frozenset({"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "ExpiredToken"})
_TAKEN = frozenset({"PreconditionFailed", "412"})
_BUSY = frozenset({"SlowDown", "Throttling", "RequestTimeout"})


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
        self._client = client or _client()
        self._cache = Path(tempfile.gettempdir()) / f"sluice-cache-{os.getuid()}"

    @property
    def uri(self) -> str:
        """The prefix as an `s3://` URI, without a slash at its end."""
        return f"{S3_SCHEME}{self.bucket}/{self._prefix}".rstrip("/")

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.entries`."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._told(prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._prefix + prefix):
                yield from map(self._entry, page.get("Contents", ()))

    def _entry(self, found: "ObjectTypeDef") -> Entry:
        key, etag = found["Key"].removeprefix(self._prefix), found["ETag"].strip('"')
        return Entry(key, found["Size"], etag, found["LastModified"])

    def entry(self, key: str) -> Entry | None:
        """See `Store.entry`."""
        with self._told(key):  # of the keys that begin with this one, it is the first
            page = self._client.list_objects_v2(
                Bucket=self.bucket, Prefix=self._prefix + key, MaxKeys=1
            )
        found = next(map(self._entry, page.get("Contents", ())), None)
        return found if found and found.key == key else None

    def folders(self, prefix: str = "") -> list[str]:
        """See `Store.folders`."""
        start = self._prefix + prefix
        pages = self._client.get_paginator("list_objects_v2")
        with self._told(prefix):
            found = [
                common["Prefix"].removeprefix(start).rstrip("/")
                for page in pages.paginate(Bucket=self.bucket, Prefix=start, Delimiter="/")
                for common in page.get("CommonPrefixes", ())
            ]
        return sorted(found)

    def read(self, entry: Entry) -> bytes:
        """See `Store.read`. botocore tries requests again, but not the reading of a body."""
        for _ in range(READ_ATTEMPTS):
            content = self._get(entry)
            if content is not None and len(content) == entry.size:
                return content
        told = "came over the network damaged or cut off, each time; run again"
        raise TransientError(f"{self.uri}/{entry.key} {told}")

    def _get(self, entry: Entry) -> bytes | None:
        """The bytes that came, or None if they stopped coming or do not check out."""
        key = self._prefix + entry.key
        with self._told(entry.key):
            answer = self._client.get_object(Bucket=self.bucket, Key=key, IfMatch=f'"{entry.etag}"')
        try:
            return answer["Body"].read()
        except (HTTPClientError, IncompleteReadError, FlexibleChecksumError):
            return None

    def local(self, entry: Entry) -> Path:
        """See `Store.local`; a copy in the cache folder is taken if its size is right."""
        name = sha256(f"{self.uri}/{entry.key} {entry.etag}".encode()).hexdigest()
        path = _private(self._cache) / name
        if not (path.is_file() and path.stat().st_size == entry.size):
            part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
            with part.open("wb") as file:
                file.write(self.read(entry))
                file.flush()
                os.fsync(file.fileno())  # before the name: a crash leaves no torn copy under it
            part.replace(path)
        return path

    def put_new(self, key: str, content: bytes | Path) -> bool:
        """See `Store.put_new`; S3's conditional write decides between two writers."""
        data = content if isinstance(content, bytes) else content.read_bytes()
        for attempt in range(1, PUT_ATTEMPTS + 1):
            try:
                with self._told(key):
                    self._client.put_object(
                        Bucket=self.bucket, Key=self._prefix + key, Body=data, IfNoneMatch="*"
                    )
            except _TakenError:
                return False
            except _ContestedError:
                if attempt == PUT_ATTEMPTS:
                    raise
            else:
                return True
        raise AssertionError("unreachable")

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._explained(error, key) from None
        except (HTTPClientError, BotoCoreError) as error:
            raise unreached(error, f"{self.uri}/{key}") from None

    def _explained(self, error: ClientError, key: str) -> SluiceError:
        code = error.response.get("Error", {}).get("Code", "?")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        where = f"{self.uri}/{key}"
        if error.operation_name == "PutObject" and code in _TAKEN:
            return _TakenError(where)
        if status == 409:
            return _ContestedError(f"{where}: another writer was at it ({code}); run again")
        if code in _GONE:
            return TransientError(f"{where} changed or went after it was listed; run again")
        if code in _MISSING:
            return ConfigError(f"{where}: there is no such bucket; correct the URI")
        if code in _DENIED:
            return OutsideError(
                f"{where}: S3 refused {error.operation_name} ({code}); check the credentials and "
                "the policy (s3:ListBucket, s3:GetObject, s3:PutObject)"
            )
        is_passing = code in _BUSY or status >= 500
        kind = TransientError if is_passing else OutsideError
        return kind(f"{where}: {error.operation_name} failed ({code})")


class _ContestedError(TransientError):
    """Two conditional writes met; S3 asks to try again."""


class _TakenError(OutsideError):
    """A conditional write found the key taken."""


def _private(folder: Path) -> Path:
    """The folder, made if need be; nobody else may write to it, or they could swap our data."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise OutsideError(f"{folder} can be written by others; delete it, and run again")
    return folder


def _client() -> S3Client:
    try:
        return boto3.session.Session().client("s3", config=CLIENT_CONFIG)
    except (BotoCoreError, ValueError) as error:
        raise unreached(error, "S3") from None
