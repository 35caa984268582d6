"""Files that are whole or absent: written under a temporary name, on disk before they get theirs.

A file of a store is never replaced (`write_new`); one that a user names for output is
(`replaced_file`).
"""

import io
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from bedrock_sluice.transforms.errors import OutsideError

TEMPORARY_PREFIX = ".sluice-"
STALE_SECONDS = 24 * 3_600  # no write takes so long
_FOLDER_ATTEMPTS = 3
_COPIED_BYTES = 1 << 20  # at a time
_MODE = 0o666  # less the umask, as any new file


def write_new(target: Path, content: bytes | Path) -> bool:
    """Write a file, and its folders if need be, unless the name is taken; return whether it was.

    `content` is bytes, or a file to copy. The file and its name are on disk when this returns.

    Raises:
        OSError: it can't be written.
    """
    for _ in range(_FOLDER_ATTEMPTS - 1):
        with suppress(FileNotFoundError):  # another process removed the folder, for it was empty
            return _write_new(target, content)
    return _write_new(target, content)


def _write_new(target: Path, content: bytes | Path) -> bool:
    new_folders = list(takewhile(lambda folder: not folder.exists(), target.parents))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return False
    _remove_stale(target.parent)
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            _copy(content, file.fileno())
        os.link(temporary, target)  # unlike a rename, it fails where the name is taken meanwhile
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    # A name outlives a crash only once its folder is on disk; so do the names of new folders.
    for folder in (target.parent, *(each.parent for each in new_folders)):
        _sync_folder(folder)
    return True


@contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """Write to a new file beside `path`, and put it there once the block has succeeded.

    A file that is replaced keeps its mode. A device or a pipe is written to as it is.

    Raises:
        OutsideError: the file can't be written.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        target = path.resolve()
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(None, "it is read-only")
        beside = target.with_name(f"{TEMPORARY_PREFIX}{token_hex(8)}")
        try:
            with os.fdopen(
                os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE), "wb"
            ) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, beside)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutsideError(f"{path}: {error.strerror}") from None


def _copy(content: bytes | Path, descriptor: int) -> None:
    source = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
    with source:
        while piece := source.read(_COPIED_BYTES):
            view = memoryview(piece)
            while view:  # one write may take less than all
                view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def is_leftover(path: Path) -> bool:
    """Whether a file is a temporary one that a killed process left long ago."""
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:  # another process removed it
        return False
    return path.name.startswith(TEMPORARY_PREFIX) and age > STALE_SECONDS


def _remove_stale(folder: Path) -> None:
    """Remove temporary files that a killed process left here long ago."""
    for path in filter(is_leftover, folder.glob(f"{TEMPORARY_PREFIX}*")):
        with suppress(OSError):  # another process was faster, or it is somebody else's
            path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
