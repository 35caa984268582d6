"""What a recipe says of reading: tags derived where none were logged, and reasoning kept."""

import json
from pathlib import Path
from typing import Any

from support.protocols import MakeRecord, MakeRecords, RunSluice, WriteLogs, WriteRecipe

Json = dict[str, Any]

DERIVE = """\
[[derive]]
key = "team"
from = "identity_arn"
pattern = "role/([^/]+)"
[[derive]]
key = "family"
from = "model_family"
[select]
metadata = { andAll = [ { exists = "team" }, { notEquals = { family = "amazon.nova-lite" } } ] }
"""


def test_filters_and_the_report_see_derived_tags(
    sums: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    output = json.loads(sluice("build", recipe(DERIVE), "--json").out)
    manifest = json.loads((Path(output["release"]) / "manifest.json").read_text())
    assert output["counts"]["dropped"] == {"select_metadata": 50}
    assert manifest["metadata"]["records_by_key"] == {"family": 150, "team": 150}
    assert manifest["metadata"]["without_keys"] == 0
    plain = json.loads(sluice("build", recipe(), "--json").out)
    manifest = json.loads((Path(plain["release"]) / "manifest.json").read_text())
    assert manifest["metadata"]["records_by_key"] == {}
    assert manifest["metadata"]["without_keys"] == 150


def test_reasoning_stays_in_the_response_if_the_recipe_says_so(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    records: MakeRecords,
    write_logs: WriteLogs,
) -> None:
    log_records = records(120)
    for each in log_records[2::3]:
        message = each["output"]["outputBodyJson"]["choices"][0]["message"]
        message["content"] = "<reasoning>ANSWER: no</reasoning>Sure."
    write_logs(tmp_path / "logs", [log_records])
    qa = {'"math"': '"qa"\nkind = "text"'}
    for keeps, answer in (("false", "Sure"), ("true", "no</reasoning>Sure")):
        path = recipe(f"[normalise]\nkeep_reasoning = {keeps}\n", qa)
        release = Path(sluice("build", path).out.strip())
        lines = map(json.loads, (release / "train.jsonl").read_text().splitlines())
        answers = {line["id"]: line["reference_answer"]["answer"] for line in lines}
        assert answers["request-5"] == answer


def test_unknown_shapes_stand_in_the_report_by_their_keys(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    records: MakeRecords,
    record: MakeRecord,
    write_logs: WriteLogs,
) -> None:
    odd = record(request_id="odd", bodies=({"novel": "hushed text"}, {"reply": 1}))
    write_logs(tmp_path / "logs", [[*records(130), odd]])
    release = Path(sluice("build", recipe()).out.strip())
    page = (release / "report.html").read_text(encoding="utf-8")
    assert "{novel:text} → {reply:number}" in page
    assert "hushed" not in page
