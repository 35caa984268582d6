"""Files put where a job reads them, and read back: what was stored is what was sent."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from bedrock_sluice.lake.releases.release import file_facts, put_same
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.errors import IntegrityError


def upload_files(uri: str, files: Mapping[str, Path]) -> None:
    """Put files below a URI unless they are there, and compare size and SHA-256 of what is there.

    Raises:
        IntegrityError: other content is there.
        OutsideError, ConfigError: the store can't be written or read.
    """
    store = open_store(uri)
    for name, path in files.items():
        facts = file_facts(path)
        put_same(store, name, path, facts.sha256)
        entry = store.entry(name)
        content = store.read(entry) if entry and entry.size == facts.bytes else b""
        if sha256(content).hexdigest() != facts.sha256:
            raise IntegrityError(
                "was not stored as it was sent",
                place=f"{store.uri}/{name}",
                hint="delete the object and run again",
            )
