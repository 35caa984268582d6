"""Who survives curation, and with which answer, in whole builds."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.protocols import EncodeBodies, MakeRecord, RunSluice, WriteLogs, WriteRecipe

Json = dict[str, Any]
Lines = dict[str, Json]
BuildRecords = Callable[[list[Json], str], tuple[Lines, dict[str, Json]]]

START = datetime(2026, 10, 1, 12, tzinfo=UTC)


@pytest.fixture
def build_records(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write_logs: WriteLogs,
) -> BuildRecords:
    """Build from these records: the lines and the fates, by request id."""

    def run(records: list[Json], more: str) -> tuple[Lines, dict[str, Json]]:
        write_logs(tmp_path / "logs", [records])
        release = Path(json.loads(sluice("build", recipe(more), "--json").out)["release"])
        texts = [
            text
            for side in ("train", "validation")
            for text in (release / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        fates = pl.read_parquet(release / "fates.parquet").to_dicts()
        return (
            {line["id"]: line for line in map(json.loads, texts)},
            {fate["request_id"]: fate for fate in fates},
        )

    return run


def test_a_burst_has_one_vote(build_records: BuildRecords, record: MakeRecord) -> None:
    def vote(name: str, answer: int, caller: str, second: int) -> Json:
        identity = {"arn": f"arn:aws:iam::111122223333:user/{caller}"}
        at = START + timedelta(seconds=second)
        reply = f"#### {answer}"
        return record(reply=reply, request_id=name, at=at, identity=identity)

    burst = [vote(f"burst-{n}", 666, "one", n) for n in range(5)]
    others = [vote("a", 42, "two", 9), vote("b", 42, "three", 10)]
    more = '[answer]\nfrom = ["agreement"]\n[curate]\nmax_burst = 2\n'
    lines, _ = build_records(burst + others, more)
    (line,) = lines.values()
    assert line["reference_answer"]["final_answer"] == "42"


@pytest.mark.parametrize("sources", ['["labels"]', '["logged", "labels"]'])
def test_a_label_outweighs_a_bad_response(
    build_records: BuildRecords, bodies: EncodeBodies, tmp_path: Path,
    record: MakeRecord, sources: str,
) -> None:  # fmt: skip
    def question_record(name: str, reply: str, stop: str) -> Json:
        prompt = [{"role": "user", "content": f"What is the number of {name}? End with ####."}]
        request, response = bodies("converse", prompt, {"role": "assistant", "content": reply})
        response["stopReason"] = stop
        return record(request_id=name, bodies=(request, response), at=START)

    records = [
        question_record("cut", "#### 1", "max_tokens"),
        question_record("empty", "", "end_turn"),
        question_record("malformed", "#### 2", "malformed_model_output"),
        question_record("unlabelled", "#### 3", "max_tokens"),
    ]
    rows = [{"request_id": name, "final_answer": "7"} for name in ("cut", "empty", "malformed")]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines, fates = build_records(records, f'[answer]\nfrom = {sources}\nlabels = "labels.jsonl"\n')
    answers = {name: line["reference_answer"]["final_answer"] for name, line in lines.items()}
    assert answers == dict.fromkeys(("cut", "empty", "malformed"), "7")
    assert fates["unlabelled"]["reason"] == "curate_cut_off"


def test_prompts_of_other_days_are_no_turns_of_one_conversation(
    build_records: BuildRecords, record: MakeRecord
) -> None:
    records = [
        record(
            "chat_completions",
            ask="How many days are left in this month? End with ####.",
            system=f"Today is 2026-10-1{n}.",
            reply=f"#### {21 - n}",
            request_id=f"day-{n}",
            at=START,
        )
        for n in range(5)
    ]
    lines, _ = build_records(records, "[curate]\nnear_duplicates = false\n")
    assert len(lines) == 5
