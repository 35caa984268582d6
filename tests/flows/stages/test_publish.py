"""Publishing: what a release shows of metadata, and that a release that is there stays as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.review.report import report_of_draft
from bedrock_sluice.flows.running.suite_process import evaluate_suites
from bedrock_sluice.flows.stages import gate, publish

Json = dict[str, Any]


def test_values_of_metadata_that_group_lines_are_hashed_in_provenance(
    tmp_path: Path,
    recipe: WriteRecipe,
    records: MakeRecords,
    write_logs: WriteLogs,
    sluice: RunSluice,
) -> None:
    log_records = records(150)
    for number, each in enumerate(log_records):
        each["requestMetadata"] = {"customer": f"jane{number // 2}@example.com"}
    write_logs(tmp_path / "logs", [log_records])
    groups = list[pl.Series]()
    for salt in ("one", "two"):
        more = f'[split]\ngroup_by = ["customer"]\nsalt = "{salt}"\nvalidation = 0.2\n'
        release = Path(sluice("build", recipe(more)).out.strip())
        rows = pl.read_parquet(release / "provenance.parquet").sort("id")
        assert rows["group"].n_unique() == 75
        assert not rows["group"].str.contains("jane").any()
        groups.append(rows["group"])
    assert not set(groups[0]) & set(groups[1])


def test_a_report_that_a_later_version_words_differently_changes_no_release(
    sums: Path,
    sluice: RunSluice,
    monkeypatch: pytest.MonkeyPatch,
    tree_digest: Callable[[Path], dict[str, str]],
) -> None:
    release = sluice("build", sums).out
    before = tree_digest(Path(release.strip()))
    monkeypatch.setattr(publish, "report_of_draft", lambda *_: "another page")
    again = sluice("build", sums)
    assert (again.code, again.out) == (0, release)
    assert tree_digest(Path(release.strip())) == before


def test_the_parent_is_the_newest_release_that_was_split_by_the_same_rules(
    sums: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    assert sums.exists()

    def build_release(limit: int, salt: str) -> tuple[str, str | None]:
        more = f'[curate]\nmax_prompt_tokens = {limit}\n[split]\nsalt = "{salt}"\n'
        uri = sluice("build", recipe(more)).out.strip()
        manifest = json.loads(Path(uri, "manifest.json").read_text())
        return manifest["id"], manifest["parent"]

    first, no_parent = build_release(4_001, "one")
    other, other_parent = build_release(4_002, "two")
    assert (no_parent, other_parent) == (None, None)
    second, second_parent = build_release(4_003, "one")
    assert second_parent == first
    assert [build_release(4_004, salt)[1] for salt in ("one", "two")] == [second, other]


def test_the_verdict_of_the_gate_does_not_wait_for_the_report(
    sums: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is rendered in the last stage, and a dry run has its verdict without one."""
    order = list[str]()

    def note_checks(runs: Any) -> Any:
        checks = evaluate_suites(runs)
        order.append("checks")
        return checks

    def note_report(draft: publish.Draft) -> str:
        order.append("report")
        return report_of_draft(draft)

    monkeypatch.setattr(gate, "evaluate_suites", note_checks)
    monkeypatch.setattr(publish, "report_of_draft", note_report)
    rehearsal = json.loads(sluice("build", sums, "--dry-run", "--json").out)
    assert rehearsal["verdict"] == "passed"
    assert set(order) == {"checks"}
    order.clear()
    assert sluice("build", sums).code == 0
    assert order[-1] == "report"
    assert order.count("report") == 1
