"""A server that takes notices."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

Json = dict[str, Any]


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Json]]]:
    """The address of a server that takes notices, and what it got."""
    messages = list[Json]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            messages.append(json.loads(self.rfile.read(size)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook-7f3a", messages
    server.shutdown()
    thread.join()
    server.server_close()
