"""What runs in the process of a local grader: loads it, and calls it with event after event.

Run by its path: `python -I child.py FILE FUNCTION EVENTS ANSWERS MEMORY_BYTES CPU_SECONDS`,
where EVENTS and ANSWERS are descriptors of pipes: what a grader reads or prints does not get
between. Both carry frames, JSON after its length. (`multiprocessing.connection` would not do: it
blocks in the middle of a message, so a grader that writes half a frame would stop the build.)
Answers: `{"loaded": …}` first, then for each event `{"value": …}`, `{"raised": TYPE}` or
`{"no_json": TYPE}`, with `"left_running": true` where a process was left behind.

Nothing of ours is imported, so that the grader meets what Lambda has, and little more.
"""

import ctypes
import importlib.util
import json
import math
import os
import resource
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

LENGTH = struct.Struct(">Q")  # of a frame, in bytes
MAX_FILE_BYTES = 512 << 20  # what a Lambda has below /tmp
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2): who is left behind becomes a child of this process

Handler = Callable[[Any, object], object]


class Context:
    """What handlers commonly ask of Lambda's context object."""

    function_name = "sluice-local"
    function_version = "$LATEST"
    aws_request_id = "00000000-0000-0000-0000-000000000000"
    invoked_function_arn = "arn:aws:lambda:local:000000000000:function:sluice-local"

    def __init__(self, memory_bytes: int, seconds: float) -> None:
        self.memory_limit_in_mb = memory_bytes >> 20
        self._deadline = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the call is stopped."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def main(file: str, function: str, *numbers: str) -> None:
    """Serve events until there are no more."""
    events, answers, memory = map(int, numbers[:3])
    own, seconds = os.getpid(), float(numbers[3])
    with suppress(AttributeError, OSError):  # where there is no prctl, a daemon gets away
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    with os.fdopen(events, "rb") as source, os.fdopen(answers, "wb") as target:
        handler, frame = _load(Path(file), function)
        _send(target, frame)
        while handler and (event := _receive(source)) is not None:
            _limit_cpu(seconds)
            answer = _call(handler, event, Context(memory, seconds))
            if os.getpid() != own:  # the grader forked, and its child came back here as well
                os._exit(0)
            _send(target, answer)


def _limit(what: int, most: int) -> None:
    with suppress(OSError, ValueError):  # not every system knows each of them
        resource.setrlimit(what, (most, most))


def _limit_cpu(seconds: float) -> None:
    """For what outlives the clock that the parent watches, such as a process that broke away."""
    limit = math.ceil(time.process_time() + seconds) + 1
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _load(file: Path, function: str) -> tuple[Handler | None, bytes]:
    """The handler, if there is one, and the frame that says so."""
    sys.path.append(str(file.parent))  # last: no file beside the grader hides a library
    try:
        spec = importlib.util.spec_from_file_location("grader", file)
        assert spec
        assert spec.loader
        sys.modules["grader"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except BaseException as error:
        return None, _encode({"raised": type(error).__name__})
    handler = getattr(module, function, None)
    if not callable(handler):
        return None, _encode({"loaded": False})
    return handler, _encode({"loaded": True})


def _call(handler: Handler, event: bytes, context: Context) -> bytes:
    """Its answer as JSON; of an exception the type alone, because its text may quote a response."""
    result: dict[str, object]
    try:
        result = {"value": handler(json.loads(event), context)}
    except BaseException as error:
        result = {"raised": type(error).__name__}
    with suppress(Exception):  # it may have closed or replaced them
        sys.stdout.flush()
        sys.stderr.flush()
    if _has_children():
        result["left_running"] = True
    try:
        return _encode(result)
    except Exception as error:
        return _encode({"no_json": type(error).__name__})


def _has_children() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except (AttributeError, ChildProcessError):  # without waitid, nobody can tell
        return False


def _encode(result: dict[str, object]) -> bytes:
    return json.dumps(result).encode()


def _receive(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH.size)
    return source.read(*LENGTH.unpack(head)) if len(head) == LENGTH.size else None


def _send(target: BinaryIO, frame: bytes) -> None:
    target.write(LENGTH.pack(len(frame)) + frame)
    target.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
