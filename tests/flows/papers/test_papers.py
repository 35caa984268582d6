"""Papers load in the tools that read them, state what the release holds, and nothing of records."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import polars as pl
import pytest
import yaml
from support.demo_releases import BASE, JOB, MODEL
from support.protocols import RunSluice

from bedrock_sluice.flows.papers.facts import PaperFacts, find_facts
from bedrock_sluice.flows.papers.papers import render_papers, write_papers
from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.lake.releases.release import Release

SCHEMA = json.loads((Path(__file__).parent / "data" / "statement.schema.json").read_text())
RDFLIB_WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib")
PAPERS = ["README.md", "croissant.json", "training-data-summary.md", "statement.intoto.json"]
SETTINGS = """
[papers]
title = "Sums of a tutor"
license = "cc-by-4.0"
contact = "data@example.org"
languages = ["en"]
publication_date = 2026-11-03
"""


@pytest.fixture
def folder(release: Release, tmp_path: Path) -> Path:
    """The papers and the lines of the release."""
    write_papers(release, tmp_path / "papers", has_data=True)
    return tmp_path / "papers"


def front_matter(card: bytes) -> dict[str, Any]:
    _, header, _ = card.decode().split("---\n", 2)
    return dict(yaml.safe_load(header))


def test_datasets_loads_the_folder(
    folder: Path, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    dataset = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    counts = release.manifest.counts
    sizes = {side: dataset[side].num_rows for side in dataset}
    assert sizes == {"train": counts.train, "validation": counts.validation}
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    loaded_lines = [{k: v for k, v in row.items() if v is not None} for row in dataset["train"]]
    assert loaded_lines == lines


@RDFLIB_WARNS
def test_croissant_is_valid_and_loads_the_lines(folder: Path, release: Release) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    for side in ("train", "validation"):
        lines = (folder / f"{side}.jsonl").read_text().splitlines()
        rows = list(dataset.records(side))
        assert [r[f"{side}/id"].decode() for r in rows] == [
            json.loads(each)["id"] for each in lines
        ]
        message = rows[0][f"{side}/messages"][-1]
        assert (
            message[f"{side}/messages/content"].decode()
            == (json.loads(lines[0])["messages"][-1]["content"])
        )
    digests = {each.id: each.sha256 for each in dataset.metadata.distribution}
    files = release.manifest.files
    assert digests == {name: files[name].sha256 for name in ("train.jsonl", "validation.jsonl")}


@RDFLIB_WARNS
def test_a_changed_line_is_noticed_by_croissant(folder: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"id":"forged","messages":[]}\n')
    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    with pytest.raises(Exception, match=r"Download\(train\.jsonl\)"):
        list(dataset.records("train"))


def test_the_statement_names_every_file_and_every_input(release: Release) -> None:
    papers = render_papers(find_facts(release))
    statement = json.loads(papers["statement.intoto.json"])
    jsonschema.validate(statement, SCHEMA)
    subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    root = Path(release.uri)
    assert subjects == {path.name: sha256(path.read_bytes()).hexdigest() for path in root.iterdir()}
    definition = statement["predicate"]["buildDefinition"]
    logs = root.parents[3] / "logs"
    dependencies = {
        each["name"]: each["digest"]["sha256"] for each in definition["resolvedDependencies"]
    }
    files = [*logs.rglob("*Z_*.json.gz"), root.parents[3] / "labels.jsonl"]
    names = {p: p.relative_to(logs).as_posix() if logs in p.parents else p.name for p in files}
    assert dependencies == {names[p]: sha256(p.read_bytes()).hexdigest() for p in files}
    recipe = definition["externalParameters"]["recipe"]
    assert recipe == {"name": "demo", "digest": {"sha256": release.manifest.recipe_digest}}


def test_objects_on_s3_have_their_uri_and_etag(facts: PaperFacts) -> None:
    source = facts.recipe.source.model_copy(update={"uri": "s3://acme-logs/bedrock/"})
    recipe = facts.recipe.model_copy(update={"source": source})
    inputs = facts.manifest.inputs
    first = msgspec.structs.replace(inputs.objects[0], object="a b/ü.json.gz", etag="0a1b")
    manifest = msgspec.structs.replace(
        facts.manifest, inputs=msgspec.structs.replace(inputs, objects=[first])
    )
    papers = render_papers(replace(facts, recipe=recipe, manifest=manifest))
    statement = json.loads(papers["statement.intoto.json"])
    jsonschema.validate(statement, SCHEMA)
    log_object = statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert log_object["uri"] == "s3://acme-logs/bedrock/a%20b/%C3%BC.json.gz"
    assert log_object["annotations"]["etag"] == "0a1b"


def test_a_job_has_a_statement_and_its_model_is_in_the_summary(trained_release: Release) -> None:
    papers = render_papers(find_facts(trained_release))
    assert list(papers) == [*PAPERS, "job-demo-1.intoto.json"]
    statement = json.loads(papers["job-demo-1.intoto.json"])
    jsonschema.validate(statement, SCHEMA)
    predicate = statement["predicate"]
    assert predicate["release"]["digest"]["sha256"] == trained_release.manifest.digest
    assert predicate["job"]["uri"] == JOB
    assert predicate["job"]["status"] == "Completed"
    assert predicate["model"] == {"uri": MODEL}
    summary = papers["training-data-summary.md"].decode()
    assert f"`{MODEL}`" in summary
    assert f"fine-tuned from `{BASE}`" in summary


def test_the_card_counts_what_the_manifest_counts(facts: PaperFacts) -> None:
    card = render_papers(facts)["README.md"].decode()
    manifest = facts.manifest
    for stage in manifest.stages:
        drops = stage.input - stage.kept
        assert f"| `{stage.stage}` | {stage.input:,} | {drops:,} | {stage.kept:,} |" in card
    for source, number in manifest.answers.lines_by_source.items():
        assert f"| `{source}` | {number:,} |" in card
    header = front_matter(card.encode())
    assert header["size_categories"] == ["n<1K"]
    assert header["license"] == "unknown"
    assert "**TO COMPLETE:** state under which license" in card


def test_the_summary_has_the_sections_of_the_template(facts: PaperFacts) -> None:
    text = render_papers(facts)["training-data-summary.md"].decode()
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("##")]
    assert [each.split(" ")[0] for each in headings] == [
        *("1.", "1.1.", "1.2.", "1.3.", "2.", "2.1.", "2.2.", "2.2.1.", "2.2.2."),
        *("2.3.", "2.4.", "2.5.", "2.6.", "3.", "3.1.", "3.2.", "3.3."),
    ]
    assert "less than 1 billion tokens" in text


def test_a_rejected_release_says_so_on_every_page(facts: PaperFacts) -> None:
    manifest = msgspec.structs.replace(facts.manifest, verdict="rejected")
    papers = render_papers(replace(facts, manifest=manifest))
    assert "**The gate rejected this release." in papers["README.md"].decode()
    assert "rejected" in front_matter(papers["README.md"])["tags"]
    assert "The gate rejected this release" in papers["croissant.json"].decode()
    assert "The gate rejected this release" in papers["training-data-summary.md"].decode()
    statement = json.loads(papers["statement.intoto.json"])
    internal = statement["predicate"]["buildDefinition"]["internalParameters"]
    assert internal["release"]["verdict"] == "rejected"


def test_a_side_without_lines_is_no_split(facts: PaperFacts) -> None:
    train_only = {"train": facts.data_files["train"]}
    papers = render_papers(replace(facts, data_files=train_only))
    splits = front_matter(papers["README.md"])["configs"][0]["data_files"]
    assert [each["split"] for each in splits] == ["train"]
    assert "There are no lines to validate with." in papers["README.md"].decode()
    content = json.loads(papers["croissant.json"])
    assert [each["@id"] for each in content["recordSet"]] == ["train"]


def test_no_paper_holds_content_of_a_record(facts: PaperFacts, release: Release) -> None:
    text = b"".join(render_papers(facts).values()).decode()
    lines = [json.loads(line) for line in release.file("train.jsonl").read_text().splitlines()]
    contents = {message["content"] for line in lines for message in line["messages"]}
    assert contents
    assert [each for each in contents if each in text] == []
    ids = pl.read_parquet(release.file("fates.parquet"))["request_id"].drop_nulls()
    assert [each for each in ids if each in text] == []


def test_the_salt_of_the_split_is_in_no_paper(facts: PaperFacts) -> None:
    split = facts.recipe.split.model_copy(update={"salt": "a-secret-salt"})
    recipe = facts.recipe.model_copy(update={"split": split})
    papers = render_papers(replace(facts, recipe=recipe))
    assert b"a-secret-salt" not in b"".join(papers.values())


def test_settings_decide_nothing_about_the_data(release: Release, tmp_path: Path) -> None:
    path = Path(release.uri).parents[3] / "recipe.toml"
    changed_recipe = tmp_path / "recipe.toml"
    changed_recipe.write_text(path.read_text() + SETTINGS)
    recipe = load_recipe(changed_recipe)
    assert recipe.papers
    assert recipe.digest() == load_recipe(path).digest()


def test_the_command_reads_the_settings_of_a_recipe(
    release: Release, tmp_path: Path, sluice: RunSluice
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text((Path(release.uri).parents[3] / "recipe.toml").read_text() + SETTINGS)
    out = tmp_path / "out"
    result = sluice("papers", release.uri, "--out", out, "--recipe", recipe, "--data")
    assert result.code == 0
    assert result.out.splitlines() == [
        str(out / name) for name in (*PAPERS, "train.jsonl", "validation.jsonl")
    ]
    assert "training-data-summary.md: 1" in result.err
    card = (out / "README.md").read_bytes()
    header = front_matter(card)
    assert (header["license"], header["pretty_name"]) == ("cc-by-4.0", "Sums of a tutor")
    assert header["language"] == ["en"]
    content = json.loads((out / "croissant.json").read_text())
    assert content["datePublished"] == "2026-11-03"


def test_papers_are_the_same_each_time_and_are_not_overwritten_once_edited(
    release: Release, tmp_path: Path, sluice: RunSluice
) -> None:
    arguments = (
        "papers",
        release.uri,
        "--out",
        tmp_path / "out",
        "--only",
        "card",
        "--only",
        "summary",
    )
    assert sluice(*arguments).code == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(files) == ["README.md", "training-data-summary.md"]
    assert sluice(*arguments, "--json").code == 0
    edited_card = tmp_path / "out" / "README.md"
    edited_card.write_text("mine")
    (tmp_path / "out" / "training-data-summary.md").unlink()
    result = sluice(*arguments)
    assert result.code == 2
    assert "README.md: exists with different content" in result.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["README.md"]
    assert sluice(*arguments, "--force").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
