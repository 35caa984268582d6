"""Events in every documented shape, and answers of graders held against the contract."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards.running.events import EventForm, Sample, as_event, batches
from bedrock_sluice.rewards.running.grader_results import read_scores

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "6 times 7?"}
SAID: Json = {"role": "assistant", "content": "#### 42"}


def sample(line_id: str = "a", reference: object = "42", **further: object) -> Sample:
    line = {"id": line_id, "messages": [USER], "reference_answer": reference, **further}
    return Sample(line, "#### 42")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("metadata", [{"metadata": {"reference_answer": "42", "team": "x"}}]),
        ("top_level", [{"reference_answer": "42", "team": "x"}]),
        ("wrapped_text", [{"reference_answer": {"text": "42"}, "team": "x"}]),
        ("trajectories", {"trajectories": [{"reference_answer": {"text": "42"}, "team": "x"}]}),
    ],
)
def test_each_form_is_exactly_this(form: EventForm, expected: Any) -> None:
    common_fields = {"id": "a", "messages": [USER, SAID], "tools": [{}]}
    rows = expected["trajectories"] if isinstance(expected, dict) else expected
    rows[0].update(common_fields)
    assert as_event([sample(tools=[{}], team="x")], form) == expected


@pytest.mark.parametrize("form", get_args(EventForm))
def test_a_reference_that_is_an_object_is_never_wrapped(form: EventForm) -> None:
    assert '{"text"' not in json.dumps(as_event([sample(reference={"final_answer": "42"})], form))


def test_a_response_may_be_a_whole_message() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    event: Any = as_event([Sample(sample().line, call)], "top_level")
    assert event[0]["messages"] == [USER, call]


def test_batches_hold_no_more_than_they_should_in_order() -> None:
    in_order = batches([sample(str(n)) for n in range(5)], 2)
    assert [[each.id for each in batch] for batch in in_order] == [["0", "1"], ["2", "3"], ["4"]]


def test_two_responses_to_one_line_stand_in_different_batches() -> None:
    sample_batches = batches([sample("a"), sample("b"), sample("a"), sample("a")])
    assert [[each.id for each in batch] for batch in sample_batches] == [["a", "b"], ["a"], ["a"]]


# --- answers


def row(**changes: object) -> Json:
    """A good result for `a`; a field that is set to `...` is left out."""
    fields = {"id": "a", "aggregate_reward_score": 0.5, **changes}
    return {key: value for key, value in fields.items() if value is not ...}


METRIC: Json = {"name": "accuracy", "value": 1, "type": "Reward"}


@pytest.mark.parametrize(
    "answer",
    [
        [row()],
        [row(metrics_list=None)],
        [row(metrics_list=[])],
        [row(aggregate_reward_score=0.5, more="x")],
        {"statusCode": 200, "body": [row()]},
        {"statusCode": 200, "body": json.dumps([row()])},
    ],
)
def test_a_good_answer_has_no_problem(answer: object) -> None:
    (outcome,) = read_scores(answer, ["a"])
    assert (outcome.id, outcome.score, outcome.metrics, outcome.problem) == ("a", 0.5, {}, None)


def test_metrics_come_by_name() -> None:
    (outcome,) = read_scores([row(metrics_list=[METRIC, METRIC | {"name": "b"}])], ["a"])
    assert outcome.metrics == {"accuracy": 1.0, "b": 1.0}
    assert outcome.problem is None


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "the answer is null; return a list"),
        ("text", "the answer is a text; return a list"),
        (row(), "the answer is an object; return a list"),
        ({"statusCode": 500, "body": "[]"}, "statusCode is not 200"),
        ({"statusCode": 200, "body": "{"}, "the body is no JSON"),
        ({"statusCode": 200}, "the answer is null"),
        ([], "no result for this id"),
        ([row(id=...)], "no result for this id; 1 of 1 results have no id that was asked for"),
        ([row(id="z")], "no result for this id; 1 of 1 results have no id that was asked for"),
        ([row(id=["a"])], "no result for this id; 1 of 1"),
        ([row(), row()], "2 results for this id"),
        ([7], "no result for this id; 1 of 1"),
        ([row(aggregate_reward_score=...)], "aggregate_reward_score is missing"),
        ([row(aggregate_reward_score=None)], "aggregate_reward_score is null, not a number"),
        ([row(aggregate_reward_score="1")], "aggregate_reward_score is a text, not a number"),
        ([row(aggregate_reward_score=True)], "aggregate_reward_score is true or false, not"),
        ([row(aggregate_reward_score=float("nan"))], "aggregate_reward_score is NaN or infinite"),
        ([row(aggregate_reward_score=float("inf"))], "aggregate_reward_score is NaN or infinite"),
        ([row(aggregate_reward_score=10**400)], "aggregate_reward_score is NaN or infinite"),
    ],
)
def test_a_bad_answer_has_no_score_and_says_why(answer: object, problem: str) -> None:
    (outcome,) = read_scores(answer, ["a"])
    assert (outcome.id, outcome.score) == ("a", None)
    assert (outcome.problem or "").startswith(problem)


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ({}, "metrics_list is an object, not a list"),
        ([7], "metrics_list, metric 1 is a number, not an object"),
        ([METRIC, {}], "metrics_list, metric 2: name is not a text"),
        ([METRIC | {"type": "reward"}], "metrics_list, metric 1: type is neither Reward nor Met"),
        ([METRIC | {"type": []}], "metrics_list, metric 1: type is neither"),
        ([METRIC | {"value": float("nan")}], "metrics_list, metric 1: value is NaN or infinite"),
        ([{"name": "x", "type": "Metric"}], "metrics_list, metric 1: value is missing"),
    ],
)
def test_a_bad_metric_is_told_and_the_score_stays(metrics: object, problem: str) -> None:
    (outcome,) = read_scores([row(metrics_list=metrics)], ["a"])
    assert outcome.score == 0.5
    assert (outcome.problem or "").startswith(problem)


def test_a_result_that_nobody_asked_for_is_told_with_each_score() -> None:
    results = read_scores([row(), row(id="b"), row(id="z")], ["b", "a"])
    assert [(each.id, each.score) for each in results] == [("b", 0.5), ("a", 0.5)]
    assert {each.problem for each in results} == {"1 of 3 results have no id that was asked for"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "b", "", "é"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "aggregate_reward_score", "metrics_list", "name", "body"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_every_asked_id_has_one_result_whatever_came(answer: object) -> None:
    results = read_scores(answer, ["a", "b"])
    assert [each.id for each in results] == ["a", "b"]
    assert all(each.score is not None or each.problem for each in results)
