"""Reference answers in a whole build: which source gave each, and why a prompt has none."""

import csv
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from support.protocols import MakeRecord, MakeRecords, RunSluice, WriteLogs, WriteRecipe

Json = dict[str, Any]

START = datetime(2026, 10, 1, 12, tzinfo=UTC)
LATER = START + timedelta(hours=1)
STORY = "A baker sold six small loaves and five large ones. How many in all? End with ####."
OTHER = "Which prime number follows directly after the number seven? End with ####."


class Built(NamedTuple):
    """What a build came to: manifest, fates, lines and sources, by request id."""

    manifest: Json
    fates: dict[str, Json]
    lines: dict[str, Json]
    sources: dict[str, str]


Build = Callable[..., Built]
Write = Callable[[str, Sequence[Json]], None]


def read(folder: Path) -> Built:
    """The one release of a lake."""
    (release,) = folder.glob("lake/releases/sums/*/")
    fates = pl.read_parquet(release / "fates.parquet").to_dicts()
    sources = pl.read_parquet(release / "provenance.parquet").select("id", "reference_source")
    texts = [
        text
        for side in ("train", "validation")
        for text in (release / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    lines = {line["id"]: line for line in map(json.loads, texts)}
    manifest = json.loads((release / "manifest.json").read_text())
    return Built(
        manifest, {fate["request_id"]: fate for fate in fates}, lines, dict(sources.iter_rows())
    )


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a table beside the recipe, of the kind that its name ends in; values become cells."""

    def table(name: str, rows: Sequence[Json]) -> None:
        path = tmp_path / name
        if name.endswith(".parquet"):
            pl.DataFrame(rows).write_parquet(path)
        elif name.endswith(".csv"):
            text = StringIO()
            cells = csv.DictWriter(text, list(rows[0]))
            cells.writeheader()
            cells.writerows(rows)
            path.write_text(text.getvalue())
        else:
            path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))

    return table


@pytest.fixture
def build(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    record: MakeRecord,
    records: MakeRecords,
    write_logs: WriteLogs,
) -> Build:
    """Build from 140 sums, whose metadata hold their answer, and from odd records after them.

    The gate may reject what comes of it, as where no label matches. An odd record is a pair of
    request id and reply; all ask the same, the last one being kept. Requests that are `dropped`
    have failed.
    """

    def run(
        answer: str,
        *odd: tuple[str, str],
        metadata: Json | None = None,
        dropped_ids: Sequence[str] = (),
    ) -> Built:
        sums = records(140, START)
        for n, each in enumerate(sums):
            each["requestMetadata"] = {"answer": str(2 * n)}
        section = [
            record(
                ask=STORY, reply=text, request_id=name, at=LATER + timedelta(n), metadata=metadata
            )
            for n, (name, text) in enumerate(odd)
        ]
        apart = record(ask=OTHER, reply="#### 11", request_id="other", at=LATER)
        failed_records = [
            record(request_id=name, at=LATER, errorCode="Any", output=None) for name in dropped_ids
        ]
        write_logs(tmp_path / "logs", [sums, [apart, *section, *failed_records]])
        path = recipe(f"[answer]\n{answer}\n", {"until = 2026-10-02": "until = 2026-10-09"})
        assert sluice("build", path, "--json").code in {0, 1}
        return read(tmp_path)

    return run


LABELS = 'labels = "told.jsonl"'
FEEDBACK = 'feedback = "told.jsonl"'
THREE = (("first", "#### 5"), ("second", "#### 9"), ("kept", "So it is.\n#### 5"))
ON = {"answer": "7", "ticket": "42"}


@pytest.mark.parametrize(
    ("source", "more", "row", "answer"),
    [
        ("labels", LABELS, {"request_id": "kept", "final_answer": 11}, "11"),
        ("labels", LABELS, {"request_id": "first", "final_answer": "$1,011"}, "1011"),
        ("feedback", FEEDBACK, {"request_id": "kept", "correct": True}, "5"),
        ("feedback", FEEDBACK, {"request_id": "second", "rating": "good"}, "9"),
        (
            "feedback",
            FEEDBACK,
            {"request_id": "kept", "correct": 0, "corrected_answer": "No.\n#### 8"},
            "8",
        ),
        ("feedback", f"{FEEDBACK}\ngood_score = 4.0", {"request_id": "kept", "score": 4}, "5"),
        ("metadata", 'metadata_key = "answer"', None, "7"),
        ("agreement", "", None, "5"),
        ("extracted", 'extract_pattern = "#### (\\\\d+)"', None, "5"),
        ("logged", "", None, "5"),
    ],
)
def test_each_source_answers_and_provenance_names_it(
    build: Build, write: Write, source: str, more: str, row: Json | None, answer: str
) -> None:
    if row:
        write("told.jsonl", [row])
    names = [source] if source == "logged" else [source, "logged"]
    release = build(f"from = {json.dumps(names)}\n{more}", *THREE, metadata=ON)
    (kept,) = {name for name, _ in THREE} & set(release.lines)  # of duplicates, one with a label
    assert release.lines[kept]["reference_answer"]["final_answer"] == answer
    assert release.sources[kept] == source
    assert {release.fates[name]["survivor"] for name, _ in THREE} == {None, kept}


TICKETS: list[tuple[str, Json]] = [
    ("tickets.csv", {"ticket": "42", "final_answer": "11", "steps_json": '["6 + 5"]'}),
    ("tickets.csv", {"ticket": "42", "final_answer_json": "11.0", "steps_json": '["6 + 5"]'}),
    ("tickets.parquet", {"ticket": 42, "final_answer": "11", "steps": ["6 + 5"]}),
]


@pytest.mark.parametrize(("file", "row"), TICKETS)
def test_a_label_may_be_named_by_a_metadata_key_in_any_kind_of_table(
    build: Build, write: Write, file: str, row: Json
) -> None:
    write(file, [row, {**row, "ticket": "4711"}] if file.endswith(".csv") else [row])
    release = build(
        f'from = ["labels", "logged"]\nlabels = "{file}"\nlabel_key = "ticket"',
        ("kept", "#### 5"),
        metadata=ON,
    )
    assert release.lines["kept"]["reference_answer"] == {"final_answer": "11", "steps": ["6 + 5"]}
    assert release.sources["kept"] == "labels"


def test_a_path_leads_into_a_response_of_json(build: Build) -> None:
    reply = json.dumps({"result": {"totals": [1, "11"]}})
    extract = 'from = ["extracted", "logged"]\nextract_path = "result.totals[-1]"'
    release = build(extract, ("kept", f"```json\n{reply}\n```"))
    assert release.lines["kept"]["reference_answer"]["final_answer"] == "11"
    assert {release.sources["kept"], release.sources["other"]} == {"extracted", "logged"}


LABEL = {"request_id": "kept", "final_answer": "6"}
WRONG = {"request_id": "kept", "correct": False}


@pytest.mark.parametrize(
    ("answer", "rows", "reason"),
    [
        ('from = ["metadata"]\nmetadata_key = "answer"', [], "missing"),
        (
            f'from = ["labels", "logged"]\n{LABELS}',
            [LABEL, LABEL | {"final_answer": "5"}],
            "conflict",
        ),
        (f'from = ["feedback", "agreement", "logged"]\n{FEEDBACK}', [WRONG], "rejected"),
        (
            f'from = ["feedback", "logged"]\n{FEEDBACK}',
            [WRONG, WRONG | {"correct": True}],
            "conflict",
        ),
        (
            f'from = ["labels", "metadata"]\n{LABELS}\nmetadata_key = "answer"',
            [LABEL | {"final_answer": "many"}],
            "unfit",
        ),
        ('from = ["metadata", "agreement"]\nmetadata_key = "answer"', [], "disagreement"),
    ],
)
def test_a_prompt_without_an_answer_is_dropped_and_the_reason_told(
    build: Build, write: Write, answer: str, rows: list[Json], reason: str
) -> None:
    write("told.jsonl", rows)
    section = (("first", "#### 5"), ("second", "#### 9"), ("kept", "#### 6"))
    release = build(answer, *section)
    assert release.fates["kept"]["reason"] == f"answer_{reason}"
    assert "kept" not in release.lines


def label_row(answer: str, day: int | None) -> Json:
    at = None if day is None else f"2026-10-{day:02}T09:00:00Z"
    return {"request_id": "kept", "final_answer": answer, "labelled_at": at}


TWO_TO_ONE = [label_row("5", 3), label_row("6", 5), label_row("5.0", 4)]
SAME = [label_row("1,200", 3), label_row("1200", 4), label_row("$1200.", None)]


@pytest.mark.parametrize(
    ("rows", "more", "answer"),
    [
        (TWO_TO_ONE, 'conflicts = "newest"\nlabelled_before = 2026-10-05', "5.0"),
        (SAME, "", "1200"),
        (
            [label_row("5", 3), label_row("6", 9), label_row("7", None)],
            "labelled_before = 2026-10-09",
            "5",
        ),
        ([label_row("5", 3), label_row("5", 4), label_row("6", 5)], 'conflicts = "majority"', "5"),
        ([label_row("5", 3), label_row("6", 5)], 'conflicts = "majority"', None),
        ([label_row("5", 5), label_row("6", 5)], 'conflicts = "newest"', None),
    ],
)
def test_labels_that_contradict_are_settled_as_the_recipe_says(
    build: Build, write: Write, rows: list[Json], more: str, answer: str | None
) -> None:
    write("told.jsonl", rows)
    release = build(f'from = ["labels", "logged"]\n{LABELS}\n{more}', ("kept", "#### 9"))
    if answer is None:
        assert release.fates["kept"]["reason"] == "answer_conflict"
    else:
        assert release.lines["kept"]["reference_answer"]["final_answer"] == answer


def test_what_came_of_the_rows_is_counted_in_the_manifest(build: Build, write: Write) -> None:
    strangers = [{"request_id": f"stranger-{n}", "final_answer": "1"} for n in range(3)]
    unread = label_row("hm", 3) | {"request_id": "request-7"}
    rows = [label_row("5", 3), label_row("6", 9), label_row("7", None), unread, *strangers]
    dropped_row = {"request_id": "dropped", "final_answer": "1"}
    write("told.jsonl", [*rows, dropped_row])
    more = f'from = ["labels", "logged"]\n{LABELS}\nlabelled_before = 2026-10-09'
    manifest = build(more, ("kept", "#### 9"), dropped_ids=["dropped"]).manifest
    labels = manifest["answers"]["sources"]["labels"]
    assert labels["prompts"] == 1
    assert labels["table"] == {
        "rows": 8,
        **{"with_effect": 1, "not_selected": 1, "unknown": 3, "unreadable": 1},
        **{"late": 1, "without_time": 1, "without_effect": 0},
    }
    assert manifest["answers"]["lines_by_source"] == {"labels": 1, "logged": 141}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [{"request_id": f"x-request-{n}", "final_answer": 1} for n in range(140)],
            "140 rows, 0 used; 0 for requests dropped or not selected, 140 unknown, 0 unreadable",
        ),
        (
            [{"request_id": f"request-{n}", "final_answer": "see notes"} for n in range(140)],
            "140 rows, 0 used; 0 for requests dropped or not selected, 0 unknown, 140 unreadable",
        ),
    ],
    ids=["mangled", "unreadable"],
)
def test_labels_that_give_no_answer_reject_the_release(
    build: Build,
    write: Write,
    tmp_path: Path,
    sluice: RunSluice,
    rows: list[Json],
    words: str,
) -> None:
    write("told.jsonl", rows)
    release = build(f'from = ["labels", "logged"]\n{LABELS}', ("kept", "#### 9"))
    assert release.manifest["verdict"] == "rejected"
    assert release.manifest["answers"]["lines_by_source"] == {"logged": 142}
    result = sluice("build", tmp_path / "sums.toml")
    assert result.code == 1
    assert f"labels: {words}; 0 of 142 prompts have one" in result.err
    assert "answers: 142 from logged" in result.err
    assert "failed answer_sources: " in result.err
    assert (
        "  measured: 0 prompts; limit: at least 1\n  for example: labels\n  to fix: " in result.err
    )
    page = (Path(result.out.strip()) / "report.html").read_text()
    assert "Labels: 0 of 142 prompts have an answer there." in page
    output = json.loads(sluice("build", tmp_path / "sums.toml", "--json").out)
    assert output["failed_checks"] == ["answer_sources"]
    assert output["answers"] == release.manifest["answers"]


def test_sources_that_are_trusted_less_are_not_asked(build: Build, write: Write) -> None:
    write("told.jsonl", [WRONG])
    section = (
        f'from = ["feedback", "metadata", "logged"]\n{FEEDBACK}\n'
        'metadata_key = "answer"\nminimum_trust = "metadata"'
    )
    release = build(section, ("kept", "#### 5"))
    assert set(release.sources.values()) == {"metadata"}
    assert release.fates["kept"]["reason"] == "answer_rejected"
    assert release.fates["other"]["reason"] == "answer_missing"


def test_the_first_source_that_is_named_wins_and_explain_tells_it(
    build: Build, write: Write, tmp_path: Path, sluice: RunSluice
) -> None:
    write("told.jsonl", [LABEL])
    release = build(f'from = ["logged", "labels"]\n{LABELS}', ("kept", "#### 5"))
    assert release.lines["kept"]["reference_answer"]["final_answer"] == "5"
    output = json.loads(sluice("explain", tmp_path / "sums.toml", "kept", "--json").out)
    assert "logged" in json.dumps(output)


def test_wrong_answers_of_duplicates_do_not_speak_against_another_answer(
    build: Build, write: Write
) -> None:
    write("told.jsonl", [WRONG | {"request_id": "second"}, WRONG | {"request_id": "first"}])
    section = (("first", "#### 9"), ("second", "#### 8"), ("third", "#### 5"), ("kept", "#### 5"))
    more = f'from = ["feedback", "agreement", "logged"]\n{FEEDBACK}\nminimum_share = 0.5'
    release = build(more, *section)
    assert release.sources.get("kept") == "agreement"
    assert release.lines["kept"]["reference_answer"]["final_answer"] == "5"


def test_the_order_of_label_rows_changes_no_line(
    build: Build, write: Write, tmp_path: Path, sluice: RunSluice
) -> None:
    rows = [
        {"request_id": f"request-{n}", "final_answer": str(n), "steps": [str(n)]} for n in range(9)
    ]
    rows += [row | {"final_answer": f"{row['final_answer']}.", "steps": ["again"]} for row in rows]
    write("told.jsonl", rows)
    first = build(f'from = ["labels", "logged"]\n{LABELS}').lines
    write("told.jsonl", rows[::-1])
    sluice("build", tmp_path / "sums.toml")
    folders = sorted(tmp_path.glob("lake/releases/sums/*/"))
    assert len({(each / "train.jsonl").read_bytes() for each in folders}) == 1
    assert sum(line["reference_answer"]["steps"] == ["again"] for line in first.values()) <= 9


@pytest.mark.parametrize(
    ("answer", "rows", "message"),
    [
        (f'from = ["feedback"]\n{FEEDBACK}', [{"request_id": "kept", "score": 3}], "good_score"),
        (
            f'from = ["feedback"]\n{FEEDBACK}',
            [{"request_id": "kept", "correct": "hm"}],
            "told.jsonl:1",
        ),
        (f'from = ["labels"]\n{LABELS}', [{"final_answer": "hidden-7"}], "told.jsonl:1"),
        ('from = ["labels"]\nlabels = "gone.csv"', [], "gone.csv"),
        ('from = ["labels"]', [], "labels"),
        ('from = ["extracted"]\nextract_pattern = "no group"', [], "extract_pattern"),
        ('from = ["logged"]\nminimum_trust = "labels"', [], "minimum_trust"),
    ],
)
def test_what_can_not_be_used_is_refused_with_its_place(
    sums: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    write: Write,
    answer: str,
    rows: list[Json],
    message: str,
) -> None:
    assert sums.exists()
    write("told.jsonl", rows)
    result = sluice("build", recipe(f"[answer]\n{answer}\n"))
    assert result.code == 2
    assert message in result.err
    assert "hidden-7" not in result.err
