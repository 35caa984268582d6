"""The recipe: one TOML file that says how a dataset is made. Nothing else configures a build."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import msgspec
from pydantic import ValidationError, model_validator

from bedrock_sluice.flows.recipe.approval_section import ApprovalSection
from bedrock_sluice.flows.recipe.checks_section import ChecksSection
from bedrock_sluice.flows.recipe.errors import RecipeError, explain, line_of, unknown
from bedrock_sluice.flows.recipe.nightly_section import NightlySection
from bedrock_sluice.flows.recipe.papers_section import PapersSection
from bedrock_sluice.flows.recipe.rights_section import RightsSection
from bedrock_sluice.flows.recipe.sections import (
    AnswerSection,
    CurateSection,
    DeriveSection,
    GraderSection,
    NormaliseSection,
    PrivacySection,
    QualitySection,
    ReportSection,
    Section,
    SelectSection,
    SourceSection,
    SplitSection,
    TemplateSection,
    TrainSection,
)
from bedrock_sluice.flows.recipe.values import Account, Name, Text, as_utc
from bedrock_sluice.lake.logs.source import Window
from bedrock_sluice.lake.stores.owners import expect_owner
from bedrock_sluice.lake.stores.store import S3_SCHEME
from bedrock_sluice.rewards.profiles import profiles
from bedrock_sluice.rewards.templates.base import template_named, template_names
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.settings import RESPONSE_SOURCES, select_trusted_sources

PATHS = {
    "source": ("uri", "bodies", "bucket_owner"),
    "answer": ("labels", "feedback"),
    "grader": ("lambda_arn",),
    "rights": ("exclude_files",),
    "checks": ("suites",),
}
"""Where things lie: no part of what a recipe asks for."""

NOT_DECISIVE = ("lake", "bucket_owner", "papers", "report", "train", "approval")
"""Sections and keys that decide nothing about the data."""

CUSTOM = "custom"  # the template
SPLIT_FORMAT = 1  # of the names of roots: with another, no earlier side is known again


class Recipe(Section):
    """One dataset: from which logs, which records, which answers, in which shape."""

    name: Name
    lake: Text
    bucket_owner: Account | None = None
    source: SourceSection
    template: TemplateSection
    derive: tuple[DeriveSection, ...] = ()
    normalise: NormaliseSection = NormaliseSection()
    select: SelectSection = SelectSection()
    rights: RightsSection | None = None
    curate: CurateSection = CurateSection()
    quality: QualitySection = QualitySection()
    privacy: PrivacySection = PrivacySection()
    answer: AnswerSection = AnswerSection()
    split: SplitSection = SplitSection()
    checks: ChecksSection | None = None
    report: ReportSection = ReportSection()
    grader: GraderSection | None = None
    train: TrainSection | None = None
    approval: ApprovalSection = ApprovalSection()
    papers: PapersSection | None = None
    nightly: NightlySection = NightlySection()

    @model_validator(mode="before")
    @classmethod
    def _name_base_model(cls, content: Any) -> Any:
        """The model that is trained decides about answers, so it is a part of [rights]."""
        match content:
            case {"rights": dict() as rights, "train": {"model": str() as model}}:
                return {**content, "rights": {"base_model": model, **rights}}
            case _:
                return content

    @model_validator(mode="after")
    def _knows_the_base_model(self) -> Self:
        """Only then it is known whose responses may teach it."""
        if self.rights is None:
            return self
        sources = select_trusted_sources(self.answer.sources, self.answer.minimum_trust)
        if not self.rights.base_model and set(sources) & set(RESPONSE_SOURCES):
            raise ValueError(
                "[rights] needs base_model, or [train] a model: answers come from responses of "
                "models, whose providers may forbid to train others on them"
            )
        region = self.train.region if self.train else None
        if region and self.rights.regions and region not in self.rights.regions:
            raise ValueError(f"[train] region: {region} is not one of the regions of [rights]")
        return self

    @model_validator(mode="after")
    def _knows_the_metadata_key(self) -> Self:
        """Only `custom` has answers of several keys, and names them itself."""
        section = self.answer
        if (
            "metadata" in section.sources
            and not section.metadata_key
            and self.template.name != CUSTOM
        ):
            raise ValueError('answer.from has "metadata", but there is no metadata_key = "KEY"')
        return self

    @model_validator(mode="after")
    def _can_follow_its_policy(self) -> Self:
        """A job that nobody asked for must have a price and a limit."""
        section, train = self.nightly, self.train
        if section.policy.startswith("train") and train is None:
            raise ValueError(f'[nightly] policy = "{section.policy}" needs [train]')
        if section.policy == "train_automatically" and (train is None or train.budget is None):
            raise ValueError('[nightly] policy = "train_automatically" needs budget in [train]')
        if section.monthly_budget is not None and (train is None or train.prices is None):
            raise ValueError("[nightly] monthly_budget needs prices in [train]")
        return self

    def at(
        self,
        now: datetime,
        since: datetime | None = None,
        until: datetime | None = None,
        delivered_before: datetime | None = None,
    ) -> "Recipe":
        """This recipe with a fixed window; `last_days` end with the last whole day before `now`."""
        source = self.source
        if not (since or until or delivered_before or source.last_days):
            return self
        window = {"since": since or source.since, "until": until or source.until}
        if source.last_days:
            midnight = datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC)
            end = as_utc(until) or midnight
            window = {"since": since or end - timedelta(days=source.last_days), "until": end}
        window["delivered_before"] = delivered_before or source.delivered_before
        values = source.model_dump() | window | {"last_days": None}
        try:
            return self.model_copy(update={"source": SourceSection.model_validate(values)})
        except ValidationError as error:
            (fault, *_) = error.errors()
            raise ConfigError(f"window: {fault['msg'].removeprefix('Value error, ')}") from None

    @property
    def window(self) -> Window:
        """The window of record time; open where the recipe says nothing."""
        source = self.source
        return Window(source.since, source.until, source.delivered_before)

    @property
    def lineage(self) -> str:
        """The training jobs that build on each other: none is trained on what another was."""
        return (self.train.lineage if self.train else None) or self.name

    def bucket_owners(self) -> dict[str, str]:
        """The accounts that buckets of the recipe must belong to, by bucket."""
        train, source = self.train, self.source
        others = [self.lake, *self.answer.labels, *self.answer.feedback, *self.curate.against]
        others += self.rights.exclude_files if self.rights else ()
        others += self.checks.suites if self.checks else ()
        others += filter(None, (train.data_uri, train.output_uri)) if train else ()
        owners = dict.fromkeys(others, self.bucket_owner)
        owner_of_logs = source.bucket_owner or self.bucket_owner
        owners |= dict.fromkeys((source.uri, *source.bodies), owner_of_logs)
        return {
            uri.removeprefix(S3_SCHEME).partition("/")[0]: account
            for uri, account in owners.items()
            if account and uri.startswith(S3_SCHEME)
        }

    def dump(self) -> dict[str, Any]:
        """The recipe as JSON values, for manifests; [nightly] may name a secret address."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"nightly"})

    def split_rules(self) -> str:
        """A digest (hex) of what decides who belongs on one side, and which: see `split_history`.

        Another validation share, salt or grouping makes another split, from the beginning.
        """
        rules = {
            "format": SPLIT_FORMAT,
            "validation": self.split.validation,
            "salt": self.split.salt,
            "group_by": self.split.group_by,
            "conversation_key": self.curate.conversation_key,
        }
        return sha256(msgspec.json.encode(rules, order="deterministic")).hexdigest()

    def digest(self) -> str:
        """See `recipe_digest`."""
        return recipe_digest(self.dump())


def recipe_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of `decisive_part`: one of an older version keeps its digest."""
    content = decisive_part(content)
    return sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def decisive_part(content: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe decides the data, wherever lake, logs, labels and grader lie.

    Job settings ([train]), [papers], [report], what people must do ([approval]), and a grader that
    no build tries are left out. `content` is the recipe as its manifest holds it.
    """
    hashed_keys = {k: v for k, v in content.items() if k not in NOT_DECISIVE}
    grader = hashed_keys.get("grader", {})
    if not grader.get("in_gate", "python" in grader):  # see `GraderSection.is_in_gate`
        hashed_keys.pop("grader", None)
    for section in hashed_keys.keys() & PATHS.keys():
        hashed_keys[section] = {
            k: v for k, v in hashed_keys[section].items() if k not in PATHS[section]
        }
    return hashed_keys


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. From then on, S3 compares the owners that it names (`expect_owner`).

    A recipe that names none leaves those of others as they are: a nightly run reads many.

    Raises:
        ConfigError: it can't be read, is not TOML, or has wrong keys or values; the message
            names file and line, and for an unknown key the nearest known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise RecipeError(path, [(0, str(why))]) from None
    try:
        recipe = Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        fault = (int(line[1]) if line else 0, f"invalid TOML: {error}")
        raise RecipeError(path, [fault]) from None
    except ValidationError as error:
        raise explain(error, path, text, Recipe) from None
    _check_template(recipe.template, path, text)
    for bucket, account in recipe.bucket_owners().items():
        expect_owner(bucket, account)
    return recipe


def _check_template(section: TemplateSection, path: Path, text: str) -> None:
    """See that there is such a template with such options, and such profiles.

    A recipe in a manifest is not held to that: what it was built with may be gone.
    """

    def wrong(key: str, reason: str) -> RecipeError:
        return RecipeError(path, [(line_of(text, ("template", key)), f"template.{key}: {reason}")])

    if section.name not in template_names():
        raise wrong("name", unknown(section.name, template_names()))
    for name in section.profiles:
        if name not in profiles():
            raise wrong("profiles", unknown(name, profiles()))
    try:
        template_named(section.name, section.options())
    except ConfigError as error:
        raise RecipeError(path, [(line_of(text, ("template",)), str(error))]) from None


def load_folder(folder: Path) -> dict[Path, Recipe | ConfigError]:
    """Each `*.toml` of a folder, by name: its recipe, or what is wrong with it.

    Of recipes with one `name` none can be built: each would take the other's releases for its own.

    Raises:
        ConfigError: there is no such folder, or no recipe in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name one that holds recipes (*.toml)")
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise ConfigError(f"{folder} has no recipe; name a folder with *.toml files")
    recipes = dict[Path, Recipe | ConfigError]()
    for path in paths:
        try:
            recipes[path] = load_recipe(path)
        except ConfigError as error:
            recipes[path] = error
    names = Counter(recipe.name for recipe in recipes.values() if isinstance(recipe, Recipe))
    for path, recipe in recipes.items():
        if isinstance(recipe, Recipe) and names[recipe.name] > 1:
            message = f"{path}: another recipe of the folder has the name {recipe.name!r}, too"
            recipes[path] = ConfigError(f"{message}; rename one of them")
    return recipes
