"""The suites of a recipe's own: files in a folder or on S3."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from bedrock_sluice.expectations.suite import Suite
from bedrock_sluice.expectations.user_suite import parse_suite
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.errors import ConfigError

MAX_SUITE_BYTES = 1 << 20


class SuiteFile(NamedTuple):
    """A suite, and the SHA-256 of its file."""

    suite: Suite
    sha256: str


def read_suites(uris: Iterable[str], base: Path) -> list[SuiteFile]:
    """Read suites; a relative path is meant from `base`.

    Raises:
        ConfigError: a file does not exist, is over `MAX_SUITE_BYTES`, or is not a suite that the
            gate can run; or two checks have the same name.
    """
    files = list[SuiteFile]()
    names = set[str]()
    for uri in uris:
        place = f"suite {uri}"
        folder, slash, name = uri.rpartition("/")
        store = open_store(folder or slash or ".", base)
        entry = store.entry(name)
        if entry is None:
            raise ConfigError("no such file", place=place)
        if entry.size > MAX_SUITE_BYTES:
            raise ConfigError(f"over {MAX_SUITE_BYTES >> 20} MiB; divide it", place=place)
        content = store.read(entry)
        suite = parse_suite(content, place)
        for expectation in suite.expectations:
            if expectation.meta.name in names:
                message = f"another suite has a check `{expectation.meta.name}`, too; rename one"
                raise ConfigError(message, place=place)
            names.add(expectation.meta.name)
        files.append(SuiteFile(suite, sha256(content).hexdigest()))
    return files
