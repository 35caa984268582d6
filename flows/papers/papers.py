"""All papers of a release, and the folder that a user wants them in."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from bedrock_sluice.flows.papers import card, croissant, statement, summary
from bedrock_sluice.flows.papers.facts import PaperFacts, find_facts
from bedrock_sluice.flows.papers.kinds import Paper
from bedrock_sluice.flows.papers.markdown import PLACEHOLDER
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.lake.files import replaced_file
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.errors import ConfigError


class WrittenPapers(msgspec.Struct, frozen=True):
    """The files that were written, and how many places in each a person has to complete."""

    folder: str
    files: list[str]
    to_complete: dict[str, int]


def render_papers(facts: PaperFacts, kinds: Collection[Paper] = ()) -> dict[str, bytes]:
    """Return the papers of a release by file name; all, or those of some kinds."""
    return dict(_render(facts, kinds or tuple(Paper)))


def _render(facts: PaperFacts, kinds: Collection[Paper]) -> Iterator[tuple[str, bytes]]:
    if Paper.CARD in kinds:
        yield card.NAME, card.render_card(facts)
    if Paper.CROISSANT in kinds:
        yield croissant.NAME, croissant.render_croissant(facts)
    if Paper.SUMMARY in kinds:
        yield summary.NAME, summary.render_summary(facts)
    if Paper.STATEMENT in kinds:
        yield statement.NAME, statement.render_statement(facts)
        for job in facts.jobs:
            yield statement.name_of_job(job), statement.render_job_statement(facts, job)


def write_papers(  # noqa: PLR0913 - options of the command
    release: Release,
    folder: Path,
    *,
    kinds: Collection[Paper] = (),
    recipe: Recipe | None = None,
    has_data: bool = False,
    force: bool = False,
) -> WrittenPapers:
    """Write the papers of a release into a folder, with the lines too if `has_data`.

    `recipe` replaces the `[papers]` of the build. Files that people changed are replaced only with
    `force`.

    Raises:
        ConfigError: `recipe` is that of another dataset, or a file exists with other content.
        IntegrityError: A file of the release is missing, or is not what was written.
        OutsideError: A file cannot be written.
    """
    facts = find_facts(release, recipe)
    contents: dict[str, bytes | Path] = dict(render_papers(facts, kinds))
    if has_data:
        contents |= {f"{side}.jsonl": release.file(f"{side}.jsonl") for side in facts.data_files}
    if not force:
        _check_folder(folder, contents)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with replaced_file(folder / name) as file:
            file.write(_bytes(content))
    places = {
        name: count
        for name, content in contents.items()
        if isinstance(content, bytes) and (count := content.count(f"**{PLACEHOLDER}:**".encode()))
    }
    return WrittenPapers(str(folder), list(contents), places)


def _check_folder(folder: Path, contents: Mapping[str, bytes | Path]) -> None:
    """See that nothing of a user's is replaced; all is compared before anything is written."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError("is not a folder", place=str(folder), hint="name a folder with --out")
    for name, content in contents.items():
        path = folder / name
        if path.exists() and (not path.is_file() or path.read_bytes() != _bytes(content)):
            raise ConfigError(
                "exists with different content",
                place=str(path),
                hint="replace it with --force, or name another folder with --out",
            )


def _bytes(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()
