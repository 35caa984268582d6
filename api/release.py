"""Releases in Python: building, opening and reading them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from msgspec import to_builtins

from bedrock_sluice.dataset_files import CHECKS, DECISIONS, line_frames, line_tables
from bedrock_sluice.expectations.checks import decode_checks
from bedrock_sluice.flows.review.explanation import find_fates, find_release
from bedrock_sluice.flows.review.release_names import resolve_release
from bedrock_sluice.lake.releases import release as lake_releases
from bedrock_sluice.transforms.errors import missing_extra

if TYPE_CHECKING:
    from datasets import DatasetDict

SIDES = ("train", "validation")
PaperName = Literal["card", "croissant", "summary", "statement"]


class Release:
    """A release: its manifest, and its files as polars frames.

    Every file is compared with the manifest when it is read. Frames are kept once they are read.
    `build` and `open_release` return releases. In the examples, `release` is one of the demo.

        >>> release.train.columns[:3]
        ['id', 'messages', 'reference_answer']
        >>> release.fates.filter(reason="curate_near_duplicate").select("stage").unique().item()
        'curate'
    """

    def __init__(self, release: lake_releases.Release) -> None:
        self._release = release

    def __repr__(self) -> str:
        return f"<Release {self.name}/{self.id}, {self.manifest['verdict']}>"

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return self._release.name

    @property
    def id(self) -> str:
        """The id: `<until-date>-<12 hex digits>`, unique within the name."""
        return self._release.id

    @property
    def uri(self) -> str:
        """The path or `s3://` URI of its folder."""
        return self._release.uri

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The content of manifest.json, which docs/release.md describes."""
        content: dict[str, Any] = to_builtins(self._release.manifest)
        return content

    @property
    def is_passed(self) -> bool:
        """Whether the gate let it through."""
        return self._release.is_passed

    @property
    def is_approved(self) -> bool:
        """Whether people approved it by now, as `[approval]` of its recipe asks for it.

        Raises:
            SluiceError: the release or a decision about it was changed.
        """
        from bedrock_sluice.flows.decisions.requirements import is_approved
        from bedrock_sluice.flows.recipe.build_recipe import recipe_of

        return is_approved(self._release, recipe_of(self._release).approval)

    @property
    def decisions(self) -> pl.DataFrame:
        """The decisions about it by now, one per row, the first one first; see docs/approval.md.

        Raises:
            SluiceError: the release or a decision was changed.
        """
        from bedrock_sluice.flows.decisions.decisions import find_decisions

        rows = [
            to_builtins(each, builtin_types=(datetime,)) for each in find_decisions(self._release)
        ]
        return pl.DataFrame(rows, schema=DECISIONS)

    def file(self, name: str) -> Path:
        """Return a local path of one of its files, such as `report.html`; for reading only.

        Raises:
            SluiceError: the release has no such file, or its content is not what the manifest says.
        """
        return self._release.file(name)

    @cached_property
    def checks(self) -> pl.DataFrame:
        """The checks of the gate, one per row; see checks.json in docs/release.md."""
        content = self.file("checks.json").read_bytes()
        rows = to_builtins(decode_checks(content, f"{self.uri}/checks.json"))
        return pl.DataFrame(rows, schema=CHECKS)

    @property
    def train(self) -> pl.DataFrame:
        """The lines to train on, in the order of train.jsonl.

        `id` is text and `messages` a list of structs. Of other fields, text is as it is, and any
        other value is JSON text, since its shape may differ from line to line.
        """
        return self._lines["train"]

    @property
    def validation(self) -> pl.DataFrame:
        """The lines to validate with, in the order of validation.jsonl; columns as in `train`."""
        return self._lines["validation"]

    @cached_property
    def _lines(self) -> dict[str, pl.DataFrame]:
        return line_frames({side: self.file(f"{side}.jsonl") for side in SIDES})

    @cached_property
    def fates(self) -> pl.DataFrame:
        """What happened to every record, one per row; see fates.parquet in docs/release.md."""
        return pl.read_parquet(self.file("fates.parquet"), glob=False)

    @cached_property
    def provenance(self) -> pl.DataFrame:
        """Where each line comes from; see provenance.parquet in docs/release.md."""
        return pl.read_parquet(self.file("provenance.parquet"), glob=False)

    def write_papers(
        self,
        folder: str | Path,
        *,
        only: Sequence[PaperName] = (),
        recipe: str | Path | None = None,
        data: bool = False,
        force: bool = False,
    ) -> list[Path]:
        """Write documents about the release into a folder, as `sluice papers` does.

        `recipe` is read for its section `[papers]`, instead of that of the build. With `data`, the
        lines are copied too. Files with different content are replaced only with `force`.

            >>> paths = release.write_papers("papers", data=True)
            >>> paths[0].name
            'README.md'

        Raises:
            SluiceError: a file exists with different content, or the recipe is wrong.
        """
        from bedrock_sluice.flows.papers.kinds import Paper
        from bedrock_sluice.flows.papers.papers import write_papers
        from bedrock_sluice.flows.recipe import load_recipe

        result = write_papers(
            self._release,
            Path(folder),
            kinds=[Paper(name) for name in only],
            recipe=load_recipe(Path(recipe)) if recipe else None,
            has_data=data,
            force=force,
        )
        return [Path(result.folder, name) for name in result.files]

    def to_datasets(self) -> "DatasetDict":
        """Return `train` and `validation` as Hugging Face datasets, in memory.

        A row is a line as `json.loads` returns it; a field that other lines have is None. This
        needs the extra `datasets`.

            >>> dataset = release.to_datasets()
            >>> dataset["train"][0]["messages"][-1]["role"]
            'user'

        Raises:
            SluiceError: the extra is not installed.
        """
        try:
            from datasets import Dataset, DatasetDict, Features, Json, List, Value
        except ModuleNotFoundError as error:
            if error.name != "datasets":
                raise
            raise missing_extra("datasets", "datasets") from None

        tables = line_tables({side: self.file(f"{side}.jsonl") for side in SIDES})
        others = [name for name in tables["train"].column_names if name not in ("id", "messages")]
        features = Features(
            {"id": Value("string"), "messages": List(Json())} | {name: Json() for name in others}
        )
        sides = {side: table.cast(features.arrow_schema) for side, table in tables.items()}
        return DatasetDict({side: Dataset(table) for side, table in sides.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What happened to one record, and why.

    `message` says it in a sentence. A dropped record has a `reason`, and maybe a `survivor`: the
    record that stands for it. `final_survivor` follows on where that one was dropped, too. A record
    that became a line has a `reference_source`, a `group` and a number of `duplicates`.
    """

    object: str
    line: int
    request_id: str
    fate: str
    message: str
    stage: str | None = None
    reason: str | None = None
    survivor: str | None = None
    final_survivor: str | None = None
    detail: str | None = None
    reference_source: str | None = None
    group: str | None = None
    duplicates: int | None = None


def build(
    recipe: str | Path, *, since: datetime | None = None, until: datetime | None = None
) -> Release:
    """Fetch new logs and build a release, as `sluice build` does.

    `since` and `until` replace the window of the recipe; without a zone, they are in UTC. A release
    that the gate rejected is returned, too: ask `is_passed`.

        >>> from bedrock_sluice import build
        >>> release = build("sluice-demo/recipe.toml")
        >>> release.manifest["counts"]["train"] == release.train.height
        True

    Raises:
        SluiceError: nothing was published.
    """
    from bedrock_sluice.flows.context import open_context
    from bedrock_sluice.flows.pipeline import build as run_build

    with open_context(Path(recipe), since, until) as context:
        return Release(run_build(context))


def open_release(uri: str | Path, lake: str | Path | None = None) -> Release:
    """Open a release: `<lake>/releases/<name>/<id>`, or by name, `tutor.toml@latest`.

    The path or `s3://` URI of a `lake` (or its recipe) completes a name such as `tutor@approved`.

        >>> from bedrock_sluice import open_release
        >>> open_release(release.uri).id == release.id
        True

    Raises:
        SluiceError: there is no whole release.
    """
    return Release(resolve_release(str(uri), lake))


def trace(
    target: Release | str,
    lake: str | Path | None = None,
    *,
    request_ids: Sequence[str] = (),
    records: bool = False,
) -> dict[str, Any]:
    """Trace a model or a job (an ARN), or a release, to its log objects and records.

    The result is what `sluice trace --json` prints; docs/papers.md describes it. An ARN needs the
    `lake` whose registry has the job. A broken link is in the result, and raises no error.

        >>> from bedrock_sluice import trace
        >>> all(link["ok"] for link in trace(release)["links"])
        True

    Raises:
        SluiceError: there is no such release, or no job with that ARN.
    """
    from bedrock_sluice.flows.review.trace import trace as trace_target
    from bedrock_sluice.lake.stores.opening import open_store

    uri = target.uri if isinstance(target, Release) else target
    store = open_store(str(lake)) if lake else None
    result: dict[str, Any] = to_builtins(
        trace_target(uri, store, request_ids=request_ids, has_records=records)
    )
    return result


def explain(source: Release | str | Path, request_id: str) -> list[Explanation]:
    """Explain what happened to a record; several explanations if it was delivered several times.

    `source` is a release, its URI, or a recipe (`*.toml`): then the newest release that it built.
    The list is empty if the release has no such record.

        >>> from bedrock_sluice import explain
        >>> request_id = release.train["id"][0]
        >>> [each.message for each in explain(release, request_id)]
        ['it became a line']

    Raises:
        SluiceError: there is no such release, or the recipe is wrong.
    """
    if isinstance(source, Release):
        release = source._release
    elif Path(source).suffix == ".toml":
        release = find_release(Path(source), None)
    else:
        release = resolve_release(str(source))
    return [Explanation(**fate) for fate in find_fates(release, request_id)]
