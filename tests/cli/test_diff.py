"""`sluice diff`: what a reviewer sees of a new release beside an earlier one."""

import json
from pathlib import Path

import pytest
from support.protocols import MakeRecord, MakeRecords, RunSluice, WriteLogs, WriteRecipe


@pytest.fixture
def first(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
    records: MakeRecords,
) -> str:
    """The URI of a release of 130 records."""
    write_logs(tmp_path / "logs", [records(130)])
    return sluice("build", recipe()).out.strip()


def test_lines_that_came_and_changed_are_counted(
    first: str,
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
    record: MakeRecord,
) -> None:
    new = record(request_id="new", ask="What is 2 plus 900? End with #### and the number.")
    write_logs(tmp_path / "logs", [[new]], hour="2026/10/01/13")
    labels = [{"request_id": f"request-{n}", "final_answer": "999"} for n in (7, 8)]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)), encoding="utf-8")
    path = recipe('[answer]\nfrom = ["labels", "logged"]\nlabels = "labels.jsonl"')
    build = sluice("build", path)
    assert "1 added, 2 answer changed" in build.err
    assert json.loads(sluice("build", path, "--json").out)["changes"]["answer_changed"] == 2

    second = build.out.strip()
    result = sluice("diff", first, second, "--json")
    facts = json.loads(result.out)
    assert result.code == 0
    assert {name: change["lines"] for name, change in facts["changes"].items()} == {
        **{"added": 1, "removed": 0, "answer_changed": 2, "moved": 0, "rewritten": 0}
    }
    assert facts["changes"]["added"] == {
        **{"lines": 1, "examples": ["new"], "fates": {"not_read": 1}}
    }
    assert facts["changes"]["answer_changed"]["examples"] == ["request-7", "request-8"]
    assert facts["equal_lines"] == facts["lines_before"] - 2
    text = sluice("diff", first, second, "--words").err
    assert "before: not_read" in text
    assert "request-7" in text


def test_a_line_on_the_other_side_is_an_alarm(
    first: str, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    second = sluice("build", recipe('[split]\nsalt = "another"')).out.strip()
    result = sluice("diff", first, second, "--json")
    assert result.code == 1
    assert json.loads(result.out)["changes"]["moved"]["lines"] > 0
    assert sluice("diff", second, second).code == 0


def test_ids_are_shown_as_they_are(
    first: str,
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
    record: MakeRecord,
) -> None:
    """They come from callers, and are no markup for the terminal."""
    new = record(
        request_id="[/][link=x]me", ask="What is 2 plus 900? End with #### and the number."
    )
    write_logs(tmp_path / "logs", [[new]], hour="2026/10/01/13")
    result = sluice("diff", first, sluice("build", recipe()).out.strip())
    assert (result.code, "[/][link=x]me" in result.err) == (0, True)


def test_a_build_is_shown_though_the_release_before_is_damaged(
    first: str, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    fates = Path(first, "fates.parquet")
    fates.chmod(0o644)
    fates.write_bytes(b"")
    path = recipe("[curate]\nmax_prompt_tokens = 4000")
    build = sluice("build", path)
    assert (build.code, Path(build.out.strip(), "manifest.json").exists()) == (0, True)
    assert "can't be read to compare" in build.err
    assert json.loads(sluice("build", path, "--json").out)["changes"] is None


def test_a_changed_file_is_found(first: str, sluice: RunSluice) -> None:
    fates = Path(first, "train.jsonl")
    fates.chmod(0o644)
    fates.write_bytes(fates.read_bytes().replace(b"plus", b"plug", 1))
    result = sluice("diff", first, first)
    assert result.code == 1
    assert "differs from the manifest" in result.err
