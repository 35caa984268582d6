"""The recipe: one TOML file that says how a dataset is made. Nothing else configures a build."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bedrock_sluice.flows.recipe_errors import explain
from bedrock_sluice.lake.source import Window
from bedrock_sluice.rewards.line import OWN_KEYS
from bedrock_sluice.transforms.derive import pattern_fault
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.metadata_filter import LOGGED_KEY, parse_filter

MAX_LAST_DAYS = 3_650
MAX_NAME_CHARS = 48  # with the 12 of the digest, a job's name stays within Bedrock's 63
MAX_SALT_BYTES = 64
MAX_HYPER_PARAMETER = 2**63  # what JSON's readers hold

Count = Annotated[int, Field(strict=True, ge=1)]
Share = Annotated[float, Field(strict=True, ge=0, le=0.5)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(min_length=1)]
Texts = tuple[Text, ...]
AnswerSource = Literal["labels", "metadata", "logged"]


def _as_utc(value: object) -> datetime | None:
    """A date is its midnight; a time without a zone is meant in UTC; None stays."""
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), tzinfo=UTC)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, str):  # as manifests hold it
        return _as_utc(datetime.fromisoformat(value))
    raise ValueError("must be a date or a time")


Moment = Annotated[datetime, BeforeValidator(_as_utc)]


class Section(BaseModel):
    """A table of the recipe: frozen, and without keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSection(Section):
    """Where the logs are, and the window of record time (UTC, half open)."""

    uri: Text
    bodies: Texts = ()  # further places where bodies may be stored apart
    since: Moment | None = None
    until: Moment | None = None
    last_days: Annotated[int, Field(strict=True, ge=1, le=MAX_LAST_DAYS)] | None = None

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if self.last_days and (self.since or self.until):
            raise ValueError("give either last_days, or since and until")
        if self.since and self.until and self.since >= self.until:
            raise ValueError("since must be before until")
        return self


class DeriveSection(Section):
    """A metadata key for records that were logged without it, told from something else."""

    key: Annotated[str, Field(pattern=LOGGED_KEY.pattern)]
    source: Annotated[
        Literal["identity_arn", "model_id", "model_family", "system_prompt"], Field(alias="from")
    ]
    pattern: Text | None = None

    @field_validator("pattern")
    @classmethod
    def _is_regex(cls, pattern: str | None) -> str | None:
        fault = pattern_fault(pattern) if pattern else None
        if fault:
            raise ValueError(fault)
        return pattern


class NormaliseSection(Section):
    """How bodies are read; `keep_reasoning` leaves a model's reasoning in its response."""

    keep_reasoning: Flag = False


class SelectSection(Section):
    """Which records are wanted; empty means all. Models are patterns: `*claude-3-haiku*`."""

    operations: Texts = ()
    models: Texts = ()
    metadata: dict[str, Any] | None = None

    @field_validator("metadata")
    @classmethod
    def _known_words(cls, tree: dict[str, Any]) -> dict[str, Any]:
        try:
            parse_filter(tree)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return tree


class CurateSection(Section):
    """Which exchanges deserve to be a prompt."""

    max_prompt_tokens: Count = 8_192  # estimated: 4 bytes of UTF-8 a token


class AnswerSection(Section):
    """Where reference answers come from: the first source that has one wins."""

    sources: Annotated[tuple[AnswerSource, ...], Field(alias="from", min_length=1)] = ("logged",)
    labels: Text | None = None
    metadata_key: Text | None = None

    @model_validator(mode="after")
    def _has_what_it_names(self) -> Self:
        if "labels" in self.sources and self.labels is None:
            raise ValueError('from has "labels", but there is no labels = "FILE"')
        if "metadata" in self.sources and self.metadata_key is None:
            raise ValueError('from has "metadata", but there is no metadata_key = "KEY"')
        return self


class TemplateSection(Section):
    """The shape of a line; `history` keeps earlier turns, `fields` are metadata keys to add."""

    name: Text
    history: Flag = False
    fields: Texts = ()

    @field_validator("fields")
    @classmethod
    def _free_names(cls, fields: Texts) -> Texts:
        if taken := OWN_KEYS.intersection(fields):
            raise ValueError(f"a line has its own {', '.join(sorted(taken))}")
        return fields


def _short_salt(salt: str) -> str:
    if len(salt.encode()) > MAX_SALT_BYTES:
        raise ValueError(f"must be at most {MAX_SALT_BYTES} bytes long")
    return salt


class SplitSection(Section):
    """How lines are divided; `group_by` are metadata keys whose values stay on one side."""

    validation: Share = 0.1
    max_lines: Annotated[int, Field(strict=True, ge=1, le=20_000)] = 20_000
    group_by: Texts = ()
    salt: Annotated[str, AfterValidator(_short_salt)] = ""


class GraderSection(Section):
    """The reward function that training calls."""

    lambda_arn: Text


def _number_or_text(value: object) -> object:
    """What a manifest can hold: JSON has no `nan`; and `true` would be taken for 1."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_held = abs(value) < MAX_HYPER_PARAMETER
    else:
        is_held = isinstance(value, str)
    if not is_held:
        raise ValueError("must be a finite number or a text")
    return value


HyperParameter = Annotated[int | float | str, BeforeValidator(_number_or_text)]


class TrainSection(Section):
    """The job. `hyper_parameters` are those of Bedrock's `rftConfig`, in Bedrock's words."""

    model: Text
    role_arn: Text
    output_uri: Text
    data_uri: Text | None = None  # an s3:// prefix for the lines, where the lake is a folder
    validation: Flag = True  # whether the job is given the validation lines
    hyper_parameters: dict[str, HyperParameter] = {}
    tags: dict[str, str] = {}
    kms_key_id: Text | None = None


class Recipe(Section):
    """One dataset: from which logs, which records, which answers, in which shape."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=MAX_NAME_CHARS)]
    lake: Text
    source: SourceSection
    template: TemplateSection
    derive: tuple[DeriveSection, ...] = ()
    normalise: NormaliseSection = NormaliseSection()
    select: SelectSection = SelectSection()
    curate: CurateSection = CurateSection()
    answer: AnswerSection = AnswerSection()
    split: SplitSection = SplitSection()
    grader: GraderSection | None = None
    train: TrainSection | None = None

    def at(
        self, now: datetime, since: datetime | None = None, until: datetime | None = None
    ) -> "Recipe":
        """This recipe with a fixed window; `last_days` end with the last whole day before `now`."""
        source = self.source
        if not (since or until or source.last_days):
            return self
        window = {"since": since or source.since, "until": until or source.until}
        if source.last_days:
            midnight = datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC)
            end = _as_utc(until) or midnight
            window = {"since": since or end - timedelta(days=source.last_days), "until": end}
        fixed = source.model_dump() | window | {"last_days": None}
        try:
            return self.model_copy(update={"source": SourceSection.model_validate(fixed)})
        except ValidationError as error:
            (fault, *_) = error.errors()
            raise ConfigError(f"window: {fault['msg'].removeprefix('Value error, ')}") from None

    @property
    def window(self) -> Window:
        """The window of record time; open where the recipe says nothing."""
        return Window(self.source.since, self.source.until)

    def written(self) -> dict[str, Any]:
        """The recipe as JSON values, for manifests."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def digest(self) -> str:
        """See `recipe_digest`."""
        return recipe_digest(self.written())


def recipe_digest(written: Mapping[str, Any]) -> str:
    """SHA-256 of what a recipe asks for, wherever its lake, logs and labels lie.

    `written` is the recipe as its manifest holds it: one of an older version keeps its digest.
    """
    source = {k: v for k, v in written["source"].items() if k not in ("uri", "bodies")}
    answer = {k: v for k, v in written["answer"].items() if k != "labels"}
    asked = {k: v for k, v in written.items() if k != "lake"}
    asked |= {"source": source, "answer": answer}
    return sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: it can't be read, is no TOML, or has keys or values that are wrong; the message
            names file and line, and for an unknown key the nearest known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"recipe {path}: {why}") from None
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe {path}: no TOML: {error}") from None
    except ValidationError as error:
        raise ConfigError(explain(error, path, text, Recipe)) from None
