"""A store in a local folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from bedrock_sluice.lake.files import TEMPORARY_PREFIX, write_new
from bedrock_sluice.lake.stores.store import Entry, ObjectRefusedError
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, TransientError
from bedrock_sluice.transforms.reasons import Reason


class FolderStore:
    """Objects as files. Writing goes through a temporary file, so a name is whole or absent.

    Files and folders get the modes that the umask leaves, so a lake can be shared by a group.

    A file's ETag is its size and time of change: enough to tell that it is no longer what was
    listed, and free to get.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def uri(self) -> str:
        """The absolute path of the folder."""
        return str(self.root)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.entries`; a folder that is not there holds nothing."""
        start = self.root / prefix.rpartition("/")[0]
        with _as_store_error(start):
            for key, path in sorted(
                (p.relative_to(self.root).as_posix(), p) for p in self._walk(start)
            ):
                if key.startswith(prefix):
                    yield _entry(key, path)

    def entry(self, key: str) -> Entry | None:
        """See `Store.entry`."""
        path = self.root / key
        with _as_store_error(path):
            try:
                return _entry(key, path) if S_ISREG(path.stat().st_mode) else None
            except (FileNotFoundError, NotADirectoryError, ValueError):  # of a NUL in the name
                return None

    def folders(self, prefix: str = "") -> list[str]:
        """See `Store.folders`."""
        start = self.root / prefix
        with _as_store_error(start):
            children = start.iterdir() if start.is_dir() else ()
            return sorted(p.name for p in children if p.is_dir() and not self._is_circular(p))

    def _walk(self, folder: Path) -> Iterator[Path]:
        """The files below a folder; links are followed, but never in a circle."""
        if not folder.exists() or self._is_circular(folder):
            return
        for path in folder.iterdir():
            if path.is_dir():
                yield from self._walk(path)
            elif not path.name.startswith(TEMPORARY_PREFIX) and path.is_file():
                yield _check_name(path)

    def _is_circular(self, folder: Path) -> bool:
        """Whether a folder is, by way of a link, one of those that it lies in."""
        parts = folder.relative_to(self.root).parts
        *above, own = (self.root.joinpath(*parts[:n]).stat() for n in range(len(parts) + 1))
        return any(os.path.samestat(own, each) for each in above)

    def read(self, entry: Entry) -> bytes:
        """See `Store.read`."""
        path = self.root / entry.key
        with _as_store_error(path):
            try:
                content = path.read_bytes()
                is_same = _entry(entry.key, path) == entry and len(content) == entry.size
            except FileNotFoundError:
                is_same = False
            except PermissionError:
                message = f"{path} may not be read; check its permissions"
                raise ObjectRefusedError(message, Reason.PULL_DENIED) from None
        if not is_same:
            raise TransientError(f"{path} changed or went after it was listed; run again")
        return content

    def local(self, entry: Entry) -> Path:
        """See `Store.local`."""
        return self.root / entry.key

    def put_new(self, key: str, content: bytes | Path) -> bool:
        """See `Store.put_new`; the file and its name are on disk when this returns."""
        target = self.root / key
        with _as_store_error(target):
            return write_new(target, content)


def _check_name(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        message = str(path).encode(errors="backslashreplace").decode()
        raise ConfigError(f"{message}: the name is not UTF-8; rename the file") from None
    return path


def _entry(key: str, path: Path) -> Entry:
    status = path.stat()
    etag = f"{status.st_size:x}-{status.st_mtime_ns:x}"
    return Entry(key, status.st_size, etag, datetime.fromtimestamp(status.st_mtime, UTC))


@contextmanager
def _as_store_error(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into errors that say what to do."""
    try:
        yield
    except (NotADirectoryError, FileNotFoundError) as error:
        raise ConfigError(f"{error.filename or path} does not exist, or is not a folder") from None
    except OSError as error:
        raise OutsideError(
            f"{error.filename or path}: {error.strerror}; nothing was lost"
        ) from None
