"""The registry: what the training jobs of a lineage were trained on, told by immutable objects.

registry/<lineage>/<release digest>.reserved.parquet    the prompts of its train.jsonl
                                   .job-<n>.json        the job that its n-th request asks for
                                   .released-<n>.json   that request came to nothing, and why
                                   .registered.json     the job completed

The first two are put before a request is sent, so no crash leaves a job that nobody reserved for. A
release is reserved until its job has completed or each of its requests has come to nothing; a
request that AWS refused can be sent again, as another one, and reserves the prompts again.
"""

import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.lake.releases import ID_DIGITS, MANIFEST, Release, list_manifests, open_release
from bedrock_sluice.lake.store import Entry, Store
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError, RefusedError
from bedrock_sluice.transforms.split import TRAIN
from bedrock_sluice.transforms.trained_before import REGISTERED, RELEASED, RESERVED, TRAINED

READ_WORKERS = 16
PROVENANCE_FILE = "provenance.parquet"

_PROMPTS = pa.schema(
    [pa.field(n, pa.string(), nullable=False) for n in ("prompt_digest", "request_id", "release")]
)
_LINEAGE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME = re.compile(
    r"(?P<digest>[0-9a-f]{64})\."
    r"(?P<what>reserved\.parquet|registered\.json|(?:job|released)-(?:0|[1-9]\d*)\.json)"
)
_RESERVED_NAME, _REGISTERED_NAME = "reserved.parquet", "registered.json"

T = TypeVar("T")


class JobAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is needed to ask for a job later: its name and its Region; and `<name>/<release id>`."""

    release: str
    job: str
    region: str


class JobEnded(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a job ended: a status of Bedrock's, or why there is none; ARNs of the job, its model."""

    status: str
    job_arn: str | None = None
    model_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The n-th request for the job of a release, and so on its prompts; from 1.

    Claim 0 is that of a reservation which no request followed.
    """

    lake: Store
    stem: str
    number: int

    def release(self, ended: JobEnded) -> None:
        """Record that the request came to nothing; the first record of it stands."""
        self.lake.put_new(f"{self.stem}.released-{self.number}.json", _encoded(ended))


@dataclass(frozen=True, slots=True)
class Use:
    """One release of the registry: what there is of it, by the end of its name."""

    lake: Store
    stem: str
    objects: Mapping[str, Entry]

    @property
    def claims(self) -> list[Claim]:
        """The claims that may still lead to a job; none once the job is registered."""
        if _REGISTERED_NAME in self.objects:
            return []
        numbers = (self._numbers("job") or {0}) - self._numbers("released")
        return [Claim(self.lake, self.stem, number) for number in sorted(numbers)]

    @property
    def state(self) -> str:
        """`reserved`, `registered` or `released`."""
        if _REGISTERED_NAME in self.objects:
            return REGISTERED
        return RESERVED if self.claims else RELEASED

    def _numbers(self, kind: str) -> set[int]:
        start = f"{kind}-"
        names = [name for name in self.objects if name.startswith(start)]
        return {int(name.removeprefix(start).removesuffix(".json")) for name in names}

    def prompts(self) -> pl.DataFrame:
        """`prompt_digest, request_id, release`, a row a line.

        Raises:
            IntegrityError: they are not what was written.
        """
        return _read_prompts(self.lake, self.objects[_RESERVED_NAME])

    def release_id(self) -> str:
        """The id of the release; empty if nothing of it was to be trained on.

        Raises:
            IntegrityError: as `prompts` does.
        """
        return "".join(self.prompts()["release"].head(1))

    def asked(self, number: int | None = None) -> JobAsked | None:
        """The job of the n-th request, or of the last; None if none followed the reservation.

        Raises:
            IntegrityError: it is not what was written.
        """
        wanted = max(self._numbers("job"), default=0) if number is None else number
        return self._read(f"job-{wanted}.json", JobAsked) if wanted else None

    def ended(self) -> JobEnded | None:
        """How the job ended; None while the release is reserved.

        Raises:
            IntegrityError: it is not what was written.
        """
        if self.state == REGISTERED:
            return self._read(_REGISTERED_NAME, JobEnded)
        last = f"released-{max(self._numbers('released'), default=0)}.json"
        return self._read(last, JobEnded) if self.state == RELEASED else None

    def register(self, ended: JobEnded) -> None:
        """Record that the job completed; the first record of it stands."""
        self.lake.put_new(f"{self.stem}.{_REGISTERED_NAME}", _encoded(ended))

    def check(self) -> None:
        """See that every small object can be read.

        Raises:
            IntegrityError: one is not what was written.
        """
        for name in self.objects.keys() - {_RESERVED_NAME}:
            self._read(name, JobAsked if name.startswith("job-") else JobEnded)

    def _read(self, name: str, kind: type[T]) -> T:
        entry = self.objects[name]
        try:
            return msgspec.json.decode(self.lake.read(entry), type=kind)
        except ValueError:
            raise _damaged(self.lake, entry.key) from None


def reserve(release: Release, lineage: str, asked: JobAsked) -> Claim:
    """Claim the prompts of a release's train.jsonl for a job that is about to be asked for.

    Each request has a claim of its own, lest one that fails release what another one uses.

    Raises:
        RefusedError: an older version of Sluice built the release.
        IntegrityError: the release, or what is reserved for it already, is not what was written.
    """
    stem = f"{_folder(lineage)}{release.manifest['digest']}"
    _put_prompts(release, f"{stem}.{_RESERVED_NAME}")
    for number in count(1):
        if release.lake.put_new(f"{stem}.job-{number}.json", _encoded(asked)):
            return Claim(release.lake, stem, number)
    raise AssertionError("unreachable")


def used_prompts(release: Release) -> pl.DataFrame:
    """`prompt_digest, request_id, release` of the lines of train.jsonl, a row a line.

    Raises:
        RefusedError: an older version of Sluice built the release, and kept no digests.
        IntegrityError: its provenance is not what its manifest says.
    """
    has_file = PROVENANCE_FILE in release.manifest["files"]
    rows = pl.read_parquet(release.file(PROVENANCE_FILE)) if has_file else pl.DataFrame()
    if "prompt_digest" not in rows.columns:
        raise RefusedError(
            f"{release.uri} is a release of an older version, which does not tell its prompts "
            "apart; build it again"
        )
    lines = rows.filter(pl.col("split") == TRAIN)
    return lines.select("prompt_digest", "request_id", release=pl.lit(release.id))


def read_uses(lake: Store, lineage: str) -> list[Use]:
    """All releases of a lineage that a job was asked for, by digest.

    Raises:
        ConfigError: the lineage can't be one.
        IntegrityError: the registry holds what Sluice did not put there, or has lost something.
    """
    folder = _folder(lineage)
    found = dict[str, dict[str, Entry]]()
    for entry in lake.entries(folder):
        match = _NAME.fullmatch(entry.key.removeprefix(folder))
        if match is None:
            where = f"{lake.uri}/{entry.key}"
            raise IntegrityError(f"{where} is none of the registry's; look whose it is, move it")
        found.setdefault(match["digest"], {})[match["what"]] = entry
    uses = [Use(lake, f"{folder}{digest}", names) for digest, names in sorted(found.items())]
    for use in uses:
        if _RESERVED_NAME not in use.objects:
            where = f"{lake.uri}/{use.stem}.{_RESERVED_NAME}"
            raise IntegrityError(f"{where} is gone, though a job was asked for; put it back")
    return uses


def trained_on(lake: Store, lineage: str) -> pl.DataFrame:
    """What the jobs of a lineage were given to train on: `TRAINED`, with `released` ones too.

    Raises:
        ConfigError: the lineage can't be one.
        IntegrityError: something in the registry is not what was written; the message names it.
    """
    with ThreadPoolExecutor(READ_WORKERS) as pool:
        return pl.concat([TRAINED.to_frame(), *pool.map(_rows, read_uses(lake, lineage))])


def _rows(use: Use) -> pl.DataFrame:
    use.check()
    return use.prompts().select("prompt_digest", "release", state=pl.lit(use.state))


def find_built(
    lake: Store, name: str, releases: Collection[str], facts: Mapping[str, Any]
) -> Release | None:
    """The one of a recipe's `releases` (ids) whose manifest holds these `facts`, if there is one.

    With the recipe's digest and the inputs as facts, it is what a build is about to make again.

    Raises:
        IntegrityError: what is there is no manifest.
    """
    for entry in list_manifests(lake, name):
        folder = entry.key.removesuffix(f"/{MANIFEST}")
        if folder.rpartition("/")[2] in releases:
            release = open_release(f"{lake.uri}/{folder}")
            if facts.items() <= release.manifest.items():
                return release
    return None


def _folder(lineage: str) -> str:
    if not _LINEAGE.fullmatch(lineage):
        raise ConfigError(f"{lineage!r} can't be a lineage: small letters, digits and single -")
    return f"registry/{lineage}/"


def _put_prompts(release: Release, key: str) -> None:
    """Put the prompts, or see that they are there already, in whatever bytes."""
    used = used_prompts(release)
    with TemporaryDirectory(prefix="sluice-registry-") as folder:
        path = Path(folder, _RESERVED_NAME)
        table = used.to_arrow().cast(_PROMPTS)
        pq.write_table(table, path, compression="zstd", write_page_checksum=True)
        if release.lake.put_new(key, path):
            return
    entry = release.lake.entry(key)
    if entry is None or not _read_prompts(release.lake, entry).equals(used):
        raise _damaged(release.lake, key)


def _read_prompts(lake: Store, entry: Entry) -> pl.DataFrame:
    """The prompts of one release; the id in each row must fit the digest in the key."""
    try:
        with pq.ParquetFile(lake.local(entry), page_checksum_verification=True) as file:
            rows = pl.DataFrame(file.read().cast(_PROMPTS))
    except (pa.ArrowException, OSError, ValueError):
        raise _damaged(lake, entry.key) from None
    digest = entry.key.rpartition("/")[2][:ID_DIGITS]
    if any(not name.endswith(f"-{digest}") for name in rows["release"].unique()):
        raise _damaged(lake, entry.key)
    return rows


def _encoded(record: msgspec.Struct) -> bytes:
    return msgspec.json.encode(record, order="deterministic") + b"\n"


def _damaged(lake: Store, key: str) -> IntegrityError:
    return IntegrityError(
        f"{lake.uri}/{key} is not what was put in the registry; put it back from a copy"
    )
