"""A real S3 API on loopback, a server that fails by a script, and the two stores over them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import botocore.endpoint
import pytest

from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.s3 import S3Store
from bedrock_sluice.lake.stores.store import Store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of either kind."""
    if request.param == "folder":
        (tmp_path / "root").mkdir()
        return FolderStore(tmp_path / "root")
    return S3Store(f"s3://{request.getfixturevalue('bucket')}/some/prefix")


class Reply(NamedTuple):
    """One answer of the failing server; status 0 hangs up without a word."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    missing_bytes: int = 0  # how many more bytes Content-Length tells than are sent
    has_length: bool = True


def _fault(status: int, code: str) -> Reply:
    """An error as S3 words it."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    headers = (("Content-Type", "application/xml"), ("x-amz-bucket-region", "eu-west-1"))
    return Reply(status, body, headers)


_FAULTS = {
    "SlowDown": 503,
    "InternalError": 500,
    "AccessDenied": 403,
    "SignatureDoesNotMatch": 403,
    "ExpiredToken": 400,
    "InvalidToken": 400,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "PreconditionFailed": 412,
    "ConditionalRequestConflict": 409,
    "InvalidArgument": 400,
    "InvalidAccessKeyId": 403,
    "RequestTimeTooSkewed": 403,
    "PermanentRedirect": 301,
    "AuthorizationHeaderMalformed": 400,
    "InvalidObjectState": 403,
    "KMS.DisabledException": 400,
}
_REPLIES = {
    **{code: _fault(status, code) for code, status in _FAULTS.items()},
    "content": Reply(200, b"content"),
    "listing": Reply(
        200,
        b"<ListBucketResult><Contents><Key>prefix/a</Key><Size>7</Size><ETag>&quot;e&quot;</ETag>"
        b"<LastModified>2026-10-01T12:00:00.000Z</LastModified></Contents>"
        b"<KeyCount>1</KeyCount></ListBucketResult>",
    ),
    "listing that lacks some": Reply(
        200, b"<ListBucketResult><KeyCount>7</KeyCount></ListBucketResult>"
    ),
    "nothing": Reply(200),
    "a proxy's page": Reply(
        200, b"<html><body>Please wait</body></html>", (("Content-Type", "text/html"),)
    ),
    "first page": Reply(
        200,
        b"<ListBucketResult><IsTruncated>true</IsTruncated>"
        b"<NextContinuationToken>next</NextContinuationToken><KeyCount>0</KeyCount>"
        b"</ListBucketResult>",
    ),
    "created": Reply(200, headers=(("ETag", '"e"'),)),
    "deletion that is denied": Reply(
        200,
        b"<DeleteResult><Error><Key>prefix/derived/a</Key><Code>AccessDenied</Code></Error>"
        b"</DeleteResult>",
    ),
    "deletion that fails": Reply(
        200,
        b"<DeleteResult><Error><Key>prefix/derived/a</Key><Code>InternalError</Code></Error>"
        b"</DeleteResult>",
    ),
    "hang up": Reply(0),
    "short": Reply(200, b"con", missing_bytes=4),
    "short without length": Reply(200, b"con", has_length=False),
    "error in a 200": _fault(200, "InternalError"),
    "altered": Reply(200, b"cantent", (("x-amz-checksum-crc32", "AAAAAA=="),)),
}


@dataclass
class FailingServer:
    """Answers by a script, the last line of it for ever; remembers what it was asked."""

    url: str = ""
    script: Sequence[Reply] = ()
    methods: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_reply(self, method: str) -> Reply:
        """The reply to the next request."""
        with self.lock:
            self.methods.append(method)
            return self.script[min(len(self.methods), len(self.script)) - 1]


def _handler(server: FailingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the body waits until the headers are acknowledged

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = server.next_reply(self.command)
            self.close_connection = not reply.has_length or bool(reply.missing_bytes)
            if not reply.status:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            if reply.has_length:
                self.send_header("Content-Length", str(len(reply.body) + reply.missing_bytes))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_PUT = do_HEAD = do_POST = answer  # noqa: N815 - the names are the server's

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def failing(
    aws: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[S3Store, FailingServer]]]:
    """Makes a store over a server that answers by a script; nobody waits between two tries."""
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
    state = FailingServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"

    def make(*script: str) -> tuple[S3Store, FailingServer]:
        aws(state.url)
        state.script = [_REPLIES[word] for word in script]
        return S3Store("s3://bucket/prefix"), state

    yield make
    server.shutdown()
    thread.join()
    server.server_close()
