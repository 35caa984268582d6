"""Fetching log objects and bodies: what comes damaged is fetched again before it is believed.

Not every object has a checksum that the client compares, so bytes may change on the way unnoticed.
"""

from hashlib import md5, sha256

from bedrock_sluice.lake.stores.store import S3_SCHEME, Entry, Store
from bedrock_sluice.transforms.decode.lines import is_whole_gzip
from bedrock_sluice.transforms.errors import TransientError

FETCH_ATTEMPTS = 4


def fetch(store: Store, entry: Entry) -> bytes:
    """The bytes of a listed object: proven by its ETag or as gzip, or else the same twice.

    Raises:
        TransientError: they were never the same twice; or as `Store.read`.
    """
    digests = set[bytes]()
    for _ in range(FETCH_ATTEMPTS):
        content = store.read(entry)
        if _is_proven(store, entry, content) or (digest := sha256(content).digest()) in digests:
            return content
        digests.add(digest)
        del content  # before the next one is read: it may be large
    where = f"{store.uri}/{entry.key}"
    raise TransientError(f"{where} came with other bytes each time; check the network, run again")


def _is_proven(store: Store, entry: Entry, content: bytes) -> bool:
    """Whether the bytes must be those that are stored; a folder would give the same again."""
    return (
        not store.uri.startswith(S3_SCHEME)
        # The ETag is the MD5 only of objects put at once, and not encrypted with a KMS key.
        or md5(content, usedforsecurity=False).hexdigest() == entry.etag
        or is_whole_gzip(content)
    )
