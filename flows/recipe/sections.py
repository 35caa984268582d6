"""The sections of a recipe: what each of its keys may be. Every limit has its unit beside it."""

from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from bedrock_sluice.flows.recipe.values import (
    MAX_BURST_MINUTES,
    MAX_LAST_DAYS,
    MAX_MEMORY_MB,
    Account,
    Burst,
    Count,
    Files,
    Flag,
    HyperParameter,
    Limit,
    Moment,
    Name,
    Number,
    PrivacyAction,
    Salt,
    Share,
    Similarity,
    Text,
    Texts,
)
from bedrock_sluice.rewards.prices import Prices
from bedrock_sluice.rewards.running.events import EventForm
from bedrock_sluice.rewards.templates.base import OWN_KEYS
from bedrock_sluice.transforms.answers.json_path import parse_path
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.metadata_filter import LOGGED_KEY, parse_filter
from bedrock_sluice.transforms.patterns import extraction_fault, pattern_fault
from bedrock_sluice.transforms.privacy.kinds import KINDS, PERSONAL, SECRETS
from bedrock_sluice.transforms.settings import (
    MAX_LINES,
    MINIMUM_RESPONSES,
    MINIMUM_SHARE,
    AnswerSource,
    ConflictRule,
    Content,
    Policy,
    QualityLimits,
    select_trusted_sources,
)
from bedrock_sluice.transforms.settings import Share as LineShare


class Section(BaseModel):
    """A table of the recipe: frozen, and without keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSection(Section):
    """Where the logs are, and the window of record time (UTC, half open)."""

    uri: Text
    bucket_owner: Account | None = None  # of the buckets of logs and bodies
    bodies: Texts = ()  # further places where bodies may be stored apart
    since: Moment | None = None
    until: Moment | None = None
    last_days: Annotated[int, Field(strict=True, ge=1, le=MAX_LAST_DAYS)] | None = None
    delivered_before: Moment | None = None  # log objects of this hour and later are not read

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
    near_duplicates: Similarity = 0.8  # Jaccard similarity of 5-word shingles
    near_scope: Literal["turns", "last_user"] = "turns"  # what is compared
    within_system: Flag = True  # only prompts under the same system prompt are compared
    against: Texts = ()  # evaluation sets: JSONL files
    trained_share: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.0
    max_per_identity: Count | None = None
    max_per_system: Count | None = None
    max_burst: Burst | None = None  # records of one prompt and caller within `burst_minutes`
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
        values = self.model_dump(exclude={"reserved_words"})
        return QualityLimits(
            **values, max_reserved_words=0 if self.reserved_words == "drop" else None
        )


class PrivacySection(Section):
    """What is done about secrets and personal data; `kinds` are those that count (none: all)."""

    secrets: PrivacyAction = "mask"
    personal_data: PrivacyAction = "report"
    kinds: Texts = ()

    @field_validator("kinds")
    @classmethod
    def _check_kinds(cls, kinds: Texts) -> Texts:
        if unknown := set(kinds).difference(KINDS):
            raise ValueError(f"no kind {min(unknown)!r}; there are {', '.join(KINDS)}")
        return kinds

    def actions(self) -> dict[str, str]:
        """What is done about each kind."""
        kinds = self.kinds or KINDS
        groups = ((self.secrets, SECRETS), (self.personal_data, PERSONAL))
        pairs = [(kind, action) for action, group in groups for kind in group]
        return {kind: action if kind in kinds else "report" for kind, action in pairs}

    def kinds_to(self, action: PrivacyAction) -> tuple[str, ...]:
        """The kinds that this is done about."""
        return tuple(kind for kind, kind_action in self.actions().items() if kind_action == action)


class AnswerSection(Section):
    """Where reference answers come from: the first source that has one wins."""

    sources: Annotated[tuple[AnswerSource, ...], Field(alias="from", min_length=1)] = ("logged",)
    labels: Files = ()
    label_key: Text = "request_id"  # or a metadata key, whose value a label names
    feedback: Files = ()
    good_score: Number | None = None  # of feedback: from it on a response is right
    bad_score: Number | None = None  # up to it a response is wrong
    labelled_before: Moment | None = None  # labels and feedback from then on do not count
    conflicts: ConflictRule = "drop"
    minimum_trust: AnswerSource = "logged"
    metadata_key: Text | None = None
    minimum_share: Annotated[float, Field(strict=True, gt=0, le=1)] = MINIMUM_SHARE
    minimum_responses: Annotated[int, Field(strict=True, ge=2)] = MINIMUM_RESPONSES
    extract_pattern: Text | None = None
    extract_path: Text | None = None

    @field_validator("extract_pattern")
    @classmethod
    def _is_extraction(cls, pattern: str) -> str:
        if fault := extraction_fault(pattern):
            raise ValueError(fault)
        return pattern

    @field_validator("extract_path")
    @classmethod
    def _is_path(cls, path: str) -> str:
        parse_path(path)
        return path

    @model_validator(mode="after")
    def _has_what_it_names(self) -> Self:
        values = {
            "labels": (self.labels, 'labels = "FILE"'),
            "feedback": (self.feedback, 'feedback = "FILE"'),
        }
        for source, (is_given, message) in values.items():
            if source in self.sources and not is_given:
                raise ValueError(f'from has "{source}", but there is no {message}')
        if "extracted" in self.sources and bool(self.extract_pattern) == bool(self.extract_path):
            message = "give exactly one of extract_pattern and extract_path"
            raise ValueError(f'from has "extracted": {message}')
        useless = {
            "labels": self.labels,
            "feedback": self.feedback,
            "extracted": self.extract_pattern or self.extract_path,
            "metadata": self.metadata_key,
        }
        for source, value in useless.items():
            if value and source not in self.sources:
                raise ValueError(f'what is given for "{source}" is not used: add it to from')
        if len(set(self.sources)) < len(self.sources):
            raise ValueError("from names a source twice")
        if not select_trusted_sources(self.sources, self.minimum_trust):
            raise ValueError("minimum_trust leaves no source of from")
        low, high = self.bad_score, self.good_score
        if low is not None and high is not None and low >= high:
            raise ValueError("bad_score must be below good_score")
        return self


class TemplateSection(Section):
    """The shape of a line; `history` keeps earlier turns, `fields` are metadata keys to add."""

    name: Text
    history: Flag = False
    fields: Texts = ()
    profiles: Texts = ()  # of conformance, that every line must pass; default: the template's
    instruct: Flag = False  # prompts that don't ask for the answer's form are made to
    kind: Text | None = None  # of judge and of qa
    reference: dict[Text, Text] | Text | None = None  # of custom: its fields, and a label's
    json_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None  # of custom
    marker: Text | None = None  # of custom
    instruction: Text | None = None  # of custom

    def options(self) -> dict[str, Any]:
        """What the template itself is given."""
        values = self.model_dump(include={"kind", "reference", "marker", "instruction"})
        return values | {"schema": self.json_schema}

    @field_validator("fields")
    @classmethod
    def _free_names(cls, fields: Texts) -> Texts:
        if reserved_fields := OWN_KEYS.intersection(fields):
            raise ValueError(f"a line has its own {', '.join(sorted(reserved_fields))}")
        return fields


class SplitSection(Section):
    """How lines are divided; `group_by` are metadata keys whose values stay on one side."""

    validation: Share = 0.1
    max_lines: Annotated[int, Field(strict=True, ge=1, le=MAX_LINES)] = MAX_LINES
    strata: Texts = ()  # model_id, length, or metadata keys, which share max_lines
    share: LineShare = "even"
    group_by: Texts = ()
    salt: Salt = ""


class GraderSection(Section):
    """The reward function: the Lambda that training calls, a local copy of it, or both."""

    lambda_arn: Text | None = None
    python: Text | None = None  # "grader.py:lambda_handler", relative to the recipe
    in_gate: Flag | None = None  # whether it is tried before each release; default: if it is local
    drop_zero_variance: Flag = False  # prompts whose logged responses all have the same score
    form: EventForm = "metadata"  # of the event: where the reference stands in it
    batch_size: Count = 32  # samples
    timeout_seconds: Annotated[float, Field(gt=0, le=900)] = 60.0  # of one call
    memory_mb: Annotated[int, Field(strict=True, ge=64, le=MAX_MEMORY_MB)] = 1_024  # of a local one
    max_samples: Count = 2_000  # responses that are graded
    slices: Texts = ()  # metadata keys that readiness is told by

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.lambda_arn is None and self.python is None:
            raise ValueError("give lambda_arn, python or both")
        if self.drop_zero_variance and not self.is_in_gate:
            raise ValueError("drop_zero_variance needs in_gate = true: builds must try the grader")
        return self

    @property
    def is_in_gate(self) -> bool:
        """Whether a build runs it."""
        return self.in_gate if self.in_gate is not None else self.python is not None


class ReportSection(Section):
    """What the page for reviewers shows; it decides nothing about the data."""

    content: Content = "masked"  # of the text of lines: all, nothing, or personal data masked


HealthPolicy = Literal["warn", "stop"]

TargetName = Literal["nova", "open_weight", "sagemaker"]
"""The services that train: see `flows.training.targets`."""


class TrainSection(Section):
    """The job. `hyper_parameters` are those of the target, in its own words."""

    model: Text
    target: TargetName | None = None  # default: the one that trains the model
    region: Text | None = None  # of the job; default: that of the AWS settings
    role_arn: Text | None = None  # that the job assumes; not for open_weight
    output_uri: Text | None = None  # an s3:// prefix for the model; not for open_weight
    data_uri: Text | None = None  # an s3:// prefix for the lines, where the lake is a folder
    validation: Flag = True  # whether the job is given the validation lines
    hyper_parameters: dict[str, HyperParameter] = {}
    tags: dict[str, str] = {}
    lineage: Name | None = None  # jobs that build on each other; without it, the recipe's name
    kms_key_id: Text | None = None
    base_url: Text | None = None  # of open_weight: another endpoint than Bedrock's of the Region
    evaluator_arn: Text | None = None  # of sagemaker: the grader, registered in a hub
    model_package_group_arn: Text | None = None  # of sagemaker: where the model goes
    accept_eula: Flag = False  # of sagemaker: whether the model's license is accepted
    on_unhealthy: HealthPolicy = "warn"  # what `sluice jobs watch` does about an unhealthy job
    judge_model: Text | None = None  # that the grader calls; its lifecycle is checked, too
    prices: dict[str, Any] | None = None  # see `estimate.Prices`
    budget: Annotated[float, Field(gt=0)] | None = None  # in the currency of the prices

    @model_validator(mode="after")
    def _is_payable(self) -> Self:
        if self.budget is not None and self.prices is None:
            raise ValueError("a budget needs prices = { ... }")
        self.price_table()
        return self

    def price_table(self) -> Prices | None:
        """The prices that the recipe names."""
        price_names = [field.name for field in fields(Prices)]
        if unknown := sorted(set(self.prices or ()) - set(price_names)):
            raise ValueError(f"prices has no {unknown[0]}; there are {', '.join(price_names)}")
        for name, price in (self.prices or {}).items():
            kind = str if name == "currency" else int | float
            if not isinstance(price, kind) or isinstance(price, bool):
                raise ValueError(f"prices: {name} must be a {'text' if kind is str else 'number'}")
        try:
            return Prices(**self.prices) if self.prices is not None else None
        except (TypeError, ConfigError) as error:
            raise ValueError(f"prices: {error}") from None
