"""Derived parts: beside each landed part, a Parquet file of what was computed from it.

    derived/<fingerprint>/<key of the landed part>-<digest of the file>.parquet

The fingerprint stands for the code, the libraries and the settings that decide the content. A
derived part is a cache: it can be deleted at any time, and is never trusted over its landed part.
Its name has the digest of its bytes, its footer that of the landed part's bytes; a part for which
one of them is wrong is not used.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import file_digest, sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice import transforms
from bedrock_sluice.lake.stores.store import DERIVED_FOLDER, Entry, Store
from bedrock_sluice.transforms.curate.derived_rows import DERIVED, DeriveOptions
from bedrock_sluice.transforms.errors import TransientError

FORMAT = 1  # of the files
FINGERPRINT_DIGITS = 16
DIGEST_DIGITS = 24

LIBRARIES = (
    *("jmespath", "msgspec", "numpy", "polars", "py3langid", "pyarrow", "python-stdnum", "scipy"),
)
"""What `transforms` imports and may decide the content; some are extras."""

_FOOTER_END_BYTES = 8  # its size, and a magic number
_LANDED_KEY = b"sluice.landed"
_FINGERPRINT = re.compile(rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}")
NAME_END = rf"-(?P<digest>[0-9a-f]{{{DIGEST_DIGITS}}})(?:-(?P<number>\d+))?\.parquet"
_NAME_END = re.compile(f"{NAME_END}$")
_NAME = re.compile(f"(?P<landed>.+){NAME_END}")


def fingerprint(options: DeriveOptions) -> str:
    """Return the fingerprint of all that decides derived parts besides the landed part."""
    # Any file of `transforms` may decide what is computed.
    code = code_digest(Path(transforms.__file__).parent)
    identity = [FORMAT, options, code, python_version(), library_versions()]
    return sha256(msgspec.json.encode(identity)).hexdigest()[:FINGERPRINT_DIGITS]


@cache
def code_digest(root: Path) -> str:
    """Return the digest (hex) of all files below a folder of code."""
    digest = sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def library_versions() -> dict[str, str | None]:
    """Return the versions of `LIBRARIES` here; None for what is not installed."""
    versions = dict[str, str | None]()
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def list_derived(lake: Store, fingerprint: str) -> Mapping[str, list[Entry]]:
    """List the derived parts of a fingerprint by the key of their landed part."""
    root = f"{DERIVED_FOLDER}/{fingerprint}/"
    by_landed = dict[str, list[Entry]]()
    for entry in lake.entries(f"{root}landed/"):
        if match := _NAME.fullmatch(entry.key.removeprefix(root)):
            by_landed.setdefault(f"{match['landed']}.parquet", []).append(entry)
    return by_landed


def list_fingerprints(lake: Store) -> list[str]:
    """List the fingerprints under which a lake has derived parts, whatever decided them."""
    return [name for name in lake.folders(f"{DERIVED_FOLDER}/") if _FINGERPRINT.fullmatch(name)]


def list_all(lake: Store, fingerprint: str) -> list[Entry]:
    """List all files under a fingerprint, also those of another format."""
    return list(lake.entries(f"{DERIVED_FOLDER}/{fingerprint}/"))


def name_end(path: Path, unsound: Sequence[Entry]) -> str:
    """Return the end of the name of a new file, `<digest>[-<number>].parquet`.

    The number is above those of the `unsound` files that it replaces, and that keep their names:
    `sluice gc` may have deleted some of them.
    """
    ends = [match for entry in unsound if (match := _NAME_END.search(entry.key))]
    number = f"-{max(int(end['number'] or 0) for end in ends) + 1}" if ends else ""
    return f"{digest_of(path)[:DIGEST_DIGITS]}{number}.parquet"


def digest_of(path: Path) -> str:
    """Return the digest of a file's bytes (hex)."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def footer_digest(path: Path) -> str:
    """Return the digest of the footer of a Parquet file (hex); empty if there is none.

    All pages have checksums. So what is read of a file is as it was written if its footer is.
    """
    try:
        with path.open("rb") as file:
            file.seek(-_FOOTER_END_BYTES, os.SEEK_END)
            size = int.from_bytes(file.read(4), "little")
            file.seek(-_FOOTER_END_BYTES - size, os.SEEK_END)
            return sha256(file.read()).hexdigest()[:DIGEST_DIGITS]
    except OSError:
        return ""


def is_sound(path: Path, key: str, landed_digest: str) -> bool:
    """Whether a derived part is as it was written, and was made of the landed part as it is."""
    match = _NAME.fullmatch(key)
    try:
        if not match or digest_of(path)[:DIGEST_DIGITS] != match["digest"]:
            return False
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return False
    is_of_landed: bool = metadata.metadata.get(_LANDED_KEY) == landed_digest.encode()
    has_schema: bool = metadata.schema.to_arrow_schema().equals(DERIVED)
    return is_of_landed and has_schema


@contextmanager
def open_derived(path: Path, landed_digest: str) -> Iterator[pq.ParquetWriter]:
    """Write a derived part (schema `DERIVED`) to a local file, a table at a time."""
    with pq.ParquetWriter(
        path,
        DERIVED,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=["reason", "detail", "stop_reason", "dialect", "language"],
    ) as writer:
        yield writer
        writer.add_key_value_metadata({_LANDED_KEY: landed_digest.encode()})


def put_derived(
    lake: Store, fingerprint: str, landed_key: str, path: Path, unsound: Sequence[Entry]
) -> Entry:
    """Put a new derived part into the lake, beside the `unsound` ones of its landed part.

    Returns its entry, or that of the same part if another writer was faster. `path` is used up: the
    store may keep the file as its local copy.

    Raises:
        TransientError: the part was removed at once.
    """
    stem = landed_key.removesuffix(".parquet")
    key = f"{DERIVED_FOLDER}/{fingerprint}/{stem}-{name_end(path, unsound)}"
    lake.put_new(key, path)
    entry = lake.entry(key)
    if entry is None:
        raise TransientError(f"{lake.uri}/{key} was removed during the build; run again")
    lake.adopt(entry, path)
    return entry
