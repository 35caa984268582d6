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
from bedrock_sluice.transforms.personal_data import KINDS, PERSONAL, SECRETS
from bedrock_sluice.transforms.quality import QualityLimits

MAX_LAST_DAYS = 3_650
MAX_NAME_CHARS = 48  # with the 12 of the digest, a job's name stays within Bedrock's 63
MAX_SALT_BYTES = 64
MAX_BURST_MINUTES = 60 * 24 * 366
MIN_SIMILARITY = 0.5
MAX_HYPER_PARAMETER = 2**63  # what JSON's readers hold

Count = Annotated[int, Field(strict=True, ge=1)]
Share = Annotated[float, Field(strict=True, ge=0, le=0.5)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(min_length=1)]
Texts = tuple[Text, ...]
AnswerSource = Literal["labels", "metadata", "logged"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=MAX_NAME_CHARS)]
Limit = Annotated[int, Field(strict=True, ge=0)]
Similarity = Annotated[float, Field(strict=True, ge=MIN_SIMILARITY, le=1)]
Policy = Literal["last", "each", "first"]
PrivacyAction = Literal["drop", "mask", "report"]


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
    conversations: Policy = "last"  # which turns become prompts
    conversation_key: Text | None = None  # a metadata key; without it, by how prompts grow
    max_per_conversation: Count | None = None
    near_duplicates: Similarity | Literal[False] = 0.8  # Jaccard similarity of 5-word shingles
    near_scope: Literal["turns", "last_user"] = "turns"  # what is compared
    within_system: Flag = True  # only prompts under the same system prompt are compared
    against: Texts = ()  # evaluation sets: JSONL files
    trained_share: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.0
    max_per_identity: Count | None = None
    max_per_system: Count | None = None
    max_burst: Count | None = None  # records of one prompt and caller within `burst_minutes`
    burst_minutes: Annotated[float, Field(gt=0, le=MAX_BURST_MINUTES)] = 10.0


class QualitySection(Section):
    """What a prompt must be like; a limit that is not named is off. See `QualityLimits`."""

    min_prompt_tokens: Count | None = None
    min_words: Count | None = None
    max_repeated_share: Annotated[float, Field(strict=True, gt=0, le=1)] | None = 0.5
    max_placeholders: Limit | None = None
    max_hidden_characters: Limit | None = None
    reserved_words: Literal["keep", "drop", "escape"] = "keep"
    drop_refusals: Flag = False
    languages: tuple[Annotated[str, Field(pattern="^[a-z]{2}$")], ...] = ()

    def limits(self) -> QualityLimits:
        """As the core takes them."""
        told = self.model_dump(exclude={"reserved_words"})
        return QualityLimits(
            **told, max_reserved_words=0 if self.reserved_words == "drop" else None
        )


class PrivacySection(Section):
    """What is done about secrets and personal data; `kinds` are those that count (none: all)."""

    secrets: PrivacyAction = "mask"
    personal_data: PrivacyAction = "report"
    kinds: Texts = ()

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: Texts) -> Texts:
        if unknown := set(kinds).difference(KINDS):
            raise ValueError(f"no kind {min(unknown)!r}; there are {', '.join(KINDS)}")
        return kinds

    def actions(self) -> dict[str, str]:
        """What is done about each kind."""
        asked = self.kinds or KINDS
        groups = ((self.secrets, SECRETS), (self.personal_data, PERSONAL))
        told = [(kind, action) for action, group in groups for kind in group]
        return {kind: action if kind in asked else "report" for kind, action in told}

    def kinds_to(self, action: PrivacyAction) -> tuple[str, ...]:
        """The kinds that this is done about."""
        return tuple(kind for kind, asked in self.actions().items() if asked == action)


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
    strata: Texts = ()  # model_id, length, or metadata keys, which share max_lines
    share: Literal["even", "proportional"] = "even"
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
    lineage: Name | None = None  # jobs that build on each other; without it, the recipe's name
    kms_key_id: Text | None = None


class Recipe(Section):
    """One dataset: from which logs, which records, which answers, in which shape."""

    name: Name
    lake: Text
    source: SourceSection
    template: TemplateSection
    derive: tuple[DeriveSection, ...] = ()
    normalise: NormaliseSection = NormaliseSection()
    select: SelectSection = SelectSection()
    curate: CurateSection = CurateSection()
    quality: QualitySection = QualitySection()
    privacy: PrivacySection = PrivacySection()
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

    @property
    def lineage(self) -> str:
        """The training jobs that build on each other: none is trained on what another was."""
        return (self.train.lineage if self.train else None) or self.name

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
