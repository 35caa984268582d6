"""The context of one build: an opened recipe, and the stores and tables that it names."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.flows.recipe import Recipe, load_recipe
from bedrock_sluice.flows.recipe.suite_files import SuiteFile, read_suites
from bedrock_sluice.flows.running.executor import keep_processes
from bedrock_sluice.flows.running.executor_setting import PROCESSES, open_executor
from bedrock_sluice.lake.evaluation import Evaluation, read_evaluation
from bedrock_sluice.lake.exchanges import ExchangeFiles
from bedrock_sluice.lake.exclusions import ExclusionList, read_exclusions
from bedrock_sluice.lake.labels import Labels, read_labels
from bedrock_sluice.lake.logs.landed_window import LandedWindow, find_landed
from bedrock_sluice.lake.logs.source import Source, open_source
from bedrock_sluice.lake.reviews import StoredReview, read_reviews
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.lake.texts import LazyTexts
from bedrock_sluice.lake.tombstones import read_digests
from bedrock_sluice.rewards.conformance.profile import Profile
from bedrock_sluice.rewards.corrections import decide_by_template
from bedrock_sluice.rewards.profiles import profile_named
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.rewards.templates.base import Template, template_named
from bedrock_sluice.transforms.dedup.line_marks import MarkCache
from bedrock_sluice.transforms.derived_metadata import Derivation
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.features.languages import check_languages
from bedrock_sluice.transforms.review.verdicts import VoteRules, tabulate_verdicts
from bedrock_sluice.transforms.rights.settings import Exclusion

MINUTE = "%Y-%m-%d %H:%M"  # how messages and the report write a time


@dataclass(frozen=True)
class BuildContext:
    """What every step of a build is given; `work` is a private folder for this build's files."""

    recipe: Recipe
    base: Path
    work: Path

    @cached_property
    def lake(self) -> Store:
        """The lake, which Sluice owns."""
        return open_store(self.recipe.lake, self.base)

    @cached_property
    def source(self) -> Source:
        """The source of the logs, and where bodies may be stored apart.

        Raises:
            ConfigError: there are no logs.
        """
        bodies = [open_store(uri, self.base).uri for uri in self.recipe.source.bodies]
        return replace(open_source(self.recipe.source.uri, self.base), bodies=tuple(bodies))

    @cached_property
    def template(self) -> Template:
        """The template that the recipe names, as it sets it."""
        section = self.recipe.template
        return template_named(section.name, section.options())

    @cached_property
    def profiles(self) -> list[Profile]:
        """The profiles of conformance that every line must pass."""
        section = self.recipe.template.profiles or self.template.profiles
        return [profile_named(name) for name in section]

    @cached_property
    def labels(self) -> list[Labels]:
        """The label tables that the recipe names."""
        section = self.recipe.answer
        return [read_labels(uri, self.base, section.label_key) for uri in section.labels]

    @cached_property
    def feedback(self) -> list[Labels]:
        """The tables of what people said of responses."""
        section = self.recipe.answer.feedback
        return [read_labels(uri, self.base, kind="feedback table") for uri in section]

    @cached_property
    def exclusion_lists(self) -> list[ExclusionList]:
        """The exclusion lists that the recipe names."""
        rights = self.recipe.rights
        if rights is None:
            return []
        subjects = rights.subjects()
        return [read_exclusions(uri, self.base, subjects) for uri in rights.exclude_files]

    @cached_property
    def exclusions(self) -> list[Exclusion]:
        """All exclusions, those in the recipe first."""
        own = self.recipe.rights.exclusions() if self.recipe.rights else []
        return [*own, *(each for table in self.exclusion_lists for each in table.exclusions)]

    @cached_property
    def forgotten_digests(self) -> frozenset[str]:
        """The digests of the requests that were forgotten in this lake."""
        return read_digests(self.lake)

    def open_all(self) -> None:
        """Open all that the recipe names, before it all takes time.

        Raises:
            ConfigError: one of them is not there, or broken.
        """
        _ = self.lake, self.source
        _ = self.labels, self.feedback, self.evaluation, self.exclusions, self.reviews
        _ = self.suites
        check_languages(self.recipe.quality.languages)
        grader = self.recipe.grader
        if grader and grader.python:
            LocalGrader(grader.python, self.base).place()

    @cached_property
    def evaluation(self) -> Evaluation:
        """The evaluation sets that the recipe names."""
        return read_evaluation(self.recipe.curate.against, self.base)

    @cached_property
    def suites(self) -> list[SuiteFile]:
        """The suites of checks that the recipe names."""
        section = self.recipe.checks
        return read_suites(section.suites, self.base) if section else []

    @cached_property
    def reviews(self) -> list[StoredReview]:
        """The reviews of earlier releases of this name, which decide about lines of the next.

        Raises:
            IntegrityError: a record was changed after it was written.
        """
        return read_reviews(self.lake, self.recipe.name)

    @cached_property
    def review_decisions(self) -> pl.DataFrame:
        """What the reviews decide about prompts (`DECISIONS`), by the rules of `[answer]`."""
        options = self.recipe.answer
        return decide_by_template(
            tabulate_verdicts(self.reviews),
            self.template,
            VoteRules(options.conflicts, options.labelled_before),
        )

    @cached_property
    def landed(self) -> LandedWindow:
        """The landed records of the window, with derived tags.

        Raises:
            ConfigError: the lake has no log object for the window.
        """
        recipe = self.recipe
        derivations = [Derivation(**rule.model_dump()) for rule in recipe.derive]
        landed = find_landed(self.lake, self.source, recipe.window, derivations, self.work)
        if not landed.parts:
            since, until = recipe.window.since, recipe.window.until
            raise ConfigError(
                f"no log objects under {recipe.source.uri} for records from "
                f"{f'{since:{MINUTE}}' if since else 'the first'} until "
                f"{f'{until:{MINUTE}}' if until else 'the last'} (UTC); "
                f"{_describe_days(self.source.days())}. Change [source] since and until, or uri"
            )
        return landed

    @cached_property
    def marks(self) -> MarkCache:
        """The marks of lines, once the stages `split` and `render` have found them."""
        return MarkCache()

    @cached_property
    def exchanges(self) -> ExchangeFiles:
        """The exchanges of this build, once the stage `normalise` has found them."""
        return ExchangeFiles()

    @cached_property
    def sketches(self) -> dict[str, tuple[pl.Series, NDArray[np.uint32]]]:
        """Exchanges (ascending) and their sketches, by scope, as `features.find_sketches` read."""
        return {}

    @cached_property
    def texts(self) -> dict[str, LazyTexts]:
        """The texts of exchanges that stages compared, by scope; see `features.compare_texts`."""
        return {}


def _describe_days(days: Sequence[date]) -> str:
    if len(days) <= 1:
        return f"there are logs of {days[0]} alone" if days else "there are no logs of any day"
    return f"there are logs of {len(days):,} days, {days[0]} to {days[-1]}"


def _shared_places(recipe: Recipe, base: Path) -> dict[str, str]:
    """Return the URIs of the recipe that the tasks of `pull` and `derive` read or write, by key."""
    uris = {"lake": recipe.lake, "source.uri": recipe.source.uri}
    uris |= {f"source.bodies[{n}]": uri for n, uri in enumerate(recipe.source.bodies)}
    return {key: open_store(uri, base).uri for key, uri in uris.items()}


@contextmanager
def open_context(
    path: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    executor: str = PROCESSES,
    delivered_before: datetime | None = None,
) -> Iterator[BuildContext]:
    """Open a recipe: fix its window now, and lend it a work folder that is removed at the end.

    `executor` is `processes` or `dask://host:port`; see `executor_setting`.

    Raises:
        ConfigError: the recipe or the executor is wrong; or Python runs in a way that the gate
            can't.
        OutsideError: the scheduler cannot be reached.
    """
    if sys.flags.optimize > 1:
        raise ConfigError(
            "Python runs without docstrings (-OO, PYTHONOPTIMIZE=2), and Great Expectations can't "
            "be imported like that; unset PYTHONOPTIMIZE"
        )
    recipe = load_recipe(path).at(datetime.now(UTC), since, until, delivered_before)
    base = path.absolute().parent
    places = {} if executor == PROCESSES else _shared_places(recipe, base)
    with (
        TemporaryDirectory(prefix="sluice-work-") as work,
        keep_processes(),
        open_executor(executor, places),
    ):
        yield BuildContext(recipe, base, Path(work))
