"""Output: text for people goes to stderr, results go to stdout."""

import json
import sys
from pathlib import Path

import msgspec
from rich.console import Console

people = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Write a result for machines: one line of JSON on stdout."""
    try:
        line = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a path that is not UTF-8
        line = json.dumps(value).encode()
    _write_line(line)


def print_result(text: str) -> None:
    """Write a result, such as a path, on stdout."""
    _write_line(text.encode(errors="surrogateescape"))


def write_page(path: Path, text: str) -> None:
    """Write a page to a file that the user names, and say so.

    Raises:
        OutsideError: the file cannot be written.
    """
    from bedrock_sluice.lake.files import replaced_file

    with replaced_file(path) as file:
        file.write(text.encode())
    people.print(f"wrote {path}", markup=False)


def _write_line(line: bytes) -> None:
    # Bytes, since the locale's encoding may not have every character of a path.
    sys.stdout.flush()
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
