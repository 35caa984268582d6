"""A grader tried on logged responses: verdicts and exit codes, the gate, and graders that fail."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.html import Page
from support.protocols import MakeRecord, RunSluice, WriteLogs, WriteRecipe

Json = dict[str, Any]

START = datetime(2026, 10, 1, 12, tzinfo=UTC)
MODEL = "amazon.nova-lite-v1:0"
NUMBER = 120
CANARY = "hidden-content"
ONE = "1.0"
TEXT = 'sample["messages"][-1]["content"]'
DIGEST = f"sum({TEXT}.encode()) % 2"
GRADER = """\
import json, os, random, sys, time

def lambda_handler(event, context):
    {first}
    return [
        {{"id": sample["id"], "aggregate_reward_score": {score}, "metrics_list": []}}
        for sample in event{some}
    ]
"""
SECTION = '[grader]\npython = "grader.py:lambda_handler"\n'


@pytest.fixture
def grader(tmp_path: Path) -> Callable[..., None]:
    """Write a grader beside the recipe; `first` is done before it scores, `some` slices events."""

    def write(score: str = DIGEST, first: str = "pass", some: str = "") -> None:
        text = GRADER.format(score=score, first=first, some=some)
        (tmp_path / "grader.py").write_text(text)

    return write


@pytest.fixture
def recipe_over(
    tmp_path: Path,
    recipe: WriteRecipe,
    record: MakeRecord,
    write_logs: WriteLogs,
) -> Callable[..., Path]:
    """A recipe with a grader over labelled sums of responses of many lengths, and odd records."""

    def write(more: str = "", odd: Sequence[Json] = ()) -> Path:
        sums = [
            record(
                ask=f"What is {n} plus {n}? End with #### and the number.",
                reply=f"{CANARY} {'and so on ' * (n * 7 % 60)}\n#### {n}",
                request_id=f"request-{n}",
                at=START + timedelta(seconds=n),
                metadata={"team": f"team-{n % 2}"},
                modelId=f"{'arn:aws:bedrock:us-east-1::foundation-model/' * (n % 2)}{MODEL}",
            )
            for n in range(NUMBER)
        ]
        write_logs(tmp_path / "logs", [[*sums, *odd]])
        section = {each["requestId"]: "1" for each in (*sums, *odd)}
        labels = [{"request_id": name, "final_answer": answer} for name, answer in section.items()]
        (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
        answer = '[answer]\nfrom = ["labels"]\nlabels = "labels.jsonl"\n'
        return recipe(f"{answer}{SECTION}{more}")

    return write


def run_grade(sluice: RunSluice, path: Path) -> tuple[int, Json]:
    """`sluice grade --json`: its code and what it told, which holds no content."""
    result = sluice("grade", path, "--json")
    assert CANARY not in result.err + result.out
    return result.code, json.loads(result.out)


VERDICTS = [
    (ONE, "rft_unnecessary", "rejected"),
    ("0.0", "fine_tune_first", "rejected"),
    ("0.5", "no_signal", "rejected"),
    ("random.random()", "non_deterministic", "rejected"),
    (f"len({TEXT}) / 10_000", "length_biased", "passed"),
    (DIGEST, "ready", "passed"),
]


@pytest.mark.parametrize(("score", "verdict", "release"), VERDICTS)
def test_a_grader_is_judged_by_its_scores_and_the_gate_follows(
    recipe_over: Callable[..., Path],
    grader: Callable[..., None],
    sluice: RunSluice,
    score: str,
    verdict: str,
    release: str,
) -> None:
    grader(score)
    path = recipe_over()
    code, output = run_grade(sluice, path)
    assert (output["verdict"], code) == (verdict, int(verdict != "ready"))
    assert output["responses"] == NUMBER
    assert not list(path.parent.glob("lake/releases/*/*"))
    result = sluice("build", path, "--json")
    summary = json.loads(result.out)
    assert (summary["verdict"], result.code) == (release, int(release == "rejected"))
    manifest = json.loads((Path(summary["release"]) / "manifest.json").read_text())
    assert manifest["readiness"]["verdict"] == verdict
    failing_check = {"non_deterministic": "grader_works"}.get(verdict, "reward_signal")
    assert summary["failed_checks"] == ([failing_check] if release == "rejected" else [])
    assert CANARY not in result.err + json.dumps(manifest)


def test_people_are_told_the_verdict_last_and_slices_by_value(
    recipe_over: Callable[..., Path], grader: Callable[..., None], sluice: RunSluice
) -> None:
    grader()
    result = sluice("grade", recipe_over('slices = ["team"]\n'))
    assert (result.code, result.out) == (0, "")
    assert "team-1: 60 responses" in result.err
    assert f"{MODEL}: {NUMBER} responses" in result.err
    assert "arn:aws" not in result.err
    assert result.err.strip().splitlines()[-1].startswith("verdict ready")
    assert CANARY not in result.err


def test_a_grader_out_of_the_gate_is_not_run(
    recipe_over: Callable[..., Path], grader: Callable[..., None], sluice: RunSluice
) -> None:
    grader("0.0", first="os._exit(1)")
    result = sluice("build", recipe_over("in_gate = false\n"), "--json")
    assert result.code == 0
    manifest = Path(json.loads(result.out)["release"]) / "manifest.json"
    assert json.loads(manifest.read_text()).get("readiness") is None


FAILING = {
    "hangs": ({"first": "time.sleep(60)"}, "gave no answer within"),
    "exits": ({"first": "os._exit(3)"}, "ended"),
    "raises": ({"first": f'raise RuntimeError("{CANARY}")'}, "raised RuntimeError"),
    "NaN": ({"score": 'float("nan")'}, "NaN or infinite"),
    "text": ({"score": '"1.0"'}, "is a text, not a number"),
    "no id": ({"score": '1, "id": None'}, "no result for this id"),
    "fewer": ({"some": "[:-1]"}, "no result for this id"),
    "quotes": ({"first": f'return "{CANARY}"'}, "return a list"),
    "not JSON": ({"score": "{1}"}, "no JSON"),
    "eats": ({"first": "x = bytearray(10 ** 10)"}, "MemoryError"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_grader_that_fails_is_told_of_and_not_trusted(
    recipe_over: Callable[..., Path],
    grader: Callable[..., None],
    sluice: RunSluice,
    name: str,
) -> None:
    how, message = FAILING[name]
    grader(**how)
    limits = "timeout_seconds = 0.2\nmax_samples = 6\nbatch_size = 2\nmemory_mb = 256\n"
    code, output = run_grade(sluice, recipe_over(limits))
    assert (code, output["verdict"]) == (1, "fix_grader")
    assert any(message in kind for kind, _ in output["problems"]["kinds"])
    assert output["responses"] == 6


def test_scores_are_in_the_release_and_lead_reviewers_to_answers_in_doubt(
    recipe_over: Callable[..., Path],
    grader: Callable[..., None],
    sluice: RunSluice,
    tmp_path: Path,
) -> None:
    grader(f"0.2 if {TEXT}.endswith('5') else 0.0 if {TEXT}.endswith('7') else 1.0")
    release = Path(sluice("build", recipe_over()).out.strip())
    lines = pl.read_parquet(release / "provenance.parquet")
    scores = pl.read_parquet(release / "scores.parquet")
    assert sorted(scores["id"]) == sorted(lines["id"])
    assert scores["id"].to_list() == scores["request_id"].to_list()
    in_doubt = set(scores.filter(pl.col("id").str.contains("[57]$"))["id"])
    assert set(scores.filter(pl.col("score") < 1)["id"]) == in_doubt

    sheet = tmp_path / "sheet.html"
    sluice("review", "sheet", release, "--lines", 100, "--sample", 0, "--out", sheet)
    text = Page(sheet.read_text()).text
    assert text.count("by the grader: the best of them scores 0.2") == 12
    assert text.count("by the grader: the best of them scores 0") == len(in_doubt)


def test_a_grader_prints_in_vain(
    recipe_over: Callable[..., Path], grader: Callable[..., None], sluice: RunSluice
) -> None:
    grader(first="print(json.dumps(event), flush=True); print(event, file=sys.stderr)")
    result = sluice("grade", recipe_over("max_samples = 100\n"))
    assert result.code == 0
    assert CANARY not in result.err + result.out


def test_a_grader_sees_no_credentials_and_no_home(
    recipe_over: Callable[..., Path],
    grader: Callable[..., None],
    sluice: RunSluice,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[default]\n")
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.setenv(key, CANARY)
    monkeypatch.setenv("HOME", str(tmp_path))
    conditions = [f'"{CANARY}" in str(os.environ)', 'os.path.exists(os.path.expanduser("~/.aws"))']
    grader(f"100.0 if {' or '.join(conditions)} else {DIGEST}")
    code, output = run_grade(sluice, recipe_over("max_samples = 100\n"))
    assert (code, output["verdict"], output["scores"]["edges"]) == (0, "ready", [0.0, 1.0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("def lambda_handler(:", "SyntaxError"),
        (f"raise ValueError('{CANARY}')", "ValueError"),
    ],
)
def test_a_grader_that_can_not_be_loaded_is_a_fault_of_the_recipe(
    recipe_over: Callable[..., Path],
    sluice: RunSluice,
    tmp_path: Path,
    content: str | None,
    message: str,
) -> None:
    if content:
        (tmp_path / "grader.py").write_text(content)
    result = sluice("grade", recipe_over())
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert CANARY not in result.err


def test_without_a_grader_there_is_nothing_to_try(sums: Path, sluice: RunSluice) -> None:
    result = sluice("grade", sums)
    assert (result.code, "[grader]" in result.err) == (2, True)


def asked_again(record: MakeRecord, name: str, replies: Sequence[str]) -> list[Json]:
    """Exact duplicates of one prompt, with these replies."""
    return [
        record(
            ask=f"Which {name} do you mean? End with #### and the number.",
            reply=reply,
            request_id=f"{name}-{n}",
            at=START + timedelta(hours=1, minutes=n),
            metadata={"team": name},
        )
        for n, reply in enumerate(replies)
    ]


def test_prompts_without_variance_are_dropped_and_every_record_has_one_fate(
    recipe_over: Callable[..., Path],
    grader: Callable[..., None],
    sluice: RunSluice,
    record: MakeRecord,
) -> None:
    grader(f'float("right" in {TEXT})')
    replies_by_name = {
        "flat": [f"wrong {n}" for n in range(4)],
        "mixed": [*(f"wrong {n}" for n in range(4)), "right"],
        "few": [f"wrong {n}" for n in range(3)],
        "same": ["wrong"] * 6,
    }
    odd = [
        each
        for name, replies in replies_by_name.items()
        for each in asked_again(record, name, replies)
    ]
    path = recipe_over("drop_zero_variance = true\n", odd)
    release = Path(json.loads(sluice("build", path, "--json").out)["release"])
    fates = pl.read_parquet(release / "fates.parquet")
    counts = json.loads((release / "manifest.json").read_text())["counts"]
    assert fates["request_id"].is_unique().all()
    assert fates.height == NUMBER + len(odd) == counts["records"]
    flat = fates.filter(pl.col("reason") == "grade_zero_variance")["request_id"].to_list()
    assert [name.rpartition("-")[0] for name in flat] == ["flat"]
    assert counts["dropped"]["grade_zero_variance"] == 1
    lines = sum(
        (release / f"{side}.jsonl").read_bytes().count(b"\n") for side in ("train", "validation")
    )
    assert lines == counts["train"] + counts["validation"] == NUMBER + 3
    assert pl.read_parquet(release / "provenance.parquet").height == lines
    result = sluice("explain", path, flat[0]).err
    assert "same score" in result
