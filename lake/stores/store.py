"""One port for every place that holds objects: a folder or an S3 prefix."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Protocol

from bedrock_sluice.transforms.errors import OutsideError
from bedrock_sluice.transforms.reasons import Reason

S3_SCHEME = "s3://"
INDEX_PAGE = "index.html"
_PAGE = re.compile(rf"releases/[^/]+/{re.escape(INDEX_PAGE)}")
DERIVED_FOLDER: Final = "derived"  # what can be computed again

Area = Literal["derived", "landed", "leases", "releases", "reviews"]
"""The folders of a lake below which objects can be deleted, and nowhere else."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One listed object: its key below the store's root, size in bytes, and ETag without quotes."""

    key: str
    size: int
    etag: str
    modified: datetime


class ObjectRefusedError(OutsideError):
    """One object can't be read, though its store can; `reason` is why."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class Store(Protocol):
    """Objects below one root. Keys are relative, with `/` between their parts.

    A folder that is not there holds nothing. Every method raises ConfigError where a bucket does
    not exist, OutsideError where access is refused, and TransientError where trying again may help.
    """

    @property
    def uri(self) -> str:
        """The root: `s3://bucket/prefix` or an absolute path."""
        ...

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """All objects whose key starts with `prefix`, by key."""
        ...

    def entry(self, key: str) -> Entry | None:
        """The object with exactly this key, as it is listed; None if it is not there."""
        ...

    def folders(self, prefix: str = "") -> list[str]:
        """The names of the folders right below `prefix` (which is empty or ends in `/`), sorted."""
        ...

    def read(self, entry: Entry) -> bytes:
        """The bytes of a listed object; what was listed is what is read.

        Raises:
            ObjectRefusedError: this object may not be read, or is archived.
            TransientError: the object is no longer the one that was listed.
        """
        ...

    def local(self, entry: Entry) -> Path:
        """A file that holds the bytes of a listed, immutable object; for reading only."""
        ...

    def adopt(self, entry: Entry, path: Path) -> None:
        """Take a file with the bytes of a listed object, so that `local` need not fetch it."""
        ...

    def tail(self, entry: Entry, size: int) -> bytes:
        """The last `size` bytes of a listed, immutable object, or all if it has no more.

        Raises: see `read`.
        """
        ...

    def put_new(self, key: str, content: bytes | Path) -> bool:
        """Create an object; False, and nothing changed, if the key is there already."""
        ...

    def put_page(self, key: str, content: bytes) -> None:
        """Create or replace a page that is made from other objects, so that nothing can be lost.

        Raises:
            ValueError: the key is not `releases/<name>/index.html`.
        """
        ...

    def leftovers(self) -> Iterator[Entry]:
        """Temporary files that interrupted writes left, by key; not those of a running write."""
        ...

    def delete(self, entries: Collection[Entry], area: Area = DERIVED_FOLDER) -> None:
        """Delete objects below `area`, and leftovers; it is not an error if they are gone.

        Raises:
            ValueError: a key is neither, and nothing was deleted.
        """
        ...


def is_below(area: Area, key: str) -> bool:
    """Whether a key is one below `area`, without a step up or an empty one on its way."""
    folder, *names = key.split("/")
    return folder == area and bool(names) and not {"", ".", ".."} & set(names)


def check_page(key: str) -> None:
    """See that a key is that of a page which may be replaced.

    Raises:
        ValueError: it is not.
    """
    if not _PAGE.fullmatch(key):
        raise ValueError(key)
