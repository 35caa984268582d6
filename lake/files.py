"""Files that a user names for output: replaced whole, or left as they were."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from bedrock_sluice.lake.stores.folder import TEMPORARY_PREFIX
from bedrock_sluice.transforms.errors import OutsideError

_MODE = 0o666  # less the umask, as any new file


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
