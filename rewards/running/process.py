"""A local grader in a process of its own: without this machine's secrets, within limits.

A fence against accidents, not a prison: a grader is code of the recipe's own author, and can read
files, `~/.aws` among them, and use the network as its user can. What it is not given is the
environment with its AWS credentials, more memory or time than it was allowed, or a way to disturb
the protocol by reading or printing. While it runs, `/proc` of this process is closed to it on
Linux, unless the user is root.
"""

import ctypes
import json
import os
import re
import selectors
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from time import monotonic
from typing import Any, NamedTuple

from bedrock_sluice.rewards.running.child import LENGTH
from bedrock_sluice.transforms.errors import ConfigError, OutsideError

CHILD = Path(__file__).with_name("child.py")
LOAD_SECONDS = 10.0  # as Lambda gives a function to initialise
POLL_SECONDS = 0.05  # how soon it is seen that a process ended, whoever holds its pipes open
MAX_ANSWER_BYTES = 6 << 20  # what Lambda takes and returns
PIPE_BYTES = 1 << 16
PR_SET_DUMPABLE = 4  # of prctl(2)

_TYPE_NAME = re.compile(r"\w{1,64}")


class CallResult(NamedTuple):
    """What one call came to: the grader's answer as JSON, or else the failure.

    `was_lost` says that the call cost more than itself: the grader had to be started anew, or
    somebody waited in vain.
    """

    answer: object = None
    failure: str | None = None
    note: str | None = None
    was_lost: bool = False


class _GraderLost(Exception):  # noqa: N818 - no error: it becomes the failure of a call
    """The process ran too long, ended, or broke the protocol."""


@dataclass(frozen=True, slots=True)
class LocalGrader:
    """`path/grader.py:lambda_handler`; a relative path is meant from `base`."""

    python: str
    base: Path = Path()

    def place(self) -> tuple[Path, str]:
        """File and name of the function.

        Raises:
            ConfigError: there is no such file, or no function is named.
        """
        file, _, function = self.python.rpartition(":")
        if not file.endswith(".py") or not function.isidentifier():
            raise ConfigError(f"grader {self.python}: write path/grader.py:lambda_handler")
        path = (self.base / file).absolute()
        if not path.is_file():
            raise ConfigError(f"grader {path}: there is no such file; correct python in [grader]")
        return path, function


class GraderProcess:
    """A grader that is called again and again, and started anew where it was lost."""

    def __init__(self, grader: LocalGrader, seconds: float, memory_bytes: int) -> None:
        self._file, self._function = grader.place()
        self._seconds, self._memory_bytes = seconds, memory_bytes
        self._folder = Path(tempfile.mkdtemp(prefix="sluice-grader-"))
        self._process: Popen[bytes] | None = None
        self._events = self._answers = -1
        self._printed_bytes = 0

    def call(self, event: bytes) -> CallResult:
        """Hand over an event, JSON, and wait for the answer, `seconds` at most.

        Raises:
            ConfigError: the grader can't be loaded.
            OutsideError: no process can be started.
        """
        if self._process is None:
            set_readable(False)
            self._start()
        self._printed_bytes = 0
        try:
            frame = self._exchange(event, self._seconds)
        except _GraderLost as error:
            self._stop()
            return CallResult(failure=str(error), note=self._note({}), was_lost=True)
        note = self._note(frame)
        if "value" in frame:
            return CallResult(frame["value"], note=note)
        if "no_json" in frame:
            failure = f"answered with what is no JSON ({_type(frame['no_json'])})"
        else:
            failure = f"raised {_type(frame.get('raised'))}"
            if frame.get("raised") == "MemoryError":
                failure += f": it needs more than its {self._memory_bytes >> 20:,} MB"
        return CallResult(failure=failure, note=note)

    def close(self) -> None:
        """End the grader and all that it started, and remove its folder."""
        self._stop()
        set_readable(True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _note(self, frame: dict[str, Any]) -> str | None:
        notes = [f"printed {self._printed_bytes:,} bytes"] if self._printed_bytes else []
        notes += ["left a process running"] if frame.get("left_running") else []
        return ", ".join(notes) or None

    def _start(self) -> None:
        try:
            self._process = self._spawn()
        except OSError as error:
            os.close(self._events)
            os.close(self._answers)
            raise OutsideError(f"grader {self._file}: no process: {error.strerror}") from None
        try:
            frame = self._exchange(b"", LOAD_SECONDS)
        except _GraderLost as error:
            self._stop()
            raise ConfigError(f"grader {self._file} can't be loaded: it {error}") from None
        if frame.get("loaded") is not True:
            self._stop()
            has_raised = "raised" in frame
            why = f"it raised {_type(frame['raised'])}" if has_raised else f"no {self._function}"
            raise ConfigError(f"grader {self._file} can't be loaded: {why}")

    def _spawn(self) -> Popen[bytes]:
        events, self._events = os.pipe()
        self._answers, answers = os.pipe()
        limits = [str(self._memory_bytes), str(self._seconds)]
        place = [str(self._file), self._function, str(events), str(answers)]
        try:
            return Popen(  # noqa: S603 - to run the recipe's own code is the point
                [sys.executable, "-I", "-B", str(CHILD), *place, *limits],
                cwd=self._fresh("work"),
                env={  # no variable of ours: AWS credentials are among them
                    "PATH": os.environ.get("PATH", os.defpath),
                    "LANG": "C.UTF-8",
                    "TMPDIR": self._fresh("tmp"),
                    "HOME": self._fresh("home"),  # empty, so without ~/.aws
                    "AWS_EC2_METADATA_DISABLED": "true",
                },
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                bufsize=0,
                pass_fds=(events, answers),
                start_new_session=True,  # so that all it starts can be ended with it
            )
        finally:
            # The child has copies. Ours must go, or its end would never close the pipes.
            os.close(events)
            os.close(answers)
            os.set_blocking(self._events, False)  # a grader that does not read must not block us

    def _fresh(self, name: str) -> str:
        shutil.rmtree(self._folder / name, ignore_errors=True)
        (self._folder / name).mkdir(exist_ok=True)
        return str(self._folder / name)

    def _exchange(self, event: bytes, seconds: float) -> dict[str, Any]:
        """Send an event, unless it is empty, and wait for a frame; what is printed is let go."""
        process, deadline = self._process, monotonic() + seconds
        assert process
        assert process.stdout
        unsent = memoryview(LENGTH.pack(len(event)) + event if event else b"")
        buffer = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ, buffer.extend)
            selector.register(process.stdout, selectors.EVENT_READ, self._count)
            if unsent:
                selector.register(self._events, selectors.EVENT_WRITE)
            while (frame := _frame(buffer)) is None:
                has_ended = process.poll() is not None  # asked first: it may still have answered
                ready = selector.select(min(POLL_SECONDS, max(0.0, deadline - monotonic())))
                for key, _ in ready:
                    if key.fd == self._events:
                        unsent = _send(key.fd, unsent)
                        if not unsent:
                            selector.unregister(self._events)
                    elif not _drain(key.fd, key.data):
                        selector.unregister(key.fileobj)
                if has_ended and not ready:
                    raise _GraderLost(_how_ended(process.returncode))
                if monotonic() >= deadline:
                    raise _GraderLost(f"gave no answer within {seconds:g} s")
            for key, _ in selector.select(0):  # what it printed before it answered is in the pipe
                if key.fileobj is process.stdout:
                    _drain(key.fd, key.data)
        return frame

    def _count(self, piece: bytes) -> None:
        self._printed_bytes += len(piece)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        strays = descendants(process.pid)
        with suppress(ProcessLookupError, PermissionError):  # nobody is left of its group
            os.killpg(process.pid, signal.SIGKILL)
        for stray in strays:  # those that left the group for a session of their own
            with suppress(ProcessLookupError, PermissionError):
                os.kill(stray, signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()
        os.close(self._events)
        os.close(self._answers)


def set_readable(is_readable: bool) -> None:
    """Let other processes of this user read this one's environment and memory, or not (Linux)."""
    with suppress(AttributeError, OSError):  # no prctl there
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(is_readable), 0, 0, 0)


def descendants(ancestor: int) -> list[int]:
    """The processes that come from one, as `/proc` has them; none where there is no `/proc`."""
    children = dict[int, list[int]]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # it has just ended
            # After the last `)`: the process's own name stands in brackets, and may hold any.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    pids, waiting = list[int](), [ancestor]
    while waiting:
        waiting += (mine := children.get(waiting.pop(), []))
        pids += mine
    return pids


def _drain(descriptor: int, take: Callable[[bytes], object]) -> bool:
    """Whether there may be more."""
    piece = os.read(descriptor, PIPE_BYTES)
    take(piece)
    return bool(piece)


def _send(descriptor: int, unsent: memoryview) -> memoryview:
    """What is still to be sent; nothing if nobody will read it."""
    try:
        return unsent[os.write(descriptor, unsent[:PIPE_BYTES]) :]
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return unsent[:0]


def _frame(buffer: bytearray) -> dict[str, Any] | None:
    """The frame that came, if it is whole.

    Raises:
        _Lost: it is larger than an answer may be, or no frame.
    """
    if len(buffer) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack_from(buffer)
    if length > MAX_ANSWER_BYTES:
        raise _GraderLost(
            f"answered with more than the {MAX_ANSWER_BYTES >> 20} MB that Lambda returns"
        )
    if len(buffer) < LENGTH.size + length:
        return None
    try:
        frame = json.loads(buffer[LENGTH.size : LENGTH.size + length])
    except (RecursionError, ValueError):
        frame = None
    if not isinstance(frame, dict):
        raise _GraderLost("wrote to a pipe that is not its own")
    return frame


def _how_ended(code: int) -> str:
    if code >= 0:
        return f"ended its process with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _type(name: object) -> str:
    """The name of an exception; the grader's author chose it, so it is held to what a name is."""
    return name if isinstance(name, str) and _TYPE_NAME.fullmatch(name) else "an exception"
