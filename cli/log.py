"""The log of the command line: counts and ids on stderr, as text or as JSON lines."""

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum

LOGGER = "bedrock_sluice"

logger = logging.getLogger(LOGGER)


class LogLevel(StrEnum):
    """The least severe messages that are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a message is written."""

    TEXT = "text"
    JSON = "json"


class _StderrHandler(logging.Handler):
    """Writes to what is stderr at that moment: progress bars put themselves before it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; a terminal that is gone stops nobody."""
        with suppress(OSError):
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object: time, level, message, and the facts of the record."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(head | getattr(record, "facts", {}))


def configure_logging(level: LogLevel | None, log_format: LogFormat) -> None:
    """Send the log of Sluice to stderr.

    Without a level, stages are logged where stderr is not a terminal, which has progress bars.
    Under JSON, stderr holds nothing else: the text for people is left out.
    """
    from bedrock_sluice.cli.console import people

    people.quiet = log_format is LogFormat.JSON
    default = LogLevel.WARNING if people.is_terminal else LogLevel.INFO
    handler = _StderrHandler()
    is_json = log_format is LogFormat.JSON
    handler.setFormatter(_JsonFormatter() if is_json else logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel((level or default).upper())
    logger.propagate = False


def writes_json() -> bool:
    """Return whether stderr holds JSON lines alone."""
    return any(isinstance(handler.formatter, _JsonFormatter) for handler in logger.handlers)


def announce(command: str, place: object) -> None:
    """Log that a command starts: at once, since the libraries of a build take seconds to load."""
    logger.info("%s: %s", command, place, extra={"facts": {"command": command}})
