"""A store in a local folder."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from bedrock_sluice.lake.files import TEMPORARY_PREFIX, is_leftover, replaced_file, write_new
from bedrock_sluice.lake.stores.store import (
    DERIVED_FOLDER,
    Area,
    Entry,
    ObjectRefusedError,
    check_page,
    is_below,
)
from bedrock_sluice.transforms.errors import ConfigError, OutsideError, TransientError
from bedrock_sluice.transforms.reasons import Reason

Identity = tuple[int, int]  # of a folder, whatever links lead to it: its device and inode


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
                is_temporary = path.name.startswith(TEMPORARY_PREFIX)
                if key.startswith(prefix) and not is_temporary:
                    with suppress(FileNotFoundError):  # deleted meanwhile
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
            names = [path.name for path in children if path.is_dir()]
            above = self._find_above(start / "any") if names else ()
            return sorted(name for name in names if _identify(start / name) not in above)

    def _walk(self, folder: Path) -> Iterator[Path]:
        """The files below a folder; links are followed, but never in a circle."""
        try:
            above = self._find_above(folder)
        except FileNotFoundError:  # one of them is not there
            return
        yield from _walk(folder, above)

    def _find_above(self, path: Path) -> frozenset[Identity]:
        """Identify the folders of the store that a path lies in."""
        parts = path.relative_to(self.root).parts
        return frozenset(_identify(self.root.joinpath(*parts[:n])) for n in range(len(parts)))

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

    def adopt(self, entry: Entry, path: Path) -> None:
        """See `Store.adopt`; every object is a local file already."""

    def tail(self, entry: Entry, size: int) -> bytes:
        """See `Store.tail`."""
        path = self.root / entry.key
        with _as_store_error(path), path.open("rb") as file:
            file.seek(max(entry.size - size, 0))
            return file.read()

    def put_new(self, key: str, content: bytes | Path) -> bool:
        """See `Store.put_new`; the file and its name are on disk when this returns."""
        target = self.root / key
        with _as_store_error(target):
            return write_new(target, content)

    def put_page(self, key: str, content: bytes) -> None:
        """See `Store.put_page`; readers see the old page or the new one."""
        check_page(key)
        target = self.root / key
        with _as_store_error(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with replaced_file(target) as file:
                file.write(content)

    def leftovers(self) -> Iterator[Entry]:
        """See `Store.leftovers`."""
        with _as_store_error(self.root):
            for path in sorted(filter(is_leftover, self._walk(self.root))):
                with suppress(FileNotFoundError):
                    yield _entry(path.relative_to(self.root).as_posix(), path)

    def delete(self, entries: Collection[Entry], area: Area = DERIVED_FOLDER) -> None:
        """See `Store.delete`; folders below `area` that become empty are removed, too."""
        top = self.root / area
        real_top = top.resolve()
        for entry in entries:
            folder, _, name = entry.key.rpartition("/")
            # A link could lead from `area` to another folder of the lake.
            is_inside = (self.root / folder).resolve().is_relative_to(real_top)
            is_temporary = name.startswith(TEMPORARY_PREFIX)
            if not is_temporary and not (is_below(area, entry.key) and is_inside):
                raise ValueError(entry.key)
        for entry in entries:
            path = self.root / entry.key
            with _as_store_error(path), suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            _remove_empty(path.parent, top)


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder below `top` and those that it lies in, as far as they are empty."""
    while folder.is_relative_to(top):
        try:
            folder.rmdir()
        except OSError:  # not empty, a link, or removed by another process
            return
        folder = folder.parent


def _walk(folder: Path | str, above: frozenset[Identity]) -> Iterator[Path]:
    """The files below a folder, unless it is one of those `above` it, by way of a link."""
    try:
        own = _identify(folder)
        children = [] if own in above else list(os.scandir(folder))
    except FileNotFoundError:  # it is not there, or was deleted meanwhile
        return
    for child in children:
        if child.is_dir():
            yield from _walk(child.path, above | {own})
        elif child.is_file():
            yield _check_name(Path(child.path))


def _identify(folder: Path | str) -> Identity:
    status = os.stat(folder)  # noqa: PTH116 - of thousands of folders, and half as fast with a Path
    return status.st_dev, status.st_ino


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
