"""Releases in Python: frames that do not depend on the content, and datasets without a loss."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.releases import approve

from bedrock_sluice import (
    ExitCode,
    Release,
    SluiceError,
    build,
    check,
    explain,
    open_release,
    validate,
)
from bedrock_sluice.dataset_files import CHECKS, line_frames, line_tables
from bedrock_sluice.expectations.checks import Check
from bedrock_sluice.lake.releases import release as lake_releases

LINES: list[dict[str, Any]] = [
    {
        "id": "a",
        "messages": [{"role": "user", "content": "é\u2028\r"}],
        "reference_answer": {"final_answer": "72", "value": 0.30000000000000004},
        "task_id": "7",
    },
    {
        "id": "b",
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "content": "1", "tool_call_id": "t"},
            {"role": "user", "content": "and?"},
        ],
        "reference_answer": "72",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": [1, "a"]}}}],
        "task_id": 7,
    },
]


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    """Return files of lines whose fields differ: `train` has both lines, `validation` the first."""
    texts = [json.dumps(line, ensure_ascii=False) + "\n" for line in LINES]
    sides = {"train": "".join(texts), "validation": texts[0]}
    for side, text in sides.items():
        (tmp_path / f"{side}.jsonl").write_bytes(text.encode())
    return {side: tmp_path / f"{side}.jsonl" for side in sides}


def test_a_frame_has_text_as_it_is_and_other_values_as_json(paths: dict[str, Path]) -> None:
    train = line_frames(paths)["train"]
    assert train["task_id"].to_list() == ["7", "7"]
    assert train["reference_answer"].to_list() == [
        '{"final_answer": "72", "value": 0.30000000000000004}',
        "72",
    ]
    assert train["tools"].to_list() == [None, json.dumps(LINES[1]["tools"])]
    first, second = train["messages"].to_list()
    assert first[0]["content"] == "é\u2028\r"
    assert second[0]["tool_calls"] == LINES[1]["messages"][0]["tool_calls"]
    assert second[1]["tool_call_id"] == "t"


def test_both_sides_have_the_same_columns_and_types(paths: dict[str, Path]) -> None:
    frames = line_frames(paths)
    assert frames["validation"].height == 1
    assert frames["validation"].schema == frames["train"].schema
    assert pl.concat(frames.values()).height == 3


def test_an_empty_side_has_the_types_of_a_full_one(paths: dict[str, Path]) -> None:
    paths["validation"].write_bytes(b"")
    frames = line_frames(paths)
    assert frames["validation"].is_empty()
    assert frames["validation"].schema == frames["train"].schema
    assert line_tables(paths)["validation"].schema == line_tables(paths)["train"].schema


class _Files:
    """Stands for a release in the lake."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self.paths = paths

    def file(self, name: str) -> Path:
        """Return the path of a side."""
        return self.paths[name.removesuffix(".jsonl")]


def test_a_row_of_a_dataset_is_the_line_itself(
    paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")

    def refuse(*_arguments: object) -> None:
        raise AssertionError("a dataset of a release needs no network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    dataset = Release(_Files(paths)).to_datasets()  # type: ignore[arg-type]
    assert list(dataset) == ["train", "validation"]
    assert list(dataset["train"]) == [LINES[0] | {"tools": None}, LINES[1]]
    assert dataset["train"].features == dataset["validation"].features
    assert dataset["train"].column_names == [
        "id",
        "messages",
        "reference_answer",
        "task_id",
        "tools",
    ]


def test_datasets_of_a_release_hold_its_files(release: Release) -> None:
    pytest.importorskip("datasets")
    dataset = release.to_datasets()
    for side in ("train", "validation"):
        text = release.file(f"{side}.jsonl").read_text(encoding="utf-8")
        rows = [{k: v for k, v in row.items() if v is not None} for row in dataset[side]]
        assert rows == [json.loads(line) for line in text.splitlines()]


def test_without_the_extra_the_error_names_it(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        SluiceError, match=r"pip install 'bedrock-sluice\[datasets\]'"
    ) as error_info:
        release.to_datasets()
    assert error_info.value.exit_code == ExitCode.CONFIG


def test_frames_agree_with_the_manifest(release: Release) -> None:
    assert release.manifest == json.loads((Path(release.uri) / "manifest.json").read_bytes())
    counts = release.manifest["counts"]
    assert release.train.height == counts["train"] > 0
    assert release.validation.height == counts["validation"] > 0
    assert release.fates.height == counts["records"]
    lines = [*release.train["id"], *release.validation["id"]]
    assert sorted(release.provenance["id"]) == sorted(lines)
    assert release.is_passed
    assert release.checks.filter(passed=False, severity="fail").is_empty()


def test_the_frame_of_checks_has_the_fields_of_a_check() -> None:
    assert tuple(CHECKS) == Check.__struct_fields__


def test_a_changed_file_is_not_read(tmp_path: Path, release: Release) -> None:
    same_release = open_release(release.uri)
    path = Path(release.uri) / "provenance.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    try:
        with pytest.raises(SluiceError) as error_info:
            _ = same_release.provenance
    finally:
        path.write_bytes(content)
    assert error_info.value.exit_code == ExitCode.CHECK_FAILED
    assert same_release.provenance.equals(release.provenance)


def test_a_release_is_approved_once_somebody_approved_it(release: Release) -> None:
    assert not release.is_approved
    approve(lake_releases.open_release(release.uri), "R. Viewer", datetime(2026, 11, 1, tzinfo=UTC))
    assert release.is_approved
    assert open_release(Path(release.uri)).is_approved


def test_a_record_is_explained_by_release_uri_and_recipe(demo: Path, release: Release) -> None:
    row = release.fates.filter(reason="curate_near_duplicate").row(0, named=True)
    request_id = row["request_id"]
    explanations = explain(release, request_id)
    (explanation,) = [each for each in explanations if each.reason == row["reason"]]
    assert (explanation.object, explanation.line) == (row["object"], row["line"])
    assert (explanation.fate, explanation.survivor) == ("dropped", row["survivor"])
    assert "near duplicate" in explanation.message
    assert explain(release.uri, request_id) == explanations
    assert explain(demo / "sluice-demo" / "recipe.toml", request_id) == explanations
    (line,) = explain(release, release.validation["id"][0])
    assert (line.fate, line.reason) == ("validation", None)
    assert line.reference_source in ("labels", "logged")
    assert explain(release, "unknown") == []


def test_a_window_replaces_that_of_the_recipe_and_a_rejected_release_is_returned(
    demo: Path,
) -> None:
    since, until = datetime(2026, 10, 6, tzinfo=UTC), datetime(2026, 10, 6, 6)
    release = build(demo / "sluice-demo" / "recipe.toml", since=since, until=until)
    times = release.provenance["timestamp"]
    assert times.is_between(since, until.replace(tzinfo=UTC)).all()
    assert 0 < release.train.height < 100
    assert not release.is_passed
    assert "rejected" in repr(release)
    assert not release.checks.filter(passed=False, severity="fail").is_empty()


def test_what_is_not_a_release_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SluiceError) as error_info:
        open_release(tmp_path)
    assert error_info.value.exit_code == ExitCode.CONFIG


def test_a_file_is_checked_by_profiles(release: Release, tmp_path: Path) -> None:
    result = check(release.file("train.jsonl"), ["nova-docs", "math"])
    assert (result.is_passed, result.findings) == (True, [])
    assert result.profiles == {"nova-docs": True, "math": True}
    assert result.lines == release.train.height
    (tmp_path / "bad.jsonl").write_text('{"messages": []}\n', encoding="utf-8")
    result = check(str(tmp_path / "bad.jsonl"))
    assert not result.is_passed
    assert not any(result.profiles.values())
    assert {finding.rule.partition("/")[0] for finding in result.findings} >= {"nova-docs", "math"}


def test_recipes_are_validated_by_file_and_folder(demo: Path, tmp_path: Path) -> None:
    good = demo / "sluice-demo" / "recipe.toml"
    assert validate(good, demo / "sluice-demo") == []
    text = good.read_text(encoding="utf-8")
    (tmp_path / "bad.toml").write_text("lakes = 1\n" + text, encoding="utf-8")
    (error,) = validate(good, tmp_path)
    assert error.place == f"{tmp_path / 'bad.toml'}:1"
    assert "did you mean `lake`" in str(error)
