"""Grading logged responses with real local graders: what is chosen, judged and told."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from bedrock_sluice.cli.rewards.grade import show_readiness
from bedrock_sluice.flows.stages.grade import GradeOptions, GradeResult, grade
from bedrock_sluice.rewards.readiness import GRADER_RESULTS, zero_variance_prompts
from bedrock_sluice.rewards.readiness_report import facts
from bedrock_sluice.rewards.running.logged_responses import LINES, LoggedResponse, sample_responses
from bedrock_sluice.rewards.running.process import LocalGrader

Write = Callable[..., LocalGrader]

SECRET = "hidden-content"
LENGTH = "min(1.0, len(s['messages'][-1]['content']) / 200)"


@pytest.fixture
def grader(tmp_path: Path) -> Write:
    """Write a grader that gives each sample `s` a `score`."""

    def write(score: str, metrics: str = "[]") -> LocalGrader:
        (tmp_path / "grader.py").write_text(
            "import random, time\n"
            "random.seed(0)\n"
            "def lambda_handler(event, context):\n"
            "    return [\n"
            "        {'id': s['id'], 'aggregate_reward_score': " + score + ",\n"
            "         'metrics_list': " + metrics + "} for s in event\n"
            "    ]\n"
        )
        return LocalGrader("grader.py:lambda_handler", tmp_path)

    return write


def lines(number: int, source: str = "labels") -> pl.DataFrame:
    """Lines `r0, r1, …` of prompts `p0, p1, …`."""
    rows = [
        {
            "id": f"r{n}",
            "request_id": f"r{n}",
            "prompt_digest": f"p{n}",
            "reference_source": source,
            "json": json.dumps(
                {
                    "id": f"r{n}",
                    "messages": [{"role": "user", "content": SECRET}],
                    "reference_answer": {"final_answer": "72"},
                }
            ),
        }
        for n in range(number)
    ]
    return pl.DataFrame(rows, schema=LINES)


def logged_response(prompt: int, text: str, request_id: str, **metadata: str) -> LoggedResponse:
    message = json.dumps({"role": "assistant", "content": text})
    return LoggedResponse(f"p{prompt}", request_id, message, "model-a", metadata)


def logged_responses(number: int) -> list[LoggedResponse]:
    """A response to each prompt, of a length that follows no order."""
    toss = random.Random(1)
    return [logged_response(n, "x" * toss.randint(1, 200), f"r{n}") for n in range(number)]


def grade_logged(grader: LocalGrader, number: int = 60, **options: Any) -> GradeResult:
    return grade(
        lines(number), logged_responses(number), grader, GradeOptions(batch_size=7, **options)
    )


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        ("1.0", "rft_unnecessary"),
        ("0.0", "fine_tune_first"),
        ("random.random()", "non_deterministic"),  # though its seed is the same in every process
        (LENGTH, "length_biased"),
        ("1 / 0", "fix_grader"),
        ("float(len(s['messages'][-1]['content']) % 2)", "ready"),
    ],
)
def test_each_kind_of_grader_has_its_verdict(grader: Write, score: str, verdict: str) -> None:
    result = grade_logged(grader(score))
    assert result.readiness.verdict == verdict
    assert result.results.height == 60


def test_a_score_that_depends_on_the_batch_is_found(grader: Write) -> None:
    assert (
        grade_logged(grader("event.index(s) / len(event)")).readiness.verdict == "non_deterministic"
    )


def test_a_grader_that_is_too_slow_is_told_as_timeouts(grader: Write) -> None:
    slow = grader("time.sleep(9 * (s['id'] == 'r1')) or 0.5")
    options = GradeOptions(timeout_seconds=0.5, max_repeated=0)
    readiness = grade(lines(3), logged_responses(3), slow, options).readiness
    assert readiness.verdict == "fix_grader"
    assert readiness.measures.problems.timeout_share == pytest.approx(1 / 3)


def test_what_our_own_graders_call_malformed_is_a_problem_and_no_zero(grader: Write) -> None:
    metrics = "[{'name': 'malformed', 'value': 1.0, 'type': 'Metric'}]"
    assert grade_logged(grader("0.0", metrics), 10).readiness.verdict == "fix_grader"


def test_every_logged_response_of_a_prompt_is_a_free_rollout(grader: Write) -> None:
    rows = [
        logged_response(n, f"{'no' if n == 1 else i}", f"q{n}-{i}")
        for n in range(3)
        for i in range(4)
    ]
    result = grade(lines(3), rows, grader("float(s['messages'][-1]['content'] == '1')"))
    within = result.readiness.measures.within_prompts
    assert result.readiness.measures.responses == 4 + 1 + 4  # the same text again is graded once
    assert (within.prompts, within.zero_variance_share) == (2, 0.0)
    flat = grade(lines(3), rows, grader("1.0"))
    assert zero_variance_prompts(flat.results).to_list() == ["p0", "p2"]


def test_a_response_is_never_graded_against_itself(grader: Write) -> None:
    rows = [*logged_responses(5), logged_response(2, "said otherwise", "other")]
    result = grade(lines(5, "logged"), rows, grader("1.0"))
    assert result.results["request_id"].to_list() == ["other"]
    assert result.readiness.measures.circular == 5
    alone = grade(lines(5, "logged"), logged_responses(5), grader("1.0")).readiness
    assert (alone.verdict, alone.measures.circular) == ("no_responses", 5)


def choose_pairs(
    rows: list[LoggedResponse], number: int = 40, **options: Any
) -> list[tuple[str, str]]:
    samples, _ = sample_responses(lines(number), rows, GradeOptions(**options))
    return [(each.line_id, each.logged_response.request_id) for each in samples]


def test_the_choice_depends_on_no_order_and_stays_when_the_log_grows() -> None:
    rows = [logged_response(n % 50, f"text {n % 400}", f"q{n}") for n in range(600)]
    shuffled_rows = random.Random(3).sample(rows, len(rows))
    limits = {"max_samples": 30, "max_responses_per_prompt": 3}
    first = choose_pairs(rows, **limits)
    assert len(first) == 30
    assert choose_pairs(shuffled_rows, **limits) == first
    assert choose_pairs(shuffled_rows + rows, **limits) == first
    choice_of_more = choose_pairs([*rows, logged_response(3, "one more", "new")], **limits)
    assert len(set(first) - set(choice_of_more)) <= 1
    assert choose_pairs(rows, salt="other", **limits) != first


def test_the_choice_is_within_its_limits_and_brings_whole_prompts() -> None:
    rows = [logged_response(n % 40, f"text {n}", f"q{n}") for n in range(400)]
    names = [line for line, _ in choose_pairs(rows, max_samples=20, max_responses_per_prompt=4)]
    assert sorted(names.count(name) for name in set(names)) == [4] * 5
    assert len(set(names[:5])) == 5  # first responses come first


@pytest.mark.parametrize("limit", [1, 7, 39, 40, 1_000])
def test_forgetting_early_changes_no_choice(limit: int) -> None:
    rows = [logged_response(n * 17 % 40, f"text {n % 90}", f"q{n}") for n in range(500)]
    everything = choose_pairs(rows, max_samples=10_000, max_responses_per_prompt=2)
    few = choose_pairs(rows, max_samples=limit, max_responses_per_prompt=2)
    assert set(few) <= set(everything)
    assert len(few) == min(limit, len(everything))


def test_only_prompts_that_are_chosen_are_counted_as_circular() -> None:
    rows = [
        *logged_responses(40),
        *(logged_response(n % 40, f"text {n}", f"q{n}") for n in range(160)),
    ]
    for order in (rows, rows[::-1]):
        samples, circular = sample_responses(
            lines(40, "logged"), order, GradeOptions(max_samples=20)
        )
        assert (len(samples), circular) == (20, 5)


def test_slices_are_the_model_and_the_named_keys(grader: Write) -> None:
    rows = [logged_response(n, f"text {n}", f"q{n}", score="high", team="b") for n in range(3)]
    options = GradeOptions(slice_keys=("score", "team", "team", "absent"))
    result = grade(lines(3), rows, grader("0.5"), options)
    names = ["model_id", "metadata.score", "metadata.team", "metadata.absent"]
    assert result.results.columns == [*GRADER_RESULTS, *names]
    slices = {(each.slice, each.value) for each in result.readiness.measures.slices}
    assert slices == set(zip(names, ["model-a", "high", "b", None], strict=True))


def test_progress_counts_both_runs(grader: Write) -> None:
    steps = list[tuple[int, int]]()
    options = GradeOptions(max_repeated=2)
    grade(lines(3), logged_responses(3), grader("0.5"), options, lambda *at: steps.append(at))
    assert steps == [(n, 5) for n in range(1, 6)]


def test_facts_are_json_without_content_and_slices_only_if_asked_for(grader: Write) -> None:
    rows = [logged_response(n, SECRET * n, f"q{n}", team=SECRET) for n in range(9)]
    options = GradeOptions(slice_keys=("team",))
    readiness = grade(lines(9), rows, grader(LENGTH), options).readiness
    text = msgspec.json.encode(facts(readiness)).decode()
    assert SECRET not in text
    assert json.loads(text)["responses"] == 9
    assert SECRET in msgspec.json.encode(facts(readiness, with_slices=True)).decode()


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("number", [0, 40])
def test_the_judgement_is_shown(
    grader: Write, capsys: pytest.CaptureFixture[str], as_json: bool, number: int
) -> None:
    readiness = grade_logged(grader(LENGTH), number).readiness
    show_readiness(readiness, as_json=as_json)
    out, err = capsys.readouterr()
    if as_json:
        assert json.loads(out)["verdict"] == readiness.verdict
    else:
        assert out == ""
        assert err.splitlines()[-1].startswith(f"verdict {readiness.verdict}: ")


def test_values_of_slices_cannot_break_a_line_or_style_the_terminal(
    grader: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [logged_response(0, "x", "q", team="[red]\x1b[31m\nverdict ready: all is well")]
    options = GradeOptions(slice_keys=("team",))
    show_readiness(grade(lines(1), rows, grader("0.5"), options).readiness, as_json=False)
    err = capsys.readouterr().err
    assert "[red]\ufffd[31m verdict ready" in err
    assert sum(line.startswith("verdict ") for line in err.splitlines()) == 1
