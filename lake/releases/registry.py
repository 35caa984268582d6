"""The registry: what the training jobs of a lineage were trained on, told by immutable objects.

registry/<lineage>/<release digest>.reserved.parquet    the prompts of its train.jsonl
                                   .job-<n>.json        the n-th claim: a job, and its exact request
                                   .started-<n>.json    Bedrock took the request
                                   .refused-<n>.json    Bedrock refused it; void if it took it too
                                   .released-<n>.json   the job came to nothing, and why
                                   .registered.json     the job completed

The first two are put before a request is sent, so no crash leaves a job that nobody reserved for. A
release is reserved until its job has completed or each claim has come to nothing. Processes that
send the same request share a claim; if one is refused and another one is not, there is a job.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.lake.releases.release import (
    ID_DIGITS,
    Release,
)
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.curate.trained_before import REGISTERED, RELEASED, RESERVED, TRAINED
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError, RefusedError
from bedrock_sluice.transforms.split import TRAIN

READ_WORKERS = 16
PROVENANCE_FILE = "provenance.parquet"

_PROMPTS = pa.schema(
    [pa.field(n, pa.string(), nullable=False) for n in ("prompt_digest", "request_id", "release")]
)
_LINEAGE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME = re.compile(
    r"(?P<digest>[0-9a-f]{64})\."
    r"(?P<what>reserved\.parquet|registered\.json|"
    r"(?:job|started|refused|released)-(?:0|[1-9]\d*)\.json)",
    re.ASCII,
)
REFUSED = "Refused"  # beside Bedrock's own statuses: it did not take the request
_RESERVED_NAME, _REGISTERED_NAME = "reserved.parquet", "registered.json"

T = TypeVar("T")


class JobRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job: its name, its Region and the request for it; and `<name>/<release id>`.

    `target` names the service, and `endpoint` its address where that is not AWS's of the Region.
    """

    release: str
    job: str
    region: str
    request: dict[str, Any] = {}
    target: str = "nova"
    endpoint: str = ""


class JobStart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bedrock's answer to a request that it took."""

    job_arn: str


class JobEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a job ended: a status of Bedrock's, or why there is none; ARNs of the job, its model.

    `message` is what the service says of a failure: no text of ours, and not to be trusted.
    """

    status: str
    job_arn: str | None = None
    model_arn: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The n-th claim of a job on the prompts of a release; from 1.

    Claim 0 is that of a reservation which no request followed. `is_first` tells whether it was
    recorded just now: of all who share a claim, one was the first.
    """

    lake: Store
    stem: str
    number: int
    is_first: bool = False

    def start(self, job_arn: str) -> None:
        """Record that Bedrock took the request."""
        self.lake.put_new(f"{self.stem}.started-{self.number}.json", _encode(JobStart(job_arn)))

    def refuse(self) -> None:
        """Record that Bedrock refused the request; it says nothing of who shares the claim."""
        self.lake.put_new(f"{self.stem}.refused-{self.number}.json", _encode(JobEnd(REFUSED)))

    def release(self, end: JobEnd) -> None:
        """Record that the job came to nothing; the first record of it stands."""
        self.lake.put_new(f"{self.stem}.released-{self.number}.json", _encode(end))


@dataclass(frozen=True, slots=True)
class Use:
    """One release of the registry: what there is of it, by the end of its name."""

    lake: Store
    stem: str
    objects: Mapping[str, Entry]

    @property
    def digest(self) -> str:
        """The digest of the release."""
        return self.stem.rpartition("/")[2]

    @property
    def last_number(self) -> int:
        """The number of the last request; 0 if none followed the reservation."""
        return max(self._numbers("job"), default=0)

    @property
    def claims(self) -> list[Claim]:
        """The claims that may still lead to a job; none once the job is registered."""
        if _REGISTERED_NAME in self.objects:
            return []
        numbers = (self._numbers("job") or {0}) - self._void_numbers()
        return [Claim(self.lake, self.stem, number) for number in sorted(numbers)]

    @property
    def next_number(self) -> int:
        """The number of the claim of whoever asks for the job now: an open one is shared."""
        last = self.last_number
        is_open = _REGISTERED_NAME in self.objects or any(claim.number for claim in self.claims)
        return last if is_open else last + 1

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

    def _void_numbers(self) -> set[int]:
        return self._numbers("released") | (self._numbers("refused") - self._numbers("started"))

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

    def job_request(self, number: int | None = None) -> JobRequest | None:
        """The job of the n-th request, or of the last; None if none followed the reservation.

        Raises:
            IntegrityError: it is not what was written.
        """
        last = self.last_number if number is None else number
        name = f"job-{last}.json"
        return self._read(name, JobRequest) if name in self.objects else None

    def job_end(self) -> JobEnd | None:
        """How the job ended; None while the release is reserved.

        Raises:
            IntegrityError: it is not what was written.
        """
        if self.state == REGISTERED:
            return self._read(_REGISTERED_NAME, JobEnd)
        if self.state != RELEASED:
            return None
        last = max(self._void_numbers())
        kind = "released" if last in self._numbers("released") else "refused"
        return self._read(f"{kind}-{last}.json", JobEnd)

    def job_start(self, number: int) -> JobStart | None:
        """Bedrock's answer to the n-th claim's request; None if it is not known.

        Raises:
            IntegrityError: it is not what was written.
        """
        name = f"started-{number}.json"
        return self._read(name, JobStart) if name in self.objects else None

    def claim_end(self, number: int) -> JobEnd | None:
        """How the job of the n-th claim ended; None if it may still run, or is the registered one.

        Raises:
            IntegrityError: it is not what was written.
        """
        names = [f"{kind}-{number}.json" for kind in ("released", "refused")]
        return next((self._read(name, JobEnd) for name in names if name in self.objects), None)

    def failed_jobs(self) -> int:
        """How many jobs there were that came to nothing.

        Raises:
            IntegrityError: an object is not what was written.
        """
        ends = [self._read(f"released-{n}.json", JobEnd) for n in self._numbers("released")]
        return sum(end.job_arn is not None for end in ends)

    def register(self, end: JobEnd) -> None:
        """Record that the job completed; the first record of it stands."""
        self.lake.put_new(f"{self.stem}.{_REGISTERED_NAME}", _encode(end))

    def check(self) -> None:
        """See that every small object can be read.

        Raises:
            IntegrityError: one is not what was written.
        """
        kinds: dict[str, type[msgspec.Struct]] = {"job": JobRequest, "started": JobStart}
        for name in self.objects.keys() - {_RESERVED_NAME}:
            self._read(name, kinds.get(name.partition("-")[0], JobEnd))

    def _read(self, name: str, kind: type[T]) -> T:
        entry = self.objects[name]
        try:
            return msgspec.json.decode(self.lake.read(entry), type=kind)
        except ValueError:
            raise _integrity_error(self.lake, entry.key) from None


def reserve(release: Release, lineage: str, number: int, request: JobRequest) -> Claim:
    """Claim the prompts of a release's train.jsonl for a job that is about to be asked for.

    Whoever makes the n-th claim for the same request shares it: so twice is once, and so is a
    claim whose answer was lost.

    Raises:
        RefusedError: that claim is another request's; or an older version built the release.
        IntegrityError: the release, or what is reserved for it already, is not what was written.
    """
    stem = f"{_folder(lineage)}{release.manifest.digest}"
    _put_prompts(release, f"{stem}.{_RESERVED_NAME}")
    key, content = f"{stem}.job-{number}.json", _encode(request)
    is_first = release.lake.put_new(key, content)
    if not is_first:
        entry = release.lake.entry(key)
        if entry is None or release.lake.read(entry) != content:
            raise RefusedError(
                f"a job of {release.uri} was asked for with other settings, and may be running; "
                "see `sluice status RECIPE`. Wait until it ends, or train with the same settings"
            )
    return Claim(release.lake, stem, number, is_first)


def find_use(release: Release, lineage: str) -> Use | None:
    """The claims on a release's prompts, if a job of the lineage was asked for.

    Raises:
        ConfigError, IntegrityError: as `read_uses` does.
    """
    stem = f"{_folder(lineage)}{release.manifest.digest}"
    return next((use for use in read_uses(release.lake, lineage) if use.stem == stem), None)


def used_prompts(release: Release) -> pl.DataFrame:
    """`prompt_digest, request_id, release` of the lines of train.jsonl, a row a line.

    Raises:
        RefusedError: an older version of Sluice built the release, and kept no digests.
        IntegrityError: its provenance is not what its manifest says.
    """
    has_file = PROVENANCE_FILE in release.manifest.files
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
    objects_by_stem = dict[str, dict[str, Entry]]()
    for entry in lake.entries(folder):
        match = _NAME.fullmatch(entry.key.removeprefix(folder))
        if match is None:
            where = f"{lake.uri}/{entry.key}"
            raise IntegrityError(f"{where} is none of the registry's; look whose it is, move it")
        objects_by_stem.setdefault(match["digest"], {})[match["what"]] = entry
    uses = [
        Use(lake, f"{folder}{digest}", names) for digest, names in sorted(objects_by_stem.items())
    ]
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


def _folder(lineage: str) -> str:
    if not _LINEAGE.fullmatch(lineage):
        raise ConfigError(f"{lineage!r} can't be a lineage: small letters, digits and single -")
    return f"registry/{lineage}/"


def _put_prompts(release: Release, key: str) -> None:
    """Put the prompts, or see that they are there already, in whatever bytes."""
    prompts = used_prompts(release)
    with TemporaryDirectory(prefix="sluice-registry-") as folder:
        path = Path(folder, _RESERVED_NAME)
        table = prompts.to_arrow().cast(_PROMPTS)
        pq.write_table(table, path, compression="zstd", write_page_checksum=True)
        if release.lake.put_new(key, path):
            return
    entry = release.lake.entry(key)
    if entry is None or not _read_prompts(release.lake, entry).equals(prompts):
        raise _integrity_error(release.lake, key)


def _read_prompts(lake: Store, entry: Entry) -> pl.DataFrame:
    """The prompts of one release; the id in each row must fit the digest in the key."""
    try:
        with pq.ParquetFile(lake.local(entry), page_checksum_verification=True) as file:
            rows = pl.DataFrame(file.read().cast(_PROMPTS))
    except (pa.ArrowException, OSError, ValueError):
        raise _integrity_error(lake, entry.key) from None
    digest = entry.key.rpartition("/")[2][:ID_DIGITS]
    if any(not name.endswith(f"-{digest}") for name in rows["release"].unique()):
        raise _integrity_error(lake, entry.key)
    return rows


def _encode(record: msgspec.Struct) -> bytes:
    return msgspec.json.encode(record, order="deterministic") + b"\n"


def _integrity_error(lake: Store, key: str) -> IntegrityError:
    return IntegrityError(
        f"{lake.uri}/{key} is not what was put in the registry; put it back from a copy"
    )
