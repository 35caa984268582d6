"""What a target is: a service that trains on a release, and what all of them share.

A job is drafted from a release and today's job settings without any network; then its files are
uploaded, its request is sent, and its status is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import polars as pl

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.sections import TargetName, TrainSection
from bedrock_sluice.lake.releases.registry import JobEnd, JobRequest
from bedrock_sluice.lake.releases.release import ID_DIGITS, Release
from bedrock_sluice.lake.stores.store import S3_SCHEME
from bedrock_sluice.transforms.errors import ConfigError

TRAIN_FILE, VALIDATION_FILE = "train.jsonl", "validation.jsonl"
RELEASE_TAG, DIGEST_TAG = "sluice:release", "sluice:digest"
IN_PROGRESS, COMPLETED, FAILED, STOPPED = "InProgress", "Completed", "Failed", "Stopped"
UNKNOWN = "NotFound"
"""The status of a job, whatever the service's own words; `UNKNOWN`: the service has none such."""

Request = dict[str, Any]


class Place(NamedTuple):
    """Where a job runs: a Region, and the endpoint of an API that boto3 does not know."""

    region: str | None = None
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class JobDraft:
    """One attempt at a job over a release; name and token are made of the release's digest."""

    release: Release
    recipe: Recipe
    train: TrainSection
    attempt: int = 1

    @property
    def name(self) -> str:
        """The name of the job: that of the lineage, the digest, and from 2 on the attempt."""
        digest = self.release.manifest.digest[:ID_DIGITS]
        return f"{self.recipe.lineage}-{digest}{self._suffix}"

    @property
    def token(self) -> str:
        """What stands for this attempt, however often it is asked for."""
        is_own = self.recipe.lineage == self.release.name
        lineage = "" if is_own else f"-{self.recipe.lineage}"
        return f"sluice-{self.release.manifest.digest}{lineage}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return f"-{self.attempt}" if self.attempt > 1 else ""

    @property
    def tags(self) -> dict[str, str]:
        """The tags of [train], and ours.

        Raises:
            ConfigError: [train] sets one of ours.
        """
        ours = {
            RELEASE_TAG: f"{self.release.name}/{self.release.id}",
            DIGEST_TAG: self.release.manifest.digest,
        }
        if reserved_keys := ours.keys() & self.train.tags.keys():
            names = ", ".join(sorted(reserved_keys))
            raise ConfigError(f"tags in [train]: {names} is set by Sluice itself; remove it")
        return {**self.train.tags, **ours}


class Draft(NamedTuple):
    """The request for a job as far as the recipe goes, and what is wrong with it, if anything."""

    request: Request
    faults: list[str]


class Target(Protocol):
    """A service that trains on a release."""

    name: TargetName

    def draft(self, job: JobDraft) -> Draft:
        """The exact request, checked as the service would check it; nothing is sent.

        Raises:
            ConfigError: it can't even be written down.
        """
        ...

    def connect(self, place: Place) -> Any:
        """Make a client.

        Raises:
            OutsideError: the settings lack something, such as a Region or a key.
        """
        ...

    def place(self, client: Any) -> Place:
        """Where a client sends its requests."""
        ...

    def upload(self, job: JobDraft, client: Any) -> Mapping[str, str]:
        """Put the files where the job reads them, and verify them; their ids, if they have any.

        Raises:
            IntegrityError: something else is there already.
            OutsideError: they can't be put there.
        """
        ...

    def submit(
        self, client: Any, record: JobRequest, files: Mapping[str, str], *, is_first: bool
    ) -> str:
        """Send the request, and return the ARN or id of the job; one job, however often it is sent.

        `is_first` tells whether this process was the first to claim the release for this request.

        Raises:
            SluiceError: by what to do.
        """
        ...

    def status(self, client: Any, record: JobRequest, job_id: str | None) -> JobEnd:
        """What the service says of a job now; `UNKNOWN` if it has none.

        `job_id` is what `submit` returned, if that is known.

        Raises:
            SluiceError: by what to do.
        """
        ...

    def stop(self, client: Any, record: JobRequest, job_id: str | None) -> None:
        """Ask the service to stop a job that runs; its status says when that is done.

        Raises:
            SluiceError: by what to do.
        """
        ...

    def metrics(self, client: Any, record: JobRequest, job_id: str) -> pl.DataFrame | None:
        """The metrics of a job so far, `METRICS`; None if the service gives none.

        Raises:
            SluiceError: by what to do.
        """
        ...

    def made_nothing(self, error: BaseException | None) -> bool:
        """Whether the answer to `submit` says for sure that there is no job."""
        ...


def train_section(recipe: Recipe) -> TrainSection:
    """The recipe's job settings.

    Raises:
        ConfigError: it has none.
    """
    if recipe.train is None:
        raise ConfigError(
            f"the recipe of {recipe.name} has no [train]; add it, and name the recipe: "
            "sluice train RELEASE --recipe RECIPE"
        )
    return recipe.train


def lines_uri(release: Release, train: TrainSection) -> str:
    """Where the job reads the lines: below [train] data_uri, or in the release itself.

    Raises:
        ConfigError: that is not on S3.
    """
    if train.data_uri:
        uri = f"{train.data_uri.rstrip('/')}/{release.name}/{release.id}"
    else:
        uri = release.uri
    if not uri.startswith(S3_SCHEME):
        raise ConfigError(
            "the job reads lines from S3 alone; set data_uri in [train] to an s3:// prefix"
        )
    return uri


def job_files(release: Release, train: TrainSection) -> list[str]:
    """The files of a release that the job is given."""
    facts = release.manifest.files.get(VALIDATION_FILE)
    has_validation = train.validation and facts is not None and facts.bytes > 0
    return [TRAIN_FILE, VALIDATION_FILE] if has_validation else [TRAIN_FILE]


def without_none(value: Request) -> Request:
    """The members that are set."""
    return {key: each for key, each in value.items() if each is not None}


def with_advice(faults: list[str], keys: Mapping[str, str]) -> list[str]:
    """Name the key of the recipe behind each fault, by the start of the fault's path."""
    keys_of = [next((k for path, k in keys.items() if f.startswith(path)), None) for f in faults]
    return [f"{f} ({key})" if key else f for f, key in zip(faults, keys_of, strict=True)]
