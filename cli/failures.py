"""The end of a command that failed or was stopped: one message and the exit code."""

import errno
import json
import os
import signal
import sys
from contextlib import suppress
from tempfile import gettempdir

from bedrock_sluice.cli.log import logger, writes_json
from bedrock_sluice.transforms.errors import ExitCode, SluiceError, missing_extra

EXTRAS = {"httpx": "flows", "openai": "openai", "prefect": "flows"}
"""The extra of the distribution that installs a module."""


def report_signal(number: int) -> int:
    """Print that a signal ended the run, and return the exit code."""
    name = signal.Signals(number).name
    message = f"stopped by {name}; nothing is half written, run the command again to continue"
    _print_error("stopped", message, None)
    return ExitCode.SIGNAL + number


def report_error(error: Exception) -> int:
    """Print what went wrong in one message, and return the exit code.

    A bug of ours is named by its place alone: the text of a foreign exception may hold content.
    """
    if isinstance(error, BrokenPipeError):  # the reader of stdout went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.SIGNAL + signal.SIGPIPE
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        message = str(missing_extra(error.name, EXTRAS[error.name]))
        _print_error("config", message, None)
        return ExitCode.CONFIG
    if isinstance(error, SluiceError):
        kind = type(error).__name__.removesuffix("Error").lower()
        _print_error(kind, str(error), error.place)
        return error.exit_code
    if isinstance(error, OSError):
        where = str(error.filename) if error.filename else None
        _print_error("outside", _disk_message(error, where), where)
        return ExitCode.OUTSIDE
    from bedrock_sluice.flows.running.faults import find_place

    where = find_place(error)
    _print_error("bug", f"a bug in Sluice: {where}; please report it", where)
    return ExitCode.INTERNAL


def _disk_message(error: OSError, where: str | None) -> str:
    if where or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return f"{where or 'disk'}: {error.strerror}"
    # Errors that name no file come from libraries that write to the working folder.
    return (
        f"no space left in {gettempdir()}, where Sluice keeps its working files; free some, or set "
        "TMPDIR to another folder"
    )


def _print_error(kind: str, message: str, where: str | None) -> None:
    """Print the error for people, and with `--json` for machines too."""
    facts = {"kind": kind, "message": message, "where": where}
    with suppress(OSError):  # the terminal may be gone
        if writes_json():
            logger.error(message, extra={"facts": {"kind": kind, "where": where}})
        else:
            print(f"sluice: {message}", file=sys.stderr)  # noqa: T201
        if "--json" in sys.argv:
            print(json.dumps({"error": facts}), flush=True)  # noqa: T201
