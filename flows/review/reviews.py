"""Reviews of single lines: files of reviewers into the lake, and the figures that follow."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bedrock_sluice.flows.recipe.build_recipe import recipe_of
from bedrock_sluice.flows.review.sheet import read_lines
from bedrock_sluice.lake.releases.release import Release, open_release
from bedrock_sluice.lake.reviews import put_review, without_requests
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.lake.tombstones import read_digests
from bedrock_sluice.rewards.corrections import read_correction
from bedrock_sluice.rewards.templates.base import template_named
from bedrock_sluice.transforms.chat.training_line import TrainingLine
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.review.review_files import (
    MAX_FILE_BYTES,
    JudgedLine,
    ReleaseKey,
    ReviewFile,
    ReviewRecord,
    decode_review_file,
    judged_lines,
)
from bedrock_sluice.transforms.review.selection import draw_sample

MAX_CLOCK_LEAD = timedelta(days=1)  # of a reviewer's machine before ours


class ApplyResult(NamedTuple):
    """Of one file: its path, its record, whether that is new, and corrections nobody can read.

    `unreadable` are ids of lines whose correction the template cannot read.
    """

    path: Path
    record: ReviewRecord
    is_new: bool
    unreadable: list[str]


def apply_reviews(
    lake: Store, paths: Sequence[Path], now: datetime, name: str | None = None
) -> list[ApplyResult]:
    """Put review files into the lake: all of them, or none if one of them is wrong.

    `name` is that of the releases that they may judge; None: any of the lake. Lines of requests
    that were forgotten are left out.

    Raises:
        ConfigError: a file is not a review of a release of the lake, or over a limit.
        IntegrityError: a file of the release is missing or was changed.
    """
    files = [(path, _read_file(path, now, name)) for path in paths]
    tombstones = read_digests(lake)
    releases = dict[ReleaseKey, _Subject]()
    results = list[ApplyResult]()
    for path, file in files:
        if file.release not in releases:
            releases[file.release] = _Subject(_open(lake, file.release, str(path)))
        subject = releases[file.release]
        record = without_requests(subject.record_of(file, str(path)), tombstones)
        results.append(ApplyResult(path, record, False, subject.find_unreadable(record)))
    return [each._replace(is_new=put_review(lake, each.record)) for each in results]


def _read_file(path: Path, now: datetime, name: str | None) -> ReviewFile:
    place = str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", place=place) from None
    file = decode_review_file(content, place)
    if file.saved_at > now + MAX_CLOCK_LEAD:
        raise ConfigError(
            "was saved in the future",
            place=place,
            hint="set the clock of the reviewer's machine, and save again",
        )
    if name is not None and file.release.name != name:
        raise ConfigError(
            f"reviews a release of {file.release.name}, not of {name}",
            place=place,
            hint="name the recipe of that release, or --lake",
        )
    return file


def _open(lake: Store, key: ReleaseKey, place: str) -> Release:
    hint = "apply it to the lake that the sheet was written from"
    parts = [key.name, key.id]
    if any("/" in part or part in {"", ".", ".."} for part in parts):
        raise ConfigError("names no release", place=place, hint=hint)
    try:
        release = open_release(f"{lake.uri}/releases/{key.name}/{key.id}")
    except ConfigError:
        raise ConfigError(
            f"{lake.uri} has no release {key.name}/{key.id}", place=place, hint=hint
        ) from None
    if release.manifest.digest != key.digest:
        raise ConfigError(
            f"the digest of {key.name}/{key.id} is another one", place=place, hint=hint
        )
    return release


class _Subject:
    """A release whose lines are judged."""

    def __init__(self, release: Release) -> None:
        lines = read_lines(release).sort("id")
        self._ids = lines["id"]
        columns = ("id", "prompt_digest", "reference_source", "text")
        self._lines = {
            line_id: JudgedLine(
                id=line_id,
                prompt_digest=digest,
                reference_answer=TrainingLine(text).fields["reference_answer"],
                reference_source=source,
                is_sampled=False,
                verdict=None,
            )
            for line_id, digest, source, text in lines.select(columns).iter_rows()
        }
        section = recipe_of(release).template
        self._template = template_named(section.name, section.options())

    def record_of(self, file: ReviewFile, place: str) -> ReviewRecord:
        """Return a file as a record, in which each line has what was judged."""
        # Which lines the sample has is drawn again: a file cannot choose them.
        sample = frozenset(draw_sample(self._ids, file.sheet.sample, file.sheet.seed))
        return ReviewRecord(
            release=file.release,
            sheet=file.sheet,
            reviewer=file.reviewer,
            saved_at=file.saved_at,
            lines=judged_lines(file, self._lines, sample, place),
        )

    def find_unreadable(self, record: ReviewRecord) -> list[str]:
        """Return the ids of lines whose correction the template cannot read."""
        return [
            line.id
            for line in record.lines
            if line.corrected_answer is not None
            and read_correction(self._template, line.corrected_answer) is None
        ]
