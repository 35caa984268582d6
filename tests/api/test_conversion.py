"""`convert`: each record comes out, as `sluice convert` writes it or as a build would render it."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.protocols import MakeRecord, RunSluice

from bedrock_sluice import ExitCode, Release, SluiceError, convert

Json = dict[str, Any]


def test_lines_and_rejects_are_those_of_the_command(
    demo: Path, tmp_path: Path, sluice: RunSluice
) -> None:
    out, rejects = tmp_path / "chat.jsonl", tmp_path / "rejects.jsonl"
    logs = demo / "sluice-demo" / "logs"
    assert sluice("convert", logs, "--out", out, "--rejects", rejects).code == 0
    results = list(convert(logs))
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [each.line for each in results if each.line] == lines
    rows = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    assert [(e.object, e.number, e.reason, e.detail) for e in results if not e.line] == [
        (row["object"], row["line"], row["reason"], row["detail"]) for row in rows
    ]
    assert len(results) == len(lines) + len(rows) > 600


def test_with_a_template_a_line_is_what_a_build_renders(demo: Path, release: Release) -> None:
    lines = {
        each.request_id: each.line for each in convert(demo / "sluice-demo/logs", template="math")
    }
    train = [
        json.loads(line) for line in release.file("train.jsonl").read_text("utf-8").splitlines()
    ]
    sources = dict(release.provenance.select("id", "reference_source").iter_rows())
    logged_lines = [line for line in train if sources[line["id"]] == "logged"]
    assert len(logged_lines) > 100
    assert [lines[line["id"]] for line in logged_lines] == logged_lines


def test_a_template_rejects_for_the_reasons_of_a_build(demo: Path, release: Release) -> None:
    reasons = Counter(each.reason for each in convert(demo / "sluice-demo/logs", template="math"))
    assert reasons.total() == sum(1 for _ in convert(demo / "sluice-demo/logs"))
    assert {
        *("curate_cut_off", "curate_last_not_user", "curate_empty_response", "answer_unfit"),
        *("curate_guardrail_input", "curate_error", "decode_torn_line", "pull_corrupt_gzip"),
    } <= set(reasons)
    assert {type(reason) for reason in reasons} == {str, type(None)}


def test_records_may_be_mappings_texts_and_bytes(record: MakeRecord) -> None:
    whole = record(system="Be brief.")
    text = json.dumps(whole)
    results = list(convert([whole, text, text.encode()]))
    assert [each.line for each in results] == [results[0].line] * 3
    assert results[0].line is not None
    assert results[0].line["messages"][0] == {"role": "system", "content": "Be brief."}
    assert results[0].message == "it became a line"


def test_a_time_may_be_a_datetime(record: MakeRecord) -> None:
    whole = record() | {"timestamp": datetime(2026, 10, 1, 12, tzinfo=UTC)}
    (result,) = convert([whole])
    assert result.line is not None
    assert result.line["timestamp"] == "2026-10-01T12:00:00Z"


BAD_RECORDS: list[tuple[Any, str]] = [
    ("not a record", "decode_bad_json"),
    (b"\xff\xfe", "decode_bad_json"),
    ({"schemaType": "\ud800"}, "decode_bad_encoding"),
    ("\ud800", "decode_bad_encoding"),
    ({"a": object()}, "decode_bad_json"),
    ({"a": 1}, "decode_not_a_record"),
    ("[" * 100_000, "decode_too_deep"),
    ("", "decode_torn_line"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_RECORDS, ids=range(len(BAD_RECORDS)))
@pytest.mark.parametrize("template", [None, "math"])
def test_a_bad_record_is_rejected_with_its_number(
    bad: object, reason: str, template: str | None, record: MakeRecord
) -> None:
    stop = record(output={"content": "#### 42"})
    first, second, third = convert([stop, bad, stop], template=template)  # type: ignore[list-item]
    assert (second.line, second.reason) == (None, reason)
    assert (second.object, second.number) == ("records", 2)
    assert first.request_id == third.request_id


def test_a_body_that_is_stored_apart_is_not_fetched(record: MakeRecord) -> None:
    whole = record()
    whole["input"] = {"inputBodyS3Path": "s3://acme-logs/AWSLogs/x_input.json.gz"}
    (result,) = convert([whole])
    assert result.reason == "pull_body_missing"


def test_records_are_read_as_they_are_asked_for(record: MakeRecord) -> None:
    def endless() -> Any:
        while True:
            yield record()

    results = convert(endless())
    assert next(results).line
    assert next(results).line


@pytest.mark.parametrize("arguments", [("missing", None), ("sluice-demo/logs", "maths")])
def test_what_is_wrong_with_the_arguments_is_raised_at_once(
    arguments: tuple[str, str | None], in_demo: Path
) -> None:
    source, template = arguments
    with pytest.raises(SluiceError) as error_info:
        convert(source, template=template)
    assert error_info.value.exit_code == ExitCode.CONFIG
