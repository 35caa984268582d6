"""Opening the store at a URI."""

from functools import cache
from pathlib import Path

from bedrock_sluice.lake.stores.store import S3_SCHEME, Store
from bedrock_sluice.transforms.errors import ConfigError


def open_store(uri: str, base: Path | None = None) -> Store:
    """The store at an `s3://` URI or a folder; a relative folder is meant from `base`.

    Raises:
        ConfigError: it is neither.
    """
    if "\0" in uri:
        raise ConfigError(f"{uri!r} holds a NUL, which no folder's name does")
    if uri.startswith(S3_SCHEME):
        from bedrock_sluice.lake.stores.s3 import S3Store  # noqa: PLC0415 - boto3 takes its time

        return S3Store(uri)
    if "://" in uri:
        raise ConfigError(f"{uri} is neither a folder nor an s3:// URI")
    from bedrock_sluice.lake.stores.folder import FolderStore  # noqa: PLC0415

    return FolderStore((base or Path.cwd()) / Path(uri).expanduser())


@cache
def reopen_store(uri: str) -> Store:
    """The store at an absolute URI, opened once: for workers, which are told URIs.

    Whoever hands out work clears the cache first, since AWS settings may have changed.
    """
    return open_store(uri)
