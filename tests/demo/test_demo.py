"""The demo's own logs: reproducible, right in their sums, and with something for every reason."""

import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from itertools import count
from operator import add, floordiv, mul, sub
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from support.protocols import RunSluice

from bedrock_sluice.demo.logs import DELIVERED_TWICE, PER_OBJECT, RECIPE_FILE, demo_files
from bedrock_sluice.demo.stories import draw_problem
from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.lake.logs.source import is_log
from bedrock_sluice.lake.new_files import write_new_files
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]

RECORDS = 2_000
SMALL = 400
PLANTED = {
    Reason.PULL_CORRUPT_GZIP,
    Reason.DECODE_NOT_A_RECORD,
    Reason.DECODE_TORN_LINE,
    Reason.CURATE_RERANK,
    Reason.SELECT_OUTSIDE_WINDOW,
    Reason.SELECT_METADATA,
    Reason.SELECT_REPEATED_REQUEST,
    Reason.CURATE_ERROR,
    Reason.CURATE_NO_BODY,
    Reason.CURATE_MEDIA,
    Reason.CURATE_GUARDRAIL_INPUT,
    Reason.CURATE_CUT_OFF,
    Reason.CURATE_EMPTY_RESPONSE,
    Reason.CURATE_LAST_NOT_USER,
    Reason.CURATE_MULTI_TURN,
    Reason.CURATE_EXACT_DUPLICATE,
    Reason.ANSWER_UNFIT,
}
SUM = re.compile(r": (\d+) ([-+*/]) (\d+) = (\d+)\.")
SIGNS = {"+": add, "-": sub, "*": mul, "/": floordiv}

Built = tuple[Path, Release]


@pytest.fixture(scope="module")
def demo_build(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The folder of a demo, and the release that its recipe makes."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, release_of(folder, RECORDS, tmp_path_factory.mktemp("work"))


def write_demo(folder: Path, records: int, seed: int = 1) -> Path:
    write_new_files(folder, lambda: demo_files(records, seed), marker=RECIPE_FILE)
    return folder / RECIPE_FILE


def release_of(folder: Path, records: int, work: Path) -> Release:
    path = write_demo(folder, records)
    return build(BuildContext(load_recipe(path), path.absolute().parent, work))


def log_objects(folder: Path) -> list[bytes]:
    return [p.read_bytes() for p in sorted(folder.rglob("*.gz")) if is_log(p.as_posix())]


def read_log_records(folder: Path) -> Iterator[Json]:
    """Every line that can be read, of every log object that is whole."""
    for raw in log_objects(folder):
        try:
            lines = gzip.decompress(raw).decode().splitlines()
        except EOFError:
            continue
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def told_lines(release: Release) -> list[Json]:
    names = ("train.jsonl", "validation.jsonl")
    return [line for name in names for line in read_jsonl(release.file(name))]


def read_jsonl(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def is_right(step: str) -> bool:
    match = SUM.search(step)
    return match is not None and SIGNS[match[2]](int(match[1]), int(match[3])) == int(match[4])


def is_solved(answer: Json) -> bool:
    """Whether every step holds, and the last one gives the final answer."""
    steps = answer["steps"]
    return all(map(is_right, steps)) and steps[-1].endswith(f" = {answer['final_answer']}.")


def test_the_same_arguments_give_the_same_bytes(
    tmp_path: Path, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        write_demo(tmp_path / name, SMALL, seed)
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")
    assert tree_digest(tmp_path / "one") != tree_digest(tmp_path / "other")


@pytest.mark.parametrize("name", ["labels.jsonl", "notes.txt", "logs/AWSLogs/mine.json.gz"])
def test_a_folder_that_is_not_a_demo_is_refused_and_left_alone(
    tmp_path: Path, sluice: RunSluice, tree_digest: Callable[[Path], dict[str, str]], name: str
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('{"request_id": "mine"}\n')
    before = tree_digest(tmp_path)
    result = sluice("demo", "--out", tmp_path, "--records", "100")
    assert (result.code, "name a new folder with --out" in result.err) == (2, True)
    assert tree_digest(tmp_path) == before


def test_a_file_of_the_demo_that_was_changed_is_refused_and_left_alone(
    tmp_path: Path, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    write_demo(tmp_path, 100)
    log = next((tmp_path / "logs").rglob("*Z_*.json.gz"))
    for path in (tmp_path / "labels.jsonl", log, tmp_path / "recipe.toml"):
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        before = tree_digest(tmp_path)
        with pytest.raises(ConfigError, match=f"{path.name} exists with different content"):
            write_demo(tmp_path, 100)
        assert tree_digest(tmp_path) == before
        path.write_bytes(content)


def test_a_demo_that_broke_off_is_completed(
    tmp_path: Path, tree_digest: Callable[[Path], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_demo(tmp_path / "whole", 100)
    whole = tree_digest(tmp_path / "whole")
    for file_count in range(len(whole)):
        folder = tmp_path / str(file_count)
        with monkeypatch.context() as patch:
            patch.setattr("os.link", _link_until(file_count))
            with pytest.raises(KeyboardInterrupt):
                write_demo(folder, 100)
        assert len(tree_digest(folder)) == file_count
        (folder / ".sluice-left").touch()
        write_demo(folder, 100)
        (folder / ".sluice-left").unlink()
        assert tree_digest(folder) == whole


def _link_until(number: int) -> Callable[[str, Path], None]:
    """`os.link` that is interrupted after so many calls."""
    link, calls = os.link, count()

    def link_or_stop(name: str, target: Path) -> None:
        if next(calls) == number:
            raise KeyboardInterrupt
        link(name, target)

    return link_or_stop


def test_writing_a_demo_again_changes_nothing_but_another_one_is_refused(
    tmp_path: Path, tree_digest: Callable[[Path], dict[str, str]]
) -> None:
    write_demo(tmp_path, 100)
    before = tree_digest(tmp_path)
    write_demo(tmp_path, 100)
    with pytest.raises(ConfigError, match=r"recipe\.toml exists with different content"):
        write_demo(tmp_path, 200)
    assert tree_digest(tmp_path) == before


@pytest.mark.parametrize("records", [1, PER_OBJECT, PER_OBJECT + 1, RECORDS])
def test_as_many_calls_are_logged_as_were_asked_for(tmp_path: Path, records: int) -> None:
    write_demo(tmp_path, records)
    ids = [record["requestId"] for record in read_log_records(tmp_path)]
    assert len(set(ids)) == records
    assert len(ids) - records <= PER_OBJECT  # one object is delivered twice


def test_one_object_is_delivered_twice(tmp_path: Path) -> None:
    write_demo(tmp_path, PER_OBJECT * (DELIVERED_TWICE + 1))
    raw = log_objects(tmp_path)
    assert len(raw) - len(set(raw)) == 1


def test_what_is_no_log_object_stands_between_them(demo_build: Built) -> None:
    folder, _ = demo_build
    others = [p for p in (folder / "logs").rglob("*") if p.is_file() and not is_log(p.as_posix())]
    assert {p.name: p.stat().st_size for p in others if "permission" in p.name} == {
        "amazon-bedrock-logs-permission-check": 0
    }
    assert [p.parent.name for p in others if p.suffix == ".gz"] == ["data"]


def test_every_planted_reason_occurs(demo_build: Built) -> None:
    _, release = demo_build
    fates = pl.read_parquet(release.file("fates.parquet"))
    assert PLANTED - set(fates["reason"]) == set()


def test_every_dialect_is_logged_and_released(demo_build: Built) -> None:
    folder, release = demo_build
    line_ids = {line["id"] for line in told_lines(release)}
    kept = [record for record in read_log_records(folder) if record["requestId"] in line_ids]
    request_bodies = [record["input"]["inputBodyJson"] for record in kept]
    operations = {record["operation"] for record in kept}
    assert operations == {"Converse", "ConverseStream", "InvokeModel", "ChatCompletions"}
    assert {type(body["messages"][0]["content"]) for body in request_bodies} == {str, list}
    assert any("anthropic_version" in body for body in request_bodies)


def test_the_demo_passes_the_gate_with_plenty_of_lines(demo_build: Built) -> None:
    _, release = demo_build
    assert release.is_passed
    assert len(told_lines(release)) >= 900


def test_a_small_demo_passes_the_gate(tmp_path: Path) -> None:
    release = release_of(tmp_path / "demo", SMALL, tmp_path)
    counts = release.manifest.counts
    assert release.is_passed
    assert counts.dropped[Reason.ANSWER_UNFIT] > 1


def test_released_answers_are_what_their_steps_come_to(demo_build: Built) -> None:
    _, release = demo_build
    wrong = [line["id"] for line in told_lines(release) if not is_solved(line["reference_answer"])]
    assert wrong == []


def test_labels_answer_what_their_record_asks(demo_build: Built) -> None:
    folder, _ = demo_build
    labels = {label["request_id"]: label for label in read_jsonl(folder / "labels.jsonl")}
    replies = {
        r["requestId"]: json.dumps(r.get("output"), ensure_ascii=False)
        for r in read_log_records(folder)
    }
    labelled_ids = [name for name in labels if "toolUse" not in replies[name]]
    assert 0.4 * RECORDS < len(labelled_ids) < 0.5 * RECORDS
    assert [n for n in labels if not is_solved(labels[n])] == []
    assert [n for n in labelled_ids if labels[n]["steps"][-2] not in replies[n]] == []


def test_problems_differ_and_their_sums_are_right() -> None:
    rng = Random(1)
    problems = [draw_problem(rng) for _ in range(2_000)]
    assert len({problem.question for problem in problems}) == len(problems)
    assert all(is_right(step.text) for problem in problems for step in problem.steps)
