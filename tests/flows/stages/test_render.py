"""The step `render`: what a line can't be, and what a template's grader can't read, is dropped."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from support.protocols import EncodeBodies, MakeRecord, RunSluice, WriteLogs, WriteRecipe

Json = dict[str, Any]

AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
TOOL: Json = {
    "type": "function",
    "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}},
}
CALL = {"id": "c-1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TURNS: list[Json] = [
    {"role": "user", "content": "What is one and one, by your tool?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c-1", "content": "2"},
    {"role": "user", "content": "And what is it in the end? Say #### and the number."},
]
SAID: Json = {"role": "assistant", "content": "#### 2"}


def test_odd_records_are_dropped_with_a_reason_and_veto_no_release(
    sums: Path,
    tmp_path: Path,
    write_logs: WriteLogs,
    record: MakeRecord,
    bodies: EncodeBodies,
    recipe: WriteRecipe,
    sluice: RunSluice,
) -> None:
    assert sums.exists()
    blank = {**TOOL, "function": {**TOOL["function"], "name": " "}}
    section = {"role": "user", "content": "Which tool has no name? Say #### and the number."}
    odd = [
        record(bodies=bodies("converse", TURNS, SAID, [TOOL]), request_id="turns", at=AT),
        record(bodies=bodies("converse", [section], SAID, [blank]), request_id="nameless", at=AT),
        record(ask="Who has no id?", request_id=" ", at=AT),
    ]
    write_logs(tmp_path / "logs", [odd], hour="2026/10/01/13")
    swaps = {'name = "math"\n': 'name = "math"\nhistory = true\n'}
    result = sluice("build", recipe(swaps=swaps), "--json")
    assert result.code == 0, result.err
    checks = {check["name"]: check for check in json.loads(result.out)["checks"]}
    assert checks["unfit_share"]["measured"] == 100 * 2 / 152
    release = Path(json.loads(result.out)["release"])
    assert json.loads((release / "manifest.json").read_text())["verdict"] == "passed"
    fates = pl.read_parquet(release / "fates.parquet").filter(pl.col("reason").is_not_null())
    reasons = {
        row["request_id"]: (row["reason"], row["detail"]) for row in fates.iter_rows(named=True)
    }
    assert reasons["turns"] == ("render_unfit", "nova-docs/role")
    assert reasons["nameless"] == ("render_unfit", "nova-docs/tools-shape")
    assert reasons[None][0] == "decode_bad_field"


def test_many_lines_that_break_a_rule_reject_the_release(
    sums: Path,
    tmp_path: Path,
    write_logs: WriteLogs,
    record: MakeRecord,
    bodies: EncodeBodies,
    recipe: WriteRecipe,
    sluice: RunSluice,
) -> None:
    assert sums.exists()
    log_records = list[Json]()
    for n in range(20):
        section = {"role": "user", "content": f"What is {n} and {n + 1}? Say #### and the number."}
        body = bodies("converse", [*TURNS[:3], SAID, section], SAID, [TOOL])
        log_records.append(record(bodies=body, request_id=f"turns-{n}", at=AT))
    write_logs(tmp_path / "logs", [log_records], hour="2026/10/01/13")
    swaps = {'name = "math"\n': 'name = "math"\nhistory = true\n'}
    build = sluice("build", recipe(swaps=swaps), "--json")
    result = json.loads(build.out)
    assert (build.code, result["failed_checks"]) == (1, ["unfit_lines"])
    (failing_check,) = (each for each in result["checks"] if each["name"] == "unfit_lines")
    assert (failing_check["measured"], failing_check["unit"]) == (100 * 20 / 170, "% of lines")
    assert "sluice explain RECIPE --reason render_unfit" in failing_check["hint"]


def test_a_markdown_heading_is_no_answer(
    sums: Path,
    tmp_path: Path,
    write_logs: WriteLogs,
    record: MakeRecord,
    recipe: WriteRecipe,
    sluice: RunSluice,
) -> None:
    assert sums.exists()
    reply = "#### 1. Think\nIt is five.\n#### 2. Answer\nSo I say 5."
    odd = record(ask="What is two and three?", reply=reply, request_id="heading", at=AT)
    write_logs(tmp_path / "logs", [[odd]], hour="2026/10/01/13")
    result = sluice("build", recipe('[answer]\nfrom = ["logged"]\n'), "--json")
    fates = pl.read_parquet(Path(json.loads(result.out)["release"]) / "fates.parquet")
    reasons = dict(fates.select("request_id", "reason").iter_rows())
    assert reasons["heading"] == "answer_unfit"
    assert sum(reason is None for reason in reasons.values()) == 150
